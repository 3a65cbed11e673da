package target_test

import (
	"cmp"
	"encoding/json"
	"testing"

	"github.com/s2attention/s2c/target"
)

func parse(t *testing.T, name string) target.Target {
	t.Helper()
	x, err := target.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestParse(t *testing.T) {
	for name, want := range map[string]target.Target{
		"sm_80": target.SM80, "sm_90a": target.SM90a, "sm_86": {Major: 8, Minor: 6},
		"sm_100f": {Major: 10, Rule: target.Family}, "sm_121a": {Major: 12, Minor: 1, Rule: target.Chip},
	} {
		if got := parse(t, name); got != want || got.String() != name {
			t.Errorf("%s is %+v (%v), want %+v", name, got, got, want)
		}
	}
	for _, name := range []string{"", "sm_", "sm_a", "80", "sm_9", "sm_080", "sm_1000", "sm_90x", "sm_90af", "sm_-90", "compute_90"} {
		if got, err := target.Parse(name); err == nil {
			t.Errorf("%q is %v", name, got)
		}
	}
}

func TestText(t *testing.T) {
	text, err := json.Marshal([]target.Target{target.SM80, target.SM90a})
	if err != nil || string(text) != `["sm_80","sm_90a"]` {
		t.Errorf("%s, %v", text, err)
	}
	var back []target.Target
	if err := json.Unmarshal(text, &back); err != nil || len(back) != 2 || back[1] != target.SM90a {
		t.Errorf("%v, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`["sm_x"]`), &back); err == nil {
		t.Error("sm_x passes")
	}
}

func TestRunsOn(t *testing.T) {
	for _, c := range []struct {
		target       string
		major, minor int
		want         bool
	}{
		{"sm_80", 7, 5, false}, {"sm_80", 8, 0, true}, {"sm_80", 8, 9, true}, {"sm_80", 9, 0, true}, {"sm_80", 12, 0, true},
		{"sm_86", 8, 0, false}, {"sm_90a", 9, 0, true}, {"sm_90a", 8, 9, false}, {"sm_90a", 10, 0, false}, {"sm_100a", 10, 0, true},
		{"sm_100f", 10, 0, true}, {"sm_100f", 10, 3, true}, {"sm_103f", 10, 0, false}, {"sm_100f", 12, 0, false}, {"sm_100f", 9, 0, false},
	} {
		if got := parse(t, c.target).RunsOn(c.major, c.minor); got != c.want {
			t.Errorf("%s on %d.%d: %v, want %v", c.target, c.major, c.minor, got, c.want)
		}
	}
}

func TestBest(t *testing.T) {
	var list []target.Target
	names := []string{"sm_80", "sm_100f", "sm_90a", "sm_86", "sm_103a"}
	for _, name := range names {
		list = append(list, parse(t, name))
	}
	for _, c := range []struct {
		major, minor int
		want         string
	}{
		{7, 5, ""}, {8, 0, "sm_80"}, {8, 9, "sm_86"}, {9, 0, "sm_90a"}, {10, 0, "sm_100f"}, {10, 3, "sm_103a"}, {12, 0, "sm_86"},
	} {
		got := ""
		if n := target.Best(list, c.major, c.minor); n >= 0 {
			got = names[n]
		}
		if got != c.want {
			t.Errorf("on %d.%d: %q, want %q", c.major, c.minor, got, c.want)
		}
	}
}

func TestCompare(t *testing.T) {
	order := []string{"sm_80", "sm_86", "sm_90", "sm_90a", "sm_100", "sm_100f", "sm_100a"}
	for i, a := range order {
		for j, b := range order {
			if got := target.Compare(parse(t, a), parse(t, b)); got != cmp.Compare(i, j) {
				t.Errorf("%s beside %s: %d", a, b, got)
			}
		}
	}
}

// An instruction of one chip is in no other: not in a later one, and not in the
// portable target of the same number.
func TestSet(t *testing.T) {
	family := target.Target{Major: 10, Rule: target.Family}
	for _, c := range []struct {
		set   target.Set
		text  string
		has   []string
		lacks []string
	}{
		{target.Since(target.SM80), "sm_80", []string{"sm_80", "sm_89", "sm_90a", "sm_100f"}, []string{"sm_75"}},
		{target.Since(target.Target{Major: 9}), "sm_90", []string{"sm_90", "sm_90a", "sm_120"}, []string{"sm_80", "sm_89"}},
		{target.Only(target.SM90a), "sm_90a", []string{"sm_90a"}, []string{"sm_90", "sm_100a", "sm_100", "sm_80"}},
		{target.Only(family), "sm_100f", []string{"sm_100f", "sm_100a", "sm_103f", "sm_103a"}, []string{"sm_100", "sm_90a", "sm_120f"}},
		{target.Only(target.SM90a, family), "sm_90a, sm_100f", []string{"sm_90a", "sm_100a"}, []string{"sm_120a"}},
		{target.Set{}, "", nil, []string{"sm_80", "sm_90a"}},
	} {
		if c.set.String() != c.text {
			t.Errorf("the set is %q, want %q", c.set, c.text)
		}
		for _, name := range c.has {
			if !c.set.Has(parse(t, name)) {
				t.Errorf("%v lacks %s", c.set, name)
			}
		}
		for _, name := range c.lacks {
			if c.set.Has(parse(t, name)) {
				t.Errorf("%v has %s", c.set, name)
			}
		}
	}
	if target.Since(target.SM80).Equal(target.Only(target.SM80)) || !target.Only(family).Equal(target.Only(family)) {
		t.Error("sets are compared by something else than what they state")
	}
}

func TestPTX(t *testing.T) {
	if target.SM80.PTX() != 70 || target.SM90a.PTX().String() != "8.0" || (target.Target{Major: 20}).PTX() != 0 {
		t.Error("wrong .version")
	}
}
