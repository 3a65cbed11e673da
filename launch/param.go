package launch

// Type is the PTX type of a parameter.
type Type string

const (
	U32     Type = "u32"
	U64     Type = "u64"
	S64     Type = "s64"
	Float32 Type = "f32"
	Blob    Type = "b8" // a tensor map
)

// Types are what parameters take, in bytes: a tensor map is 128 at a multiple
// of 64 (PTX ISA 9.0 §9.7.9.25.5.2), the others are aligned to their size.
var Types = map[Type]struct{ Bytes, Align int }{
	U32: {4, 4}, Float32: {4, 4}, U64: {8, 8}, S64: {8, 8}, Blob: {128, 64},
}

// From is a kind of source. What each takes of a Source, and how a launch reads
// it, is one row in the runtime.
type From string

const (
	Address   From = "address"   // of the tensor Of
	Stride    From = "stride"    // of the tensor Of along Axis, in elements
	Number    From = "number"    // the count Of
	Scale     From = "scale"     // of the softmax
	Constants From = "constants" // the address of the plan's table
	Scratch   From = "scratch"   // the address of the workspace Of
	Map       From = "map"       // a tensor map of the tensor Of, by the parameter's rule
)

// Source is where a parameter's value comes from.
type Source struct {
	From From   `json:"from"`
	Of   string `json:"of,omitempty"` // what From says it is of
	Axis Axis   `json:"axis,omitempty"`
}

// Param is one parameter of a kernel at a byte offset of its parameter block.
type Param struct {
	Name   string `json:"name"` // in the PTX text
	Type   Type   `json:"type"`
	Offset int    `json:"offset"`
	Source
	Map *MapRule `json:"map,omitempty"` // of a tensor map
}

// MapRule says how a tensor map views its tensor. Strides come from the launch;
// an axis of extent 1 gets a stride that cannot matter.
type MapRule struct {
	Axes    []Axis   `json:"axes"`    // innermost first; the first is AxisDim
	Box     []uint32 `json:"box"`     // elements of one copy, parallel to Axes, 1…256
	Swizzle int      `json:"swizzle"` // bytes: 0, 32, 64 or 128
}

// ForwardParams are the parameters of every forward kernel, in order. Tensor
// maps follow them.
var ForwardParams = []Param{
	addressOf("q"), addressOf("k"), addressOf("v"), addressOf("o"), addressOf("lse"),
	{Name: "table", Type: U64, Source: Source{From: Constants}},
	strideOf("q", AxisBatch), strideOf("q", AxisHead), strideOf("q", AxisSeq),
	strideOf("k", AxisBatch), strideOf("k", AxisHead), strideOf("k", AxisSeq),
	strideOf("v", AxisBatch), strideOf("v", AxisHead), strideOf("v", AxisSeq),
	strideOf("o", AxisBatch), strideOf("o", AxisHead), strideOf("o", AxisSeq),
	numberOf(Batch), numberOf(QLen), numberOf(KLen),
	{Name: "scale", Type: Float32, Source: Source{From: Scale}},
}

func addressOf(tensor string) Param {
	return Param{Name: tensor, Type: U64, Source: Source{From: Address, Of: tensor}}
}

func strideOf(tensor string, axis Axis) Param {
	return Param{Name: tensor + "_" + string(axis), Type: S64, Source: Source{From: Stride, Of: tensor, Axis: axis}}
}

func numberOf(c Count) Param {
	return Param{Name: string(c), Type: U32, Source: Source{From: Number, Of: string(c)}}
}

// MapOf is the tensor-map parameter of a tensor.
func MapOf(tensor string, rule MapRule) Param {
	return Param{Name: tensor + "_map", Type: Blob, Source: Source{From: Map, Of: tensor}, Map: &rule}
}

// Place joins lists of parameters into one and gives each its offset.
func Place(lists ...[]Param) []Param {
	var out []Param
	end := 0
	for _, list := range lists {
		for _, p := range list {
			t := Types[p.Type]
			p.Offset = (end + t.Align - 1) / t.Align * t.Align
			end = p.Offset + t.Bytes
			out = append(out, p)
		}
	}
	return out
}
