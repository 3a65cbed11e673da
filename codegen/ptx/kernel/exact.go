package kernel

import (
	"math/bits"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/inst"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/ir/layout"
)

// The main loop multiplies tiles: a row's weights for keys that it does not
// attend are 0, and 0 times an infinity or a NaN is a NaN. It also takes weights
// by a rounded product of maximum and scale, which is far from the scores where
// these are huge; and weights rounded up may sum to more than 1, where values are
// the greatest there are. All that is rare, and shows when a row is done: Finish
// makes huge rows NaN, StageOutput sees what is not finite. When a warp has written
// all its rows, Redo computes those again that are not finite, one by one, each from
// its own keys alone, without a product that covers two rows. The main path pays a
// multiply-add for two elements of the output.

// hugeExponent is the exponent of a row, |maximum × scale| in base 2, from which on
// its rounding is more than 2⁴ of a weight. Below, f16 and the sums hold that, and
// as all weights of the row share it, it cancels.
const hugeExponent = 1 << 26

// redo is the state of a row that is computed again, a key at a time. A lane has
// a few neighbouring columns; of small head dimensions not every lane has any.
type redo struct {
	*Frame
	*Softmax
	b *ptx.Builder

	columns ptx.R64  // bytes from a row's start to the lane's columns
	has     ptx.Pred // the lane has columns at all

	query   []ptx.F32 // the lane's columns of the query
	most    ptx.F32   // the row's greatest score
	sum     ptx.F32   // of its weights
	inverse ptx.F32   // of the sum
	out     []ptx.F32 // the lane's columns of the output
	limit   ptx.R32   // first key that the row must not see
}

// Redo computes those of this warp's rows of the tile again whose output is not
// finite, and writes output and log-sum-exp over what is there.
func (f *Frame) Redo(s *Softmax, p *Pattern) {
	b := f.B
	b.Comment("rows that are not finite, computed again one by one")
	f.Sync() // other lanes have written them
	x := f.newRedo(s)
	row := b.Const32(0)
	b.Again("redo_row", func() ptx.Pred {
		b.Block("redo_next", func(next ptx.Point) { x.redoRow(b.AddS32(f.WarpPos, row), p, next) })
		b.AddS32To(row, row, ptx.Imm(1))
		return b.SetpLtS32(row, ptx.Imm(layout.WarpRows))
	})
}

// redoRow computes the row at a position again, if it has to be.
func (x *redo) redoRow(pos ptx.R32, p *Pattern, done ptx.Point) {
	b := x.b
	query, exists := x.Query(pos)
	done.Unless(exists)
	x.open(pos, query)
	done.Unless(x.spoilt())
	done.If(b.AndPred(x.explained(p), x.summed(query)))
	x.load(x.query, x.row("q", x.WarpHead, b.CvtS64S32(query)))
	x.findSum(p)
	x.findOutput(p)
	x.store(query)
}

func (f *Frame) newRedo(s *Softmax) *redo {
	b := f.B
	width := 2 // columns a lane: 32 lanes hold them all
	for width*inst.WarpSize < f.K.Shape.HeadDim {
		width *= 2
	}
	x := &redo{
		Frame: f, Softmax: s, b: b, query: b.F32s(width), out: b.F32s(width),
		most: b.NewF32(), sum: b.NewF32(), inverse: b.MovF32(ptx.FImm(0)), limit: b.NewR32(),
	}
	first := b.MulLoS32(f.Lane, ptx.Imm(width))
	x.has = b.SetpLtS32(first, ptx.Imm(f.K.Shape.HeadDim))
	x.columns = b.CvtU64U32(b.ShlB32(first, ptx.Imm(bits.TrailingZeros(uint(f.K.Shape.DType.Bytes())))))
	return x
}

// open turns to the row at a position, with the output that it has.
func (x *redo) open(pos, query ptx.R32) {
	b := x.b
	b.MovB32To(x.limit, x.Lengths.KLen)
	if x.K.Shape.Causal {
		b.MinS32To(x.limit, b.AddS32(pos, ptx.Imm(1)), x.Lengths.KLen)
	}
	x.load(x.out, x.row("o", x.WarpHead, b.CvtS64S32(query)))
}

// spoilt is whether the row's output holds something that is not finite.
func (x *redo) spoilt() ptx.Pred {
	b := x.b
	zero := b.MovF32(ptx.FImm(0))
	for _, o := range x.out {
		b.FmaRnFtzF32To(zero, o, ptx.FImm(0), zero)
	}
	return b.NotPred(x.everywhere(b.SetpEqF32(zero, ptx.FImm(0))))
}

