package kernel

import (
	"encoding/binary"
	"fmt"

	"github.com/s2attention/s2c/codegen/ptx"
	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
)

// The pattern travels with the module as a few words: a record for each head
// tile and one for each cell. Its size does not depend on any length. Rows that
// have no closed form are in the table, a separate blob.
const (
	headWords = 8  // first head, KV head, first cell's word, cells, table rows, table's first word, 0, 0
	cellWords = 12 // rows lo, hi, mod, res; lo C, A; hi C, A; step; phase C, A; members

	unbounded = 1 << 30 // stands for ±Inf: beyond every block number
)

// Pattern is a kernel's pattern, encoded.
type Pattern struct {
	Words []int32 // initialiser of the module variable
	Table []byte  // little-endian words: row offsets, then (column, members) pairs; nil for none
	// Members says that some cell or entry concerns part of a tile's query blocks.
	Members bool
	// Moves says that some cell's phase moves with the row.
	Moves bool
}

// EncodePattern packs the head tiles of a layout.
func EncodePattern(k *layout.Kernel) (*Pattern, error) {
	e := encoder{cells: map[string]int32{}, tables: map[*ir.Table]int32{}, merge: k.Merge}
	e.p.Words = make([]int32, len(k.HeadTiles)*headWords)
	for i, ht := range k.HeadTiles {
		if err := e.headTile(i, ht); err != nil {
			return nil, fmt.Errorf("head %d: %w", ht.Heads[0], err)
		}
	}
	return &e.p, nil
}

type encoder struct {
	p      Pattern
	cells  map[string]int32 // encoded cells → first word: equal heads share them
	tables map[*ir.Table]int32
	merge  int
}

func (e *encoder) headTile(i int, ht layout.HeadTile) error {
	for n, h := range ht.Heads {
		if h != ht.Heads[0]+n {
			return fmt.Errorf("packed heads %v are not consecutive", ht.Heads)
		}
	}
	var words []int32
	for _, c := range ht.Pattern.Cells {
		w, err := e.cell(c)
		if err != nil {
			return err
		}
		words = append(words, w...)
	}
	key := fmt.Sprint(words)
	at, seen := e.cells[key]
	if !seen {
		at = int32(len(e.p.Words))
		e.cells[key] = at
		e.p.Words = append(e.p.Words, words...)
	}
	rec := e.p.Words[i*headWords:]
	rec[0], rec[1], rec[2], rec[3] = int32(ht.Heads[0]), int32(ht.KVHead), at, int32(len(ht.Pattern.Cells))
	if t := ht.Pattern.Table; t != nil && t.Rows > 0 {
		first, err := e.table(t)
		if err != nil {
			return err
		}
		rec = e.p.Words[i*headWords:]
		rec[4], rec[5] = int32(t.Rows), first
	}
	return nil
}

func (e *encoder) cell(c ir.Cell) ([]int32, error) {
	all := uint32(1)<<e.merge - 1
	if c.Members != all {
		e.p.Members = true
	}
	fields := []int64{
		c.Rows.Lo, c.Rows.Hi, c.Rows.Mod, c.Rows.Res,
		c.Lo.C, c.Lo.A, c.Hi.C, c.Hi.A,
		c.Step, mod(c.Phase.C, c.Step), mod(c.Phase.A, c.Step), int64(c.Members),
	}
	e.p.Moves = e.p.Moves || fields[10] != 0
	words := make([]int32, len(fields))
	for i, f := range fields {
		bounded := i == 1 || i == 4 || i == 6
		switch {
		case bounded && f >= unbounded:
			f = unbounded
		case bounded && f <= -unbounded:
			f = -unbounded
		case f < -unbounded || f > unbounded && i != 11:
			return nil, fmt.Errorf("the pattern needs the number %d, beyond ±2^30 blocks", f)
		}
		words[i] = int32(f)
	}
	return words, nil
}

func mod(a, m int64) int64 { return ((a % m) + m) % m }

func (e *encoder) table(t *ir.Table) (int32, error) {
	if at, ok := e.tables[t]; ok {
		return at, nil
	}
	at := len(e.p.Table) / 4
	if total := int64(at) + t.Rows + 1 + 2*int64(len(t.Col)); total > unbounded {
		return 0, fmt.Errorf("the tables need %d words, beyond 2^30; lower the greatest length", total)
	}
	blob := e.p.Table
	for _, c := range t.Crow {
		blob = binary.LittleEndian.AppendUint32(blob, uint32(c))
	}
	if (at+len(t.Crow))%2 != 0 { // entries are read as pairs
		blob = binary.LittleEndian.AppendUint32(blob, 0)
	}
	all := uint32(1)<<e.merge - 1
	for i, j := range t.Col {
		if t.Members[i] != all {
			e.p.Members = true
		}
		blob = binary.LittleEndian.AppendUint32(blob, uint32(j))
		blob = binary.LittleEndian.AppendUint32(blob, t.Members[i])
	}
	e.p.Table, e.tables[t] = blob, int32(at)
	return int32(at), nil
}

// HeadTile are the registers of one head tile's record.
type HeadTile struct {
	FirstHead, KVHead ptx.R32
	cellWord, cells   ptx.R32
	tableRows, table  ptx.R32
	words             ptx.R64
}

// LoadHeadTile reads the record of head tile n; words is the module variable.
func LoadHeadTile(b *ptx.Builder, words ptx.Sym, n ptx.R32) HeadTile {
	base := b.MovU64Sym(words)
	at := b.MadWideU32(n, ptx.Imm(headWords*4), base)
	lo, hi := b.R32s(4), b.R32s(2)
	b.LdGlobalNcV4B32(lo, at.At(0))
	b.LdGlobalNcV2B32(hi, at.At(16))
	return HeadTile{FirstHead: lo[0], KVHead: lo[1], cellWord: lo[2], cells: lo[3], tableRows: hi[0], table: hi[1], words: base}
}
