// Command instructions writes docs/instructions.md: the instruction table as a
// reference. Rows that differ in a part of their opcode share a line.
package main

import (
	"log"
	"os"

	"github.com/s2attention/s2c/codegen/ptx/inst"
)

//go:generate go run . ../../../docs/instructions.md

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: instructions FILE")
	}
	if err := os.WriteFile(os.Args[1], []byte(document(inst.Forms)), 0o644); err != nil {
		log.Fatal(err)
	}
}
