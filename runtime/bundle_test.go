package runtime

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/target"
)

// testBundle has two distinct layers and two targets; the targets of a layer
// share its table.
func testBundle() *Bundle {
	b := &Bundle{}
	for _, name := range []string{"sm_80", "sm_90a"} {
		sparse, dense := testPlan(name), testPlan(name)
		dense.PTX, dense.Layers, dense.Table = ".entry dense "+name, []int{1, 3}, nil
		dense.Kernels[0].Entry = "dense"
		sparse.MaxBlocks = 512
		b.Plans = append(b.Plans, *sparse, *dense)
	}
	b.Manifest = Manifest{
		Model: "phi3_small", Source: strings.Repeat("ab", 32), Shape: b.Plans[0].Shape, Layers: 4,
		Facts: []Facts{
			{Layers: []int{0, 2}, Coverage: true, KVEfficient: true, Tables: true, MaxBlocks: 512, Densities: []Density{{8192, 0.3242}, {32768, 0.1772}}},
			{Layers: []int{1, 3}, Coverage: true, KVEfficient: true, Dense: true},
		},
	}
	return b
}

func encoded(t testing.TB, b *Bundle) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := WriteBundle(&buf, b); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// resealed recomputes the file's hash, as one who tampers would.
func resealed(data []byte) []byte {
	body := data[:len(data)-sumBytes]
	binary.LittleEndian.PutUint64(body[16:], uint64(len(data)))
	sum := sha256.Sum256(body)
	return append(slices.Clone(body), sum[:]...)
}

func TestBundleRoundTrip(t *testing.T) {
	b := testBundle()
	data := encoded(t, b)
	if !bytes.Equal(data, encoded(t, b)) {
		t.Error("the same bundle gave other bytes")
	}
	if n := bytes.Count(data, []byte("table\n")) + bytes.Count(data, []byte("tabletable")); n > 0 {
		t.Error("equal tables are stored twice")
	}
	got, err := ReadBundle(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	want := *b
	want.Manifest.Format, want.Manifest.Targets = BundleFormat, []target.Target{target.SM80, target.SM90a}
	want.Sum = sha256.Sum256(data)
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Error(diff)
	}
	if again := encoded(t, got); !bytes.Equal(data, again) {
		t.Error("a bundle that was read is written differently")
	}
}

func TestBundleFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.s2b")
	if err := WriteBundleFile(path, testBundle()); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadBundleFile(path); err != nil {
		t.Error(err)
	}
	if err := WriteBundleFile(path, &Bundle{}); err == nil {
		t.Error("wrote an empty bundle")
	}
	if _, err := ReadBundleFile(path); err != nil {
		t.Errorf("a failed write harmed the file: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	if err := os.WriteFile(path, []byte("no"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadBundleFile(path); !errors.Is(err, ErrBundle) || !strings.Contains(err.Error(), path) {
		t.Errorf("error without its kind or its path: %v", err)
	}
	if _, err := ReadBundleFile(path + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestEveryFlippedByteIsRefused(t *testing.T) {
	data := encoded(t, testBundle())
	for i := range data {
		for _, bit := range []byte{0x01, 0x80, 0xff} {
			bad := slices.Clone(data)
			bad[i] ^= bit
			if _, err := ReadBundle(bytes.NewReader(bad)); !errors.Is(err, ErrBundle) {
				t.Fatalf("byte %d ^ %#x: %v", i, bit, err)
			}
		}
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	data := encoded(t, testBundle())
	for n := range data {
		_, err := ReadBundle(bytes.NewReader(data[:n]))
		if !errors.Is(err, ErrBundle) {
			t.Fatalf("%d of %d bytes: %v", n, len(data), err)
		}
		if n >= len(bundleMagic) && !strings.Contains(err.Error(), "truncated") {
			t.Fatalf("%d of %d bytes: %v", n, len(data), err)
		}
	}
	if _, err := ReadBundle(bytes.NewReader(append(data, 0))); !errors.Is(err, ErrBundle) {
		t.Errorf("a byte too many: %v", err)
	}
}

// A file of the format before is whole, and still cannot be read.
func TestOlderFormat(t *testing.T) {
	data := slices.Clone(encoded(t, testBundle()))
	binary.LittleEndian.PutUint32(data[8:], 1)
	_, err := ReadBundle(bytes.NewReader(resealed(data)))
	if !errors.Is(err, ErrBundle) || !strings.Contains(err.Error(), "format version 1") || !strings.Contains(err.Error(), "`s2c compile`") {
		t.Errorf("format 1: %v", err)
	}
}

// Changes by one who repairs the file's own hash.
func TestTamperingIsRefused(t *testing.T) {
	data := encoded(t, testBundle())
	if _, err := ReadBundle(bytes.NewReader(resealed(data))); err != nil {
		t.Fatalf("the test itself is wrong: %v", err)
	}
	replace := func(old, new string) []byte {
		if !bytes.Contains(data, []byte(old)) {
			t.Fatalf("no %q in the bundle", old)
		}
		out := bytes.Replace(data, []byte(old), []byte(new), 1)
		size := int(binary.LittleEndian.Uint32(data[12:])) + len(new) - len(old)
		if !strings.Contains(old, ".entry") { // within the manifest
			binary.LittleEndian.PutUint32(out[12:], uint32(size))
		}
		return resealed(out)
	}
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"other PTX", replace(".entry attn for sm_80", ".entry evil for sm_80"), "does not match its hash"},
		{"a fact with other spacing", replace(`"coverage": true`, `"coverage":true`), "edited"},
		{"a key twice", replace(`"model": "phi3_small"`, `"model": "x", "model": "phi3_small"`), "edited"},
		{"a key in capitals", replace(`"model": "phi3_small"`, `"Model": "phi3_small"`), "edited"},
		{"an unknown key", replace(`"model": "phi3_small"`, `"motel": "phi3_small"`), "unknown field"},
		{"more threads", replace(`"block_threads": 128`, `"block_threads": 131`), "block_threads must be"},
		{"other heads", replace(`"kv_heads": 8`, `"kv_heads": 4`), "another shape"},
		{"another target", replace(`"target": "sm_80"`, `"target": "sm_86"`), "targets"},
		{"no target", replace(`"target": "sm_80"`, `"target": "gfx90a"`), "names no architecture"},
		{"a layer twice", replace("\"layers\": [\n    0,\n    2\n   ]", "\"layers\": [\n    1,\n    2\n   ]"), "described twice"},
		{"a part that is not there", replace(`"ptx": 0`, `"ptx": 9`), "part 9 of"},
		{"a negative part", replace(`"ptx": 0`, `"ptx": -2`), "part -2 of"},
		{"a part not used", replace(`"ptx": 0`, `"ptx": 2`), "no plan uses"},
		{"a huge part", replace(`"bytes": 21`, `"bytes": 9223372036854775807`), "does not fit"},
		{"a negative part size", replace(`"bytes": 21`, `"bytes": -21`), "does not fit"},
		{"bytes without a name", resealed(append(slices.Clone(data), 1)), "does not name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ReadBundle(bytes.NewReader(c.data))
			if !errors.Is(err, ErrBundle) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// endless is a file that announces the greatest size and goes on for ever.
type endless struct {
	head []byte
	read int64
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.head) > 0 {
		n := copy(p, e.head)
		e.head = e.head[n:]
		return n, nil
	}
	e.read += int64(len(p))
	return len(p), nil
}

func TestHostileSizes(t *testing.T) {
	head := func(manifest uint32, total uint64) []byte {
		h := binary.LittleEndian.AppendUint32([]byte(bundleMagic), BundleFormat)
		h = binary.LittleEndian.AppendUint32(h, manifest)
		return binary.LittleEndian.AppendUint64(h, total)
	}
	// Nothing is allocated for bytes that do not come.
	for _, total := range []uint64{0, 55, maxBundle, maxBundle + 1, 1 << 62, 1<<64 - 1} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ReadBundle(bytes.NewReader(head(1<<32-1, total)))
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrBundle) {
			t.Error(err)
		}
		allocated := after.TotalAlloc - before.TotalAlloc
		if allocated > 64<<10 {
			t.Errorf("a header that announces %d bytes made ReadBundle allocate %d", total, allocated)
		}
	}
	// No more is read than was announced.
	e := &endless{head: head(100, 1<<20)}
	if _, err := ReadBundle(e); !errors.Is(err, ErrBundle) || e.read > 2<<20 {
		t.Errorf("%v after %d bytes", err, e.read)
	}
	small := resealed(append(head(1<<32-1, 0), make([]byte, 100+sumBytes)...))
	if _, err := ReadBundle(bytes.NewReader(small)); !errors.Is(err, ErrBundle) || !strings.Contains(err.Error(), "manifest") {
		t.Errorf("a manifest larger than the file: %v", err)
	}
}

func TestReadBundlePassesOnReadErrors(t *testing.T) {
	boom := errors.New("boom")
	data := encoded(t, testBundle())
	for _, n := range []int{0, 10, 100} {
		r := io.MultiReader(bytes.NewReader(data[:n]), errReader{boom})
		if _, err := ReadBundle(r); !errors.Is(err, boom) || errors.Is(err, ErrBundle) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestWriteBundleRefuses(t *testing.T) {
	for name, change := range map[string]func(*Bundle){
		"no plans":                func(b *Bundle) { b.Plans = nil },
		"a bad kernel":            func(b *Bundle) { b.Plans[0].Kernels[0].BlockThreads = 1 },
		"two of a name":           func(b *Bundle) { b.Plans[1].Kernels[0].Entry = "attn" },
		"another shape":           func(b *Bundle) { b.Manifest.Shape.Block = 32 },
		"a layer twice":           func(b *Bundle) { b.Plans[1].Layers = []int{2} },
		"facts twice":             func(b *Bundle) { b.Manifest.Facts[1].Layers = []int{0} },
		"facts too far":           func(b *Bundle) { b.Manifest.Facts[1].Layers = []int{4} },
		"facts of nothing":        func(b *Bundle) { b.Manifest.Facts[1].Layers = nil },
		"no hash":                 func(b *Bundle) { b.Manifest.Source = "abc" },
		"negative blocks":         func(b *Bundle) { b.Manifest.Facts[0].MaxBlocks = -1 },
		"blocks of another plan":  func(b *Bundle) { b.Manifest.Facts[0].MaxBlocks = 513 },
		"a limit without tables":  func(b *Bundle) { b.Manifest.Facts[0].Tables = false },
		"tables of a dense layer": func(b *Bundle) { b.Manifest.Facts[1].Tables = true },
		"dense, not covering":     func(b *Bundle) { b.Manifest.Facts[1].Coverage = false },
		"dense, not efficient":    func(b *Bundle) { b.Manifest.Facts[1].KVEfficient = false },
		"a dense density":         func(b *Bundle) { b.Manifest.Facts[1].Densities = []Density{{64, 0.5}} },
		"no tables, but a table": func(b *Bundle) {
			b.Manifest.Facts[1].Layers = nil
			b.Manifest.Facts[0].Tables = false
			b.Manifest.Facts[0].MaxBlocks = 0
		},
		"a density of 1.5":   func(b *Bundle) { b.Manifest.Facts[0].Densities[0].Value = 1.5 },
		"a density of NaN":   func(b *Bundle) { b.Manifest.Facts[0].Densities[0].Value = math.NaN() },
		"a negative density": func(b *Bundle) { b.Manifest.Facts[0].Densities[0].Value = -0.1 },
		"a density at 0":     func(b *Bundle) { b.Manifest.Facts[0].Densities[0].Seq = 0 },
		"descending lengths": func(b *Bundle) { b.Manifest.Facts[0].Densities[1].Seq = 8192 },
		"beyond the limit":   func(b *Bundle) { b.Manifest.Facts[0].Densities[1].Seq = 512*64 + 1 },
		"a layer too far":    func(b *Bundle) { b.Manifest.Layers = 3 },
		"no layers":          func(b *Bundle) { b.Manifest.Layers = 0 },
	} {
		b := testBundle()
		change(b)
		if err := WriteBundle(io.Discard, b); !errors.Is(err, ErrBundle) && !errors.Is(err, ErrKernel) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSelect(t *testing.T) {
	b := testBundle()
	old := testPlan("sm_80")
	old.Target, old.Layers = target.Target{Major: 8, Minor: 6}, []int{0}
	b.Plans = append(b.Plans, *old)
	for _, c := range []struct {
		major, minor, layer int
		want                string // target and entry
		kind                error
	}{
		{8, 0, 0, "sm_80 attn", nil}, {8, 0, 1, "sm_80 dense", nil}, {8, 0, 2, "sm_80 attn", nil}, {8, 0, 3, "sm_80 dense", nil},
		{8, 9, 0, "sm_86 attn", nil}, {8, 9, 2, "sm_80 attn", nil},
		{9, 0, 0, "sm_90a attn", nil}, {9, 0, 1, "sm_90a dense", nil},
		{10, 0, 0, "sm_86 attn", nil}, {10, 0, 1, "sm_80 dense", nil},
		{7, 5, 0, "", ErrArchitecture}, {8, 0, 4, "", ErrArgs}, {8, 0, -1, "", ErrArgs},
	} {
		k, err := b.Select(newFake(c.major, c.minor), launch.Forward, c.layer)
		if !errors.Is(err, c.kind) {
			t.Errorf("layer %d on %d.%d: %v", c.layer, c.major, c.minor, err)
		}
		if err == nil && k.Target.String()+" "+k.Name() != c.want {
			t.Errorf("layer %d on %d.%d: %v %s, want %s", c.layer, c.major, c.minor, k.Target, k.Name(), c.want)
		}
	}
	if _, err := b.Select(newFake(8, 0), launch.Forward, 9); !strings.Contains(err.Error(), "it has 0–3") {
		t.Errorf("the error does not list the layers: %v", err)
	}
	if f := b.FactsOf(3); f == nil || !f.Dense {
		t.Errorf("facts of layer 3: %v", f)
	}
	if b.FactsOf(4) != nil {
		t.Error("facts of a layer that is not there")
	}
}

// A layer may have a plan of each operation for a target.
func TestSelectByOperation(t *testing.T) {
	const fill launch.Op = "fill"
	launch.Operations[fill] = launch.Operation{Writes: []launch.Role{launch.O}}
	t.Cleanup(func() { delete(launch.Operations, fill) })
	b := testBundle()
	p := testPlan("sm_80")
	p.Op, p.PTX, p.Table = fill, ".entry fill", nil
	p.Kernels[0].Entry, p.Kernels[0].Params = "fill", launch.Place(launch.ForwardParams[3:4])
	b.Plans = append(b.Plans, *p)
	b, err := ReadBundle(bytes.NewReader(encoded(t, b)))
	if err != nil {
		t.Fatal(err)
	}
	for op, want := range map[launch.Op]string{fill: "fill", launch.Forward: "attn"} {
		if p, err := b.Select(newFake(8, 0), op, 2); err != nil || p.Name() != want {
			t.Errorf("%s of layer 2: %v, %v", op, p, err)
		}
	}
	if _, err := b.Select(newFake(8, 0), fill, 1); !errors.Is(err, ErrArgs) || !strings.Contains(err.Error(), "no layer 1 for fill in this bundle; it has 0, 2") {
		t.Errorf("fill of layer 1: %v", err)
	}
	b.Plans[len(b.Plans)-1].Layers = []int{1}
	b.Plans = append(b.Plans, b.Plans[len(b.Plans)-1])
	b.Plans[len(b.Plans)-1].Kernels = []launch.Kernel{p.Kernels[0]}
	b.Plans[len(b.Plans)-1].Kernels[0].Entry = "again"
	if err := b.Check(); !errors.Is(err, ErrBundle) || !strings.Contains(err.Error(), "two plans of fill for sm_80") {
		t.Errorf("two plans for one layer: %v", err)
	}
}

func TestRanges(t *testing.T) {
	for want, ns := range map[string][]int{"none": nil, "3": {3}, "0, 1": {0, 1}, "0–2, 4, 6, 7, 9–11": {0, 1, 2, 4, 6, 7, 9, 10, 11}} {
		if got := ranges(ns); got != want {
			t.Errorf("%v is %q, want %q", ns, got, want)
		}
	}
}

// FuzzReadBundle reads damaged bundles as they come and with a repaired hash,
// so that the decoder behind the hash is reached too. What is read must be
// written back as it was.
func FuzzReadBundle(f *testing.F) {
	data := encoded(f, testBundle())
	f.Add(data)
	two := testBundle()
	two.Plans = []launch.Plan{*twoLaunches()}
	f.Add(encoded(f, two))
	f.Add(data[:100])
	f.Add([]byte(bundleMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		check := func(data []byte) {
			b, err := ReadBundle(bytes.NewReader(data))
			if err != nil {
				if !errors.Is(err, ErrBundle) {
					t.Fatalf("not an ErrBundle: %v", err)
				}
				return
			}
			if again := encoded(t, b); !bytes.Equal(again, data) {
				t.Fatal("read a bundle that would be written differently")
			}
		}
		check(data)
		if len(data) >= headerBytes+sumBytes {
			check(resealed(data))
		}
	})
}
