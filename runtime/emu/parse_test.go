package emu

import (
	"os"
	"strings"
	"testing"

	"github.com/s2attention/s2c/codegen/ptx/inst"
	"github.com/s2attention/s2c/runtime"
)

func TestParseErrors(t *testing.T) {
	k := func(body string) string { return kernelText("sm_80", 1, "", body) }
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "line 1: no .version"},
		{"no target", ".version 7.0\n", "no .target"},
		{"bad version", ".version seven\n", "line 1: bad version"},
		{"unknown directive", ".version 7.0\n.target sm_80\n.file 1\n", "line 3"},
		{"32-bit addresses", ".version 7.0\n.target sm_80\n.address_size 32\n", "address size 32"},
		{"unknown instruction", k("frobnicate.b32 %r1, %r2;"), "line 12: instruction frobnicate.b32 is not in the table"},
		{"undeclared register", k("add.u32 %r1, %x9, 1;"), "register %x9 is not declared"},
		{"register beyond the family", k("add.u32 %r1, %r512, 1;"), "register %r512 is not declared"},
		{"register of another class", k("add.u32 %r1, %rd1, 1;"), "%rd1 is a .b64 register"},
		{"float register in integer arithmetic", k("add.u32 %r1, %f1, 1;"), "%f1 is a .f32 register"},
		{"too few operands", k("add.u32 %r1, %r2;"), "2 operands, 3 expected"},
		{"constant for a result", k("add.u32 1, %r2, %r3;"), "a register is needed"},
		{"constant too wide", k("add.u32 %r1, %r2, 4294967296;"), "does not fit 32 bits"},
		{"float constant for an integer", k("add.u32 %r1, %r2, 1.5;"), "32-bit constant"},
		{"integer constant for a float", k("add.f32 %f1, %f2, 1;"), "float constant"},
		{"missing label", k("bra NOWHERE;"), `label "NOWHERE" is not defined`},
		{"label twice", k("A:\nA:\n"), "label A is defined twice"},
		{"guard that is no predicate", k("@%r1 bra A; A:"), "guard %r1 is no predicate"},
		{"vector too short", k("ld.global.v4.b32 {%r1, %r2, %r3}, [%rd1];"), "a vector of 4"},
		{"32-bit address", k("ld.global.b32 %r1, [%r2];"), "the address needs 64 bits"},
		{"unknown parameter", k("ld.param.b32 %r1, [nothing];"), "no parameter"},
		{"parameter out of range", k("ld.param.b64 %rd1, [p0+8];"), "bytes 8 to 15 of parameter p0, which has 8"},
		{"unknown special register", k("mov.u32 %r1, %tid.w;"), "special register %tid.w is not known"},
		{"missing semicolon", k("add.u32 %r1, %r2, 1\nret;"), `expected ";"`},
		{"open kernel", strings.TrimSuffix(strings.TrimSpace(k("")), "}"), "no closing brace"},
		{"open comment", k("") + "/* ", "comment without an end"},
		{"open string", k(".pragma \"x;\n"), "string without an end"},
		{"stray character", k("add.u32 %r1, %r2, #;"), "unexpected character"},
		{"copy of 8 bytes", k("cp.async.cg.shared.global [%r1], [%rd1], 8, 8;"), "only 16"},
		{"instruction of another target", k("elect.sync _|%p1, -1;"), "needs PTX 8.0"},
		{"two kernels of one name", k("") + strings.TrimPrefix(k(""), header("sm_80")), "two kernels named k"},
		{"huge variable", header("sm_80") + ".global .b64 x[999999999];", "array length"},
		{"huge product", header("sm_80") + ".global .b64 x[99999][99999];", "too large"},
		{"too many initial values", header("sm_80") + ".global .b32 x[2] = {1, 2, 3};", "12 initial bytes for 8"},
		{"initialised shared memory", header("sm_80") + ".shared .b32 x[2] = {1, 2};", "cannot be initialised"},
		{"alignment that is none", header("sm_80") + ".global .align 3 .b32 x;", "no power of two"},
		{"huge register family", header("sm_80") + ".entry k() { .reg .b32 %r<99999999999>; }", "register count"},
		{"huge parameters", header("sm_80") + ".entry k(.param .align 64 .b8 m[30000], .param .align 64 .b8 n[30000]) {}", "at most 32764"},
		{"clusters", header("sm_90a") + ".entry k() .reqnctapercluster 2 {}", "clusters of more than one block"},
		{"deep nesting", header("sm_80") + ".entry k() " + strings.Repeat("{", 1000), "nested too deeply"},
		{"unknown target", ".version 7.0\n.target gfx90\n", "not known"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "instruction of another target" {
				c.text = strings.Replace(c.text, ".version 8.0", ".version 7.0", 1)
			}
			_, err := New(Options{}).LoadModule(c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q\n%s", err, c.want, numbered(c.text))
			}
		})
	}
}

