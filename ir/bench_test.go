package ir

import (
	"slices"
	"testing"

	"github.com/s2attention/s2c/dtype"
)

// localStride is DKernel's causal pattern: L local blocks and stripes.
func localStride(b *Builder, local, stride, phase int64) Pattern {
	return Pattern{Cells: b.Union(b.Band(0, local-1), b.Stride(stride, phase))}
}

// phi3 is the sparse layer of Phi-3-small as released.
func phi3() (Layer, Shape) {
	var l Layer
	b := NewBuilder(true)
	for h := range int64(32) {
		l.Heads = append(l.Heads, localStride(b, 16, 8, -(h+1)))
	}
	return l, Shape{Heads: 32, KVHeads: 8, HeadDim: 128, Block: 64, DType: dtype.BF16, Causal: true, Scale: 1.0 / 128}
}

func BenchmarkBuild(b *testing.B) {
	for b.Loop() {
		phi3()
	}
}

func BenchmarkMerge(b *testing.B) {
	l, _ := phi3()
	for b.Loop() {
		if _, err := Merge(l.Heads[0], 2); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkProofs(b *testing.B) {
	l, s := phi3()
	for b.Loop() {
		_, empty, _ := EmptyRow(l)
		if !Coverage(l, s).Holds || !KVEfficient(l, s).Holds || empty {
			b.Fatal("wrong")
		}
	}
}

func BenchmarkDensity(b *testing.B) {
	l, s := phi3()
	for b.Loop() {
		if _, err := Density(l, s, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkKVKept(b *testing.B) {
	l, s := phi3()
	for b.Loop() {
		if _, err := KVKept(l, s, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEqual(b *testing.B) {
	l, _ := phi3()
	twin := Pattern{Cells: slices.Clone(l.Heads[8].Cells)}
	slices.Reverse(twin.Cells)
	for b.Loop() {
		if Equal(l.Heads[0], l.Heads[1]) || !Equal(l.Heads[0], twin) {
			b.Fatal("wrong")
		}
	}
}
