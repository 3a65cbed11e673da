package emu

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/s2attention/s2c/runtime"
)

// tmaCase is one box of a tensor of 16-bit elements that count up from 1.
type tmaCase struct {
	dims    []uint64
	box     []uint32
	at      []int
	swizzle int
	pad     int // bytes between rows
}

// tensor makes the tensor in host memory and its description.
func (c *tmaCase) tensor() ([]byte, runtime.TensorMap) {
	m := runtime.TensorMap{Dims: c.dims, Box: c.box, Swizzle: c.swizzle, DType: runtime.BF16}
	size := (c.dims[0]*2 + 15) &^ 15
	for _, n := range c.dims[1:] {
		size += uint64(c.pad)
		m.Strides = append(m.Strides, size)
		size *= n
	}
	data := make([]byte, size)
	n := uint16(0)
	each(c.dims, func(i []int) {
		n++
		binary.LittleEndian.PutUint16(data[c.offset(m, i):], n)
	})
	return data, m
}

func (c *tmaCase) offset(m runtime.TensorMap, i []int) int {
	at := 2 * i[0]
	for d := 1; d < len(i); d++ {
		at += i[d] * int(m.Strides[d-1])
	}
	return at
}

// each walks an index space, the first index fastest.
func each[T uint32 | uint64](dims []T, f func(i []int)) {
	i := make([]int, len(dims))
	for {
		f(i)
		d := 0
		for ; d < len(dims); d++ {
			if i[d]++; i[d] < int(dims[d]) {
				break
			}
			i[d] = 0
		}
		if d == len(dims) {
			return
		}
	}
}

// image is what a load leaves in shared memory, from an address that is a multiple of 1024.
func (c *tmaCase) image(data []byte, m runtime.TensorMap) []byte {
	var linear []byte
	each(c.box, func(i []int) {
		var v uint16
		inside, at := true, make([]int, len(i))
		for d := range i {
			at[d] = c.at[d] + i[d]
			inside = inside && at[d] >= 0 && at[d] < int(c.dims[d])
		}
		if inside {
			v = binary.LittleEndian.Uint16(data[c.offset(m, at):])
		}
		linear = binary.LittleEndian.AppendUint16(linear, v)
	})
	out := make([]byte, len(linear))
	for at := 0; at < len(linear); at += 16 {
		to := at
		if c.swizzle > 0 {
			to ^= at / 128 % 8 * 16 & (c.swizzle - 16)
		}
		copy(out[to:to+16], linear[at:])
	}
	return out
}

// tmaHead starts a module whose kernel k takes a tensor map, then p0.
func tmaText(body string) string {
	text := kernelText("sm_90a", 1, externShared, body)
	return strings.Replace(text, "k(.param .u64 p0", "k(.param .align 64 .b8 tm[128], .param .u64 p0", 1)
}

// launchTMA runs kernel text of tmaText with a map of the tensor and a buffer of n bytes.
func launchTMA(t testing.TB, o Options, text string, c *tmaCase, threads int, buffer []byte) (tensor, out []byte, err error) {
	t.Helper()
	h := newHarness(t, o, text, 64<<10)
	data, m := c.tensor()
	m.Base = h.upload(data)
	enc, err := h.dev.EncodeTensorMap(m)
	if err != nil {
		t.Fatal(err)
	}
	p := h.upload(buffer)
	params := append(enc[:], u32s(uint32(p), uint32(p>>32))...)
	err = h.fn.Launch(nil, [3]int{1, 1, 1}, [3]int{threads, 1, 1}, params)
	cover(h.dev)
	if err != nil {
		return nil, nil, err
	}
	return h.download(m.Base, len(data)), h.download(p, len(buffer)), nil
}

// coordinateList puts the coordinates of a case into registers.
func (c *tmaCase) coordinates() (setup, list string) {
	var regs []string
	for d, x := range c.at {
		regs = append(regs, fmt.Sprintf("%%r%d", 40+d))
		setup += fmt.Sprintf("mov.b32 %%r%d, %d;\n", 40+d, x)
	}
	return setup, "{" + strings.Join(regs, ", ") + "}"
}

