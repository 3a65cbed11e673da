package layout

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/target"
)

func tuningLayer(step int64) (ir.Layer, ir.Shape) {
	s := ir.Shape{Heads: 2, KVHeads: 1, HeadDim: 64, Block: 64, DType: dtype.BF16, Causal: true, Scale: 0.125}
	p := ir.Pattern{Cells: []ir.Cell{{
		Rows: ir.Rows{Hi: ir.Inf, Mod: 1}, Lo: ir.Line{C: 0}, Hi: ir.Line{A: 1}, Step: step, Members: 1,
	}}}
	return ir.Layer{Numbers: []int{0}, Heads: []ir.Pattern{p, p}}, s
}

func tuningEntry(device string, step int64, c Candidate) TuningEntry {
	l, s := tuningLayer(step)
	return TuningEntry{
		TuningKey: NewTuningKey(l, s, target.SM80, device), Model: "m", Family: "sm80", Config: c.Config(),
		Batch: 1, Seq: []int{8192, 32768}, MS: []float64{1.5, 2.25}, ModelMS: []float64{1.75, 2.5},
	}
}

var tuningCandidate = Candidate{Pack: 2, Merge: 1, Split: 1, Rows: 128, KVTile: 64, Stages: 2, Warps: 8, QInRegisters: true,
	SharedBytes: 5, Registers: 6, Resident: 7, Cost: 8, Verdict: "chosen"}

func TestTuningRoundTrip(t *testing.T) {
	a, b := tuningEntry("GPU B", 1, tuningCandidate), tuningEntry("GPU A", 2, tuningCandidate)
	c := tuningEntry("GPU A", 1, tuningCandidate)
	var texts []string
	for _, order := range [][]TuningEntry{{a, b, c}, {c, b, a}, {b, c, a, b}} {
		f := NewTuning()
		for _, e := range order {
			f.Put(e)
		}
		var text bytes.Buffer
		if err := f.Write(&text); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text.String())
		got, err := ReadTuning(&text)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Entries) != 3 || got.Entries[2].Device != "GPU B" {
			t.Errorf("entries %+v", got.Entries)
		}
		var again bytes.Buffer
		if err := got.Write(&again); err != nil || again.String() != texts[0] {
			t.Errorf("written again: %v\n%s", err, cmp.Diff(texts[0], again.String()))
		}
	}
	if texts[0] != texts[1] || texts[0] != texts[2] {
		t.Error("the file depends on the order of the entries")
	}
}

func TestTuningFind(t *testing.T) {
	other := tuningCandidate
	other.Stages = 1
	f := NewTuning()
	f.Put(tuningEntry("GPU A", 1, tuningCandidate))
	f.Put(tuningEntry("GPU B", 1, other))
	f.Put(tuningEntry("GPU A", 2, tuningCandidate))
	f.Put(tuningEntry("GPU B", 2, tuningCandidate))
	var text bytes.Buffer
	if err := f.Write(&text); err != nil {
		t.Fatal(err)
	}
	f, err := ReadTuning(&text) // numbers are float64 from now on
	if err != nil {
		t.Fatal(err)
	}
	key := func(device string, step int64) TuningKey {
		l, s := tuningLayer(step)
		return NewTuningKey(l, s, target.SM80, device)
	}
	e, err := f.Find(key("GPU B", 1))
	if err != nil || e == nil || !e.Config.Matches(other) || e.Config.Matches(tuningCandidate) {
		t.Errorf("GPU B: %+v, %v", e, err)
	}
	if e, err = f.Find(key("", 2)); err != nil || e == nil || !e.Config.Matches(tuningCandidate) {
		t.Errorf("any device, all agree: %+v, %v", e, err)
	}
	if _, err = f.Find(key("", 1)); err == nil || !strings.Contains(err.Error(), "GPU A and for GPU B") {
		t.Errorf("any device, they differ: %v", err)
	}
	for _, missing := range []TuningKey{key("GPU C", 1), key("GPU A", 3)} {
		if e, err := f.Find(missing); e != nil || err != nil {
			t.Errorf("%+v: %+v, %v", missing, e, err)
		}
	}
}

