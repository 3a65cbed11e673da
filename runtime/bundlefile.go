package runtime

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/s2attention/s2c/internal/wholefile"
	"github.com/s2attention/s2c/launch"
)

// The file, integers little-endian:
//
//	 0  magic: the first byte is no text, \r\n and \x1a show transfers that meddle
//	 8  u32 format version
//	12  u32 bytes of the manifest
//	16  u64 bytes of the file
//	24  manifest, JSON as json.MarshalIndent writes it, with plans and parts
//	    parts: PTX texts and tables, in the manifest's order, without gaps
//	    SHA-256 of all of the above
const (
	bundleMagic  = "\x89S2C\r\n\x1a\n"
	headerBytes  = 24
	maxManifest  = 8 << 20
	maxBundle    = 1 << 30
	noTable      = -1
	sumBytes     = sha256.Size
	manifestTabs = " "
)

// fileManifest is the manifest as it is in the file.
type fileManifest struct {
	Manifest
	Plans []filePlan `json:"plans"`
	Parts []filePart `json:"parts"`
}

// filePlan is a plan whose PTX and table are parts of the file, by number.
type filePlan struct {
	launch.Plan
	PTX   int `json:"ptx"`
	Table int `json:"table"` // noTable: it has none
}

// filePart is one run of bytes; equal ones are stored once.
type filePart struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// describe is the manifest's bytes: one spelling for one meaning.
func describe(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", manifestTabs)
	err := enc.Encode(v)
	return buf.Bytes(), err
}

// WriteBundle writes the bundle as one file. The same bundle gives the same
// bytes. It fails on a bundle that ReadBundle would refuse.
func WriteBundle(w io.Writer, b *Bundle) error {
	data, err := encodeBundle(b)
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

func encodeBundle(b *Bundle) ([]byte, error) {
	if b == nil {
		return nil, Errorf(ErrBundle, "no bundle to write, but nil")
	}
	c := Bundle{Manifest: b.Manifest, Plans: b.Plans}
	c.Manifest.Format = BundleFormat
	c.Manifest.Targets = c.targets()
	if err := c.Check(); err != nil {
		return nil, err
	}
	fm := fileManifest{Manifest: c.Manifest}
	var parts []byte
	numbers := map[[sumBytes]byte]int{}
	part := func(data []byte) int {
		sum := sha256.Sum256(data)
		n, ok := numbers[sum]
		if !ok {
			n = len(fm.Parts)
			numbers[sum] = n
			parts = append(parts, data...)
			fm.Parts = append(fm.Parts, filePart{int64(len(data)), hex.EncodeToString(sum[:])})
		}
		return n
	}
	for _, p := range c.Plans {
		fp := filePlan{Plan: p, PTX: part([]byte(p.PTX)), Table: noTable}
		if len(p.Table) > 0 {
			fp.Table = part(p.Table)
		}
		fm.Plans = append(fm.Plans, fp)
	}
	text, err := describe(fm)
	if err != nil {
		return nil, Errorf(ErrBundle, "the manifest: %v", err)
	}
	total := headerBytes + len(text) + len(parts) + sumBytes
	if len(text) > maxManifest || total > maxBundle {
		return nil, Errorf(ErrBundle, "a manifest of %d bytes and a bundle of %d are more than the %d and %d that a bundle may have",
			len(text), total, maxManifest, maxBundle)
	}
	out := make([]byte, 0, total)
	out = append(out, bundleMagic...)
	out = binary.LittleEndian.AppendUint32(out, BundleFormat)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(text)))
	out = binary.LittleEndian.AppendUint64(out, uint64(total))
	out = append(append(out, text...), parts...)
	sum := sha256.Sum256(out)
	return append(out, sum[:]...), nil
}

// ReadBundle reads one bundle and nothing else from r. Damaged, truncated and
// extended files, a manifest that contradicts itself or the file, and unknown
// format versions are an ErrBundle; whatever r holds, memory stays within a
// small multiple of what was read, and that within 1 GiB.
func ReadBundle(r io.Reader) (*Bundle, error) {
	data, err := readWhole(r)
	if err != nil {
		return nil, err
	}
	fm, body, err := decodeManifest(data)
	if err != nil {
		return nil, err
	}
	parts, err := splitParts(fm.Parts, body)
	if err != nil {
		return nil, err
	}
	b := &Bundle{Manifest: fm.Manifest, Sum: sha256.Sum256(data)}
	if b.Plans, err = joinParts(fm.Plans, parts); err != nil {
		return nil, err
	}
	if err := b.Check(); err != nil {
		return nil, Errorf(ErrBundle, "the bundle contradicts itself: %v", err)
	}
	return b, nil
}

