package layout

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/target"
)

// Tuning is a tuning file: which candidate was measured to be the fastest, for
// each pattern, target and device. The file is JSON:
//
//	{
//	  "format": "s2c-tuning",
//	  "version": 2,
//	  "entries": [
//	    {
//	      "target": "sm_90a", "device": "NVIDIA H200",
//	      "heads": 32, "kv_heads": 8, "head_dim": 128, "block": 64, "group": 4,
//	      "dtype": "bf16", "causal": true, "pattern": "0f3c…",
//	      "model": "s2_gqa", "layer": 0,
//	      "family": "sm90a",
//	      "config": {"pack": 2, "merge": 1, …},
//	      "batch": 1, "seq": [8192, 32768], "ms": [0.61, 7.02], "model_ms": [0.66, 7.4]
//	    }
//	  ]
//	}
//
// Entries are ordered by their keys, and no two have the same key.
type Tuning struct {
	Format  string        `json:"format"`
	Version int           `json:"version"`
	Entries []TuningEntry `json:"entries"`
}

const (
	tuningFormat  = "s2c-tuning"
	tuningVersion = 2
	// tuningLimit bounds a file in bytes: far above any, far below memory.
	tuningLimit = 64 << 20
)

// TuningKey says what an entry is for. Everything that decides the speed of a
// candidate is in it, but for the length and the batch.
type TuningKey struct {
	Target  target.Target `json:"target"`
	Device  string        `json:"device"` // the GPU's name
	Heads   int           `json:"heads"`
	KVHeads int           `json:"kv_heads"`
	HeadDim int           `json:"head_dim"`
	Block   int           `json:"block"`
	Group   int           `json:"group"` // query heads that share a KV head
	DType   dtype.Type    `json:"dtype"`
	Causal  bool          `json:"causal"`
	Pattern string        `json:"pattern"` // see Fingerprint
}

// TuningEntry is one decision, with the measurement behind it.
type TuningEntry struct {
	TuningKey
	Model  string `json:"model"` // of the file measured; for people
	Layer  int    `json:"layer"` // the same
	Family string `json:"family"`
	Config Config `json:"config"`

	Batch   int       `json:"batch"`
	Seq     []int     `json:"seq"`      // lengths measured, in tokens
	MS      []float64 `json:"ms"`       // median milliseconds at each length
	ModelMS []float64 `json:"model_ms"` // the same of the cost model's own choice
}

// Config is a candidate's free choices by name: the fields of [Candidate] that
// are no consequence of others, in lower case with underscores, as in
// {"kv_tile": 128, "q_in_registers": true}. A choice that a file does not name
// has its zero value, so that old files stay readable when choices are added.
type Config map[string]any

// derived are the fields of Candidate that follow from the others.
var derived = []string{"SharedBytes", "Registers", "Resident", "Cost", "Verdict"}

// configOf names a candidate's choices.
func configOf(c Candidate) Config {
	config := Config{}
	v := reflect.ValueOf(c)
	for n := range v.NumField() {
		field := v.Type().Field(n)
		if slices.Contains(derived, field.Name) {
			continue
		}
		config[axisName(field.Name)] = v.Field(n).Interface()
	}
	return config
}

// Config names a candidate's choices.
func (c Candidate) Config() Config { return configOf(c) }

