package s2c_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"math"
	"os"
	"path/filepath"

	"github.com/s2attention/s2c"
	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/runtime/cuda"
	"github.com/s2attention/s2c/target"
)

// pattern is two layers: a window with stripes, and a dense one.
const pattern = `
model tiny { heads 4  kv_heads 2  head_dim 64  block 16  dtype bf16  causal  layers 2 }
layer 0 -> window(2) | stride(4, phase: -h)
layer 1 -> dense
`

// Ahead of time: one program compiles for every GPU that there may be and writes a
// bundle; another one, which needs package runtime alone, opens it and launches.
func Example_aheadOfTime() {
	dir, err := os.MkdirTemp("", "s2c")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "tiny.s2b")

	bundle, err := s2c.CompileText("tiny.s2", pattern, s2c.Options{Targets: []target.Target{target.SM80, target.SM90a}})
	if err != nil {
		log.Fatal(err)
	}
	if err := s2c.WriteBundle(path, bundle); err != nil {
		log.Fatal(err)
	}

	bundle, err = s2c.ReadBundle(path)
	if err != nil {
		log.Fatal(err)
	}
	dev, err := s2c.OpenDevice("emu")
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	model := bundle.On(dev)
	defer model.Close()
	what, err := s2c.Describe(model, s2c.Forward, 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(bundle.Manifest.Targets)
	fmt.Printf("%s: %d layers, %d heads; layer 0 reads %.2f of 8192 tokens' pairs\n",
		what.Model, what.Layers, what.Plan.Heads, what.Facts.Densities[1].Value)
	// Output:
	// [sm_80 sm_90a]
	// tiny: 2 layers, 4 heads; layer 0 reads 0.25 of 8192 tokens' pairs
}

// In process: a text is compiled for the device at hand and computed at once, on
// tensors that a Problem holds. Equal keys weigh all tokens alike, so that the last
// row of a dense layer is the mean of the values.
func Example_justInTime() {
	dev, err := s2c.OpenDevice("emu") // or "auto"
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	bundle, err := s2c.CompileText("tiny.s2", pattern, s2c.Options{Device: dev})
	if err != nil {
		log.Fatal(err)
	}
	model := bundle.On(dev)
	defer model.Close()
	attention, err := model.Layer(1)
	if err != nil {
		log.Fatal(err)
	}

	const tokens = 101
	shape := bundle.Manifest.Shape
	p, err := s2c.NewProblem(dev, s2c.Forward, shape, s2c.Args{Batch: 1, QLen: tokens, KLen: tokens}, s2c.RowsFirst)
	if err != nil {
		log.Fatal(err)
	}
	defer p.Free()
	value := make([]byte, 0, p.Bytes(s2c.V))
	for token := range tokens {
		for range shape.KVHeads * shape.HeadDim {
			value = binary.LittleEndian.AppendUint16(value, bf16(float32(token)))
		}
	}
	out := make([]byte, p.Bytes(s2c.O))
	if err := errors.Join(
		p.Put(s2c.Q, make([]byte, p.Bytes(s2c.Q))), p.Put(s2c.K, make([]byte, p.Bytes(s2c.K))), p.Put(s2c.V, value),
		p.Run(attention), p.Get(s2c.O, out)); err != nil {
		log.Fatal(err)
	}
	last := binary.LittleEndian.Uint16(out[len(out)-2:])
	fmt.Printf("the mean of 0 to 100 is %v\n", math.Float32frombits(uint32(last)<<16))
	// Output:
	// the mean of 0 to 100 is 50
}

// bf16 cuts a small whole number to 16 bits.
func bf16(x float32) uint16 { return uint16(math.Float32bits(x) >> 16) }

// hostProgram is a program that holds a CUDA context and a stream of its own; both
// are 0 where there is no GPU.
func hostProgram() (context, stream uintptr, end func()) {
	gpu, err := cuda.Open(0)
	if errors.Is(err, s2c.ErrNoDevice) {
		return 0, 0, func() {}
	}
	if err != nil {
		log.Fatal(err)
	}
	s, err := gpu.NewStream()
	if err != nil {
		log.Fatal(err)
	}
	return gpu.Context(), s.(*cuda.Stream).Handle(), func() { s.Close(); gpu.Close() }
}

// Embedding: the program holds a CUDA context and a stream, and memory of its own in
// that context. Launches go to its stream, in order with its other work. Where there
// is no GPU, the emulator takes their place.
func Example_embedding() {
	context, handle, end := hostProgram()
	defer end()
	var dev s2c.Device
	var stream s2c.Stream
	var err error
	if context != 0 {
		if dev, err = s2c.AdoptContext(context); err == nil {
			stream, err = s2c.AdoptStream(dev, handle)
		}
	} else if dev, err = s2c.OpenDevice("emu"); err == nil {
		stream, err = dev.NewStream()
	}
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	defer stream.Close()

	bundle, err := s2c.CompileText("tiny.s2", pattern, s2c.Options{Device: dev})
	if err != nil {
		log.Fatal(err)
	}
	model := bundle.On(dev)
	defer model.Close()
	attention, err := model.Layer(0) // loads: before a graph is captured
	if err != nil {
		log.Fatal(err)
	}

	// Memory of the host program, 16 bits an element: queries [batch, seq, heads, dim],
	// keys and values as a cache has them, [batch, heads, seq, dim].
	const batch, tokens = 1, 64
	shape := bundle.Manifest.Shape
	alloc := func(heads int) s2c.Ptr {
		p, err := dev.Alloc(int64(2 * batch * heads * tokens * shape.HeadDim))
		if err != nil {
			log.Fatal(err)
		}
		if err := dev.Upload(p, make([]byte, 2*batch*heads*tokens*shape.HeadDim)); err != nil {
			log.Fatal(err)
		}
		return p
	}
	q, k, v, o := alloc(shape.Heads), alloc(shape.KVHeads), alloc(shape.KVHeads), alloc(shape.Heads)
	defer func() {
		for _, p := range []s2c.Ptr{q, k, v, o} {
			dev.Free(p)
		}
	}()

	err = attention.Launch(stream, s2c.Args{Batch: batch, QLen: tokens, KLen: tokens, Tensors: s2c.Tensors{
		s2c.Q: s2c.BSHD(q, tokens, shape.Heads, shape.HeadDim), s2c.K: s2c.BHSD(k, shape.KVHeads, tokens, shape.HeadDim),
		s2c.V: s2c.BHSD(v, shape.KVHeads, tokens, shape.HeadDim), s2c.O: s2c.BSHD(o, tokens, shape.Heads, shape.HeadDim),
	}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("launched; waiting:", stream.Wait())
	// Output:
	// launched; waiting: <nil>
}

// Diagnostics have a code, a place, and often a hint.
func ExampleCompileText() {
	_, err := s2c.CompileText("typo.s2", "model m { heads 4  head_dim 64  causal }\nlayer * -> windw(4)\n", s2c.Options{})
	var list diag.List
	if errors.As(err, &list) {
		for _, d := range list {
			fmt.Println(d.Span.Pos(), d.Code, d.Message)
			fmt.Println(d.Hint)
		}
	}
	// Output:
	// typo.s2:2:12 S2C0204 there is no pattern or function `windw`
	// did you mean `window`?
}
