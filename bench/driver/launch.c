// What the driver alone takes for a launch: cuLaunchKernel from C, for a kernel of ours with all parameters zero, so that
// every thread block ends at once. Beside Attention.Launch on the same machine, see results/2026-11-28-launch-and-second-driver.md.
//
//     nvcc -O2 -o launch bench/driver/launch.c -lcuda
//     s2c compile examples/s2-gqa.s2 --emit ptx --arch sm_90a -o gqa.ptx
//     ./launch gqa.ptx s2c_s2_gqa_l0 384 196992 25        entry, threads, bytes of shared memory, parameters
#include <cuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LAUNCHES = 10000, WAIT = 64 };

static double times[LAUNCHES];
static char text[1 << 22], zero[4096];

static int order(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void must(CUresult r, const char *what) {
    if (r != CUDA_SUCCESS) {
        fprintf(stderr, "launch: %s: CUresult %d\n", what, r);
        exit(1);
    }
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec * 1e-3;
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "launch: PTX ENTRY THREADS SHARED PARAMETERS\n");
        return 2;
    }
    FILE *f = fopen(argv[1], "r");
    if (!f) {
        perror(argv[1]);
        return 1;
    }
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    int threads = atoi(argv[3]), shared = atoi(argv[4]), count = atoi(argv[5]);
    CUdevice device;
    CUcontext context, other;
    CUmodule module;
    CUfunction kernel;
    CUstream stream;
    must(cuInit(0), "cuInit");
    must(cuDeviceGet(&device, 0), "cuDeviceGet");
    must(cuDevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain");
    must(cuCtxSetCurrent(context), "cuCtxSetCurrent");
    must(cuModuleLoadData(&module, text), "cuModuleLoadData");
    must(cuModuleGetFunction(&kernel, module, argv[2]), "cuModuleGetFunction");
    must(cuFuncSetAttribute(kernel, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shared), "cuFuncSetAttribute");
    must(cuStreamCreate(&stream, 0), "cuStreamCreate");
    void *params[64];
    for (int i = 0; i < count && i < 64; i++)
        params[i] = zero;
    for (int i = 0; i < LAUNCHES; i++) {
        double start = now();
        cuCtxPushCurrent(context);
        CUresult r = cuLaunchKernel(kernel, 132, 1, 1, threads, 1, 1, shared, stream, params, 0);
        cuCtxPopCurrent(&other);
        times[i] = now() - start;
        must(r, "cuLaunchKernel");
        if (i % WAIT == WAIT - 1)
            must(cuStreamSynchronize(stream), "cuStreamSynchronize");
    }
    qsort(times, LAUNCHES, sizeof *times, order);
    printf("%s: median %.2f us, least %.2f, 90%% %.2f\n", argv[2], times[LAUNCHES / 2], times[0], times[LAUNCHES * 9 / 10]);
    return 0;
}
