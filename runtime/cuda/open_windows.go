package cuda

import "errors"

// errPlatform is why there is no driver: nothing here was tried with nvcuda.dll.
var errPlatform = errors.New("s2c drives GPUs on Linux alone")

func openShared(string) (uintptr, error) { return 0, errPlatform }

func symbol(uintptr, string) (uintptr, error) { return 0, errPlatform }
