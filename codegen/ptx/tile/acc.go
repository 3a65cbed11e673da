package tile

import "github.com/s2attention/s2c/codegen/ptx"

// Axis is one of an accumulator's two.
type Axis int

const (
	Row    Axis = iota // from row to row
	Column             // from column to column
)

// Acc is a warp's 16 rows of a product in fp32, a fragment for each eight columns:
// of a fragment a lane holds two neighbours of its first row, then two of the row
// eight below (mma.m16n8k16, PTX ISA 9.0 §9.7.14.5.8; a warp's quarter of a wgmma
// accumulator, §9.7.15.5.1.1).
type Acc struct {
	*Warp
	// Query is the axis along which the query changes: Row for Q Kᵀ, Column for
	// K Qᵀ. A line is what belongs to one query: a row of the former.
	Query Axis
	frags [][]ptx.F32
}

// NewAcc makes the registers of so many columns.
func (w *Warp) NewAcc(columns int, query Axis) Acc {
	a := Acc{Warp: w, Query: query, frags: make([][]ptx.F32, columns/8)}
	for n := range a.frags {
		a.frags[n] = w.B.F32s(4)
	}
	return a
}

// Zeros makes an accumulator that holds zeros.
func (w *Warp) Zeros(columns int, query Axis) Acc {
	a := Acc{Warp: w, Query: query}
	for range columns / 8 {
		a.frags = append(a.frags, w.B.F32s(4))
		for _, x := range a.frags[len(a.frags)-1] {
			w.B.MovF32To(x, ptx.FImm(0))
		}
	}
	return a
}

// Fragment is the registers of the n-th eight columns.
func (a Acc) Fragment(n int) []ptx.F32 { return a.frags[n] }

// Columns is the accumulator's width.
func (a Acc) Columns() int { return 8 * len(a.frags) }

// Part is the accumulator of some of the columns.
func (a Acc) Part(first, columns int) Acc {
	a.frags = a.frags[first/8 : (first+columns)/8]
	return a
}

// Lines is how many queries a lane has elements of.
func (a Acc) Lines() int {
	if a.Query == Row {
		return 2
	}
	return a.Columns() / 4
}

// lineOf is the line of the i-th element of a fragment.
func (a Acc) lineOf(frag, i int) int {
	if a.Query == Row {
		return i / 2
	}
	return 2*frag + i%2
}

// Line is the lane's elements of its n-th query.
func (a Acc) Line(n int) []ptx.F32 {
	var line []ptx.F32
	for f, frag := range a.frags {
		for i, x := range frag {
			if a.lineOf(f, i) == n {
				line = append(line, x)
			}
		}
	}
	return line
}

// Peers are the distances of the lanes that hold more of a line.
func (a Acc) Peers() []int {
	if a.Query == Row {
		return []int{1, 2} // the four lanes of a row
	}
	return []int{4, 8, 16} // the eight of a column
}

// Max is the greatest element of a line, in all lanes that hold some of it.
func (a Acc) Max(n int) ptx.F32 {
	b, line := a.B, a.Line(n)
	most := b.MaxF32(line[0], line[1])
	for i := 2; i < len(line); i += 2 {
		most = b.MaxF32(most, b.MaxF32(line[i], line[i+1]))
	}
	for _, distance := range a.Peers() {
		most = b.MaxF32(most, a.exchange(most, distance))
	}
	return most
}

// Exp2 turns the elements x of a line into 2^(x · scale + offset) and adds them,
// this lane's alone, to sum.
func (a Acc) Exp2(n int, scale, offset, sum ptx.F32) {
	b := a.B
	for _, x := range a.Line(n) {
		b.FmaRnFtzF32To(x, x, scale, offset)
		b.Ex2ApproxFtzF32To(x, x)
		b.AddFtzF32To(sum, sum, x)
	}
}

// Scale multiplies each line by its factor.
func (a Acc) Scale(factors []ptx.F32) {
	for f, frag := range a.frags {
		for i, x := range frag {
			a.B.MulFtzF32To(x, x, factors[a.lineOf(f, i)])
		}
	}
}

// operand is the accumulator as an instruction takes it, fragments in order.
func (a Acc) operand() ptx.Vec {
	var v ptx.Vec
	for _, f := range a.frags {
		v = append(v, ptx.VecOf(f)...)
	}
	return v
}
