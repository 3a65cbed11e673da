package tensor

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sbinet/npyio/npy"

	"github.com/s2attention/s2c/dtype"
)

func TestFileRoundTrip(t *testing.T) {
	for _, name := range []string{"x.npy", "x.safetensors", "X.NPY"} {
		for _, d := range []dtype.Type{dtype.BF16, dtype.F16, dtype.F32} {
			for _, shape := range [][]int{{2, 3, 5, 8}, {1, 4, 7}, {9}, {0, 4}} {
				path := filepath.Join(t.TempDir(), name)
				want, _ := Normal(1, 2, d, shape...)
				if err := Write(path, map[string]*Tensor{"q": want}); err != nil {
					t.Fatal(err)
				}
				got, r, err := Read(path, "q", d)
				if err != nil {
					t.Fatal(err)
				}
				if r != (Rounding{}) {
					t.Errorf("%s %s: %+v", name, d, r)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s %s %v (-want +got):\n%s", name, d, shape, diff)
				}
			}
		}
	}
}

// TestNPYAgainstNpyio lets an independent reader read what is written here.
func TestNPYAgainstNpyio(t *testing.T) {
	want, _ := Normal(1, 2, dtype.F32, 2, 3, 4, 5)
	var buffer bytes.Buffer
	if err := encodeNPY(&buffer, map[string]*Tensor{"": want}); err != nil {
		t.Fatal(err)
	}
	if at := buffer.Len() - len(want.Data); at%64 != 0 {
		t.Errorf("elements start at byte %d, want a multiple of 64", at)
	}
	reader, err := npy.NewReader(&buffer)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Shape, reader.Header.Descr.Shape); diff != "" {
		t.Error(diff)
	}
	var values []float32
	if err := reader.Read(&values); err != nil {
		t.Fatal(err)
	}
	mine := make([]float64, want.Len())
	want.Float64s(mine, 0)
	for n := range values {
		if float64(values[n]) != mine[n] {
			t.Fatalf("element %d is %v, want %v", n, values[n], mine[n])
		}
	}
}

// npyFile builds a version 1 file from a header's text.
func npyFile(header string, body int) string {
	return npyMagic + "\x01\x00" + string([]byte{byte(len(header)), byte(len(header) >> 8)}) +
		header + strings.Repeat("\x00", body)
}