// TestConfig: every field of a candidate is a choice or a consequence; each choice
// decides whether two candidates match, no consequence does.
func TestConfig(t *testing.T) {
	base := reflect.TypeOf(Candidate{})
	for n := range base.NumField() {
		c := tuningCandidate
		field := reflect.ValueOf(&c).Elem().Field(n)
		switch field.Kind() {
		case reflect.Int:
			field.SetInt(field.Int() + 1)
		case reflect.Bool:
			field.SetBool(!field.Bool())
		case reflect.Float64:
			field.SetFloat(field.Float() + 1)
		case reflect.String:
			field.SetString("other")
		default:
			t.Fatalf("field %s is of a kind that tuning files cannot hold", base.Field(n).Name)
		}
		name := base.Field(n).Name
		consequence := name == "SharedBytes" || name == "Registers" || name == "Resident" || name == "Cost" || name == "Verdict"
		if got := tuningCandidate.Config().Matches(c); got != consequence {
			t.Errorf("matches with another %s: %v", name, got)
		}
	}
	if text := tuningCandidate.Config().String(); text != "kv_tile 64, merge 1, pack 2, q_in_registers, rows 128, split 1, stages 2, warps 8" {
		t.Errorf("config %s", text)
	}
	old := tuningCandidate.Config()
	delete(old, "q_in_registers") // of a compiler that did not have it
	off := tuningCandidate
	off.QInRegisters = false
	if old.Matches(tuningCandidate) || !old.Matches(off) {
		t.Error("a choice that a file does not name is not off")
	}
	for field, want := range map[string]string{"QInRegisters": "q_in_registers", "KVTile": "kv_tile", "Rows": "rows", "LoadQK": "load_qk"} {
		if got := axisName(field); got != want {
			t.Errorf("%s is called %s, want %s", field, got, want)
		}
	}
}

func TestFingerprint(t *testing.T) {
	a, s := tuningLayer(1)
	b, _ := tuningLayer(2)
	renamed, _ := tuningLayer(1)
	renamed.Numbers = []int{3, 5}
	if Fingerprint(a) != Fingerprint(renamed) {
		t.Error("layers with other numbers differ")
	}
	if Fingerprint(a) == Fingerprint(b) {
		t.Error("other patterns have the same fingerprint")
	}
	if k := NewTuningKey(a, s, target.SM80, "X"); k.Group != 2 || k.Target != target.SM80 {
		t.Errorf("key %+v", k)
	}
}

