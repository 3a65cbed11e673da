package main

import (
	"strings"
	"testing"

	"github.com/s2attention/s2c/internal/memory"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/runtime/emu"
)

// gpu is a device that knows its memory.
type gpu struct {
	runtime.Device
	free int64
}

func (g gpu) Kind() string                            { return "cuda" }
func (g gpu) Describe() string                        { return "GPU (sm_90)" }
func (g gpu) MemInfo() (free, total int64, err error) { return g.free, 80 << 30, nil }

func small(t *testing.T, batch, qLen, kLen int) *demand {
	t.Helper()
	d, err := demandOf(launch.Shape{Heads: 4, KVHeads: 2, HeadDim: 64, Block: 16, DType: runtime.BF16, Scale: 1}, batch, qLen, kLen)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDemand wants a GPU asked for the tensors, and the host for all else.
func TestDemand(t *testing.T) {
	d := small(t, 3, 5, 100)
	const tensors = 3 * (2*5*4*64*2 + 2*100*2*64*2 + 5*4*4)
	if d.tensors != tensors {
		t.Errorf("%d bytes of tensors, want %d", d.tensors, tensors)
	}
	if err := d.fits(gpu{free: tensors}); err != nil {
		t.Error(err)
	}
	err := d.fits(gpu{free: tensors - 1})
	if want := "100 tokens and 5 queries in batch 3 take 165.2 KiB on GPU (sm_90), and 165.2 KiB of its 80.0 GiB are free; ask for"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v", err)
	}
	d.held(launch.K)
	if want := memory.Bytes(tensors - 3*100*2*64*2); d.tensors != want {
		t.Errorf("%d bytes of tensors are missing, want %d", d.tensors, want)
	}
	d.reference = memory.Most
	if err := d.fits(gpu{free: tensors}); err == nil || !strings.Contains(err.Error(), "take more than 8 EiB of this machine's memory") ||
		strings.Contains(err.Error(), "emulated") {
		t.Errorf("%v", err)
	}
	if err := d.fits(emu.New(emu.Options{})); err == nil || !strings.Contains(err.Error(), "of the emulated device, more than 8 EiB of the float64 reference") {
		t.Errorf("%v", err)
	}
}

// TestDemandBeside: problems that are held together add up.
func TestDemandBeside(t *testing.T) {
	a, b := small(t, 1, 10, 10), small(t, 2, 20, 20)
	sum := a.tensors.Plus(b.tensors)
	b.beside(nil)
	b.beside(a)
	if b.tensors != sum || b.fits(gpu{free: int64(sum)}) != nil || b.fits(gpu{free: int64(sum) - 1}) == nil {
		t.Errorf("%d bytes, want %d", b.tensors, sum)
	}
}
