// Package normal brings the text of a PTX module into a normal form: what stays
// the same when an emitter is rewritten and the kernel is not. Comments, blank
// lines and .reg lines go, registers are numbered by their first appearance,
// labels by where they are placed. Labels that nothing branches to go as well, and
// those at one place are one. Instructions, their order and everything else that
// an assembler sees stay.
package normal

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	// Registers as the printer of codegen/ptx writes them, and as operands of others.
	register = regexp.MustCompile(`%(p|h|rd|r|f)(\d+)\b`)
	label    = regexp.MustCompile(`^([\w$]+):$`)
	branch   = regexp.MustCompile(`\bbra(\.uni)? ([\w$]+);`)
)

// Form is the normal form of a module's text.
func Form(text string) string {
	var out strings.Builder
	var body []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if code, _, found := strings.Cut(line, "//"); found {
			line = strings.TrimSpace(code)
		}
		switch {
		case line == "" || strings.HasPrefix(line, ".reg "):
		case line == "}":
			writeBody(&out, body)
			body = nil
			out.WriteString("}\n")
		case line == "{" || len(body) > 0:
			body = append(body, line)
		default:
			out.WriteString(line + "\n")
		}
	}
	for _, line := range body { // no kernel's end
		out.WriteString(line + "\n")
	}
	return out.String()
}

// writeBody writes a kernel's lines, from its brace on.
func writeBody(out *strings.Builder, body []string) {
	names := labels(body)
	seen, count := map[string]string{}, map[string]int{}
	rename := func(reg string) string {
		if seen[reg] == "" {
			class := strings.TrimRight(reg, "0123456789")
			count[class]++
			seen[reg] = fmt.Sprintf("%s%d", class, count[class])
		}
		return seen[reg]
	}
	last := ""
	for _, line := range body {
		if m := label.FindStringSubmatch(line); m != nil {
			if name := names[m[1]]; name != "" && name != last {
				out.WriteString(name + ":\n")
				last = name
			}
			continue
		}
		line = register.ReplaceAllStringFunc(line, rename)
		if m := branch.FindStringSubmatchIndex(line); m != nil {
			if name := names[line[m[4]:m[5]]]; name != "" {
				line = line[:m[4]] + name + line[m[5]:]
			}
		}
		out.WriteString(line + "\n")
	}
}

// labels numbers the places that something branches to.
func labels(body []string) map[string]string {
	used := map[string]bool{}
	for _, line := range body {
		if m := branch.FindStringSubmatch(line); m != nil {
			used[m[2]] = true
		}
	}
	names, n, same := map[string]string{}, 0, false
	for _, line := range body {
		m := label.FindStringSubmatch(line)
		switch {
		case m == nil:
			same = false
		case used[m[1]]:
			if !same {
				n, same = n+1, true
			}
			names[m[1]] = fmt.Sprintf("L%d", n)
		}
	}
	return names
}
