package compiler

import (
	"fmt"

	"github.com/s2attention/s2c/ir"
	"github.com/s2attention/s2c/ir/layout"
	"github.com/s2attention/s2c/ir/pass"
	"github.com/s2attention/s2c/target"
)

// Tuning lets a tuning file decide layouts in place of the cost model. The zero
// value leaves everything to the model.
type Tuning struct {
	File *layout.Tuning
	// Device is the name of the GPU that the code is for. Without it an entry for
	// any device serves, as long as all entries agree.
	Device string
	// Missing, where it is set, hears of layers and targets that the file has no
	// entry for; the cost model decides those.
	Missing func(*ir.Layer, target.Target)
}

// Apply restricts the layout passes to what the file says of a layer, and
// returns the entry; nil where there is none.
func (t Tuning) Apply(opt *pass.Options, layer *ir.Layer, shape ir.Shape, on target.Target) (*layout.TuningEntry, error) {
	if t.File == nil {
		return nil, nil
	}
	e, err := t.File.Find(layout.NewTuningKey(*layer, shape, on, t.Device))
	if err != nil {
		return nil, err
	}
	if e == nil {
		if t.Missing != nil {
			t.Missing(layer, on)
		}
		return nil, nil
	}
	opt.Only = e.Config.Matches
	return e, nil
}

// explainTuned makes an error of the passes say that the tuning file may be the cause.
func explainTuned(e *layout.TuningEntry, err error) error {
	if e == nil || err == nil {
		return err
	}
	return fmt.Errorf("the tuning file asks for %s, which this compiler does not offer for the layer (measure again with s2c tune): %w", e.Config, err)
}

// Layout runs the layout passes on one distinct layer.
func (u *Unit) Layout(layer *ir.Layer, on target.Target, opt Options) (*layout.Kernel, error) {
	b, err := Backend(on)
	if err != nil {
		return nil, err
	}
	opt.Pass.Model = u.Module.Name
	entry, err := opt.Tuning.Apply(&opt.Pass, layer, u.Module.Shape, on)
	if err != nil {
		return nil, err
	}
	k, err := pass.Run(*layer, u.Module.Shape, b, opt.Pass)
	if err != nil {
		return nil, explainTuned(entry, err)
	}
	if entry != nil {
		return k, u.weighTuned(k, layer, b, opt.Pass)
	}
	return k, nil
}

// weighTuned gives the candidates of a tuned layout the costs that the model
// puts on them, so that its record shows both decisions.
func (u *Unit) weighTuned(k *layout.Kernel, layer *ir.Layer, on layout.Backend, opt pass.Options) error {
	model, err := pass.Run(*layer, u.Module.Shape, on, pass.Options{Model: opt.Model})
	if err != nil {
		return err
	}
	for n := range k.Choice {
		c := &k.Choice[n]
		verdict := model.Choice[n].Verdict
		switch {
		case c.Verdict == "chosen":
			verdict = "chosen"
		case verdict == "chosen":
			verdict = "the cost model's choice; the tuning file has another"
		}
		*c = model.Choice[n]
		c.Verdict = verdict
	}
	return nil
}
