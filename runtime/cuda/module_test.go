package cuda

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	s2c "github.com/s2attention/s2c/runtime"
)

func ptrOf[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

const attn = `//
.version 7.0
.target sm_80
.address_size 64
.visible .entry attn(.param .u64 q) { ret; }
`

func TestLoadModule(t *testing.T) {
	f := newFake(t)
	d := f.open(t)
	m, err := d.LoadModule(attn)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.(s2c.Logger).JITLog(); got != "ptxas info    : Used 40 registers, compilation 1" {
		t.Errorf("log %q", got)
	}
	if _, err := m.Function("attn", 0); err != nil {
		t.Error(err)
	}
	_, err = m.Function("other", 0)
	wantError(t, err, s2c.ErrKernel, "no entry other")
	_, err = m.Function("attn\x00", 0)
	wantError(t, err, s2c.ErrKernel)
	_, err = m.Function("attn", 232449)
	wantError(t, err, s2c.ErrArchitecture, "needs 232449 bytes", "has 232448")
	f.fail("cuFuncSetAttribute", 1, 0)
	_, err = m.Function("attn", 100000)
	wantError(t, err, errDriver, "granting 100000 bytes")
	for range 2 {
		if err := m.Unload(); err != nil {
			t.Error(err)
		}
	}
	_, err = m.Function("attn", 0)
	wantError(t, err, s2c.ErrClosed)
	if f.get("cuModuleUnload") != 1 || f.get("cuLinkCreate_v2") != f.get("cuLinkDestroy") {
		t.Error("a module or a link is left")
	}
}

func TestLoadModuleFailures(t *testing.T) {
	for _, c := range []struct {
		name, ptx string
		setup     func(*fake)
		kind      error
		words     []string
	}{
		{"syntax", strings.Replace(attn, "ret;", "\nmov.bad r1;", 1), nil, s2c.ErrCompile,
			[]string{"refuses the PTX", "a PTX JIT compilation failed", "line 6; error   : Unknown modifier '.bad'\n\tmov.bad r1;"}},
		{"empty", "", nil, s2c.ErrCompile, []string{"no .version"}},
		{"binary", "\x7fELF\x00\x00", nil, s2c.ErrCompile, []string{"no .version"}},
		{"zero byte", attn + "\x00", nil, s2c.ErrCompile, []string{"zero byte"}},
		{"old driver", strings.Replace(attn, "7.0", "8.7", 1), func(f *fake) { f.set("version", 12040) }, s2c.ErrOldDriver,
			[]string{"for CUDA 12.4", "PTX 8.7 needs 12.8"}},
		{"PTX of the future", strings.Replace(attn, "7.0", "11.3 // NEWPTX", 1), nil, s2c.ErrOldDriver, []string{"does not know PTX 11.3"}},
		{"older GPU", strings.Replace(attn, "sm_80", "sm_100", 1), nil, s2c.ErrArchitecture,
			[]string{"PTX for sm_100 needs compute capability 10.0 or later", "Fake GPU 0 has 9.0"}},
		{"another chip", strings.Replace(attn, "sm_80", "sm_90a", 1), func(f *fake) { f.set("major", 10) }, s2c.ErrArchitecture,
			[]string{"PTX for sm_90a runs on compute capability 9.0 only", "has 10.0"}},
		{"no binary", attn + "// WRONGARCH", nil, s2c.ErrArchitecture, []string{"PTX for sm_80 does not run on Fake GPU 0"}},
		{"no compiler", attn, func(f *fake) { f.fail("cuLinkCreate_v2", 221, 0) }, s2c.ErrCompile, []string{"libnvidia-ptxjitcompiler"}},
		{"no memory", attn, func(f *fake) { f.fail("cuLinkComplete", 2, 0) }, s2c.ErrOutOfMemory, []string{"compiling PTX"}},
		{"no memory for code", attn, func(f *fake) { f.fail("cuModuleLoadDataEx", 2, 0) }, s2c.ErrOutOfMemory, []string{"loading compiled code"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			if c.setup != nil {
				c.setup(f)
			}
			_, err := f.open(t).LoadModule(c.ptx)
			wantError(t, err, c.kind, c.words...)
			if created, destroyed := f.get("cuLinkCreate_v2"), f.get("cuLinkDestroy"); destroyed > created || created-destroyed > 1 {
				t.Errorf("%d links made, %d destroyed", created, destroyed)
			}
		})
	}
}

func TestLaunch(t *testing.T) {
	f := newFake(t)
	d := f.open(t)
	m, err := d.LoadModule(attn)
	if err != nil {
		t.Fatal(err)
	}
	fn, err := m.Function("attn", 100000)
	if err != nil {
		t.Fatal(err)
	}
	s := mustStream(t, d)
	params := []byte("8 bytes!")
	if err := fn.Launch(s, [3]int{70000, 2, 3}, [3]int{128, 1, 1}, params); err != nil {
		t.Fatal(err)
	}
	if err := fn.Launch(nil, [3]int{1, 1, 1}, [3]int{32, 1, 1}, params); err != nil {
		t.Fatal(err)
	}
	var l fakeLaunch
	f.launch(0, &l)
	name := string(l.name[:4])
	if name != "attn" || l.grid != [3]uint32{70000, 2, 3} || l.block != [3]uint32{128, 1, 1} || l.shared != 100000 ||
		l.stream != s.handle || string(l.params[:l.size]) != string(params) {
		t.Errorf("%s: grid %v, block %v, shared %d, stream %#x, params %q", name, l.grid, l.block, l.shared, l.stream, l.params[:l.size])
	}
	if f.launch(1, &l); l.stream != 0 || l.size != 8 {
		t.Errorf("stream %#x, %d bytes of parameters", l.stream, l.size)
	}
	wantError(t, fn.Launch(s, [3]int{1 << 31, 1, 1}, [3]int{32, 1, 1}, params), s2c.ErrArgs, "launch of attn", "a grid of")
	wantError(t, fn.Launch(s, [3]int{0, 1, 1}, [3]int{32, 1, 1}, params), s2c.ErrArgs)
	wantError(t, fn.Launch(s, [3]int{1, 1, 1}, [3]int{32, 1, -1}, params), s2c.ErrArgs)
	wantError(t, fn.Launch(s, [3]int{1, 1, 1}, [3]int{2048, 1, 1}, params), s2c.ErrArgs, "does not fit")
	wantError(t, fn.Launch(s, [3]int{1, 1, 1}, [3]int{32, 1, 1}, params[:7]), s2c.ErrArgs, "launch of attn: 7 bytes of parameters, the kernel has 8")
	f.fail("cuLaunchKernel", 700, 0)
	wantError(t, fn.Launch(s, [3]int{1, 1, 1}, [3]int{32, 1, 1}, params), s2c.ErrFault, "a kernel failed")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wantError(t, fn.Launch(s, [3]int{1, 1, 1}, [3]int{32, 1, 1}, params), s2c.ErrClosed)
}

// A driver that places parameters elsewhere than they are declared gets them there.
func TestLaunchPlacesParameters(t *testing.T) {
	f := newFake(t)
	d := f.open(t)
	m, err := d.LoadModule(strings.Replace(attn, ".param .u64 q", ".param .u64 q, .param .u32 n, .param .align 64 .b8 map[128]", 1))
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range [][2]int64{{0, 8}, {8, 4}, {48, 128}} { // declared at 0, 8 and 64
		f.param(int32(i), p[0], p[1])
	}
	fn, err := m.Function("attn", 0)
	if err != nil {
		t.Fatal(err)
	}
	params := make([]byte, 192)
	for i := range params {
		params[i] = byte(i)
	}
	if err := fn.Launch(nil, [3]int{1, 1, 1}, [3]int{32, 1, 1}, params); err != nil {
		t.Fatal(err)
	}
	var l fakeLaunch
	f.launch(0, &l)
	if l.size != 176 || string(l.params[:12]) != string(params[:12]) || string(l.params[48:176]) != string(params[64:]) {
		t.Errorf("%d bytes: % x", l.size, l.params[:l.size])
	}
	if got := f.get("cuFuncGetParamInfo"); got != 3 {
		t.Errorf("asked for %d parameters of 3", got)
	}
	f.fail("cuFuncGetParamInfo", 700, 0)
	_, err = m.Function("attn", 0)
	wantError(t, err, s2c.ErrFault, "parameters")
	f.param(0, 0, 1<<20)
	_, err = m.Function("attn", 0)
	wantError(t, err, errDriver, "a parameter of 1048576 bytes")
}

// Launches from many goroutines keep their own parameters.
func TestConcurrentLaunches(t *testing.T) {
	f := newFake(t)
	d := f.open(t)
	m, err := d.LoadModule(strings.Replace(attn, ".param .u64 q", ".param .u64 q"+strings.Repeat(", .param .u64 q", 99), 1))
	if err != nil {
		t.Fatal(err)
	}
	fn, err := m.Function("attn", 0)
	if err != nil {
		t.Fatal(err)
	}
	const workers, each = 16, 100
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			s, err := d.NewStream()
			if err != nil {
				t.Error(err)
				return
			}
			params := make([]byte, 800)
			for i := range each {
				id := w*each + i + 1
				for at := 0; at < len(params); at += 8 {
					binary.LittleEndian.PutUint64(params[at:], uint64(id))
				}
				if err := fn.Launch(s, [3]int{id, 1, 1}, [3]int{32, 1, 1}, params); err != nil {
					t.Error(err)
				}
				clear(params) // Launch must have copied them
			}
		})
	}
	wg.Wait()
	seen := map[uint32]bool{}
	var l fakeLaunch
	for i := range f.get("launches") {
		f.launch(int32(i), &l)
		for at := 0; at < 800; at += 8 {
			if got := binary.LittleEndian.Uint64(l.params[at:]); got != uint64(l.grid[0]) {
				t.Fatalf("launch %d has a parameter of launch %d", l.grid[0], got)
			}
		}
		seen[l.grid[0]] = true
	}
	if len(seen) != workers*each {
		t.Errorf("%d distinct launches of %d", len(seen), workers*each)
	}
}