const tmaPrologue = `ld.param.b64 %rd1, [p0];
mov.u64 %rd2, tm;
cvta.param.u64 %rd3, %rd2;
mov.u32 %r1, %tid.x;
mov.u32 %r2, smem;
setp.eq.u32 %p1, %r1, 0;
@%p1 prefetch.param.tensormap [%rd2];
@%p1 mbarrier.init.shared.b64 [%r2+65520], 1;
fence.mbarrier_init.release.cluster;
bar.sync 0;
`

// loadBox copies the box to smem, waits, and copies n bytes of smem to p0.
func loadBox(opcode, setup, list, hint string, n int) string {
	return tmaPrologue + setup + fmt.Sprintf(`mov.b64 %%rd9, 0;
@!%%p1 bra WAIT;
mbarrier.arrive.expect_tx.shared.b64 _, [%%r2+65520], %d;
%s [%%r2], [%%rd3, %s], [%%r2+65520]%s;
WAIT:
mbarrier.try_wait.parity.shared.b64 %%p2, [%%r2+65520], 0;
@!%%p2 bra WAIT;
`, n, opcode, list, hint) + copyOut(n)
}

// copyOut copies n bytes of shared memory to p0, 32 threads 16 bytes each at a time.
func copyOut(n int) string {
	return fmt.Sprintf(`mad.lo.u32 %%r3, %%r1, 16, %%r2;
mul.wide.u32 %%rd4, %%r1, 16;
add.s64 %%rd4, %%rd1, %%rd4;
mul.lo.u32 %%r4, %%r1, 16;
COPY:
setp.ge.u32 %%p3, %%r4, %d;
@%%p3 bra END;
ld.shared.v4.b32 {%%r5, %%r6, %%r7, %%r8}, [%%r3];
st.global.v4.b32 [%%rd4], {%%r5, %%r6, %%r7, %%r8};
add.u32 %%r3, %%r3, 512;
add.s64 %%rd4, %%rd4, 512;
add.u32 %%r4, %%r4, 512;
bra COPY;
END:
`, n)
}

var tmaCases = []tmaCase{
	{dims: []uint64{64, 20}, box: []uint32{64, 16}, at: []int{0, 2}, swizzle: 128},
	{dims: []uint64{64, 20}, box: []uint32{64, 16}, at: []int{0, 10}, swizzle: 128, pad: 32}, // past the end
	{dims: []uint64{100, 9}, box: []uint32{32, 8}, at: []int{80, -3}, swizzle: 64},           // both ends
	{dims: []uint64{24, 9}, box: []uint32{16, 32}, at: []int{-8, 0}, swizzle: 32},
	{dims: []uint64{24, 9}, box: []uint32{24, 8}, at: []int{0, 1}},
	{dims: []uint64{128, 7, 3}, box: []uint32{64, 8, 2}, at: []int{64, 0, 1}, swizzle: 128},
	{dims: []uint64{72, 5, 4, 2}, box: []uint32{64, 4, 1, 1}, at: []int{64, 3, 2, 1}, swizzle: 128, pad: 16},
	{dims: []uint64{16, 3, 2, 3, 2}, box: []uint32{8, 2, 2, 2, 2}, at: []int{8, 1, 0, 2, -1}},
	{dims: []uint64{8, 2}, box: []uint32{8, 8}, at: []int{1000, 1000}}, // all outside
}

