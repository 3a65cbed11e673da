package runtime

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func mustLoad(t testing.TB, dev Device, k *Kernel) *Attention {
	t.Helper()
	a, err := Load(dev, k)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestLaunchPacksParameters(t *testing.T) {
	for _, target := range []string{"sm_80", "sm_90a"} {
		dev, k := newFake(9, 0), testKernel(target)
		a := mustLoad(t, dev, k)
		args := testArgs()
		if err := a.Launch(nil, args); err != nil {
			t.Fatal(err)
		}
		if len(dev.launches) != 1 {
			t.Fatalf("%d launches", len(dev.launches))
		}
		l := dev.launches[0]
		// Positions 200…299 are in tiles 3 and 4 of 64 rows.
		if l.grid != [3]int{2 * 32 * 2, 1, 1} || l.block != [3]int{128, 1, 1} || l.shared != 98304 || l.entry != "attn" {
			t.Errorf("%s: grid %v, block %v, shared %d, entry %s", target, l.grid, l.block, l.shared, l.entry)
		}
		want := map[string]uint64{
			"q": 0x1000, "k": 0x2000, "v": 0x3000, "o": 0x4000, "lse": 0x5004,
			"q_batch": 32 * 100 * 128, "q_head": 100 * 128, "q_seq": 128,
			"k_batch": 8 * 300 * 128, "k_head": 300 * 128, "k_seq": 128,
			"v_batch": 300 * 8 * 128, "v_head": 128, "v_seq": 8 * 128,
			"o_batch": 100 * 32 * 128, "o_head": 128, "o_seq": 32 * 128,
			"batch": 2, "q_len": 100, "k_len": 300, "scale": uint64(math.Float32bits(1.0 / 128)),
		}
		for name, w := range want {
			p := paramOf(k, name)
			got := uint64(binary.LittleEndian.Uint32(l.params[p.Offset:]))
			if p.Size == 8 {
				got = binary.LittleEndian.Uint64(l.params[p.Offset:])
			}
			if got != w {
				t.Errorf("%s: %s is %#x, want %#x", target, name, got, w)
			}
		}
		table := Ptr(binary.LittleEndian.Uint64(l.params[paramOf(k, "table").Offset:]))
		if got := string(dev.memory[table]); got != "table" {
			t.Errorf("%s: parameter table points at %q", target, got)
		}
		for _, m := range k.Maps {
			p := paramOf(k, m.Param)
			base := map[string]string{"q_map": "0x1000", "k_map": "0x2000", "v_map": "0x3000", "o_map": "0x4000"}[m.Param]
			if got := strings.TrimRight(string(l.params[p.Offset:p.Offset+128]), "\x00"); got != "map of "+base {
				t.Errorf("%s holds %q, want the map of %s", m.Param, got, base)
			}
		}
		args.Scale = 0.5
		if err := a.Launch(nil, args); err != nil {
			t.Fatal(err)
		}
		if got := binary.LittleEndian.Uint32(dev.launches[1].params[paramOf(k, "scale").Offset:]); got != math.Float32bits(0.5) {
			t.Errorf("scale is %v", math.Float32frombits(got))
		}
	}
}

func TestTensorMaps(t *testing.T) {
	dev, k := newFake(9, 0), testKernel("sm_90a")
	a := mustLoad(t, dev, k)
	args := testArgs()
	for range 3 {
		if err := a.Launch(nil, args); err != nil {
			t.Fatal(err)
		}
	}
	box := []uint32{64, 64, 1, 1}
	want := []TensorMap{
		{0x1000, []uint64{128, 100, 32, 2}, []uint64{256, 25600, 819200}, box, 128, BF16},
		{0x2000, []uint64{128, 300, 8, 2}, []uint64{256, 76800, 614400}, box, 128, BF16},
		{0x3000, []uint64{128, 300, 8, 2}, []uint64{2048, 256, 614400}, box, 128, BF16},
		{0x4000, []uint64{128, 100, 32, 2}, []uint64{8192, 256, 819200}, box, 128, BF16},
	}
	if diff := cmp.Diff(want, dev.maps); diff != "" {
		t.Errorf("three launches should encode each map once:\n%s", diff)
	}
	dev.maps = nil
	args.Batch, args.K.Batch = 1, 1<<50 // an axis of extent 1 may have any stride
	if err := a.Launch(nil, args); err != nil {
		t.Fatal(err)
	}
	if got := dev.maps[1].Strides[2]; got != 256 {
		t.Errorf("the unused batch stride became %d", got)
	}
	args.Batch = 2
	if err := a.Launch(nil, args); !errors.Is(err, ErrArgs) || !strings.Contains(err.Error(), "k_map: the batch stride") {
		t.Errorf("a stride past 2⁴⁰ bytes: %v", err)
	}
	boom := errors.New("boom")
	dev.fail["EncodeTensorMap"] = boom
	args = testArgs()
	args.Q.Ptr = 0x9000
	if err := a.Launch(nil, args); !errors.Is(err, boom) {
		t.Errorf("a failing encode: %v", err)
	}
}

func TestMapCacheForgetsTheOldest(t *testing.T) {
	var c mapCache
	key := func(i int) mapKey { return mapKey{t: Tensor{Ptr: Ptr(i)}} }
	for i := range mapCacheSize {
		c.add(key(i), [128]byte{byte(i)})
	}
	if _, ok := c.find(key(0)); !ok { // now key 1 is the oldest
		t.Fatal("lost a map while there was room")
	}
	c.add(key(mapCacheSize), [128]byte{})
	if _, ok := c.find(key(1)); ok {
		t.Error("kept the map used longest ago")
	}
	for i := range mapCacheSize + 1 {
		if i == 1 {
			continue
		}
		if m, ok := c.find(key(i)); !ok || m[0] != byte(i) && i < mapCacheSize {
			t.Errorf("map %d: %v, %v", i, m[0], ok)
		}
	}
	if len(c.entries) != mapCacheSize {
		t.Errorf("%d maps in a cache of %d", len(c.entries), mapCacheSize)
	}
}

func TestLaunchRefuses(t *testing.T) {
	limited := testKernel("sm_80")
	limited.MaxBlocks = 5
	huge := testKernel("sm_80")
	huge.Grid.Positions = 1
	for _, c := range []struct {
		name   string
		change func(*Args)
		want   string // part of the error; "": the launch is good
		k      *Kernel
	}{
		{"as it is", func(*Args) {}, "", nil},
		{"no batch", func(a *Args) { a.Batch = 0 }, "batch 0 is less than 1", nil},
		{"negative batch", func(a *Args) { a.Batch = -2 }, "batch -2", nil},
		{"no queries", func(a *Args) { a.QLen = 0 }, "q_len 0 is less than 1", nil},
		{"no keys", func(a *Args) { a.KLen = 0 }, "k_len 0 is less than 1", nil},
		{"more queries than keys", func(a *Args) { a.QLen = 301 }, "q_len 301 exceeds k_len 300", nil},
		{"too long", func(a *Args) { a.KLen = MaxLen + 1 }, "k_len 2147418113 exceeds 2147418112", nil},
		{"as long as the table", func(a *Args) { a.KLen = 320 }, "", limited},
		{"longer than the table", func(a *Args) { a.KLen = 321 }, "k_len 321 exceeds 320, the greatest length that the pattern's tables cover", limited},
		{"nil q", func(a *Args) { a.Q.Ptr = 0 }, "q: the pointer is nil", nil},
		{"nil k", func(a *Args) { a.K.Ptr = 0 }, "k: the pointer is nil", nil},
		{"nil v", func(a *Args) { a.V.Ptr = 0 }, "v: the pointer is nil", nil},
		{"nil o", func(a *Args) { a.O.Ptr = 0 }, "o: the pointer is nil", nil},
		{"misaligned k", func(a *Args) { a.K.Ptr += 8 }, "k: the pointer 0x2008 is not 16-byte aligned", nil},
		{"misaligned lse", func(a *Args) { a.LSE += 2 }, "lse: the pointer 0x5006 is not 4-byte aligned", nil},
		{"no lse", func(a *Args) { a.LSE = 0 }, "", nil},
		{"misaligned stride", func(a *Args) { a.V.Seq += 4 }, "v: the seq stride 1028 is no multiple of 8", nil},
		{"negative stride", func(a *Args) { a.Q.Head = -128 }, "q: the head stride -128 is negative", nil},
		{"repeated keys", func(a *Args) { a.K.Batch = 0 }, "", nil},
		{"repeated outputs", func(a *Args) { a.O.Batch = 0 }, "o: the batch stride 0 makes rows of the output overlap", nil},
		{"overlapping outputs", func(a *Args) { a.O.Head = 120 }, "o: the head stride 120", nil},
		{"unused output stride", func(a *Args) { a.Batch = 1; a.O.Batch = 0 }, "", nil},
		{"strides that overflow", func(a *Args) { a.K.Seq = 1 << 58 }, "k: the seq stride 288230376151711744 overflows", nil},
		{"past the address space", func(a *Args) { a.K.Ptr = math.MaxUint64 - 15 }, "runs past the address space", nil},
		{"not a number", func(a *Args) { a.Scale = math.NaN() }, "scale NaN", nil},
		{"infinite", func(a *Args) { a.Scale = math.Inf(1) }, "scale +Inf", nil},
		{"negative scale", func(a *Args) { a.Scale = -1 }, "scale -1", nil},
		{"too large for fp32", func(a *Args) { a.Scale = 1e300 }, "scale 1e+300", nil},
		{"zero in fp32", func(a *Args) { a.Scale = 1e-300 }, "scale 1e-300", nil},
		{"subnormal in fp32", func(a *Args) { a.Scale = 1e-40 }, "scale 1e-40", nil},
		{"too large to tell scores apart", func(a *Args) { a.Scale = 1e8 }, "scale 1e+08", nil},
		{"too many thread blocks", func(a *Args) {
			a.Batch = 1 << 20
			a.QLen = 300
			a.Q, a.O = BHSD(16, 32, 300, 128), BHSD(16, 32, 300, 128)
		}, "exceed 2³¹ − 1 thread blocks", huge},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := c.k
			if k == nil {
				k = testKernel("sm_80")
			}
			dev := newFake(8, 0)
			a := mustLoad(t, dev, k)
			args := testArgs()
			c.change(&args)
			err := a.Launch(nil, args)
			if c.want == "" {
				if err != nil || len(dev.launches) != 1 {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if !errors.Is(err, ErrArgs) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "attn") {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if len(dev.launches) != 0 {
				t.Error("launched nevertheless")
			}
		})
	}
}

// Every query row belongs to exactly one tile, whatever the offset.
func TestGridCoversQueries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := testKernel("sm_80")
		k.Grid = GridRule{Positions: rapid.SampledFrom([]int{16, 64, 128, 192}).Draw(t, "positions"), HeadTiles: 3}
		a := &Attention{kernel: *k}
		kLen := rapid.IntRange(1, 2000).Draw(t, "k_len")
		args := Args{Batch: 2, KLen: kLen, QLen: rapid.IntRange(1, kLen).Draw(t, "q_len")}
		tiles := map[int]bool{}
		for pos := kLen - args.QLen; pos < kLen; pos++ {
			tiles[pos/k.Grid.Positions] = true
		}
		if got, err := a.grid(&args); err != nil || got != len(tiles)*3*2 {
			t.Fatalf("grid %d, %v; %d tiles hold queries", got, err, len(tiles))
		}
	})
}

