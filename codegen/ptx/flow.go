package ptx

// Structured control flow. A body is written where it runs; labels and inverted
// branches are made here. Names show in the text alone.

// Point is where a branch may lead from within a body: the head of a loop, the
// end of a block.
type Point struct {
	b     *Builder
	label Label
}

// Go leads there, If where p holds, Unless where it does not.
func (at Point) Go()           { at.b.branch(at.label) }
func (at Point) If(p Pred)     { at.b.If(p).branch(at.label) }
func (at Point) Unless(p Pred) { at.b.IfNot(p).branch(at.label) }

func (b *Builder) branch(to Label) { b.Emit("bra", to) }

// Block is a body that can be left for its end.
func (b *Builder) Block(name string, body func(end Point)) {
	end := Point{b, b.NewLabel(name)}
	body(end)
	b.Place(end.label)
}

// Loop is a body whose head can be gone back to. Control falls out of its end.
func (b *Builder) Loop(name string, body func(head Point)) {
	head := Point{b, b.NewLabel(name)}
	b.Place(head.label)
	body(head)
}

// Repeat runs a body until it says that it is done. The assembler keeps it as it is.
func (b *Builder) Repeat(name string, body func() (done Pred)) {
	b.NoUnroll()
	b.Loop(name, func(head Point) { head.Unless(body()) })
}

// Again runs a body for as long as it says so. The assembler keeps it as it is.
func (b *Builder) Again(name string, body func() (again Pred)) {
	b.NoUnroll()
	b.Loop(name, func(head Point) { head.If(body()) })
}

// Endless runs a body until it is left for the end. The assembler keeps it as it is.
func (b *Builder) Endless(name, end string, body func(end Point)) {
	b.NoUnroll()
	b.Block(end, func(end Point) {
		b.Loop(name, func(head Point) {
			body(end)
			head.Go()
		})
	})
}

// When runs a body where p holds, Unless where it does not; the end behind the body
// has a name.
func (b *Builder) When(p Pred, end string, body func()) {
	b.Block(end, func(end Point) {
		end.Unless(p)
		body()
	})
}

func (b *Builder) Unless(p Pred, end string, body func()) {
	b.Block(end, func(end Point) {
		end.If(p)
		body()
	})
}

// Choose runs one body where p holds, the other where it does not.
func (b *Builder) Choose(p Pred, name string, yes, no func()) {
	b.Block(name+"_chosen", func(end Point) {
		b.When(p, "not_"+name, func() {
			yes()
			end.Go()
		})
		no()
	})
}

// Cold runs a body where p holds, and keeps it out of the way: behind the kernel's
// end, so that the path without it is straight.
func (b *Builder) Cold(p Pred, name string, body func()) {
	away, back := b.NewLabel(name), b.NewLabel("not_"+name)
	b.If(p).branch(away)
	b.Place(back)
	hot := b.entry.Body
	b.entry.Body = nil
	b.Place(away)
	body()
	b.branch(back)
	b.cold = append(b.cold, b.entry.Body...)
	b.entry.Body = hot
}
