package dsl

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/s2attention/s2c/diag"
)

// picked is a resolved selector: numbers lo, lo+step, … up to hi.
type picked []progression

type progression struct{ lo, hi, step int64 }

func (p picked) has(n int64) bool {
	for _, r := range p {
		if n >= r.lo && n <= r.hi && (n-r.lo)%r.step == 0 {
			return true
		}
	}
	return false
}

func (p picked) empty() bool {
	return !slices.ContainsFunc(p, func(r progression) bool { return r.lo <= r.hi })
}

// pick resolves a selector over count things. Numbers beyond count are an
// error, unless count was set by a define: then the file cannot know it.
func (c *checker) pick(s *selectExpr, count int64, what string, code diag.Code) (picked, bool) {
	if s == nil {
		return picked{{0, count - 1, 1}}, true
	}
	var out picked
	all := true
	for i := range s.items {
		p, ok := c.pickItem(&s.items[i], count, what, code)
		all = all && ok
		if ok {
			out = append(out, p)
		}
	}
	return out, all
}

// meantRange is the range that a difference of two numbers, such as 0-3, stands
// for elsewhere; "" where it is no such difference.
func meantRange(x *rangeExpr) string {
	e, ok := x.lo.(*binaryExpr)
	if !ok || x.ranged || e.op != "-" {
		return ""
	}
	lo, isInt := e.x.(*intLit)
	hi, alsoInt := e.y.(*intLit)
	if !isInt || !alsoInt || lo.v > hi.v {
		return ""
	}
	return fmt.Sprintf("%d..%d", lo.v, hi.v)
}

func (c *checker) pickItem(item *selectItem, count int64, what string, code diag.Code) (progression, bool) {
	last := count - 1
	switch item.word {
	case "*":
		return progression{0, last, 1}, true
	case "even":
		return progression{0, last, 2}, true
	case "odd":
		return progression{1, last, 2}, true
	case "every":
		step, from, ok := c.everyFrom(item)
		return progression{from, last, step}, ok
	}
	lo, hi, ok := c.rangeIn(&item.r, &env{}, last)
	if !ok {
		return progression{}, false
	}
	open := item.r.ranged && item.r.hi == nil && lo == count // picks nothing
	if lo >= 0 && (c.countDefined(what) || open || hi <= last && lo <= last) {
		return progression{lo, min(hi, last), 1}, true
	}
	bad := hi
	if lo < 0 || item.r.hi == nil {
		bad = lo
	}
	d := diag.New(code, item.span, "there is no %s %d", what, bad)
	if r := meantRange(&item.r); r != "" {
		d = d.WithHint("a range is written %s", r)
	} else {
		d = d.WithHint("there are %d; they are numbered 0 to %d", count, last)
	}
	c.bag.Add(d)
	return progression{}, false
}

// countDefined reports whether a define decides how many layers or heads there
// are, directly or through what their number is computed from.
func (c *checker) countDefined(what string) bool {
	if what == "layer" {
		return c.defined("layers", map[string]bool{})
	}
	return c.defined("heads", map[string]bool{}) || c.defined("kv_heads", map[string]bool{})
}

func (c *checker) defined(name string, seen map[string]bool) bool {
	if seen[name] {
		return false
	}
	seen[name] = true
	var value expr
	switch p, f := c.params[name], c.fields[name]; {
	case c.fixed[name], p != nil && p.overridden:
		return true
	case p != nil:
		value = p.value
	case f != nil && f.value.lo != nil:
		value = f.value.lo
	default:
		return false
	}
	found := false
	eachName(value, func(id string) { found = found || c.defined(id, seen) })
	return found
}

func (c *checker) everyFrom(item *selectItem) (step, from int64, ok bool) {
	step, ok = c.evalInt(item.every, &env{})
	if !ok {
		return 0, 0, false
	}
	if step < 1 || step > maxArg {
		c.errorf(diag.OutOfRange, item.every.at(), "`every` takes a number from 1 on, not %d", step)
		return 0, 0, false
	}
	if item.from != nil {
		if from, ok = c.evalInt(item.from, &env{}); !ok {
			return 0, 0, false
		}
		if from < 0 || from > maxArg {
			c.errorf(diag.OutOfRange, item.from.at(), "`from` takes a number from 0 on, not %d", from)
			return 0, 0, false
		}
	}
	return step, from, true
}

