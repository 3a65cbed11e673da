package lsp

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestHalfTyped spoils good files as typing does, and asks everything of them.
func TestHalfTyped(t *testing.T) {
	paths, err := filepath.Glob("../../examples/*.s2")
	if err != nil || len(paths) < 10 {
		t.Fatal(paths, err)
	}
	texts := []string{namesFile, "x model m { heads", "( model { heads"}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(b))
	}
	pieces := append(strings.Fields(`( ) { } [ ] , : ; | & - -> .. /* */ // " 99999999999999999999 1e999`),
		"\n", "\r", "\x00", "é", "\U0001f600", " where(", " for rows { ", " if ", " then ", " else ", " layer ", " model ", " pattern ", " param ", " require ", " import ")
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom(texts).Draw(t, "text")
		for range rapid.IntRange(0, 4).Draw(t, "changes") {
			at := rapid.IntRange(0, len(text)).Draw(t, "at")
			end := min(len(text), at+rapid.IntRange(0, 60).Draw(t, "length"))
			switch rapid.IntRange(0, 3).Draw(t, "change") {
			case 0: // not typed yet
				text = text[:at]
			case 1:
				text = text[:at] + rapid.SampledFrom(pieces).Draw(t, "piece") + text[at:]
			case 2:
				text = text[:at] + text[end:]
			case 3: // pasted twice
				text = text[:end] + text[at:]
			}
		}
		s := newFiles()
		f := newFile(main, "/work/main.s2", 1, strings.ToValidUTF8(text, "?"))
		s.put(f)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		a := analyse(ctx, s, f)
		a.diagnostics()
		askAll(ctx, s, f, a, rapid.IntRange(0, len(f.src.Text)).Draw(t, "place"))
	})
}
