package tile

import "github.com/s2attention/s2c/codegen/ptx"

// Run is the columns that count in each of a lane's two rows, whichever axis the
// query is: From ≤ column < To, counted from the lane's first column. A row that
// has no column has its end at or below its beginning. Without From a run begins
// with the first column. The mask of a block of a causal pattern is one run a row;
// so is that of any set of keys in which q − k lies between two numbers.
type Run struct{ From, To []ptx.R32 }

// Keep gives the elements outside of the runs another value.
func (a Acc) Keep(run Run, other ptx.FImm) {
	b := a.B
	for f, frag := range a.frags {
		for i, x := range frag {
			column := ptx.Imm(8*f + i%2)
			keep := b.SetpGtS32(run.To[i/2], column)
			if run.From != nil {
				keep = b.AndPred(keep, b.SetpLeS32(run.From[i/2], column))
			}
			b.SelpF32To(x, x, other, keep)
		}
	}
}