// layersNamed is how many layers a model has that does not say: enough that
// every rule applies to one.
func (c *checker) layersNamed() (int64, bool) {
	n := int64(1)
	for _, l := range c.layers {
		for i := range l.layers.items {
			item := &l.layers.items[i]
			switch item.word {
			case "*":
			case "even", "odd":
				n = max(n, 2)
			case "every":
				step, from, ok := c.everyFrom(item)
				if !ok {
					return 0, false
				}
				n = max(n, step+from)
			default:
				lo, hi, ok := c.rangeIn(&item.r, &env{}, -1)
				if !ok {
					return 0, false
				}
				n = max(n, lo+1, hi+1)
			}
		}
	}
	if n > maxLayers {
		c.bag.Add(diag.New(diag.BadField, c.model.span, "the rules name %d layers", n).
			WithHint("a model has at most %d layers", maxLayers))
		return 0, false
	}
	return n, true
}

// ruleSet is a layer declaration with its selectors resolved.
type ruleSet struct {
	def    *layerDef
	layers picked
	heads  []picked // by rule, over query or KV heads as the rule says
}

func (c *checker) ruleSets(m *Model) ([]ruleSet, bool) {
	all := true
	var out []ruleSet
	for _, l := range c.layers {
		rs := ruleSet{def: l}
		var ok bool
		rs.layers, ok = c.pick(l.layers, int64(m.Layers), "layer", diag.NoSuchLayer)
		all = all && ok
		for _, r := range l.rules {
			count, what := int64(m.TotalHeads), "query head"
			if r.kind == "kv_head" {
				count, what = int64(m.TotalKVHeads), "KV head"
			}
			p, ok := c.pick(r.heads, count, what, diag.NoSuchHead)
			all = all && ok
			rs.heads = append(rs.heads, p)
			r.idle = p.empty() || rs.layers.empty()
		}
		out = append(out, rs)
	}
	return out, all
}

// classify decides which rule holds for each head of each layer (the first one
// that names both) and groups layers that end up with the same patterns.
func (p *Program) classify() {
	c, m := p.c, &p.Model
	sets, ok := c.ruleSets(m)
	if !ok {
		c.units[0].broken = true // what has no rule then is no news
	}
	group := map[string]int{} // layer declarations that apply → index
	var members [][]int
	var applying [][]*ruleSet
	for n := range m.Layers {
		var key []byte
		var list []*ruleSet
		work := 1
		for i := range sets {
			work += len(sets[i].layers)
			if sets[i].layers.has(int64(n)) {
				key = append(strconv.AppendInt(key, int64(i), 10), ',')
				list = append(list, &sets[i])
			}
		}
		if !c.spend(1+work/8+len(list), &badExpr{c.model.place}) {
			return
		}
		g, ok := group[string(key)]
		if !ok {
			g = len(members)
			group[string(key)] = g
			members = append(members, nil)
			applying = append(applying, list)
		}
		members[g] = append(members[g], n)
	}
	p.layerOf = make([]int, m.Layers)
	byPattern := map[[sha256.Size]byte]int{}
	for g, layers := range members {
		rules := p.rulesOfHeads(applying[g], layers)
		if rules == nil {
			continue
		}
		p.addClass(layers, rules, byPattern)
	}
	p.unusedPatterns()
	p.unusedRules()
}

// unusedPatterns tries patterns of the main file that no rule uses, so that
// what is wrong in them is reported all the same.
func (p *Program) unusedPatterns() {
	for _, d := range p.c.units[0].patterns {
		needs := func(f formalDef) bool { return headNames[f.name] == "" && f.def == nil }
		if d.entered || slices.ContainsFunc(d.formals, needs) {
			continue
		}
		e := &nameExpr{place: place{d.span}, id: d.name, pattern: d}
		p.c.resolve(e, p.headEnv(0), &p.Model)
	}
}

