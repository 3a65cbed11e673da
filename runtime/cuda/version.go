package cuda

import (
	"fmt"
	"regexp"
	"strings"

	s2c "github.com/s2attention/s2c/runtime"
	"github.com/s2attention/s2c/target"
)

// oldest is the CUDA version that sm_80 needs.
const oldest = 11000

// dotted writes a CUDA version: 12080 is "12.8".
func dotted(version int) string {
	return fmt.Sprintf("%d.%d", version/1000, version%1000/10)
}

// ptxSince is the CUDA version that brought each PTX version from 7.0 on
// (PTX ISA 9.0 §13, release notes).
var ptxSince = map[string]int{
	"7.0": 11000, "7.1": 11010, "7.2": 11020, "7.3": 11030, "7.4": 11040, "7.5": 11050, "7.6": 11060, "7.7": 11070, "7.8": 11080,
	"8.0": 12000, "8.1": 12010, "8.2": 12020, "8.3": 12030, "8.4": 12040, "8.5": 12050, "8.6": 12070, "8.7": 12080, "8.8": 12090,
	"9.0": 13000,
}

// header is what the first directives of a PTX text say.
type header struct {
	version string // "8.0"
	target  string // "sm_90a"
}

// The directives that PTX has before all else (PTX ISA 9.0 §11.1).
var (
	versionText = regexp.MustCompile(`(?m)^\s*\.version\s+([^\s,/]+)`)
	targetText  = regexp.MustCompile(`(?m)^\s*\.target\s+([^\s,/]+)`)
)

func readHeader(ptx string) (header, error) {
	version, name := versionText.FindStringSubmatch(ptx), targetText.FindStringSubmatch(ptx)
	if version == nil || name == nil {
		return header{}, s2c.Errorf(s2c.ErrCompile, "the PTX text has no .version or no .target")
	}
	return header{version[1], name[1]}, nil
}

// CheckPTX says whether the driver can compile a PTX text for the device: an
// ErrCompile for what is no PTX, an ErrOldDriver, or an ErrArchitecture, of which the
// driver would say no more than "no binary". Versions and targets that are unknown
// here are the driver's to judge.
func (d *Device) CheckPTX(ptx string) error {
	h, err := readHeader(ptx)
	if err != nil {
		return err
	}
	t, err := target.Parse(h.target)
	need := ptxSince[h.version]
	switch {
	case err == nil && !t.RunsOn(d.major, d.minor):
		return s2c.Errorf(s2c.ErrArchitecture, "PTX for %s %s, and %s has %d.%d", h.target, t.Needs(), d.name, d.major, d.minor)
	case d.lib.version < need:
		return s2c.Errorf(s2c.ErrOldDriver, "the NVIDIA driver is too old: it is for CUDA %s, and PTX %s needs %s or later",
			dotted(d.lib.version), h.version, dotted(need))
	case strings.Contains(ptx, "\x00"):
		return s2c.Errorf(s2c.ErrCompile, "the PTX text holds a zero byte, where the driver would stop reading")
	}
	return nil
}