func TestPersistentGrid(t *testing.T) {
	k := testKernel("sm_80")
	k.Grid.Persistent = 2
	dev := newFake(8, 0)
	a := mustLoad(t, dev, k)
	for batch, want := range map[int]int{1: 8, 2: 8} { // 64 and 128 items, 4 SMs × 2
		args := testArgs()
		args.Batch = batch
		if got, err := a.grid(&args); err != nil || got != want {
			t.Errorf("batch %d: grid %d, %v", batch, got, err)
		}
	}
	a.kernel.Grid.HeadTiles, a.kernel.Grid.Positions = 1, 1024
	args := testArgs()
	if got, err := a.grid(&args); err != nil || got != 2 {
		t.Errorf("less work than thread blocks: grid %d, %v", got, err)
	}
}

func TestLoad(t *testing.T) {
	if _, err := Load(nil, testKernel("sm_80")); !errors.Is(err, ErrKernel) {
		t.Errorf("no device: %v", err)
	}
	if _, err := Load(newFake(8, 0), nil); !errors.Is(err, ErrKernel) {
		t.Errorf("no kernel: %v", err)
	}
	for _, c := range []struct {
		target       string
		major, minor int
		runs         bool
	}{
		{"sm_80", 7, 5, false}, {"sm_80", 8, 0, true}, {"sm_80", 8, 9, true}, {"sm_80", 9, 0, true}, {"sm_80", 12, 0, true},
		{"sm_86", 8, 0, false}, {"sm_90a", 9, 0, true}, {"sm_90a", 8, 9, false}, {"sm_90a", 10, 0, false}, {"sm_100a", 10, 0, true},
	} {
		_, err := Load(newFake(c.major, c.minor), testKernel(c.target))
		if (err == nil) != c.runs || err != nil && !errors.Is(err, ErrArchitecture) {
			t.Errorf("%s on %d.%d: %v", c.target, c.major, c.minor, err)
		}
	}
	a := mustLoad(t, newFake(8, 0), testKernel("sm_80"))
	if got := a.JITLog(); got != "log of .entry attn for sm_80" {
		t.Errorf("log %q", got)
	}
}

