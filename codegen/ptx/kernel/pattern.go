package kernel

import (
	"encoding/binary"
	"fmt"

	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
)

// unbounded stands for ±Inf: beyond every block number.
const unbounded = 1 << 30

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
	rec := headRecord[int32]{
		FirstHead: int32(ht.Heads[0]), KVHead: int32(ht.KVHead), CellWord: at, Cells: int32(len(ht.Pattern.Cells)),
	}
	if t := ht.Pattern.Table; t != nil && t.Rows > 0 {
		first, err := e.table(t)
		if err != nil {
			return err
		}
		rec.TableRows, rec.Table = int32(t.Rows), first
	}
	for n, f := range rec.fields() {
		e.p.Words[i*headWords+n] = *f
	}
	return nil
}

func (e *encoder) cell(c ir.Cell) ([]int32, error) {
	all := uint32(1)<<e.merge - 1
	if c.Members != all {
		e.p.Members = true
	}
	rec := cellRecord[int64]{
		RowLo: c.Rows.Lo, RowHi: c.Rows.Hi, RowMod: c.Rows.Mod, RowRes: c.Rows.Res,
		LoC: c.Lo.C, LoA: c.Lo.A, HiC: c.Hi.C, HiA: c.Hi.A,
		Step: c.Step, PhaseC: mod(c.Phase.C, c.Step), PhaseA: mod(c.Phase.A, c.Step), Members: int64(c.Members),
	}
	e.p.Moves = e.p.Moves || rec.PhaseA != 0
	var words []int32
	for _, f := range rec.fields() {
		if f == &rec.RowHi || f == &rec.LoC || f == &rec.HiC {
			*f = min(max(*f, -unbounded), unbounded)
		}
		if *f < -unbounded || *f > unbounded && f != &rec.Members {
			return nil, fmt.Errorf("the pattern needs the number %d, beyond ±2^30 blocks", *f)
		}
		words = append(words, int32(*f))
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
