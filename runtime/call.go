package runtime

import (
	"fmt"
	"math"

	"github.com/s2attention/s2c/launch"
)

// call is one launch of a plan on its way to the device. Calls are pooled, so
// that a launch allocates nothing.
type call struct {
	Args
	a *Attention
	// prepared is whether grids and blocks are those of Args: a model launches its layers
	// over and over on the same buffers, and need not do the work again.
	prepared bool
	scratch  []Ptr    // parallel to the plan's workspaces
	grids    []int    // parallel to its kernels
	blocks   [][]byte // parallel to its kernels: their parameter blocks
}

func (a *Attention) newCall() any {
	c := &call{a: a, scratch: make([]Ptr, len(a.plan.Workspaces)), grids: make([]int, len(a.steps))}
	for i := range a.steps {
		c.blocks = append(c.blocks, make([]byte, a.steps[i].size))
	}
	return c
}

// prepare checks the arguments and fills everything that the launches need.
func (c *call) prepare() error {
	if c.prepared {
		return nil
	}
	if err := c.check(); err != nil {
		return err
	}
	if err := c.placeWorkspaces(); err != nil {
		return err
	}
	for i := range c.a.steps {
		s := &c.a.steps[i]
		var err error
		if c.grids[i], err = c.grid(&s.kernel.Grid); err != nil {
			return err
		}
		for n := range s.fields {
			f := &s.fields[n]
			if err := f.put(c, f, c.blocks[i][f.at:]); err != nil {
				return err
			}
		}
	}
	c.prepared = true
	return nil
}

// grid is the number of thread blocks, see launch.GridRule.
func (c *call) grid(rule *launch.GridRule) (int, error) {
	tiles := tilings[rule.Over](c, int64(rule.Positions))
	items := tiles * int64(rule.HeadTiles) // below 2⁴⁷
	if items <= maxGrid {
		items *= int64(c.Batch)
	}
	if items > maxGrid {
		return 0, c.bad(fmt.Sprintf("%d tiles × %d head tiles × batch %d exceed 2³¹ − 1 thread blocks; split the batch",
			tiles, rule.HeadTiles, c.Batch))
	}
	if rule.Persistent > 0 {
		items = min(items, int64(rule.Persistent)*int64(max(c.a.dev.Multiprocessors(), 1)))
	}
	return int(items), nil
}

// workspaceAlign is what each workspace is aligned to.
const workspaceAlign = 256

// layWorkspaces finds each workspace's distance from the first, and the bytes
// of all.
func (c *call) layWorkspaces() (total int64, err error) {
	for i := range c.a.plan.Workspaces {
		w := &c.a.plan.Workspaces[i]
		n := w.Bytes
		for _, name := range w.Per {
			items := counts[name](c)
			if n > maxWorkspace/items {
				return 0, c.bad(fmt.Sprintf("workspace %s takes more than 2⁴⁸ bytes; split the batch", w.Name))
			}
			n *= items
		}
		c.scratch[i] = Ptr(total)
		total += (n + workspaceAlign - 1) &^ (workspaceAlign - 1)
	}
	return total, nil
}

// placeWorkspaces finds each workspace's address.
func (c *call) placeWorkspaces() error {
	total, err := c.layWorkspaces()
	switch {
	case err != nil || total == 0:
		return err
	case c.Workspace == 0:
		return c.bad(fmt.Sprintf("the workspace is nil; it takes %d bytes, see WorkspaceBytes", total))
	case c.Workspace%workspaceAlign != 0:
		return c.bad(fmt.Sprintf("the workspace at %#x is not %d-byte aligned", uint64(c.Workspace), workspaceAlign))
	case uint64(c.Workspace) > math.MaxUint64-uint64(total):
		return c.bad(fmt.Sprintf("the workspace of %d bytes at %#x runs past the address space", total, uint64(c.Workspace)))
	}
	for i := range c.scratch {
		c.scratch[i] += c.Workspace
	}
	return nil
}

// scale is the softmax scale.
func (c *call) scale() float64 {
	if c.Scale == 0 {
		return c.a.plan.Scale
	}
	return c.Scale
}

// bad is an ErrArgs that names the plan.
func (c *call) bad(reason string) error {
	return Errorf(ErrArgs, "launch of %s: %s", c.a.plan.Name(), reason)
}