// explained is whether the row's own values are what makes its output not finite:
// the output is right then, and most such rows need no more than a look at the
// values up to the first that is not finite. Sums of values show it: infinite or
// NaN where the output is, in the same columns.
func (x *redo) explained(p *Pattern) ptx.Pred {
	b := x.b
	sums, v := x.query, b.F32s(len(x.query)) // the query is not needed yet
	x.clear(sums)
	yes := b.MovPred(ptx.Imm(0))
	x.eachBlock(p, func(first ptx.R32) ptx.Pred {
		x.eachKey(first, func(kvHead, key ptx.R32) {
			x.load(v, x.row("v", kvHead, b.CvtU64U32(key)))
			for i := range v {
				b.FmaRnF32To(sums[i], v[i], ptx.FImm(0x1p-64), sums[i]) // finite values stay finite
			}
		})
		alike := b.MovPred(ptx.Imm(1))
		for i, o := range x.out {
			finite := b.SetpEqF32(b.MulF32(o, ptx.FImm(0)), ptx.FImm(0))
			nan := b.NotPred(b.OrPred(b.SetpEqF32(o, o), b.SetpEqF32(sums[i], sums[i])))
			b.AndPredTo(alike, alike, b.OrPred(finite, b.OrPred(nan, b.SetpEqF32(o, sums[i]))))
		}
		b.AndPredTo(yes, x.everywhere(alike), ptx.Imm(1))
		return yes
	})
	return yes
}

// summed is whether the row's log-sum-exp, where it is wanted, is finite: that of a
// huge row may not be, whatever its values hold.
func (x *redo) summed(query ptx.R32) ptx.Pred {
	b := x.b
	yes, lse := b.MovPred(ptx.Imm(1)), Param64(b, "lse")
	b.Unless(b.SetpEqU64(lse, ptx.Imm(0)), "redo_summed", func() {
		zero := b.MulF32(b.MovF32B32(b.LdGlobalB32(x.lseRow(lse)(query))), ptx.FImm(0))
		b.AndPredTo(yes, b.SetpEqF32(zero, ptx.FImm(0)), ptx.Imm(1))
	})
	return yes
}

// findSum finds the row's maximum and the sum of its weights.
func (x *redo) findSum(p *Pattern) {
	b := x.b
	b.MovF32To(x.most, x.unset())
	b.MovF32To(x.sum, ptx.FImm(0))
	x.eachBlock(p, func(first ptx.R32) ptx.Pred {
		x.eachKey(first, func(kvHead, key ptx.R32) {
			score := x.score(x.row("k", kvHead, b.CvtU64U32(key)))
			most := b.MaxF32(x.most, score)
			b.MulFtzF32To(x.sum, x.sum, x.exponential(x.most, most))
			b.AddFtzF32To(x.sum, x.sum, x.exponential(score, most))
			b.MovF32To(x.most, most)
		})
		return b.NotPred(b.SetpEqF32(x.sum, x.sum)) // no number, and will be none
	})
}

// findOutput sums the values by normalised weights: such sums are no greater than
// the values, whatever these are.
func (x *redo) findOutput(p *Pattern) {
	b := x.b
	v := b.F32s(len(x.out))
	x.clear(x.out)
	nothing := b.SetpEqF32(x.sum, ptx.FImm(0))
	b.MovF32To(x.inverse, b.SelpF32(ptx.FImm(0), b.RcpApproxFtzF32(x.sum), nothing))
	x.eachBlock(p, func(first ptx.R32) ptx.Pred {
		x.eachKey(first, func(kvHead, key ptx.R32) {
			score := x.score(x.row("k", kvHead, b.CvtU64U32(key)))
			weight := b.MulFtzF32(x.exponential(score, x.most), x.inverse)
			x.load(v, x.row("v", kvHead, b.CvtU64U32(key)))
			for i := range v {
				b.FmaRnF32To(x.out[i], weight, v[i], x.out[i])
			}
		})
		most := x.out[0]
		for _, o := range x.out[1:] {
			most = b.MaxF32(most, o) // a NaN only where both are
		}
		return x.everywhere(b.NotPred(b.SetpEqF32(most, most))) // nothing can change any more
	})
}

// everywhere is whether something holds in all lanes that have columns.
func (x *redo) everywhere(p ptx.Pred) ptx.Pred {
	return x.All(x.b.OrPred(p, x.b.NotPred(x.has)))
}

