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

	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/target"
)

func mustLoad(t testing.TB, dev Device, p *launch.Plan) *Attention {
	t.Helper()
	a, err := Load(dev, p)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestLaunchPacksParameters(t *testing.T) {
	for _, target := range []string{"sm_80", "sm_90a"} {
		dev, k := newFake(9, 0), testPlan(target)
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
			if launch.Types[p.Type].Bytes == 8 {
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
		for _, p := range k.Kernels[0].Params {
			if p.Map == nil {
				continue
			}
			base := map[string]string{"q_map": "0x1000", "k_map": "0x2000", "v_map": "0x3000", "o_map": "0x4000"}[p.Name]
			if got := strings.TrimRight(string(l.params[p.Offset:p.Offset+128]), "\x00"); got != "map of "+base {
				t.Errorf("%s holds %q, want the map of %s", p.Name, got, base)
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
	dev, k := newFake(9, 0), testPlan("sm_90a")
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
	args.Batch, args.Tensors[launch.K].Batch = 1, 1<<50 // an axis of extent 1 may have any stride
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
	args.Tensors[launch.Q].Ptr = 0x9000
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
	limited := testPlan("sm_80")
	limited.MaxBlocks = 5
	huge := testPlan("sm_80")
	huge.Kernels[0].Grid.Positions = 1
	for _, c := range []struct {
		name   string
		change func(*Args)
		want   string // part of the error; "": the launch is good
		k      *launch.Plan
	}{
		{"as it is", func(*Args) {}, "", nil},
		{"no batch", func(a *Args) { a.Batch = 0 }, "batch 0 is less than 1", nil},
		{"negative batch", func(a *Args) { a.Batch = -2 }, "batch -2", nil},
		{"too great a batch", func(a *Args) { a.Batch = 1 << 31 }, "batch 2147483648 exceeds 2³¹ − 1", nil},
		{"no queries", func(a *Args) { a.QLen = 0 }, "q_len 0 is less than 1", nil},
		{"no keys", func(a *Args) { a.KLen = 0 }, "k_len 0 is less than 1", nil},
		{"more queries than keys", func(a *Args) { a.QLen = 301 }, "q_len 301 exceeds k_len 300", nil},
		{"too long", func(a *Args) { a.KLen = MaxLen + 1 }, "k_len 2147418113 exceeds 2147418112", nil},
		{"as long as the table", func(a *Args) { a.KLen = 320 }, "", limited},
		{"longer than the table", func(a *Args) { a.KLen = 321 }, "k_len 321 exceeds 320, the greatest length that the pattern's tables cover", limited},
		{"nil q", func(a *Args) { a.Tensors[launch.Q].Ptr = 0 }, "q: the pointer is nil", nil},
		{"nil k", func(a *Args) { a.Tensors[launch.K].Ptr = 0 }, "k: the pointer is nil", nil},
		{"nil v", func(a *Args) { a.Tensors[launch.V].Ptr = 0 }, "v: the pointer is nil", nil},
		{"nil o", func(a *Args) { a.Tensors[launch.O].Ptr = 0 }, "o: the pointer is nil", nil},
		{"misaligned k", func(a *Args) { a.Tensors[launch.K].Ptr += 8 }, "k: the pointer 0x2008 is not 16-byte aligned", nil},
		{"misaligned lse", func(a *Args) { a.Tensors[launch.LSE].Ptr += 2 }, "lse: the pointer 0x5006 is not 4-byte aligned", nil},
		{"no lse", func(a *Args) { a.Tensors[launch.LSE].Ptr = 0 }, "", nil},
		{"misaligned stride", func(a *Args) { a.Tensors[launch.V].Seq += 4 }, "v: the seq stride 1028 is no multiple of 8", nil},
		{"negative stride", func(a *Args) { a.Tensors[launch.Q].Head = -128 }, "q: the head stride -128 is negative", nil},
		{"repeated keys", func(a *Args) { a.Tensors[launch.K].Batch = 0 }, "", nil},
		{"repeated outputs", func(a *Args) { a.Tensors[launch.O].Batch = 0 }, "o: the batch stride 0 makes rows of the output overlap", nil},
		{"overlapping outputs", func(a *Args) { a.Tensors[launch.O].Head = 120 }, "o: the head stride 120", nil},
		{"outputs with the batch innermost", func(a *Args) {
			a.Tensors[launch.O] = Tensor{Ptr: 0x4000, Batch: 128, Head: 2 * 128, Seq: 32 * 2 * 128}
		}, "", nil},
		{"outputs that overlap with the batch innermost", func(a *Args) {
			a.Tensors[launch.O] = Tensor{Ptr: 0x4000, Batch: 128, Head: 2*128 - 8, Seq: 32 * 2 * 128}
		}, "o: the head stride 248 makes rows of the output overlap", nil},
		{"an lse with strides", func(a *Args) { a.Tensors[launch.LSE].Seq = 8 }, "lse: it is contiguous and takes no strides", nil},
		{"unused output stride", func(a *Args) { a.Batch = 1; a.Tensors[launch.O].Batch = 0 }, "", nil},
		{"strides that overflow", func(a *Args) { a.Tensors[launch.K].Seq = 1 << 58 }, "k: the seq stride 288230376151711744 overflows", nil},
		{"past the address space", func(a *Args) { a.Tensors[launch.K].Ptr = math.MaxUint64 - 15 }, "runs past the address space", nil},
		{"its end past the address space", func(a *Args) { a.Tensors[launch.K].Ptr = math.MaxUint64 - 1_200_015 }, "runs past the address space", nil},
		{"heads of the output overlap", func(a *Args) {
			a.Tensors[launch.O] = Tensor{Ptr: 0x4000, Batch: 1 << 20, Head: 50 * 128, Seq: 128}
		}, "o: the head stride 6400 makes rows of the output overlap", nil},
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
			a.Tensors[launch.Q], a.Tensors[launch.O] = BHSD(16, 32, 300, 128), BHSD(16, 32, 300, 128)
		}, "exceed 2³¹ − 1 thread blocks", huge},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := c.k
			if k == nil {
				k = testPlan("sm_80")
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
		k := testPlan("sm_80")
		rule := launch.GridRule{Over: launch.QueryTiles, Positions: rapid.SampledFrom([]int{16, 64, 128, 192}).Draw(t, "positions"), HeadTiles: 3}
		kLen := rapid.IntRange(1, 2000).Draw(t, "k_len")
		c := call{a: &Attention{plan: *k}, Args: Args{Batch: 2, KLen: kLen, QLen: rapid.IntRange(1, kLen).Draw(t, "q_len")}}
		tiles := map[int]bool{}
		for pos := kLen - c.QLen; pos < kLen; pos++ {
			tiles[pos/rule.Positions] = true
		}
		if got, err := c.grid(&rule); err != nil || got != len(tiles)*3*2 {
			t.Fatalf("grid %d, %v; %d tiles hold queries", got, err, len(tiles))
		}
	})
}

func TestPersistentGrid(t *testing.T) {
	a := mustLoad(t, newFake(8, 0), testPlan("sm_80"))
	rule := launch.GridRule{Over: launch.QueryTiles, Positions: 64, HeadTiles: 32, Persistent: 2}
	for batch, want := range map[int]int{1: 8, 2: 8} { // 64 and 128 items, 4 SMs × 2
		c := call{a: a, Args: testArgs()}
		c.Batch = batch
		if got, err := c.grid(&rule); err != nil || got != want {
			t.Errorf("batch %d: grid %d, %v", batch, got, err)
		}
	}
	rule.HeadTiles, rule.Positions = 1, 1024
	c := call{a: a, Args: testArgs()}
	if got, err := c.grid(&rule); err != nil || got != 2 {
		t.Errorf("less work than thread blocks: grid %d, %v", got, err)
	}
}

func TestLoad(t *testing.T) {
	if _, err := Load(nil, testPlan("sm_80")); !errors.Is(err, ErrKernel) {
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
		_, err := Load(newFake(c.major, c.minor), testPlan(c.target))
		if (err == nil) != c.runs || err != nil && !errors.Is(err, ErrArchitecture) {
			t.Errorf("%s on %d.%d: %v", c.target, c.major, c.minor, err)
		}
	}
	a := mustLoad(t, newFake(8, 0), testPlan("sm_80"))
	if got := a.JITLog(); got != "log of .entry attn for sm_80" {
		t.Errorf("log %q", got)
	}
}

func TestLoadFailuresLeakNothing(t *testing.T) {
	boom := errors.New("boom")
	for _, method := range []string{"LoadModule", "Alloc", "Upload"} {
		dev := newFake(8, 0)
		dev.fail[method] = boom
		if _, err := Load(dev, testPlan("sm_80")); !errors.Is(err, boom) {
			t.Errorf("%s: %v", method, err)
		}
		if wantUnloads := map[bool]int{true: 0, false: 1}[method == "LoadModule"]; dev.unloads != wantUnloads || len(dev.memory) != 0 {
			t.Errorf("%s: %d modules unloaded, %d allocations left", method, dev.unloads, len(dev.memory))
		}
	}
	dev := newFake(8, 0)
	k := testPlan("sm_80")
	k.Kernels[0].Entry = "other"
	if _, err := Load(dev, k); err == nil || dev.unloads != 1 {
		t.Errorf("a module without the entry: %v, %d unloaded", err, dev.unloads)
	}
}

func TestUnload(t *testing.T) {
	dev := newFake(8, 0)
	a := mustLoad(t, dev, testPlan("sm_80"))
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
	dev, k := newFake(9, 0), testPlan("sm_90a")
	a := mustLoad(t, dev, k)
	var wg sync.WaitGroup
	const workers, each = 8, 200
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				args := testArgs()
				args.Tensors[launch.Q].Ptr = Ptr(16 * (1 + w*each + i)) // more maps than the cache holds
				args.Tensors[launch.LSE].Ptr = args.Tensors[launch.Q].Ptr
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

// twoLaunches is a plan of two kernels with two workspaces between them.
func twoLaunches() *launch.Plan {
	p := testPlan("sm_90a")
	scratch := func(name string) launch.Param {
		return launch.Param{Name: name, Type: launch.U64, Source: launch.Source{From: launch.Scratch, Of: name}}
	}
	second := p.Kernels[0]
	second.Entry, second.BlockThreads, second.Grid.HeadTiles = ".entry", 64, 1
	second.Params = launch.Place([]launch.Param{scratch("rows"), scratch("all")})
	p.Workspaces = []launch.Workspace{{Name: "all", Bytes: 100}, {Name: "rows", Bytes: 4, Per: []launch.Count{launch.QLen, launch.KVHeads}}}
	p.Kernels = append(p.Kernels, second)
	return p
}

func TestTwoLaunches(t *testing.T) {
	dev := newFake(9, 0)
	a, args := mustLoad(t, dev, twoLaunches()), testArgs()
	args.Workspace = 0x10000
	if n, err := a.WorkspaceBytes(args); err != nil || n != 256+3328 {
		t.Errorf("a workspace of %d bytes, %v", n, err)
	}
	if err := a.Launch(nil, args); err != nil {
		t.Fatal(err)
	}
	if len(dev.launches) != 2 || dev.launches[0].entry != "attn" {
		t.Fatalf("launched %+v", dev.launches)
	}
	l := dev.launches[1]
	if l.entry != ".entry" || l.grid != [3]int{2 * 2, 1, 1} || l.block != [3]int{64, 1, 1} || len(l.params) != 16 {
		t.Errorf("the second launch is %+v", l)
	}
	if rows, all := binary.LittleEndian.Uint64(l.params), binary.LittleEndian.Uint64(l.params[8:]); rows != 0x10100 || all != 0x10000 {
		t.Errorf("workspaces at %#x and %#x", rows, all)
	}
	for want, change := range map[string]func(*Args){
		"the workspace is nil; it takes 3584 bytes": func(a *Args) { a.Workspace = 0 },
		"0x10080 is not 256-byte aligned":           func(a *Args) { a.Workspace += 128 },
		"runs past the address space":               func(a *Args) { a.Workspace = math.MaxUint64 - 255 },
		"exceed 2³¹ − 1 thread blocks":              func(a *Args) { a.Batch = 1 << 30; a.Tensors[launch.O].Batch = 1 << 20 },
		"q_len 0 is less than 1":                    func(a *Args) { a.QLen = 0 },
	} {
		bad := args
		change(&bad)
		if err := a.Launch(nil, bad); !errors.Is(err, ErrArgs) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an ErrArgs with %q", err, want)
		}
	}
	if len(dev.launches) != 2 {
		t.Error("a bad launch began nevertheless")
	}
	args.QLen = 0
	if _, err := a.WorkspaceBytes(args); !errors.Is(err, ErrArgs) {
		t.Errorf("the workspace of no queries: %v", err)
	}
	p := twoLaunches()
	p.Workspaces[1].Bytes = 1 << 47
	if _, err := mustLoad(t, dev, p).WorkspaceBytes(testArgs()); !errors.Is(err, ErrArgs) || !strings.Contains(err.Error(), "rows takes more than 2⁴⁸ bytes") {
		t.Errorf("a workspace too large: %v", err)
	}
	a.Unload()
	if _, err := a.WorkspaceBytes(testArgs()); !errors.Is(err, ErrClosed) {
		t.Errorf("the workspace after Unload: %v", err)
	}
}

func TestLaunchDoesNotAllocate(t *testing.T) {
	for _, p := range []*launch.Plan{testPlan("sm_80"), testPlan("sm_90a"), twoLaunches()} {
		dev := newFake(9, 0)
		dev.quiet = true
		a := mustLoad(t, dev, p)
		args := testArgs()
		args.Workspace = 0x10000
		if n := testing.AllocsPerRun(200, func() {
			if err := a.Launch(nil, args); err != nil {
				t.Fatal(err)
			}
		}); n > 0 {
			t.Errorf("%v, %d kernels: %v allocations a launch", p.Target, len(p.Kernels), n)
		}
	}
}

// TestLaunchAgain changes one argument after the other between launches: each launch is
// what it is on a plan that has launched nothing before.
func TestLaunchAgain(t *testing.T) {
	base := testArgs()
	base.Workspace = 0x10000
	for _, p := range []*launch.Plan{testPlan("sm_90a"), twoLaunches()} {
		dev := newFake(9, 0)
		a := mustLoad(t, dev, p)
		for n, change := range []func(*Args){
			func(*Args) {}, func(a *Args) { a.Batch = 1 }, func(a *Args) { a.QLen = 60 }, func(a *Args) { a.KLen = 299 },
			func(a *Args) { a.Scale = 0.25 }, func(a *Args) { a.Workspace += 0x100 },
			func(a *Args) { a.Tensors[launch.Q].Ptr += 0x100 }, func(a *Args) { a.Tensors[launch.K].Seq += 8 },
			func(a *Args) { a.Tensors[launch.V].Batch *= 2 }, func(a *Args) { a.Tensors[launch.O].Head += 1 << 20 },
			func(a *Args) { a.Tensors[launch.LSE].Ptr = 0 },
		} {
			args, fresh := base, newFake(9, 0)
			change(&args)
			dev.launches = nil
			other := mustLoad(t, fresh, p)
			for _, args := range []Args{base, args, args} { // a call that failed, or was another's, is none
				bad := args
				bad.KLen = 0
				if err := a.Launch(nil, bad); err == nil {
					t.Fatal("no keys, no error")
				}
				if err := a.Launch(nil, args); err != nil {
					t.Fatal(n, err)
				}
				if _, err := a.WorkspaceBytes(args); err != nil {
					t.Fatal(n, err)
				}
			}
			if err := other.Launch(nil, args); err != nil {
				t.Fatal(n, err)
			}
			steps := len(p.Kernels)
			for i, want := range fresh.launches {
				for _, again := range []int{steps, 2 * steps} {
					if diff := cmp.Diff(want, dev.launches[again+i], cmp.AllowUnexported(fakeLaunch{})); diff != "" {
						t.Errorf("%s, change %d, kernel %d of launch %d:\n%s", p.Name(), n, i, again/steps, diff)
					}
				}
			}
		}
	}
}

func BenchmarkLaunch(b *testing.B) {
	dev := newFake(9, 0)
	dev.quiet = true
	a := mustLoad(b, dev, testPlan("sm_90a"))
	args := testArgs()
	for b.Loop() {
		if err := a.Launch(nil, args); err != nil {
			b.Fatal(err)
		}
	}
}

func TestCheckPlan(t *testing.T) {
	for name, c := range map[string]struct {
		want   string
		change func(*launch.Plan)
	}{
		"target":           {"target must be given", func(p *launch.Plan) { p.Target = target.Target{} }},
		"operation":        {"op must be", func(p *launch.Plan) { p.Op = "sideways" }},
		"PTX":              {"PTX text must not be empty", func(p *launch.Plan) { p.PTX = "" }},
		"zero byte in PTX": {"zero byte", func(p *launch.Plan) { p.PTX += "\x00.entry evil" }},
		"heads":            {"heads must be", func(p *launch.Plan) { p.Heads = 0 }},
		"kv heads":         {"kv_heads must", func(p *launch.Plan) { p.KVHeads = 5 }},
		"no kv heads":      {"kv_heads must", func(p *launch.Plan) { p.KVHeads = 0 }},
		"head dim":         {"head_dim must", func(p *launch.Plan) { p.HeadDim = 100 }},
		"block":            {"block must", func(p *launch.Plan) { p.Block = 48 }},
		"dtype":            {"dtype must", func(p *launch.Plan) { p.DType = "f32" }},
		"scale":            {"scale must", func(p *launch.Plan) { p.Scale = 0 }},
		"max blocks":       {"max_blocks must", func(p *launch.Plan) { p.MaxBlocks = -1 }},
		"layers":           {"layers must", func(p *launch.Plan) { p.Layers = []int{2, 0} }},
		"layer twice":      {"layers must", func(p *launch.Plan) { p.Layers = []int{2, 2} }},
		"negative layer":   {"layers must", func(p *launch.Plan) { p.Layers = []int{-1} }},
		"no kernels":       {"1 to 16 kernels", func(p *launch.Plan) { p.Kernels = nil }},
		"many kernels":     {"1 to 16 kernels", func(p *launch.Plan) { p.Kernels = make([]launch.Kernel, 17) }},
		"many workspaces":  {"at most 16 workspaces", func(p *launch.Plan) { p.Workspaces = make([]launch.Workspace, 17) }},
		"table of no use":  {"must take the table", func(p *launch.Plan) { p.Kernels[0].Params = p.Kernels[0].Params[:5] }},
		"workspace name":   {"its name", func(p *launch.Plan) { p.Workspaces = []launch.Workspace{{Bytes: 4}} }},
		"workspace twice":  {"its name", func(p *launch.Plan) { p.Workspaces = []launch.Workspace{{Name: "x", Bytes: 4}, {Name: "x", Bytes: 4}} }},
		"workspace bytes":  {"bytes must", func(p *launch.Plan) { p.Workspaces = []launch.Workspace{{Name: "x"}} }},
		"workspace count": {"per must", func(p *launch.Plan) {
			p.Workspaces = []launch.Workspace{{Name: "x", Bytes: 4, Per: []launch.Count{"moons"}}}
		}},
		"entry":             {"entry must", func(p *launch.Plan) { p.Kernels[0].Entry = "" }},
		"shared":            {"shared_bytes must", func(p *launch.Plan) { p.Kernels[0].SharedBytes = -1 }},
		"threads":           {"block_threads must", func(p *launch.Plan) { p.Kernels[0].BlockThreads = 100 }},
		"no threads":        {"block_threads must", func(p *launch.Plan) { p.Kernels[0].BlockThreads = 0 }},
		"positions":         {"positions must", func(p *launch.Plan) { p.Kernels[0].Grid.Positions = 0 }},
		"tiling":            {"known tiling", func(p *launch.Plan) { p.Kernels[0].Grid.Over = "moons" }},
		"head tiles":        {"head_tiles must", func(p *launch.Plan) { p.Kernels[0].Grid.HeadTiles = 0 }},
		"persistent":        {"persistent must", func(p *launch.Plan) { p.Kernels[0].Grid.Persistent = -1 }},
		"no name":           {"its name", func(p *launch.Plan) { p.Kernels[0].Params[0].Name = "" }},
		"parameter twice":   {"its name", func(p *launch.Plan) { p.Kernels[0].Params[1].Name = "q" }},
		"unknown source":    {"known kind of source", func(p *launch.Plan) { p.Kernels[0].Params[0].From = "x" }},
		"type":              {"type must be u64", func(p *launch.Plan) { p.Kernels[0].Params[1].Type = "u32" }},
		"overlap":           {"offset must", func(p *launch.Plan) { p.Kernels[0].Params[1].Offset = 0 }},
		"misaligned":        {"offset must", func(p *launch.Plan) { p.Kernels[0].Params[1].Offset = 12 }},
		"far parameter":     {"offset must", func(p *launch.Plan) { p.Kernels[0].Params[25].Offset = 1 << 40 }},
		"no tensor":         {"names nothing", func(p *launch.Plan) { p.Kernels[0].Params[0].Of = "x" }},
		"axis of address":   {"names nothing", func(p *launch.Plan) { p.Kernels[0].Params[0].Axis = launch.AxisSeq }},
		"no axis":           {"names nothing", func(p *launch.Plan) { p.Kernels[0].Params[6].Axis = "" }},
		"stride of dim":     {"names nothing", func(p *launch.Plan) { p.Kernels[0].Params[6].Axis = launch.AxisDim }},
		"stride of packed":  {"names nothing", func(p *launch.Plan) { p.Kernels[0].Params[6].Of = "lse" }},
		"no count":          {"names nothing", func(p *launch.Plan) { p.Kernels[0].Params[18].Of = "moons" }},
		"scale of a tensor": {"names nothing", func(p *launch.Plan) { p.Kernels[0].Params[21].Of = "q" }},
		"no workspace": {"names nothing", func(p *launch.Plan) {
			p.Kernels[0].Params[0].Source = launch.Source{From: launch.Scratch, Of: "sums"}
		}},
		"tensor of another operation": {"names nothing that fill has", func(p *launch.Plan) { p.Op = "fill" }},
		"map without rule":            {"must have a rule", func(p *launch.Plan) { p.Kernels[0].Params[22].Map = nil }},
		"rule without map":            {"must have a rule", func(p *launch.Plan) { p.Kernels[0].Params[0].Map = p.Kernels[0].Params[22].Map }},
		"no axes":                     {"2 to 5 axes", onMap(func(m *launch.MapRule) { m.Axes, m.Box = nil, nil })},
		"axis":                        {"names nothing", onMap(func(m *launch.MapRule) { m.Axes[3] = "x" })},
		"axis twice":                  {"no axis twice", onMap(func(m *launch.MapRule) { m.Axes[3] = launch.AxisSeq })},
		"first axis":                  {"the first of them dim", onMap(func(m *launch.MapRule) { m.Axes[0], m.Axes[1] = launch.AxisSeq, launch.AxisDim })},
		"box":                         {"from 1 to 256", onMap(func(m *launch.MapRule) { m.Box[1] = 257 })},
		"no box":                      {"as many box extents", onMap(func(m *launch.MapRule) { m.Box = nil })},
		"swizzle":                     {"a swizzle of", onMap(func(m *launch.MapRule) { m.Swizzle = 16 })},
		"box over swizzle":            {"within the swizzle", onMap(func(m *launch.MapRule) { m.Box[0] = 128 })},
		"inner box of bytes":          {"multiple of 16 bytes", onMap(func(m *launch.MapRule) { m.Box[0] = 12 })},
	} {
		launch.Operations["fill"] = launch.Operation{Writes: []launch.Role{launch.O}}
		p := testPlan("sm_90a")
		if err := CheckPlan(p); err != nil {
			t.Fatal(err)
		}
		c.change(p)
		if err := CheckPlan(p); !errors.Is(err, ErrKernel) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an ErrKernel with %q", name, err, c.want)
		}
		delete(launch.Operations, "fill")
	}
}

// onMap changes the first tensor map's rule.
func onMap(change func(*launch.MapRule)) func(*launch.Plan) {
	return func(p *launch.Plan) { change(p.Kernels[0].Params[22].Map) }
}

// Every row of package launch can be read: a number without a reader would be a
// launch that fails.
func TestTablesAreRead(t *testing.T) {
	for _, x := range launch.Tensors {
		for _, e := range x.Axes {
			if counts[e.Count] == nil {
				t.Errorf("no launch reads %s, the extent of %s along %s", e.Count, x.Name, e.Axis)
			}
		}
		if len(x.Axes) > 4 {
			t.Errorf("%s has %d axes", x.Name, len(x.Axes))
		}
	}
	for from, s := range sources {
		if _, ok := launch.Types[s.typ]; !ok || s.bind == nil || s.put == nil {
			t.Errorf("source %s is incomplete", from)
		}
	}
}
