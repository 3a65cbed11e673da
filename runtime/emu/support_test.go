package emu

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx/inst"
	"github.com/s2attention/s2c/runtime"
)

// header is the start of a module for a target.
func header(target string) string {
	return fmt.Sprintf(".version 8.0\n.target %s\n.address_size 64\n", target)
}

// kernelText wraps a body into a kernel k with u64 parameters and plenty of registers.
func kernelText(target string, params int, extra, body string) string {
	var b strings.Builder
	b.WriteString(header(target) + extra + "\n.visible .entry k(")
	for i := range params {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, ".param .u64 p%d", i)
	}
	b.WriteString(")\n{\n.reg .pred %p<32>;\n.reg .b16 %h<64>;\n.reg .b32 %r<512>;\n.reg .f32 %f<512>;\n.reg .b64 %rd<64>;\n")
	b.WriteString(body)
	b.WriteString("\nret;\n}\n")
	return b.String()
}

// harness runs one kernel with u64 parameters.
type harness struct {
	t   testing.TB
	dev *Device
	fn  runtime.Function
}

func newHarness(t testing.TB, o Options, text string, shared int) *harness {
	t.Helper()
	dev := New(o)
	m, err := dev.LoadModule(text)
	if err != nil {
		t.Fatalf("LoadModule: %v\n%s", err, numbered(text))
	}
	fn, err := m.Function("k", shared)
	if err != nil {
		t.Fatal(err)
	}
	return &harness{t, dev, fn}
}

func numbered(text string) string {
	var b strings.Builder
	for i, line := range strings.Split(text, "\n") {
		fmt.Fprintf(&b, "%4d %s\n", i+1, line)
	}
	return b.String()
}

func (h *harness) alloc(bytes int) runtime.Ptr {
	h.t.Helper()
	p, err := h.dev.Alloc(int64(bytes))
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

func (h *harness) upload(data []byte) runtime.Ptr {
	h.t.Helper()
	p := h.alloc(len(data))
	if err := h.dev.Upload(p, data); err != nil {
		h.t.Fatal(err)
	}
	return p
}

func (h *harness) download(p runtime.Ptr, n int) []byte {
	h.t.Helper()
	data := make([]byte, n)
	if err := h.dev.Download(data, p); err != nil {
		h.t.Fatal(err)
	}
	return data
}

// launch runs grid blocks of threads threads.
func (h *harness) launch(grid, threads int, params ...runtime.Ptr) error {
	var block []byte
	for _, p := range params {
		block = binary.LittleEndian.AppendUint64(block, uint64(p))
	}
	err := h.fn.Launch(nil, [3]int{grid, 1, 1}, [3]int{threads, 1, 1}, block)
	cover(h.dev)
	return err
}

// covered are the rows of the instruction table that some test has executed.
var covered sync.Map

func cover(dev *Device) {
	for name := range dev.LastLaunch().Forms {
		covered.Store(name, true)
	}
}

// TestMain fails when all tests have run and a row of the table was not executed.
func TestMain(m *testing.M) {
	code := m.Run()
	partial := flag.Lookup("test.run").Value.String() != "" || flag.Lookup("test.skip").Value.String() != "" ||
		flag.Lookup("test.fuzz").Value.String() != ""
	if code == 0 && !partial {
		for i := range inst.Forms {
			if _, ok := covered.Load(inst.Forms[i].Name); !ok {
				fmt.Printf("FAIL: no test executes %s\n", inst.Forms[i].Name)
				code = 1
			}
		}
	}
	os.Exit(code)
}

func (h *harness) mustLaunch(grid, threads int, params ...runtime.Ptr) {
	h.t.Helper()
	if err := h.launch(grid, threads, params...); err != nil {
		h.t.Fatal(err)
	}
}

// wantFault checks that err is a fault of a kind, at a line with a text, naming words.
func wantFault(t testing.TB, err error, check Check, words ...string) *Fault {
	t.Helper()
	var f *Fault
	if !errors.As(err, &f) {
		t.Fatalf("want a fault of %v, got %v", check, err)
	}
	if f.Check&check == 0 {
		t.Fatalf("want a fault of %v, got %v", check, err)
	}
	for _, word := range words {
		if !strings.Contains(f.Error(), word) {
			t.Errorf("fault %q does not mention %q", f, word)
		}
	}
	return f
}

func u32s(v ...uint32) []byte {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, x)
	}
	return b
}

func f32s(v ...float32) []byte {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

func asU32(b []byte) []uint32 {
	v := make([]uint32, len(b)/4)
	for i := range v {
		v[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return v
}

func asF32(b []byte) []float32 {
	v := make([]float32, len(b)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return v
}

// mutation is an edit of PTX text, for kernels that are broken on purpose.
type mutation struct {
	name  string
	match string // a regular expression for whole lines
	nth   int    // which match, from 0; -1 for all
	edit  func(line string) string
}

// drop deletes a line.
func drop(string) string { return "" }

// replace returns an edit that replaces a pattern within the line.
func replace(pattern, with string) func(string) string {
	re := regexp.MustCompile(pattern)
	return func(line string) string { return re.ReplaceAllString(line, with) }
}

// apply edits the text; a mutation that changes nothing fails the test.
func (m mutation) apply(t testing.TB, text string) string {
	t.Helper()
	re := regexp.MustCompile(m.match)
	lines := strings.Split(text, "\n")
	seen, changed := 0, false
	for i, line := range lines {
		if !re.MatchString(line) {
			continue
		}
		if m.nth < 0 || seen == m.nth {
			edited := m.edit(line)
			changed = changed || edited != line
			lines[i] = edited
		}
		seen++
	}
	if !changed {
		t.Fatalf("mutation %q changes nothing (%d lines match)", m.name, seen)
	}
	return strings.Join(lines, "\n")
}
