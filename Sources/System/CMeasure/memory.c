#define _GNU_SOURCE
#include "measure.h"

#include <stdio.h>
#include <unistd.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

int64_t measure_bytes_in_use(void) {
#if defined(__GLIBC__)
    struct mallinfo2 info = mallinfo2();
    return (int64_t)(info.uordblks + info.hblkhd);
#else
    return -1;
#endif
}

int64_t measure_resident_bytes(void) {
    long long size, resident;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file) return -1;
    int found = fscanf(file, "%lld %lld", &size, &resident);
    fclose(file);
    return found == 2 ? (int64_t)resident * sysconf(_SC_PAGESIZE) : -1;
}
