package cuda

import (
	"fmt"
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

// readHeader finds .version and .target, which PTX has before all else
// (PTX ISA 9.0 §11.1).
func readHeader(ptx string) (header, error) {
	var h header
	for line := range strings.Lines(ptx) {
		line, _, _ = strings.Cut(line, "//")
		fields := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' || r == '\n' || r == '\r' })
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case ".version":
			h.version = fields[1]
		case ".target":
			h.target = fields[1]
		}
		if h.version != "" && h.target != "" {
			return h, nil
		}
	}
	return h, s2c.Errorf(s2c.ErrCompile, "the PTX text has no .version or no .target")
}

// CheckPTX says whether this driver can compile a PTX text for a device of
// compute capability major.minor: an ErrCompile for what is no PTX, an
// ErrOldDriver, or an ErrArchitecture.
func (l *Library) CheckPTX(ptx string, major, minor int, device string) error {
	h, err := readHeader(ptx)
	if err != nil {
		return err
	}
	if err := checkTarget(h.target, major, minor, device); err != nil {
		return err
	}
	if err := l.checkVersion(h); err != nil {
		return err
	}
	if strings.IndexByte(ptx, 0) >= 0 {
		return s2c.Errorf(s2c.ErrCompile, "the PTX text holds a zero byte, where the driver would stop reading")
	}
	return nil
}

// checkVersion is an ErrOldDriver where the driver does not know the PTX version.
func (l *Library) checkVersion(h header) error {
	need, known := ptxSince[h.version]
	if known && l.version < need {
		return s2c.Errorf(s2c.ErrOldDriver, "the NVIDIA driver is too old: it is for CUDA %s, and PTX %s needs %s or later",
			dotted(l.version), h.version, dotted(need))
	}
	return nil // an unknown version is the driver's to judge
}

// checkTarget is an ErrArchitecture where PTX for the target does not run on
// compute capability major.minor. The driver would say no more than "no binary".
func checkTarget(name string, major, minor int, device string) error {
	t, err := target.Parse(name)
	if err != nil || t.RunsOn(major, minor) {
		return nil // what is no name is the driver's to judge
	}
	return s2c.Errorf(s2c.ErrArchitecture, "PTX for %s %s, and %s has %d.%d", name, t.Needs(), device, major, minor)
}
