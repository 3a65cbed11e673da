// Package examples holds the example patterns for programs and tests that have
// no working directory to find them in.
package examples

import "embed"

// Files are the examples by name: "phi3-small.s2".
//
//go:embed *.s2
var Files embed.FS