// axisName turns QInRegisters into q_in_registers, KVTile into kv_tile.
func axisName(field string) string {
	var b strings.Builder
	runes := []rune(field)
	for n, r := range runes {
		if unicode.IsUpper(r) && n > 0 &&
			(unicode.IsLower(runes[n-1]) || n+1 < len(runes) && unicode.IsLower(runes[n+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// String writes the choices in order of their names, those that are off or zero
// left out: "kv_tile 128, merge 1, pack 2".
func (c Config) String() string {
	var parts []string
	for name, value := range c {
		switch {
		case value == true:
			parts = append(parts, name)
		case value == false || fmt.Sprint(value) == "0" || fmt.Sprint(value) == "":
		default:
			parts = append(parts, fmt.Sprintf("%s %v", name, value))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// Matches is whether a candidate makes the same choices.
func (c Config) Matches(candidate Candidate) bool {
	for name, value := range configOf(candidate) {
		if wanted, ok := c[name]; ok {
			if fmt.Sprint(wanted) != fmt.Sprint(value) {
				return false
			}
		} else if !reflect.ValueOf(value).IsZero() {
			return false
		}
	}
	return true
}

// check reports choices that this compiler does not know, and values that are
// none of a choice's type.
func (c Config) check() error {
	if len(c) == 0 {
		return errors.New("config is missing")
	}
	known := configOf(Candidate{})
	var names []string
	for name := range c {
		names = append(names, name)
	}
	slices.Sort(names) // the same error every time
	for _, name := range names {
		zero, ok := known[name]
		if !ok {
			return fmt.Errorf("config: this compiler has no choice %q; the file may come from a newer one", name)
		}
		fits := false
		switch value := c[name].(type) {
		case float64:
			fits = reflect.TypeOf(zero).ConvertibleTo(reflect.TypeOf(value)) && value == float64(int64(value))
		default:
			fits = reflect.TypeOf(zero) == reflect.TypeOf(value)
		}
		if !fits {
			return fmt.Errorf("config: %s cannot be %v", name, c[name])
		}
	}
	return nil
}

// Fingerprint digests the patterns of a layer's heads: equal layers have equal
// fingerprints, whatever they are called.
func Fingerprint(l ir.Layer) string {
	digest := sha256.New()
	for _, p := range l.Heads {
		fmt.Fprintln(digest, "head")
		for _, c := range p.Cells {
			fmt.Fprintln(digest, "cell", c.Rows, c.Lo, c.Hi, c.Step, c.Phase, c.Members)
		}
		if t := p.Table; t != nil {
			fmt.Fprintln(digest, "table", t.Rows, t.Limited, t.Crow, t.Col, t.Members)
		}
	}
	return hex.EncodeToString(digest.Sum(nil)[:16])
}

// NewTuningKey is the key of a layer on a device's target. device is the GPU's
// name without what depends on the driver, as in "NVIDIA H200".
func NewTuningKey(l ir.Layer, s ir.Shape, on target.Target, device string) TuningKey {
	return TuningKey{
		Target: on, Device: device, Heads: s.Heads, KVHeads: s.KVHeads, HeadDim: s.HeadDim,
		Block: s.Block, Group: s.Group(), DType: s.DType, Causal: s.Causal, Pattern: Fingerprint(l),
	}
}

// compare orders keys.
func (k TuningKey) compare(o TuningKey) int {
	return cmp.Or(
		target.Compare(k.Target, o.Target), cmp.Compare(k.Device, o.Device),
		cmp.Compare(k.HeadDim, o.HeadDim), cmp.Compare(k.Block, o.Block), cmp.Compare(k.Group, o.Group),
		cmp.Compare(k.Heads, o.Heads), cmp.Compare(k.KVHeads, o.KVHeads), cmp.Compare(k.DType, o.DType),
		cmp.Compare(fmt.Sprint(k.Causal), fmt.Sprint(o.Causal)), cmp.Compare(k.Pattern, o.Pattern),
	)
}

// NewTuning is an empty tuning file.
func NewTuning() *Tuning { return &Tuning{Format: tuningFormat, Version: tuningVersion} }

// Put adds an entry, in place of one with the same key.
func (t *Tuning) Put(e TuningEntry) {
	at, found := slices.BinarySearchFunc(t.Entries, e, func(a, b TuningEntry) int { return a.compare(b.TuningKey) })
	if found {
		t.Entries[at] = e
		return
	}
	t.Entries = slices.Insert(t.Entries, at, e)
}

// Find is the entry of a key, nil where the file has none. Without a device in
// the key any device's entry serves, but several that decide differently are an
// error.
func (t *Tuning) Find(key TuningKey) (*TuningEntry, error) {
	var found *TuningEntry
	for n := range t.Entries {
		e := &t.Entries[n]
		wanted := key
		if wanted.Device == "" {
			wanted.Device = e.Device
		}
		if e.TuningKey != wanted {
			continue
		}
		if found != nil && (found.Family != e.Family || found.Config.String() != e.Config.String()) {
			return nil, fmt.Errorf("the tuning file decides differently for %s and for %s: name the device", found.Device, e.Device)
		}
		if found == nil {
			found = e
		}
	}
	return found, nil
}

// ReadTuning reads a tuning file.
func ReadTuning(r io.Reader) (*Tuning, error) {
	data, err := io.ReadAll(io.LimitReader(r, tuningLimit+1))
	if err != nil {
		return nil, err
	}
	if len(data) > tuningLimit {
		return nil, fmt.Errorf("no tuning file: it has more than %d bytes", tuningLimit)
	}
	var head struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("the tuning file is damaged: %w", place(data, err))
	}
	if head.Format != tuningFormat {
		return nil, fmt.Errorf("no tuning file: its format is %q, want %q", head.Format, tuningFormat)
	}
	if head.Version != tuningVersion {
		return nil, fmt.Errorf("the tuning file has version %d, and this compiler reads version %d: measure again with s2c tune", head.Version, tuningVersion)
	}
	t := &Tuning{}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(t); err != nil {
		return nil, fmt.Errorf("the tuning file is damaged: %w", place(data, err))
	}
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("the tuning file is damaged: %w", err)
	}
	return t, nil
}

// place adds the line to an error of the decoder.
func place(data []byte, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	at := int64(-1)
	switch {
	case errors.As(err, &syntax):
		at = syntax.Offset
	case errors.As(err, &kind):
		at = kind.Offset
	}
	if at < 0 || at > int64(len(data)) {
		return err
	}
	return fmt.Errorf("line %d: %w", 1+bytes.Count(data[:at], []byte("\n")), err)
}

// check reports an entry that cannot have been written by [Tuning.Write].
func (t *Tuning) check() error {
	for n := range t.Entries {
		e := &t.Entries[n]
		if err := e.check(); err != nil {
			return fmt.Errorf("entry %d: %w", n, err)
		}
		if n > 0 && t.Entries[n-1].compare(e.TuningKey) >= 0 {
			return fmt.Errorf("entry %d: it is out of order, or a second one for the same key", n)
		}
	}
	return nil
}

func (e *TuningEntry) check() error {
	switch {
	case e.Target == target.Target{}:
		return errors.New("target is missing")
	case e.Device == "":
		return errors.New("device is missing")
	case e.Pattern == "":
		return errors.New("pattern is missing")
	case len(e.Seq) == 0 || len(e.MS) != len(e.Seq) || len(e.ModelMS) != len(e.Seq):
		return errors.New("seq, ms and model_ms must have a value for each length")
	}
	return e.Config.check()
}

// Write writes the file.
func (t *Tuning) Write(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(t)
}

// ReadTuningFile reads the tuning file at a path.
func ReadTuningFile(path string) (*Tuning, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	t, err := ReadTuning(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}
