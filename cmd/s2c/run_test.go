package main

import (
	"bytes"
	"context"
	"math"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/reference"
	"github.com/s2attention/s2c/internal/tensor"
)

// TestJudge gives the verdict of a run outputs that no kernel should write.
func TestJudge(t *testing.T) {
	unit, list := compiler.Load(filepath.Join("..", "..", "examples", "dense.s2"),
		dsl.Options{Defines: map[string]string{"heads": "1", "kv_heads": "1", "scale": "1500"}})
	if unit == nil {
		t.Fatal(list)
	}
	layer, err := unit.Layer(0)
	if err != nil {
		t.Fatal(err)
	}
	seq := 40
	run := &runCmd{Seq: &seq}
	in, err := run.inputs(&streams{}, unit)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.draw(0, unit.Shape()); err != nil {
		t.Fatal(err)
	}
	dim := unit.Module.Shape.HeadDim
	ref, err := reference.Attention(context.Background(), reference.Problem{
		Model: unit.Program.Model, Attends: reference.Source(unit.Program, 0), Scale: unit.Module.Shape.Scale, Q: in.q, K: in.k, V: in.v,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		spoil  func(out, lse *tensor.Tensor)
		status int
		want   []string
	}{
		{"right", func(out, lse *tensor.Tensor) {}, exitGood, []string{`\nok\n`, "0 of it more than large scores explain"}},
		{"nothing written", func(out, lse *tensor.Tensor) { out.Poison(); lse.Poison() }, exitBad,
			[]string{"worst row .*NaN", "not ok: the output is NaN at batch 0, head 0, query 0, element 0"}},
		{"infinite", func(out, _ *tensor.Tensor) { out.Set(9*dim+5, float32(math.Inf(1))) }, exitBad,
			[]string{"not ok: the output is [+]Inf at batch 0, head 0, query 9, element 5, where the reference is"}},
		{"another sign", func(out, _ *tensor.Tensor) { clear(out.Data[2*9*dim : 2*10*dim]) }, exitBad,
			[]string{": batch 0, head 0, query 9", "not ok: the error is"}},
		{"log-sum-exp", func(_, lse *tensor.Tensor) { lse.Set(9, 1) }, exitBad,
			[]string{"more than large scores explain: batch 0, head 0, query 9", "not ok: the error is"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, lse := outputs(t, in, ref)
			c.spoil(out, lse)
			var text bytes.Buffer
			s := &streams{out: &text, err: &text}
			o := &outcome{Scale: unit.Module.Shape.Scale, shape: unit.Module.Shape, Seq: in.kLen, QLen: in.qLen, Batch: in.batch}
			if got := s.fail(run.judge(s, unit, layer, in, out, lse, o)); got != c.status {
				t.Errorf("status %d, want %d", got, c.status)
			}
			for _, want := range c.want {
				if !regexp.MustCompile(want).MatchString(text.String()) {
					t.Errorf("no match for %q in:\n%s", want, &text)
				}
			}
		})
	}
}

// outputs are the reference's, rounded to the types of a kernel's.
func outputs(t *testing.T, in *attentionInputs, ref *reference.Result) (out, lse *tensor.Tensor) {
	t.Helper()
	out, err := tensor.New(in.q.DType, in.q.Shape...)
	if err != nil {
		t.Fatal(err)
	}
	lse, err = tensor.New(dtype.F32, in.q.Shape[:3]...)
	if err != nil {
		t.Fatal(err)
	}
	for n, v := range ref.Out {
		out.Set(n, float32(v))
	}
	for n, v := range ref.LSE {
		lse.Set(n, float32(v))
	}
	return out, lse
}
