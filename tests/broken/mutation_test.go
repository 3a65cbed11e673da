package broken

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mutation is a change to a PTX text. It names lines by what they say and by what
// comes before them, never by number or register, so that it survives small
// changes of the emitters; where it no longer fits, it fails.
type mutation struct {
	// path are regular expressions: each is looked for in the lines after the match
	// of the one before. The last one finds the line to edit.
	path []string
	edit edit
}

// edit changes the lines around lines[at].
type edit func(lines []string, at int) ([]string, error)

// at makes a mutation of the line at the end of a path.
func at(e edit, path ...string) mutation { return mutation{path, e} }

// find follows a path and returns the number of the line at its end.
func find(lines []string, path []string) (int, error) {
	from := 0
	for _, p := range path {
		n := slices.IndexFunc(lines[from:], regexp.MustCompile(p).MatchString)
		if n < 0 {
			return 0, fmt.Errorf("no line matches %q after line %d (path %q)", p, from, path)
		}
		from += n + 1
	}
	return from - 1, nil
}

// apply edits a text.
func (m mutation) apply(text string) (string, error) {
	lines := strings.Split(text, "\n")
	n, err := find(lines, m.path)
	if err != nil {
		return "", err
	}
	edited, err := m.edit(lines, n)
	if err != nil {
		return "", fmt.Errorf("%w, at line %d `%s`", err, n+1, strings.TrimSpace(lines[n]))
	}
	out := strings.Join(edited, "\n")
	if out == text {
		return "", fmt.Errorf("the edit changes nothing at line %d `%s`", n+1, strings.TrimSpace(lines[n]))
	}
	return out, nil
}

// applyAll applies mutations one after the other.
func applyAll(text string, list []mutation) (string, error) {
	for _, m := range list {
		var err error
		if text, err = m.apply(text); err != nil {
			return "", err
		}
	}
	return text, nil
}

// drop deletes the line.
func drop(lines []string, at int) ([]string, error) {
	return slices.Delete(slices.Clone(lines), at, at+1), nil
}

// dropTo deletes the lines up to, but not including, the next one that matches.
func dropTo(end string) edit {
	return func(lines []string, at int) ([]string, error) {
		n := slices.IndexFunc(lines[at+1:], regexp.MustCompile(end).MatchString)
		if n < 0 {
			return nil, fmt.Errorf("no line matches %q", end)
		}
		return slices.Delete(slices.Clone(lines), at, at+1+n), nil
	}
}

// sub replaces the first match of a pattern in the line.
func sub(pattern, with string) edit {
	re := regexp.MustCompile(pattern)
	return func(lines []string, at int) ([]string, error) {
		m := re.FindStringSubmatchIndex(lines[at])
		if m == nil {
			return nil, fmt.Errorf("%q is not in the line", pattern)
		}
		line := lines[at]
		out := slices.Clone(lines)
		out[at] = line[:m[0]] + string(re.ExpandString(nil, with, line, m)) + line[m[1]:]
		return out, nil
	}
}

// plus adds to the number that the pattern's group captures.
func plus(pattern string, delta int64) edit {
	re := regexp.MustCompile(pattern)
	return func(lines []string, at int) ([]string, error) {
		line := lines[at]
		m := re.FindStringSubmatchIndex(line)
		if m == nil {
			return nil, fmt.Errorf("%q is not in the line", pattern)
		}
		n, err := strconv.ParseInt(line[m[2]:m[3]], 10, 64)
		if err != nil {
			return nil, err
		}
		out := slices.Clone(lines)
		out[at] = fmt.Sprintf("%s%d%s", line[:m[2]], n+delta, line[m[3]:])
		return out, nil
	}
}

// shift adds to the offset of the line's first address.
func shift(delta int) edit {
	re := regexp.MustCompile(`\[(%\w+)(?:\+(\d+))?`)
	return func(lines []string, at int) ([]string, error) {
		m := re.FindStringSubmatch(lines[at])
		if m == nil {
			return nil, fmt.Errorf("there is no address in the line")
		}
		off, _ := strconv.Atoi(m[2])
		out := slices.Clone(lines)
		out[at] = strings.Replace(lines[at], m[0], fmt.Sprintf("[%s+%d", m[1], off+delta), 1)
		return out, nil
	}
}

