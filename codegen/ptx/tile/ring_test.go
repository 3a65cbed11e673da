package tile_test

import (
	"fmt"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/codegen/ptx/tile"
	"github.com/s2attention/s2c/internal/ptxtest"
	"github.com/s2attention/s2c/target"
)

// TestRing runs a producer warp and reader warps over a ring: what arrives in a slot is
// read by every reader before the next round's copy lands there. With two parts a
// reader waits for its own alone. The emulator's checks of races and phases are on.
func TestRing(t *testing.T) {
	for _, slots := range []int{1, 2, 3} {
		for _, parts := range []int{1, 2} {
			t.Run(fmt.Sprintf("%d/%d", slots, parts), func(t *testing.T) {
				t.Parallel()
				checkRing(t, slots, parts)
			})
		}
	}
}

const (
	ringRounds  = 7
	readers     = 2
	boxRows     = 8
	boxBytes    = boxRows * 128
	boxWords    = boxBytes / 4
	barrierRoom = 256
)

func checkRing(t *testing.T, slots, parts int) {
	shape := ptxtest.Shape{
		Params: []ptx.Param{ptxtest.Map("boxes"), ptxtest.U64("out")},
		Warps:  1 + readers, Shared: barrierRoom + slots*parts*boxBytes, Target: target.SM90a,
	}
	kernel := ptxtest.Load(t, shape, func(b *ptxtest.Builder) {
		w := newBench(b, 1+readers)
		smem := b.Shared()
		s := tile.Slots{
			Full: w.Barriers(smem.At(0)), Empty: w.Barriers(smem.At(barrierRoom / 2)),
			Count: slots, Parts: parts, Base: smem, First: barrierRoom, Bytes: parts * boxBytes,
		}
		b.Unless(b.SetpNeU32(b.Index, ptx.Imm(0)), "prepared", func() {
			for n := range slots * parts {
				s.Prepare(n, readers/parts)
			}
			b.FenceMbarrierInitReleaseCluster()
		})
		b.BarSync(ptx.Imm(0))
		b.Choose(b.SetpEqS32(w.rank, ptx.Imm(0)), "producer", func() { w.produce(s) }, func() { w.consume(s) })
	})
	in := make([]uint16, ringRounds*parts*boxRows*64)
	for i := range in {
		in[i] = uint16(i)
	}
	out := make([]uint32, ringRounds*readers*boxWords)
	kernel.Launch(t, 1, ptxtest.Tensor{
		Data: in, Sizes: [4]int{64, ringRounds * parts * boxRows, 1, 1}, Box: [4]int{64, boxRows, 1, 1},
	}, ptxtest.Out(out))
	for i, got := range out {
		round, reader, word := i/readers/boxWords, i/boxWords%readers, i%boxWords
		part := reader % parts
		first := ((round*parts+part)*boxWords + word) * 2
		if want := uint32(uint16(first)) | uint32(uint16(first+1))<<16; got != want {
			t.Fatalf("round %d, reader %d, word %d: %#x, not %#x", round, reader, word, got, want)
		}
	}
}

// produce fills the slots, a round after the other.
func (w *bench) produce(s tile.Slots) {
	b := w.Builder
	ring, round := w.Ring(s), b.Const32(0)
	issuer := b.SetpEqS32(b.Lane, ptx.Imm(0))
	b.Again("produce", func() ptx.Pred {
		for part := range s.Parts {
			ring.WaitEmpty(ptx.Imm(part))
			ring.Fill(ptx.Imm(part), issuer, boxBytes, func(l tile.Landing) {
				row := b.MulLoS32(b.AddS32(b.MulLoS32(round, ptx.Imm(s.Parts)), ptx.Imm(part)), ptx.Imm(boxRows))
				l.From(w.TensorMap("boxes"), ring.Buffer()).Copy(part*boxBytes, ptx.Imm(0), row, ptx.Imm(0), ptx.Imm(0))
			})
		}
		ring.Next()
		b.AddS32To(round, round, ptx.Imm(1))
		return b.SetpLtS32(round, ptx.Imm(ringRounds))
	})
}

// consume writes down what a reader finds in its part of each slot.
func (w *bench) consume(s tile.Slots) {
	b := w.Builder
	ring, round := w.Ring(s), b.Const32(0)
	held := ring.Mark()
	reader := b.SubS32(w.rank, ptx.Imm(1))
	var part ptx.Src32 = tile.All
	offset := b.Const32(0)
	if s.Parts > 1 {
		part, offset = reader, b.MulLoS32(reader, ptx.Imm(boxBytes))
	}
	b.Again("consume", func() ptx.Pred {
		ring.WaitFull(part)
		held.Set(ring)
		to := b.MadLoS32(b.MadLoS32(round, ptx.Imm(readers), reader), ptx.Imm(boxWords), b.Lane)
		from := b.AddS32(b.AddS32(held.Buffer(), offset), b.ShlB32(b.Lane, ptx.Imm(2)))
		for n := 0; n < boxWords; n += 32 {
			b.StGlobalB32(b.Word("out", b.AddS32(to, ptx.Imm(n))).At(0), b.LdSharedB32(from.At(4*n)))
		}
		b.FenceProxyAsyncSharedCta() // the copy engine writes next what was read
		held.Release(part)
		ring.Next()
		b.AddS32To(round, round, ptx.Imm(1))
		return b.SetpLtS32(round, ptx.Imm(ringRounds))
	})
}

// TestTurns holds that warpgroups take their turns one after the other: each finds the
// counter as the one before has left it.
func TestTurns(t *testing.T) {
	const rounds = 4
	for _, groups := range []int{1, 2, 3} {
		shape := ptxtest.Shape{Params: []ptx.Param{ptxtest.U64("out")}, Warps: 4 * groups, Shared: 16, Target: target.SM90a}
		kernel := ptxtest.Load(t, shape, func(b *ptxtest.Builder) {
			w := newBench(b, 4*groups)
			counter := b.Shared()
			first := b.SetpEqS32(b.AndB32(b.Index, ptx.Imm(127)), ptx.Imm(0))
			b.If(b.SetpEqS32(b.Index, ptx.Imm(0))).StSharedB32(counter.At(0), b.Const32(0))
			b.BarSync(ptx.Imm(0))
			turns := tile.Turns{Warp: w.Warp, Groups: groups, Group: b.ShrU32(b.Index, ptx.Imm(7))}
			turns.Open()
			for round := range rounds {
				turns.Take()
				b.When(first, "counted", func() {
					n := b.LdSharedB32(counter.At(0))
					at := b.MadLoS32(turns.Group, ptx.Imm(rounds), b.Const32(int64(round)))
					b.StGlobalB32(b.Word("out", at).At(0), n)
					b.StSharedB32(counter.At(0), b.AddS32(n, ptx.Imm(1)))
				})
				turns.Pass()
			}
			turns.Close()
		})
		out := make([]uint32, groups*rounds)
		kernel.Launch(t, 1, ptxtest.Out(out))
		for i, got := range out {
			if group, round := i/rounds, i%rounds; got != uint32(round*groups+group) {
				t.Fatalf("%d groups: group %d has turn %d in round %d", groups, group, got, round)
			}
		}
	}
}
