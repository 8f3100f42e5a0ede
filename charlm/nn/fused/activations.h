/* Macros, types, activations and small loops that the files in C share. */
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

#define PARALLEL_ROWS _Pragma("omp parallel for schedule(static) num_threads(threads)")
#define SIMD _Pragma("omp simd")
#define BLOCK 64 /* columns of a thread, few enough for their sums to stay in registers and cache */

typedef const float *restrict in;
typedef float *restrict out;

/* exp to 1 or 2 ulp (Cody & Waite, 1980): 2**n times a polynomial in [-ln 2 / 2, ln 2 / 2]; without branches, so that
   the compiler can vectorise it. */
static inline float exp_(float x) {
    x = x > 88.0f ? 88.0f : x;
    x = x < -87.0f ? -87.0f : x;
    float n = x * 1.44269504f + 12582912.0f; /* rounds to an integer in the low bits */
    uint32_t bits;
    memcpy(&bits, &n, 4);
    n -= 12582912.0f;
    float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    uint32_t scale = (bits + 127u) << 23; /* shifts the bits of the offset out */
    float factor;
    memcpy(&factor, &scale, 4);
    return p * factor;
}

static inline float sigmoid_(float x) { return 1.0f / (1.0f + exp_(-x)); }

/* Near zero by its series, since the other form loses the digits of a small x. */
static inline float tanh_(float x) {
    float square = x * x;
    return square < 4e-4f ? x - x * square * (1.0f / 3.0f) : 1.0f - 2.0f / (exp_(2.0f * x) + 1.0f);
}

static inline void copy_or_fill(long size, in x, float value, out a) {
    if (x) memcpy(a, x, size * sizeof(float));
    else SIMD for (long k = 0; k < size; k++) a[k] = value;
}