// then makes two edits of one place.
func (e edit) then(f edit) edit {
	return func(lines []string, at int) ([]string, error) {
		lines, err := e(lines, at)
		if err != nil {
			return nil, err
		}
		return f(lines, at)
	}
}

// insert puts lines before this one.
func insert(text ...string) edit {
	return func(lines []string, at int) ([]string, error) {
		return slices.Insert(slices.Clone(lines), at, text...), nil
	}
}

// insertAfter puts lines behind this one.
func insertAfter(text ...string) edit {
	return func(lines []string, at int) ([]string, error) {
		return slices.Insert(slices.Clone(lines), at+1, text...), nil
	}
}

// move takes the lines from this one through the next that matches last, to before
// the line at the end of another path. Paths are followed in the text as it was.
func move(last string, path ...string) edit {
	return func(lines []string, at int) ([]string, error) {
		to, err := find(lines, path)
		if err != nil {
			return nil, err
		}
		n := slices.IndexFunc(lines[at:], regexp.MustCompile(last).MatchString)
		if n < 0 {
			return nil, fmt.Errorf("no line matches %q", last)
		}
		end := at + n + 1
		block := slices.Clone(lines[at:end])
		switch {
		case to <= at:
			return slices.Insert(slices.Delete(slices.Clone(lines), at, end), to, block...), nil
		case to >= end:
			return slices.Delete(slices.Insert(slices.Clone(lines), to, block...), at, end), nil
		}
		return nil, fmt.Errorf("line %d is inside the lines to move", to+1)
	}
}

// only puts an instruction under a guard: a condition on %tid.x, such as
// "setp.lt.u32 %s, %s, 32". The registers for it are declared beside it.
func only(condition string) edit {
	const tid, pass = "%only_tid", "%only_pass"
	return func(lines []string, at int) ([]string, error) {
		if strings.HasPrefix(strings.TrimSpace(lines[at]), "@") {
			return nil, fmt.Errorf("the instruction has a guard")
		}
		out := slices.Clone(lines)
		out[at] = "\t@" + pass + " " + strings.TrimSpace(lines[at])
		out = slices.Insert(out, at, "\tmov.u32 "+tid+", %tid.x;", "\t"+fmt.Sprintf(condition, pass, tid)+";")
		entry := slices.IndexFunc(out, func(s string) bool { return strings.HasPrefix(s, "{") })
		return slices.Insert(out, entry+1, "\t.reg .b32 "+tid+";", "\t.reg .pred "+pass+";"), nil
	}
}

func TestMutations(t *testing.T) {
	const text = "a:\n\tadd 1\n\tadd 20\nb:\n\tadd [%r3+40], 1\nc:"
	for _, c := range []struct {
		m    mutation
		want string // with "" an error
	}{
		{at(drop, "b:", "add"), "a:\n\tadd 1\n\tadd 20\nb:\nc:"},
		{at(dropTo("c:"), "add 20"), "a:\n\tadd 1\nc:"},
		{at(sub(`add (\d)`, "sub ${1}"), "a:", "20"), "a:\n\tadd 1\n\tsub 20\nb:\n\tadd [%r3+40], 1\nc:"},
		{at(plus(`add (\d+)`, -5), "add", "add"), "a:\n\tadd 1\n\tadd 15\nb:\n\tadd [%r3+40], 1\nc:"},
		{at(insert("x", "y"), "c:"), "a:\n\tadd 1\n\tadd 20\nb:\n\tadd [%r3+40], 1\nx\ny\nc:"},
		{at(move("20", "c:"), "add 1"), "a:\nb:\n\tadd [%r3+40], 1\n\tadd 1\n\tadd 20\nc:"},
		{at(move("20", "a:"), "add 1"), "\tadd 1\n\tadd 20\na:\nb:\n\tadd [%r3+40], 1\nc:"},
		{at(drop, "add", "add", "add", "add"), ""},
		{at(drop, "c:", "a:"), ""},
		{at(sub("add", "add"), "add"), ""},
		{at(sub("mul", "add"), "add"), ""},
		{at(plus(`(\d+)`, 0), "add"), ""},
		{at(dropTo("z"), "add"), ""},
		{at(move("b:", "add 20"), "add 1"), ""},
	} {
		got, err := c.m.apply(text)
		if (err == nil) != (c.want != "") || got != c.want {
			t.Errorf("%q: %q, %v; want %q", c.m.path, got, err, c.want)
		}
	}
}
