// Package memory says what sizes come to, and how much memory this process may still
// take, so that what does not fit is refused before anything is allocated.
package memory

import (
	"fmt"
	"math"

	"github.com/shirou/gopsutil/v4/mem"
)

// Bytes is an amount of memory. Sums and products that pass its range stay at the
// end of it, which no machine has.
type Bytes int64

// Most is what amounts beyond counting are taken for.
const Most Bytes = math.MaxInt64

// Of is the size of count × count × … elements of so many bytes.
func Of(element int, counts ...int) Bytes {
	size := Bytes(element)
	for _, n := range counts {
		size = size.Times(n)
	}
	return size
}

// Times is n of b.
func (b Bytes) Times(n int) Bytes {
	if n <= 0 || b <= 0 {
		return 0
	}
	if b > Most/Bytes(n) {
		return Most
	}
	return b * Bytes(n)
}

// Plus is b and c.
func (b Bytes) Plus(c Bytes) Bytes {
	if b > Most-c {
		return Most
	}
	return b + c
}

// String writes an amount for people: 5.3 GiB.
func (b Bytes) String() string {
	switch {
	case b == Most:
		return "more than 8 EiB"
	case b == 1:
		return "1 byte"
	case b < 1<<10:
		return fmt.Sprintf("%d bytes", int64(b))
	}
	n, x := -1, float64(b)
	for n < 5 && x >= 1023.95 { // what rounds to 1024 is one of the next
		n, x = n+1, x/1024
	}
	return fmt.Sprintf("%.1f %ciB", x, "KMGTPE"[max(n, 0)])
}

// Available is what this process may take without swapping or being ended for it:
// what the machine has, and what the control groups allow that the process runs in.
// known is false on a system that says nothing.
func Available() (free Bytes, known bool) {
	machine, err := mem.VirtualMemory()
	if err != nil || machine.Available > math.MaxInt64 {
		return 0, false
	}
	return min(Bytes(machine.Available), groupRoom("/")), true
}
