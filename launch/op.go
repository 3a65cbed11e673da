// Package launch says, as data, what can be launched: the operations there are,
// the tensors that they read and write, the parameters that kernels take and
// where each value comes from, and the plan that compiled code is launched by.
// Compiler, emitters, runtime and bundles read these tables; none of them knows
// a parameter by its position. Of the module it imports targets and element types alone.
package launch

// Op names an operation: what a layer can be asked to compute.
type Op string

// Forward is attention and its log-sum-exp.
const Forward Op = "forward"

// Operation is what an operation does to tensors. All that it writes is
// complete when its last launch has ended.
type Operation struct {
	Reads, Writes []Role
}

// Operations are the operations by name. Another one is a row here, rows for
// the tensors that are new, and kernels with a plan.
var Operations = map[Op]Operation{
	Forward: {Reads: []Role{Q, K, V}, Writes: []Role{O, LSE}},
}
