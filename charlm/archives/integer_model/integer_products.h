/* Products of matrices of 8 bits: sums[lane][row] = sum_k weight[row][k] activation[lane][k].

   Rows come in tiles of 64 and columns by 4. Sums of whole numbers do not depend on the order, so all paths agree. */
#pragma once
#include "integer_network.h"
#include <string.h>
#if defined(__AVX2__) || defined(__AVX512VNNI__)
#include <immintrin.h>
#endif

static void multiply_plain(const int8_t *weights, const int8_t *x, int32_t *sums, long lanes, long rows, long columns) {
    for (long row = 0; row < rows; row++)
        for (long lane = 0; lane < lanes; lane++) {
            int32_t sum = 0;
            for (long k = 0; k < columns; k++) sum += (int32_t)weights[row * columns + k] * x[lane * columns + k];
            sums[lane * rows + row] = sum;
        }
}

#ifdef __AVX512VNNI__
/* Weights are stored plus 128, as unsigned bytes, since vpdpbusd multiplies unsigned by signed ones. What that adds,
   128 times the sum of the activations, is the same for all rows of a lane, and is where the sums start. */
static inline __attribute__((always_inline)) void tile_vnni(
    const uint8_t *weights, const int8_t *x, const int32_t *starts, int32_t *sums, long lanes, long rows, long columns) {
    __m512i sum[6][4];
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
    long num_tiles = (lanes + 5) / 6;
    for (long row = 0; row < rows; row += ROW_TILE, weights += ROW_TILE * columns)
        for (long tile = 0; tile < num_tiles; tile++) {
            long lane = tile * lanes / num_tiles, end = (tile + 1) * lanes / num_tiles;
            const int8_t *of_tile = x + lane * columns;
            int32_t *to = sums + lane * rows + row;
            switch (end - lane) { /* with a number that is known, the sums of a tile stay in registers */
            case 6: tile_vnni(weights, of_tile, starts + lane, to, 6, rows, columns); break;
            case 5: tile_vnni(weights, of_tile, starts + lane, to, 5, rows, columns); break;
            case 4: tile_vnni(weights, of_tile, starts + lane, to, 4, rows, columns); break;
            case 3: tile_vnni(weights, of_tile, starts + lane, to, 3, rows, columns); break;
            case 2: tile_vnni(weights, of_tile, starts + lane, to, 2, rows, columns); break;
            default: tile_vnni(weights, of_tile, starts + lane, to, 1, rows, columns);
            }
        }
}
#endif

#ifdef __AVX2__
/* Weights and activations as pairs of 16 bits: vpmaddwd adds two products of them exactly. */
static inline __attribute__((always_inline)) void tile_avx2(
    const int16_t *weights, const int16_t *x, int32_t *sums, long lanes, long rows, long columns) {
    __m256i sum[4][2];
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
    const int16_t *weights, const int8_t *x, int16_t *pairs, int32_t *sums, long lanes, long rows, long columns) {
    for (long k = 0; k < lanes * columns; k++) pairs[k] = x[k];
    for (long row = 0; row < rows; row += 16, weights += 16 * columns) {
        long lane = 0;
        for (; lane + 4 <= lanes; lane += 4)
            tile_avx2(weights, pairs + lane * columns, sums + lane * rows + row, 4, rows, columns);
        for (; lane < lanes; lane++)
            tile_avx2(weights, pairs + lane * columns, sums + lane * rows + row, 1, rows, columns);
    }
}
#endif

static void multiply(
    const Network *net, const void *weights, const int8_t *x, Scratch *s, int32_t *sums, long lanes, long rows,
    long columns) {
#ifdef __AVX512VNNI__
    if (net->path == VNNI) { multiply_vnni(weights, x, sums, lanes, rows, columns); return; }
#endif
#ifdef __AVX2__
    if (net->path == AVX2) { multiply_avx2(weights, x, s->pairs, sums, lanes, rows, columns); return; }
#endif
    (void)net, (void)s;
    multiply_plain(weights, x, sums, lanes, rows, columns);
}
