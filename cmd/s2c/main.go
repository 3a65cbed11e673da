// Command s2c compiles .s2 sparse-attention patterns into PTX kernels, proves
// properties of them, draws them, and runs and checks the kernels.
//
// Exit status: 0 good; 1 the file or the result is bad; 2 wrong usage: a command
// line that cannot be meant, or asks for a layer, head, length or choice that there
// is not; 3 no such device.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/runtime"
)

// commands is the whole command line; one file holds each command.
type commands struct {
	Check      checkCmd      `cmd:"" help:"Check a file and decide its require clauses."`
	Fmt        fmtCmd        `cmd:"" help:"Format files."`
	Init       initCmd       `cmd:"" help:"Write a commented file to start from."`
	Explain    explainCmd    `cmd:"" help:"Say what a pattern costs, what is proved of it, and how it is laid out."`
	Show       showCmd       `cmd:"" help:"Draw a pattern or its tile layout: terminal, SVG or PNG."`
	Mask       maskCmd       `cmd:"" help:"Export the block mask of one head."`
	Compile    compileCmd    `cmd:"" help:"Compile a file to a bundle, PTX, the IR or the layout."`
	Run        runCmd        `cmd:"" help:"Compile, execute and compare with a float64 reference."`
	Bench      benchCmd      `cmd:"" help:"Time kernels on a device, check what they compute, and plot a sweep over lengths."`
	Tune       tuneCmd       `cmd:"" help:"Measure layouts on a GPU, and write those that win to a tuning file."`
	Bundle     bundleCmd     `cmd:"" help:"Look into compiled bundles."`
	Lsp        lspCmd        `cmd:"" help:"Serve an editor: the Language Server Protocol over standard input and output."`
	Completion completionCmd `cmd:"" help:"Print a completion script for a shell."`
	Version    versionCmd    `cmd:"" help:"Print the version."`

	ShowVersion kong.VersionFlag `name:"version" help:"Print the version."`
}

// Exit statuses; other programs rely on them.
const (
	exitGood     = 0
	exitBad      = 1
	exitUsage    = 2
	exitNoDevice = 3
)

func main() { os.Exit(execute(os.Args[1:], newStreams(os.Stdout, os.Stderr))) }

// execute runs one command line and returns the exit status.
func execute(args []string, s *streams) int {
	status := -1
	parser, err := newParser(&commands{}, s, func(code int) { status = code })
	if err != nil {
		return s.fail(err)
	}
	context, err := parser.Parse(args)
	if status >= 0 { // --help or --version has printed and asked to leave
		return status
	}
	if err != nil {
		return s.fail(usageError{err})
	}
	return s.fail(context.Run(s))
}

// newParser builds the command line's parser.
func newParser(c *commands, s *streams, exit func(int)) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("s2c"),
		kong.Description("Compiles .s2 sparse-attention patterns to PTX, proves properties of them, and runs them."),
		kong.Writers(s.out, s.err),
		kong.Exit(exit),
		kong.NamedMapper("tokens", kong.MapperFunc(decodeTokens)),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{
			"arch": compiler.Targets[0].String(), "arches": archNames(compiler.Targets),
			"everyArch": strings.ReplaceAll(archNames(compiler.Targets), " ", ""),
			"version":   versionLine(),
			"passes":    strings.Join(passNames(), ", "),
		},
	)
}

// usageError is a command line that cannot be meant.
type usageError struct{ cause error }

func (e usageError) Error() string { return e.cause.Error() }
func (e usageError) Unwrap() error { return e.cause }

// usagef makes a usageError.
func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// errFailed ends a command that has said everything already.
var errFailed = errors.New("failed")

// fail reports an error and returns the exit status that goes with it.
func (s *streams) fail(err error) int {
	var list diag.List
	var usage usageError
	switch {
	case err == nil:
		return exitGood
	case errors.Is(err, errFailed):
		return exitBad
	case errors.As(err, &list):
		diag.Render(s.err, list, s.errColor)
		return exitBad
	}
	fmt.Fprintf(s.err, "%s %v\n", s.errStyle(styleError, "s2c: error:"), err)
	switch {
	case errors.As(err, &usage):
		fmt.Fprintln(s.err, "s2c --help and s2c COMMAND --help say how it is used")
		return exitUsage
	case errors.Is(err, runtime.ErrNoDevice), errors.Is(err, runtime.ErrOldDriver), errors.Is(err, runtime.ErrArchitecture):
		return exitNoDevice
	}
	return exitBad
}

// streams is where a command writes, and what each end can show.
type streams struct {
	in                 io.Reader
	out, err           io.Writer
	outColor, errColor bool
	width              int // of the terminal behind out; 0 where there is none
	outTerminal        bool
}

// refuseBinary refuses bytes that are no text where out is a terminal.
func (s *streams) refuseBinary(path, what string) error {
	if s.outTerminal && (path == "" || path == "-") {
		return usagef("standard output is a terminal, and %s is no text; name a file with -o, or write into a pipe", what)
	}
	return nil
}
