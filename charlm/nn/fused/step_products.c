/* Products of one step of sampling with a fixed matrix that was packed before: y_BG = x_BK times W_KG, called by
   sampling/fast/packed.py. The bits of a row do not depend on the other rows. */
#include "products.h"
#ifdef __AVX2__
#include <immintrin.h>
#endif

/* ---- in fp32 or bf16: y = W x + b */

/* The floats of a packed matrix */
long packed_matrix_size(long bf16, long G, long K) { return round_up(G, PANEL) * units(bf16, K); }

void pack_matrix(long bf16, long threads, long G, long K, in w_GK, out packed) {
    pack(bf16, threads, K, G, w_GK, 1, K, packed);
}

/* A thread takes whole panels of columns, so that it reads each weight once from memory, and from its cache for the
   other rows. x_units: room for the rows of x as bf16. bias: null if there is none. */
void multiply_packed(long bf16, long threads, long rows, long G, long K, in x, long ld_x, in packed, in bias,
                     out x_units, out y, long ld_y) {
    long num_units = units(bf16, K);
    if (bf16) PARALLEL_ROWS for (long b = 0; b < rows; b++) pack_row(1, K, x + b * ld_x, x_units + b * num_units);
    in a = bf16 ? x_units : x;
    long ld_a = bf16 ? num_units : ld_x;
    PARALLEL_ROWS for (long n = 0; n < G; n += PANEL) {
        long width = smaller(G - n, PANEL);
        multiply(bf16, rows, num_units, width, a, ld_a, packed + n * num_units, y + n, ld_y, NULL, 0);
        if (bias) for (long b = 0; b < rows; b++) SIMD for (long j = n; j < n + width; j++) y[b * ld_y + j] += bias[j];
    }
}

/* ---- in 8-bit integers: y = scale * (W x), with a scale for each row of W. x is rounded to 16-bit integers so small
   that no sum of products overflows 32 bits. Sums of integers are exact, so all functions give the same bits. */

/* Returns the factor that undoes the rounding; NAN if x has numbers that are not finite. */
static float round_row(long size, in x, int16_t *restrict rounded) {
    uint32_t magnitude = 0;
    _Pragma("omp simd reduction(max : magnitude)") for (long k = 0; k < size; k++) {
        uint32_t bits;
        memcpy(&bits, x + k, 4);
        bits &= 0x7fffffffu;
        magnitude = bits > magnitude ? bits : magnitude;
    }
    float largest, max_quantized = 2147483647.0f / 128.0f / (float)size;
    memcpy(&largest, &magnitude, 4);
    max_quantized = max_quantized > 32767.0f ? 32767.0f : floorf(max_quantized);
    float quantize = largest > 0.0f ? max_quantized / largest : 0.0f, dequantize = largest / max_quantized;
    if (!isfinite(quantize)) quantize = 0.0f, dequantize = 0.0f; /* so small that their products are 0 too */
    if (!isfinite(largest)) quantize = 0.0f, dequantize = NAN;
    if (quantize > 0.0f) SIMD for (long k = 0; k < size; k++) rounded[k] = (int16_t)(int32_t)rintf(x[k] * quantize);
    else memset(rounded, 0, size * sizeof(int16_t));
    return dequantize;
}

/* Of one row, with a matrix that is not packed: four rows of W at a time share the reads of x, and their sums do not
   wait for one another. */
#ifdef __AVX2__
static inline __m256i add_products(__m256i sum, const int8_t *w, __m256i x) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)w)), x));
}

static inline int32_t sum_of(__m256i x) {
    int32_t parts[8], sum = 0;
    _mm256_storeu_si256((__m256i *)parts, x);
    for (int k = 0; k < 8; k++) sum += parts[k];
    return sum;
}
#endif

static inline void dot_4(long size, const int8_t *a, const int8_t *b, const int8_t *c, const int8_t *d,
                         const int16_t *restrict x, int32_t *sums) {
    int32_t s = 0, t = 0, u = 0, v = 0;
    long k = 0;
#ifdef __AVX2__
    __m256i s8 = _mm256_setzero_si256(), t8 = s8, u8 = s8, v8 = s8;
    for (; k + 16 <= size; k += 16) {
        __m256i x16 = _mm256_loadu_si256((const __m256i *)(x + k));
        s8 = add_products(s8, a + k, x16);
        t8 = add_products(t8, b + k, x16);
        u8 = add_products(u8, c + k, x16);
        v8 = add_products(v8, d + k, x16);
    }
    s = sum_of(s8), t = sum_of(t8), u = sum_of(u8), v = sum_of(v8);
#endif
    for (; k < size; k++) {
        int32_t value = x[k];
        s += a[k] * value;
        t += b[k] * value;
        u += c[k] * value;
        v += d[k] * value;
    }
    sums[0] = s, sums[1] = t, sums[2] = u, sums[3] = v;
}

void matvec_int8(long threads, long rows, long size, const int8_t *restrict weight, in scale, in x,
                 int16_t *restrict rounded, out y) {
    float dequantize = round_row(size, x, rounded);
    PARALLEL_ROWS for (long start = 0; start < rows; start += 4) {
        int32_t sums[4];
        long last = rows - 1, count = rows - start < 4 ? rows - start : 4;
        const int8_t *row[4];
        for (long g = 0; g < 4; g++) row[g] = weight + (start + g < last ? start + g : last) * size;
        dot_4(size, row[0], row[1], row[2], row[3], rounded, sums);
        for (long g = 0; g < count; g++) y[start + g] = scale[start + g] * dequantize * (float)sums[g];
    }
}

