package show

import (
	"fmt"
	"slices"
	"strings"
)

// maxParts is the most ranges and single numbers that a name lists.
const maxParts = 6

// HeadNames writes a list of heads: "head 3", "heads 0 to 3, 8, 16".
func HeadNames(heads []int) string {
	if len(heads) == 1 {
		return fmt.Sprint("head ", heads[0])
	}
	return "heads " + numbers(heads)
}

// LayerNames writes some of a model's layers: "layers 0, 2, 4, …, 30 (16 of 32)".
// Where the layers that are missing are said more shortly, it says those.
func LayerNames(layers []int, total int) string {
	if len(layers) == 1 {
		return fmt.Sprintf("layer %d of %d", layers[0], total)
	}
	named := "layers " + numbers(layers)
	if rest := missing(layers, total); len(rest) > 0 && len(ranges(layers)) > maxParts && len(ranges(rest)) <= maxParts {
		named = "all layers but " + numbers(rest)
	}
	return fmt.Sprintf("%s (%d of %d)", named, len(layers), total)
}

// missing is the numbers below total that are not listed.
func missing(ns []int, total int) []int {
	var rest []int
	for n := range total {
		if _, found := slices.BinarySearch(ns, n); !found {
			rest = append(rest, n)
		}
	}
	return rest
}

// numbers writes ascending numbers, as ranges where they are; "and 7 more" says
// what is left out.
func numbers(ns []int) string {
	parts, count := ranges(ns), len(ns)
	var texts []string
	for n, p := range parts {
		if len(parts) > maxParts && n == maxParts-1 {
			return fmt.Sprintf("%s and %d more", strings.Join(texts, ", "), count)
		}
		texts = append(texts, p.text)
		count -= p.count
	}
	return strings.Join(texts, ", ")
}

// numberRange is some numbers in words.
type numberRange struct {
	text  string
	count int
}

// ranges cuts ascending numbers into runs of three or more, progressions of five
// or more, and single ones.
func ranges(ns []int) []numberRange {
	var parts []numberRange
	for len(ns) > 0 {
		n := progression(ns)
		switch {
		case n >= 3 && ns[1] == ns[0]+1:
			parts = append(parts, numberRange{fmt.Sprintf("%d to %d", ns[0], ns[n-1]), n})
		case n >= 5:
			parts = append(parts, numberRange{fmt.Sprintf("%d, %d, %d, …, %d", ns[0], ns[1], ns[2], ns[n-1]), n})
		default:
			n = 1
			parts = append(parts, numberRange{fmt.Sprint(ns[0]), n})
		}
		ns = ns[n:]
	}
	return parts
}

// progression is how many of the first numbers are equally far apart.
func progression(ns []int) int {
	n := min(2, len(ns))
	for n < len(ns) && ns[n]-ns[n-1] == ns[1]-ns[0] {
		n++
	}
	return n
}
