// Package target holds what a PTX target is: the compute capability that code is
// made for, and which devices and instructions that opens. Compiler, runtime and
// emulator all ask it, and none of them reads a name.
package target

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Rule says which devices run code for a target beside the one it is named for
// (PTX ISA 9.0 §11.1.2).
type Rule uint8

const (
	// Portable code, as for sm_80, runs on every later device.
	Portable Rule = iota
	// Family code, as for sm_100f, runs on later devices of the same major version.
	Family
	// Chip code, as for sm_90a, runs on that compute capability alone.
	Chip
)

var suffixes = [...]string{Portable: "", Family: "f", Chip: "a"}

// Target is a PTX target. The zero value is none.
type Target struct {
	Major, Minor int // compute capability
	Rule         Rule
}

// The targets that there is code for.
var (
	SM80  = Target{Major: 8}
	SM90a = Target{Major: 9, Rule: Chip}
)

// Parse reads a name such as "sm_90a".
func Parse(name string) (Target, error) {
	rest, ok := strings.CutPrefix(name, "sm_")
	digits := strings.TrimRight(rest, "af")
	rule := slices.Index(suffixes[:], rest[len(digits):])
	n, err := strconv.ParseUint(digits, 10, 16)
	if !ok || rule < 0 || err != nil || n < 10 || len(digits) > 3 || digits[0] == '0' {
		return Target{}, fmt.Errorf("%q names no architecture; %v and %v do", name, SM80, SM90a)
	}
	return Target{Major: int(n / 10), Minor: int(n % 10), Rule: Rule(rule)}, nil
}

// String is the name that .target and --arch take.
func (t Target) String() string {
	return fmt.Sprintf("sm_%d%d%s", t.Major, t.Minor, suffixes[t.Rule])
}

// MarshalText and UnmarshalText make the name its form in files.
func (t Target) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

func (t *Target) UnmarshalText(text []byte) (err error) {
	*t, err = Parse(string(text))
	return err
}

// Compare orders targets by compute capability, the portable one first.
func Compare(a, b Target) int {
	return cmp.Or(cmp.Compare(a.Major, b.Major), cmp.Compare(a.Minor, b.Minor), cmp.Compare(a.Rule, b.Rule))
}

// RunsOn is whether a device of a compute capability executes code for t.
func (t Target) RunsOn(major, minor int) bool {
	switch {
	case t.Rule == Chip:
		return major == t.Major && minor == t.Minor
	case t.Rule == Family || major == t.Major:
		return major == t.Major && minor >= t.Minor
	}
	return major > t.Major
}

// Needs says which devices those are.
func (t Target) Needs() string {
	switch t.Rule {
	case Chip:
		return fmt.Sprintf("runs on compute capability %d.%d only", t.Major, t.Minor)
	case Family:
		return fmt.Sprintf("runs on compute capability %d.%d and later ones of %d.x", t.Major, t.Minor, t.Major)
	}
	return fmt.Sprintf("needs compute capability %d.%d or later", t.Major, t.Minor)
}

// Closer is whether t is the closer fit of two targets that run on one device:
// code for fewer devices before code for more, newer before older.
func (t Target) Closer(u Target) bool {
	return cmp.Or(cmp.Compare(t.Rule, u.Rule), Compare(t, u)) > 0
}

// Best is the index of the closest fit to a device among targets, −1 where none
// runs on it.
func Best(targets []Target, major, minor int) int {
	best := -1
	for n, t := range targets {
		if t.RunsOn(major, minor) && (best < 0 || t.Closer(targets[best])) {
			best = n
		}
	}
	return best
}