// eachBlock runs body for the key blocks that the row's query block attends, given
// each one's first key, until body says that it is enough.
func (x *redo) eachBlock(p *Pattern, body func(first ptx.R32) (enough ptx.Pred)) {
	b := x.b
	var mine *ptx.R32
	if Members(x.K, p) {
		block := x.warpBlock()
		bit := b.ShlB32(b.Const32(1), block)
		mine = &bit
	}
	cursor := NewCursor(b, p, x.Head, PatternRow(b, x.K, x.Tile), x.LastKey(), mine)
	b.Block("redo_blocks", func(end ptx.Point) {
		b.Repeat("redo_block", func() ptx.Pred {
			cursor.Next()
			end.If(b.SetpLtS32(cursor.Block, ptx.Imm(0)))
			return body(b.MulLoS32(cursor.Block, ptx.Imm(x.K.Shape.Block)))
		})
	})
}

// eachKey runs body for the keys of a block that the row sees.
func (x *redo) eachKey(first ptx.R32, body func(kvHead, key ptx.R32)) {
	b := x.b
	end := b.MinS32(b.AddS32(first, ptx.Imm(x.K.Shape.Block)), x.limit)
	key := b.MovB32(first)
	b.Endless("redo_key", "redo_keys", func(done ptx.Point) {
		done.If(b.SetpGeS32(key, end))
		body(b.DivU32(x.WarpHead, ptx.Imm(x.K.Shape.Group())), key)
		b.AddS32To(key, key, ptx.Imm(1))
	})
}

// row is the address of the lane's columns of a row of a tensor.
func (x *redo) row(name string, head ptx.R32, row ptx.R64) ptx.R64 {
	b := x.b
	return b.AddS64(b.MadLoS64(row, x.Stride(name+"_seq"), x.TensorBase(name, head)), x.columns)
}

// score is q · k.
func (x *redo) score(key ptx.R64) ptx.F32 {
	b := x.b
	k := b.F32s(len(x.query))
	x.load(k, key)
	dot := b.MulF32(x.query[0], k[0])
	for i := 1; i < len(k); i++ {
		b.FmaRnF32To(dot, x.query[i], k[i], dot)
	}
	x.Across(dot, []int{1, 2, 4, 8, 16}, b.AddF32To)
	return dot
}

// exponential is 2^((score − most) · scale): the difference first, so that its
// rounding does not grow with the scores.
func (x *redo) exponential(score, most ptx.F32) ptx.F32 {
	b := x.b
	return b.Ex2ApproxFtzF32(b.MulFtzF32(b.SubFtzF32(score, most), x.Scale))
}

// store writes the row. One that saw nothing has the sum 0 and zeros in out.
func (x *redo) store(query ptx.R32) {
	b := x.b
	var words []ptx.R32
	for i := 0; i < len(x.out); i += 2 {
		words = append(words, x.Pack(x.out[i], x.out[i+1], x.K.Shape.DType))
	}
	at, guarded := x.row("o", x.WarpHead, b.CvtS64S32(query)).At(0), b.If(x.has)
	switch len(words) {
	case 1:
		guarded.StGlobalB32(at, words[0])
	case 2:
		guarded.StGlobalV2B32(at, words)
	default:
		guarded.StGlobalV4B32(at, words)
	}

	lse := Param64(b, "lse")
	b.Unless(b.SetpEqU64(lse, ptx.Imm(0)), "redo_stored", func() {
		first := b.SetpEqS32(x.Lane, ptx.Imm(0))
		empty := b.SetpEqF32(x.sum, ptx.FImm(0))
		b.If(first).StGlobalF32(x.lseRow(lse)(query), x.logSum(x.most, x.sum, empty))
	})
}

// load reads the lane's columns as fp32; zeros where it has none.
func (x *redo) load(to []ptx.F32, from ptx.R64) {
	b := x.b
	words := b.R32s(len(to) / 2)
	for _, w := range words {
		b.MovB32To(w, ptx.Imm(0))
	}
	switch guarded := b.If(x.has); len(words) {
	case 1:
		guarded.LdGlobalB32To(words[0], from.At(0))
	case 2:
		guarded.LdGlobalV2B32(words, from.At(0))
	default:
		guarded.LdGlobalV4B32(words, from.At(0))
	}
	for i, w := range words {
		x.widen(to[2*i:2*i+2], w)
	}
}

// widen turns a pair of 16-bit numbers into fp32.
func (x *redo) widen(to []ptx.F32, pair ptx.R32) {
	b := x.b
	if x.K.Shape.DType == dtype.F16 {
		halves := b.R16s(2)
		b.MovB32Unpack(halves, pair)
		b.CvtF32F16To(to[0], halves[0])
		b.CvtF32F16To(to[1], halves[1])
		return
	}
	b.MovF32B32To(to[0], b.ShlB32(pair, ptx.Imm(16)))
	b.MovF32B32To(to[1], b.AndB32(pair, ptx.Imm(0xffff0000)))
}

func (x *redo) clear(f []ptx.F32) {
	for _, r := range f {
		x.b.MovF32To(r, ptx.FImm(0))
	}
}
