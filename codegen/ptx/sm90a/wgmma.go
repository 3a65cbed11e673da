package sm90a

import (
	"fmt"

	"github.com/s2attention/s2c/codegen/ptx"
)

// Matrix descriptors (PTX ISA 9.0 §9.7.15.5.1.2): start address, leading and
// stride byte offsets, each (x & 0x3FFFF) >> 4 at bits 0, 16 and 32; swizzle mode
// at bit 62, 1 for 128 bytes.
func descriptorBits(leading, stride int) int64 {
	const swizzle128 = int64(1) << 62
	return int64(leading>>4)<<16 | int64(stride>>4)<<32 | swizzle128
}

// groupOf8 is the distance of two groups of eight rows of a slab.
const groupOf8 = 8 * slabRowBytes

// descriptor makes a descriptor for a tile at a shared address.
func (e *emitter) descriptor(at ptx.R32, leading, stride int) ptx.R64 {
	b := e.b
	start := b.ShrU32(b.AndB32(at, ptx.Imm(0x3FFFF)), ptx.Imm(4))
	return b.OrB64(b.CvtU64U32(start), ptx.Imm(descriptorBits(leading, stride)))
}

// step moves a descriptor by a number of bytes.
func (e *emitter) step(d ptx.R64, bytes int) ptx.R64 {
	if bytes == 0 {
		return d
	}
	return e.b.AddS64(d, ptx.Imm(bytes>>4))
}

// queryKey issues S = Q Kᵀ: both operands K-major, 16 columns a step, 32 bytes
// apart inside a slab.
func (c *consumer) queryKey() {
	b := c.b
	q := c.descriptor(b.MadLoS32(c.group, ptx.Imm(c.queryTile.Bytes()), c.q.buffer()), 16, groupOf8)
	k := c.descriptor(c.k.buffer(), 16, groupOf8)
	form := c.wgmma(c.K.KVTile, "")
	for col := 0; col < c.K.DimPadded; col += 16 {
		inSlab := col % slabCols * 2
		qStep := c.queryTile.Slab(col).Offset + inSlab
		kStep := c.kvTile.Slab(col).Offset + inSlab
		b.Emit(form, flat(c.scores), c.step(q, qStep).Reg, c.step(k, kStep).Reg,
			c.add(col > 0), ptx.Imm(1), ptx.Imm(1), ptx.Imm(0), ptx.Imm(0))
	}
}

// weightValue issues O += P V: P from registers, V as it lies, tokens down
// (MN-major): slabs are the leading offset, groups of 8 tokens the stride. O is
// read where it holds something.
func (c *consumer) weightValue() {
	b := c.b
	v := c.descriptor(c.v.buffer(), c.kvTile.Rows*slabRowBytes, groupOf8)
	form := c.wgmma(c.K.DimPadded, "#ra")
	for t := range c.p {
		scale := c.more.Reg
		if t > 0 {
			scale = c.add(true)
		}
		b.Emit(form, flat(c.acc), ptx.VecOf(c.p[t]), c.step(v, t*16*slabRowBytes).Reg,
			scale, ptx.Imm(1), ptx.Imm(1), ptx.Imm(1))
	}
}

// add is the scale-d predicate: whether the accumulator is read.
func (e *emitter) add(yes bool) ptx.Reg {
	v := ptx.Imm(0)
	if yes {
		v = 1
	}
	return e.b.SetpNeU32(e.b.Const32(int64(v)), ptx.Imm(0)).Reg
}

func (e *emitter) wgmma(n int, variant string) string {
	return fmt.Sprintf("wgmma.mma_async.sync.aligned.m64n%dk16.f32.%s.%[2]s%s", n, e.K.Shape.DType, variant)
}

// flat is a wgmma accumulator operand: fragments of 8 columns in order.
func flat(frags [][]ptx.F32) ptx.Vec {
	var v ptx.Vec
	for _, f := range frags {
		v = append(v, ptx.VecOf(f)...)
	}
	return v
}
