package main

import (
	"io"
	"slices"

	"github.com/s2attention/s2c/dsl"
)

// stdinName is how messages name standard input, which "-" stands for.
const stdinName = "<stdin>"

// options are those of the language for a file of the command line, and the name
// that it is read and reported by.
func (s *streams) options(file fileName, defines defineMap) (path string, opt dsl.Options) {
	opt.Defines = defines
	if file != "-" {
		return string(file), opt
	}
	opt.Main = s.in
	return stdinName, opt
}

// readSource reads a whole file, or standard input for "-".
func (s *streams) readSource(file fileName, read func(string) ([]byte, error)) (path string, text []byte, err error) {
	if file != "-" {
		text, err = read(string(file))
		return string(file), text, err
	}
	text, err = io.ReadAll(io.LimitReader(s.in, dsl.MaxFileSize+1))
	return stdinName, text, err
}

// onceStdin refuses to read standard input twice.
func onceStdin(files []fileName) error {
	if n := slices.Index(files, "-"); n >= 0 && slices.Contains(files[n+1:], "-") {
		return usagef("standard input, -, can be read once")
	}
	return nil
}
