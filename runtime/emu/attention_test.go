package emu

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/s2attention/s2c/runtime"
)

// attentionKernel is a kernel of testdata: head dimension 128, 4 query heads, 2 KV
// heads, bf16, causal, block 64, 4 local blocks and every 4th block before them.
type attentionKernel struct {
	file            string
	shared, threads int
	headsPerBlock   int
	maps            bool // takes tensor maps, and phases go by KV head
}

var (
	attentionSM80  = attentionKernel{"testdata/attention_sm80.ptx", 96 << 10, 128, 1, false}
	attentionSM90a = attentionKernel{"testdata/attention_sm90a.ptx", 196992, 384, 2, true}
)

func (k attentionKernel) text(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(k.file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// attention is a problem for one of the kernels.
type attention struct {
	kernel          attentionKernel
	dim, qLen, kLen int
	heads, kvHeads  int
	q, k, v         []float32
	blocks          int // of a persistent grid
}

func newAttention(k attentionKernel, qLen, kLen int) *attention {
	const dim = 128
	a := &attention{kernel: k, dim: dim, blocks: 4, qLen: qLen, kLen: kLen, heads: 4, kvHeads: 2}
	rng := rand.New(rand.NewPCG(1, 2))
	fill := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = math.Float32frombits(uint32(bf16Bits(float32(rng.NormFloat64()))) << 16)
		}
		return x
	}
	a.q = fill(a.heads * qLen * dim)
	a.k = fill(a.kvHeads * kLen * dim)
	a.v = fill(a.kvHeads * kLen * dim)
	return a
}

func bf16Bytes(x []float32) []byte {
	var b []byte
	for _, f := range x {
		b = binary.LittleEndian.AppendUint16(b, bf16Bits(f))
	}
	return b
}

func (a *attention) attends(head, i, j int) bool {
	bi, bj, phase := i/64, j/64, head%4
	if a.kernel.maps {
		phase = head / (a.heads / a.kvHeads)
	}
	return j <= i && (bi-bj < 4 || bj%4 == phase)
}

// reference is row r of a head in float64.
func (a *attention) reference(head, r int) (out []float64, lse float64) {
	pos := a.kLen - a.qLen + r
	kv := head / (a.heads / a.kvHeads)
	q := a.q[(head*a.qLen+r)*a.dim:][:a.dim]
	scores := make([]float64, a.kLen)
	top := math.Inf(-1)
	for j := range scores {
		scores[j] = math.Inf(-1)
		if !a.attends(head, pos, j) {
			continue
		}
		s := 0.0
		for d, x := range a.k[(kv*a.kLen+j)*a.dim:][:a.dim] {
			s += float64(x) * float64(q[d])
		}
		scores[j] = s * 0.1
		top = max(top, scores[j])
	}
	sum := 0.0
	out = make([]float64, a.dim)
	for j, s := range scores {
		p := math.Exp(s - top)
		if p == 0 {
			continue
		}
		sum += p
		for d, x := range a.v[(kv*a.kLen+j)*a.dim:][:a.dim] {
			out[d] += p * float64(x)
		}
	}
	for d := range out {
		out[d] /= sum
	}
	return out, top + math.Log(sum)
}

