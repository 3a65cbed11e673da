package launch

import (
	"slices"
	"testing"
)

// TestTensors: names tell tensors apart, rows are contiguous, and every tensor
// is some operation's.
func TestTensors(t *testing.T) {
	var used []Role
	for _, op := range Operations {
		used = slices.Concat(used, op.Reads, op.Writes)
	}
	for role := range Roles {
		x := &Tensors[role]
		if got, ok := RoleOf(x.Name); !ok || got != role {
			t.Errorf("the name %q of role %d is that of role %d, %v", x.Name, role, got, ok)
		}
		if x.Packed == (x.Axes[0].Axis == AxisDim) {
			t.Errorf("%s: a tensor is packed, or its innermost axis is %s", x.Name, AxisDim)
		}
		if !slices.Contains(used, role) {
			t.Errorf("%s is of no operation", x.Name)
		}
	}
	if role, ok := RoleOf("moon"); ok {
		t.Errorf("the moon is role %d", role)
	}
	if n, ok := Tensors[K].Extent(AxisHead); !ok || n != KVHeads {
		t.Errorf("k has %s heads, %v", n, ok)
	}
	if n, ok := Tensors[LSE].Extent(AxisDim); ok {
		t.Errorf("the log-sum-exp has %s columns", n)
	}
}

// TestForwardParams pins the parameter block of the forward kernels, which
// compiled code knows by offset.
func TestForwardParams(t *testing.T) {
	params := Place(ForwardParams, []Param{MapOf("q", MapRule{}), MapOf("k", MapRule{})})
	for name, want := range map[string]int{
		"q": 0, "lse": 32, "table": 40, "q_batch": 48, "k_head": 80, "o_seq": 136, "batch": 144, "q_len": 148, "k_len": 152, "scale": 156,
		"q_map": 192, "k_map": 320,
	} {
		i := slices.IndexFunc(params, func(p Param) bool { return p.Name == name })
		if i < 0 || params[i].Offset != want {
			t.Errorf("%s is not at %d: %+v", name, want, params[max(i, 0)])
		}
	}
	if ForwardParams[1].Offset != 0 {
		t.Error("Place changes what it is given")
	}
}

func TestName(t *testing.T) {
	p := &Plan{}
	if got := p.Name(); got != "" {
		t.Errorf("a plan without kernels is %q", got)
	}
	p.Kernels = []Kernel{{Entry: "first"}, {Entry: "second"}}
	if got := p.Name(); got != "first" {
		t.Errorf("the plan is %q", got)
	}
}
