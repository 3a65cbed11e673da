package kernel

import (
	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/ir/layout"
)

// The pattern travels with the module as a few words: a record for each head tile and
// one for each cell. A record's fields are its words in order: numbers where it is
// encoded, registers where a kernel reads it.

// headRecord is what a kernel knows of a head tile.
type headRecord[T any] struct {
	FirstHead, KVHead T
	CellWord, Cells   T // the first cell's word, and how many there are
	TableRows, Table  T // rows that the table has, and its first word
	_, _              T
}

// headWords is a record's size; its last two words are not used.
const headWords = 8

func (h *headRecord[T]) fields() []*T {
	return []*T{&h.FirstHead, &h.KVHead, &h.CellWord, &h.Cells, &h.TableRows, &h.Table}
}

// cellRecord is an ir.Cell in blocks: rows Lo ≤ i < Hi with i ≡ Res mod Mod have the key
// blocks from LoC + LoA·i to HiC + HiA·i that are ≡ PhaseC + PhaseA·(i − Res)/Mod mod Step.
type cellRecord[T any] struct {
	RowLo, RowHi, RowMod, RowRes T
	LoC, LoA, HiC, HiA           T
	Step, PhaseC, PhaseA         T
	Members                      T // the tile's query blocks that attend them, a bit each
}

const cellWords = 12

func (c *cellRecord[T]) fields() []*T {
	return []*T{
		&c.RowLo, &c.RowHi, &c.RowMod, &c.RowRes,
		&c.LoC, &c.LoA, &c.HiC, &c.HiA,
		&c.Step, &c.PhaseC, &c.PhaseA, &c.Members,
	}
}

// load reads the words at an address into new registers, which fields are set to.
func load(b *ptx.Builder, fields []*ptx.R32, at ptx.R64) {
	words := b.R32s(len(fields))
	for n, w := range words {
		*fields[n] = w
	}
	n := 0
	for ; n+4 <= len(words); n += 4 {
		b.LdGlobalNcV4B32(words[n:n+4], at.At(4*n))
	}
	if n < len(words) {
		b.LdGlobalNcV2B32(words[n:], at.At(4*n))
	}
}

// PatternSym is the module variable that holds a kernel's pattern.
func PatternSym(k *layout.Kernel) ptx.Sym { return ptx.Sym(k.Entry + "_pattern") }

// HeadTile are the registers of one head tile's record.
type HeadTile struct {
	headRecord[ptx.R32]
	words ptx.R64
}

// LoadHeadTile reads the record of head tile n; words is the module variable.
func LoadHeadTile(b *ptx.Builder, words ptx.Sym, n ptx.R32) HeadTile {
	h := HeadTile{words: b.MovU64Sym(words)}
	load(b, h.fields(), b.MadWideU32(n, ptx.Imm(headWords*4), h.words))
	return h
}
