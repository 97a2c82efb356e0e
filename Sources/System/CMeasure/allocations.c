#define _GNU_SOURCE
#include "measure.h"

#include <errno.h>
#include <stddef.h>
#include <time.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define MEASURE_UNCOUNTED 1
#endif
#endif
#if !defined(__GLIBC__)
#define MEASURE_UNCOUNTED 1
#endif

#ifdef MEASURE_UNCOUNTED

int64_t measure_allocations(void) { return -1; }
int64_t measure_allocated_bytes(void) { return -1; }

#else

// The program's own definitions come before the C library's wherever a shared library asks for them, so the Swift
// runtime, OpenSSL and the rest are counted too. glibc keeps its allocator reachable under these names.
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static __thread int64_t allocations __attribute__((tls_model("initial-exec")));
static __thread int64_t bytes __attribute__((tls_model("initial-exec")));

int64_t measure_allocations(void) { return allocations; }
int64_t measure_allocated_bytes(void) { return bytes; }

static void count(size_t size) {
    allocations += 1;
    bytes += (int64_t)size;
}

__attribute__((used)) void *malloc(size_t size) {
    count(size);
    return __libc_malloc(size);
}

__attribute__((used)) void *calloc(size_t number, size_t size) {
    count(number * size);
    return __libc_calloc(number, size);
}

__attribute__((used)) void *realloc(void *old, size_t size) {
    count(size);
    return __libc_realloc(old, size);
}

__attribute__((used)) void *memalign(size_t alignment, size_t size) {
    count(size);
    return __libc_memalign(alignment, size);
}

__attribute__((used)) void *aligned_alloc(size_t alignment, size_t size) {
    count(size);
    return __libc_memalign(alignment, size);
}

__attribute__((used)) int posix_memalign(void **to, size_t alignment, size_t size) {
    if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) return EINVAL;
    count(size);
    void *memory = __libc_memalign(alignment, size);
    if (!memory) return ENOMEM;
    *to = memory;
    return 0;
}

#endif

static int64_t nanoseconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t measure_monotonic_nanoseconds(void) { return nanoseconds(CLOCK_MONOTONIC); }
int64_t measure_thread_nanoseconds(void) { return nanoseconds(CLOCK_THREAD_CPUTIME_ID); }