/* With a packed matrix: tiles as in products.c. A unit of a panel is two 8-bit terms of a sum. */
#if defined(__AVX512BW__)
typedef __m512i integers;
#define WIDEN(from) _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(from)))
#define SPREAD(x) _mm512_set1_epi32(x)
#ifdef __AVX512VNNI__
#define ADD_PAIRS(sum, x, w) _mm512_dpwssd_epi32(sum, x, w)
#else
#define ADD_PAIRS(sum, x, w) _mm512_add_epi32(sum, _mm512_madd_epi16(x, w))
#endif
#elif defined(__AVX2__) && !defined(__AVX512F__)
typedef __m256i integers;
#define WIDEN(from) _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(from)))
#define SPREAD(x) _mm256_set1_epi32(x)
#define ADD_PAIRS(sum, x, w) _mm256_add_epi32(sum, _mm256_madd_epi16(x, w))
#endif

#ifdef ADD_PAIRS
typedef int32_t __attribute__((may_alias)) two_integers; /* two 16-bit integers */

static inline __attribute__((always_inline)) void integer_tile(int rows, long pairs, const two_integers *x,
                                                               const int8_t *panel, int32_t *sums) {
    integers sum[TILE][WIDTH] = {0};
    for (long k = 0; k < pairs; k++) {
        integers w[WIDTH];
        _Pragma("GCC unroll 3") for (int j = 0; j < WIDTH; j++) w[j] = WIDEN(panel + (k * WIDTH + j) * 2 * LANES);
        _Pragma("GCC unroll 8") for (int r = 0; r < rows; r++)
            _Pragma("GCC unroll 3") for (int j = 0; j < WIDTH; j++)
                sum[r][j] = ADD_PAIRS(sum[r][j], SPREAD(x[r * pairs + k]), w[j]);
    }
    _Pragma("GCC unroll 8") for (int r = 0; r < rows; r++) memcpy(sums + r * PANEL, sum[r], PANEL * sizeof(int32_t));
}

/* One row: four sums of a column, so that no addition waits for another */
static void integer_row(long pairs, const two_integers *x, const int8_t *panel, int32_t *sums) {
    enum { PARTS = 4 };
    int32_t parts[PARTS * PANEL];
    integers sum[PARTS][WIDTH] = {0};
    long whole = pairs / PARTS * PARTS;
    for (long k = 0; k < whole; k += PARTS)
        _Pragma("GCC unroll 4") for (int part = 0; part < PARTS; part++)
            _Pragma("GCC unroll 3") for (int j = 0; j < WIDTH; j++)
                sum[part][j] = ADD_PAIRS(sum[part][j], SPREAD(x[k + part]),
                                         WIDEN(panel + ((k + part) * WIDTH + j) * 2 * LANES));
    for (long k = whole; k < pairs; k++)
        _Pragma("GCC unroll 3") for (int j = 0; j < WIDTH; j++)
            sum[0][j] = ADD_PAIRS(sum[0][j], SPREAD(x[k]), WIDEN(panel + (k * WIDTH + j) * 2 * LANES));
    memcpy(parts, sum, sizeof(parts));
    SIMD for (int j = 0; j < PANEL; j++)
        sums[j] = parts[j] + parts[PANEL + j] + parts[2 * PANEL + j] + parts[3 * PANEL + j];
}
#endif

/* Whether multiply_int8 runs on this processor */
long multiplies_int8(void) {
#ifdef ADD_PAIRS
    return 1;
#else
    return 0;
#endif
}

long packed_int8_size(long G, long K) { return round_up(G, PANEL) * units(1, K) * 2; }

void pack_int8(long G, long K, const int8_t *restrict weight, int8_t *restrict packed) {
    for (long g = 0; g < round_up(G, PANEL); g++) {
        int8_t *column = packed + g / PANEL * PANEL * units(1, K) * 2 + g % PANEL * 2;
        for (long k = 0; k < units(1, K) * 2; k++)
            column[k / 2 * PANEL * 2 + k % 2] = g < G && k < K ? weight[g * K + k] : 0;
    }
}

/* rounded: room for the rows of x, with an even number of columns; factors: a float for each row */
void multiply_int8(long threads, long rows, long G, long K, in x, long ld_x, const int8_t *restrict packed, in scale,
                   int16_t *restrict rounded, out factors, out y, long ld_y) {
#ifdef ADD_PAIRS
    long pairs = units(1, K);
    PARALLEL_ROWS for (long b = 0; b < rows; b++) {
        factors[b] = round_row(K, x + b * ld_x, rounded + b * pairs * 2);
        if (K % 2) rounded[b * pairs * 2 + K] = 0;
    }
    PARALLEL_ROWS for (long n = 0; n < G; n += PANEL)
        for (long m = 0, height; m < rows; m += height) {
            int32_t sums[TILE * PANEL], left = (int32_t)smaller(rows - m, TILE);
            const two_integers *from = (const two_integers *)(rounded + m * pairs * 2);
            const int8_t *panel = packed + n * pairs * 2;
            height = left == TILE ? TILE : left >= 4 ? 4 : left >= 2 ? 2 : 1;
            if (left == TILE) integer_tile(TILE, pairs, from, panel, sums);
            else if (left >= 4) integer_tile(4, pairs, from, panel, sums);
            else if (left >= 2) integer_tile(2, pairs, from, panel, sums);
            else integer_row(pairs, from, panel, sums);
            for (long r = 0; r < height; r++) SIMD for (long j = 0; j < smaller(G - n, PANEL); j++)
                y[(m + r) * ld_y + n + j] = scale[n + j] * factors[m + r] * (float)sums[r * PANEL + j];
        }
#endif
}
