package pass

import (
	"strconv"
	"strings"

	"github.com/s2attention/s2c/ir/layout"
)

// tile builds the head tiles: Pack consecutive query heads each, and their
// pattern with Merge query blocks a row.
func tile(s *State) error {
	k := s.Kernel
	for first := 0; first < s.Shape.Heads; first += k.Pack {
		h := layout.HeadTile{KVHead: first / s.Shape.Group()}
		for head := first; head < first+k.Pack; head++ {
			h.Heads = append(h.Heads, head)
		}
		p, err := s.mergedPattern(s.Classes[first], k.Merge)
		if err != nil {
			return err
		}
		h.Pattern = p
		k.HeadTiles = append(k.HeadTiles, h)
	}
	return nil
}

// name gives the kernel its PTX entry.
func name(s *State) error {
	var b strings.Builder
	b.WriteString("s2c_")
	for _, r := range s.opts.Model {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			b.WriteRune(r)
		} else {
			b.WriteByte('_')
		}
	}
	if s.opts.Model == "" {
		b.WriteString("model")
	}
	b.WriteString("_l")
	b.WriteString(strconv.Itoa(s.Layer.Numbers[0]))
	s.Kernel.Entry = b.String()
	return nil
}