// rulesOfHeads is the rule of each head of the slice, or nil after an error.
func (p *Program) rulesOfHeads(sets []*ruleSet, layers []int) []*ruleDef {
	c, m := p.c, &p.Model
	incomplete := c.units[0].broken // rules may be missing from the tree
	if len(sets) == 0 {
		if incomplete {
			return nil
		}
		d := diag.New(diag.LayerWithoutRule, c.fieldSpan("layers"), "no rule names %s", numbers("layer", layers))
		if len(layers) == m.Layers {
			d.Message = "no rule names any layer"
		}
		c.bag.Add(d.WithHint("add a rule for them, such as: layer * -> dense"))
		return nil
	}
	rules := make([]*ruleDef, m.TotalHeads)
	var missing []int
	per := m.TotalHeads / m.TotalKVHeads
	for h := range m.TotalHeads {
		var work int
		rules[h], work = firstRule(sets, int64(h), int64(h/per))
		if !c.spend(1+work/8, sets[0].def.rules[0].body) {
			return nil
		}
		if rules[h] == nil {
			missing = append(missing, h)
			continue
		}
		rules[h].used = true
	}
	if len(missing) > 0 && incomplete {
		return nil
	}
	if len(missing) > 0 {
		c.bag.Add(diag.New(diag.HeadWithoutRule, sets[len(sets)-1].def.span, "no rule gives a pattern to %s of %s",
			numbers("head", missing), numbers("layer", layers)).
			WithHint("end the list with a rule for the rest: `, dense` or another pattern"))
		return nil
	}
	return rules[m.FirstHead : m.FirstHead+m.Heads]
}

// firstRule also says how many progressions it looked at.
func firstRule(sets []*ruleSet, head, kv int64) (rule *ruleDef, work int) {
	for _, s := range sets {
		for i, r := range s.def.rules {
			n := head
			if r.kind == "kv_head" {
				n = kv
			}
			work += len(s.heads[i])
			if s.heads[i].has(n) {
				return r, work
			}
		}
	}
	return nil, work
}

// addClass resolves the patterns of a group of layers, which reports what is
// wrong in them, and merges it with a group that has the same ones.
func (p *Program) addClass(layers []int, rules []*ruleDef, byPattern map[[sha256.Size]byte]int) {
	cl := class{layers: layers, rules: rules, dense: true}
	hash := sha256.New()
	var text []byte
	ok := true
	for h, r := range rules {
		s, fine := p.c.resolve(r.body, p.headEnv(h), &p.Model)
		if !fine {
			ok = false
			if p.c.steps >= maxSteps {
				return
			}
			continue
		}
		cl.dense = cl.dense && isDense(s, p.Model.Causal)
		cl.limit = leastLimit(cl.limit, limitOf(s))
		text = append(fingerprint(text[:0], s), '\n')
		hash.Write(text)
	}
	if !ok {
		return
	}
	key := [sha256.Size]byte(hash.Sum(nil))
	i, found := byPattern[key]
	if !found {
		i = len(p.classes)
		byPattern[key] = i
		p.classes = append(p.classes, cl)
	} else {
		p.classes[i].layers = mergeAscending(p.classes[i].layers, layers)
	}
	for _, n := range layers {
		p.layerOf[n] = i
	}
}

func mergeAscending(a, b []int) []int {
	out := make([]int, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0] < b[0] {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

func leastLimit(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// unusedRules warns of rules that other rules hide.
func (p *Program) unusedRules() {
	for _, l := range p.c.layers {
		for _, r := range l.rules {
			if !r.used && !r.idle && !p.c.bag.Failed() && !p.c.countDefined("head") && !p.c.countDefined("layer") {
				p.c.bag.Add(diag.Warn(diag.UnusedRule, r.span, "this rule never applies").
					WithHint("earlier rules take all its heads and layers; the first rule that fits wins"))
			}
		}
	}
}

// numbers writes layers 0, 2 and 5..7.
func numbers(what string, list []int) string {
	var parts []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		if len(parts) == 6 {
			parts = append(parts, fmt.Sprintf("%d more", len(list)-i))
			break
		}
		if j > i {
			parts = append(parts, fmt.Sprintf("%d..%d", list[i], list[j]))
		} else {
			parts = append(parts, fmt.Sprint(list[i]))
		}
		i = j + 1
	}
	if len(list) > 1 {
		what += "s"
	}
	if n := len(parts); n > 1 {
		return what + " " + strings.Join(parts[:n-1], ", ") + " and " + parts[n-1]
	}
	return what + " " + parts[0]
}
