/* Kernels of recurrences without a matrix product, all time steps of a chunk in one call.

   The rows of a matrix are tokens in order of time: step t of sequence s is row t * sequences + s. Sequences are
   independent, and one thread runs all steps of a sequence, so results do not depend on the number of threads.
*/
#include "activations.h"
#include <stddef.h>

/* ---- minGRU: gates z n; u is the share of the new value after zoneout: h = h' + u (n - h') */

static inline void mingru_candidate(long size, int identity, in x, in dropout_mask, out n) {
    if (identity) memcpy(n, x, size * sizeof(float));
    else SIMD for (long k = 0; k < size; k++) n[k] = tanh_(x[k]);
    if (dropout_mask) SIMD for (long k = 0; k < size; k++) n[k] *= dropout_mask[k];
}

void mingru(long threads, long rows, long G, long steps, long identity, in gates, in start, in dropout_mask,
            in old_weight, out outputs) {
    long H = G / 2, sequences = rows / steps;
    PARALLEL_ROWS for (long s = 0; s < sequences; s++) {
        const float *h = start + s * H;
        for (long t = 0; t < steps; t++) {
            long row = t * sequences + s;
            in x = gates + row * G;
            out after = outputs + row * H;
            mingru_candidate(H, identity, x + H, dropout_mask ? dropout_mask + row * H : NULL, after);
            if (old_weight) {
                in old = old_weight + row * H;
                SIMD for (long k = 0; k < H; k++) after[k] = h[k] + (1.0f - old[k]) * sigmoid_(x[k]) * (after[k] - h[k]);
            } else SIMD for (long k = 0; k < H; k++) after[k] = h[k] + sigmoid_(x[k]) * (after[k] - h[k]);
            h = after;
        }
    }
}

/* d_gates first holds the share that zoneout leaves, and the dropout mask */
static inline void mingru_step_backward(long H, int identity, in x, in h, in d_output, out d_h, out d_z, out d_n) {
    SIMD for (long k = 0; k < H; k++) {
        float z = sigmoid_(x[k]), n = identity ? x[H + k] : tanh_(x[H + k]);
        float d = d_h[k] + d_output[k], left = d_z[k], mask = d_n[k], u = left * z;
        d_z[k] = d * (n * mask - h[k]) * u * (1.0f - z);
        d_n[k] = d * u * mask * (identity ? 1.0f : 1.0f - n * n);
        d_h[k] = d * (1.0f - u);
    }
}

void mingru_backward(long threads, long rows, long G, long steps, long identity, in gates, in start, in outputs,
                     in dropout_mask, in old_weight, in d_outputs, out d_gates, out d_start) {
    long H = G / 2, sequences = rows / steps;
    PARALLEL_ROWS for (long s = 0; s < sequences; s++) {
        out d_h = d_start + s * H;
        memset(d_h, 0, H * sizeof(float));
        for (long t = steps - 1; t >= 0; t--) {
            long row = t * sequences + s;
            in x = gates + row * G, h = t ? outputs + (row - sequences) * H : start + s * H, d = d_outputs + row * H;
            out d_z = d_gates + row * G, d_n = d_z + H;
            copy_or_fill(H, dropout_mask ? dropout_mask + row * H : NULL, 1.0f, d_n);
            if (old_weight) SIMD for (long k = 0; k < H; k++) d_z[k] = 1.0f - old_weight[row * H + k];
            else copy_or_fill(H, NULL, 1.0f, d_z);
            if (identity) mingru_step_backward(H, 1, x, h, d, d_h, d_z, d_n);
            else mingru_step_backward(H, 0, x, h, d, d_h, d_z, d_n);
        }
    }
}

/* ---- RG-LRU: gates are the products of blocks of `width` columns, one block after the other: for each token r, i */

/* 1 - exp(y) for y <= 0, near zero by its series, since the other form loses the digits of a small y */
static inline float one_minus_exp_(float y) {
    float series = 1.0f + y * (1.0f / 6.0f) * (1.0f + y * (1.0f / 7.0f));
    series = 1.0f + y * 0.5f * (1.0f + y * (1.0f / 3.0f) * (1.0f + y * 0.25f * (1.0f + y * 0.2f * series)));
    return y > -0.35f ? -y * series : 1.0f - exp_(y);
}

