package runtime_test

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/runtime/emu"
	"github.com/s2attention/s2c/target"
)

// scaled is an operation that no package knows: o is q, each row times its sum.
// Two kernels do it, with the sums between them in a workspace.
const scaled launch.Op = "scaled"

// rowOf finds the row of a thread, 32 a thread block: batch entry r0, head r5, row
// r6 of it and r7 of all; and its address in a tensor, d0.
const rowOf = `
	.reg .pred %p; .reg .b32 %r<12>; .reg .f32 %f<4>; .reg .b64 %d<8>;
	mov.u32 %r0, %ctaid.x;
	mov.u32 %r1, %tid.x;
	ld.param.b32 %r2, [q_len];
	ld.param.b32 %r3, [heads];
	add.u32 %r4, %r2, 31;
	shr.u32 %r4, %r4, 5;
	rem.u32 %r5, %r0, %r3;
	div.u32 %r0, %r0, %r3;
	rem.u32 %r6, %r0, %r4;
	div.u32 %r0, %r0, %r4;
	shl.b32 %r6, %r6, 5;
	add.u32 %r6, %r6, %r1;
	setp.ge.u32 %p, %r6, %r2;
	@%p bra done;
	mad.lo.u32 %r7, %r0, %r3, %r5;
	mad.lo.u32 %r7, %r7, %r2, %r6;
	ld.param.b64 %d4, [sums];
	cvta.to.global.u64 %d4, %d4;
	mad.wide.u32 %d4, %r7, 4, %d4;
`

// addressIn leaves the address of the row in a tensor in d0.
const addressIn = `
	ld.param.b64 %d0, [X];
	cvta.to.global.u64 %d0, %d0;
	ld.param.b64 %d1, [X_batch];
	shl.b64 %d1, %d1, 1;
	cvt.u64.u32 %d2, %r0;
	mad.lo.s64 %d0, %d2, %d1, %d0;
	ld.param.b64 %d1, [X_head];
	shl.b64 %d1, %d1, 1;
	cvt.u64.u32 %d2, %r5;
	mad.lo.s64 %d0, %d2, %d1, %d0;
	ld.param.b64 %d1, [X_seq];
	shl.b64 %d1, %d1, 1;
	cvt.u64.u32 %d2, %r6;
	mad.lo.s64 %d0, %d2, %d1, %d0;
`

// pair takes the next two bf16 elements apart, into f1 and f2.
const pair = `
	ld.global.b32 %r9, [%d0];
	shl.b32 %r10, %r9, 16;
	and.b32 %r9, %r9, 0xffff0000;
	mov.b32 %f1, %r10;
	mov.b32 %f2, %r9;
`

var scaledPTX = ".version 7.0\n.target sm_80\n.address_size 64\n" +
	entry(sumParams, rowOf+of("q")+`
	mov.b32 %f0, 0f00000000;
	mov.b32 %r8, 0;
next:`+pair+`
	add.f32 %f0, %f0, %f1;
	add.f32 %f0, %f0, %f2;
	add.s64 %d0, %d0, 4;
	add.s32 %r8, %r8, 1;
	setp.lt.s32 %p, %r8, 4;
	@%p bra next;
	st.global.f32 [%d4], %f0;
done:
	ret;`, "sum") +
	entry(scaleParams, rowOf+of("o")+"mov.b64 %d5, %d0;\n"+of("q")+`
	ld.global.f32 %f0, [%d4];
	mov.b32 %r8, 0;
next:`+pair+`
	mul.f32 %f1, %f1, %f0;
	mul.f32 %f2, %f2, %f0;
	cvt.rn.bf16x2.f32 %r9, %f2, %f1;
	st.global.b32 [%d5], %r9;
	add.s64 %d0, %d0, 4;
	add.s64 %d5, %d5, 4;
	add.s32 %r8, %r8, 1;
	setp.lt.s32 %p, %r8, 4;
	@%p bra next;
done:
	ret;`, "scale")

func of(tensor string) string { return strings.ReplaceAll(addressIn, "X", tensor) }

// entry writes a kernel with its parameters as launch lists them.
func entry(params []launch.Param, body, name string) string {
	var list []string
	for _, p := range params {
		list = append(list, ".param ."+string(p.Type)+" "+p.Name)
	}
	return ".visible .entry " + name + "(" + strings.Join(list, ", ") + ")\n{" + body + "\n}\n"
}

// from makes a parameter that is not among those of the forward kernels.
func from(name string, typ launch.Type, kind launch.From, of string) launch.Param {
	return launch.Param{Name: name, Type: typ, Source: launch.Source{From: kind, Of: of}}
}

