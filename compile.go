package s2c

import (
	"errors"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/dsl"
	"github.com/s2attention/s2c/target"
)

// Options steer a compilation. The zero value compiles a file as it is for every
// target that there is code for.
type Options struct {
	// Defines override parameters and model fields: "stride": "16". Values are
	// expressions of the language.
	Defines map[string]string
	// Targets are what to compile for.
	Targets []target.Target
	// Device, where there are no Targets, is what to compile for: the one target that
	// suits it.
	Device Device
	// ReadFile reads the file and what it imports, by its path; nil is the file system
	// for Compile, and nothing for CompileText.
	ReadFile func(path string) ([]byte, error)
	// Warn, where it is set, hears of every warning.
	Warn func(diag.Diagnostic)
}

// Compile compiles every layer of a .s2 file. What is wrong with the file is a
// [diag.List] that errors.As finds, a target that there is no code for an [ErrArgs].
func Compile(path string, opt Options) (*Bundle, error) {
	on, err := opt.targets()
	if err != nil {
		return nil, err
	}
	unit, list := compiler.Load(path, dsl.Options{Defines: opt.Defines, ReadFile: opt.ReadFile})
	if _, warnings := list.Split(); opt.Warn != nil {
		for _, w := range warnings {
			opt.Warn(w)
		}
	}
	if err := list.Err(); err != nil {
		return nil, err
	}
	return unit.Bundle(on, unit.Program.Text, compiler.Options{})
}

// CompileText is Compile for a text; name stands for its path in diagnostics. The
// files that it imports come from Options.ReadFile alone.
func CompileText(name, text string, opt Options) (*Bundle, error) {
	files := opt.ReadFile
	opt.ReadFile = func(path string) ([]byte, error) {
		switch {
		case path == name:
			return []byte(text), nil
		case files == nil:
			return nil, errors.New("a text has no files beside it; set Options.ReadFile")
		}
		return files(path)
	}
	return Compile(name, opt)
}
