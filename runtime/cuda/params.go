package cuda

import (
	"strconv"
	"strings"
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

// naturalAlign is the alignment of a parameter in the declared block: its size,
// or a tensor map's 64 (PTX ISA 9.0 §9.7.9.25.5.2).
func naturalAlign(bytes int) int {
	if bytes > 8 {
		return 64
	}
	return bytes
}

// Declared is the parameters that an entry of a PTX text declares.
type Declared struct{ Count, Bytes int }

// DeclaredParams reads the parameter list of an entry, each as ".param .u64 q" or
// ".param .align 64 .b8 map[128]"; it is empty where the text has no such entry.
func DeclaredParams(ptx, entry string) (d Declared) {
	for rest := ptx; ; {
		_, after, found := strings.Cut(rest, ".entry")
		if !found {
			return d
		}
		rest = after
		name, list, _ := strings.Cut(after, "(")
		if strings.TrimSpace(name) != entry {
			continue
		}
		list, _, _ = strings.Cut(list, ")")
		var text strings.Builder
		for line := range strings.Lines(list) {
			line, _, _ = strings.Cut(line, "//")
			text.WriteString(line + " ")
		}
		for param := range strings.SplitSeq(text.String(), ",") {
			d.add(strings.Fields(param))
		}
		return d
	}
}

// add reads one parameter: its type is the last word but one, its name the last.
func (d *Declared) add(words []string) {
	if len(words) < 3 || words[0] != ".param" {
		return
	}
	bits, _ := strconv.Atoi(strings.TrimLeft(words[len(words)-2], ".bsuf"))
	n := bits / 8
	if _, items, array := strings.Cut(words[len(words)-1], "["); array {
		length, _ := strconv.Atoi(strings.TrimSuffix(items, "]"))
		n *= length
	}
	d.Count++
	if align := naturalAlign(n); align > 0 {
		d.Bytes = (d.Bytes+align-1)/align*align + n
	}
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
		align := naturalAlign(n)
		declared = (declared + align - 1) / align * align
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