// forward are parameters that the forward kernels take, too.
func forward(names ...string) (list []launch.Param) {
	for _, name := range names {
		for _, p := range launch.ForwardParams {
			if p.Name == name {
				list = append(list, p)
			}
		}
	}
	return list
}

var (
	sumParams = launch.Place(
		[]launch.Param{from("sums", launch.U64, launch.Scratch, "sums"), from("heads", launch.U32, launch.Number, "heads")},
		forward("q_len", "q", "q_batch", "q_head", "q_seq"))
	scaleParams = launch.Place(forward("o", "q", "q_len", "q_batch", "q_head", "q_seq", "o_batch", "o_head", "o_seq"),
		[]launch.Param{from("heads", launch.U32, launch.Number, "heads"), from("sums", launch.U64, launch.Scratch, "sums")})
)

func scaledPlan() *launch.Plan {
	kernel := func(entry string, params []launch.Param) launch.Kernel {
		return launch.Kernel{Entry: entry, BlockThreads: 32, Grid: launch.GridRule{Over: launch.QueryTiles, Positions: 32, HeadTiles: 3}, Params: params}
	}
	return &launch.Plan{
		Op: scaled, Target: target.SM80, Layers: []int{0}, PTX: scaledPTX,
		Shape:      launch.Shape{Heads: 3, KVHeads: 3, HeadDim: 8, Block: 16, DType: dtype.BF16, Scale: 1},
		Workspaces: []launch.Workspace{{Name: "sums", Bytes: 4, Per: []launch.Count{launch.Batch, launch.Heads, launch.QLen}}},
		Kernels:    []launch.Kernel{kernel("sum", sumParams), kernel("scale", scaleParams)},
	}
}

// TestNewOperation registers an operation and launches it: a row for it and a
// plan are all that is new.
func TestNewOperation(t *testing.T) {
	launch.Operations[scaled] = launch.Operation{Reads: []launch.Role{launch.Q}, Writes: []launch.Role{launch.O}}
	t.Cleanup(func() { delete(launch.Operations, scaled) })
	const batch, heads, length, dim = 2, 3, 50, 8
	dev := emu.New(emu.Options{})
	defer dev.Close()
	a, err := runtime.Load(dev, scaledPlan())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Unload()
	alloc := func(bytes int64) runtime.Ptr {
		p, err := dev.Alloc(bytes)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	// Small whole numbers: rows, their sums and the products are exact in bf16.
	value := func(b, s, h, d int) float32 { return float32((b + 2*s + 3*h + s*d) % 4) }
	var in []byte // [batch, seq, heads, dim]
	for i := range batch * length * heads * dim {
		d, h, s, b := i%dim, i/dim%heads, i/dim/heads%length, i/dim/heads/length
		in = binary.LittleEndian.AppendUint16(in, uint16(math.Float32bits(value(b, s, h, d))>>16))
	}
	args := runtime.Args{Batch: batch, QLen: length, KLen: length, Tensors: runtime.Tensors{
		launch.Q: runtime.BSHD(alloc(int64(len(in))), length, heads, dim),
		launch.O: runtime.BHSD(alloc(int64(len(in))), heads, length, dim),
	}}
	if err := dev.Upload(args.Tensors[launch.Q].Ptr, in); err != nil {
		t.Fatal(err)
	}
	size, err := a.WorkspaceBytes(args)
	if want := int64((4*batch*heads*length + 255) / 256 * 256); err != nil || size != want {
		t.Fatalf("a workspace of %d bytes, %v; want %d", size, err, want)
	}
	for want, p := range map[string]runtime.Ptr{"the workspace is nil; it takes 1280 bytes": 0, "not 256-byte aligned": 0x1010} {
		args.Workspace = p
		if err := a.Launch(nil, args); !errors.Is(err, runtime.ErrArgs) || !strings.Contains(err.Error(), want) {
			t.Errorf("workspace at %#x: %v, want an ErrArgs with %q", p, err, want)
		}
	}
	args.Workspace = alloc(size)
	out := args.Tensors[launch.O].Ptr
	if err := errors.Join(dev.MarkOutput(out, int64(len(in))), a.Launch(nil, args), dev.CheckOutputs()); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(in))
	if err := dev.Download(got, out); err != nil {
		t.Fatal(err)
	}
	for i := range batch * length * heads * dim {
		d, s, h, b := i%dim, i/dim%length, i/dim/length%heads, i/dim/length/heads
		sum := float32(0)
		for n := range dim {
			sum += value(b, s, h, n)
		}
		if x := math.Float32frombits(uint32(binary.LittleEndian.Uint16(got[2*i:])) << 16); x != sum*value(b, s, h, d) {
			t.Fatalf("batch %d, head %d, row %d, element %d is %v, want %v", b, h, s, d, x, sum*value(b, s, h, d))
		}
	}
}