func TestLoadFailuresLeakNothing(t *testing.T) {
	boom := errors.New("boom")
	for _, method := range []string{"LoadModule", "Alloc", "Upload"} {
		dev := newFake(8, 0)
		dev.fail[method] = boom
		if _, err := Load(dev, testKernel("sm_80")); !errors.Is(err, boom) {
			t.Errorf("%s: %v", method, err)
		}
		if wantUnloads := map[bool]int{true: 0, false: 1}[method == "LoadModule"]; dev.unloads != wantUnloads || len(dev.memory) != 0 {
			t.Errorf("%s: %d modules unloaded, %d allocations left", method, dev.unloads, len(dev.memory))
		}
	}
	dev := newFake(8, 0)
	k := testKernel("sm_80")
	k.Entry = "other"
	if _, err := Load(dev, k); err == nil || dev.unloads != 1 {
		t.Errorf("a module without the entry: %v, %d unloaded", err, dev.unloads)
	}
}

func TestUnload(t *testing.T) {
	dev := newFake(8, 0)
	a := mustLoad(t, dev, testKernel("sm_80"))
	for range 2 {
		if err := a.Unload(); err != nil {
			t.Error(err)
		}
	}
	if dev.unloads != 1 || len(dev.memory) != 0 {
		t.Errorf("%d unloads, %d allocations left", dev.unloads, len(dev.memory))
	}
	if err := a.Launch(nil, testArgs()); !errors.Is(err, ErrClosed) {
		t.Errorf("launch after Unload: %v", err)
	}
}

