/* Layer normalisation of one row, and its gradient. A sum has 16 parts, whatever the length of a vector of the processor,
   and several of them where one addition would wait for the other. */
#pragma once
#include "products.h"

enum { CHAINS = 4 };

static inline float sum_lanes(lanes x) {
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int j = 0; j < width; j++) x[j] += x[j + width];
    return x[0];
}

static inline float sum_chains(const lanes *x) { return sum_lanes((x[0] + x[1]) + (x[2] + x[3])); }

/* The numbers from k on, up to 16, and `rest` behind the last */
static inline lanes load(long size, in x, long k, float rest) {
    if (k + LANES <= size) return *(const lanes *)(x + k);
    lanes part;
    for (int j = 0; j < LANES; j++) part[j] = k + j < size ? x[k + j] : rest;
    return part;
}

static inline void mean_and_rstd(long size, in x, float eps, float *mean, float *rstd) {
    lanes sum[CHAINS] = {{0}}, square[CHAINS] = {{0}};
    for (long k = 0, chunks = size / (CHAINS * LANES); k < chunks; k++)
        for (int j = 0; j < CHAINS; j++) sum[j] += *(const lanes *)(x + (k * CHAINS + j) * LANES);
    long rest = size / (CHAINS * LANES) * CHAINS * LANES;
    for (long k = rest; k < size; k += LANES) sum[0] += load(size, x, k, 0.0f);
    float center = sum_chains(sum) / size;
    for (long k = 0, chunks = size / (CHAINS * LANES); k < chunks; k++)
        for (int j = 0; j < CHAINS; j++) {
            lanes d = *(const lanes *)(x + (k * CHAINS + j) * LANES) - center;
            square[j] += d * d;
        }
    for (long k = rest; k < size; k += LANES) {
        lanes d = load(size, x, k, center) - center;
        square[0] += d * d;
    }
    *mean = center;
    *rstd = 1.0f / sqrtf(sum_chains(square) / size + eps);
}

/* The means of g and of g * x_hat, with g = dy * gain and x_hat = (x - mean) * rstd; and d_gain += dy * x_hat */
static inline void norm_means(long size, in dy, in gain, in x, float mean, float rstd, out d_gain, float *g_mean,
                              float *dot_mean) {
    lanes sum[2] = {{0}}, dot[2] = {{0}};
    for (long k = 0, chain = 0; k + LANES <= size; k += LANES, chain ^= 1) {
        lanes d = *(const lanes *)(dy + k), g = d * *(const lanes *)(gain + k);
        lanes x_hat = (*(const lanes *)(x + k) - mean) * rstd;
        sum[chain] += g;
        dot[chain] += g * x_hat;
        *(lanes *)(d_gain + k) += d * x_hat;
    }
    float g_sum = sum_lanes(sum[0] + sum[1]), dot_sum = sum_lanes(dot[0] + dot[1]);
    for (long k = size / LANES * LANES; k < size; k++) {
        float g = dy[k] * gain[k], x_hat = (x[k] - mean) * rstd;
        g_sum += g;
        dot_sum += g * x_hat;
        d_gain[k] += dy[k] * x_hat;
    }
    *g_mean = g_sum / size;
    *dot_mean = dot_sum / size;
}
