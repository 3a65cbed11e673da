package memory

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

func TestOf(t *testing.T) {
	for _, c := range []struct {
		got, want Bytes
	}{
		{Of(2, 3, 4), 24},
		{Of(2, 0, math.MaxInt), 0},
		{Of(2, 1<<31, 1<<31), Most},
		{Of(8, math.MaxInt/8), math.MaxInt64 - 7},
		{Of(8, math.MaxInt/8+1), Most},
		{Most.Plus(1), Most},
		{Bytes(1).Plus(2), 3},
		{Most.Times(0), 0},
	} {
		if c.got != c.want {
			t.Errorf("%d, want %d", c.got, c.want)
		}
	}
}

func TestString(t *testing.T) {
	for n, want := range map[Bytes]string{
		0: "0 bytes", 1: "1 byte", 1023: "1023 bytes", 1024: "1.0 KiB", 1536: "1.5 KiB", 1<<20 - 1: "1.0 MiB",
		5 << 30: "5.0 GiB", 1 << 40: "1.0 TiB", 1 << 60: "1.0 EiB", Most: "more than 8 EiB",
	} {
		if got := n.String(); got != want {
			t.Errorf("%d is %q, want %q", int64(n), got, want)
		}
	}
}

func TestAvailable(t *testing.T) {
	free, known := Available()
	if !known || free < 1<<20 || free > 1<<50 {
		t.Errorf("%v, %v", free, known)
	}
}

// A group allows no more than those that hold it; what it keeps of files can go.
func TestGroupRoom(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  Bytes
	}{
		"none":      {nil, Most},
		"unlimited": {map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n", "sys/fs/cgroup/a/memory.current": "5\n"}, Most},
		"version 2": {map[string]string{"proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "1000\n", "sys/fs/cgroup/a/b/memory.current": "700\n",
			"sys/fs/cgroup/a/b/memory.stat": "anon 3\ninactive_file 200\nslab 1\n"}, 500},
		"a group that holds it": {map[string]string{"proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "1000\n", "sys/fs/cgroup/a/b/memory.current": "100\n",
			"sys/fs/cgroup/a/memory.max": "1000\n", "sys/fs/cgroup/a/memory.current": "999\n"}, 1},
		"in a container": {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "9\n", "sys/fs/cgroup/memory.current": "10\n"}, 0},
		"version 1": {map[string]string{"proc/self/cgroup": "4:cpu,memory:/x\n3:cpuset:/y\n",
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes": "50\n", "sys/fs/cgroup/memory/x/memory.usage_in_bytes": "20\n",
			"sys/fs/cgroup/memory/x/memory.stat": "total_inactive_file 5\n"}, 35},
	} {
		root := t.TempDir()
		for path, text := range c.files {
			at := filepath.Join(root, path)
			if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := groupRoom(root); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
