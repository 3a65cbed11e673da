//go:build unix

package wholefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// alone makes the test's own program run one step in a process of its own.
const alone = "S2C_WHOLEFILE_STEP"

func TestMain(m *testing.M) {
	switch path := os.Getenv(alone + "_PATH"); os.Getenv(alone) {
	case "full":
		os.Exit(report(full(path)))
	case "write":
		os.Exit(report(Write(path, text("written"))))
	}
	os.Exit(m.Run())
}

func report(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// full writes more than a file may hold, as on a full disk.
func full(path string) error {
	limit := syscall.Rlimit{Cur: 4096, Max: 4096}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	return Write(path, func(w io.Writer) error {
		_, err := w.Write(bytes.Repeat([]byte("new "), 4096))
		return err
	})
}

// step runs one of TestMain's steps.
func step(name, path string, stdout io.Writer) error {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), alone+"="+name, alone+"_PATH="+path)
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = stdout, &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, &stderr)
	}
	return nil
}

func TestFullDisk(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "file")
	if err := Write(path, text("old")); err != nil {
		t.Fatal(err)
	}
	if err := step("full", path, nil); err == nil || !strings.Contains(err.Error(), "writing "+path) {
		t.Errorf("the error is %v", err)
	}
	wantText(t, path, "old")
	wantAlone(t, folder, 1)
}

func TestPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	got := make(chan string)
	go func() {
		data, err := os.ReadFile(path)
		got <- fmt.Sprint(string(data), err)
	}()
	if err := Write(path, text("through")); err != nil {
		t.Fatal(err)
	}
	if s := <-got; s != "through<nil>" {
		t.Errorf("the pipe gave %q", s)
	}
	if info, err := os.Stat(path); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		t.Errorf("the pipe is gone: %v, %v", info, err)
	}
}

// What another program holds open as standard output is written to, not replaced.
func TestStandardOutput(t *testing.T) {
	const stdout = "/dev/stdout"
	if _, err := os.Stat(stdout); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	folder := t.TempDir()
	path := filepath.Join(folder, "out")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	link := filepath.Join(folder, "link")
	if err := os.Symlink(stdout, link); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{stdout, link} {
		if err := step("write", to, file); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := file.WriteString(" on"); err != nil {
		t.Fatal(err)
	}
	wantText(t, path, "writtenwritten on")
}

// A protected file stays what it is, which a rename would not mind.
func TestProtected(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("SKIPPED: nothing is protected from root")
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("old"), 0o400); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, text("new")); !errors.Is(err, os.ErrPermission) {
		t.Errorf("the error is %v", err)
	}
	wantText(t, path, "old")
}
