/* cuda.h of CUDA 13 with the prototypes that gorgonia.org/cu v0.9.6 calls:
 * CUDA 13 points these names at newer functions with other parameters. The
 * driver still has the older ones, so declaring them is enough. Put this
 * directory before the real header's:
 *
 *     CGO_CFLAGS="-I.../runtime/gorgonia/cuda13 -I.../cuda/include"
 *
 * With an older cuda.h it changes nothing. */
#ifndef S2C_CUDA13_SHIM
#define S2C_CUDA13_SHIM

#include_next <cuda.h>

#if CUDA_VERSION >= 13000

#ifdef __cplusplus
extern "C" {
#endif

#undef cuCtxCreate
#define cuCtxCreate cuCtxCreate_v2
CUresult CUDAAPI cuCtxCreate_v2(CUcontext *pctx, unsigned int flags, CUdevice dev);

#undef cuMemAdvise
CUresult CUDAAPI cuMemAdvise(CUdeviceptr devPtr, size_t count, CUmem_advise advice, CUdevice device);

#undef cuMemPrefetchAsync
CUresult CUDAAPI cuMemPrefetchAsync(CUdeviceptr devPtr, size_t count, CUdevice dstDevice, CUstream hStream);

#undef cuGraphAddDependencies
CUresult CUDAAPI cuGraphAddDependencies(CUgraph hGraph, const CUgraphNode *from, const CUgraphNode *to, size_t numDependencies);

#undef cuGraphGetEdges
CUresult CUDAAPI cuGraphGetEdges(CUgraph hGraph, CUgraphNode *from, CUgraphNode *to, size_t *numEdges);

#ifdef __cplusplus
}
#endif

#endif /* CUDA_VERSION >= 13000 */

#endif
