package runtime

import (
	"fmt"
	"strconv"
	"strings"
)

// target is a parsed architecture name. "sm_80" code runs on every device from
// compute capability 8.0 on; "sm_90a" code uses instructions of that chip alone
// and runs on 9.0 only (PTX ISA 9.0 §11.1.2).
type target struct {
	major, minor int
	exact        bool
}

func parseTarget(name string) (target, error) {
	digits, ok := strings.CutPrefix(name, "sm_")
	var t target
	if ok {
		digits, t.exact = strings.CutSuffix(digits, "a")
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if !ok || err != nil || n < 10 || len(digits) > 3 || digits[0] == '0' {
		return target{}, Errorf(ErrKernel, "%q names no architecture; sm_80 and sm_90a do", name)
	}
	t.major, t.minor = int(n/10), int(n%10)
	return t, nil
}

func (t target) runsOn(major, minor int) bool {
	if t.exact {
		return major == t.major && minor == t.minor
	}
	return major > t.major || major == t.major && minor >= t.minor
}

// better is whether t is the closer fit of two targets that both run: code for
// one chip before portable code, newer before older.
func (t target) better(u target) bool {
	if t.exact != u.exact {
		return t.exact
	}
	if t.major != u.major {
		return t.major > u.major
	}
	return t.minor > u.minor
}

func (t target) needs() string {
	if t.exact {
		return fmt.Sprintf("runs on compute capability %d.%d only", t.major, t.minor)
	}
	return fmt.Sprintf("needs compute capability %d.%d or later", t.major, t.minor)
}

// checkTarget is an ErrArchitecture where code for the target does not run on dev.
func checkTarget(name string, dev Device) error {
	t, err := parseTarget(name)
	if err != nil {
		return err
	}
	if major, minor := dev.ComputeCapability(); !t.runsOn(major, minor) {
		return Errorf(ErrArchitecture, "a kernel for %s %s, but %s has %d.%d; compile for another target with --arch",
			name, t.needs(), dev.Describe(), major, minor)
	}
	return nil
}
