package diag

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPositions(t *testing.T) {
	s := NewSource("a.s2", "αβγ\nx\r\n\nlast")
	for _, c := range []struct {
		offset    int
		line, col int
	}{{0, 1, 1}, {2, 1, 2}, {6, 1, 4}, {7, 2, 1}, {8, 2, 2}, {10, 3, 1}, {11, 4, 1}, {15, 4, 5}, {99, 4, 5}, {-1, 1, 1}} {
		if p := s.Pos(c.offset); p.Line != c.line || p.Col != c.col {
			t.Errorf("offset %d: %v", c.offset, p)
		}
	}
	if p := Whole(s).Pos(); p.String() != "a.s2" {
		t.Error(p)
	}
	if text := (Span{s, 7, 8}).Text(); text != "x" {
		t.Errorf("%q", text)
	}
}

func TestCarets(t *testing.T) {
	long := strings.Repeat("a", 300) + "HERE" + strings.Repeat("b", 300)
	for _, c := range []struct {
		text, mark string
		want       string
	}{
		{"param x = 1", "x", " 1 | param x = 1\n   |       ^\n"},
		{"\tx\ty", "y", " 1 |  x y\n   |    ^\n"},
		{"größe = größer", "größer", " 1 | größe = größer\n   |         ^^^^^^\n"},
		{"x = \x1b[31m", "\x1b", " 1 | x = ·[31m\n   |     ^\n"},
		{"two\nlines here", "o\nlines", " 1 | two\n   |   ^\n"},
		{long, "HERE", " 1 | …" + strings.Repeat("a", 60) + "HERE" + strings.Repeat("b", 56) + "…\n   | " + strings.Repeat(" ", 61) + "^^^^\n"},
	} {
		s := NewSource("f", c.text)
		at := strings.Index(c.text, c.mark)
		if strings.Count(c.text, c.mark) > 1 {
			at = strings.LastIndex(c.text, c.mark)
		}
		d := New(Syntax, Span{s, at, at + len(c.mark)}, "m")
		_, got, _ := strings.Cut(Text(List{d}, false), "\n")
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q\n%s", c.text, diff)
		}
	}
}

func TestRelatedAndHint(t *testing.T) {
	s := NewSource("f", "a a")
	d := New(Duplicate, Span{s, 2, 3}, "twice").WithRelated(Span{s, 0, 1}, "first %s", "here").WithHint("keep %d", 1)
	want := "f:1:3: error[S2C0202]: twice\n 1 | a a\n   |   ^\nf:1:1: note: first here\n 1 | a a\n   | ^\n  hint: keep 1\n"
	if diff := cmp.Diff(want, Text(List{d}, false)); diff != "" {
		t.Error(diff)
	}
	if got := Warn(UnusedRule, Whole(s), "w").Error(); got != "f: warning[S2C0454]: w" {
		t.Error(got)
	}
	if got := New(NoModel, Span{}, "no place").Error(); got != "error[S2C0401]: no place" {
		t.Error(got)
	}
}

func TestBag(t *testing.T) {
	s := NewSource("f", strings.Repeat("x", 500))
	var b Bag
	for n := range 300 {
		for range 2 { // the second time is a duplicate
			b.Add(New(Syntax, Span{s, 299 - n, 300 - n}, "%d", n))
		}
	}
	l := b.List()
	if len(l) != MaxErrors+1 || l[len(l)-1].Code != TooMany || l[0].Span.Start > l[1].Span.Start {
		t.Errorf("%d, last %v", len(l), l[len(l)-1])
	}
	if l[len(l)-1].Message != "200 more errors and warnings are not shown" {
		t.Error(l[len(l)-1].Message)
	}
	var warnings Bag
	warnings.Add(Warn(UnusedRule, Span{s, 0, 1}, "w"))
	if warnings.Failed() || warnings.List().Err() != nil || !b.Failed() {
		t.Error("a warning is no failure")
	}
	err := fmt.Errorf("wrapped: %w", l.Err())
	var back List
	if !errors.As(err, &back) || len(back) != len(l) {
		t.Error("the list is lost in wrapping")
	}
}

// TestTable holds the table to the constants of codes.go.
func TestTable(t *testing.T) {
	seen := map[Code]bool{}
	last := Code("")
	for _, i := range Table() {
		if !regexp.MustCompile(`^S2C\d{4}$`).MatchString(string(i.Code)) || i.Code <= last {
			t.Errorf("%s after %s", i.Code, last)
		}
		last = i.Code
		seen[i.Code] = true
		if i.Example == "" {
			t.Errorf("%s has no example", i.Code)
		}
	}
	for _, c := range allCodes(t) {
		if !seen[c] {
			t.Errorf("%s is not documented", c)
		}
	}
}
