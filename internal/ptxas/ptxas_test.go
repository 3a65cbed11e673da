package ptxas

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const store = `.version 7.0
.target sm_80
.address_size 64
.visible .entry store(.param .u64 p)
{
	.reg .b64 %rd<2>;
	.reg .b32 %r<4>;
	.shared .align 4 .b8 s[128];
	ld.param.u64 %rd0, [p];
	mov.u32 %r0, %tid.x;
	mov.u32 %r1, s;
	st.shared.u32 [%r1], %r0;
	ld.shared.u32 %r2, [%r1];
	st.global.u32 [%rd0], %r2;
	ret;
}
`

func TestAssemble(t *testing.T) {
	r := Assemble(t, store, "sm_80")
	if r.Registers < 1 || r.Registers > 32 {
		t.Errorf("%d registers for a kernel that needs a handful", r.Registers)
	}
	if r.Shared != 128 {
		t.Errorf("%d bytes of shared memory, want 128", r.Shared)
	}
	if r.Spills() || r.Stack != 0 || len(r.Performance) != 0 {
		t.Errorf("spills, stack or performance messages in a kernel without any: %+v", r)
	}
	if diff := cmp.Diff([]string{"store"}, r.Entries); diff != "" {
		t.Error(diff)
	}
}

func TestRunNamesTheLine(t *testing.T) {
	bad := strings.Replace(store, "mov.u32 %r0", "mov.quux %r0", 1)
	_, err := Run(Find(t), bad, "sm_80", t.TempDir())
	if err == nil {
		t.Fatal("ptxas took mov.quux")
	}
	if !strings.Contains(err.Error(), "mov.quux %r0, %tid.x;") {
		t.Errorf("the error does not show the offending line:\n%v", err)
	}
}

func TestParse(t *testing.T) {
	const log = `ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized due to insufficient register resources in the function 'a'
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'a' for 'sm_90a'
ptxas info    : Function properties for a
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 255 registers, used 4 barriers, 16 bytes cumulative stack size, 1024 bytes smem
ptxas info    : Compiling entry function 'b' for 'sm_90a'
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 400 bytes cmem[0]
` + "\x00\x00"
	got := Parse(log)
	if !got.Spills() || len(got.Performance) != 1 || len(got.Messages) != 9 {
		t.Errorf("spills %v, %d performance messages, %d messages; want true, 1, 9",
			got.Spills(), len(got.Performance), len(got.Messages))
	}
	got.Messages, got.Performance = nil, nil
	want := Report{Entries: []string{"a", "b"}, Registers: 255, SpillStores: 8, SpillLoads: 12, Stack: 16, Barriers: 4, Shared: 1024}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFindOrder(t *testing.T) {
	root := t.TempDir()
	write := func(rel string, mode os.FileMode) string {
		p := filepath.Join(root, rel)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, nil, mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	write("go.mod", 0o644)
	deep := filepath.Dir(write("a/b/x", 0o644))
	named, onPath := write("named/ptxas", 0o755), write("path/ptxas", 0o755)
	plain := write("plain/ptxas", 0o644)

	env := ""
	getenv := func(string) string { return env }
	var look error
	lookPath := func(string) (string, error) { return onPath, look }
	check := func(name, want string) {
		t.Helper()
		got, err := find(getenv, lookPath, deep)
		if (err != nil) != (want == "") || got != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	look = errors.New("not found")
	check("nowhere", "")
	look = nil
	check("on PATH", onPath)
	venv := write(".venv/bin/ptxas", 0o755)
	check("in .venv", venv)
	env = named
	check("named", named)
	env = plain
	check("named, but not executable", "")
}
