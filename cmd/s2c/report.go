package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// report writes aligned text for people and keeps its first error.
type report struct {
	s   *streams
	err error
}

func newReport(s *streams) *report { return &report{s: s} }

func (r *report) print(format string, args ...any) {
	if r.err == nil {
		_, r.err = fmt.Fprintf(r.s.out, format, args...)
	}
}

// title is the first line.
func (r *report) title(format string, args ...any) {
	r.print("%s\n", r.s.style(styleBold, fmt.Sprintf(format, args...)))
}

// section starts a part of the report.
func (r *report) section(format string, args ...any) {
	r.print("\n%s\n", r.s.style(styleBold, fmt.Sprintf(format, args...)))
}

// labelWidth is the columns that a label takes.
const labelWidth = 18

// line is a label and what it stands for; further lines of the text are indented
// under the first.
func (r *report) line(label, format string, args ...any) {
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\n"+strings.Repeat(" ", labelWidth+3))
	gap := strings.Repeat(" ", max(1, labelWidth-utf8.RuneCountInString(label)))
	r.print("  %s%s %s\n", r.s.style(styleFaint, label), gap, text)
}

// table writes rows of equal length in columns, the first row as the heading.
// Columns whose body starts with a digit are aligned to the right.
func (r *report) table(rows [][]string) {
	if len(rows) == 0 {
		return
	}
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for n, cell := range row {
			width[n] = max(width[n], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range rows {
		var line strings.Builder
		for column, cell := range row {
			pad := strings.Repeat(" ", width[column]-utf8.RuneCountInString(cell))
			if numeric(rows[len(rows)-1][column]) {
				line.WriteString("  " + pad + cell)
			} else {
				line.WriteString("  " + cell + pad)
			}
		}
		text := strings.TrimRight(line.String(), " ")
		if n == 0 {
			text = r.s.style(styleFaint, text)
		}
		r.print("%s\n", text)
	}
}

func numeric(cell string) bool { return cell != "" && strings.Trim(cell, "0123456789.,+-×%") == "" }

// end returns the first error.
func (r *report) end() error { return r.err }
