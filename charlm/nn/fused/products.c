/* The functions of products.h. */
#include "products.h"
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

/* sum + a * w, for one unit a and a vector of units w */
static inline __attribute__((always_inline)) vector add_product(int bf16, vector sum, float a, vector w) {
    if (!bf16) return sum + a * w;
#ifdef __AVX512BF16__
    return (vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_ps(a), (__m512bh)w);
#else
    uint32_t bits;
    memcpy(&bits, &a, 4);
    bits_vector w_bits = (bits_vector)w, a_bits = (bits_vector){0} + bits;
    sum += (vector)(a_bits << 16) * (vector)(w_bits << 16);
    return sum + (vector)(a_bits & 0xffff0000u) * (vector)(w_bits & 0xffff0000u);
#endif
}

/* c = a times the first vectors of a panel, or c + that. K units; those of a have the stride stride_k, its rows the
   stride ld_a. */
static inline __attribute__((always_inline)) void multiply_tile(int bf16, int rows, int vectors, int adds, long K, in a,
                                                                long ld_a, long stride_k, in panel, out c, long ld_c) {
    vector sum[TILE][WIDTH];
    _Pragma("GCC unroll 8") for (int r = 0; r < rows; r++)
        _Pragma("GCC unroll 3") for (int j = 0; j < vectors; j++)
            sum[r][j] = adds ? *(vector *)(c + r * ld_c + j * LANES) : (vector){0};
    for (long k = 0; k < K; k++) {
        vector w[WIDTH];
        _Pragma("GCC unroll 3") for (int j = 0; j < vectors; j++)
            w[j] = *(const vector *)(panel + k * PANEL + j * LANES);
        _Pragma("GCC unroll 8") for (int r = 0; r < rows; r++)
            _Pragma("GCC unroll 3") for (int j = 0; j < vectors; j++)
                sum[r][j] = add_product(bf16, sum[r][j], a[r * ld_a + k * stride_k], w[j]);
    }
    _Pragma("GCC unroll 8") for (int r = 0; r < rows; r++)
        _Pragma("GCC unroll 3") for (int j = 0; j < vectors; j++) *(vector *)(c + r * ld_c + j * LANES) = sum[r][j];
}

/* The same with as many vectors as the columns of the panel need */
static inline __attribute__((always_inline)) void multiply_panel(int bf16, long width, int adds, long K, in a,
                                                                 long ld_a, long stride_k, in panel, out c, long ld_c) {
    if (width > (WIDTH - 1) * LANES) multiply_tile(bf16, TILE, WIDTH, adds, K, a, ld_a, stride_k, panel, c, ld_c);
    else if (WIDTH > 2 && width > LANES) multiply_tile(bf16, TILE, 2, adds, K, a, ld_a, stride_k, panel, c, ld_c);
    else multiply_tile(bf16, TILE, 1, adds, K, a, ld_a, stride_k, panel, c, ld_c);
}

static void prefetch(const stream *s, long first_row, long from, long to) {
    for (long r = first_row; r < first_row + TILE; r++)
        for (long k = from; k < to; k += 16) __builtin_prefetch(s->start + r * s->stride + k, 0, 2);
}

/* c = a times the packed matrix, which has K units in a column */
static inline __attribute__((always_inline)) void multiply_units(int bf16, long rows, long K, long columns, in a,
                                                                 long ld_a, in packed, out c, long ld_c,
                                                                 const stream *next, long num_next) {
    float edge[TILE * PANEL];
    for (long n = 0; n < columns; n += PANEL)
        for (long m = 0; m < rows; m += TILE) {
            long height = smaller(rows - m, TILE), width = smaller(columns - n, PANEL);
            int is_whole = height == TILE && width == PANEL;
            float *to = is_whole ? c + m * ld_c + n : edge;
            for (const stream *s = next; s < next + num_next; s++)
                if (s->start) prefetch(s, m, n * s->size / columns, (n + PANEL) * s->size / columns);
            if (height == TILE)
                multiply_panel(bf16, width, 0, K, a + m * ld_a, ld_a, 1, packed + n * K, to, is_whole ? ld_c : PANEL);
            else {
                long r = 0;
                for (; r + 4 <= height; r += 4)
                    multiply_tile(bf16, 4, WIDTH, 0, K, a + (m + r) * ld_a, ld_a, 1, packed + n * K, to + r * PANEL,
                                  PANEL);
                for (; r + 2 <= height; r += 2)
                    multiply_tile(bf16, 2, WIDTH, 0, K, a + (m + r) * ld_a, ld_a, 1, packed + n * K, to + r * PANEL,
                                  PANEL);
                if (r < height)
                    multiply_tile(bf16, 1, WIDTH, 0, K, a + (m + r) * ld_a, ld_a, 1, packed + n * K, to + r * PANEL,
                                  PANEL);
            }
            if (!is_whole) for (long r = 0; r < height; r++)
                memcpy(c + (m + r) * ld_c + n, edge + r * PANEL, width * sizeof(float));
        }
}

void multiply(int bf16, long rows, long K, long columns, in a, long ld_a, in packed, out c, long ld_c,
                            const stream *next, long num_next) {
    if (bf16) multiply_units(1, rows, K, columns, a, ld_a, packed, c, ld_c, next, num_next);
    else multiply_units(0, rows, K, columns, a, ld_a, packed, c, ld_c, next, num_next);
}

