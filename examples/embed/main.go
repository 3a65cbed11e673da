// Command embed shows how a Go program uses compiled attention: it imports
// runtime (and launch, its tables) alone, loads a bundle and launches a layer, on a GPU or, where there
// is none, in the emulator.
//
//	go run ./cmd/s2c compile examples/sink-window.s2 --arch sm_80,sm_90a -o model.s2b
//	go run ./examples/embed -layer 0 -seq 512 model.s2b
package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime"
	_ "github.com/s2attention/s2c/runtime/cuda" // GPUs, where libcuda.so.1 is
	_ "github.com/s2attention/s2c/runtime/emu"  // the CPU, everywhere
)

func main() {
	device := flag.String("device", "auto", "auto, cuda or emu")
	layer := flag.Int("layer", 0, "layer of the model, counted from 0")
	seq := flag.Int("seq", 512, "tokens")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: embed [flags] BUNDLE")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(os.Stdout, flag.Arg(0), *device, *layer, *seq); err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

// run attends over a sequence of made-up tokens and prints a little of the result.
func run(w io.Writer, bundle, device string, layer, seq int) error {
	model, err := runtime.Open(bundle, device)
	if err != nil {
		return err
	}
	defer model.Close()
	shape := model.Bundle.Manifest.Shape
	if seq < 1 || seq > 1<<20 {
		return fmt.Errorf("%d tokens; 1 to %d are possible", seq, 1<<20)
	}
	// [batch 1, seq, heads, dim], as a transformer's projections leave it.
	q := waves(shape.DType, seq*shape.Heads*shape.HeadDim, 0.37)
	k := waves(shape.DType, seq*shape.KVHeads*shape.HeadDim, 0.61)
	v := waves(shape.DType, seq*shape.KVHeads*shape.HeadDim, 0.83)
	o, lse, err := attend(model, layer, seq, q, k, v)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s, layer %d, %d tokens on %s\n", model.Bundle.Manifest.Model, layer, seq, model.Device.Describe())
	last := o[len(o)-2*shape.HeadDim:] // last token, last head
	fmt.Fprintf(w, "out[%d][%d] begins %.4f %.4f %.4f, its log-sum-exp is %.4f\n", seq-1, shape.Heads-1,
		decode(shape.DType, last), decode(shape.DType, last[2:]), decode(shape.DType, last[4:]), lse[len(lse)-1])
	return nil
}

// attend computes one layer's attention of one sequence. All tensors are
// [seq, heads, dim] in the model's 16-bit type; the log-sum-exp is [heads, seq].
func attend(m *runtime.Model, layer, seq int, q, k, v []byte) (o []byte, lse []float32, err error) {
	attention, err := m.Layer(layer) // compiled for the device on first use
	if err != nil {
		return nil, nil, err
	}
	shape := m.Bundle.Manifest.Shape
	p, err := runtime.NewProblem(m.Device, launch.Forward, shape, runtime.Args{Batch: 1, QLen: seq, KLen: seq}, runtime.RowsFirst)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, p.Free()) }()
	if err := errors.Join(p.Put(launch.Q, q), p.Put(launch.K, k), p.Put(launch.V, v)); err != nil {
		return nil, nil, err
	}
	if err := p.Run(attention); err != nil {
		return nil, nil, err
	}
	o = make([]byte, p.Bytes(launch.O))
	raw := make([]byte, p.Bytes(launch.LSE))
	if err := errors.Join(p.Get(launch.O, o), p.Get(launch.LSE, raw)); err != nil {
		return nil, nil, err
	}
	for at := 0; at < len(raw); at += 4 {
		lse = append(lse, math.Float32frombits(binary.LittleEndian.Uint32(raw[at:])))
	}
	return o, lse, nil
}

// waves is n numbers between −1 and 1.
func waves(d runtime.DType, n int, step float64) []byte {
	out := make([]byte, 0, 2*n)
	for i := range n {
		out = binary.LittleEndian.AppendUint16(out, encode(d, math.Sin(step*float64(i))))
	}
	return out
}

// encode rounds a number between −1 and 1 to a 16-bit type.
func encode(d runtime.DType, x float64) uint16 {
	bits := math.Float32bits(float32(x))
	if d == runtime.BF16 {
		return uint16((bits + 0x7fff + bits>>16&1) >> 16)
	}
	// f16 has 10 bits of fraction, and its exponent begins 112 later.
	sign := uint16(bits >> 16 & 0x8000)
	if math.Abs(x) < 1.0/(1<<14) {
		return sign // no subnormal numbers here
	}
	return sign | uint16((bits&0x7fffffff-112<<23+0x0fff+bits>>13&1)>>13)
}

// decode reads a 16-bit number.
func decode(d runtime.DType, b []byte) float64 {
	bits := binary.LittleEndian.Uint16(b)
	if d == runtime.BF16 {
		return float64(math.Float32frombits(uint32(bits) << 16))
	}
	fraction, exponent := float64(bits&0x3ff), int(bits>>10&0x1f)
	x := math.Ldexp(1024+fraction, exponent-25)
	if exponent == 0 {
		x = math.Ldexp(fraction, -24)
	}
	if bits&0x8000 != 0 {
		x = -x
	}
	return x
}
