package probe

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// Recording is what a device answered.
type Recording struct {
	Device  string            `json:"device"`
	Driver  string            `json:"driver"`
	Answers map[string]Answer `json:"probes"`
}

// Answer is one probe's output, or why there is none.
type Answer struct {
	Key    string `json:"key"`             // Probe.Key when it ran
	Out    string `json:"out,omitempty"`   // bytes 0, 4, …, then 1, 5, …; deflated; base64
	Error  string `json:"error,omitempty"` // of the launch
	Varies bool   `json:"varies,omitempty"`
}

// NewAnswer packs an output.
func NewAnswer(p *Probe, out []byte) Answer {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err == nil {
		_, err = w.Write(planes(out, 4))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil { // writing to memory does not fail
		panic(err)
	}
	return Answer{Key: p.Key(), Out: base64.StdEncoding.EncodeToString(b.Bytes())}
}

// Output unpacks an output of n bytes.
func (a *Answer) Output(n int) ([]byte, error) {
	packed, err := base64.StdEncoding.DecodeString(a.Out)
	if err != nil {
		return nil, err
	}
	flat, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), int64(n)+1))
	if err != nil {
		return nil, err
	}
	if len(flat) != n {
		return nil, fmt.Errorf("an output of %d bytes was recorded, want %d", len(flat), n)
	}
	return planes(flat, n/4), nil
}

// planes puts every step-th byte first, then every one after those: words taken
// apart deflate better. With len(b)/step for step it is its own inverse.
func planes(b []byte, step int) []byte {
	if step == 0 || len(b)%step != 0 {
		return b
	}
	p := make([]byte, 0, len(b))
	for first := range step {
		for i := first; i < len(b); i += step {
			p = append(p, b[i])
		}
	}
	return p
}

// ReadRecording reads what WriteFile wrote.
func ReadRecording(path string) (*Recording, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := new(Recording)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// WriteFile writes the recording, probes in order of their names.
func (r *Recording) WriteFile(path string) error {
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
