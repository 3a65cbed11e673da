package dsl

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s2attention/s2c/diag"
)

// seed adds the examples and the documented errors.
func seed(f *testing.F) {
	for _, file := range examples(f) {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, info := range diag.Table() {
		if len(info.Example) < 1<<12 {
			f.Add([]byte(info.Example))
		}
	}
	for _, text := range append(fenced(readDoc(f), "s2"), fenced(readDoc(f), "s2-part")...) {
		f.Add([]byte(text))
	}
}

// FuzzParse demands of any input that it is parsed or refused without a panic,
// and that what parses is formatted without a change of meaning.
func FuzzParse(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		var bag diag.Bag
		u := parse(diag.NewSource("t.s2", string(text)), &bag)
		list := bag.List()
		diag.Text(list, false)
		if _, err := json.Marshal(list); err != nil {
			t.Fatal(err)
		}
		if list.HasErrors() {
			return
		}
		once := mustFormat(t, string(text))
		if d := cmp.Diff(outline(u), parsed(t, once)); d != "" {
			t.Fatalf("formatting changed the meaning:\n%s", d)
		}
		if twice := mustFormat(t, once); twice != once {
			t.Fatalf("not idempotent:\n%q\n%q", once, twice)
		}
	})
}

// FuzzCheck demands of any file that it is checked without a panic, and that
// the two readings of a good one agree.
func FuzzCheck(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		p, list := loadText(string(text), nil)
		if (p == nil) != list.HasErrors() {
			t.Fatalf("program %v\n%s", p != nil, diag.Text(list, false))
		}
		for _, d := range list {
			if _, known := diag.Lookup(d.Code); !known {
				t.Fatalf("no documentation of %s", d.Code)
			}
		}
		if p == nil || p.Model.Heads > 8 {
			return
		}
		sameMeaning(t, p, 12)
	})
}

// FuzzOutline demands of any text, as far as it is typed, that it has an outline
// and that there is an answer to what may come next.
func FuzzOutline(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		for cut := range 3 {
			half := string(text[:len(text)*(cut+1)/3])
			src := diag.NewSource("t.s2", half)
			o := NewOutline(src)
			end := 0
			for _, w := range o.Words {
				if w.Span.Start < end || w.Span.End <= w.Span.Start || w.Span.End > len(half) || w.Decl >= len(o.Declarations) {
					t.Fatalf("%q: %+v behind %d", half, w, end)
				}
				end = w.Span.End
				if o.At(w.Span.Start).Span != w.Span {
					t.Fatalf("%q: %+v is not found", half, w)
				}
			}
			e := Expect(src, len(half))
			if e.Word.Start < 0 || e.Word.End > len(half) {
				t.Fatalf("%q: %+v", half, e)
			}
		}
	})
}
