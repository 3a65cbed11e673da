// Package runtime loads compiled kernels and launches them: on a GPU through
// the CUDA driver, or on the CPU by executing the same PTX text.
// It knows compiled kernels only; patterns and layouts end before it.
package runtime

// DType is the element type of query, key, value and output.
type DType string

const (
	BF16 DType = "bf16"
	F16  DType = "f16"
)

// Kernel is one compiled attention kernel and everything that a launch needs.
type Kernel struct {
	Target       string `json:"target"` // "sm_80", "sm_90a"
	Entry        string `json:"entry"`
	PTX          string `json:"-"`
	SharedBytes  int    `json:"shared_bytes"`  // dynamic shared memory
	BlockThreads int    `json:"block_threads"` // threads a thread block
	Layers       []int  `json:"layers"`        // layers of the model it serves

	Heads     int     `json:"heads"`
	KVHeads   int     `json:"kv_heads"`
	HeadDim   int     `json:"head_dim"`
	Block     int     `json:"block"`
	DType     DType   `json:"dtype"`
	Causal    bool    `json:"causal"`
	Scale     float64 `json:"scale"`      // default softmax scale
	MaxBlocks int64   `json:"max_blocks"` // greatest length in blocks; 0: no limit

	Grid   GridRule `json:"grid"`
	Params []Param  `json:"params"`
	// Maps describes the tensor maps among Params, one rule each.
	Maps  []MapRule `json:"maps,omitempty"`
	Table []byte    `json:"-"` // uploaded once; its address is parameter "table"
}

// GridRule says how many thread blocks a problem needs:
// tiles × head tiles × batch, where tiles counts the query tiles of Positions
// rows that overlap positions [k_len − q_len, k_len), aligned to position 0.
// Persistent > 0 caps the grid at that many thread blocks a multiprocessor.
type GridRule struct {
	Positions  int `json:"positions"`
	HeadTiles  int `json:"head_tiles"`
	Persistent int `json:"persistent,omitempty"`
}

// Param is one kernel parameter at a byte offset of the parameter block.
type Param struct {
	Name   string `json:"name"` // fixed vocabulary, see ParamNames
	Offset int    `json:"offset"`
	Size   int    `json:"size"`
}

// MapRule says how the tensor map of one parameter views its tensor. Strides
// come from the launch; an axis of extent 1 gets a stride that cannot matter.
type MapRule struct {
	Param   string   `json:"param"`   // "q_map", "k_map", "v_map" or "o_map"
	Axes    []Axis   `json:"axes"`    // innermost first; the first is AxisDim
	Box     []uint32 `json:"box"`     // elements of one copy, parallel to Axes, 1…256
	Swizzle int      `json:"swizzle"` // bytes: 0, 32, 64 or 128
}

// Axis is one dimension of a tensor: query, key, value or output.
type Axis string

const (
	AxisDim   Axis = "dim"   // head_dim elements, contiguous
	AxisSeq   Axis = "seq"   // q_len rows of Q and O, k_len of K and V
	AxisHead  Axis = "head"  // heads of Q and O, KV heads of K and V
	AxisBatch Axis = "batch" // sequences
)

// ParamNames is the vocabulary of Param.Name, in the order of the parameter block.
//
//	q k v o lse table            u64 device addresses (lse may be 0: not wanted)
//	{q,k,v,o}_{batch,head,seq}   s64 strides in elements
//	batch q_len k_len            u32
//	scale                        f32, softmax scale
//	q_map k_map v_map o_map      128-byte tensor maps (sm_90a), 64-byte aligned
var ParamNames = []string{
	"q", "k", "v", "o", "lse", "table",
	"q_batch", "q_head", "q_seq", "k_batch", "k_head", "k_seq",
	"v_batch", "v_head", "v_seq", "o_batch", "o_head", "o_seq",
	"batch", "q_len", "k_len", "scale",
	"q_map", "k_map", "v_map", "o_map",
}
