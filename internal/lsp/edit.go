package lsp

import (
	"errors"

	protocol "github.com/tliron/glsp/protocol_3_16"
)

// changed is a text after the changes that an editor reports, each of which
// counts in the text that the one before it left.
func changed(text string, changes []any) (string, error) {
	for _, c := range changes {
		switch c := c.(type) {
		case protocol.TextDocumentContentChangeEventWhole:
			text = c.Text
		case protocol.TextDocumentContentChangeEvent:
			l := newLines(text)
			start, end := l.offset(c.Range.Start), l.offset(c.Range.End)
			text = text[:min(start, end)] + c.Text + text[max(start, end):]
		default:
			return text, errors.New("a change that is neither of a range nor of the whole text")
		}
	}
	return text, nil
}

// difference is the change that makes one text of another: what lies between
// their common lines at both ends. It is empty where they are equal.
func difference(f *file, after string) []protocol.TextEdit {
	before := f.src.Text
	if before == after {
		return []protocol.TextEdit{}
	}
	start := 0
	for start < len(before) && start < len(after) && before[start] == after[start] {
		start++
	}
	for start > 0 && before[start-1] != '\n' {
		start--
	}
	tail := 0
	for tail < len(before)-start && tail < len(after)-start && before[len(before)-1-tail] == after[len(after)-1-tail] {
		tail++
	}
	for tail > 0 && (len(before)-tail == 0 || before[len(before)-tail-1] != '\n') {
		tail--
	}
	return []protocol.TextEdit{{
		Range: f.lines().rangeOf(start, len(before)-tail), NewText: after[start : len(after)-tail],
	}}
}
