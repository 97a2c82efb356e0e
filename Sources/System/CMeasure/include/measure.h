#ifndef POSTERN_MEASURE_H
#define POSTERN_MEASURE_H

#include <stdint.h>

// Allocations of the calling thread since it began: malloc, calloc, realloc and the aligned forms. -1 where they are
// not counted: under a sanitizer, which has an allocator of its own.
int64_t measure_allocations(void);
int64_t measure_allocated_bytes(void);

// Of the whole process: what the allocator has given out, and what is resident. -1 where it cannot be told.
int64_t measure_bytes_in_use(void);
int64_t measure_resident_bytes(void);

int64_t measure_monotonic_nanoseconds(void);
int64_t measure_thread_nanoseconds(void);

struct measure_cost {
    double protect;
    double unprotect;
};

enum measure_profile { MEASURE_GCM_128, MEASURE_GCM_256, MEASURE_CM_SHA1 };

// Nanoseconds a packet of a bare loop that turns RTP packets of `length` bytes (12 of header) into SRTP and back, in
// place. Both below 0 when the library refused.
struct measure_cost measure_libsrtp(enum measure_profile profile, int packets, int length);
// The same with OpenSSL's EVP and nothing around it: no header parsed, no replay window, one stream.
struct measure_cost measure_evp(enum measure_profile profile, int packets, int length);

#endif
