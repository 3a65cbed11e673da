package cuda

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"unsafe"

	s2c "github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/target"
)

// CUjit_option, CUjitInputType and CUfunction_attribute.
const (
	jitInfoLog      = 3
	jitInfoLogSize  = 4
	jitErrorLog     = 5
	jitErrorLogSize = 6
	jitLogVerbose   = 12

	inputPTX = 1

	funcMaxDynamicShared = 8
)

const logBytes = 64 << 10

// maxStaticShared is the shared memory that a block gets without opting in
// (CUDA C++ Programming Guide, technical specifications).
const maxStaticShared = 48 << 10

// jitLog is the pair of logs that the driver's compiler fills. It must live
// until the link is destroyed.
type jitLog struct {
	info, error [logBytes]byte
	keys        [5]uint32
	values      [5]uintptr
}

func newLog() *jitLog {
	g := new(jitLog)
	g.keys = [5]uint32{jitInfoLog, jitInfoLogSize, jitErrorLog, jitErrorLogSize, jitLogVerbose}
	g.values = [5]uintptr{uintptr(unsafe.Pointer(&g.info[0])), logBytes, uintptr(unsafe.Pointer(&g.error[0])), logBytes, 1}
	return g
}

func (g *jitLog) text() string  { return logText(g.info[:]) }
func (g *jitLog) fault() string { return logText(g.error[:]) }
func (g *jitLog) said() string  { return cmp.Or(g.fault(), g.text()) }

func logText(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return strings.TrimSpace(strings.ToValidUTF8(string(b), "?"))
}

// Module is code on a device.
type Module struct {
	d      *Device
	handle uintptr // CUmodule
	ptx    string
	log    string

	mu       sync.RWMutex // read-held during every launch, so that Unload waits
	unloaded bool
}

var (
	_ s2c.Module = (*Module)(nil)
	_ s2c.Logger = (*Module)(nil)
)

