// Package emu executes PTX text on the CPU and reports what a GPU would let
// pass in silence: races, reads of bytes that nobody wrote, divergence at
// warp-wide instructions, deadlock, out-of-bounds and misaligned accesses.
//
// A [Device] implements [runtime.Device]. Threads run as warps of 32 lanes over a
// register file of [register][lane] arrays; thread blocks are spread over the CPU
// cores, each executed by one goroutine. Results are the same for the same seed.
//
// The instruction semantics follow the PTX ISA 9.0; codegen/ptx/inst says which
// instructions exist, this package how each [inst.Kind] behaves.
package emu