func TestLaunchDoesNotAllocate(t *testing.T) {
	f := newFake(t)
	fn, s, params := benchFunction(t, f)
	if n := testing.AllocsPerRun(500, func() {
		if err := fn.Launch(s, [3]int{1, 1, 1}, [3]int{32, 1, 1}, params); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations a launch", n)
	}
}

func BenchmarkLaunch(b *testing.B) {
	fn, s, params := benchFunction(b, newFake(b))
	for b.Loop() {
		if err := fn.Launch(s, [3]int{1, 1, 1}, [3]int{32, 1, 1}, params); err != nil {
			b.Fatal(err)
		}
	}
}

func benchFunction(t testing.TB, f *fake) (s2c.Function, s2c.Stream, []byte) {
	d := f.open(t)
	m, err := d.LoadModule(attn)
	if err != nil {
		t.Fatal(err)
	}
	fn, err := m.Function("attn", 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	return fn, s, make([]byte, 8)
}

func TestDiskCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "cache")
	t.Setenv(CacheVariable, dir)
	f := newFake(t)
	d := f.open(t)
	load := func(ptx string) string {
		t.Helper()
		m, err := d.LoadModule(ptx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Function("attn", 0); err != nil {
			t.Fatal(err)
		}
		return m.(s2c.Logger).JITLog()[len("ptxas info    : Used 40 registers, "):]
	}
	file := func() string {
		t.Helper()
		list, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(list) != 1 {
			t.Fatalf("the cache holds %v, %v", list, err)
		}
		return list[0]
	}
	for range 2 {
		if got := load(attn); got != "compilation 1" {
			t.Errorf("%s: the second load did not come from the cache with its log", got)
		}
	}
	path := file()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := 1
	for i := range whole { // every damaged byte is noticed, and the entry made anew
		bad := append([]byte(nil), whole...)
		bad[i] ^= 0x20
		if _, ok := decodeObject(bad); ok {
			t.Fatalf("byte %d changed unnoticed", i)
		}
	}
	for _, bad := range [][]byte{nil, whole[:len(whole)/2], append([]byte{}, append(whole, 0)...), []byte("garbage"),
		encodeObject(object{cubin: []byte("whole, but no code"), log: "x"}), encodeObject(object{log: "only a log"})} {
		if err := os.WriteFile(path, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		n++
		for range 2 {
			if got, want := load(attn), fmt.Sprintf("compilation %d", n); got != want {
				t.Errorf("a damaged entry of %d bytes was not compiled anew once: %s, want %s", len(bad), got, want)
			}
		}
		file()
	}
	// Another text, driver or device is another entry.
	if got := load(attn + "//"); got != fmt.Sprintf("compilation %d", n+1) {
		t.Errorf("another text: %s", got)
	}
	c := d.cache
	for name, salt := range map[string]string{"driver": strings.Replace(c.salt, "13000", "12080", 1), "GPU": strings.Replace(c.salt, "GPU 0", "GPU X", 1)} {
		if salt == c.salt || (&cache{dir, salt}).path(attn) == c.path(attn) {
			t.Errorf("another %s has the same entry", name)
		}
	}
}

func TestDiskCacheOff(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", home)
	for _, where := range []string{"off", ""} {
		t.Setenv(CacheVariable, where)
		d := newFake(t).open(t)
		if _, err := d.LoadModule(attn); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil { // before the next reset
			t.Fatal(err)
		}
		list, _ := filepath.Glob(filepath.Join(home, "s2c", "*.cubin"))
		if want := map[string]int{"off": 0, "": 1}[where]; len(list) != want {
			t.Errorf("S2C_CACHE=%q left %v", where, list)
		}
	}
}

// A cache that cannot be written costs time, not the launch.
func TestDiskCacheUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv(CacheVariable, filepath.Join(file, "below"))
	f := newFake(t)
	if _, err := f.open(t).LoadModule(attn); err != nil {
		t.Error(err)
	}
}

func TestCacheTrim(t *testing.T) {
	c := &cache{dir: t.TempDir()}
	old := time.Now().Add(-48 * time.Hour)
	for i := range cacheEntries + 3 {
		path := filepath.Join(c.dir, fmt.Sprintf("%04d%s", i, cacheSuffix))
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		at := old.Add(time.Duration(i) * time.Second)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	keep, gone := filepath.Join(c.dir, "new-now"), filepath.Join(c.dir, "new-old")
	for _, p := range []string{keep, gone} {
		if err := os.WriteFile(p, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(gone, old, old); err != nil {
		t.Fatal(err)
	}
	c.put("x", object{cubin: []byte("x")})
	list, _ := filepath.Glob(filepath.Join(c.dir, "*"+cacheSuffix))
	if len(list) != cacheEntries {
		t.Errorf("%d entries, want %d", len(list), cacheEntries)
	}
	for i := range 4 {
		if _, err := os.Stat(filepath.Join(c.dir, fmt.Sprintf("%04d%s", i, cacheSuffix))); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("entry %d, of the oldest, is left", i)
		}
	}
	if _, err := os.Stat(keep); err != nil {
		t.Error("a file that is being written was removed")
	}
	if _, err := os.Stat(gone); err == nil {
		t.Error("an abandoned file is left")
	}
	// Use keeps an entry.
	if _, ok := c.get("x"); !ok {
		t.Fatal("the newest entry is gone")
	}
	if err := os.Chtimes(c.path("x"), old, old); err != nil {
		t.Fatal(err)
	}
	c.get("x")
	if info, err := os.Stat(c.path("x")); err != nil || time.Since(info.ModTime()) > time.Hour {
		t.Error("a hit did not renew the entry's time")
	}
}

func TestReadHeader(t *testing.T) {
	for text, want := range map[string]header{
		attn:                                    {"7.0", "sm_80"},
		".version 8.0\r\n.target sm_90a, debug": {"8.0", "sm_90a"},
		"// .version 1.0\n\t.version\t8.6 // x\n  .target sm_90a\n": {"8.6", "sm_90a"},
	} {
		if got, err := readHeader(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// PTX for one architecture alone is compiled whole, not for linking: the fake
// driver's log tells which way it went.
func TestWholeProgram(t *testing.T) {
	f := newFake(t)
	f.set("major", 9)
	d := f.open(t)
	m, err := d.LoadModule(strings.Replace(attn, "sm_80", "sm_90a", 1))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m.(*Module).JITLog(), "ptxas info    : Used 40 registers"; got != want {
		t.Errorf("log %q, want %q", got, want)
	}
	if _, err := m.Function("attn", 0); err != nil {
		t.Error(err)
	}
	_, err = d.LoadModule(strings.Replace(attn, "sm_80", "sm_90a", 1) + "\nmov.bad\n")
	wantError(t, err, s2c.ErrCompile, "Unknown modifier")
}
