package compiler

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/runtime"
)

// factLengths are the lengths at which a bundle states a layer's density.
var factLengths = []int64{2048, 8192, 32768, 131072}

// manifest is what a bundle says of the file; source is its text.
func (u *Unit) manifest(source string) runtime.Manifest {
	sum := sha256.Sum256([]byte(source))
	return runtime.Manifest{
		Model: u.Module.Name, Source: hex.EncodeToString(sum[:]), Layers: u.Program.Model.Layers, Shape: shapeOf(u.Module.Shape),
	}
}

// facts is what a bundle says of a distinct layer: of the heads that it holds,
// which are a slice of the model's where some are active alone.
func (u *Unit) facts(layer *ir.Layer) (runtime.Facts, error) {
	s := u.Module.Shape
	f := runtime.Facts{
		Layers:      layer.Numbers,
		Coverage:    ir.Coverage(*layer, s).Holds,
		KVEfficient: ir.KVEfficient(*layer, s).Holds,
		Dense:       u.Program.IsDense(layer.Numbers[0]),
	}
	for _, head := range layer.Heads {
		f.Tables = f.Tables || head.Table != nil
		if n := head.Limit(); n < ir.Inf && (f.MaxBlocks == 0 || n < f.MaxBlocks) {
			f.MaxBlocks = n
		}
	}
	for _, n := range factLengths {
		if f.MaxBlocks > 0 && n > f.MaxBlocks*int64(s.Block) {
			break
		}
		d, err := ir.Density(*layer, s, n)
		if err != nil {
			return f, err
		}
		f.Densities = append(f.Densities, runtime.Density{Seq: n, Value: d})
	}
	return f, nil
}
