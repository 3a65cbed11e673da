package main

import (
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/s2attention/s2c/internal/wholefile"
)

// write runs a writer against path, or standard output for "-" and "". A file
// appears whole or not at all, also where the program is interrupted.
func (s *streams) write(path string, writer func(io.Writer) error) error {
	if path == "" || path == "-" {
		return writer(s.out)
	}
	return whole(func() error { return wholefile.Write(path, writer) })
}

// whole runs what writes files. When the program is interrupted meanwhile, told to
// end, or loses its terminal, it removes what is not whole yet and ends with the
// status that a shell gives that signal.
func whole(write func() error) error {
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer close(done)
	defer signal.Stop(signals)
	go func() {
		select {
		case got := <-signals:
			wholefile.Abandon()
			status := exitBad
			if number, ok := got.(syscall.Signal); ok {
				status = 128 + int(number)
			}
			os.Exit(status)
		case <-done:
		}
	}()
	return write()
}