func TestParseAccepts(t *testing.T) {
	for name, text := range map[string]string{
		"scopes": kernelText("sm_80", 0, "", `{ .reg .b32 t; mov.u32 t, %tid.x; { .reg .b64 t; mov.b64 t, 5; } add.u32 %r1, t, 1; }
{ .reg .f32 t; mov.f32 t, 0f3F800000; }`),
		"numbers":   kernelText("sm_80", 0, "", "mov.b32 %r1, 0x1F; mov.b32 %r1, -1; mov.b32 %r1, 0f3F800000; mov.f32 %f1, 1.5; mov.f32 %f1, -0f3F800000; mov.b64 %rd1, 0xffffffffffffffff; mov.b32 %r1, 017; mov.b32 %r1, 7U;"),
		"pragmas":   kernelText("sm_80", 0, ".pragma \"nounroll\";", ".pragma \"nounroll\", \"x\";"),
		"comments":  "/* a\nb */" + kernelText("sm_80", 0, "", "// nothing\n"),
		"line info": kernelText("sm_80", 0, "", ".loc 1 2 3\n;"),
		"target":    strings.Replace(kernelText("sm_80", 0, "", ""), "sm_80", "sm_80, debug", 1),
		"prefixes":  kernelText("sm_80", 0, "", ".reg .b32 %a1<5>; .reg .b32 %a<20>; mov.b32 %a12, 1; mov.b32 %a3, 2; add.u32 %r1, %a12, %a3;"),
	} {
		if _, err := New(Options{}).LoadModule(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParse: any text is loaded or refused, and what loads runs to an end or a fault.
func FuzzParse(f *testing.F) {
	f.Add(gemm())
	f.Add(kernelText("sm_80", 3, externShared, vectorAdd))
	if text, err := os.ReadFile("testdata/attention_sm80.ptx"); err == nil {
		f.Add(string(text))
	}
	f.Add(kernelText("sm_90a", 1, externShared, prologue+ring))
	f.Add(tmaText(loadBox("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes", "mov.b32 %r40, 0;\n", "{%r40, 0}", "", 512)))
	f.Add((&wgmmaCase{form: inst.Lookup("wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16"), swizzleA: 128, swizzleB: 64, scaleA: 1, scaleB: 1}).text())
	for _, c := range faults {
		f.Add(kernelText("sm_80", 1, externShared, prologue+c.body))
	}
	f.Fuzz(func(t *testing.T, text string) {
		dev := New(Options{Workers: 1, Budget: 1e4})
		m, err := dev.LoadModule(text)
		if err != nil {
			if strings.Contains(err.Error(), "internal error") {
				t.Fatal(err)
			}
			return
		}
		for name, p := range m.(*module).kernels {
			if p.source.paramBytes > 4096 || p.n32 > 1<<12 {
				continue
			}
			fn, err := m.Function(name, 4096)
			if err != nil {
				continue
			}
			params := make([]byte, p.source.paramBytes)
			err = fn.Launch(nil, [3]int{2, 1, 1}, [3]int{64, 1, 1}, params)
			if err != nil && strings.Contains(err.Error(), CheckInternal.String()) {
				t.Fatal(err)
			}
		}
	})
}

var _ runtime.Module = (*module)(nil)
