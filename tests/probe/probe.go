package probe

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/target"
)

// Probe is one kernel with its input. The kernel's entry is "probe"; it reads In
// and writes Out bytes, which hold Poison before it runs.
type Probe struct {
	Name    string
	Module  *ptx.Module
	Threads int // of the one thread block
	Shared  int // bytes of dynamic shared memory
	In      []byte
	Out     int
	Maps    []Map // the first parameters, in order

	// ULP is how many units in the last place an fp32 output may be off; 0 compares bits.
	ULP int
	// Abs is how far fp32 outputs below 1 may be off instead, where the ISA bounds the
	// absolute error.
	Abs float64
	// Undefined kernels do what the emulator's checks report, on purpose.
	Undefined bool
	// Choice outputs are the device's to choose: the emulator has to agree only
	// where it leaves nothing to chance.
	Choice bool
	// Refused kernels are stopped by the device with an illegal instruction, and the
	// emulator has to stop them with a fault that says Refused.
	Refused string
	// Pending probes wait for a recording: no GPU has answered them.
	Pending bool
}

// Map is a tensor map over the probe's input or output, of 16-bit elements.
type Map struct {
	Output  bool
	Offset  int // bytes
	Dims    []uint64
	Strides []uint64
	Box     []uint32
	Swizzle int
}

// Poison is what output bytes are that nobody wrote.
const Poison = 0xee

// Target is what the probes are assembled for.
var Target = target.SM90a

// Entry is the name of every probe's kernel.
const Entry = "probe"

// PTX is the module's text.
func (p *Probe) PTX() string { return p.Module.String() }

// Key names everything that decides the output: instructions, input and launch.
// How the module's header is printed is no part of it.
func (p *Probe) Key() string {
	h := sha256.New()
	fmt.Fprintln(h, p.Threads, p.Shared, p.Out, p.Maps)
	h.Write(p.In)
	for _, s := range p.Module.Entries[0].Body {
		switch s := s.(type) {
		case *ptx.Inst:
			fmt.Fprintln(h, s)
		case ptx.LabelStmt:
			fmt.Fprintln(h, s.Name)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Run executes the probe so many times, each on poisoned output, and returns the outputs.
func (p *Probe) Run(dev runtime.Device, times int) ([][]byte, error) {
	m, err := dev.LoadModule(p.PTX())
	if err != nil {
		return nil, err
	}
	fn, err := m.Function(Entry, p.Shared)
	if err != nil {
		return nil, err
	}
	var outs [][]byte
	for range times {
		out, err := p.launch(dev, fn)
		if err != nil {
			return nil, err // the context may be lost; there is nothing to give back
		}
		outs = append(outs, out)
	}
	return outs, m.Unload()
}

func (p *Probe) launch(dev runtime.Device, fn runtime.Function) ([]byte, error) {
	data := bytes.Repeat([]byte{Poison}, p.Out)
	in, err := place(dev, p.In)
	if err != nil {
		return nil, err
	}
	out, err := place(dev, data)
	if err != nil {
		return nil, err
	}
	params, err := p.params(dev, in, out)
	if err != nil {
		return nil, err
	}
	if err := fn.Launch(nil, [3]int{1, 1, 1}, [3]int{p.Threads, 1, 1}, params); err != nil {
		return nil, err
	}
	if err := dev.Download(data, out); err != nil {
		return nil, err
	}
	if in != 0 {
		if err := dev.Free(in); err != nil {
			return nil, err
		}
	}
	return data, dev.Free(out)
}

// place copies data, if there is any, into memory of its own.
func place(dev runtime.Device, data []byte) (runtime.Ptr, error) {
	if len(data) == 0 {
		return 0, nil
	}
	p, err := dev.Alloc(int64(len(data)))
	if err != nil {
		return 0, err
	}
	return p, dev.Upload(p, data)
}

// params is the parameter block: the tensor maps, the output's address, the input's.
func (p *Probe) params(dev runtime.Device, in, out runtime.Ptr) ([]byte, error) {
	var block []byte
	for _, m := range p.Maps {
		base := in
		if m.Output {
			base = out
		}
		encoded, err := dev.EncodeTensorMap(runtime.TensorMap{
			Base: base + runtime.Ptr(m.Offset), Dims: m.Dims, Strides: m.Strides, Box: m.Box, Swizzle: m.Swizzle, DType: runtime.BF16,
		})
		if err != nil {
			return nil, err
		}
		block = append(block, encoded[:]...)
	}
	block = binary.LittleEndian.AppendUint64(block, uint64(out))
	return binary.LittleEndian.AppendUint64(block, uint64(in)), nil
}
