package tensor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/s2attention/s2c/dtype"
)

// The .npy format is a magic number, a version, the length of a header, the
// header as the text of a Python dictionary, and the elements
// (https://numpy.org/neps/nep-0001-npy-format.html). It is read and written here
// because the existing Go package neither writes more than two dimensions nor
// notices a truncated file.

const npyMagic = "\x93NUMPY"

// npyHeader is the dictionary.
type npyHeader struct {
	descr   string
	fortran bool
	shape   []int
}

// decodeNPY reads a .npy file of element type d.
func decodeNPY(data []byte, _ string, d dtype.Type) (*Tensor, error) {
	text, body, err := splitNPY(data)
	if err != nil {
		return nil, err
	}
	header, err := parseNPYHeader(text)
	if err != nil {
		return nil, fmt.Errorf("bad .npy header: %w", err)
	}
	if !slices.Contains(npyDescrs(d), header.descr) {
		return nil, fmt.Errorf("elements are %q, want %s, little endian: %s", header.descr, d, npyChoices(d))
	}
	if header.fortran {
		return nil, errors.New("array is in Fortran order; save it with numpy.ascontiguousarray")
	}
	want, err := byteSize(d, header.shape)
	if err != nil {
		return nil, err
	}
	if len(body) != want {
		return nil, fmt.Errorf("%s of %s takes %d bytes, the file holds %d: it is %s",
			ShapeString(header.shape), d, want, len(body), lengthFault(len(body), want))
	}
	return &Tensor{DType: d, Shape: header.shape, Data: body}, nil
}

func lengthFault(got, want int) string {
	if got < want {
		return "truncated"
	}
	return "longer than its header says"
}

// splitNPY finds the header's text and the elements.
func splitNPY(data []byte) (header string, body []byte, err error) {
	if !strings.HasPrefix(string(data[:min(len(data), len(npyMagic))]), npyMagic) {
		return "", nil, errors.New("not a .npy file: the magic number is missing")
	}
	rest := data[len(npyMagic):]
	if len(rest) < 4 {
		return "", nil, errors.New("the .npy header is truncated")
	}
	major := rest[0]
	var size, at int
	switch {
	case major == 1:
		size, at = int(binary.LittleEndian.Uint16(rest[2:])), 4
	case (major == 2 || major == 3) && len(rest) >= 6:
		size, at = int(binary.LittleEndian.Uint32(rest[2:])), 6
	case major == 2 || major == 3:
		return "", nil, errors.New("the .npy header is truncated")
	default:
		return "", nil, fmt.Errorf(".npy version %d is not known; 1 to 3 are", major)
	}
	if size > len(rest)-at {
		return "", nil, errors.New("the .npy header is truncated")
	}
	return string(rest[at : at+size]), rest[at+size:], nil
}

// npyDescrs are the spellings that hold elements of type d, the one written first.
func npyDescrs(d dtype.Type) []string {
	switch d {
	case dtype.BF16:
		return []string{"<u2", "<V2", "|V2"} // V2 is what NumPy makes of ml_dtypes' bfloat16
	case dtype.F16:
		return []string{"<u2", "<f2"}
	case dtype.F32:
		return []string{"<f4"}
	}
	return []string{""}
}

// npyChoices lists the spellings for people.
func npyChoices(d dtype.Type) string {
	var list []string
	for n, descr := range npyDescrs(d) {
		list = append(list, strconv.Quote(descr))
		if n == 0 && d != dtype.F32 {
			list[n] += fmt.Sprintf(" with the bits of %s", d)
		}
	}
	return strings.Join(list, " or ")
}

// parseNPYHeader reads the dictionary: three keys, a string, a truth value and a
// tuple of integers, in any order.
func parseNPYHeader(text string) (npyHeader, error) {
	s := npyScanner{rest: text}
	var h npyHeader
	seen := map[string]bool{}
	s.expect("{")
	for s.err == nil && !s.accept("}") {
		key := s.quoted()
		s.expect(":")
		switch key {
		case "descr":
			h.descr = s.quoted()
		case "fortran_order":
			h.fortran = s.truth()
		case "shape":
			h.shape = s.tuple()
		default:
			s.fail("unknown key %q", key)
		}
		if seen[key] {
			s.fail("key %q appears twice", key)
		}
		seen[key] = true
		if !s.accept(",") {
			s.expect("}")
			break
		}
	}
	if s.err == nil && len(seen) != 3 {
		s.fail("descr, fortran_order and shape must all be there")
	}
	return h, s.err
}

// npyScanner reads the few Python literals of a header; it keeps its first error.
type npyScanner struct {
	rest string
	err  error
}

func (s *npyScanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
	}
}

func (s *npyScanner) accept(token string) bool {
	if s.err != nil {
		return false
	}
	s.rest = strings.TrimLeft(s.rest, " \t\r\n")
	var ok bool
	s.rest, ok = strings.CutPrefix(s.rest, token)
	return ok
}

func (s *npyScanner) expect(token string) {
	if !s.accept(token) {
		s.fail("%q expected at %.20q", token, s.rest)
	}
}

func (s *npyScanner) quoted() string {
	quote := "'"
	if s.accept(`"`) {
		quote = `"`
	} else {
		s.expect("'")
	}
	text, rest, ok := strings.Cut(s.rest, quote)
	if !ok {
		s.fail("a quote is not closed")
		return ""
	}
	s.rest = rest
	return text
}

func (s *npyScanner) truth() bool {
	if s.accept("True") {
		return true
	}
	s.expect("False")
	return false
}

// tuple reads (), (3,), (3, 4) and so on; more than 32 entries are beyond NumPy.
func (s *npyScanner) tuple() []int {
	shape := []int{}
	s.expect("(")
	for s.err == nil && !s.accept(")") {
		end := strings.IndexFunc(s.rest, func(r rune) bool { return r < '0' || r > '9' })
		if end < 0 {
			end = len(s.rest)
		}
		n, err := strconv.Atoi(s.rest[:end])
		if err != nil || len(shape) == 32 {
			s.fail("%.20q is no shape", s.rest)
			break
		}
		s.rest = s.rest[end:]
		shape = append(shape, n)
		if !s.accept(",") {
			s.expect(")")
			break
		}
	}
	return shape
}

// encodeNPY writes the only tensor of the map.
func encodeNPY(w io.Writer, tensors map[string]*Tensor) error {
	if len(tensors) != 1 {
		return fmt.Errorf("a .npy file holds one tensor, not %d; use .safetensors", len(tensors))
	}
	for _, t := range tensors {
		if _, err := w.Write(npyPrefix(t)); err != nil {
			return err
		}
		_, err := w.Write(t.Data)
		return err
	}
	return nil
}

// npyPrefix is everything before the elements, padded so that they start at a
// multiple of 64 bytes.
func npyPrefix(t *Tensor) []byte {
	var dims strings.Builder
	for _, dim := range t.Shape {
		fmt.Fprintf(&dims, "%d, ", dim)
	}
	shape := dims.String()
	if len(t.Shape) > 1 {
		shape = strings.TrimSuffix(shape, ", ")
	}
	text := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }",
		npyDescrs(t.DType)[0], strings.TrimSpace(shape))
	const fixed = len(npyMagic) + 4
	padding := (64 - (fixed+len(text)+1)%64) % 64
	text += strings.Repeat(" ", padding) + "\n"
	prefix := append([]byte(npyMagic), 1, 0)
	prefix = binary.LittleEndian.AppendUint16(prefix, uint16(len(text)))
	return append(prefix, text...)
}
