/* Products of matrices for fp32. Each sum runs through its terms in one order, whatever the number of threads. */
#pragma once
#include "activations.h"
#include <stdlib.h>

typedef float lanes __attribute__((vector_size(64), aligned(4), may_alias));

enum {
    LANES = 16,
#ifdef __AVX512F__
    TILE = 8, /* rows and vectors of a product that are computed at a time: as many sums as the registers hold */
    WIDTH = 2,
#else
    TILE = 4,
    WIDTH = 1,
#endif
    PANEL = WIDTH * LANES, /* columns of a product that are computed at a time */
    STRIP = 64,            /* rows of a product that follow one another while a panel is in the cache */
    DEPTH = 256,           /* terms of the sums in a gradient of weights that are packed at a time */
};

static inline long round_up(long size, long multiple) { return (size + multiple - 1) / multiple * multiple; }

static inline long smaller(long a, long b) { return a < b ? a : b; }

static inline float *allocate(long size) { return aligned_alloc(64, round_up(size * (long)sizeof(float), 64)); }

/* Rows of stride size + 16 do not all fall into the same sets of the cache. */
static inline long padded(long size) { return round_up(size, PANEL) + LANES; }

/* c = a times a panel, or c + that. Columns of a have the stride stride_k, rows the stride ld_a. */
static inline __attribute__((always_inline)) void multiply_tile(int rows, int adds, long K, in a, long ld_a,
                                                                long stride_k, in panel, out c, long ld_c) {
    lanes sum[TILE][WIDTH];
    _Pragma("GCC unroll 8") for (int r = 0; r < rows; r++)
        _Pragma("GCC unroll 2") for (int j = 0; j < WIDTH; j++)
            sum[r][j] = adds ? *(lanes *)(c + r * ld_c + j * LANES) : (lanes){0};
    for (long k = 0; k < K; k++) {
        lanes w[WIDTH];
        _Pragma("GCC unroll 2") for (int j = 0; j < WIDTH; j++) w[j] = *(const lanes *)(panel + k * PANEL + j * LANES);
        _Pragma("GCC unroll 8") for (int r = 0; r < rows; r++)
            _Pragma("GCC unroll 2") for (int j = 0; j < WIDTH; j++) sum[r][j] += a[r * ld_a + k * stride_k] * w[j];
    }
    _Pragma("GCC unroll 8") for (int r = 0; r < rows; r++)
        _Pragma("GCC unroll 2") for (int j = 0; j < WIDTH; j++) *(lanes *)(c + r * ld_c + j * LANES) = sum[r][j];
}

/* Rows that are read or written after a product, and fetched into the cache meanwhile. Null: none. */
typedef struct {
    const float *start;
    long size, stride;
} stream;

static inline void prefetch(const stream *s, long first_row, long from, long to) {
    for (long r = first_row; r < first_row + TILE; r++)
        for (long k = from; k < to; k += LANES) __builtin_prefetch(s->start + r * s->stride + k, 0, 2);
}

/* c = a times the packed matrix */
static inline void multiply(long rows, long K, long columns, in a, long ld_a, in packed, out c, long ld_c, const stream *next,
                     long num_next) {
    float edge[TILE * PANEL];
    for (long n = 0; n < columns; n += PANEL)
        for (long m = 0; m < rows; m += TILE) {
            long height = smaller(rows - m, TILE), width = smaller(columns - n, PANEL);
            int is_whole = height == TILE && width == PANEL;
            float *to = is_whole ? c + m * ld_c + n : edge;
            for (const stream *s = next; s < next + num_next; s++)
                if (s->start) prefetch(s, m, n * s->size / columns, (n + PANEL) * s->size / columns);
            if (height == TILE)
                multiply_tile(TILE, 0, K, a + m * ld_a, ld_a, 1, packed + n * K, to, is_whole ? ld_c : PANEL);
            else for (long r = 0; r < height; r++)
                multiply_tile(1, 0, K, a + (m + r) * ld_a, ld_a, 1, packed + n * K, to + r * PANEL, PANEL);
            if (!is_whole) for (long r = 0; r < height; r++)
                memcpy(c + (m + r) * ld_c + n, edge + r * PANEL, width * sizeof(float));
        }
}

/* K rows of a matrix as panels, with zeros behind the last column */
static inline void pack(long threads, long K, long columns, in w, long stride_k, long stride_column, out packed) {
    PARALLEL_ROWS for (long n = 0; n < columns; n += PANEL) {
        out panel = packed + n * K;
        long width = smaller(columns - n, PANEL);
        for (long k = 0; k < K; k++) {
            in from = w + k * stride_k + n * stride_column;
            if (width == PANEL && stride_column == 1) memcpy(panel + k * PANEL, from, PANEL * sizeof(float));
            else for (long j = 0; j < PANEL; j++) panel[k * PANEL + j] = j < width ? from[j * stride_column] : 0.0f;
        }
    }
}

/* c_NM = a_NK times b, K by M with these strides. Returns 0 if there is no memory. */
static inline int multiply_all(long threads, long N, long K, long M, in a, in b, long stride_k, long stride_m, out c) {
    float *packed = allocate(round_up(M, PANEL) * K);
    if (!packed) return 0;
    pack(threads, K, M, b, stride_k, stride_m, packed);
    PARALLEL_ROWS for (long first = 0; first < N; first += STRIP)
        multiply(smaller(N - first, STRIP), K, M, a + first * K, K, packed, c + first * M, M, NULL, 0);
    free(packed);
    return 1;
}

/* Tiles of `height` columns of a_NG, transposed: TILE of them side by side for each of the `depth` rows */
static inline void pack_transposed(long depth, long height, in a, long G, out tiles) {
    for (long k = 0; k < depth; k++) {
        in row = a + k * G;
        long r = 0;
        for (; r + TILE <= height; r += TILE) memcpy(tiles + r * depth + k * TILE, row + r, TILE * sizeof(float));
        for (long j = 0; r + j < height; j++) tiles[r * depth + k * TILE + j] = row[r + j];
    }
}

/* c_GM = the transpose of a_NG, times b_NM: a gradient of weights. Returns 0 if there is no memory. */
static inline int multiply_transposed(long threads, long N, long G, long M, in a, in b, out c) {
    long share = round_up((G + threads - 1) / threads, TILE), columns = round_up(M, PANEL), failed = 0;
    PARALLEL_ROWS for (long first = 0; first < G; first += share) {
        long rows = smaller(G - first, share), size = round_up(rows, TILE) * columns;
        float *sums = allocate(size + DEPTH * (columns + STRIP)), *panels = sums + size;
        float *tiles = panels + DEPTH * columns;
        if (!sums) {
            failed = 1;
            continue;
        }
        memset(sums, 0, (size + DEPTH * (columns + STRIP)) * sizeof(float));
        for (long n = 0; n < N; n += DEPTH) {
            long depth = smaller(N - n, DEPTH);
            pack(1, depth, M, b + n * M, M, 1, panels);
            for (long start = 0; start < rows; start += STRIP) {
                long height = smaller(rows - start, STRIP);
                pack_transposed(depth, height, a + n * G + first + start, G, tiles);
                for (long j = 0; j < columns; j += PANEL)
                    for (long r = 0; r < height; r += TILE)
                        multiply_tile(TILE, 1, depth, tiles + r * depth, 1, TILE, panels + j * depth,
                                      sums + (start + r) * columns + j, columns);
            }
        }
        for (long r = 0; r < rows; r++) memcpy(c + (first + r) * M, sums + r * columns, M * sizeof(float));
        free(sums);
    }
    return !failed;
}
