// Command cmd records what a device answers to the probes of tests/probe.
//
//	CGO_ENABLED=0 go build -o probe ./tests/probe/cmd
//	./probe -out h200.json            # on a machine with a GPU; needs nothing but its driver
//	./probe -pending -out h200.json   # adds the probes that are new since
//
// Probes run in worker processes, each probe three times: one that fails or hangs
// costs its worker, and the next goes to a fresh one. With -device emu the
// emulator answers.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/runtime/cuda"
	"github.com/s2attention/s2c/tests/probe"
)

func main() {
	out := flag.String("out", "h200.json", "file to write")
	device := flag.String("device", "cuda", "device that answers: cuda, cuda:N or emu")
	run := flag.String("run", "", "only the probes whose names match")
	pending := flag.Bool("pending", false, "only the probes that await a recording, and add them to the file")
	jobs := flag.Int("jobs", 4, "worker processes")
	limit := flag.Duration("limit", 60*time.Second, "time for one probe")
	work := flag.Bool("worker", false, "answer probes named on standard input")
	list := flag.Bool("list", false, "list the probes' names")
	flag.Parse()
	var err error
	switch {
	case *work:
		err = serve(*device, os.Stdin, os.Stdout)
	case *list:
		for _, p := range probe.All() {
			fmt.Println(p.Name)
		}
	default:
		err = record(*out, *device, selection{*run, *pending}, *jobs, *limit)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

// selection says which probes to record.
type selection struct {
	run     string // a regular expression of names
	pending bool
}

// start is the list of probes, and the recording that their answers go to.
func (s selection) start(out string) (list []*probe.Probe, rec *probe.Recording, err error) {
	only, err := regexp.Compile(s.run)
	if err != nil {
		return nil, nil, err
	}
	all := probe.All()
	for i := range all {
		if only.MatchString(all[i].Name) && (all[i].Pending || !s.pending) {
			list = append(list, &all[i])
		}
	}
	if s.pending {
		rec, err = probe.ReadRecording(out)
		return list, rec, err
	}
	return list, &probe.Recording{Answers: map[string]probe.Answer{}}, nil
}

func record(out, device string, what selection, jobs int, limit time.Duration) error {
	list, rec, err := what.start(out)
	if err != nil {
		return err
	}
	was := rec.Device
	if rec.Device, rec.Driver, err = describe(device); err != nil {
		return err
	}
	if was != "" && was != rec.Device {
		return fmt.Errorf("%s is from %s, and this is %s: answers of two devices do not go together", out, was, rec.Device)
	}
	fmt.Printf("%s, driver for CUDA %s\n", rec.Device, rec.Driver)
	queue := make(chan *probe.Probe)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range max(jobs, 1) {
		wg.Go(func() {
			w := &worker{device: device, limit: limit}
			defer w.stop()
			for p := range queue {
				a := w.answer(p)
				mu.Lock()
				rec.Answers[p.Name] = a
				// What is there must survive a time limit from outside.
				if len(rec.Answers)%32 == 0 {
					err = rec.WriteFile(out)
				}
				mu.Unlock()
			}
		})
	}
	for _, p := range list {
		queue <- p
	}
	close(queue)
	wg.Wait()
	if err != nil {
		return err
	}
	if err := rec.WriteFile(out); err != nil {
		return err
	}
	summarize(rec, out)
	return nil
}

func describe(device string) (name, driver string, err error) {
	dev, err := runtime.OpenDevice(device)
	if err != nil {
		return "", "", err
	}
	if d, ok := dev.(*cuda.Device); ok {
		v := d.Library().Version()
		driver = fmt.Sprintf("%d.%d", v/1000, v%1000/10)
	}
	return dev.Describe(), driver, dev.Close()
}

// summarize prints a line a group of probes, and one for each that went wrong.
func summarize(rec *probe.Recording, out string) {
	type tally struct{ good, bad, varies int }
	groups := map[string]*tally{}
	var names, wrong []string
	for name, a := range rec.Answers {
		group, _, _ := strings.Cut(name, "/")
		if groups[group] == nil {
			groups[group] = new(tally)
			names = append(names, group)
		}
		switch g := groups[group]; {
		case a.Error != "":
			g.bad++
			line, _, _ := strings.Cut(a.Error, "\n")
			wrong = append(wrong, fmt.Sprintf("%s: %.300s", name, line))
		case a.Varies:
			g.varies++
			wrong = append(wrong, name+": the output is not the same each time")
		default:
			g.good++
		}
	}
	sort.Strings(names)
	sort.Strings(wrong)
	for _, line := range wrong[:min(len(wrong), 30)] {
		fmt.Println(line)
	}
	if over := len(wrong) - 30; over > 0 {
		fmt.Printf("and %d more\n", over)
	}
	fmt.Printf("%-12s %9s %7s %7s\n", "group", "recorded", "failed", "varying")
	for _, n := range names {
		g := groups[n]
		fmt.Printf("%-12s %9d %7d %7d\n", n, g.good, g.bad, g.varies)
	}
	fmt.Printf("%d answers from %s in %s\n", len(rec.Answers), rec.Device, out)
}