func TestTmaLoad(t *testing.T) {
	for _, c := range tmaCases {
		data, m := c.tensor()
		want := c.image(data, m)
		setup, list := c.coordinates()
		for seed, suffix := range []string{"", ".L2::cache_hint"} {
			hint := ""
			if suffix != "" {
				hint = ", %rd9"
			}
			opcode := fmt.Sprintf("cp.async.bulk.tensor.%dd.shared::cluster.global.mbarrier::complete_tx::bytes%s", len(c.dims), suffix)
			o := Options{Shuffle: seed > 0, Seed: uint64(seed)}
			_, got, err := launchTMA(t, o, tmaText(loadBox(opcode, setup, list, hint, len(want))), &c, 32, make([]byte, len(want)))
			if err != nil {
				t.Fatalf("%+v: %v", c, err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%+v: got\n% x\nwant\n% x", c, got, want)
			}
		}
	}
}

// storeBox fills n bytes of smem from p0 and stores the box.
func storeBox(rank int, setup, list, wait string, n int) string {
	return tmaPrologue + setup + fmt.Sprintf(`mad.lo.u32 %%r3, %%r1, 16, %%r2;
mul.wide.u32 %%rd4, %%r1, 16;
add.s64 %%rd4, %%rd1, %%rd4;
mul.lo.u32 %%r4, %%r1, 16;
COPY:
setp.ge.u32 %%p3, %%r4, %d;
@%%p3 bra END;
ld.global.v4.b32 {%%r5, %%r6, %%r7, %%r8}, [%%rd4];
st.shared.v4.b32 [%%r3], {%%r5, %%r6, %%r7, %%r8};
add.u32 %%r3, %%r3, 512;
add.s64 %%rd4, %%rd4, 512;
add.u32 %%r4, %%r4, 512;
bra COPY;
END:
fence.proxy.async.shared::cta;
bar.warp.sync -1;
@!%%p1 bra DONE;
cp.async.bulk.tensor.%dd.global.shared::cta.bulk_group [%%rd3, %s], [%%r2];
cp.async.bulk.commit_group;
%s
DONE:
`, n, rank, list, wait)
}

func TestTmaStore(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for i, c := range tmaCases {
		negative := false
		for _, x := range c.at {
			negative = negative || x < 0
		}
		data, m := c.tensor()
		image := make([]byte, len(c.image(data, m)))
		for k := range image {
			image[k] = byte(rng.Uint32())
		}
		setup, list := c.coordinates()
		wait := []string{"cp.async.bulk.wait_group 0;", "cp.async.bulk.wait_group.read 0;"}[i%2]
		got, _, err := launchTMA(t, Options{}, tmaText(storeBox(len(c.dims), setup, list, wait, len(image))), &c, 32, image)
		if negative {
			wantFault(t, err, CheckTensorMap, "negative")
			continue
		}
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		want := append([]byte(nil), data...)
		at := 0
		each(c.box, func(i []int) {
			from := at
			at += 2
			if c.swizzle > 0 {
				from ^= from / 128 % 8 * 16 & (c.swizzle - 16)
			}
			pos := make([]int, len(i))
			for d := range i {
				if pos[d] = c.at[d] + i[d]; pos[d] >= int(c.dims[d]) {
					return
				}
			}
			copy(want[c.offset(m, pos):][:2], image[from:])
		})
		if !bytes.Equal(got, want) {
			t.Errorf("%+v: the tensor differs", c)
		}
	}
}

func TestTensorMapRules(t *testing.T) {
	dev := New(Options{})
	good := func() runtime.TensorMap {
		return runtime.TensorMap{Base: 1 << 20, Dims: []uint64{128, 10, 4}, Strides: []uint64{256, 2560}, Box: []uint32{64, 64, 1}, Swizzle: 128, DType: runtime.F16}
	}
	if _, err := dev.EncodeTensorMap(good()); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(m *runtime.TensorMap){
		"rank 0":               func(m *runtime.TensorMap) { m.Dims = nil },
		"rank 6":               func(m *runtime.TensorMap) { m.Dims = make([]uint64, 6) },
		"with 1 strides":       func(m *runtime.TensorMap) { m.Strides = m.Strides[:1] },
		"no multiple of 16":    func(m *runtime.TensorMap) { m.Base += 8 },
		"stride 0 is 250":      func(m *runtime.TensorMap) { m.Strides[0] = 250 },
		"below 2⁴⁰":            func(m *runtime.TensorMap) { m.Strides[1] = 1 << 40 },
		"dimension 1 has 0":    func(m *runtime.TensorMap) { m.Dims[1] = 0 },
		"dimension 2 has":      func(m *runtime.TensorMap) { m.Dims[2] = 1<<32 + 1 },
		"box dimension 1 is 0": func(m *runtime.TensorMap) { m.Box[1] = 0 },
		"is 257":               func(m *runtime.TensorMap) { m.Box[1] = 257 },
		"multiple of 16":       func(m *runtime.TensorMap) { m.Box[0] = 12 },
		"exceeds the swizzle":  func(m *runtime.TensorMap) { m.Box[0] = 128 },
		"swizzle of 256":       func(m *runtime.TensorMap) { m.Swizzle = 256 },
		"element type":         func(m *runtime.TensorMap) { m.DType = "f64" },
	} {
		m := good()
		change(&m)
		if _, err := dev.EncodeTensorMap(m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestTmaFaults breaks a correct load and a correct store in one place each.
func TestTmaFaults(t *testing.T) {
	c := tmaCase{dims: []uint64{64, 20}, box: []uint32{64, 16}, at: []int{0, 2}, swizzle: 128}
	setup, list := c.coordinates()
	const n = 2048
	load := tmaText(loadBox("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes", setup, list, "", n))
	store := tmaText(storeBox(2, setup, list, "cp.async.bulk.wait_group.read 0;", n))
	for _, x := range []struct {
		mutation
		text string
		want Check
	}{
		{mutation{"no wait", `^@!%p2 bra WAIT`, 0, drop}, load, CheckAsync | CheckRace},
		{mutation{"wrong parity", `try_wait`, 0, replace(", 0;", ", 1;")}, load, CheckAsync | CheckRace | CheckDeadlock},
		{mutation{"waits for a phase that never ends", `expect_tx`, 0, replace("2048", "4096")}, load, CheckDeadlock},
		{mutation{"expects too little", `expect_tx`, 0, replace("2048", "1024")}, load, CheckDeadlock | CheckBarrier},
		{mutation{"plain arrival", `expect_tx`, 0, replace(`\.expect_tx(.*), 2048`, "$1")}, load, CheckBarrier | CheckAsync | CheckRace},
		{mutation{"no initialisation", `mbarrier\.init`, 0, drop}, load, CheckBarrier},
		{mutation{"count too high", `mbarrier\.init`, 0, replace(", 1;", ", 2;")}, load, CheckDeadlock},
		{mutation{"no fence of the initialisation", `fence\.mbarrier`, 0, drop}, load, CheckProxy},
		{mutation{"no barrier behind the initialisation", `bar\.sync`, 0, drop}, load, CheckRace},
		{mutation{"misplaced mbarrier", `expect_tx`, 0, replace("65520", "65528")}, load, CheckBarrier},
		{mutation{"box not aligned", `^cp\.async\.bulk`, 0, replace(`\[%r2\], \[%rd3`, "[%r2+64], [%rd3")}, load, CheckAlign},
		{mutation{"box at byte 8 of the rows", `^mov\.b32 %r40`, 0, replace(", 0;", ", 4;")}, load, CheckAlign},
		{mutation{"box 8 bytes before the rows", `^mov\.b32 %r40`, 0, replace(", 0;", ", -4;")}, load, CheckAlign},
		{mutation{"box past the end", `^cp\.async\.bulk`, 0, replace(`\[%r2\], \[%rd3`, "[%r2+64512], [%rd3")}, load, CheckBounds},
		{mutation{"box over the mbarrier", `^cp\.async\.bulk`, 0, replace(`\[%r2\], \[%rd3`, "[%r2+63488], [%rd3")}, load, CheckBarrier},
		{mutation{"map by its parameter address", `^cp\.async\.bulk`, 0, replace("rd3", "rd2")}, load, CheckBounds},
		{mutation{"map not aligned", `^cp\.async\.bulk`, 0, replace("rd3,", "rd5,")}, strings.Replace(load, "WAIT:", "WAIT:\n", 1), CheckRegister},
		{mutation{"reads what an ordinary store wrote over", `^WAIT:`, 0, func(s string) string { return "mov.b32 %r30, 0;\nst.shared.b32 [%r2+128], %r30;\n" + s }}, load, CheckAsync | CheckRace},
		{mutation{"ordinary store before without a fence", `expect_tx`, 0, func(s string) string { return "mov.b32 %r30, 0;\nst.shared.b32 [%r2+128], %r30;\n" + s }}, load, CheckProxy},
		{mutation{"issued twice", `^cp\.async\.bulk`, 0, func(s string) string { return s + "\n" + s }}, load, CheckAsync},
		{mutation{"rank differs", `^cp\.async\.bulk`, 0, func(s string) string {
			return strings.NewReplacer("2d", "3d", "%r41}", "%r41, %r41}").Replace(s)
		}}, load, CheckTensorMap},
		{mutation{"not waited for at the end", `^WAIT:`, 0, func(s string) string { return s + "\nexit;" }}, load, CheckAsync},
		{mutation{"mbarrier used as data", `^WAIT:`, 0, func(s string) string { return "ld.shared.b64 %rd20, [%r2+65520];\n" + s }}, load, CheckBarrier},
		{mutation{"mbarrier invalidated early", `^WAIT:`, 0, func(s string) string { return "mbarrier.inval.shared.b64 [%r2+65520];\n" + s }}, load, CheckBarrier | CheckRace},
		{mutation{"parity of two", `try_wait`, 0, replace(", 0;", ", 2;")}, load, CheckBarrier},

		{mutation{"store to byte 8 of the rows", `^mov\.b32 %r40`, 0, replace(", 0;", ", 4;")}, store, CheckAlign},
		{mutation{"no proxy fence", `fence\.proxy`, 0, drop}, store, CheckProxy},
		{mutation{"fence before the stores", `^COPY:`, 0, func(s string) string { return "fence.proxy.async.shared::cta;\n" + s }}, strings.Replace(store, "END:\nfence.proxy.async.shared::cta;", "END:", 1), CheckProxy},
		{mutation{"no barrier between threads", `bar\.warp`, 0, drop}, store, CheckRace},
		{mutation{"no wait at the end", `wait_group`, 0, drop}, store, CheckAsync},
		{mutation{"wait for too little", `wait_group`, 0, replace("0;", "1;")}, store, CheckAsync},
		{mutation{"no commit", `commit_group`, 0, drop}, store, CheckAsync},
		{mutation{"overwritten before the wait", `commit_group`, 0, func(s string) string { return s + "\nst.shared.b32 [%r2], %r1;" }}, store, CheckAsync},
		{mutation{"reads unwritten memory", `^cp\.async\.bulk.tensor`, 0, replace(`\[%r2\]`, "[%r2+4096]")}, store, CheckUninit},
	} {
		t.Run(x.name, func(t *testing.T) {
			text := x.apply(t, x.text)
			for seed := range uint64(6) {
				o := Options{Seed: seed, Shuffle: seed > 0, Preempt: seed > 2, Budget: 1e6}
				_, _, err := launchTMA(t, o, text, &c, 32, make([]byte, n))
				wantFault(t, err, x.want)
			}
		})
	}
	for seed := range uint64(6) { // and unbroken they pass
		o := Options{Seed: seed, Shuffle: seed > 0, Preempt: seed > 2}
		for _, text := range []string{load, store} {
			if _, _, err := launchTMA(t, o, text, &c, 32, make([]byte, n)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestTamperedTensorMap(t *testing.T) {
	c := tmaCases[0]
	h := newHarness(t, Options{}, tmaText(tmaPrologue), 64<<10)
	data, m := c.tensor()
	m.Base = h.upload(data)
	enc, err := h.dev.EncodeTensorMap(m)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 128 {
		bad := enc
		bad[i] ^= 1
		err := h.fn.Launch(nil, [3]int{1, 1, 1}, [3]int{32, 1, 1}, append(bad[:], make([]byte, 8)...))
		wantFault(t, err, CheckTensorMap)
	}
}

// BenchmarkTma loads boxes of 8 KiB.
func BenchmarkTma(b *testing.B) {
	c := tmaCase{dims: []uint64{64, 64}, box: []uint32{64, 64}, at: []int{0, 0}, swizzle: 128}
	setup, list := c.coordinates()
	text := tmaText(loadBox("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes", setup, list, "", 8192))
	for b.Loop() {
		if _, _, err := launchTMA(b, Options{}, text, &c, 32, make([]byte, 8192)); err != nil {
			b.Fatal(err)
		}
	}
}