// run launches a kernel of testdata on the problem and returns out and lse.
func (a *attention) run(t testing.TB, dev *Device, text string) (out []byte, lse []float32, err error) {
	m, err := dev.LoadModule(text)
	if err != nil {
		return nil, nil, err
	}
	fn, err := m.Function("s2c_test", a.kernel.shared)
	if err != nil {
		t.Fatal(err)
	}
	put := func(data []byte) runtime.Ptr {
		p, err := dev.Alloc(int64(len(data)))
		if err == nil {
			err = dev.Upload(p, data)
		}
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	rows := a.heads * a.qLen
	q, k, v := put(bf16Bytes(a.q)), put(bf16Bytes(a.k)), put(bf16Bytes(a.v))
	o, _ := dev.Alloc(int64(rows * a.dim * 2))
	l, _ := dev.Alloc(int64(rows * 4))
	dev.MarkOutput(o, int64(rows*a.dim*2))
	dev.MarkOutput(l, int64(rows*4))
	var params []byte
	for _, x := range []uint64{uint64(q), uint64(k), uint64(v), uint64(o), uint64(l), 0} {
		params = binary.LittleEndian.AppendUint64(params, x)
	}
	for _, s := range [][3]int{{a.heads, a.qLen}, {a.kvHeads, a.kLen}, {a.kvHeads, a.kLen}, {a.heads, a.qLen}} {
		for _, x := range []int{s[0] * s[1] * a.dim, s[1] * a.dim, a.dim} {
			params = binary.LittleEndian.AppendUint64(params, uint64(x))
		}
	}
	params = binary.LittleEndian.AppendUint32(params, 1)
	params = binary.LittleEndian.AppendUint32(params, uint32(a.qLen))
	params = binary.LittleEndian.AppendUint32(params, uint32(a.kLen))
	params = binary.LittleEndian.AppendUint32(params, math.Float32bits(0.1))
	if a.kernel.maps {
		params = append(params, make([]byte, -len(params)&63)...)
		for _, m := range []struct {
			p          runtime.Ptr
			heads, len int
		}{{q, a.heads, a.qLen}, {k, a.kvHeads, a.kLen}, {v, a.kvHeads, a.kLen}} {
			row, head := uint64(2*a.dim), uint64(2*a.dim*m.len)
			enc, err := dev.EncodeTensorMap(runtime.TensorMap{
				Base: m.p, Dims: []uint64{uint64(a.dim), uint64(m.len), uint64(m.heads), 1},
				Strides: []uint64{row, head, head * uint64(m.heads)}, Box: []uint32{64, 64, 1, 1}, Swizzle: 128, DType: runtime.BF16,
			})
			if err != nil {
				t.Fatal(err)
			}
			params = append(params, enc[:]...)
		}
	}
	tiles := (a.kLen+63)/64 - (a.kLen-a.qLen)/64
	grid := tiles * a.heads / a.kernel.headsPerBlock
	if a.kernel.maps { // persistent
		grid = min(grid, a.blocks)
	}
	err = fn.Launch(nil, [3]int{grid, 1, 1}, [3]int{a.kernel.threads, 1, 1}, params)
	cover(dev)
	if err != nil {
		return nil, nil, err
	}
	if err := dev.CheckOutputs(); err != nil {
		return nil, nil, err
	}
	out, lseBytes := make([]byte, rows*a.dim*2), make([]byte, rows*4)
	dev.Download(out, o)
	dev.Download(lseBytes, l)
	return out, asF32(lseBytes), nil
}

// compare returns ‖out − ref‖ / ‖ref‖ and the largest error of a log-sum-exp, over every step-th row.
func (a *attention) compare(out []byte, lse []float32, step int) (rel, worst float64) {
	var diff, norm float64
	for head := range a.heads {
		for r := 0; r < a.qLen; r += step {
			ref, l := a.reference(head, r)
			worst = max(worst, math.Abs(l-float64(lse[head*a.qLen+r])))
			row := out[(head*a.qLen+r)*a.dim*2:]
			for d, x := range ref {
				y := float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(row[2*d:])) << 16))
				diff += (x - y) * (x - y)
				norm += x * x
			}
		}
	}
	return math.Sqrt(diff / norm), worst
}

// check runs a kernel and compares a sample of its rows.
func (a *attention) check(t *testing.T, o Options) {
	t.Helper()
	dev := New(o)
	out, lse, err := a.run(t, dev, a.kernel.text(t))
	if err != nil {
		t.Fatal(err)
	}
	rel, worst := a.compare(out, lse, 1+a.qLen/64)
	if !(rel < 4e-3 && worst < 1e-3) {
		t.Errorf("%d of %d: relative error %g, log-sum-exp off by %g", a.qLen, a.kLen, rel, worst)
	}
	t.Logf("%d of %d: %.2g, %.2g, %d warp instructions", a.qLen, a.kLen, rel, worst, dev.LastLaunch().Total())
}

func TestAttention(t *testing.T) {
	for _, k := range []attentionKernel{attentionSM80, attentionSM90a} {
		for seed, lens := range [][2]int{{1, 1}, {65, 65}, {200, 700}, {513, 513}} {
			newAttention(k, lens[0], lens[1]).check(t, Options{Seed: uint64(seed), Shuffle: seed > 0, Preempt: seed > 2})
		}
	}
}

func BenchmarkAttention(b *testing.B) {
	for _, k := range []attentionKernel{attentionSM80, attentionSM90a} {
		b.Run(strings.TrimSuffix(path.Base(k.file), ".ptx"), func(b *testing.B) {
			a := newAttention(k, 2048, 2048)
			for b.Loop() {
				if _, _, err := a.run(b, New(Options{}), k.text(b)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
