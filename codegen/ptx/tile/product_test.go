package tile_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/internal/ptxas"
	"github.com/s2attention/s2c/internal/ptxtest"
	"github.com/s2attention/s2c/internal/tensor"
	"github.com/s2attention/s2c/target"
)

var families = []struct {
	name   string
	target target.Target
	hopper bool
}{{"mma.sync", target.SM80, false}, {"wgmma", target.SM90a, true}}

func productShape(t target.Target) ptxtest.Shape {
	return ptxtest.Shape{
		Params: []ptx.Param{
			ptxtest.U64("a"), ptxtest.U64("b"), ptxtest.U64("c"), ptxtest.U32("m"), ptxtest.U32("n"), ptxtest.U32("k"),
		},
		Warps: 4, Shared: 2 * side * side * 2, Target: t,
	}
}

// TestProduct runs the worked example of docs/kernels.md against plain Go.
func TestProduct(t *testing.T) {
	const m, n, k = 100, 128, 192
	a, b := numbers(1, m*k), numbers(2, n*k)
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			kernel := ptxtest.Load(t, productShape(f.target), func(b *ptxtest.Builder) { emitProduct(b.Builder, f.hopper) })
			c := make([]uint16, m*n)
			kernel.Launch(t, (m+side-1)/side*n/side, ptxtest.In(a), ptxtest.In(b), ptxtest.Out(c), m, n, k)
			for i := range m {
				for j := range n {
					want := 0.0
					for l := range k {
						want += float64(tensor.BF16ToFloat32(a[i*k+l])) * float64(tensor.BF16ToFloat32(b[j*k+l]))
					}
					// Small integers: products and sums are exact, the result rounds once.
					if got := c[i*n+j]; got != tensor.BF16FromFloat32(float32(want)) {
						t.Fatalf("C[%d, %d] is %v, not %v", i, j, tensor.BF16ToFloat32(got), want)
					}
				}
			}
		})
	}
}

// TestProductAssembles holds that the assembler takes the worked example, without
// spills and without complaints.
func TestProductAssembles(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			text := ptxtest.Text(t, productShape(f.target), func(b *ptxtest.Builder) { emitProduct(b.Builder, f.hopper) })
			if r := ptxas.Assemble(t, text, f.target.String()); r.Spills() || len(r.Performance) > 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestProductIsShort holds that the example stays what it is for, and that the
// document shows it as it is.
func TestProductIsShort(t *testing.T) {
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "example_test.go", source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	first := file.Decls[1] // behind the imports
	if d, ok := first.(*ast.GenDecl); !ok || d.Tok != token.CONST {
		t.Fatalf("the example does not begin with its constants")
	}
	code := source[fset.Position(first.Pos()).Offset:]
	if lines := bytes.Count(code, []byte("\n")); lines >= 100 {
		t.Errorf("the example has %d lines", lines)
	}
	doc, err := os.ReadFile("../../../docs/kernels.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(doc, code) {
		t.Error("docs/kernels.md does not show codegen/ptx/tile/example_test.go from its first constant on")
	}
}

// numbers are small integers in bf16, exact in every product and sum.
func numbers(seed uint64, n int) []uint16 {
	r := rand.New(rand.NewPCG(seed, 0))
	list := make([]uint16, n)
	for i := range list {
		list[i] = tensor.BF16FromFloat32(float32(r.IntN(7) - 3))
	}
	return list
}