// LoadModule compiles PTX text, or takes the code from the disk cache where
// this driver compiled the same text for this kind of device before (text for
// one architecture alone, such as sm_90a, is cached by the driver instead). Text that
// the driver's compiler refuses is an ErrCompile with the compiler's log; a PTX
// version newer than the driver an ErrOldDriver; another architecture's text an
// ErrArchitecture.
func (d *Device) LoadModule(ptx string) (s2c.Module, error) {
	m := &Module{d: d, ptx: ptx}
	err := d.With(func() error {
		if err := d.CheckPTX(ptx); err != nil {
			return err
		}
		if wholeProgram(ptx) {
			return m.loadText()
		}
		if obj, ok := d.cache.get(ptx); ok {
			if m.load(obj.cubin) == nil {
				m.log = obj.log
				return nil
			}
			d.cache.drop(ptx) // whole, but not to the driver's liking: compile again
		}
		obj, err := d.compile(ptx)
		if err != nil {
			return err
		}
		m.log = obj.log
		if err := m.load(obj.cubin); err != nil {
			return err
		}
		d.cache.put(ptx, obj)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// wholeProgram says whether PTX must not go through the link API, the only one
// that hands out the code for the disk cache: it compiles for separate linking,
// and then ignores setmaxnreg and serialises wgmma (ptxas C7504 and C7510), which
// halves the speed of a Hopper kernel. The driver keeps a cache of its own, keyed
// like ours, for what it compiles while loading.
func wholeProgram(ptx string) bool {
	h, _ := readHeader(ptx)
	t, err := target.Parse(h.target)
	return err == nil && t.Rule == target.Chip
}

// loadText has the driver compile the module's PTX while it loads it.
func (m *Module) loadText() error {
	g, r := m.loadData(append([]byte(m.ptx), 0))
	if r != success {
		return m.d.compileError(cuModuleLoadDataEx, r, g.said(), m.ptx)
	}
	m.log = g.text()
	return nil
}

// loadData has the driver load code or text, with the context current.
func (m *Module) loadData(data []byte) (*jitLog, result) {
	g, h := newLog(), new(uintptr)
	r := m.d.lib.call(cuModuleLoadDataEx, uintptr(unsafe.Pointer(h)), uintptr(unsafe.Pointer(&data[0])),
		uintptr(len(g.keys)), uintptr(unsafe.Pointer(&g.keys[0])), uintptr(unsafe.Pointer(&g.values[0])))
	runtime.KeepAlive(g)
	m.handle = *h
	return g, r
}

// compile turns PTX into the device's code, with the context current.
func (d *Device) compile(ptx string) (object, error) {
	l := d.lib
	text, name := append([]byte(ptx), 0), []byte("kernel.ptx\x00")
	g, state := newLog(), new(uintptr)
	r := l.call(cuLinkCreate, uintptr(len(g.keys)), uintptr(unsafe.Pointer(&g.keys[0])), uintptr(unsafe.Pointer(&g.values[0])), uintptr(unsafe.Pointer(state)))
	if r != success {
		return object{}, d.compileError(cuLinkCreate, r, g.said(), ptx)
	}
	defer func() {
		l.call(cuLinkDestroy, *state)
		runtime.KeepAlive(g)
	}()
	r = l.call(cuLinkAddData, *state, inputPTX, uintptr(unsafe.Pointer(&text[0])), uintptr(len(text)), uintptr(unsafe.Pointer(&name[0])), 0, 0, 0)
	if r != success {
		return object{}, d.compileError(cuLinkAddData, r, g.said(), ptx)
	}
	out, n := new(*byte), new(uintptr)
	r = l.call(cuLinkComplete, *state, uintptr(unsafe.Pointer(out)), uintptr(unsafe.Pointer(n)))
	if r != success {
		return object{}, d.compileError(cuLinkComplete, r, g.said(), ptx)
	}
	if *out == nil || *n == 0 || *n > math.MaxInt32 {
		return object{}, s2c.Errorf(errDriver, "the NVIDIA driver compiled PTX into %d bytes", *n)
	}
	// The driver frees its copy with the link.
	return object{cubin: bytes.Clone(unsafe.Slice(*out, int(*n))), log: g.text()}, nil
}

// compileError says why PTX did not compile, with the lines of the text that
// the compiler's log names.
func (d *Device) compileError(p proc, r result, log, ptx string) error {
	h, _ := readHeader(ptx)
	err := d.lib.fail(p, r)
	switch r {
	case errNoBinary:
		return s2c.Errorf(s2c.ErrArchitecture, "PTX for %s does not run on %s: %v", h.target, d.Describe(), err)
	case errUnsupportedPTX:
		return s2c.Errorf(s2c.ErrOldDriver, "the NVIDIA driver is too old: it is for CUDA %s and does not know PTX %s: %v", dotted(d.lib.version), h.version, err)
	case errNoJITCompiler, errJITDisabled:
		return s2c.Errorf(s2c.ErrCompile, "the NVIDIA driver has no PTX compiler (libnvidia-ptxjitcompiler.so.1 is missing or CUDA_DISABLE_PTX_JIT is set): %v", err)
	case errOutOfMemory:
		return d.lib.check(p, r, "compiling PTX")
	}
	return s2c.Errorf(s2c.ErrCompile, "the NVIDIA driver refuses the PTX: %v\n%s", err, annotate(log, ptx))
}

// annotate adds the PTX line to each line of a compiler's log that names one.
func annotate(log, ptx string) string {
	lines := strings.Split(ptx, "\n")
	var b strings.Builder
	for line := range strings.Lines(log) {
		line = strings.TrimRight(line, "\n")
		fmt.Fprintln(&b, line)
		var n int
		if _, at, ok := strings.Cut(line, ", line "); ok {
			if _, err := fmt.Sscanf(at, "%d", &n); err == nil && n >= 1 && n <= len(lines) {
				fmt.Fprintf(&b, "\t%s\n", strings.TrimSpace(lines[n-1]))
			}
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// load gives the driver compiled code, with the context current.
func (m *Module) load(cubin []byte) error {
	g, r := m.loadData(cubin)
	if log := g.fault(); r != success && log != "" {
		return s2c.Errorf(errDriver, "loading compiled code on %s failed: %v\n%s", m.d.name, m.d.lib.fail(cuModuleLoadDataEx, r), log)
	}
	return m.d.lib.check(cuModuleLoadDataEx, r, "loading compiled code on "+m.d.name)
}

// AdoptModule is a CUmodule that the program made itself, of PTX text and in the
// device's context; log is what the compiler wrote. Unload unloads it.
func (d *Device) AdoptModule(handle uintptr, ptx string, log []byte) *Module {
	return &Module{d: d, handle: handle, ptx: ptx, log: logText(log)}
}

// CompileError is the error of LoadModule for a CUresult and a compiler's log.
func (d *Device) CompileError(code int, log []byte, ptx string) error {
	return d.compileError(cuModuleLoadDataEx, result(code), logText(log), ptx)
}

// JITLog is what the driver's compiler said, in the form of `ptxas -v`; the
// disk cache keeps it with the code.
func (m *Module) JITLog() string { return m.log }

// Unload gives the code back. A second call does nothing.
func (m *Module) Unload() error {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unloaded || m.d == nil {
		return nil
	}
	m.unloaded = true
	return m.d.With(func() error { return m.d.lib.do("unloading a module", cuModuleUnload, m.handle) })
}

// Function finds an entry and grants it dynamic shared memory. More than the
// device has for a block is an ErrArchitecture.
func (m *Module) Function(entry string, sharedBytes int) (s2c.Function, error) {
	if m == nil || m.d == nil {
		return nil, s2c.Errorf(s2c.ErrClosed, "kernel %s of a module that was not loaded", entry)
	}
	d := m.d
	if sharedBytes < 0 || sharedBytes > d.maxShared {
		return nil, s2c.Errorf(s2c.ErrArchitecture, "kernel %s needs %d bytes of shared memory a thread block, and %s has %d", entry, sharedBytes, d.name, d.maxShared)
	}
	if strings.IndexByte(entry, 0) >= 0 {
		return nil, s2c.Errorf(s2c.ErrKernel, "entry %q holds a zero byte", entry)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unloaded {
		return nil, s2c.Errorf(s2c.ErrClosed, "kernel %s of a module after Unload", entry)
	}
	f := &Function{m: m, entry: entry, shared: sharedBytes}
	name, h := append([]byte(entry), 0), new(uintptr)
	err := d.With(func() error {
		r := d.lib.call(cuModuleGetFunction, uintptr(unsafe.Pointer(h)), m.handle, uintptr(unsafe.Pointer(&name[0])))
		if r == errNotFound {
			return s2c.Errorf(s2c.ErrKernel, "the PTX text has no entry %s: %v", entry, d.lib.fail(cuModuleGetFunction, r))
		}
		if r != success {
			return d.lib.check(cuModuleGetFunction, r, "finding kernel "+entry)
		}
		f.handle = *h
		var err error
		f.declared = DeclaredParams(m.ptx, entry)
		if f.params, err = d.lib.ParamLayout(f.handle, f.declared.Count); err != nil || sharedBytes <= maxStaticShared {
			return err
		}
		return d.lib.do(fmt.Sprintf("granting %d bytes of shared memory", sharedBytes), cuFuncSetAttribute, f.handle, funcMaxDynamicShared, uintptr(sharedBytes))
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}
