package dtype_test

import (
	"testing"

	"github.com/s2attention/s2c/dtype"
)

func TestTypes(t *testing.T) {
	for _, c := range []struct {
		t           dtype.Type
		bits, bytes int
		model       bool
	}{
		{"bf16", 16, 2, true}, {"f16", 16, 2, true}, {"f32", 32, 4, false}, {"f64", 0, 0, false}, {"", 0, 0, false},
	} {
		if c.t.Bits() != c.bits || c.t.Bytes() != c.bytes || c.t.Model() != c.model {
			t.Errorf("%q: %d bits, %d bytes, model %v", c.t, c.t.Bits(), c.t.Bytes(), c.t.Model())
		}
	}
}