// Launches with different arguments from many goroutines must not see each
// other's parameter blocks or maps.
func TestConcurrentLaunches(t *testing.T) {
	dev, k := newFake(9, 0), testKernel("sm_90a")
	a := mustLoad(t, dev, k)
	var wg sync.WaitGroup
	const workers, each = 8, 200
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				args := testArgs()
				args.Q.Ptr = Ptr(16 * (1 + w*each + i)) // more maps than the cache holds
				args.LSE = args.Q.Ptr
				if err := a.Launch(nil, args); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[uint64]bool{}
	for _, l := range dev.launches {
		q := binary.LittleEndian.Uint64(l.params[paramOf(k, "q").Offset:])
		lse := binary.LittleEndian.Uint64(l.params[paramOf(k, "lse").Offset:])
		off := paramOf(k, "q_map").Offset
		var want [128]byte
		m, _ := newFake(9, 0).EncodeTensorMap(TensorMap{Base: Ptr(q)})
		want = m
		if q != lse || string(l.params[off:off+128]) != string(want[:]) {
			t.Fatalf("a launch mixed two problems: q %#x, lse %#x, map %q", q, lse, l.params[off:off+16])
		}
		seen[q] = true
	}
	if len(seen) != workers*each {
		t.Errorf("%d distinct launches of %d", len(seen), workers*each)
	}
}

