package runtime

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/target"
)

// fakeDevice records what the package asks of a device.
type fakeDevice struct {
	major, minor, sms int

	mu       sync.Mutex
	memory   map[Ptr][]byte
	next     Ptr
	launches []fakeLaunch
	maps     []TensorMap
	unloads  int
	closes   int
	fail     map[string]error // by method
	quiet    bool             // keeps no launches
}

type fakeLaunch struct {
	entry       string
	shared      int
	stream      Stream
	grid, block [3]int
	params      []byte
}

func newFake(major, minor int) *fakeDevice {
	return &fakeDevice{major: major, minor: minor, sms: 4, memory: map[Ptr][]byte{}, next: 1 << 20, fail: map[string]error{}}
}

func (d *fakeDevice) Kind() string                  { return "fake" }
func (d *fakeDevice) Describe() string              { return fmt.Sprintf("Fake (sm_%d%d)", d.major, d.minor) }
func (d *fakeDevice) ComputeCapability() (int, int) { return d.major, d.minor }
func (d *fakeDevice) Multiprocessors() int          { return d.sms }

func (d *fakeDevice) Alloc(n int64) (Ptr, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.fail["Alloc"]; err != nil {
		return 0, err
	}
	p := d.next
	d.next += Ptr(n+255) &^ 255
	d.memory[p] = make([]byte, n)
	return p, nil
}

func (d *fakeDevice) Free(p Ptr) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.memory[p] == nil {
		return fmt.Errorf("free of %#x", p)
	}
	delete(d.memory, p)
	return nil
}

func (d *fakeDevice) Upload(dst Ptr, src []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.fail["Upload"]; err != nil {
		return err
	}
	copy(d.memory[dst], src)
	return nil
}

func (d *fakeDevice) Download(dst []byte, src Ptr) error { copy(dst, d.memory[src]); return nil }

func (d *fakeDevice) LoadModule(ptx string) (Module, error) {
	if err := d.fail["LoadModule"]; err != nil {
		return nil, err
	}
	return &fakeModule{d, ptx}, nil
}

func (d *fakeDevice) EncodeTensorMap(m TensorMap) (out [128]byte, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.fail["EncodeTensorMap"]; err != nil {
		return out, err
	}
	d.maps = append(d.maps, m)
	copy(out[:], fmt.Sprintf("map of %#x", m.Base))
	return out, nil
}

func (d *fakeDevice) NewStream() (Stream, error) { return nil, nil }
func (d *fakeDevice) Close() error               { d.closes++; return d.fail["Close"] }

type fakeModule struct {
	d   *fakeDevice
	ptx string
}

func (m *fakeModule) JITLog() string { return "log of " + m.ptx }
func (m *fakeModule) Unload() error  { m.d.unloads++; return nil }

func (m *fakeModule) Function(entry string, shared int) (Function, error) {
	if !strings.Contains(m.ptx, entry) {
		return nil, fmt.Errorf("no entry %s", entry)
	}
	return &fakeFunction{m.d, entry, shared}, nil
}

type fakeFunction struct {
	d      *fakeDevice
	entry  string
	shared int
}

func (f *fakeFunction) Launch(s Stream, grid, block [3]int, params []byte) error {
	if f.d.quiet {
		return nil
	}
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.launches = append(f.d.launches, fakeLaunch{f.entry, f.shared, s, grid, block, bytes.Clone(params)})
	return nil
}

// testPlan is a Phi-3-small-like plan whose kernel takes all that a forward one can.
func testPlan(name string) *launch.Plan {
	var maps []launch.Param
	on, err := target.Parse(name)
	if err != nil {
		panic(err)
	}
	if on == target.SM90a {
		for _, name := range []string{"q", "k", "v", "o"} {
			maps = append(maps, launch.MapOf(name, launch.MapRule{
				Axes: []launch.Axis{launch.AxisDim, launch.AxisSeq, launch.AxisHead, launch.AxisBatch}, Box: []uint32{64, 64, 1, 1}, Swizzle: 128,
			}))
		}
	}
	return &launch.Plan{
		Op: launch.Forward, Target: on, PTX: ".entry attn for " + name, Layers: []int{0, 2}, Table: []byte("table"),
		Shape: launch.Shape{Heads: 32, KVHeads: 8, HeadDim: 128, Block: 64, DType: BF16, Causal: true, Scale: 1.0 / 128},
		Kernels: []launch.Kernel{{
			Entry: "attn", SharedBytes: 98304, BlockThreads: 128, Grid: launch.GridRule{Over: launch.QueryTiles, Positions: 64, HeadTiles: 32},
			Params: launch.Place(launch.ForwardParams, maps),
		}},
	}
}

// testArgs is a good problem for testPlan: batch 2, q_len 100, k_len 300.
func testArgs() Args {
	return Args{
		Batch: 2, QLen: 100, KLen: 300,
		Tensors: Tensors{
			launch.Q: BHSD(0x1000, 32, 100, 128), launch.K: BHSD(0x2000, 8, 300, 128),
			launch.V: BSHD(0x3000, 300, 8, 128), launch.O: BSHD(0x4000, 100, 32, 128), launch.LSE: {Ptr: 0x5004},
		},
	}
}

func paramOf(p *launch.Plan, name string) launch.Param {
	list := p.Kernels[0].Params
	return list[slices.IndexFunc(list, func(p launch.Param) bool { return p.Name == name })]
}
