// Command cmd prints the normal form of PTX files, for a diff of what two
// versions of the compiler emit:
//
//	s2c compile FILE.s2 --emit ptx | go run ./internal/normal/cmd
//	go run ./internal/normal/cmd FILE.ptx...
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/s2attention/s2c/internal/normal"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(files []string, in io.Reader, out io.Writer) error {
	if len(files) == 0 {
		text, err := io.ReadAll(in)
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, normal.Form(string(text)))
		return err
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(out, normal.Form(string(text))); err != nil {
			return err
		}
	}
	return nil
}
