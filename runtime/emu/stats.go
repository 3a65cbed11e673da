package emu

import "github.com/s2attention/s2c/codegen/ptx/inst"

// counters are what a block counts beside instructions.
type counters struct {
	asyncRead    int64
	asyncWritten int64
}

// Stats says what one launch executed.
type Stats struct {
	Kernel string
	Blocks int
	// Instructions counts warp instructions (one for 32 lanes) by kind; those
	// whose guard was false in every lane do not count.
	Instructions map[inst.Kind]int64
	// Forms counts them by row of the instruction table.
	Forms map[string]int64
	// Lines counts warp instructions by PTX line.
	Lines map[int]int64
	// AsyncRead is the bytes of global memory that asynchronous copies read,
	// AsyncWritten the bytes of shared memory they wrote, zero fill included.
	AsyncRead, AsyncWritten int64
}

// Total is the number of warp instructions.
func (s Stats) Total() int64 {
	var n int64
	for _, c := range s.Instructions {
		n += c
	}
	return n
}

// add takes over what a worker's block counted.
func (s *Stats) add(b *block) {
	for pc, n := range b.counts {
		if n == 0 {
			continue
		}
		in := &b.launch.p.code[pc]
		s.Instructions[in.form.Kind] += n
		s.Forms[in.form.Name] += n
		s.Lines[int(in.line)] += n
	}
	s.AsyncRead += b.stats.asyncRead
	s.AsyncWritten += b.stats.asyncWritten
}

func newStats(kernel string) Stats {
	return Stats{Kernel: kernel, Instructions: map[inst.Kind]int64{}, Forms: map[string]int64{}, Lines: map[int]int64{}}
}
