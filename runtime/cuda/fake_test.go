package cuda

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/ebitengine/purego"
)

// fake steers the driver that testdata/fakecuda.c builds.
type fake struct {
	path   string
	reset  func()
	set    func(key string, v int64)
	get    func(key string) int64
	fail   func(name string, code int32, skip int32)
	param  func(i int32, offset, size int64)
	launch func(i int32, out *fakeLaunch)
}

// fakeLaunch is struct launch of fakecuda.c.
type fakeLaunch struct {
	name        [128]byte
	grid, block [3]uint32
	shared      uint32
	stream      uintptr
	size        uintptr
	params      [maxParamBytes]byte
}

var built struct {
	once     sync.Once
	dir      string
	err      error
	variants map[string]string // flags to path
	log      string
}

func TestMain(m *testing.M) {
	os.Setenv(CacheVariable, "off") // tests of the cache set it
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// newFake builds the driver with gcc, once, and resets it. Without gcc the test
// is skipped, or fails where S2C_REQUIRE_TOOLS=1.
func newFake(t testing.TB) *fake { return newFakeVariant(t, "") }

func newFakeVariant(t testing.TB, flag string) *fake {
	t.Helper()
	built.once.Do(buildFakes)
	if built.err != nil {
		if os.Getenv("S2C_REQUIRE_TOOLS") == "1" {
			t.Fatalf("S2C_REQUIRE_TOOLS=1, but the driver for tests does not build: %v\n%s", built.err, built.log)
		}
		t.Skipf("SKIPPED, runtime/cuda is not tested against a driver: %v %s", built.err, built.log)
	}
	path := built.variants[flag]
	h, err := openShared(path)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{path: path}
	purego.RegisterLibFunc(&f.reset, h, "fake_reset")
	purego.RegisterLibFunc(&f.set, h, "fake_set")
	purego.RegisterLibFunc(&f.get, h, "fake_get")
	purego.RegisterLibFunc(&f.fail, h, "fake_fail")
	purego.RegisterLibFunc(&f.param, h, "fake_param")
	purego.RegisterLibFunc(&f.launch, h, "fake_launch")
	f.reset()
	return f
}

func buildFakes() {
	if runtime.GOOS != "linux" {
		built.err = os.ErrInvalid
		built.log = "the driver for tests needs Linux"
		return
	}
	if built.dir, built.err = os.MkdirTemp("", "s2c-fakecuda-"); built.err != nil {
		return
	}
	source := filepath.Join("testdata", "fakecuda.c")
	if _, built.err = os.ReadFile(source); built.err != nil { // tells go test what the result depends on
		return
	}
	built.variants = map[string]string{}
	for _, flag := range []string{"", "-DOLD"} {
		out := filepath.Join(built.dir, "libcuda"+flag+".so")
		args := []string{"-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", out}
		if flag != "" {
			args = append(args, flag)
		}
		// With the real header the compiler checks the prototypes, too.
		if headers := headerDirs(); len(headers) > 0 && flag == "" {
			args = append(args, "-DWITH_CUDA_H", "-I", headers[0])
		}
		log, err := exec.Command("gcc", append(args, source, "-lpthread")...).CombinedOutput()
		if err != nil {
			built.err, built.log = err, string(log)
			return
		}
		built.variants[flag] = out
	}
}

// headerDirs is where script/venv put cuda.h of CUDA 13 and 12.
func headerDirs() []string {
	var dirs []string
	for _, name := range []string{"cuda13", "cuda12"} {
		dir := filepath.Join("..", "..", ".venv", name)
		if _, err := os.Stat(filepath.Join(dir, "cuda.h")); err == nil {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// open opens the fake driver's first device, and checks when the test ends that
// no call missed its context and no thread kept one.
func (f *fake) open(t testing.TB) *Device {
	t.Helper()
	lib, err := openLibrary(f.path)
	if err != nil {
		t.Fatal(err)
	}
	d, err := lib.open(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if n := f.get("badContext"); n != 0 {
			t.Errorf("%d calls without the device's context", n)
		}
		if f.get("cuCtxPushCurrent_v2") != f.get("cuCtxPopCurrent_v2") {
			t.Errorf("%d pushes and %d pops", f.get("cuCtxPushCurrent_v2"), f.get("cuCtxPopCurrent_v2"))
		}
	})
	return d
}
