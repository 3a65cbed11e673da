package tests

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/ir/pass"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/target"
)

// longModel has a head for each way in which a column's number is computed:
// windows, stripes, stripes that move with the row, ranges of rows with a
// period, far constants.
const longModel = `model long { heads 4  kv_heads 4  head_dim 16  block %d  %s  layers 1 }
layer * -> head 0: window(2) | columns(0, 3, 65536..65537),
           head 1: window(1) | stride(%d, phase: 5 - h) & (columns(0..70000) | columns(90000000..)),
           head 2: window(1) | dilated(%s, phase: 9),
           head 3: for rows { 0..7: dense; 8..1000000: window(3) | sink(2); else: window(1) | sink(2) | dilated(1048576, phase: 7) }
`

// TestGreatestLength runs the last queries of contexts up to the greatest that
// there is. All keys are one row of memory, at stride 0, so that a row's
// log-sum-exp counts the keys that it saw.
func TestGreatestLength(t *testing.T) {
	for _, mode := range []string{"causal", "bidirectional"} {
		// Where query blocks are merged, odd periods take more cells than there may be.
		for _, x := range []struct {
			block, stride int
			dilation      string
		}{{16, 4096, "1048576"}, {128, 4093, "1021, phase: 8) & stride(1019"}} {
			file := filepath.Join(t.TempDir(), "long.s2")
			if err := os.WriteFile(file, fmt.Appendf(nil, longModel, x.block, mode, x.stride, x.dilation), 0o600); err != nil {
				t.Fatal(err)
			}
			u, list := compiler.Load(file, dsl.Options{})
			if u == nil {
				t.Fatal(list)
			}
			for _, on := range compiler.Targets {
				for n, g := range geometries(t, u, on) {
					t.Run(fmt.Sprintf("%s %s block %d merge %d split %d kv %d", on, mode, x.block, g.Merge, g.Split, g.KVTile), func(t *testing.T) {
						t.Parallel()
						only := func(c layout.Candidate) bool {
							return c.Merge == g.Merge && c.Split == g.Split && c.KVTile == g.KVTile && c.Stages == g.Stages
						}
						c, err := u.Compile(&u.Module.Layers[0], on, compiler.Options{Pass: pass.Options{Only: only}})
						if err != nil {
							t.Fatal(err)
						}
						countKeys(t, u, c, runtime.MaxLen-n*37, 9+13*n)
					})
				}
			}
		}
	}
}

// geometries are the ways of cutting tiles that a target offers, one each.
func geometries(t *testing.T, u *compiler.Unit, on target.Target) []layout.Candidate {
	c, err := u.Compile(&u.Module.Layers[0], on, compiler.Options{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[[3]int]bool{}
	var list []layout.Candidate
	for _, g := range c.Layout.Choice {
		key := [3]int{g.Merge, g.Split, g.KVTile}
		if g.Cost > 0 && !seen[key] {
			seen[key] = true
			list = append(list, g)
		}
	}
	return list
}

// countKeys launches with queries of zeros and compares each row's count of keys.
func countKeys(t *testing.T, u *compiler.Unit, c *compiler.Compiled, kLen, qLen int) {
	t.Helper()
	s := u.Module.Shape
	dev := device()
	defer dev.Close()
	a, err := runtime.Load(dev, c.Plan)
	if err != nil {
		t.Fatal(err)
	}
	alloc := func(bytes int) runtime.Ptr {
		p, err := dev.Alloc(int64(bytes))
		if err == nil {
			err = dev.Upload(p, make([]byte, bytes))
		}
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	q := runtime.BHSD(alloc(2*s.Heads*qLen*s.HeadDim), s.Heads, qLen, s.HeadDim)
	o := runtime.BHSD(alloc(2*s.Heads*qLen*s.HeadDim), s.Heads, qLen, s.HeadDim)
	one := runtime.Tensor{Ptr: alloc(2 * s.HeadDim)}
	lse := alloc(4 * s.Heads * qLen)
	if err := a.Launch(nil, runtime.Args{Batch: 1, QLen: qLen, KLen: kLen, Tensors: runtime.Tensors{
		launch.Q: q, launch.K: one, launch.V: one, launch.O: o, launch.LSE: {Ptr: lse},
	}}); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4*s.Heads*qLen)
	if err := dev.Download(got, lse); err != nil {
		t.Fatal(err)
	}
	var cols []ir.Column
	for head, p := range u.Module.Layers[0].Heads {
		for r := range qLen {
			pos := int64(kLen - qLen + r)
			end := int64(kLen)
			if s.Causal {
				end = pos + 1
			}
			block := int64(s.Block)
			cols = p.AppendColumns(cols[:0], pos/block, (int64(kLen)+block-1)/block)
			want := int64(0)
			for _, col := range cols {
				want += max(0, min(block, end-col.J*block))
			}
			count := math.Exp(float64(math.Float32frombits(binary.LittleEndian.Uint32(got[4*(head*qLen+r):]))))
			if math.Abs(count-float64(want)) > 0.4 {
				t.Fatalf("head %d, query %d of %d: %.3f keys, want %d\n%s", head, r, kLen, count, want, c.Layout)
			}
		}
	}
}
