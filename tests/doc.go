// Package tests holds the tests of the whole: every conformance case on the
// emulator and on a GPU, the goldens, the real assembler, and the counts of
// executed instructions against the closed form.
//
//	go test ./tests                       some heads, the emulator
//	S2C_FULL=1 go test -timeout 1h ./tests   all heads, all layers
//	S2C_UPDATE=1 go test ./tests -run Golden rewrite the goldens
//	go test ./tests -run TestDevice -v    on a machine with a GPU; bench/check where there is no Go
package tests
