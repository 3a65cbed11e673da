package runtime

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/s2attention/s2c/launch"
)

// field is one parameter of a kernel as a launch fills it: where it goes, and
// what its source needs to find the value.
type field struct {
	at        int // offset in the parameter block
	put       func(c *call, f *field, to []byte) error
	role      launch.Role
	axis      launch.Axis
	count     count
	workspace int
	extents   []count // parallel to the axes of a tensor map
	param     *launch.Param
}

// source is a kind of source: the type that it fills, what it names, and how a
// launch reads it.
type source struct {
	typ  launch.Type
	bind func(f *field, p *launch.Plan) bool // false: Of or Axis names nothing of the plan; strides alone have an axis
	put  func(c *call, f *field, to []byte) error
}

// sources are the kinds of source. Another one is a row here.
var sources = map[launch.From]source{
	launch.Address: {launch.U64, bindTensor, func(c *call, f *field, to []byte) error {
		return put64(to, uint64(c.Tensors[f.role].Ptr))
	}},
	launch.Stride: {launch.S64, bindStride, func(c *call, f *field, to []byte) error {
		return put64(to, uint64(c.Tensors[f.role].stride(f.axis)))
	}},
	launch.Number: {launch.U32, bindCount, func(c *call, f *field, to []byte) error {
		return put32(to, uint32(f.count(c)))
	}},
	launch.Scale: {launch.Float32, bindNothing, func(c *call, _ *field, to []byte) error {
		return put32(to, math.Float32bits(float32(c.scale())))
	}},
	launch.Constants: {launch.U64, bindNothing, func(c *call, _ *field, to []byte) error {
		return put64(to, uint64(c.a.table))
	}},
	launch.Scratch: {launch.U64, bindWorkspace, func(c *call, f *field, to []byte) error {
		return put64(to, uint64(c.scratch[f.workspace]))
	}},
	launch.Map: {launch.Blob, bindMap, func(c *call, f *field, to []byte) error {
		return c.a.maps.put(c, f, to)
	}},
}

// count reads a number of a launch.
type count func(c *call) int64

var counts = map[launch.Count]count{
	launch.Batch:   func(c *call) int64 { return int64(c.Batch) },
	launch.QLen:    func(c *call) int64 { return int64(c.QLen) },
	launch.KLen:    func(c *call) int64 { return int64(c.KLen) },
	launch.Heads:   func(c *call) int64 { return int64(c.a.plan.Heads) },
	launch.KVHeads: func(c *call) int64 { return int64(c.a.plan.KVHeads) },
	launch.HeadDim: func(c *call) int64 { return int64(c.a.plan.HeadDim) },
}

// tilings count the tiles of a grid.
var tilings = map[launch.Tiling]func(c *call, positions int64) int64{
	launch.QueryTiles: func(c *call, p int64) int64 {
		return (int64(c.KLen)+p-1)/p - int64(c.KLen-c.QLen)/p
	},
}

// bind makes the field of a parameter; false where its source names nothing.
func bind(p *launch.Plan, param *launch.Param) (field, bool) {
	s := sources[param.From]
	f := field{at: param.Offset, put: s.put, axis: param.Axis, param: param}
	return f, s.bind != nil && (f.axis == "" || param.From == launch.Stride) && s.bind(&f, p)
}

func bindNothing(f *field, _ *launch.Plan) bool { return f.param.Of == "" }

func bindStride(f *field, p *launch.Plan) bool {
	if !bindTensor(f, p) || launch.Tensors[f.role].Packed || f.axis == launch.AxisDim {
		return false
	}
	_, ok := launch.Tensors[f.role].Extent(f.axis)
	return ok
}

// bindTensor wants a tensor of the plan's operation.
func bindTensor(f *field, p *launch.Plan) (ok bool) {
	f.role, ok = launch.RoleOf(f.param.Of)
	op := launch.Operations[p.Op]
	return ok && (slices.Contains(op.Reads, f.role) || slices.Contains(op.Writes, f.role))
}

// bindMap wants the axes of the rule to be the tensor's.
func bindMap(f *field, p *launch.Plan) bool {
	if !bindTensor(f, p) || launch.Tensors[f.role].Packed {
		return false
	}
	for _, axis := range f.param.Map.Axes {
		n, ok := launch.Tensors[f.role].Extent(axis)
		if !ok {
			return false
		}
		f.extents = append(f.extents, counts[n])
	}
	return true
}

func bindCount(f *field, _ *launch.Plan) bool {
	f.count = counts[launch.Count(f.param.Of)]
	return f.count != nil
}

func bindWorkspace(f *field, p *launch.Plan) bool {
	f.workspace = slices.IndexFunc(p.Workspaces, func(w launch.Workspace) bool { return w.Name == f.param.Of })
	return f.workspace >= 0
}

func put64(to []byte, v uint64) error { binary.LittleEndian.PutUint64(to, v); return nil }
func put32(to []byte, v uint32) error { binary.LittleEndian.PutUint32(to, v); return nil }
