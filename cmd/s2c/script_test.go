package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
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
//	wide TYPE FILE DIM…          writes a .npy file of float32 or float64 beyond
//	                             bf16's precision, one of them beyond f16's range
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
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits, "zeros": zeros, "infinite": infinite, "massive": massive, "wide": wide},
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

func wide(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: wide TYPE FILE DIM…")
	}
	shape := integers(ts, args[2:])
	count := 1
	for _, dim := range shape {
		count *= dim
	}
	descr := map[string]string{"float32": "<f4", "float64": "<f8"}[args[0]]
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s,), }\n", descr, strings.Join(args[2:], ", "))
	data := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), byte(len(header)>>8))
	data = append(data, header...)
	for n := range count {
		v := math.Sin(float64(n))
		if n == 0 {
			v = 65520 // the least that rounds to an infinity in f16
		}
		if descr == "<f4" {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(v)))
		} else {
			data = binary.LittleEndian.AppendUint64(data, math.Float64bits(v))
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), data, 0o666))
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
