package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFresh: the committed methods are those of the table that something calls.
func TestFresh(t *testing.T) {
	want, err := generate("../../..")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../../codegen/ptx/zbuilder.go")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), string(want)); diff != "" {
		t.Errorf("codegen/ptx/zbuilder.go is stale, run go generate ./codegen/ptx (-committed +generated):\n%s", diff)
	}
}
