// Package broken holds attention kernels that are broken on purpose: the PTX of a
// good kernel with one small change, such as a dropped barrier, a skipped wait or
// a wrong swizzle. Every one of them must be reported, by a fault of the emulator
// that says where, or by the comparison with the float64 reference. The unchanged
// kernels must pass in the same harness, under the same seeds, and so must the
// changes that are listed as harmless, each with its reason.
package broken
