package ir

import (
	"os"
	"strings"
	"testing"
)

// The dumps in README.md are what the code prints.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	b := NewBuilder(true)
	head6 := localStride(b, 16, 8, -7)
	merged, err := Merge(head6, 2)
	if err != nil {
		t.Fatal(err)
	}
	early := b.Rect(0, 7, 0, Inf)
	want := []Pattern{
		localStride(b, 16, 8, -5),
		{Cells: b.Union(b.Intersection(b.Dilated(4, 0), b.Band(0, 63)), b.Band(0, 1))},
		{Cells: b.Union(early, b.Difference(localStride(b, 4, 4, 0).Cells, early))},
		{Cells: b.Intersection(b.Stride(4, 1), b.Dilated(6, 0))},
		merged,
	}
	parts := strings.Split(string(text), "```\n")
	if len(parts) != 2*len(want)+1 {
		t.Fatalf("%d dumps, want %d", len(parts)/2, len(want))
	}
	for n, p := range want {
		if got := parts[2*n+1]; got != p.String() {
			t.Errorf("dump %d is\n%sthe code prints\n%s", n, got, p)
		}
	}
}
