// Package wholefile writes files that appear whole or not at all.
package wholefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// Write runs a writer against path and reports the first error. Until the writer is
// through and the disk has its bytes, they lie beside path under another name, and
// what path held before stays. An existing file keeps its mode, a link stays a link.
// What cannot be replaced, such as a device, a pipe or an open descriptor, is written
// directly. Errors name path.
func Write(path string, writer func(io.Writer) error) error {
	target, open := follow(path)
	switch info, err := os.Stat(target); {
	case open:
		return named(path, throughDescriptor(target, writer))
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return named(path, err)
	case err == nil && !info.Mode().IsRegular():
		return named(path, through(target, os.O_TRUNC, writer))
	}
	return named(path, replace(target, writer))
}

// follow is what the links at path lead to, which need not exist, and whether it is
// the name of one of this process's open files, as behind /dev/stdout: that may be a
// regular file, which a rename would take from whoever holds it open.
func follow(path string) (target string, open bool) {
	const most = 40 // links that Linux follows
	target = path
	for range most {
		folder, err := filepath.EvalSymlinks(filepath.Dir(target))
		if err != nil {
			return path, false
		}
		at := filepath.Join(folder, filepath.Base(target))
		if descriptors(folder) {
			return at, true
		}
		link, err := os.Readlink(at)
		if err != nil {
			return target, false
		}
		if target = link; !filepath.IsAbs(link) {
			target = filepath.Join(folder, link)
		}
	}
	return path, false
}

// descriptors is whether a folder names this process's open files.
func descriptors(folder string) bool {
	process := fmt.Sprintf("/proc/%d/", os.Getpid())
	thread, _ := filepath.Match(process+"task/*/fd", folder)
	return thread || folder == process+"fd" || folder == "/dev/fd"
}

// named makes an error about some file one about path, which is what the user gave.
func named(path string, err error) error {
	var inner *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &inner):
		return &fs.PathError{Op: "writing", Path: path, Err: inner.Err}
	case errors.As(err, &link):
		return &fs.PathError{Op: "writing", Path: path, Err: link.Err}
	}
	return err
}

// through writes to what is there.
func through(path string, flag int, writer func(io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_WRONLY|flag, 0)
	if err != nil {
		return err
	}
	return errors.Join(writer(file), file.Close())
}

// throughDescriptor writes to an open descriptor, by the name that the system gives
// it. The program's own streams go on where they are; another one is appended to.
func throughDescriptor(path string, writer func(io.Writer) error) error {
	switch filepath.Base(path) {
	case "1":
		return writer(os.Stdout)
	case "2":
		return writer(os.Stderr)
	}
	return through(path, os.O_APPEND, writer)
}

// replace writes a new file and puts it in the place of target.
func replace(target string, writer func(io.Writer) error) error {
	info, statErr := os.Stat(target)
	if statErr == nil {
		if err := writable(target); err != nil {
			return err
		}
	}
	file, err := beside(target)
	if errors.Is(err, fs.ErrPermission) && statErr == nil {
		return through(target, os.O_TRUNC, writer) // the folder is closed, the file is not
	}
	if err != nil {
		return err
	}
	temporary := file.Name()
	remember(temporary)
	defer forget(temporary) // its name is free already where everything went well
	err = writer(file)
	if err == nil && statErr == nil {
		err = file.Chmod(info.Mode().Perm())
	}
	if err == nil {
		err = flush(file)
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(temporary, target)
}

// writable is the error of a file that is protected: a rename would pass over that.
func writable(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return file.Close()
}

// flush waits until the disk has a file's bytes: a crash after the rename could leave
// it empty otherwise. File systems that cannot say so are believed.
func flush(file *os.File) error {
	err := file.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}

// beside makes a hidden file in the folder of path, with the permissions that a new
// file at path would have.
func beside(path string) (*os.File, error) {
	folder, name := filepath.Split(path)
	if len(name) > 200 {
		name = name[:200] // the longest name that file systems take is 255 bytes
	}
	for {
		temporary := filepath.Join(folder, fmt.Sprintf(".%s.%08x", name, rand.Uint32()))
		file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) {
			return file, err
		}
	}
}

// pending is the temporary files of this process.
var pending struct {
	sync.Mutex
	files map[string]bool
}

func remember(path string) {
	pending.Lock()
	defer pending.Unlock()
	if pending.files == nil {
		pending.files = map[string]bool{}
	}
	pending.files[path] = true
}

func forget(path string) {
	os.Remove(path)
	pending.Lock()
	defer pending.Unlock()
	delete(pending.files, path)
}

// Abandon removes every file that is not whole yet, for a program that is about to
// end on a signal.
func Abandon() {
	pending.Lock()
	defer pending.Unlock()
	for path := range pending.files {
		os.Remove(path)
	}
}
