package cuda

import (
	"cmp"
	"regexp"
	"strconv"
	"unsafe"

	s2c "github.com/s2attention/s2c/runtime"
)

// ParamLayout says where the driver wants a kernel's parameters. A parameter
// block is declared with natural alignment; the driver aligns a parameter of
// more than 8 bytes, such as a tensor map, to its place in the constant bank
// instead, whose base is no multiple of 64 on every GPU (seen on sm_90). nil
// means that both agree.
type ParamLayout struct {
	moves []paramMove
	size  int // bytes of the driver's block
}

// paramMove copies one run of parameters from the declared block.
type paramMove struct{ from, to, bytes int }

// aligned is where a parameter of so many bytes lies in the declared block, at or
// after a place: at a multiple of its size, or a tensor map's 64
// (PTX ISA 9.0 §9.7.9.25.5.2).
func aligned(at, bytes int) int {
	align := max(bytes, 1)
	if bytes > 8 {
		align = 64
	}
	return (at + align - 1) / align * align
}

// Declared is the parameters that an entry of a PTX text declares.
type Declared struct{ Count, Bytes int }

// An entry with its parameter list, a comment, and a parameter: ".param .u64 q" or
// ".param .align 64 .b8 map[128]".
var (
	entryText   = regexp.MustCompile(`\.entry\s+([^\s(]+)\s*\(([^)]*)`)
	commentText = regexp.MustCompile(`//.*`)
	paramText   = regexp.MustCompile(`\.param\s+(?:\.align\s+\d+\s+)?\.[bsuf](\d+)\s+[^\s\[,]+(?:\[(\d+)\])?`)
)

// DeclaredParams reads the parameter list of an entry; it is empty where the text has
// no such entry.
func DeclaredParams(ptx, entry string) (d Declared) {
	for _, e := range entryText.FindAllStringSubmatch(ptx, -1) {
		if e[1] != entry {
			continue
		}
		for _, p := range paramText.FindAllStringSubmatch(commentText.ReplaceAllString(e[2], ""), -1) {
			bits, _ := strconv.Atoi(p[1])
			items, _ := strconv.Atoi(cmp.Or(p[2], "1"))
			d.Count++
			d.Bytes = aligned(d.Bytes, bits/8*items) + bits/8*items
		}
		break
	}
	return d
}

// Check is an ErrArgs where a parameter block has another size than the list.
func (d Declared) Check(entry string, params []byte) error {
	if len(params) == d.Bytes {
		return nil
	}
	return s2c.Errorf(s2c.ErrArgs, "launch of %s: %d bytes of parameters, the kernel has %d", entry, len(params), d.Bytes)
}

// ParamLayout asks the driver where a CUfunction's parameters lie, which are as
// many as count: to ask for one more is an error that tools such as
// compute-sanitizer report. Drivers before CUDA 12.4 cannot say; their answer is
// nil, right for every kernel without tensor maps.
func (l *Library) ParamLayout(function uintptr, count int) (*ParamLayout, error) {
	if l.procs[cuFuncGetParamInfo] == 0 {
		return nil, nil
	}
	p, declared, same := &ParamLayout{}, 0, true
	offset, size := new(uintptr), new(uintptr)
	for i := range count {
		r := l.call(cuFuncGetParamInfo, function, uintptr(i), uintptr(unsafe.Pointer(offset)), uintptr(unsafe.Pointer(size)))
		if r != success {
			return nil, l.check(cuFuncGetParamInfo, r, "reading a kernel's parameters")
		}
		n, to := int(*size), int(*offset)
		if n <= 0 || to < 0 || to+n > maxParamBytes {
			return nil, s2c.Errorf(errDriver, "the NVIDIA driver reports a parameter of %d bytes at %d", n, to)
		}
		declared = aligned(declared, n)
		same = same && declared == to
		p.add(paramMove{declared, to, n})
		declared, p.size = declared+n, to+n
	}
	if same {
		return nil, nil
	}
	return p, nil
}

// add appends a move, joining it to the last where both blocks go on alike.
func (p *ParamLayout) add(m paramMove) {
	if n := len(p.moves); n > 0 {
		last := &p.moves[n-1]
		if m.from-last.from == m.to-last.to {
			last.bytes = m.from + m.bytes - last.from
			return
		}
	}
	p.moves = append(p.moves, m)
}

// place copies a declared block to the driver's places and returns its size.
func (p *ParamLayout) place(dst, params []byte) int {
	if p == nil {
		return copy(dst, params)
	}
	for _, m := range p.moves {
		if m.from < len(params) {
			copy(dst[m.to:m.to+m.bytes], params[m.from:])
		}
	}
	return p.size
}
