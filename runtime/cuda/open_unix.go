//go:build !windows

package cuda

import "github.com/ebitengine/purego"

// openShared opens a shared library.
func openShared(path string) (uintptr, error) {
	return purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
}

// symbol is the address of a function of an open library.
func symbol(handle uintptr, name string) (uintptr, error) { return purego.Dlsym(handle, name) }