func TestNPYHeaders(t *testing.T) {
	for _, c := range []struct {
		file string
		d    dtype.Type
		want string // of the error; "" means it reads
	}{
		{npyFile("{'descr': '<u2', 'fortran_order': False, 'shape': (2, 3), }\n", 12), dtype.BF16, ""},
		{npyFile("{'shape':(6,),'fortran_order':False,'descr':'<f2'}", 12), dtype.F16, ""},
		{npyFile(`{"descr": "|V2", "fortran_order": False, "shape": ()}`, 2), dtype.BF16, ""},
		{npyMagic + "\x03\x00\x35\x00\x00\x00{'descr': '<f4', 'fortran_order': False, 'shape': ()}\x00\x00\x00\x00", dtype.F32, ""},
		{"", dtype.F32, "magic number"},
		{"PK\x03\x04", dtype.F32, "magic number"},
		{npyMagic, dtype.F32, "truncated"},
		{npyMagic + "\x02\x00\x01\x00", dtype.F32, "truncated"},
		{npyMagic + "\x01\x00\xff\xff{}", dtype.F32, "truncated"},
		{npyMagic + "\x02\x00\xff\xff\xff\xff{}", dtype.F32, "truncated"},
		{npyMagic + "\x07\x00\x00\x00", dtype.F32, "version 7"},
		{npyFile("", 0), dtype.F32, "bad .npy header"},
		{npyFile("{'descr': '<f4', 'fortran_order': False}", 0), dtype.F32, "must all be there"},
		{npyFile("{'descr': '<f4', 'descr': '<f4', 'shape': ()}", 4), dtype.F32, "twice"},
		{npyFile("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}", 4), dtype.F32, "expected"},
		{npyFile("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", 4), dtype.F32, "no shape"},
		{npyFile("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", 4), dtype.F32, "no shape"},
		{npyFile("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", 4), dtype.F32, "too large"},
		{npyFile("{'descr': '<f4', 'fortran_order': True, 'shape': (1,)}", 4), dtype.F32, "Fortran order"},
		{npyFile("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 4), dtype.F32, "truncated"},
		{npyFile("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 12), dtype.F32, "longer than"},
		{npyFile("{'descr': '<V2', 'fortran_order': False, 'shape': (2, 2), }", 8), dtype.BF16, ""}, // NumPy 2.4 with ml_dtypes 0.6
		{npyFile("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", 4), dtype.BF16, ""},
		{npyFile("{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}", 24), dtype.F16, ""},
		{npyFile("{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}", 12), dtype.F16, "[3] of float64 takes 24 bytes, the file holds 12: it is truncated"},
		{npyFile("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", 8), dtype.F32, `want f32: "<f4", little endian`},
		{npyFile("{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}", 4), dtype.BF16, `want bf16: "<u2" with its bits, "<V2", "|V2", "<f4", "<f8", little endian`},
		{npyFile("{'descr': '<V2', 'fortran_order': False, 'shape': (1,)}", 2), dtype.F16, `want f16: "<u2" with its bits, "<f2", "<f4", "<f8", little endian`},
		{npyFile("{'descr': '>u2', 'fortran_order': False, 'shape': (2,)}", 4), dtype.BF16, "little endian"},
		{npyFile("{'descr': '<f2', 'fortran_order': False, 'shape': (2,)}", 4), dtype.BF16, "want bf16"},
	} {
		_, _, err := decodeNPY([]byte(c.file), "", c.d)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.80q as %s says %v, want %q", c.file, c.d, err, c.want)
		}
	}
}

func TestSafetensorsErrors(t *testing.T) {
	q, _ := Normal(1, 1, dtype.BF16, 1, 2, 3, 8)
	var buffer bytes.Buffer
	if err := encodeSafetensors(&buffer, map[string]*Tensor{"q": q, "lse": {DType: dtype.F32, Shape: []int{1}, Data: make([]byte, 4)}}); err != nil {
		t.Fatal(err)
	}
	whole := buffer.Bytes()
	for _, c := range []struct {
		data []byte
		name string
		d    dtype.Type
		want string
	}{
		{whole, "q", dtype.BF16, ""},
		{whole, "k", dtype.BF16, `no tensor "k"; the file holds lse, q`},
		{whole, "q", dtype.F16, `tensor "q" is BF16, want F16`},
		{whole, "lse", dtype.F16, ""},
		{whole[:len(whole)-1], "q", dtype.BF16, "not a whole"},
		{whole[:5], "q", dtype.BF16, "not a whole"},
		{nil, "q", dtype.BF16, "not a whole"},
	} {
		_, _, err := decodeSafetensors(c.data, c.name, c.d)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d bytes, %q as %s says %v, want %q", len(c.data), c.name, c.d, err, c.want)
		}
	}
}

func TestPathErrors(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := Read(filepath.Join(dir, "none.npy"), "q", dtype.BF16); !os.IsNotExist(err) {
		t.Errorf("a missing file says %v", err)
	}
	for _, err := range []error{
		CheckPath("q.pt"), Write("q.pt", nil),
		func() error { _, _, err := Read("q.pt", "q", dtype.BF16); return err }(),
	} {
		if err == nil || !strings.Contains(err.Error(), ".npy or .safetensors") {
			t.Errorf("an unknown extension says %v", err)
		}
	}
	x, _ := New(dtype.BF16, 1)
	if err := Write(filepath.Join(dir, "two.npy"), map[string]*Tensor{"q": x, "k": x}); err == nil {
		t.Error("two tensors fit into a .npy file")
	}
	if CheckPath("out.safetensors") != nil {
		t.Error("out.safetensors is refused")
	}
}

// FuzzRead feeds both decoders bytes that nobody vouches for.
func FuzzRead(f *testing.F) {
	f.Add([]byte(npyFile("{'descr': '<u2', 'fortran_order': False, 'shape': (2, 3), }\n", 12)))
	var buffer bytes.Buffer
	q, _ := Normal(1, 1, dtype.BF16, 1, 2)
	if err := encodeSafetensors(&buffer, map[string]*Tensor{"q": q}); err != nil {
		f.Fatal(err)
	}
	f.Add(buffer.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, decode := range []decodeFunc{decodeNPY, decodeSafetensors} {
			got, _, err := decode(data, "q", dtype.BF16)
			if err != nil {
				continue
			}
			if size, err := byteSize(dtype.BF16, got.Shape); err != nil || size != len(got.Data) {
				t.Fatalf("%v with %d bytes passes: %v", got.Shape, len(got.Data), err)
			}
		}
	})
}

// A file that memory cannot hold is refused by its size, which a header or a hole may
// make anything.
func TestReadTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "huge.npy")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<43); err != nil {
		t.Skipf("SKIPPED: this file system holds no files of 8 TiB: %v", err)
	}
	if _, _, err := Read(path, "q", dtype.BF16); err == nil || !strings.Contains(err.Error(), "the file has 8.0 TiB, and ") {
		t.Errorf("the error is %v", err)
	}
}

// A header with one key twice is refused: readers differ in which value they take.
func TestDoubledKeys(t *testing.T) {
	const tensor = `{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}`
	for header, want := range map[string]string{
		`{"q":` + tensor + `}`:                                                  "",
		`{"__metadata__":{"a":"b","c":"d"},"q":` + tensor + `}`:                 "",
		`{"q":` + tensor + `,"q":` + tensor + `}`:                               `key "q" appears twice`,
		`{"q":` + tensor + `,"\u0071":` + tensor + `}`:                          `key "q" appears twice`,
		`{"__metadata__":{"a":"b","a":"c"},"q":` + tensor + `}`:                 `key "a" appears twice`,
		`{"q":{"dtype":"F16","dtype":"BF16","shape":[1],"data_offsets":[0,2]}}`: `key "dtype" appears twice`,
		`{"__metadata__":{},"q":` + tensor + `,"__metadata__":{"a":"b"}}`:       `key "__metadata__" appears twice`,
	} {
		data := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
		data = append(append(data, header...), 1, 2)
		_, _, err := decodeSafetensors(data, "q", dtype.BF16)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", header, err)
		}
	}
}
