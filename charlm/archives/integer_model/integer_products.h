/* Products of matrices of 8 bits: sums[lane][row] = sum_k weight[row][k] activation[lane][k].

   Rows are padded to 64 and columns to 4. Sums of whole numbers do not depend on the order, so all paths agree. */
#pragma once
#include "integer_network.h"
#include <string.h>
#if defined(__AVX2__) || defined(__AVX512VNNI__)
#include <immintrin.h>
#endif

/* A tile is computed for up to 6 lanes at once. Its function is inlined for each number of lanes, so that all sums are
   in registers: 24 of 32 with vnni, 12 of 16 with avx2. */
enum { TILE_LANES = 6 };
#define TILE static inline __attribute__((always_inline)) void
#define CALL_FOR_LANES(num_lanes, tile, ...) \
    switch (num_lanes) { \
    case 6: tile(6, __VA_ARGS__); break; \
    case 5: tile(5, __VA_ARGS__); break; \
    case 4: tile(4, __VA_ARGS__); break; \
    case 3: tile(3, __VA_ARGS__); break; \
    case 2: tile(2, __VA_ARGS__); break; \
    default: tile(1, __VA_ARGS__); \
    }

/* The first lane of a tile, for tiles of about the same size. */
static long first_lane(long tile, long num_tiles, long lanes) { return tile * lanes / num_tiles; }

/* Compilers know products of 16 bits that are added in pairs. */
TILE tile_plain(long lanes, const int16_t *weights, const int16_t *x, int32_t *sums, long rows, long columns) {
    int32_t sum[TILE_LANES] = {0};
    for (long k = 0; k < columns; k++)
        for (long lane = 0; lane < lanes; lane++) sum[lane] += (int32_t)weights[k] * x[lane * columns + k];
    for (long lane = 0; lane < lanes; lane++) sums[lane * rows] = sum[lane];
}

static void multiply_plain(
    const int8_t *weights, const int16_t *x, int16_t *weights_16, int32_t *sums, long lanes, long rows, long columns) {
    long num_tiles = (lanes + TILE_LANES - 1) / TILE_LANES;
    for (long row = 0; row < rows; row++, weights += columns) {
        for (long k = 0; k < columns; k++) weights_16[k] = weights[k];
        for (long t = 0; t < num_tiles; t++) {
            long lane = first_lane(t, num_tiles, lanes), count = first_lane(t + 1, num_tiles, lanes) - lane;
            const int16_t *of_tile = x + lane * columns;
            CALL_FOR_LANES(count, tile_plain, weights_16, of_tile, sums + lane * rows + row, rows, columns)
        }
    }
}

#ifdef __AVX2__
/* Weights and activations as pairs of 16 bits: vpmaddwd adds two products of them exactly. */
TILE tile_avx2(long lanes, const int16_t *weights, const int16_t *x, int32_t *sums, long rows, long columns) {
    __m256i sum[TILE_LANES][2];
    for (long lane = 0; lane < lanes; lane++) sum[lane][0] = sum[lane][1] = _mm256_setzero_si256();
    for (long k = 0; k < columns; k += 2, weights += 32) {
        __m256i w0 = _mm256_loadu_si256((const __m256i *)weights);
        __m256i w1 = _mm256_loadu_si256((const __m256i *)(weights + 16));
        for (long lane = 0; lane < lanes; lane++) {
            int32_t two;
            memcpy(&two, x + lane * columns + k, 4);
            __m256i a = _mm256_set1_epi32(two);
            sum[lane][0] = _mm256_add_epi32(sum[lane][0], _mm256_madd_epi16(w0, a));
            sum[lane][1] = _mm256_add_epi32(sum[lane][1], _mm256_madd_epi16(w1, a));
        }
    }
    for (long lane = 0; lane < lanes; lane++)
        for (int part = 0; part < 2; part++)
            _mm256_storeu_si256((__m256i *)(sums + lane * rows + 8 * part), sum[lane][part]);
}

