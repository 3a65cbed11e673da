// A driver for tests: the functions that runtime/cuda uses, over host memory,
// strict about contexts, handles and arguments. With -DWITH_CUDA_H the
// compiler compares every prototype with the real header's.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef WITH_CUDA_H
#include <cuda.h>
#else
typedef int CUresult, CUdevice, CUdevice_attribute, CUjit_option, CUjitInputType, CUfunction_attribute;
typedef int CUtensorMapDataType, CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUlinkState_st *CUlinkState;
typedef uint32_t cuuint32_t;
typedef uint64_t cuuint64_t;
typedef struct { uint64_t opaque[16]; } CUtensorMap;
#define CUDAAPI
#endif

enum { MAX = 4096, PARAMS = 4352, CONTEXTS = 16 };

struct CUctx_st { int open; };
struct CUmod_st { char *text; CUcontext ctx; };
struct CUfunc_st { char name[128]; CUmodule mod; int granted; };
struct CUstream_st { int open; CUcontext ctx; };
struct CUevent_st { int open; int at; };
struct CUlinkState_st { char *info, *error; size_t infoSize, errorSize; int verbose; char *image; size_t size; };

struct launch { char name[128]; unsigned grid[3], block[3], shared; void *stream; size_t size; unsigned char params[PARAMS]; };
struct failure { char name[64]; int code, skip; };
struct counter { char name[64]; int calls; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int version = 13000, devices = 1, major = 9, minor = 0, sms = 132, maxShared = 232448;
static size_t total = 1 << 30, used;
static int retained, badContext, clock_, linked;
static struct failure failures[16];
static struct counter counters[128];
static struct { char *p; size_t n; } blocks[MAX];
static struct launch launches[MAX];
static int launchCount;
static size_t paramOffsets[128], paramSizes[128]; // what cuFuncGetParamInfo says of every kernel; 0: as declared, 8 bytes each
static __thread CUcontext stack[64];
static __thread int depth;
static struct CUctx_st primary, made[CONTEXTS];

// begin counts a call and says whether it is to fail.
static int begin(const char *name) {
	int code = 0;
	pthread_mutex_lock(&lock);
	for (int i = 0; i < 128; i++) {
		if (!counters[i].name[0]) strncpy(counters[i].name, name, 63);
		if (!strcmp(counters[i].name, name)) { counters[i].calls++; break; }
	}
	for (int i = 0; i < 16; i++)
		if (!strcmp(failures[i].name, name)) {
			if (failures[i].skip-- > 0) continue;
			code = failures[i].code;
			failures[i].name[0] = 0;
			break;
		}
	pthread_mutex_unlock(&lock);
	return code;
}

// known is whether a number is a context that is there.
static int known(CUcontext c) {
	if (c == &primary) return retained > 0;
	for (int i = 0; i < CONTEXTS; i++)
		if (c == &made[i]) return c->open;
	return 0;
}

static int current(void) {
	if (depth > 0 && known(stack[depth - 1])) return 1;
	__sync_fetch_and_add(&badContext, 1);
	return 0;
}

#define BEGIN(name) do { int code = begin(name); if (code) return code; } while (0)
#define CONTEXT() do { if (!current()) return 201; } while (0)

// What the tests steer by.

void fake_reset(void) {
	version = 13000, devices = 1, major = 9, minor = 0, sms = 132, maxShared = 232448;
	total = 1 << 30, used = 0, retained = badContext = clock_ = linked = launchCount = 0;
	memset(made, 0, sizeof made);
	memset(failures, 0, sizeof failures);
	memset(paramSizes, 0, sizeof paramSizes);
	memset(counters, 0, sizeof counters);
	for (int i = 0; i < MAX; i++) { free(blocks[i].p); blocks[i].p = 0; }
}

void fake_set(const char *key, int64_t v) {
	if (!strcmp(key, "version")) version = v;
	if (!strcmp(key, "devices")) devices = v;
	if (!strcmp(key, "major")) major = v;
	if (!strcmp(key, "minor")) minor = v;
	if (!strcmp(key, "maxShared")) maxShared = v;
	if (!strcmp(key, "total")) total = v;
}

int64_t fake_get(const char *key) {
	if (!strcmp(key, "retained")) return retained;
	if (!strcmp(key, "badContext")) return badContext;
	if (!strcmp(key, "used")) return used;
	if (!strcmp(key, "launches")) return launchCount;
	if (!strcmp(key, "depth")) return depth;
	for (int i = 0; i < 128; i++)
		if (!strcmp(counters[i].name, key)) return counters[i].calls;
	return 0;
}

// fake_fail makes a call fail once, after skip good ones.
void fake_fail(const char *name, int code, int skip) {
	for (int i = 0; i < 16; i++)
		if (!failures[i].name[0]) { strncpy(failures[i].name, name, 63); failures[i].code = code; failures[i].skip = skip; return; }
}

void fake_param(int i, int64_t offset, int64_t size) { paramOffsets[i] = offset; paramSizes[i] = size; }

void fake_launch(int i, struct launch *out) { *out = launches[i]; }

// The driver.

CUresult CUDAAPI cuInit(unsigned int flags) { BEGIN("cuInit"); return flags ? 1 : 0; }
CUresult CUDAAPI cuDriverGetVersion(int *v) { BEGIN("cuDriverGetVersion"); *v = version; return 0; }

CUresult CUDAAPI cuGetErrorName(CUresult r, const char **s) {
	*s = r == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : r == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS" : r == 218 ? "CUDA_ERROR_INVALID_PTX" : 0;
	return *s ? 0 : 1;
}

CUresult CUDAAPI cuGetErrorString(CUresult r, const char **s) {
	*s = r == 2 ? "out of memory" : r == 700 ? "an illegal memory access was encountered" : r == 218 ? "a PTX JIT compilation failed" : 0;
	return *s ? 0 : 1;
}

CUresult CUDAAPI cuDeviceGetCount(int *n) { BEGIN("cuDeviceGetCount"); *n = devices; return 0; }
CUresult CUDAAPI cuDeviceGet(CUdevice *d, int n) { BEGIN("cuDeviceGet"); *d = n + 7; return 0; }

CUresult CUDAAPI cuDeviceGetName(char *name, int len, CUdevice d) {
	BEGIN("cuDeviceGetName");
	if (d < 7) return 101;
	snprintf(name, len, "Fake GPU %d", d - 7);
	return 0;
}

CUresult CUDAAPI cuDeviceGetAttribute(int *v, CUdevice_attribute a, CUdevice d) {
	BEGIN("cuDeviceGetAttribute");
	if (d < 7) return 101;
	switch ((int)a) {
	case 16: *v = sms; return 0;
	case 75: *v = major; return 0;
	case 76: *v = minor; return 0;
	case 97: *v = maxShared; return 0;
	}
	return 1;
}

CUresult CUDAAPI cuDevicePrimaryCtxRetain(CUcontext *c, CUdevice d) {
	BEGIN("cuDevicePrimaryCtxRetain");
	if (d < 7) return 101;
	retained++;
	*c = &primary;
	return 0;
}

CUresult CUDAAPI cuDevicePrimaryCtxRelease_v2(CUdevice d) {
	BEGIN("cuDevicePrimaryCtxRelease_v2");
	if (d < 7) return 101;
	if (!retained) return 201;
	retained--;
	return 0;
}

CUresult CUDAAPI cuCtxPushCurrent_v2(CUcontext c) {
	BEGIN("cuCtxPushCurrent_v2");
	if (depth == 64 || !known(c)) return 201;
	stack[depth++] = c;
	return 0;
}

CUresult CUDAAPI cuCtxPopCurrent_v2(CUcontext *c) {
	BEGIN("cuCtxPopCurrent_v2");
	if (depth == 0) { __sync_fetch_and_add(&badContext, 1); return 201; }
	*c = stack[--depth];
	return 0;
}

// cuCtxCreate_v2 leaves the new context current, as the driver does.
CUresult CUDAAPI cuCtxCreate_v2(CUcontext *c, unsigned int flags, CUdevice d) {
	BEGIN("cuCtxCreate_v2");
	if (d < 7) return 101;
	if (flags || depth == 64) return 1;
	for (int i = 0; i < CONTEXTS; i++)
		if (!made[i].open) {
			made[i].open = 1;
			*c = stack[depth++] = &made[i];
			return 0;
		}
	return 2;
}

CUresult CUDAAPI cuCtxDestroy_v2(CUcontext c) {
	BEGIN("cuCtxDestroy_v2");
	if (c == &primary || !known(c)) return 201;
	c->open = 0;
	return 0;
}

CUresult CUDAAPI cuCtxGetDevice(CUdevice *d) { BEGIN("cuCtxGetDevice"); CONTEXT(); *d = 7; return 0; }

CUresult CUDAAPI cuMemGetInfo_v2(size_t *f, size_t *t) { BEGIN("cuMemGetInfo_v2"); CONTEXT(); *f = total - used; *t = total; return 0; }

CUresult CUDAAPI cuMemAlloc_v2(CUdeviceptr *p, size_t n) {
	BEGIN("cuMemAlloc_v2");
	CONTEXT();
	if (n == 0) return 1;
	pthread_mutex_lock(&lock);
	CUresult r = 2;
	if (used + n <= total)
		for (int i = 0; i < MAX; i++)
			if (!blocks[i].p) {
				blocks[i].p = aligned_alloc(256, (n + 255) / 256 * 256);
				blocks[i].n = n;
				used += n;
				*p = (CUdeviceptr)(uintptr_t)blocks[i].p;
				r = 0;
				break;
			}
	pthread_mutex_unlock(&lock);
	return r;
}

// inside is whether n bytes at p are allocated.
static int inside(CUdeviceptr p, size_t n) {
	int ok = 0;
	pthread_mutex_lock(&lock);
	for (int i = 0; i < MAX; i++) {
		CUdeviceptr b = (CUdeviceptr)(uintptr_t)blocks[i].p;
		if (b && p >= b && p + n <= b + blocks[i].n) ok = 1;
	}
	pthread_mutex_unlock(&lock);
	return ok;
}

CUresult CUDAAPI cuMemFree_v2(CUdeviceptr p) {
	BEGIN("cuMemFree_v2");
	CONTEXT();
	CUresult r = 1;
	pthread_mutex_lock(&lock);
	for (int i = 0; i < MAX; i++)
		if (blocks[i].p && (CUdeviceptr)(uintptr_t)blocks[i].p == p) { free(blocks[i].p); blocks[i].p = 0; used -= blocks[i].n; r = 0; }
	pthread_mutex_unlock(&lock);
	return r;
}

static CUresult put(CUdeviceptr d, const void *s, size_t n) {
	CONTEXT();
	if (!inside(d, n)) return 1;
	memcpy((void *)(uintptr_t)d, s, n);
	return 0;
}

static CUresult fetch(void *d, CUdeviceptr s, size_t n) {
	CONTEXT();
	if (!inside(s, n)) return 1;
	memcpy(d, (void *)(uintptr_t)s, n);
	return 0;
}

// openStream is whether a stream is one of the current context.
static int openStream(CUstream s) { return !s || (s->open == 1 && depth > 0 && s->ctx == stack[depth - 1]); }

CUresult CUDAAPI cuMemcpyHtoD_v2(CUdeviceptr d, const void *s, size_t n) { BEGIN("cuMemcpyHtoD_v2"); return put(d, s, n); }
CUresult CUDAAPI cuMemcpyDtoH_v2(void *d, CUdeviceptr s, size_t n) { BEGIN("cuMemcpyDtoH_v2"); return fetch(d, s, n); }

CUresult CUDAAPI cuMemcpyHtoDAsync_v2(CUdeviceptr d, const void *s, size_t n, CUstream q) {
	BEGIN("cuMemcpyHtoDAsync_v2");
	return openStream(q) && q ? put(d, s, n) : 400;
}

CUresult CUDAAPI cuMemcpyDtoHAsync_v2(void *d, CUdeviceptr s, size_t n, CUstream q) {
	BEGIN("cuMemcpyDtoHAsync_v2");
	return openStream(q) && q ? fetch(d, s, n) : 400;
}

CUresult CUDAAPI cuLinkCreate_v2(unsigned int n, CUjit_option *keys, void **values, CUlinkState *out) {
	BEGIN("cuLinkCreate_v2");
	CONTEXT();
	CUlinkState s = calloc(1, sizeof *s);
	for (unsigned i = 0; i < n; i++)
		switch ((int)keys[i]) {
		case 3: s->info = values[i]; break;
		case 4: s->infoSize = (size_t)values[i] & 0xffffffff; break;
		case 5: s->error = values[i]; break;
		case 6: s->errorSize = (size_t)values[i] & 0xffffffff; break;
		case 12: s->verbose = (int)(size_t)values[i]; break;
		default: return 1;
		}
	*out = s;
	return 0;
}

CUresult CUDAAPI cuLinkAddData_v2(CUlinkState s, CUjitInputType type, void *data, size_t n, const char *name,
	unsigned int options, CUjit_option *keys, void **values) {
	BEGIN("cuLinkAddData_v2");
	CONTEXT();
	const char *text = data;
	if ((int)type != 1 || options || keys || values || n == 0 || text[n - 1] != 0 || strlen(text) != n - 1) return 1;
	const char *bad = strstr(text, "mov.bad");
	if (bad) {
		int line = 1;
		for (const char *p = text; p < bad; p++) line += *p == '\n';
		snprintf(s->error, s->errorSize, "ptxas application ptx input, line %d; error   : Unknown modifier '.bad'\n", line);
		return 218;
	}
	if (strstr(text, "WRONGARCH")) return 209;
	if (strstr(text, "NEWPTX")) return 222;
	s->size = n + 6;
	s->image = malloc(s->size);
	memcpy(s->image, "CUBIN:", 6);
	memcpy(s->image + 6, text, n);
	return 0;
}

CUresult CUDAAPI cuLinkComplete(CUlinkState s, void **image, size_t *n) {
	BEGIN("cuLinkComplete");
	CONTEXT();
	__sync_fetch_and_add(&linked, 1);
	if (s->verbose == 1) snprintf(s->info, s->infoSize, "ptxas info    : Used 40 registers, compilation %d\n", linked);
	*image = s->image;
	*n = s->size;
	return 0;
}

CUresult CUDAAPI cuLinkDestroy(CUlinkState s) {
	BEGIN("cuLinkDestroy");
	CONTEXT();
	if (s->image) memset(s->image, 0xdd, s->size); // who reads on sees it
	free(s->image);
	free(s);
	return 0;
}

CUresult CUDAAPI cuModuleLoadDataEx(CUmodule *m, const void *image, unsigned int n, CUjit_option *keys, void **values) {
	BEGIN("cuModuleLoadDataEx");
	CONTEXT();
	const char *text = image;
	char *info = 0, *error = 0;
	for (unsigned i = 0; i < n; i++) {
		if ((int)keys[i] == 3) info = values[i];
		if ((int)keys[i] == 5) error = values[i];
	}
	if (!strncmp(text, "CUBIN:", 6)) {
		text += 6;
	} else if (!strstr(text, ".version")) {
		if (error) strcpy(error, "error   : not an image\n");
		return 200;
	} else if (strstr(text, "mov.bad")) {
		if (error) strcpy(error, "ptxas application ptx input, line 1; error   : Unknown modifier '.bad'\n");
		return 218;
	} else if (info) {
		strcpy(info, "ptxas info    : Used 40 registers\n");
	}
	*m = calloc(1, sizeof **m);
	(*m)->text = strdup(text);
	(*m)->ctx = stack[depth - 1];
	return 0;
}

CUresult CUDAAPI cuModuleUnload(CUmodule m) {
	BEGIN("cuModuleUnload");
	CONTEXT();
	if (!m->text) return 400;
	free(m->text);
	m->text = 0; // the handle itself stays, so that a second unload is seen
	return 0;
}

CUresult CUDAAPI cuModuleGetFunction(CUfunction *f, CUmodule m, const char *name) {
	BEGIN("cuModuleGetFunction");
	CONTEXT();
	char entry[200];
	snprintf(entry, sizeof entry, ".entry %s(", name);
	if (!m->text || !strstr(m->text, entry)) return 500;
	*f = calloc(1, sizeof **f);
	snprintf((*f)->name, sizeof (*f)->name, "%s", name);
	(*f)->mod = m;
	(*f)->granted = 48 << 10;
	return 0;
}

CUresult CUDAAPI cuFuncSetAttribute(CUfunction f, CUfunction_attribute a, int v) {
	BEGIN("cuFuncSetAttribute");
	CONTEXT();
	if ((int)a != 8 || v > maxShared) return 1;
	f->granted = v;
	return 0;
}

CUresult CUDAAPI cuFuncGetParamInfo(CUfunction f, size_t i, size_t *offset, size_t *size) {
	BEGIN("cuFuncGetParamInfo");
	CONTEXT();
	if (i >= 128) return 1;
	*offset = paramSizes[i] ? paramOffsets[i] : 8 * i;
	*size = paramSizes[i] ? paramSizes[i] : 8;
	return 0;
}

CUresult CUDAAPI cuLaunchKernel(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx, unsigned int by,
	unsigned int bz, unsigned int shared, CUstream s, void **params, void **extra) {
	BEGIN("cuLaunchKernel");
	CONTEXT();
	if (!f->mod->text || f->mod->ctx != stack[depth - 1] || !openStream(s)) return 400;
	if (params || !extra || (int)shared > f->granted || gy > 65535 || gz > 65535) return 1;
	if (bx * by * bz > 1024) return 701;
	void *buffer = 0;
	size_t size = 0;
	for (int i = 0; extra[i]; i += 2) {
		if (extra[i] == (void *)1) buffer = extra[i + 1];
		else if (extra[i] == (void *)2) size = *(size_t *)extra[i + 1];
		else return 1;
	}
	if (size > PARAMS) return 1;
	struct launch l = {.grid = {gx, gy, gz}, .block = {bx, by, bz}, .shared = shared, .stream = s, .size = size};
	memcpy(l.name, f->name, sizeof l.name);
	memcpy(l.params, buffer, size / 2);
	if (gx % 3 == 0) usleep(20); // let another launch meddle, if it can
	memcpy(l.params + size / 2, (char *)buffer + size / 2, size - size / 2);
	pthread_mutex_lock(&lock);
	if (launchCount < MAX) launches[launchCount++] = l;
	pthread_mutex_unlock(&lock);
	return 0;
}

CUresult CUDAAPI cuStreamCreate(CUstream *s, unsigned int flags) {
	BEGIN("cuStreamCreate");
	CONTEXT();
	if (flags) return 1;
	*s = calloc(1, sizeof **s);
	(*s)->open = 1;
	(*s)->ctx = stack[depth - 1];
	return 0;
}

CUresult CUDAAPI cuStreamSynchronize(CUstream s) { BEGIN("cuStreamSynchronize"); CONTEXT(); return openStream(s) ? 0 : 400; }

CUresult CUDAAPI cuStreamDestroy_v2(CUstream s) {
	BEGIN("cuStreamDestroy_v2");
	CONTEXT();
	if (!s || !s->open) return 400;
	s->open = 2;
	return 0;
}

CUresult CUDAAPI cuEventCreate(CUevent *e, unsigned int flags) {
	BEGIN("cuEventCreate");
	CONTEXT();
	if (flags) return 1;
	*e = calloc(1, sizeof **e);
	(*e)->open = 1;
	return 0;
}

CUresult CUDAAPI cuEventRecord(CUevent e, CUstream s) {
	BEGIN("cuEventRecord");
	CONTEXT();
	if (e->open != 1 || !openStream(s)) return 400;
	e->at = __sync_add_and_fetch(&clock_, 1);
	return 0;
}

CUresult CUDAAPI cuEventSynchronize(CUevent e) { BEGIN("cuEventSynchronize"); CONTEXT(); return e->open == 1 && e->at ? 0 : 400; }

#ifdef cuEventElapsedTime
#undef cuEventElapsedTime // CUDA 13's header renames it; the plain name stays in the library
#endif
CUresult CUDAAPI cuEventElapsedTime(float *ms, CUevent from, CUevent to) {
	BEGIN("cuEventElapsedTime");
	CONTEXT();
	if (!from->at || !to->at) return 400;
	*ms = (float)(to->at - from->at) * 0.5f;
	return 0;
}

CUresult CUDAAPI cuEventElapsedTime_v2(float *ms, CUevent from, CUevent to) { return cuEventElapsedTime(ms, from, to); }

CUresult CUDAAPI cuEventDestroy_v2(CUevent e) {
	BEGIN("cuEventDestroy_v2");
	CONTEXT();
	if (e->open != 1) return 400;
	e->open = 2;
	return 0;
}

#ifndef OLD
CUresult CUDAAPI cuTensorMapEncodeTiled(CUtensorMap *out, CUtensorMapDataType type, cuuint32_t rank, void *base, const cuuint64_t *dims,
	const cuuint64_t *strides, const cuuint32_t *box, const cuuint32_t *elements, CUtensorMapInterleave interleave,
	CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promote, CUtensorMapFloatOOBfill fill) {
	BEGIN("cuTensorMapEncodeTiled");
	if ((uintptr_t)out % 128 || interleave || fill || !base || (uintptr_t)base % 16) return 1;
	for (unsigned i = 0; i < rank; i++)
		if (!dims[i] || box[i] < 1 || box[i] > 256 || (i && (strides[i - 1] % 16 || strides[i - 1] >> 40))) return 1;
	uint64_t *w = (uint64_t *)out;
	memset(out, 0, 128);
	*w++ = (uintptr_t)base;
	*w++ = (uint64_t)type << 32 | (uint64_t)swizzle << 16 | (uint64_t)promote << 8 | rank;
	for (unsigned i = 0; i < rank; i++) {
		if (elements[i] != 1) return 1;
		*w++ = dims[i];
		*w++ = (uint64_t)box[i] << 48 | (i ? strides[i - 1] : 0);
	}
	return 0;
}
#endif
