package tests

import (
	"testing"

	"github.com/s2attention/s2c/internal/conformance"
)

// TestDevice runs every case on a GPU, all heads and all layers, on every
// target that it executes.
func TestDevice(t *testing.T) {
	onDevice(t, openGPU, conformance.Cases(), 1)
}

// TestDeviceRepeats launches the same input again and again: same bytes out.
func TestDeviceRepeats(t *testing.T) {
	onDevice(t, openGPU, determinismCases(), 5)
}
