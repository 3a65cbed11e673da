package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wrongUsage is command lines that cannot be meant, by command. FILE is a good
// file, DIR an empty folder, EMPTY an argument without text.
var wrongUsage = map[string][]string{
	"check":          {"", "EMPTY", "FILE -D local", "FILE -D =3", "- -"},
	"fmt":            {"", "EMPTY", "FILE --check -w", "- -w", "- -"},
	"init":           {"EMPTY", "DIR/a DIR/b"},
	"explain":        {"", "EMPTY", "FILE -D =3", "FILE --seq 0", "FILE --seq 1.5K", "FILE --seq 4KB", "FILE --layer 9", "FILE --layer -1", "FILE --arch sm_12", "FILE --arch EMPTY", "FILE --tuning-gpu X", "S2C9999"},
	"show":           {"", "EMPTY", "FILE -D =3", "FILE --seq 0", "FILE --seq 8G", "FILE --what x", "FILE --heads 9", "FILE --heads 0-3", "FILE --arch EMPTY", "FILE --format x", "FILE --width 0", "FILE -o DIR/x.gif", "FILE --layer 9"},
	"mask":           {"", "EMPTY", "FILE --seq 64", "FILE --head 0", "FILE --seq 0 --head 0", "FILE --seq 64 --head 9", "FILE --seq x --head 0", "FILE --seq 64 --head 0 --format x", "FILE --seq 64 --head 0 --layer 9"},
	"compile":        {"", "EMPTY", "FILE", "FILE -o EMPTY", "FILE -o DIR/x --arch EMPTY", "FILE -o DIR/x --arch sm_12", "FILE -o DIR/x --emit x", "FILE -o DIR/x --dump nope", "FILE -o DIR/x --layer 0", "FILE -o DIR/x --emit ptx --layer 9", "FILE -o - --json", "FILE -o - --emit ptx --arch sm_80,sm_90a"},
	"run":            {"", "EMPTY", "FILE --device tpu", "FILE --device EMPTY", "FILE --seq 0", "FILE --seq 8k8", "FILE --seq 4096M", "FILE --q-len 2048M", "FILE --q-len 0", "FILE --seq 8 --q-len 9", "FILE --batch 0", "FILE --scale 0", "FILE --scale x", "FILE --arch EMPTY", "FILE --heads 9", "FILE --layer 9", "FILE -o DIR/x.pdf", "FILE --q DIR/x.pdf", "FILE -o DIR/x.npy --lse DIR/x.npy", "FILE --seed x", "FILE --tuning-gpu X"},
	"bench":          {"", "EMPTY --seq 64", "FILE", "FILE --seq 0", "FILE --seq EMPTY", "FILE --seq 64 --device tpu", "FILE --seq 64 --only x=1", "FILE --seq 64 --device emu --only kv_tile=7", "FILE --seq 64 --batch 0", "FILE --seq 64 --runs 0", "FILE --seq 64 --launches -1", "FILE --seq 64 --plot DIR/x.pdf", "FILE --seq 64 --layer 9", "FILE --seq 64 --arch EMPTY"},
	"tune":           {"", "EMPTY --seq 64", "FILE", "FILE --seq 0", "FILE --seq 64 -o EMPTY", "FILE --seq 64 --device tpu", "FILE --seq 64 --only x=1", "FILE --seq 64 --device emu -o DIR/t.json --only kv_tile=7", "FILE --seq 64 --top -1", "FILE --seq 64 --budget 5", "FILE --seq 64 --batch 0", "FILE --seq 64 --runs 0", "FILE --seq 64 -o DIR/t.json --layer 9"},
	"bundle inspect": {"", "EMPTY", "BUNDLE --ptx nope"},
	"completion":     {"", "EMPTY", "tcsh"},
	"lsp":            {"x"},
	"version":        {"x"},
}

// TestWrongUsage holds every command to one exit status for command lines that
// cannot be meant, and to a message on standard error alone that says where the
// usage is explained.
func TestWrongUsage(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join("..", "..", "examples", "sink-window.s2")
	bundle := filepath.Join(t.TempDir(), "b.s2b")
	if status := execute([]string{"compile", file, "-o", bundle}, &streams{out: &bytes.Buffer{}, err: &bytes.Buffer{}}); status != exitGood {
		t.Fatal(status)
	}
	words := strings.NewReplacer("FILE", file, "DIR", dir, "BUNDLE", bundle)
	for _, command := range everyCommand(t) {
		lines, ok := wrongUsage[command]
		if !ok {
			t.Errorf("no wrong usage of %s is tried", command)
		}
		for _, line := range append(lines, "--frobnicate") {
			t.Run(command+" "+line, func(t *testing.T) {
				args := strings.Fields(command)
				for _, word := range strings.Fields(line) {
					args = append(args, strings.TrimPrefix(words.Replace(word), "EMPTY"))
				}
				var out, err bytes.Buffer
				status := execute(args, &streams{in: strings.NewReader(""), out: &out, err: &err})
				if status != exitUsage || out.Len() > 0 || !strings.HasPrefix(err.String(), "s2c: error: ") || !strings.Contains(err.String(), "--help") {
					t.Errorf("status %d, output %q\n%s", status, out.String(), err.String())
				}
			})
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("files were written: %v %v", left, err)
	}
}

// everyCommand lists the commands by their paths.
func everyCommand(t *testing.T) []string {
	k, err := newParser(&commands{}, &streams{}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, c := range listCommands(k.Model.Node, nil) {
		paths = append(paths, c.path)
	}
	return paths
}

// TestBinaryOnTerminal keeps what is no text from a terminal.
func TestBinaryOnTerminal(t *testing.T) {
	file := filepath.Join("..", "..", "examples", "sink-window.s2")
	for _, c := range []struct {
		args     string
		terminal bool
		status   int
	}{
		{"compile FILE -o -", true, exitUsage},
		{"compile FILE -o -", false, exitGood},
		{"compile FILE --emit ptx -o -", true, exitGood},
		{"show FILE --format png", true, exitUsage},
		{"show FILE --format png -o -", true, exitUsage},
		{"show FILE --format png", false, exitGood},
		{"show FILE --format svg", true, exitGood},
	} {
		var out, err bytes.Buffer
		status := execute(strings.Fields(strings.ReplaceAll(c.args, "FILE", file)), &streams{out: &out, err: &err, outTerminal: c.terminal})
		if status != c.status || (out.Len() > 0) != (status == exitGood) {
			t.Errorf("%s, terminal %v: status %d, %d bytes\n%s", c.args, c.terminal, status, out.Len(), err.String())
		}
	}
}

// TestTokens reads numbers of tokens.
func TestTokens(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "4096": 4096, "4K": 4096, "4k": 4096, "1M": 1 << 20, "-1": -1, "8796093022207M": 8796093022207 << 20} {
		if got, err := parseTokens(text); got != want || err != nil {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "K", "4KB", "1.5K", "4G", "4KK", "K4", "4 K", "0x4K", "8796093022208M", "9223372036854775808"} {
		if got, err := parseTokens(text); err == nil || !strings.Contains(err.Error(), "write 8192 or 8K") {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
}
