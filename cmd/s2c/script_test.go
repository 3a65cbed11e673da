package main

import (
	"errors"
	"math"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/s2attention/s2c/dtype"
	"github.com/s2attention/s2c/internal/tensor"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"s2c": main})
}

// TestScript runs the command line in testdata/script: a script a command, with
// its error paths. Beside testscript's own commands there is
//
//	exits STATUS PROGRAM ARGS…   wants that very exit status
//	infinite FILE DIM…           writes a bf16 tensor of infinities
//	zeros FILE DTYPE DIM…        writes a tensor of zeros
//	massive FILE SEED FACTOR CHANNEL OUTLIER DIM…
//	                             writes a bf16 tensor of normal values times FACTOR,
//	                             in one channel times OUTLIER as well
//
// $EXAMPLES is the folder of examples.
func TestScript(t *testing.T) {
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("EXAMPLES", examples)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits, "zeros": zeros, "infinite": infinite, "massive": massive},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM ARGS…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit := (*exec.ExitError)(nil)
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

func infinite(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: infinite FILE DIM…")
	}
	t, err := tensor.New(dtype.BF16, integers(ts, args[1:])...)
	ts.Check(err)
	for n := range t.Len() {
		t.Set(n, float32(math.Inf(1)))
	}
	ts.Check(tensor.Write(ts.MkAbs(args[0]), map[string]*tensor.Tensor{"v": t}))
}

func zeros(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: zeros FILE DTYPE DIM…")
	}
	t, err := tensor.New(dtype.Type(args[1]), integers(ts, args[2:])...)
	ts.Check(err)
	ts.Check(tensor.Write(ts.MkAbs(args[0]), map[string]*tensor.Tensor{"t": t}))
}

func massive(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 6 {
		ts.Fatalf("usage: massive FILE SEED FACTOR CHANNEL OUTLIER DIM…")
	}
	n, shape := integers(ts, args[1:5]), integers(ts, args[5:])
	seed, factor, channel, outlier := n[0], n[1], n[2], n[3]
	t, err := tensor.Normal(uint64(seed), 0, dtype.BF16, shape...)
	ts.Check(err)
	values := make([]float64, t.Len())
	t.Float64s(values, 0)
	for n, v := range values {
		v *= float64(factor)
		if n%shape[len(shape)-1] == channel {
			v *= float64(outlier)
		}
		t.Set(n, float32(v))
	}
	ts.Check(tensor.Write(ts.MkAbs(args[0]), map[string]*tensor.Tensor{"t": t}))
}

func integers(ts *testscript.TestScript, args []string) []int {
	var list []int
	for _, arg := range args {
		n, err := strconv.Atoi(arg)
		ts.Check(err)
		list = append(list, n)
	}
	return list
}
