package cuda

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// object is compiled code and what its compiler said.
type object struct {
	cubin []byte
	log   string
}

// cache keeps compiled code on disk, one file for each PTX text, driver and
// kind of device. All of it is best effort: a file that cannot be read, or is
// damaged, is compiled anew; one that cannot be written is not. A nil cache
// keeps nothing.
type cache struct {
	dir  string
	salt string // what code depends on besides the text
}

// CacheVariable is the environment variable that moves the cache, or turns it
// off with "off". Without it the cache is in the user's cache directory.
const CacheVariable = "S2C_CACHE"

const (
	cacheMagic   = "s2c cubin 1\n"
	cacheSuffix  = ".cubin"
	cacheEntries = 512     // the newest are kept
	maxCacheFile = 1 << 28 // bytes; no kernel comes near
	touchAfter   = 24 * time.Hour
)

// openCache finds the cache's directory; it is made at the first write.
func openCache(salt string) *cache {
	dir := os.Getenv(CacheVariable)
	if dir == "off" {
		return nil
	}
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil
		}
		dir = filepath.Join(base, "s2c")
	}
	return &cache{dir: dir, salt: salt}
}

// cacheSalt names the driver and the kind of device. The CUDA version alone
// does not tell releases of the driver apart, and each has its own compiler.
func (d *Device) cacheSalt() string {
	release, err := os.ReadFile("/proc/driver/nvidia/version")
	if err != nil {
		release, _ = os.ReadFile("/sys/module/nvidia/version")
	}
	return fmt.Sprintf("%s\n%d\n%s\nsm_%d%d\n%s", cacheMagic, d.lib.version, d.name, d.major, d.minor, release)
}

func (c *cache) path(ptx string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d\n%s%d\n", len(c.salt), c.salt, len(ptx))
	h.Write([]byte(ptx))
	return filepath.Join(c.dir, hex.EncodeToString(h.Sum(nil))+cacheSuffix)
}

// get is the object compiled from a text before.
func (c *cache) get(ptx string) (object, bool) {
	if c == nil {
		return object{}, false
	}
	path := c.path(ptx)
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxCacheFile {
		return object{}, false
	}
	data, _ := os.ReadFile(path) // without data there is no object
	o, ok := decodeObject(data)
	if ok && time.Since(info.ModTime()) > touchAfter {
		now := time.Now()
		_ = os.Chtimes(path, now, now) // used lately, so trim keeps it
	}
	return o, ok
}

// put remembers the object of a text. Readers see all of the file or none.
func (c *cache) put(ptx string, o object) {
	if c == nil || os.MkdirAll(c.dir, 0o755) != nil {
		return
	}
	tmp, err := os.CreateTemp(c.dir, "new-*")
	if err != nil {
		return
	}
	defer os.Remove(tmp.Name()) // gone already after the rename
	_, err = tmp.Write(encodeObject(o))
	if cmp.Or(err, tmp.Close()) != nil {
		return
	}
	if os.Rename(tmp.Name(), c.path(ptx)) == nil {
		c.trim()
	}
}

// drop forgets the object of a text.
func (c *cache) drop(ptx string) {
	if c != nil {
		_ = os.Remove(c.path(ptx))
	}
}

// trim removes what was used longest ago, and abandoned temporary files.
func (c *cache) trim() {
	list, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	var infos []fs.FileInfo
	for _, e := range list {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		switch {
		case strings.HasSuffix(e.Name(), cacheSuffix):
			infos = append(infos, info)
		case strings.HasPrefix(e.Name(), "new-") && time.Since(info.ModTime()) > touchAfter:
			_ = os.Remove(filepath.Join(c.dir, e.Name()))
		}
	}
	slices.SortFunc(infos, func(a, b fs.FileInfo) int {
		return cmp.Or(b.ModTime().Compare(a.ModTime()), strings.Compare(a.Name(), b.Name()))
	})
	for _, info := range infos[min(cacheEntries, len(infos)):] {
		_ = os.Remove(filepath.Join(c.dir, info.Name()))
	}
}

// encodeObject writes magic, SHA-256 of the rest, u32 bytes of the log, log, code.
func encodeObject(o object) []byte {
	body := binary.LittleEndian.AppendUint32(nil, uint32(len(o.log)))
	body = append(append(body, o.log...), o.cubin...)
	sum := sha256.Sum256(body)
	return slices.Concat([]byte(cacheMagic), sum[:], body)
}

func decodeObject(data []byte) (object, bool) {
	rest, ok := bytes.CutPrefix(data, []byte(cacheMagic))
	if !ok || len(rest) < sha256.Size+4 {
		return object{}, false
	}
	sum, body := rest[:sha256.Size], rest[sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return object{}, false
	}
	n := int64(binary.LittleEndian.Uint32(body))
	if body = body[4:]; n >= int64(len(body)) { // no code is no object
		return object{}, false
	}
	return object{cubin: body[n:], log: string(body[:n])}, true
}
