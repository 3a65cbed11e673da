package dsl

import "math"

// Inf stands for "no bound" in the fields of a [Set]; -Inf likewise.
const Inf = math.MaxInt64

// Set is the resolved pattern of one query head: a set of (query block i, key
// block j) pairs with i, j ≥ 0. Every integer in it is a constant: parameters
// and the head's number have been substituted. The causal restriction j ≤ i of
// a causal model is not part of the tree; it applies on top of it.
type Set interface{ isSet() }

type (
	// Band is LoDiff ≤ i − j ≤ HiDiff; both may be infinite. A window of L local
	// blocks in a causal model is Band{-Inf or 0, L-1}; dense is Band{-Inf, Inf}.
	Band struct{ LoDiff, HiDiff int64 }
	// Stride is j ≡ Phase (mod Step), Euclidean, Step ≥ 1: vertical stripes.
	Stride struct{ Step, Phase int64 }
	// Dilated is i − j ≡ Phase (mod Step), Euclidean, Step ≥ 1: relative stripes.
	Dilated struct{ Step, Phase int64 }
	// Columns is Lo ≤ j ≤ Hi.
	Columns struct{ Lo, Hi int64 }
	// Rows is Lo ≤ i ≤ Hi.
	Rows struct{ Lo, Hi int64 }
	// Blocks is an explicit, irregular list of rectangles.
	Blocks struct{ List []Rect }
	// Where is an arbitrary predicate, defined for i, j < Limit blocks.
	Where struct {
		Limit int64
		Key   string // equal keys mean equal predicates
		Steps int    // that Holds takes for a pair
		Holds func(i, j int64) bool
	}
	// Empty holds nothing.
	Empty struct{}
	// Union is A ∪ B, Intersection A ∩ B, Difference A ∖ B.
	Union        struct{ A, B Set }
	Intersection struct{ A, B Set }
	Difference   struct{ A, B Set }
)

// Rect is ILo ≤ i ≤ IHi and JLo ≤ j ≤ JHi.
type Rect struct{ ILo, IHi, JLo, JHi int64 }

func (Band) isSet()         {}
func (Stride) isSet()       {}
func (Dilated) isSet()      {}
func (Columns) isSet()      {}
func (Rows) isSet()         {}
func (Blocks) isSet()       {}
func (Where) isSet()        {}
func (Empty) isSet()        {}
func (Union) isSet()        {}
func (Intersection) isSet() {}
func (Difference) isSet()   {}
