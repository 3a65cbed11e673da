package main

import (
	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/ir"
)

// pick finds the layer that the flag names, or the default one.
func (c *layerFlag) pick(unit *compiler.Unit) (layer *ir.Layer, number int, err error) {
	number = unit.DefaultLayer()
	if c.Layer != nil {
		number = *c.Layer
	}
	if layer, err = unit.Layer(number); err != nil {
		return nil, 0, usageError{err}
	}
	return layer, number, nil
}

// checkSeq reports a length that no kernel or count of the layer is defined for.
func checkSeq(unit *compiler.Unit, layer *ir.Layer, seq int64) error {
	if seq < 1 || seq > ir.MaxTokens {
		return usagef("a length of %d tokens; 1 to %d are possible", seq, ir.MaxTokens)
	}
	block := int64(unit.Module.Shape.Block)
	for h, p := range layer.Heads {
		if limit := p.Limit(); limit < ir.Inf/block && seq > limit*block {
			return usagef("head %d is defined up to %d tokens, because it uses `where`, and %d are asked for; raise its max, or ask for less",
				h, limit*block, seq)
		}
	}
	return nil
}

// check reports the first length of the list that checkSeq refuses.
func (l lengthList) check(unit *compiler.Unit, layer *ir.Layer) error {
	for _, seq := range l {
		if err := checkSeq(unit, layer, int64(seq)); err != nil {
			return err
		}
	}
	return nil
}
