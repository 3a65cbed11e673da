// Package measure times attention kernels on a device and checks what they
// computed meanwhile: random inputs that are made in seconds at any length,
// outputs that start as NaNs, runs between events with a cold L2 cache, their
// median and spread, a comparison with the float64 reference on sampled heads
// and query blocks, and the host's cost of a launch.
package measure
