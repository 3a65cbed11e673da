// Package probe holds small kernels that ask a GPU what one instruction does:
// where a wgmma reads its operands, which bytes a TMA copy writes, what a division
// by zero gives. Recorded on a GPU, their outputs are goldens that the emulator
// has to reproduce (runtime/emu/testdata/probes); tests/probe/cmd records them.
package probe
