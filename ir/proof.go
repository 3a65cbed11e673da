package ir

import "fmt"

// Verdict is the answer to a question about a layer.
type Verdict struct {
	Holds bool
	// Head is the KV head of the counter-example where the property is one of
	// KV heads (KV efficiency), else −1.
	Head int
	// I and J are the first query block and key block, in the order of rows
	// then columns, for which the property fails. Meaningless when Holds.
	I, J int64
	// Err is set when the question passes the limits of the closed form and a
	// search of the first rows found no counter-example; Holds is false then.
	Err error
}

func (v Verdict) String() string {
	switch {
	case v.Err != nil:
		return "undecided: " + v.Err.Error()
	case v.Holds:
		return "holds"
	case v.Head >= 0:
		return fmt.Sprintf("fails for KV head %d at query block %d, key block %d", v.Head, v.I, v.J)
	}
	return fmt.Sprintf("fails at query block %d, key block %d", v.I, v.J)
}