func TestReadTuningRefuses(t *testing.T) {
	f := NewTuning()
	f.Put(tuningEntry("GPU A", 1, tuningCandidate))
	f.Put(tuningEntry("GPU B", 1, tuningCandidate))
	var text bytes.Buffer
	if err := f.Write(&text); err != nil {
		t.Fatal(err)
	}
	good := text.String()
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("the file does not hold %q", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	swapped := NewTuning()
	swapped.Entries = []TuningEntry{f.Entries[1], f.Entries[0]}
	var disorder bytes.Buffer
	if err := swapped.Write(&disorder); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "damaged"},
		{"cut short", good[:len(good)/2], "damaged: line"},
		{"no JSON", "model x {}", "damaged: line 1"},
		{"another file", `{"format": "x"}`, `its format is "x"`},
		{"an array", `[]`, "damaged"},
		{"newer", replace(`"version": 2`, `"version": 3`), "version 3"},
		{"older", replace(`"version": 2`, `"version": 1`), "measure again"},
		{"target", replace(`"sm_80"`, `"sm80"`), `"sm80" names no architecture`},
		{"no target", replace(`"target": "sm_80",`, ""), "entry 0: target is missing"},
		{"device", replace(`"GPU A"`, `""`), "entry 0: device is missing"},
		{"unknown field", replace(`"model"`, `"modal"`), `unknown field "modal"`},
		{"kind of a field", replace(`"block": 64`, `"block": "64"`), "line 11"},
		{"unknown choice", replace(`"pack"`, `"pick"`), `no choice "pick"`},
		{"kind of a choice", replace(`"pack": 2`, `"pack": true`), "pack cannot be true"},
		{"fraction", replace(`"pack": 2`, `"pack": 2.5`), "pack cannot be 2.5"},
		{"kind of another", replace(`"q_in_registers": true`, `"q_in_registers": 1`), "q_in_registers cannot be 1"},
		{"lengths", replace("8192,", ""), "a value for each length"},
		{"order", disorder.String(), "entry 1: it is out of order"},
	} {
		if _, err := ReadTuning(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := ReadTuningFile("no/such/file"); err == nil {
		t.Error("an absent file passes")
	}
}

func FuzzReadTuning(f *testing.F) {
	t := NewTuning()
	t.Put(tuningEntry("GPU A", 1, tuningCandidate))
	data, err := json.Marshal(t)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := ReadTuning(bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, e := range file.Entries {
			_ = e.Config.Matches(tuningCandidate)
			if found, err := file.Find(e.TuningKey); err != nil || found == nil {
				t.Errorf("an entry is not found: %v", err)
			}
		}
		if err := file.Write(&bytes.Buffer{}); err != nil {
			t.Error(err)
		}
	})
}

// The fingerprint is of everything that a kernel reads: layers that differ in a
// table alone are different.
func TestFingerprintTellsApart(t *testing.T) {
	whole := func() ir.Layer {
		return ir.Layer{Heads: []ir.Pattern{{
			Cells: []ir.Cell{{Rows: ir.Rows{Lo: 2, Hi: ir.Inf, Mod: 1}, Hi: ir.Line{A: 1}, Step: 2, Phase: ir.Line{C: 1}, Members: 1}},
			Table: &ir.Table{Rows: 2, Crow: []int64{0, 1, 3}, Col: []int32{0, 0, 1}, Members: []uint32{1, 1, 1}},
		}, {}}}
	}
	want := Fingerprint(whole())
	if again := Fingerprint(whole()); again != want {
		t.Errorf("%s, then %s", want, again)
	}
	for name, change := range map[string]func(p *ir.Pattern){
		"rows of a cell":    func(p *ir.Pattern) { p.Cells[0].Rows.Lo = 3 },
		"first key block":   func(p *ir.Pattern) { p.Cells[0].Lo.C = 1 },
		"last key block":    func(p *ir.Pattern) { p.Cells[0].Hi.C = 1 },
		"step":              func(p *ir.Pattern) { p.Cells[0].Step = 3 },
		"phase":             func(p *ir.Pattern) { p.Cells[0].Phase.C = 0 },
		"no cell":           func(p *ir.Pattern) { p.Cells = nil },
		"no table":          func(p *ir.Pattern) { p.Table = nil },
		"rows of the table": func(p *ir.Pattern) { p.Table.Rows = 1 },
		"where a row ends":  func(p *ir.Pattern) { p.Table.Crow[1] = 2 },
		"column":            func(p *ir.Pattern) { p.Table.Col[2] = 0 },
		"members":           func(p *ir.Pattern) { p.Table.Members[2] = 3 },
		"a limit":           func(p *ir.Pattern) { p.Table.Limited = true },
	} {
		l := whole()
		change(&l.Heads[0])
		if Fingerprint(l) == want {
			t.Errorf("another %s has the same fingerprint", name)
		}
	}
	swapped := whole()
	swapped.Heads[0], swapped.Heads[1] = swapped.Heads[1], swapped.Heads[0]
	if Fingerprint(swapped) == want {
		t.Error("swapped heads have the same fingerprint")
	}
}
