package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// source is the file that a command reads, and what overrides its parameters.
type source struct {
	File   fileName  `arg:"" help:"The .s2 file; - is standard input."`
	Define defineMap `short:"D" placeholder:"NAME=VALUE" mapsep:"none" help:"Set a parameter or a model field, as in -D stride=16. Repeatable."`
}

// fileName is the name of a file that a command cannot do without.
type fileName string

// UnmarshalText refuses a name that a script left empty.
func (f *fileName) UnmarshalText(name []byte) error {
	if len(name) == 0 {
		return errors.New("the file's name is empty")
	}
	*f = fileName(name)
	return nil
}

// defineMap is the values of -D by name.
type defineMap map[string]string

// Validate refuses a value without a name.
func (m defineMap) Validate() error {
	if value, ok := m[""]; ok {
		return fmt.Errorf("=%s sets nothing; write NAME=VALUE", value)
	}
	return nil
}

// layerFlag picks a layer.
type layerFlag struct {
	Layer *int `placeholder:"L" help:"The layer, counted from 0. Without it, the first that is not dense, else layer 0."`
}

// atLeastOne refuses a number below 1 that was given: it does not stand for
// leaving the flag out.
func atLeastOne(flag string, n *int) error {
	if n != nil && *n < 1 {
		return usagef("%s %d: it is at least 1", flag, *n)
	}
	return nil
}

// orZero is the number of a flag, 0 where it was left out.
func orZero(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// headList is a choice of query heads: "0,4..7".
type headList []int

// maxHead bounds the numbers of a headList, so that a range cannot fill memory.
const maxHead = 1 << 16

// UnmarshalText reads numbers and ranges, both ends included.
func (l *headList) UnmarshalText(text []byte) error {
	for _, part := range strings.Split(string(text), ",") {
		lo, hi, isRange := strings.Cut(strings.TrimSpace(part), "..")
		if !isRange {
			hi = lo
		}
		from, err := strconv.ParseUint(strings.TrimSpace(lo), 10, 32)
		to, err2 := strconv.ParseUint(strings.TrimSpace(hi), 10, 32)
		if err != nil || err2 != nil || from > to || to >= maxHead {
			return fmt.Errorf("%q is no list of heads; write 0,4..7", text)
		}
		for h := from; h <= to; h++ {
			*l = append(*l, int(h))
		}
	}
	slices.Sort(*l)
	*l = slices.Compact(*l)
	return nil
}

// check reports a head that the model lacks.
func (l headList) check(heads int) error {
	for _, h := range l {
		if h >= heads {
			return usagef("query head %d does not exist; the model has 0 to %d", h, heads-1)
		}
	}
	return nil
}
