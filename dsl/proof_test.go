package dsl_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/dsl"
)

// TestProofCodes compiles the examples of codes that the closed form decides,
// and demands that code alone.
func TestProofCodes(t *testing.T) {
	tried := 0
	for _, info := range diag.Table() {
		if !info.Proof {
			continue
		}
		tried++
		read := func(path string) ([]byte, error) {
			if path != "example.s2" {
				return nil, errors.New("no such file")
			}
			return []byte(info.Example), nil
		}
		_, list := compiler.Load("example.s2", dsl.Options{ReadFile: read})
		other := func(d diag.Diagnostic) bool { return d.Code != info.Code }
		if len(list) == 0 || slices.ContainsFunc(list, other) {
			t.Errorf("%s:\n%s%s", info.Code, info.Example, diag.Text(list, false))
		}
	}
	if tried < 8 {
		t.Errorf("%d codes", tried)
	}
}
