package ir

import (
	"flag"
	"os"
	"testing"
)

// Random expressions find little in rapid's default of 100 draws; the flag
// still overrides.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("1000"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
