package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

const path = "../../../docs/instructions.md"

// TestFresh holds docs/instructions.md to the table; S2C_UPDATE=1 rewrites it.
func TestFresh(t *testing.T) {
	want := document(inst.Forms)
	if os.Getenv("S2C_UPDATE") == "1" {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; S2C_UPDATE=1 writes it", err)
	}
	if diff := cmp.Diff(string(got), want); diff != "" {
		t.Errorf("%s is stale; S2C_UPDATE=1 rewrites it (-file +table):\n%s", path, diff)
	}
}

// TestChapters finds every row of the table in exactly one chapter.
func TestChapters(t *testing.T) {
	for _, f := range inst.Forms {
		n := 0
		for _, c := range chapters {
			if within(f.Section, c.section) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s, section %s, is in %d chapters", f.Name, f.Section, n)
		}
	}
}

// TestFold multiplies the alternatives of each line out: they are its rows, no
// more and no fewer, and every row of the table is in one line.
func TestFold(t *testing.T) {
	lines, rows := fold(inst.Forms), 0
	for _, l := range lines {
		opcodes := []string{""}
		for i, alternatives := range l.parts {
			var next []string
			for _, o := range opcodes {
				for _, a := range alternatives {
					if i > 0 {
						a = "." + a
					}
					next = append(next, o+a)
				}
			}
			opcodes = next
		}
		have := map[string]bool{}
		for _, f := range l.forms {
			have[f.Opcode] = true
		}
		if len(opcodes) != len(l.forms) || len(have) != len(l.forms) {
			t.Errorf("%s stands for %d opcodes and holds %d rows", l.opcode(), len(opcodes), len(l.forms))
		}
		for _, o := range opcodes {
			if !have[o] {
				t.Errorf("%s stands for %s, which is no row of it", l.opcode(), o)
			}
		}
		rows += len(l.forms)
	}
	if rows != len(inst.Forms) {
		t.Errorf("%d rows in lines, %d in the table", rows, len(inst.Forms))
	}
	if len(lines) > len(inst.Forms)/2 {
		t.Errorf("%d lines for %d rows: nothing folds", len(lines), len(inst.Forms))
	}
}

// TestRow writes one line of each shape.
func TestRow(t *testing.T) {
	doc := document(inst.Forms)
	for _, want := range []string{
		"| `mov.u32` | `=d:b32, a:sreg` | u32 | 7.0 | sm_80 |  | 9.7.9.1 |",
		"| `wgmma.fence.sync.aligned` |  |  | 8.0 | sm_90a | aligned, warpgroup | 9.7.15.7.1 |",
		"+d:f32*n, a:b32*4, b:b64, scaleD:pred",
	} {
		if !strings.Contains(doc, want) {
			t.Errorf("the reference lacks %q", want)
		}
	}
	if strings.Contains(doc, "?") {
		t.Error("a type or class has no name")
	}
}
