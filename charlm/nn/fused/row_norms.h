/* Layer normalisation of one row, and its gradient. A sum has as many parts whatever the length of a vector of the
   processor, so that its bits do not depend on it, and enough of them that no addition waits for another. */
#pragma once
#include "products.h"

enum { PARTS = 64 };

/* Adds up the two halves until one number is left. */
static inline float sum_parts(long size, float *x) {
    for (long width = size / 2; width > 0; width /= 2) SIMD for (long j = 0; j < width; j++) x[j] += x[j + width];
    return x[0];
}

static inline void mean_and_rstd(long size, in x, float eps, float *mean, float *rstd) {
    vector sum[PARTS / LANES] = {{0}}, square[PARTS / LANES] = {{0}};
    float parts[PARTS];
    long whole = size / PARTS * PARTS;
    for (long k = 0; k < whole; k += PARTS)
        _Pragma("GCC unroll 16") for (int j = 0; j < PARTS / LANES; j++) sum[j] += *(const vector *)(x + k + j * LANES);
    memcpy(parts, sum, sizeof(parts));
    for (long k = whole; k < size; k++) parts[k - whole] += x[k];
    float center = sum_parts(PARTS, parts) / size;
    for (long k = 0; k < whole; k += PARTS)
        _Pragma("GCC unroll 16") for (int j = 0; j < PARTS / LANES; j++) {
            vector d = *(const vector *)(x + k + j * LANES) - center;
            square[j] += d * d;
        }
    memcpy(parts, square, sizeof(parts));
    for (long k = whole; k < size; k++) parts[k - whole] += (x[k] - center) * (x[k] - center);
    *mean = center;
    *rstd = 1.0f / sqrtf(sum_parts(PARTS, parts) / size + eps);
}

/* The means of g and of g * x_hat, with g = dy * gain and x_hat = (x - mean) * rstd; and d_gain += dy * x_hat */
static inline void norm_means(long size, in dy, in gain, in x, float mean, float rstd, out d_gain, float *g_mean,
                              float *dot_mean) {
    enum { FEWER = PARTS / 2 };
    vector sum[FEWER / LANES] = {{0}}, dot[FEWER / LANES] = {{0}};
    float g_parts[FEWER], dot_parts[FEWER];
    long whole = size / FEWER * FEWER;
    for (long k = 0; k < whole; k += FEWER)
        _Pragma("GCC unroll 8") for (int j = 0; j < FEWER / LANES; j++) {
            long at = k + j * LANES;
            vector d = *(const vector *)(dy + at), g = d * *(const vector *)(gain + at);
            vector x_hat = (*(const vector *)(x + at) - mean) * rstd;
            sum[j] += g;
            dot[j] += g * x_hat;
            *(vector *)(d_gain + at) += d * x_hat;
        }
    memcpy(g_parts, sum, sizeof(sum));
    memcpy(dot_parts, dot, sizeof(dot));
    for (long k = whole; k < size; k++) {
        float g = dy[k] * gain[k], x_hat = (x[k] - mean) * rstd;
        g_parts[k - whole] += g;
        dot_parts[k - whole] += g * x_hat;
        d_gain[k] += dy[k] * x_hat;
    }
    *g_mean = sum_parts(FEWER, g_parts) / size;
    *dot_mean = sum_parts(FEWER, dot_parts) / size;
}