func TestLaunchDoesNotAllocate(t *testing.T) {
	dev := newFake(9, 0)
	dev.quiet = true
	a := mustLoad(t, dev, testKernel("sm_90a"))
	args := testArgs()
	if n := testing.AllocsPerRun(200, func() {
		if err := a.Launch(nil, args); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations a launch", n)
	}
}

func BenchmarkLaunch(b *testing.B) {
	dev := newFake(9, 0)
	dev.quiet = true
	a := mustLoad(b, dev, testKernel("sm_90a"))
	args := testArgs()
	for b.Loop() {
		if err := a.Launch(nil, args); err != nil {
			b.Fatal(err)
		}
	}
}

func TestKernelCheck(t *testing.T) {
	for name, change := range map[string]func(*Kernel){
		"target":             func(k *Kernel) { k.Target = "gfx90a" },
		"no target digits":   func(k *Kernel) { k.Target = "sm_" },
		"entry":              func(k *Kernel) { k.Entry = "" },
		"PTX":                func(k *Kernel) { k.PTX = "" },
		"zero byte in PTX":   func(k *Kernel) { k.PTX += "\x00.entry evil" },
		"shared":             func(k *Kernel) { k.SharedBytes = -1 },
		"threads":            func(k *Kernel) { k.BlockThreads = 100 },
		"no threads":         func(k *Kernel) { k.BlockThreads = 0 },
		"heads":              func(k *Kernel) { k.Heads = 0 },
		"kv heads":           func(k *Kernel) { k.KVHeads = 5 },
		"no kv heads":        func(k *Kernel) { k.KVHeads = 0 },
		"head dim":           func(k *Kernel) { k.HeadDim = 100 },
		"block":              func(k *Kernel) { k.Block = 48 },
		"dtype":              func(k *Kernel) { k.DType = "f32" },
		"scale":              func(k *Kernel) { k.Scale = 0 },
		"max blocks":         func(k *Kernel) { k.MaxBlocks = -1 },
		"positions":          func(k *Kernel) { k.Grid.Positions = 0 },
		"head tiles":         func(k *Kernel) { k.Grid.HeadTiles = 0 },
		"layers":             func(k *Kernel) { k.Layers = []int{2, 0} },
		"layer twice":        func(k *Kernel) { k.Layers = []int{2, 2} },
		"negative layer":     func(k *Kernel) { k.Layers = []int{-1} },
		"unknown parameter":  func(k *Kernel) { k.Params[0].Name = "x" },
		"parameter twice":    func(k *Kernel) { k.Params[1].Name = "q" },
		"parameter size":     func(k *Kernel) { k.Params[1].Size = 4 },
		"overlap":            func(k *Kernel) { k.Params[1].Offset = 0 },
		"misaligned":         func(k *Kernel) { k.Params[1].Offset = 4 },
		"far parameter":      func(k *Kernel) { k.Params[len(k.Params)-1].Offset = 1 << 40 },
		"table of no use":    func(k *Kernel) { k.Params = k.Params[:5] },
		"map without rule":   func(k *Kernel) { k.Maps = k.Maps[:3] },
		"rule without map":   func(k *Kernel) { k.Maps[0].Param = "q" },
		"rule twice":         func(k *Kernel) { k.Maps[0].Param = "k_map" },
		"no axes":            func(k *Kernel) { k.Maps[0].Axes, k.Maps[0].Box = nil, nil },
		"axis":               func(k *Kernel) { k.Maps[0].Axes[3] = "x" },
		"axis twice":         func(k *Kernel) { k.Maps[0].Axes[3] = AxisSeq },
		"first axis":         func(k *Kernel) { k.Maps[0].Axes[0], k.Maps[0].Axes[1] = AxisSeq, AxisDim },
		"box":                func(k *Kernel) { k.Maps[0].Box[1] = 257 },
		"no box":             func(k *Kernel) { k.Maps[0].Box = nil },
		"swizzle":            func(k *Kernel) { k.Maps[0].Swizzle = 16 },
		"box over swizzle":   func(k *Kernel) { k.Maps[0].Box[0] = 128 },
		"inner box of bytes": func(k *Kernel) { k.Maps[0].Box[0] = 12 },
	} {
		k := testKernel("sm_90a")
		if err := k.Check(); err != nil {
			t.Fatal(err)
		}
		change(k)
		if err := k.Check(); !errors.Is(err, ErrKernel) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