void pack(int bf16, long threads, long K, long columns, in w, long stride_k, long stride_column,
                        out packed) {
    long num_units = units(bf16, K);
    PARALLEL_ROWS for (long n = 0; n < columns; n += PANEL) {
        long width = smaller(columns - n, PANEL);
        for (long k = 0; k < num_units; k++) {
            out unit = packed + n * num_units + k * PANEL;
            in from = w + (bf16 ? 2 * k : k) * stride_k + n * stride_column;
            int is_last_of_odd = bf16 && 2 * k + 1 == K;
            for (long j = width; j < PANEL; j++) unit[j] = 0.0f;
            if (!bf16 && stride_column == 1) memcpy(unit, from, width * sizeof(float));
            else if (!bf16) for (long j = 0; j < width; j++) unit[j] = from[j * stride_column];
            else if (is_last_of_odd) for (long j = 0; j < width; j++) unit[j] = pair(from[j * stride_column], 0.0f);
            else for (long j = 0; j < width; j++)
                unit[j] = pair(from[j * stride_column], from[j * stride_column + stride_k]);
        }
    }
}

int multiply_all(int bf16, long threads, long N, long K, long M, in a, in b, long stride_k, long stride_m,
                               out c) {
    long num_units = units(bf16, K), failed = 0;
    float *packed = allocate(round_up(M, PANEL) * num_units);
    if (!packed) return 0;
    pack(bf16, threads, K, M, b, stride_k, stride_m, packed);
    PARALLEL_ROWS for (long first = 0; first < N; first += STRIP) {
        long rows = smaller(N - first, STRIP), ld = padded(num_units);
        float *strip = allocate(rows * ld);
        if (strip) {
            for (long r = 0; r < rows; r++) pack_row(bf16, K, a + (first + r) * K, strip + r * ld);
            multiply(bf16, rows, num_units, M, strip, ld, packed, c + first * M, M, NULL, 0);
        } else failed = 1;
        free(strip);
    }
    free(packed);
    return !failed;
}

/* Tiles of `height` columns of a, transposed: TILE units of them side by side for every row, or two rows in bf16 */
static void pack_transposed(int bf16, long depth, long height, in a, long ld_a, out tiles) {
    long num_units = units(bf16, depth);
    for (long k = 0; k < num_units; k++) {
        in row = a + (bf16 ? 2 * k : k) * ld_a;
        int has_second = bf16 && 2 * k + 1 < depth;
        for (long r = 0; r < height; r += TILE) {
            out tile = tiles + r * num_units + k * TILE;
            if (r + TILE > height) for (long j = r; j < height; j++)
                tile[j - r] = bf16 ? pair(row[j], has_second ? row[j + ld_a] : 0.0f) : row[j];
            else if (!bf16) memcpy(tile, row + r, TILE * sizeof(float));
            else if (has_second) SIMD for (int j = 0; j < TILE; j++) tile[j] = pair(row[r + j], row[r + j + ld_a]);
            else for (int j = 0; j < TILE; j++) tile[j] = pair(row[r + j], 0.0f);
        }
    }
}

int multiply_transposed(int bf16, long threads, long N, long G, long M, in a, long ld_a, in b, long ld_b, out c,
                        long ld_c) {
    long share = round_up((G + threads - 1) / threads, TILE), columns = round_up(M, PANEL), failed = 0;
    PARALLEL_ROWS for (long first = 0; first < G; first += share) {
        long rows = smaller(G - first, share), sums_size = round_up(rows, TILE) * columns;
        long size = sums_size + DEPTH * (columns + STRIP);
        float *sums = allocate(size), *panels = sums + sums_size, *tiles = panels + DEPTH * columns;
        if (!sums) {
            failed = 1;
            continue;
        }
        memset(sums, 0, size * sizeof(float));
        for (long n = 0; n < N; n += DEPTH) {
            long depth = smaller(N - n, DEPTH), num_units = units(bf16, depth);
            pack(bf16, 1, depth, M, b + n * ld_b, ld_b, 1, panels);
            for (long start = 0; start < rows; start += STRIP) {
                long height = smaller(rows - start, STRIP);
                pack_transposed(bf16, depth, height, a + n * ld_a + first + start, ld_a, tiles);
                in next = start + STRIP < rows ? a + n * ld_a + first + start + STRIP
                                               : a + (n + DEPTH) * ld_a + first;
                long num_tiles = round_up(height, TILE) / TILE, num_calls = num_tiles * (columns / PANEL);
                for (long call = 0; call < num_calls; call++) {
                    long j = call / num_tiles * PANEL, r = call % num_tiles * TILE;
                    in tile = tiles + r * num_units, panel = panels + j * num_units;
                    out sum = sums + (start + r) * columns + j;
                    for (long k = call * depth / num_calls; k < (call + 1) * depth / num_calls; k++)
                        for (long i = 0; i < STRIP; i += 16) __builtin_prefetch(next + k * ld_a + i, 0, 2);
                    if (bf16) multiply_panel(1, M - j, 1, num_units, tile, 1, TILE, panel, sum, columns);
                    else multiply_panel(0, M - j, 1, num_units, tile, 1, TILE, panel, sum, columns);
                }
            }
        }
        for (long r = 0; r < rows; r++) memcpy(c + (first + r) * ld_c, sums + r * columns, M * sizeof(float));
        free(sums);
    }
    return !failed;
}