static void multiply_avx2(
    const int16_t *weights, const int16_t *x, int32_t *sums, long lanes, long rows, long columns) {
    long num_tiles = (lanes + TILE_LANES - 1) / TILE_LANES;
    for (long row = 0; row < rows; row += 16, weights += 16 * columns)
        for (long t = 0; t < num_tiles; t++) {
            long lane = first_lane(t, num_tiles, lanes), count = first_lane(t + 1, num_tiles, lanes) - lane;
            CALL_FOR_LANES(count, tile_avx2, weights, x + lane * columns, sums + lane * rows + row, rows, columns)
        }
}
#endif

#ifdef __AVX512VNNI__
/* Weights are stored plus 128, as unsigned bytes, since vpdpbusd multiplies unsigned by signed ones. What that adds,
   128 times the sum of the activations, is the same for all rows of a lane, and is where the sums start. */
TILE tile_vnni(
    long lanes, const uint8_t *weights, const int8_t *x, const int32_t *starts, int32_t *sums, long rows,
    long columns) {
    __m512i sum[TILE_LANES][4];
    for (long lane = 0; lane < lanes; lane++)
        for (int part = 0; part < 4; part++) sum[lane][part] = _mm512_set1_epi32(starts[lane]);
    for (long k = 0; k < columns; k += 4, weights += 4 * ROW_TILE) {
        __m512i w0 = _mm512_loadu_si512(weights), w1 = _mm512_loadu_si512(weights + 64);
        __m512i w2 = _mm512_loadu_si512(weights + 128), w3 = _mm512_loadu_si512(weights + 192);
        for (long lane = 0; lane < lanes; lane++) {
            int32_t four;
            memcpy(&four, x + lane * columns + k, 4);
            __m512i a = _mm512_set1_epi32(four);
            sum[lane][0] = _mm512_dpbusd_epi32(sum[lane][0], w0, a);
            sum[lane][1] = _mm512_dpbusd_epi32(sum[lane][1], w1, a);
            sum[lane][2] = _mm512_dpbusd_epi32(sum[lane][2], w2, a);
            sum[lane][3] = _mm512_dpbusd_epi32(sum[lane][3], w3, a);
        }
    }
    for (long lane = 0; lane < lanes; lane++)
        for (int part = 0; part < 4; part++) _mm512_storeu_si512(sums + lane * rows + 16 * part, sum[lane][part]);
}

static void multiply_vnni(const uint8_t *weights, const int8_t *x, int32_t *sums, long lanes, long rows, long columns) {
    int32_t starts[MAX_GROUP];
    for (long lane = 0; lane < lanes; lane++) {
        int32_t sum = 0;
        for (long k = 0; k < columns; k++) sum += x[lane * columns + k];
        starts[lane] = -128 * sum;
    }
    long num_tiles = (lanes + TILE_LANES - 1) / TILE_LANES;
    for (long row = 0; row < rows; row += ROW_TILE, weights += ROW_TILE * columns)
        for (long t = 0; t < num_tiles; t++) {
            long lane = first_lane(t, num_tiles, lanes), count = first_lane(t + 1, num_tiles, lanes) - lane;
            int32_t *to = sums + lane * rows + row;
            CALL_FOR_LANES(count, tile_vnni, weights, x + lane * columns, starts + lane, to, rows, columns)
        }
}
#endif

static void multiply(
    const Network *net, const void *weights, const int8_t *x, Scratch *s, int32_t *sums, long lanes, long rows,
    long columns) {
#ifdef __AVX512VNNI__
    if (net->path == VNNI) { multiply_vnni(weights, x, sums, lanes, rows, columns); return; }
#endif
    for (long k = 0; k < lanes * columns; k++) s->x_16[k] = x[k];
#ifdef __AVX2__
    if (net->path == AVX2) { multiply_avx2(weights, s->x_16, sums, lanes, rows, columns); return; }
#endif
    (void)net;
    multiply_plain(weights, s->x_16, s->weights_16, sums, lanes, rows, columns);
}
