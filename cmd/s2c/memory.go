package main

import (
	"fmt"

	"github.com/s2attention/s2c/internal/memory"
	"github.com/s2attention/s2c/internal/reference"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/launch"
	"github.com/s2attention/s2c/runtime"
)

// demand is what a problem takes of memory, known before any of it is allocated.
type demand struct {
	shape             launch.Shape
	batch, qLen, kLen int

	tensors   memory.Bytes // on the host, of those that are not there yet
	reference memory.Bytes // on the host
	device    [launch.Roles]int64
}

// demandOf is the demand of the operation's tensors alone.
func demandOf(shape launch.Shape, batch, qLen, kLen int) (*demand, error) {
	d := &demand{shape: shape, batch: batch, qLen: qLen, kLen: kLen}
	var err error
	d.device, err = runtime.TensorBytes(launch.Forward, shape, runtime.Args{Batch: batch, QLen: qLen, KLen: kLen})
	if err != nil {
		return nil, err
	}
	for _, size := range d.device {
		d.tensors = d.tensors.Plus(memory.Bytes(size))
	}
	return d, nil
}

// held takes off what is on the host already.
func (d *demand) held(role launch.Role) { d.tensors -= memory.Bytes(d.device[role]) }

// beside adds another problem that is held at the same time.
func (d *demand) beside(other *demand) {
	if other == nil {
		return
	}
	d.tensors, d.reference = d.tensors.Plus(other.tensors), d.reference.Plus(other.reference)
	for role := range d.device {
		d.device[role] = int64(memory.Bytes(d.device[role]).Plus(memory.Bytes(other.device[role])))
	}
}

// again adds outputs of a second run, kept beside those of the first.
func (d *demand) again() {
	for _, role := range launch.Operations[launch.Forward].Writes {
		d.tensors = d.tensors.Plus(memory.Bytes(d.device[role]))
	}
}

// judge adds what the reference takes for some heads and rows of a layer.
func (d *demand) judge(layer *ir.Layer, heads, rows int) {
	blocks := (int64(d.kLen) + int64(d.shape.Block) - 1) / int64(d.shape.Block)
	width := int64(0)
	for _, p := range layer.Heads {
		width = max(width, p.Count(blocks-1, blocks)*int64(d.shape.Block))
	}
	d.reference = reference.Size{
		Batch: d.batch, Heads: heads, Rows: rows, KLen: d.kLen, Dim: d.shape.HeadDim, Width: int(width),
	}.Bytes()
}

// emulated is what the emulator holds for the device's memory: of 16 bytes that are
// read their values, a bit for each that it is there, and a mark of 8 bytes for who
// reads them; of 4 bytes that are written as much, and 12 bytes for who wrote them.
func (d *demand) emulated() memory.Bytes {
	sum := memory.Bytes(0)
	op := launch.Operations[launch.Forward]
	for _, role := range op.Reads {
		sum = sum.Plus(memory.Bytes(d.device[role] / 16).Times(16 + 2 + 8))
	}
	for _, role := range op.Writes {
		sum = sum.Plus(memory.Bytes(d.device[role] / 16).Times(16 + 2 + 8 + 4*12))
	}
	return sum
}

// fits is an error where the device or the host has not as much memory free. Where
// nobody knows how much that is, everything fits.
func (d *demand) fits(dev runtime.Device) error {
	emulated := memory.Bytes(0)
	if teller, ok := dev.(runtime.MemoryTeller); ok {
		if err := d.fitsDevice(dev, teller); err != nil {
			return err
		}
	} else if dev.Kind() == "emu" {
		emulated = d.emulated()
	}
	free, known := memory.Available()
	if sum := d.tensors.Plus(emulated).Plus(d.reference); known && sum > free {
		parts := fmt.Sprintf("%v of tensors", d.tensors)
		if emulated > 0 {
			parts += fmt.Sprintf(", %v of the emulated device", emulated)
		}
		if d.reference > 0 {
			parts += fmt.Sprintf(", %v of the float64 reference", d.reference)
		}
		return fmt.Errorf("%s take %v of this machine's memory (%s), and %v are free; ask for a shorter --seq or a smaller --batch", d, sum, parts, free)
	}
	return nil
}

func (d *demand) fitsDevice(dev runtime.Device, teller runtime.MemoryTeller) error {
	free, total, err := teller.MemInfo()
	if err != nil {
		return err
	}
	sum := memory.Bytes(0)
	for _, size := range d.device {
		sum = sum.Plus(memory.Bytes(size))
	}
	if sum > memory.Bytes(free) {
		return fmt.Errorf("%s take %v on %s, and %v of its %v are free; ask for a shorter --seq or a smaller --batch",
			d, sum, dev.Describe(), memory.Bytes(free), memory.Bytes(total))
	}
	return nil
}

// String names the problem.
func (d *demand) String() string {
	queries := ""
	if d.qLen != d.kLen {
		queries = fmt.Sprintf(" and %s", plural(d.qLen, "query", "queries"))
	}
	return fmt.Sprintf("%s%s in batch %s", plural(d.kLen, "token", "tokens"), queries, grouped(d.batch))
}