void rglru(long threads, long rows, long R, long steps, long width, in gates, in x, in decay, in is_fresh, in start,
           out outputs) {
    long sequences = rows / steps;
    PARALLEL_ROWS for (long s = 0; s < sequences; s++) for (long first = 0; first < R; first += width) {
        const float *h = start + s * R + first;
        for (long t = 0; t < steps; t++) {
            long row = t * sequences + s;
            in r = gates + (first / width * rows + row) * 2 * width, i = r + width;
            in v = x + row * R + first, c = decay + first;
            out after = outputs + row * R + first;
            if (t == 0 && is_fresh[s] > 0.0f) SIMD for (long k = 0; k < width; k++)
                after[k] = exp_(-c[k] * sigmoid_(r[k])) * h[k] + sigmoid_(i[k]) * v[k];
            else SIMD for (long k = 0; k < width; k++) {
                float log_a = -c[k] * sigmoid_(r[k]);
                after[k] = exp_(log_a) * h[k] + sqrtf(one_minus_exp_(2.0f * log_a)) * sigmoid_(i[k]) * v[k];
            }
            h = after;
        }
    }
}

/* d_decay has a row for each sequence; the slope of the square root is at most `max_slope` */
void rglru_backward(long threads, long rows, long R, long steps, long width, float max_slope, in gates, in x, in decay,
                    in is_fresh, in start, in outputs, in d_outputs, out d_gates, out d_x, out d_decay, out d_start) {
    long sequences = rows / steps;
    PARALLEL_ROWS for (long s = 0; s < sequences; s++) for (long first = 0; first < R; first += width) {
        in c = decay + first;
        out d_h = d_start + s * R + first, d_c = d_decay + s * R + first;
        memset(d_h, 0, width * sizeof(float));
        memset(d_c, 0, width * sizeof(float));
        for (long t = steps - 1; t >= 0; t--) {
            long row = t * sequences + s, place = (first / width * rows + row) * 2 * width;
            in r_in = gates + place, i_in = r_in + width, v = x + row * R + first, d_out = d_outputs + row * R + first;
            in h = (t ? outputs + (row - sequences) * R : start + s * R) + first;
            out d_r = d_gates + place, d_i = d_r + width, d_v = d_x + row * R + first;
            float is_scaled = t == 0 && is_fresh[s] > 0.0f ? 0.0f : 1.0f;
            SIMD for (long k = 0; k < width; k++) {
                float r = sigmoid_(r_in[k]), i = sigmoid_(i_in[k]), log_a = -c[k] * r, a = exp_(log_a);
                float root = sqrtf(one_minus_exp_(2.0f * log_a)), slope = 0.5f / root;
                float scale = is_scaled > 0.0f ? root : 1.0f;
                float d = d_h[k] + d_out[k], d_scale = is_scaled * d * i * v[k];
                slope = slope > max_slope ? max_slope : slope;
                float d_log_a = a * (d * h[k] - 2.0f * a * slope * d_scale);
                d_r[k] = -c[k] * d_log_a * r * (1.0f - r);
                d_i[k] = d * scale * v[k] * i * (1.0f - i);
                d_v[k] = d * scale * i;
                d_c[k] -= d_log_a * r;
                d_h[k] = d * a;
            }
        }
    }
}

/* ---- convolution of each column alone: y[n] = bias + sum_j w[j] x[n + j * step]; y has (taps - 1) * step fewer rows */

void depthwise_convolution(long threads, long rows, long R, long taps, long step, in x, in weight, in bias, out y) {
    long shorter = rows - (taps - 1) * step;
    PARALLEL_ROWS for (long n = 0; n < shorter; n++) {
        out o = y + n * R;
        memcpy(o, bias, R * sizeof(float));
        for (long j = 0; j < taps; j++) {
            in v = x + (n + j * step) * R, w = weight + j * R;
            SIMD for (long k = 0; k < R; k++) o[k] += w[k] * v[k];
        }
    }
}

/* A thread adds up all rows of its columns. */
void depthwise_convolution_backward(long threads, long rows, long R, long taps, long step, in d_y, in x, in weight,
                                    out d_x, out d_weight, out d_bias) {
    long longer = rows + (taps - 1) * step;
    PARALLEL_ROWS for (long start = 0; start < R; start += BLOCK) {
        long width = R - start < BLOCK ? R - start : BLOCK;
        out d_b = d_bias + start;
        memset(d_b, 0, width * sizeof(float));
        for (long n = 0; n < longer; n++) memset(d_x + n * R + start, 0, width * sizeof(float));
        for (long j = 0; j < taps; j++) memset(d_weight + j * R + start, 0, width * sizeof(float));
        for (long n = 0; n < rows; n++) {
            in d = d_y + n * R + start;
            SIMD for (long k = 0; k < width; k++) d_b[k] += d[k];
            for (long j = 0; j < taps; j++) {
                long place = (n + j * step) * R + start;
                in v = x + place, w = weight + j * R + start;
                out d_v = d_x + place, d_w = d_weight + j * R + start;
                SIMD for (long k = 0; k < width; k++) {
                    d_v[k] += w[k] * d[k];
                    d_w[k] += d[k] * v[k];
                }
            }
        }
    }
}