// joinParts gives the plans their PTX and tables, and sees that each part is
// some plan's. Plans may share a part, but not so often that looking at
// all of them is more work than a whole bundle.
func joinParts(list []filePlan, parts [][]byte) ([]launch.Plan, error) {
	texts := make([]string, len(parts))
	used := make([]bool, len(parts))
	named := 0
	pick := func(n int) ([]byte, error) {
		if n < 0 || n >= len(parts) {
			return nil, Errorf(ErrBundle, "the bundle's manifest names part %d of %d", n, len(parts))
		}
		used[n] = true
		if named += len(parts[n]); named > maxBundle {
			return nil, Errorf(ErrBundle, "the bundle's plans share its parts too often")
		}
		return parts[n], nil
	}
	var plans []launch.Plan
	for i := range list {
		fp := &list[i]
		p := fp.Plan
		ptx, err := pick(fp.PTX)
		if err != nil {
			return nil, err
		}
		if texts[fp.PTX] == "" {
			texts[fp.PTX] = string(ptx)
		}
		p.PTX = texts[fp.PTX]
		if fp.Table != noTable {
			if p.Table, err = pick(fp.Table); err != nil {
				return nil, err
			}
			p.Table = slices.Clip(p.Table)
		}
		plans = append(plans, p)
	}
	if slices.Contains(used, false) {
		return nil, Errorf(ErrBundle, "the bundle holds a part that no plan uses")
	}
	return plans, nil
}

// readWhole reads the file that the header announces and checks its hash. The
// buffer grows with what really arrives.
func readWhole(r io.Reader) ([]byte, error) {
	head := make([]byte, headerBytes)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("reading a bundle: %w", err)
	}
	if n < len(bundleMagic) || string(head[:len(bundleMagic)]) != bundleMagic {
		return nil, Errorf(ErrBundle, "not a bundle, or one that was transferred as text: its first bytes are wrong")
	}
	if n < headerBytes {
		return nil, Errorf(ErrBundle, "the bundle is truncated: it ends within its header")
	}
	if v := binary.LittleEndian.Uint32(head[8:]); v != BundleFormat {
		return nil, Errorf(ErrBundle, "the bundle has format version %d, and this program reads %d: compile its source again with `s2c compile`", v, BundleFormat)
	}
	total := binary.LittleEndian.Uint64(head[16:])
	if total < headerBytes+sumBytes || total > maxBundle {
		return nil, Errorf(ErrBundle, "the bundle announces %d bytes; %d to %d are possible", total, headerBytes+sumBytes, maxBundle)
	}
	var buf bytes.Buffer
	buf.Write(head)
	if _, err := io.Copy(&buf, io.LimitReader(r, int64(total)-headerBytes+1)); err != nil {
		return nil, fmt.Errorf("reading a bundle: %w", err)
	}
	data := buf.Bytes()
	switch n := uint64(len(data)); {
	case n < total:
		return nil, Errorf(ErrBundle, "the bundle is truncated: %d of %d bytes", n, total)
	case n > total:
		return nil, Errorf(ErrBundle, "something follows the bundle's %d bytes", total)
	}
	end := len(data) - sumBytes
	if sum := sha256.Sum256(data[:end]); !bytes.Equal(sum[:], data[end:]) {
		return nil, Errorf(ErrBundle, "the bundle is damaged: its bytes do not match its hash")
	}
	return data, nil
}

// decodeManifest returns the manifest and the bytes of the parts.
func decodeManifest(data []byte) (*fileManifest, []byte, error) {
	body := data[headerBytes : len(data)-sumBytes]
	size := int(binary.LittleEndian.Uint32(data[12:]))
	if size > len(body) || size > maxManifest {
		return nil, nil, Errorf(ErrBundle, "the bundle's manifest of %d bytes does not fit", size)
	}
	text := body[:size]
	var fm fileManifest
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&fm); err != nil {
		return nil, nil, Errorf(ErrBundle, "the bundle's manifest: %v", err)
	}
	// Written by nobody but WriteBundle: no doubled keys, no second value, no
	// other spelling that another reader might understand differently.
	again, err := describe(fm)
	if err != nil {
		return nil, nil, Errorf(ErrBundle, "the bundle's manifest: %v", err)
	}
	if !bytes.Equal(again, text) {
		return nil, nil, Errorf(ErrBundle, "the bundle's manifest was edited: it is not as the compiler writes it")
	}
	return &fm, body[size:], nil
}

// splitParts cuts the body into its parts and checks each one's hash.
func splitParts(list []filePart, body []byte) ([][]byte, error) {
	var parts [][]byte
	for i, p := range list {
		if p.Bytes < 0 || p.Bytes > int64(len(body)) {
			return nil, Errorf(ErrBundle, "the bundle's part %d of %d bytes does not fit", i, p.Bytes)
		}
		part := body[:p.Bytes]
		body = body[p.Bytes:]
		if sum := sha256.Sum256(part); hex.EncodeToString(sum[:]) != p.SHA256 {
			return nil, Errorf(ErrBundle, "the bundle's part %d was changed: it does not match its hash", i)
		}
		parts = append(parts, part)
	}
	if len(body) > 0 {
		return nil, Errorf(ErrBundle, "the bundle has %d bytes that its manifest does not name", len(body))
	}
	return parts, nil
}

// ReadBundleFile reads the bundle at path; its errors name the path.
func ReadBundleFile(path string) (*Bundle, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := ReadBundle(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// WriteBundleFile writes the bundle to path, whole or not at all. A file that is
// there keeps its mode.
func WriteBundleFile(path string, b *Bundle) error {
	data, err := encodeBundle(b)
	if err != nil {
		return err
	}
	return wholefile.Write(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}
