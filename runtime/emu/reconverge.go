package emu

import (
	"slices"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

// reconverge sets each branch's join: the immediate post-dominator of its
// block, where diverged lanes wait for each other. Exits are handled one after
// the other, the last one first, so that an early exit does not keep the lanes
// that stay from meeting again.
func (p *program) reconverge() {
	g := newFlow(p.code)
	done := make([]bool, len(g.start))
	ipdom := slices.Repeat([]int{-1}, len(g.start))
	for b := len(g.start) - 1; b >= 0; b-- {
		if !done[b] && g.ends[b] {
			g.postDominators(b, done, ipdom)
		}
	}
	for b := range g.start {
		last := &p.code[g.last(b)]
		if last.form.Kind == inst.Bra && ipdom[b] >= 0 {
			last.join = int32(g.start[ipdom[b]])
		}
	}
}

// flow is the control-flow graph over basic blocks.
type flow struct {
	start []int // first instruction of each block
	size  int
	succ  [][]int
	pred  [][]int
	ends  []bool
}

func newFlow(code []instr) *flow {
	leader := make([]bool, len(code)+1)
	leader[0] = true
	for i := range code {
		switch kind := code[i].form.Kind; {
		case kind == inst.Bra:
			leader[code[i].target] = true
			leader[i+1] = true
		case code[i].form.Effects&inst.Ends != 0:
			leader[i+1] = true
		}
	}
	g := &flow{size: len(code)}
	block := make([]int, len(code))
	for i := range code {
		if leader[i] {
			g.start = append(g.start, i)
		}
		block[i] = len(g.start) - 1
	}
	n := len(g.start)
	g.succ, g.pred, g.ends = make([][]int, n), make([][]int, n), make([]bool, n)
	link := func(from, to int) {
		g.succ[from] = append(g.succ[from], to)
		g.pred[to] = append(g.pred[to], from)
	}
	for b := range n {
		last := &code[g.last(b)]
		ends := last.form.Effects&inst.Ends != 0
		if last.form.Kind == inst.Bra {
			link(b, block[last.target])
			ends = last.guard < 0
		}
		if ends && last.guard < 0 {
			g.ends[b] = last.form.Kind != inst.Bra
		} else if b+1 < n {
			link(b, b+1)
		}
	}
	return g
}

func (g *flow) last(b int) int {
	if b+1 < len(g.start) {
		return g.start[b+1] - 1
	}
	return g.size - 1
}

// postDominators computes the immediate post-dominators of the blocks that reach
// exit and are not done yet (Cooper, Harvey, Kennedy: A Simple, Fast Dominance Algorithm).
func (g *flow) postDominators(exit int, done []bool, ipdom []int) {
	order := g.reversePostOrder(exit, done)
	rank := make(map[int]int, len(order))
	for i, b := range order {
		rank[b] = i
	}
	ipdom[exit] = exit
	for changed := true; changed; {
		changed = false
		for _, b := range order[1:] {
			best := -1
			for _, s := range g.succ[b] {
				if _, here := rank[s]; !here || ipdom[s] < 0 {
					continue
				}
				for x := s; best >= 0 && x != best; {
					if rank[x] > rank[best] {
						x = ipdom[x]
					} else {
						best = ipdom[best]
					}
				}
				if best < 0 {
					best = s
				}
			}
			if ipdom[b] != best {
				ipdom[b], changed = best, true
			}
		}
	}
	ipdom[exit] = -1
	for _, b := range order {
		done[b] = true
	}
}

// reversePostOrder walks predecessors from exit.
func (g *flow) reversePostOrder(exit int, done []bool) []int {
	seen := map[int]bool{exit: true}
	next := map[int]int{} // of the predecessors of each block
	stack, post := []int{exit}, []int(nil)
	for len(stack) > 0 {
		top := stack[len(stack)-1]
		if next[top] == len(g.pred[top]) {
			post, stack = append(post, top), stack[:len(stack)-1]
			continue
		}
		b := g.pred[top][next[top]]
		if next[top]++; !seen[b] && !done[b] {
			seen[b] = true
			stack = append(stack, b)
		}
	}
	slices.Reverse(post)
	return post
}
