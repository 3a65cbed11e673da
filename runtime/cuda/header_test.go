package cuda

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// constants are the numbers that this package takes from cuda.h.
var constants = map[string]int{
	"CUDA_SUCCESS":                                          int(success),
	"CUDA_ERROR_INVALID_VALUE":                              int(errInvalidValue),
	"CUDA_ERROR_OUT_OF_MEMORY":                              int(errOutOfMemory),
	"CUDA_ERROR_STUB_LIBRARY":                               int(errStubLibrary),
	"CUDA_ERROR_NO_DEVICE":                                  int(errNoDevice),
	"CUDA_ERROR_INVALID_DEVICE":                             int(errInvalidDevice),
	"CUDA_ERROR_INVALID_IMAGE":                              int(errInvalidImage),
	"CUDA_ERROR_INVALID_CONTEXT":                            int(errInvalidContext),
	"CUDA_ERROR_NO_BINARY_FOR_GPU":                          int(errNoBinary),
	"CUDA_ERROR_INVALID_PTX":                                int(errInvalidPTX),
	"CUDA_ERROR_JIT_COMPILER_NOT_FOUND":                     int(errNoJITCompiler),
	"CUDA_ERROR_UNSUPPORTED_PTX_VERSION":                    int(errUnsupportedPTX),
	"CUDA_ERROR_JIT_COMPILATION_DISABLED":                   int(errJITDisabled),
	"CUDA_ERROR_NOT_FOUND":                                  int(errNotFound),
	"CUDA_ERROR_ILLEGAL_ADDRESS":                            int(errIllegalAddress),
	"CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES":                    int(errOutOfResources),
	"CUDA_ERROR_LAUNCH_TIMEOUT":                             int(errLaunchTimeout),
	"CUDA_ERROR_HARDWARE_STACK_ERROR":                       int(errHardwareStack),
	"CUDA_ERROR_ILLEGAL_INSTRUCTION":                        int(errIllegalInstruction),
	"CUDA_ERROR_MISALIGNED_ADDRESS":                         int(errMisalignedAddress),
	"CUDA_ERROR_INVALID_ADDRESS_SPACE":                      int(errInvalidSpace),
	"CUDA_ERROR_INVALID_PC":                                 int(errInvalidPC),
	"CUDA_ERROR_LAUNCH_FAILED":                              int(errLaunchFailed),
	"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH":                     int(errDriverMismatch),
	"CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE":             int(errCompatNotSupported),
	"CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT":              attrMultiprocessors,
	"CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR":          attrMajor,
	"CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR":          attrMinor,
	"CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN": attrMaxShared,
	"CU_JIT_INFO_LOG_BUFFER":                                jitInfoLog,
	"CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES":                     jitInfoLogSize,
	"CU_JIT_ERROR_LOG_BUFFER":                               jitErrorLog,
	"CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES":                    jitErrorLogSize,
	"CU_JIT_LOG_VERBOSE":                                    jitLogVerbose,
	"CU_JIT_INPUT_PTX":                                      inputPTX,
	"CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES":       funcMaxDynamicShared,
	"CU_LAUNCH_PARAM_END_AS_INT":                            paramEnd,
	"CU_LAUNCH_PARAM_BUFFER_POINTER_AS_INT":                 paramPointer,
	"CU_LAUNCH_PARAM_BUFFER_SIZE_AS_INT":                    paramSize,
	"CU_TENSOR_MAP_DATA_TYPE_FLOAT16":                       mapFloat16,
	"CU_TENSOR_MAP_DATA_TYPE_BFLOAT16":                      mapBFloat16,
	"CU_TENSOR_MAP_INTERLEAVE_NONE":                         mapInterleave0,
	"CU_TENSOR_MAP_SWIZZLE_NONE":                            int(mapSwizzles[0]),
	"CU_TENSOR_MAP_SWIZZLE_32B":                             int(mapSwizzles[32]),
	"CU_TENSOR_MAP_SWIZZLE_64B":                             int(mapSwizzles[64]),
	"CU_TENSOR_MAP_SWIZZLE_128B":                            int(mapSwizzles[128]),
	"CU_TENSOR_MAP_L2_PROMOTION_L2_256B":                    mapPromote256,
	"CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE":                     mapFillZero,
	"CU_STREAM_DEFAULT":                                     0,
	"CU_EVENT_DEFAULT":                                      0,
	"sizeof(CUtensorMap)":                                   128,
	"sizeof(CUdeviceptr)":                                   8,
	"sizeof(CUjit_option)":                                  4,
	"sizeof(CUdevice)":                                      4,
}

// renamed are the functions whose symbol is not what cuda.h makes of the name.
var renamed = map[proc]string{
	cuEventElapsedTime: "CUDA 13's header asks for _v2, which drivers for CUDA 12 lack",
}

// TestHeaders compiles the constants and the symbols' names against cuda.h.
func TestHeaders(t *testing.T) {
	dirs := headerDirs()
	_, err := exec.LookPath("gcc")
	if len(dirs) < 2 || err != nil {
		if os.Getenv("S2C_REQUIRE_TOOLS") == "1" {
			t.Fatalf("S2C_REQUIRE_TOOLS=1, but there are headers in %v only, gcc: %v", dirs, err)
		}
		t.Skipf("SKIPPED, numbers are not compared with cuda.h: headers in %v (run script/venv), gcc: %v", dirs, err)
	}
	var src strings.Builder
	fmt.Fprintln(&src, "#include <cuda.h>\n#define TEXT(x) #x\n#define NAME(x) TEXT(x)")
	for name, v := range constants {
		fmt.Fprintf(&src, "_Static_assert(%s == %d, %q);\n", name, v, name)
	}
	for p, symbol := range symbols {
		name := strings.TrimSuffix(symbol, "_v2")
		if renamed[proc(p)] == "" {
			fmt.Fprintf(&src, "_Static_assert(!__builtin_strcmp(NAME(%s), %q), %q);\n", name, symbol, symbol)
		}
		fmt.Fprintf(&src, "void *use%d(void) { return (void *)%s; }\n", p, name)
	}
	file := filepath.Join(t.TempDir(), "check.c")
	if err := os.WriteFile(file, []byte(src.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		if out, err := exec.Command("gcc", "-fsyntax-only", "-I", dir, file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", dir, err, out)
		}
	}
}
