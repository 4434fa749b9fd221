// A driver library without a GPU: memory is the host's, kernels are C++, streams do everything at once, graphs replay.
// For tests of the code on the host side.
#include <functional>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <vector>

#define __global__
#define __device__
#define __shared__ static
struct Place { unsigned x, y, z; };
static Place threadIdx, blockIdx, blockDim = {1, 1, 1};
static void __syncthreads() {}
static int atomicAdd(int *at, int by) { const int before = *at; *at += by; return before; }
#include "crops.cu"
#include "gather.cu"

typedef unsigned long long Address;
typedef std::vector<std::function<void()>> Work;
static Work *recording;
static int contexts;   // pushed on this thread
static long long live, locked; // allocations not freed yet, on the GPU and page-locked

static int done(std::function<void()> work) {
    if (contexts == 0) return 201; // CUDA_ERROR_INVALID_CONTEXT
    if (recording) recording->push_back(work); else work();
    return 0;
}
static int attribute(int kind) {
    switch (kind) {
        case 75: return getenv("OLD_GPU") ? 6 : 8; // compute capability
        case 76: return 6;
        case 16: return 84;  // multiprocessors
        case 13: return 1695000;
        case 36: return 9501000;
        case 37: return 384;
        case 38: return 6 << 20;
    }
    return 0;
}
extern "C" {
int cuInit(unsigned) { return 0; }
int cuDriverGetVersion(int *v) { *v = 13000; return 0; }
int cuDeviceGetCount(int *n) { *n = getenv("NO_GPUS") ? 0 : 1; return 0; }
int cuDeviceGet(int *d, int) { *d = 0; return 0; }
int cuDeviceGetName(char *name, int n, int) { strncpy(name, "Host GPU", n); return 0; }
int cuDeviceTotalMem_v2(size_t *n, int) { *n = 1ull << 30; return 0; }
int cuDeviceGetAttribute(int *v, int kind, int) { *v = attribute(kind); return 0; }
int cuDevicePrimaryCtxRetain(void **c, int) { *c = (void *)1; return 0; }
int cuDevicePrimaryCtxRelease_v2(int) { return 0; }
int cuCtxPushCurrent_v2(void *) { ++contexts; return 0; }
int cuCtxPopCurrent_v2(void **c) { --contexts; if (c) *c = (void *)1; return 0; }
int cuCtxGetDevice(int *d) { *d = 0; return contexts ? 0 : 201; }
int cuMemAlloc_v2(Address *a, size_t n) {
    if (!contexts) return 201;
    if (n > 1ull << 30) return 2;
    ++live; *a = (Address)malloc(n); memset((void *)*a, 0xee, n); return 0;
}
int cuMemFree_v2(Address a) { --live; free((void *)a); return 0; }
int cuMemHostAlloc(void **p, size_t n, unsigned) { ++locked; *p = calloc(1, n); return 0; }
int cuMemFreeHost(void *p) { --locked; free(p); return 0; }
int cuStreamCreate(void **s, unsigned) { *s = malloc(8); return 0; }
int cuStreamDestroy_v2(void *s) { free(s); return 0; }
int cuStreamSynchronize(void *) { return 0; }
int cuMemcpyHtoDAsync_v2(Address to, const void *from, size_t n, void *) { return done([=] { memcpy((void *)to, from, n); }); }
int cuMemcpyDtoHAsync_v2(void *to, Address from, size_t n, void *) { return done([=] { memcpy(to, (void *)from, n); }); }
int cuModuleLoadData(void **m, const void *code) { *m = (void *)1; return memcmp(code, "\x7f" "ELF", 4) ? 209 : 0; }
int cuModuleLoadDataEx(void **m, const void *code, unsigned, void *, void *) { return cuModuleLoadData(m, code); }
int cuFuncSetBlockShape(void *, int, int, int) { return 0; } // pycuda calls it before it starts a kernel
int cuModuleUnload(void *) { return 0; }
int cuModuleGetFunction(void **f, void *, const char *name) {
    *f = (void *)(size_t)(strcmp(name, "levels") == 0 ? 1 : strcmp(name, "crops") == 0 ? 2 : strcmp(name, "gather") == 0 ? 3 : 0);
    return *f ? 0 : 500;
}
int cuLaunchKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned, void *,
                   void **arguments, void **extra) {
    Address a[4] = {0, 0, 0, 0};
    const int count = f == (void *)1 ? 3 : 4;
    if (arguments)
        for (int i = 0; i < count; ++i) a[i] = *(Address *)arguments[i];
    else
        memcpy(a, extra[1], 8 * count); // one buffer with all arguments, as pycuda hands them over
    return done([=] {
        const unsigned char *picture = (const unsigned char *)a[0];
        if (f == (void *)1) {
            blockDim = {1, 1, 1}; threadIdx = {0, 0, 0};
            for (unsigned r = 0; r < gx; ++r) { blockIdx = {r, 0, 0}; levels(picture, (const Job *)a[1], (Region *)a[2]); }
            return;
        }
        blockDim = {bx, by, bz};
        for (unsigned z = 0; z < gz; ++z) for (unsigned y = 0; y < gy; ++y) for (unsigned x = 0; x < gx; ++x)
            for (unsigned v = 0; v < by; ++v) for (unsigned u = 0; u < bx; ++u) {
                blockIdx = {x, y, z}; threadIdx = {u, v, 0};
                if (f == (void *)2) crops(picture, (const Job *)a[1], (const Region *)a[2], (void *)a[3]);
                else gather((const float *)a[0], (const Picking *)a[1], (const int *)a[2], (float *)a[3]);
            }
    });
}
int cuStreamBeginCapture_v2(void *, int) { if (recording) return 901; recording = new Work; return 0; }
int cuStreamEndCapture(void *, void **g) { *g = recording; recording = nullptr; return 0; }
int cuGraphInstantiateWithFlags(void **e, void *g, unsigned long long) { *e = new Work(*(Work *)g); return 0; }
int cuGraphLaunch(void *e, void *) { for (auto &work : *(Work *)e) work(); return 0; }
int cuGraphDestroy(void *g) { delete (Work *)g; return 0; }
int cuGraphExecDestroy(void *e) { delete (Work *)e; return 0; }
int cuEventCreate(void **e, unsigned) { *e = malloc(8); return 0; }
int cuEventRecord(void *, void *) { return 0; }
int cuEventSynchronize(void *) { return 0; }
int cuEventElapsedTime(float *ms, void *, void *) { *ms = 0.25f; return 0; }
int cuEventElapsedTime_v2(float *ms, void *, void *) { *ms = 0.25f; return 0; }
int cuGetErrorString(int, const char **s) { *s = "an error of the driver without a GPU"; return 0; }
long long live_allocations() { return live; }
long long locked_allocations() { return locked; }
}
#include <dlfcn.h>
extern "C" int cuGetProcAddress_v2(const char *name, void **f, int, unsigned long long, void *) {
    static void *self = dlopen("libcuda.so.1", RTLD_NOLOAD | RTLD_NOW);
    char versioned[128];
    for (const char *suffix : {"_v2", ""}) {
        strcpy(versioned, name); strcat(versioned, suffix);
        if ((*f = dlsym(self, versioned))) return 0;
    }
    if (!strcmp(name, "cuGraphInstantiate") && (*f = dlsym(self, "cuGraphInstantiateWithFlags"))) return 0;
    return 500;
}
extern "C" int cuGetProcAddress(const char *name, void **f, int v, unsigned long long n) { return cuGetProcAddress_v2(name, f, v, n, 0); }
