// Package gpu says what a test of kernels on a GPU does where there is none.
package gpu

import (
	"errors"
	"os"
	"testing"

	"github.com/s2attention/s2c/runtime"
)

// Need takes the error of opening a GPU: where there is none it skips the test and
// says so, or fails it where S2C_REQUIRE_GPU=1; any other error fails it.
func Need(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, runtime.ErrNoDevice) && os.Getenv("S2C_REQUIRE_GPU") != "1":
		t.Skipf("SKIPPED, no kernel runs on a GPU: %v", err)
	default:
		t.Fatal(err)
	}
}
