package launch

import (
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/target"
)

// Shape is what all layers of a model have in common.
type Shape struct {
	Heads   int        `json:"heads"`
	KVHeads int        `json:"kv_heads"`
	HeadDim int        `json:"head_dim"`
	Block   int        `json:"block"`
	DType   dtype.Type `json:"dtype"`
	Causal  bool       `json:"causal"`
	Scale   float64    `json:"scale"` // default softmax scale
}

// Plan is one operation of some layers, compiled for a target: code, and the
// launches that make it up, in order.
type Plan struct {
	Op     Op            `json:"op"`
	Target target.Target `json:"target"`
	Layers []int         `json:"layers"` // layers of the model that it serves
	PTX    string        `json:"-"`      // one module with every kernel
	Shape
	MaxBlocks int64 `json:"max_blocks"` // greatest length in blocks; 0: no limit

	Workspaces []Workspace `json:"workspaces,omitempty"`
	Kernels    []Kernel    `json:"kernels"`
	Table      []byte      `json:"-"` // uploaded once, see Constants
}

// Name is what messages call the plan: its first kernel.
func (p *Plan) Name() string {
	if len(p.Kernels) == 0 {
		return ""
	}
	return p.Kernels[0].Entry
}

// Kernel is one launch of a plan.
type Kernel struct {
	Entry        string   `json:"entry"`
	SharedBytes  int      `json:"shared_bytes"`  // dynamic shared memory
	BlockThreads int      `json:"block_threads"` // threads a thread block
	Grid         GridRule `json:"grid"`
	Params       []Param  `json:"params"`
}

// Tiling is what a problem is cut into. How tiles are counted is one row in the
// runtime.
type Tiling string

// QueryTiles are the tiles, aligned to position 0, that hold queries: those that
// overlap positions [k_len − q_len, k_len).
const QueryTiles Tiling = "query_tiles"

// GridRule says how many thread blocks a problem needs:
// tiles of Positions rows × head tiles × batch.
// Persistent > 0 caps the grid at that many thread blocks a multiprocessor.
type GridRule struct {
	Over       Tiling `json:"over"`
	Positions  int    `json:"positions"`
	HeadTiles  int    `json:"head_tiles"`
	Persistent int    `json:"persistent,omitempty"`
}

// Workspace is memory that carries values from a launch of a plan to a later
// one; nobody fills it before, and nothing in it is needed after.
type Workspace struct {
	Name  string  `json:"name"`
	Bytes int64   `json:"bytes"`         // of one item
	Per   []Count `json:"per,omitempty"` // there is an item for each combination of these
}
