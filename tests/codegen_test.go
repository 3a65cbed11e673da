package tests

import (
	"embed"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/internal/conformance"
	"github.com/s2attention/s2c/target"
)

//go:embed codegen/*.s2
var codegenFiles embed.FS

// check is one comment of a source: targets, then a regular expression that the
// PTX must hold, or with a minus must not.
//
//	// sm_80, sm_90a: "mma\.sync"
//	// sm_80: -"ld\.local"
var check = regexp.MustCompile(`^// ((?:sm_\w+)(?:, sm_\w+)*): (-?)(".*")$`)

// TestCodegen holds the PTX of codegen/*.s2 against the checks in their comments.
func TestCodegen(t *testing.T) {
	files, err := codegenFiles.ReadDir("codegen")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(f.Name(), ".s2"), func(t *testing.T) {
			text, err := codegenFiles.ReadFile("codegen/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			ptx := map[target.Target]string{}
			for _, on := range compiler.Targets {
				c := conformance.Case{Source: string(text)}
				ptx[on] = load(t, &c, on, true).compiled.Plan.PTX
			}
			if checkText(t, f.Name(), string(text), ptx) == 0 {
				t.Error("the file checks nothing")
			}
		})
	}
}

// checkText runs the checks of a source and returns how many it has.
func checkText(t *testing.T, name, text string, ptx map[target.Target]string) int {
	n := 0
	for i, line := range strings.Split(text, "\n") {
		m := check.FindStringSubmatch(line)
		if m == nil {
			if strings.HasPrefix(line, "// sm_") {
				t.Errorf("%s:%d: this is no check: %s", name, i+1, line)
			}
			continue
		}
		pattern, err := strconv.Unquote("`" + strings.ReplaceAll(m[3][1:len(m[3])-1], `\"`, `"`) + "`")
		if err != nil {
			t.Errorf("%s:%d: %v", name, i+1, err)
			continue
		}
		re, err := regexp.Compile(pattern)
		if err != nil {
			t.Errorf("%s:%d: %v", name, i+1, err)
			continue
		}
		for named := range strings.SplitSeq(m[1], ", ") {
			n++
			on, err := compiler.ParseTarget(named)
			if err != nil {
				t.Errorf("%s:%d: %v", name, i+1, err)
				continue
			}
			found := re.FindString(ptx[on])
			switch {
			case m[2] == "" && found == "":
				t.Errorf("%s:%d: %s has nothing like %s", name, i+1, on, m[3])
			case m[2] == "-" && found != "":
				t.Errorf("%s:%d: %s has %q, which it should not", name, i+1, on, found[:min(len(found), 200)])
			}
		}
	}
	return n
}
