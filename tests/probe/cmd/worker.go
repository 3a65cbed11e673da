package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/runtime/cuda"
	"github.com/s2attention/s2c/runtime/emu"
	"github.com/s2attention/s2c/tests/probe"
)

// serve answers the probes named on in, a line of JSON each. It ends after a
// probe that failed: the device's context may be lost.
func serve(device string, in io.Reader, out io.Writer) error {
	os.Setenv(cuda.CacheVariable, "off")
	dev, err := runtime.OpenDevice(device)
	if err != nil {
		return err
	}
	to := json.NewEncoder(out)
	names := bufio.NewScanner(in)
	for names.Scan() {
		p := probe.Find(names.Text())
		if p == nil {
			return fmt.Errorf("no probe %q", names.Text())
		}
		a := ask(dev, p)
		if err := to.Encode(a); err != nil {
			return err
		}
		if a.Error != "" {
			return nil
		}
	}
	return errors.Join(names.Err(), dev.Close())
}

// ask runs a probe three times: an answer that varies is none.
func ask(dev runtime.Device, p *probe.Probe) probe.Answer {
	if _, ok := dev.(*emu.Device); ok && p.Undefined {
		dev = emu.New(emu.Options{Checks: emu.NoChecks})
	}
	outs, err := p.Run(dev, 3)
	if err != nil {
		return probe.Answer{Key: p.Key(), Error: err.Error()}
	}
	a := probe.NewAnswer(p, outs[0])
	for _, o := range outs[1:] {
		a.Varies = a.Varies || !bytes.Equal(outs[0], o)
	}
	return a
}

// worker is a process that answers probes; it is started when it is needed.
type worker struct {
	device string
	limit  time.Duration

	cmd     *exec.Cmd
	in      io.WriteCloser
	answers chan probe.Answer // closed when the process ends
	stderr  *bytes.Buffer
}

// answer asks the process, and a fresh one where that fails: what the first did
// before may have been at fault.
func (w *worker) answer(p *probe.Probe) probe.Answer {
	fresh := w.cmd == nil
	a := w.try(p)
	if a.Error != "" && !fresh {
		a = w.try(p)
	}
	return a
}

func (w *worker) try(p *probe.Probe) probe.Answer {
	failed := func(why string) probe.Answer {
		w.stop()
		return probe.Answer{Key: p.Key(), Error: why}
	}
	if w.cmd == nil {
		if err := w.start(); err != nil {
			return failed(err.Error())
		}
	}
	if _, err := io.WriteString(w.in, p.Name+"\n"); err != nil {
		return failed(err.Error())
	}
	select {
	case a, ok := <-w.answers:
		if !ok {
			return failed("the process ended: " + w.obituary())
		}
		if a.Error != "" {
			return failed(a.Error)
		}
		return a
	case <-time.After(w.limit):
		return failed(fmt.Sprintf("no answer within %v", w.limit))
	}
}

func (w *worker) start() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "-worker", "-device", w.device)
	w.stderr = new(bytes.Buffer)
	cmd.Stderr = w.stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	answers := make(chan probe.Answer)
	w.cmd, w.in, w.answers = cmd, in, answers
	go func() {
		defer close(answers)
		from := json.NewDecoder(out)
		for {
			var a probe.Answer
			if from.Decode(&a) != nil {
				return
			}
			answers <- a
		}
	}()
	return nil
}

// obituary is what a process that ended wrote last.
func (w *worker) obituary() string {
	err := w.cmd.Wait()
	w.cmd = nil
	text := strings.TrimSpace(w.stderr.String())
	if len(text) > 2000 {
		text = text[:2000]
	}
	return fmt.Sprintf("%v %s", err, text)
}

// stop ends the process.
func (w *worker) stop() {
	if w.cmd == nil {
		return
	}
	w.in.Close()
	if err := w.cmd.Process.Kill(); err == nil || errors.Is(err, os.ErrProcessDone) {
		go func(answers chan probe.Answer) {
			for range answers { // let its reader end
			}
		}(w.answers)
		_ = w.cmd.Wait()
	}
	w.cmd = nil
}
