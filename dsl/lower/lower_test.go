package lower_test

import (
	"path/filepath"
	"testing"

	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/dsl/lower"
	"github.com/s2attention/s2c/ir"
)

func TestDump(t *testing.T) {
	files, _ := filepath.Glob("../../examples/*.s2")
	for _, f := range files {
		p, list := dsl.Load(f, dsl.Options{})
		if list.HasErrors() {
			t.Error(list)
			continue
		}
		m, list := lower.Module(p)
		if m == nil {
			t.Error(list)
			continue
		}
		if err := ir.VerifyModule(m); err != nil {
			t.Error(err)
		}
		t.Log("\n"+m.String())
	}
}
