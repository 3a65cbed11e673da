package bench

import (
	"os"
	"os/exec"
	"testing"
)

// TestScripts runs the scripts' own tests, which need Python alone.
func TestScripts(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("S2C_REQUIRE_TOOLS") == "1" {
			t.Fatal("S2C_REQUIRE_TOOLS=1, but there is no python3")
		}
		t.Skip("SKIPPED, the scripts in bench are not tested: no python3")
	}
	cmd := exec.Command(python, "scripts_test.py")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
