package target

import (
	"fmt"
	"slices"
	"strings"
)

// Version is a PTX ISA version, major·10 + minor.
type Version int

func (v Version) String() string { return fmt.Sprintf("%d.%d", v/10, v%10) }

// versions is the PTX version that introduced each target (PTX ISA 9.0 §11.1.2).
var versions = map[Target]Version{
	SM80: 70, {Major: 8, Minor: 6}: 71, {Major: 8, Minor: 7}: 74, {Major: 8, Minor: 9}: 78,
	{Major: 9}: 78, SM90a: 80,
	{Major: 10}: 86, {Major: 10, Rule: Chip}: 86, {Major: 10, Rule: Family}: 88,
	{Major: 12}: 87, {Major: 12, Rule: Chip}: 87, {Major: 12, Rule: Family}: 88,
}

// PTX is the lowest .version that knows a target, 0 for one that is not listed.
func (t Target) PTX() Version { return versions[t] }

// Set is a set of targets, as the notes of an instruction state it.
type Set struct {
	since Target   // every target that is at least this one; none if zero
	only  []Target // and those that have the features of one of these
}

// Since is every target from a portable one on, whatever its rule.
func Since(t Target) Set { return Set{since: t} }

// Only is the targets that have the features of these. What a family has, its
// later chips have as well; what a chip has, it has alone.
func Only(targets ...Target) Set { return Set{only: targets} }

// Has is whether a target is in the set.
func (s Set) Has(t Target) bool {
	if s.since != (Target{}) && (t.Major > s.since.Major || t.Major == s.since.Major && t.Minor >= s.since.Minor) {
		return true
	}
	return slices.ContainsFunc(s.only, func(o Target) bool {
		return o == t || o.Rule == Family && t.Rule != Portable && o.RunsOn(t.Major, t.Minor)
	})
}

// Equal is whether two sets are stated alike.
func (s Set) Equal(u Set) bool { return s.since == u.since && slices.Equal(s.only, u.only) }

// String names the first target of the set and those that it is only for.
func (s Set) String() string {
	var names []string
	if s.since != (Target{}) {
		names = append(names, s.since.String())
	}
	for _, t := range s.only {
		names = append(names, t.String())
	}
	return strings.Join(names, ", ")
}
