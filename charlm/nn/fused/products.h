/* Products of matrices in fp32, or in bf16 with sums in fp32: products.c. Each sum runs through its terms in one order,
   whatever the number of threads. */
#pragma once
#include "activations.h"
#include <stdlib.h>

/* TILE rows and WIDTH vectors of a product are computed at a time: as many sums as the registers hold. A vector is as
   long as one of the processor, since gcc keeps longer ones in memory. */
enum {
#ifdef __AVX512F__
    LANES = 16,
    TILE = 8,
    WIDTH = 2,
#elif defined(__AVX__)
    LANES = 8,
    TILE = 4,
    WIDTH = 3,
#else
    LANES = 4,
    TILE = 4,
    WIDTH = 2,
#endif
    PANEL = WIDTH * LANES, /* columns of a product that are computed at a time */
    STRIP = 64,            /* rows of a product that follow one another while a panel is in the cache */
    DEPTH = 512,           /* terms of the sums in a gradient of weights that are packed at a time */
};

typedef float vector __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint32_t bits_vector __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static inline long round_up(long size, long multiple) { return (size + multiple - 1) / multiple * multiple; }

static inline long smaller(long a, long b) { return a < b ? a : b; }

static inline float *allocate(long size) { return aligned_alloc(64, round_up(size * (long)sizeof(float), 64)); }

/* Rows of stride size + 16 do not all fall into the same sets of the cache. */
static inline long padded(long size) { return round_up(size, PANEL) + 16; }

/* ---- operands: units of 32 bits, each a number or, in bf16, two terms of a sum that follow one another */

static inline long units(int bf16, long terms) { return bf16 ? (terms + 1) / 2 : terms; }

static inline uint32_t round_to_bf16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return x != x ? 0x7fc0u : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

static inline float pair(float first, float second) {
    uint32_t bits = round_to_bf16(first) | round_to_bf16(second) << 16;
    float unit;
    memcpy(&unit, &bits, 4);
    return unit;
}

/* The numbers of a row as units */
static inline void pack_row(int bf16, long size, in x, out packed) {
    if (!bf16) memcpy(packed, x, size * sizeof(float));
    else {
        SIMD for (long k = 0; k < size / 2; k++) packed[k] = pair(x[2 * k], x[2 * k + 1]);
        if (size % 2) packed[size / 2] = pair(x[size - 1], 0.0f);
    }
}

/* ---- products */

#define HIDDEN __attribute__((visibility("hidden"))) /* no other library has its functions called instead */

/* Rows that are read or written after a product, and fetched into the cache meanwhile. Null: none. */
typedef struct {
    const float *start;
    long size, stride;
} stream;

/* c = a times the packed matrix, which has K units in a column. The rows of a and c have the strides ld_a and ld_c. */
HIDDEN void multiply(int bf16, long rows, long K, long columns, in a, long ld_a, in packed, out c, long ld_c,
                     const stream *next, long num_next);

/* K rows of a matrix as panels of units, with zeros behind the last column and the last row */
HIDDEN void pack(int bf16, long threads, long K, long columns, in w, long stride_k, long stride_column, out packed);

/* c_NM = a_NK times b, K by M with these strides. Returns 0 if there is no memory. */
HIDDEN int multiply_all(int bf16, long threads, long N, long K, long M, in a, in b, long stride_k, long stride_m,
                        out c);

/* c_GM = the transpose of a_NG times b_NM, a gradient of weights; their rows have the strides ld_a, ld_b and ld_c.
   Returns 0 if there is no memory. */
HIDDEN int multiply_transposed(int bf16, long threads, long N, long G, long M, in a, long ld_a, in b, long ld_b, out c,
                               long ld_c);
