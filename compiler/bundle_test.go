package compiler

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s2attention/s2c/runtime"
)

// manifestOf is what a bundle says of a file, without its kernels.
func manifestOf(t *testing.T, source string) runtime.Manifest {
	t.Helper()
	u, list := Load("m.s2", text(source))
	if u == nil {
		t.Fatal(list)
	}
	b, err := u.Bundle(nil, source, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return b.Manifest
}

func TestManifest(t *testing.T) {
	source := modelText + "layer 0 -> dense\nlayer * -> window(2)\n"
	sum := sha256.Sum256([]byte(source))
	m := manifestOf(t, source)
	if m.Source != hex.EncodeToString(sum[:]) {
		t.Errorf("source %s is no hash of the text", m.Source)
	}
	if m.Model != "m" || m.Layers != 4 || len(m.Facts) != 2 {
		t.Errorf("manifest %+v", m)
	}
	if diff := cmp.Diff([]int{1, 2, 3}, m.Facts[1].Layers); diff != "" || !m.Facts[0].Dense || m.Facts[1].Dense {
		t.Errorf("facts %+v %s", m.Facts, diff)
	}
}

// Facts hold at every length, for the layer with all of its heads.
func TestFacts(t *testing.T) {
	for _, c := range []struct {
		pattern              string
		coverage, kv, tables bool
		maxBlocks            int64
		densities            []int64 // lengths
	}{
		{"window(2) | stride(4, phase: -h)", true, true, false, 0, factLengths},
		// 128 blocks of 16 are 2048 tokens, the first length of the densities.
		{"window(128)", false, true, false, 0, factLengths},
		{"window(1) | dilated(200)", false, false, false, 0, factLengths},
		{"head 0: window(1) | blocks { (5, 1) }, head *: window(1)", false, false, true, 0, factLengths},
		{"head 0..2: window(1), head 3: window(1) | blocks { (5, 1) }", false, false, true, 0, factLengths},
		{"window(1) | where(j <= i, max: 8192)", true, true, true, 512, factLengths[:2]},
		{"window(1) | where(j <= i, max: 8176)", true, true, true, 511, factLengths[:1]},
		{"head 0: window(1) | where(j <= i, max: 2048), head *: window(1) | where(j <= i, max: 8192)", true, true, true, 128, factLengths[:1]},
	} {
		t.Run(c.pattern, func(t *testing.T) {
			f := manifestOf(t, fmt.Sprintf("%slayer * -> %s\n", modelText, c.pattern)).Facts[0]
			if f.Coverage != c.coverage || f.KVEfficient != c.kv || f.Tables != c.tables || f.MaxBlocks != c.maxBlocks {
				t.Errorf("facts %+v", f)
			}
			var lengths []int64
			for _, d := range f.Densities {
				lengths = append(lengths, d.Seq)
				if !(d.Value > 0 && d.Value <= 1) {
					t.Errorf("density %v at %d tokens", d.Value, d.Seq)
				}
			}
			if diff := cmp.Diff(c.densities, lengths); diff != "" {
				t.Errorf("lengths of the densities: %s", diff)
			}
		})
	}
	// 128 blocks of 16: the rows of a window of 64 blocks, over all pairs.
	f := manifestOf(t, modelText+"layer * -> window(64)\n").Facts[0]
	pairs := 0.0
	for row := range 2048 {
		pairs += float64(row + 1 - max(0, row/16-63)*16)
	}
	if want := pairs / (2048 * 2049 / 2); math.Abs(f.Densities[0].Value-want) > 1e-12 {
		t.Errorf("density %v at 2048 tokens, want %v", f.Densities[0].Value, want)
	}
}
