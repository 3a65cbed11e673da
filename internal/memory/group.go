package memory

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// groupFiles are where a version of Linux's control groups says what a group may
// hold, what it holds, and what of it are file contents that can go at any time.
type groupFiles struct{ limit, used, stat, reclaimable string }

var (
	groups2 = groupFiles{"memory.max", "memory.current", "memory.stat", "inactive_file"}
	groups1 = groupFiles{"memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat", "total_inactive_file"}
)

// groupRoom is the least that a control group of this process, or one that holds it,
// still allows; Most where there is none. root is where the system's files are.
func groupRoom(root string) Bytes {
	room := Most
	list, _ := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	for line := range strings.Lines(string(list)) {
		// hierarchy:controllers:path; version 2 has hierarchy 0 and no controllers.
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		files, mount := groups2, "sys/fs/cgroup"
		if parts[1] != "" {
			if !strings.Contains(","+parts[1]+",", ",memory,") {
				continue
			}
			files, mount = groups1, "sys/fs/cgroup/memory"
		}
		for at := filepath.Clean("/" + parts[2]); ; at = filepath.Dir(at) {
			room = min(room, files.room(filepath.Join(root, mount, at)))
			if at == string(filepath.Separator) {
				break
			}
		}
	}
	return room
}

// room is what one group still allows; Most where it has no limit.
func (f *groupFiles) room(folder string) Bytes {
	limit, limited := number(filepath.Join(folder, f.limit))
	used, counted := number(filepath.Join(folder, f.used))
	if !limited || !counted {
		return Most
	}
	stat, _ := os.ReadFile(filepath.Join(folder, f.stat))
	for line := range strings.Lines(string(stat)) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), " "); name == f.reclaimable {
			n, _ := strconv.ParseInt(value, 10, 64)
			used -= min(Bytes(n), used)
		}
	}
	return max(limit-used, 0)
}

// number reads a file that holds one; "max" is none.
func number(path string) (Bytes, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return Bytes(n), err == nil && n >= 0
}
