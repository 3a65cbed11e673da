package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// write runs a writer against path, or standard output for "-" and "", and
// reports the first error. A file appears whole or not at all: until the writer
// is through, its text lies beside it under another name, and what path held
// before stays.
func (s *streams) write(path string, writer func(io.Writer) error) error {
	if path == "" || path == "-" {
		return writer(s.out)
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return writeThrough(path, writer) // a device or pipe cannot be replaced
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return replace(path, real, writer)
	}
	return replace(path, path, writer)
}

// writeThrough writes to what is there.
func writeThrough(path string, writer func(io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	return errors.Join(writer(file), file.Close())
}

// replace writes a new file and puts it in the place of target. Errors name path,
// which is what the user gave.
func replace(path, target string, writer func(io.Writer) error) error {
	named := func(err error) error {
		var inner *fs.PathError
		if errors.As(err, &inner) {
			return &fs.PathError{Op: "writing", Path: path, Err: inner.Err}
		}
		return err
	}
	file, err := createBeside(target)
	if _, statErr := os.Stat(target); errors.Is(err, fs.ErrPermission) && statErr == nil {
		return named(writeThrough(target, writer)) // the folder is closed, the file perhaps not
	}
	if err != nil {
		return named(err)
	}
	temporary := file.Name()
	defer removeOnSignal(temporary)()
	defer os.Remove(temporary) // it is gone already where everything went well
	err = writer(file)
	if info, statErr := os.Stat(target); err == nil && statErr == nil {
		err = file.Chmod(info.Mode().Perm())
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return named(err)
	}
	if err := os.Rename(temporary, target); err != nil {
		return fmt.Errorf("writing %s: %w", path, errors.Unwrap(err))
	}
	return nil
}

// createBeside makes a hidden file in the folder of path, with the permissions
// that a new file at path would have.
func createBeside(path string) (*os.File, error) {
	folder, name := filepath.Split(path)
	for {
		temporary := filepath.Join(folder, fmt.Sprintf(".%s.%08x", name, rand.Uint32()))
		file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) {
			return file, err
		}
	}
}

// removeOnSignal removes a file when the program is interrupted, told to end, or
// loses its terminal, and ends it with the status that a shell gives that
// signal. The function it returns ends the watch.
func removeOnSignal(path string) (stop func()) {
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		select {
		case got := <-signals:
			os.Remove(path)
			status := exitBad
			if number, ok := got.(syscall.Signal); ok {
				status = 128 + int(number)
			}
			os.Exit(status)
		case <-done:
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}
