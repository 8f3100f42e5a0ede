/* Kernels in C, for fp32, called by compiled.py. The functions of these names in torch say what each computes.

   Arguments: the number of threads, rows, columns, then those of the function in torch, with long for truth values.
   The stride of its rows (ld_*) follows a matrix that may be a slice of a wider one. NaN passes through. One thread
   adds up a row or a column, in a fixed order, so results do not depend on the number of threads.
*/
#include "activations.h"
#include <stddef.h>

/* Null pointers are tested outside the loops over columns, so that the loops are vectorised. */

static inline void add_scaled(long size, in x, in y, in gain, out a) {
    if (gain) SIMD for (long k = 0; k < size; k++) a[k] = x[k] + y[k] * gain[k];
    else SIMD for (long k = 0; k < size; k++) a[k] = x[k] + y[k];
}

/* ---- normalisation: x is replaced by (x - mean) * rstd */

/* Sums in double give the same floats whatever the number of places in a vector of the processor. */
void layer_norm(long threads, long rows, long size, float *x, long ld, float eps, out rstd) {
    PARALLEL_ROWS for (long b = 0; b < rows; b++) {
        out row = x + b * ld;
        double sum = 0, square = 0;
        _Pragma("omp simd reduction(+:sum)") for (long k = 0; k < size; k++) sum += row[k];
        double mean = sum / size;
        _Pragma("omp simd reduction(+:square)") for (long k = 0; k < size; k++)
            square += (row[k] - mean) * (row[k] - mean);
        float scale = (float)(1.0 / sqrt(square / size + eps)), center = (float)mean;
        SIMD for (long k = 0; k < size; k++) row[k] = (row[k] - center) * scale;
        rstd[b] = scale;
    }
}

/* dx = rstd * (g - mean(g) - x_hat * mean(g * x_hat)) with g = dy * gain */
void layer_norm_backward(long threads, long rows, long size, const float *dy, long ld_dy, in gain, const float *x_hat,
                         long ld_hat, in rstd, float *dx, long ld_dx) {
    PARALLEL_ROWS for (long b = 0; b < rows; b++) {
        in d = dy + b * ld_dy, h = x_hat + b * ld_hat;
        out o = dx + b * ld_dx;
        float sum = 0, dot = 0;
        _Pragma("omp simd reduction(+:sum,dot)") for (long k = 0; k < size; k++) {
            float g = d[k] * gain[k];
            sum += g;
            dot += g * h[k];
        }
        sum /= size;
        dot /= size;
        SIMD for (long k = 0; k < size; k++) o[k] = rstd[b] * (d[k] * gain[k] - sum - h[k] * dot);
    }
}

/* rstd, mean and variance have one entry for each column */
void batch_norm(long threads, long rows, long size, float *x, long ld, float eps, out rstd, out mean, out variance) {
    PARALLEL_ROWS for (long start = 0; start < size; start += BLOCK) {
        long width = size - start < BLOCK ? size - start : BLOCK;
        float m[BLOCK] = {0}, v[BLOCK] = {0};
        for (long b = 0; b < rows; b++) SIMD for (long k = 0; k < width; k++) m[k] += x[b * ld + start + k];
        for (long k = 0; k < width; k++) m[k] /= rows;
        for (long b = 0; b < rows; b++) SIMD for (long k = 0; k < width; k++) {
            float d = x[b * ld + start + k] - m[k];
            v[k] += d * d;
        }
        for (long k = 0; k < width; k++) {
            v[k] /= rows;
            mean[start + k] = m[k];
            variance[start + k] = v[k];
            rstd[start + k] = v[k] = 1.0f / sqrtf(v[k] + eps);
        }
        for (long b = 0; b < rows; b++) SIMD for (long k = 0; k < width; k++)
            x[b * ld + start + k] = (x[b * ld + start + k] - m[k]) * v[k];
    }
}

void batch_norm_backward(long threads, long rows, long size, const float *dy, long ld_dy, in gain, const float *x_hat,
                         long ld_hat, in rstd, float *dx, long ld_dx) {
    PARALLEL_ROWS for (long start = 0; start < size; start += BLOCK) {
        long width = size - start < BLOCK ? size - start : BLOCK;
        float sum[BLOCK] = {0}, dot[BLOCK] = {0};
        for (long b = 0; b < rows; b++) SIMD for (long k = 0; k < width; k++) {
            float d = dy[b * ld_dy + start + k];
            sum[k] += d;
            dot[k] += d * x_hat[b * ld_hat + start + k];
        }
        for (long b = 0; b < rows; b++) SIMD for (long k = 0; k < width; k++) {
            float scale = gain[start + k] * rstd[start + k];
            dx[b * ld_dx + start + k] =
                scale * (dy[b * ld_dy + start + k] - (sum[k] + x_hat[b * ld_hat + start + k] * dot[k]) / rows);
        }
    }
}

/* sums of dy * x_hat over the rows */
void gain_gradient(long threads, long rows, long size, in dy, in x_hat, out d_gain) {
    PARALLEL_ROWS for (long start = 0; start < size; start += BLOCK) {
        long width = size - start < BLOCK ? size - start : BLOCK;
        float sum[BLOCK] = {0};
        for (long b = 0; b < rows; b++) SIMD for (long k = 0; k < width; k++)
            sum[k] += dy[b * size + start + k] * x_hat[b * size + start + k];
        memcpy(d_gain + start, sum, width * sizeof(float));
    }
}

/* ---- LSTM: gates i f g o (f g o if coupled), each H wide; `recurrent` is multiplied by `gain` unless it is null */

void lstm_gates(long threads, long rows, long H, long coupled, in inputs, in recurrent, in gain, in cell,
                in dropout_mask, out gates, out next_cell) {
    long G = (coupled ? 3 : 4) * H;
    PARALLEL_ROWS for (long b = 0; b < rows; b++) {
        in x = inputs + b * G, r = recurrent + b * G, c = cell + b * H;
        out a = gates + b * G, after = next_cell + b * H;
        add_scaled(G, x, r, gain, a);
        float *i = coupled ? NULL : a, *f = a + G - 3 * H, *g = a + G - 2 * H, *o = a + G - H;
        if (!coupled) SIMD for (long k = 0; k < H; k++) i[k] = sigmoid_(i[k]);
        SIMD for (long k = 0; k < H; k++) f[k] = sigmoid_(f[k]);
        SIMD for (long k = 0; k < H; k++) g[k] = tanh_(g[k]);
        SIMD for (long k = 0; k < H; k++) o[k] = sigmoid_(o[k]);
        copy_or_fill(H, dropout_mask ? dropout_mask + b * H : NULL, 1.0f, after);
        if (coupled) SIMD for (long k = 0; k < H; k++) after[k] = f[k] * c[k] + (1.0f - f[k]) * g[k] * after[k];
        else SIMD for (long k = 0; k < H; k++) after[k] = f[k] * c[k] + i[k] * g[k] * after[k];
    }
}

/* hidden = o * tanh(memory * gain + bias); the tanh is kept */
void lstm_output(long threads, long rows, long H, long coupled, in memory, in gain, in bias, in gates, out tanh_memory,
                 out hidden) {
    long G = (coupled ? 3 : 4) * H;
    PARALLEL_ROWS for (long b = 0; b < rows; b++) {
        in m = memory + b * H, o = gates + b * G + G - H;
        out t = tanh_memory + b * H, h = hidden + b * H;
        if (gain) SIMD for (long k = 0; k < H; k++) t[k] = tanh_(m[k] * gain[k] + bias[k]);
        else SIMD for (long k = 0; k < H; k++) t[k] = tanh_(m[k]);
        SIMD for (long k = 0; k < H; k++) h[k] = o[k] * t[k];
    }
}

/* d_memory is the gradient of memory * gain + bias; of d_gates, only the output gate's columns are written */
void lstm_output_backward(long threads, long rows, long H, long coupled, in d_hidden, in gates, in tanh_memory,
                          out d_memory, out d_gates) {
    long G = (coupled ? 3 : 4) * H;
    PARALLEL_ROWS for (long b = 0; b < rows; b++) {
        in d = d_hidden + b * H, o = gates + b * G + G - H, t = tanh_memory + b * H;
        out dm = d_memory + b * H, d_o = d_gates + b * G + G - H;
        SIMD for (long k = 0; k < H; k++) {
            dm[k] = d[k] * o[k] * (1.0f - t[k] * t[k]);
            d_o[k] = d[k] * t[k] * o[k] * (1.0f - o[k]);
        }
    }
}

/* d_cell comes in for the next cell, and becomes that of the cell */
void lstm_gates_backward(long threads, long rows, long H, long coupled, in gates, in cell, in dropout_mask, out d_cell,
                         out d_gates) {
    long G = (coupled ? 3 : 4) * H;
    PARALLEL_ROWS for (long b = 0; b < rows; b++) {
        in a = gates + b * G, c = cell + b * H;
        in f = a + G - 3 * H, g = a + G - 2 * H;
        out dc = d_cell + b * H, d_a = d_gates + b * G;
        float *d_f = d_a + G - 3 * H, *d_g = d_a + G - 2 * H;
        copy_or_fill(H, dropout_mask ? dropout_mask + b * H : NULL, 1.0f, d_g);
        if (coupled) SIMD for (long k = 0; k < H; k++) {
            d_f[k] = dc[k] * (c[k] - g[k] * d_g[k]) * f[k] * (1.0f - f[k]);
            d_g[k] *= dc[k] * (1.0f - f[k]) * (1.0f - g[k] * g[k]);
        }
        else SIMD for (long k = 0; k < H; k++) {
            d_a[k] = dc[k] * g[k] * d_g[k] * a[k] * (1.0f - a[k]);
            d_f[k] = dc[k] * c[k] * f[k] * (1.0f - f[k]);
            d_g[k] *= dc[k] * a[k] * (1.0f - g[k] * g[k]);
        }
        SIMD for (long k = 0; k < H; k++) dc[k] *= f[k];
    }
}

/* ---- GRU, reset after the product: gates r z n; recurrent_candidate is what r multiplies */

void gru(long threads, long rows, long H, in inputs, in recurrent, in gain, in candidate_bias, in hidden,
         in dropout_mask, out gates, out recurrent_candidate, out next_hidden) {
    long G = 3 * H;
    PARALLEL_ROWS for (long b = 0; b < rows; b++) {
        in x = inputs + b * G, y = recurrent + b * G, h = hidden + b * H;
        out a = gates + b * G, q = recurrent_candidate + b * H, after = next_hidden + b * H;
        float *r = a, *z = a + H, *n = a + 2 * H;
        add_scaled(2 * H, x, y, gain, a);
        SIMD for (long k = 0; k < 2 * H; k++) a[k] = sigmoid_(a[k]);
        add_scaled(H, candidate_bias, y + 2 * H, gain ? gain + 2 * H : NULL, q);
        SIMD for (long k = 0; k < H; k++) n[k] = tanh_(x[2 * H + k] + r[k] * q[k]);
        copy_or_fill(H, dropout_mask ? dropout_mask + b * H : NULL, 1.0f, after);
        SIMD for (long k = 0; k < H; k++) after[k] = (1.0f - z[k]) * n[k] * after[k] + z[k] * h[k];
    }
}

/* d_hidden comes in for the next hidden state, and becomes the part of the hidden state's gradient that does not go
   through the products. d_recurrent is the gradient of recurrent * gain; it differs from d_gates only in n. */
void gru_backward(long threads, long rows, long H, in gates, in recurrent_candidate, in hidden, in dropout_mask,
                  out d_hidden, out d_gates, out d_recurrent) {
    long G = 3 * H;
    PARALLEL_ROWS for (long b = 0; b < rows; b++) {
        in a = gates + b * G, q = recurrent_candidate + b * H, h = hidden + b * H;
        in r = a, z = a + H, n = a + 2 * H;
        out d = d_hidden + b * H, d_a = d_gates + b * G, d_y = d_recurrent + b * G;
        copy_or_fill(H, dropout_mask ? dropout_mask + b * H : NULL, 1.0f, d_a + 2 * H);
        SIMD for (long k = 0; k < H; k++) {
            float mask = d_a[2 * H + k];
            float d_n = d[k] * (1.0f - z[k]) * mask * (1.0f - n[k] * n[k]);
            float d_z = d[k] * (h[k] - n[k] * mask) * z[k] * (1.0f - z[k]);
            float d_r = d_n * q[k] * r[k] * (1.0f - r[k]);
            d_a[k] = d_y[k] = d_r;
            d_a[H + k] = d_y[H + k] = d_z;
            d_a[2 * H + k] = d_n;
            d_y[2 * H + k] = d_n * r[k];
            d[k] *= z[k];
        }
    }
}

/* ---- the simple cell */

void rnn(long threads, long rows, long H, long relu, in inputs, in recurrent, in gain, out hidden) {
    PARALLEL_ROWS for (long b = 0; b < rows; b++) {
        in x = inputs + b * H, y = recurrent + b * H;
        out h = hidden + b * H;
        add_scaled(H, x, y, gain, h);
        if (relu) SIMD for (long k = 0; k < H; k++) h[k] = h[k] < 0.0f ? 0.0f : h[k];
        else SIMD for (long k = 0; k < H; k++) h[k] = tanh_(h[k]);
    }
}

void rnn_backward(long threads, long rows, long H, long relu, in d_hidden, in hidden, out d_gates) {
    PARALLEL_ROWS for (long b = 0; b < rows; b++) {
        in d = d_hidden + b * H, h = hidden + b * H;
        out a = d_gates + b * H;
        if (relu) SIMD for (long k = 0; k < H; k++) a[k] = h[k] > 0.0f ? d[k] : 0.0f;
        else SIMD for (long k = 0; k < H; k++) a[k] = d[k] * (1.0f - h[k] * h[k]);
    }
}

/* ---- inverse of the cumulative distribution of softmax(logits), in double, at numbers from 0 to below 1 */
void sample_ids(long threads, long rows, long size, in logits, const double *restrict number,
                double *restrict cumulative, int64_t *restrict ids) {
    PARALLEL_ROWS for (long b = 0; b < rows; b++) {
        in row = logits + b * size;
        double *sums = cumulative + b * size;
        float largest = row[0];
        for (long k = 1; k < size; k++) largest = row[k] > largest ? row[k] : largest;
        double sum = 0.0;
        for (long k = 0; k < size; k++) sums[k] = sum += exp((double)row[k] - (double)largest);
        long k = 0;
        while (k < size - 1 && !(sums[k] > number[b] * sum)) k++;
        while (k > 0 && sums[k] == sums[k - 1]) k--; /* a number rounded to 1: the last id of positive probability */
        ids[b] = k;
    }
}

/* ---- one step of a mixture of a network and n-grams (charlm/nn/ngrams/head.py), called by sampling/fast/ngrams.py */
typedef struct {
    const int64_t *keys;
    const int32_t *tokens, *counts, *starts, *totals;
    const float *squares, *mass, *discounts;
} ngram_order;

typedef struct {
    long orders, vocab, features, units;
    const ngram_order *order;
    const float *unigrams, *from_features, *hidden_weight, *hidden_bias, *from_hidden_weight, *from_hidden_bias;
} ngram_mixture;

static inline float kept_count(const ngram_order *o, int64_t number) {
    int32_t count = o->counts[number];
    return (float)count - o->discounts[count > 3 ? 3 : count];
}

/* The number of an n-gram in a sorted table, or -1. */
static int64_t find_ngram(const ngram_order *o, int64_t context, int64_t key) {
    int64_t low = o->starts[context], high = o->starts[context + 1];
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (o->keys[middle] < key) low = middle + 1;
        else high = middle;
    }
    return low < o->starts[context + 1] && o->keys[low] == key ? low : -1;
}

static void advance_contexts(const ngram_mixture *m, int64_t token, int64_t *contexts) {
    for (long k = m->orders - 1; k > 0; k--) /* the longest first: it needs the next shorter one of the last step */
        contexts[k] = contexts[k - 1] < 0 ? -1
                      : find_ngram(m->order + k - 1, contexts[k - 1], contexts[k - 1] * m->vocab + token);
    contexts[0] = token;
}

/* tokens_B, contexts_BK -> contexts_BK, log p_BV. work: 4 K + units + 2 (K + 2) floats. */
void ngram_step(const ngram_mixture *m, long rows, const int64_t *tokens, int64_t *contexts_BK, in features_BH,
                in logits_BV, out work, out log_p_BV) {
    long K = m->orders, V = m->vocab, parts = K + 2;
    float *figures = work, *hidden = work + 4 * K, *weight = hidden + m->units, *gamma = weight + parts;
    for (long b = 0; b < rows; b++) {
        int64_t *contexts = contexts_BK + b * K;
        in features = features_BH + b * m->features, logits = logits_BV + b * V;
        float *p = log_p_BV + b * V;
        advance_contexts(m, tokens[b], contexts);
        for (long k = 0; k < K; k++) {
            const ngram_order *o = m->order + k;
            int32_t total = contexts[k] < 0 ? 0 : o->totals[contexts[k]];
            gamma[k] = total ? o->mass[contexts[k]] / (float)total : 1.0f;
            figures[k] = log1pf((float)total) / 5.0f;
            figures[K + k] = gamma[k];
            figures[2 * K + k] = logf(gamma[k] > 1e-4f ? gamma[k] : 1e-4f) / 3.0f;
            figures[3 * K + k] = total ? o->squares[contexts[k]] / ((float)total * (float)total) : 0.0f;
        }
        for (long u = 0; u < m->units; u++) {
            float sum = m->hidden_bias[u];
            for (long i = 0; i < 4 * K; i++) sum += m->hidden_weight[u * 4 * K + i] * figures[i];
            hidden[u] = sum > 0.0f ? sum : 0.0f;
        }
        float largest = -INFINITY, sum = 0.0f;
        for (long i = 0; i < parts; i++) {
            float score = m->from_hidden_bias[i];
            for (long u = 0; u < m->units; u++) score += m->from_hidden_weight[i * m->units + u] * hidden[u];
            for (long h = 0; h < m->features; h++) score += m->from_features[i * m->features + h] * features[h];
            weight[i] = i >= 2 && figures[i - 2] <= 0.0f ? -INFINITY : score;
            largest = weight[i] > largest ? weight[i] : largest;
        }
        for (long i = 0; i < parts; i++) sum += weight[i] = weight[i] == -INFINITY ? 0.0f : exp_(weight[i] - largest);
        for (long i = 0; i < parts; i++) weight[i] /= sum;
        float share = 0.0f, top = logits[0], network = 0.0f;
        for (long k = K - 1; k >= 0; k--) { /* from here on, weight[k + 2] is the factor of (c - D) / c(h) */
            share = weight[k + 2] += share;
            share *= gamma[k];
        }
        float unigram = weight[1] + share;
        for (long v = 1; v < V; v++) top = logits[v] > top ? logits[v] : top;
        SIMD for (long v = 0; v < V; v++) p[v] = exp_(logits[v] - top);
        for (long v = 0; v < V; v++) network += p[v];
        float scale = weight[0] / network;
        SIMD for (long v = 0; v < V; v++) p[v] = scale * p[v] + unigram * m->unigrams[v];
        for (long k = 0; k < K; k++) {
            const ngram_order *o = m->order + k;
            if (contexts[k] < 0 || !o->totals[contexts[k]]) continue;
            float factor = weight[k + 2] / (float)o->totals[contexts[k]];
            for (int64_t i = o->starts[contexts[k]]; i < o->starts[contexts[k] + 1]; i++)
                p[o->tokens[i]] += factor * kept_count(o, i);
        }
        for (long v = 0; v < V; v++) p[v] = logf(p[v] > 1e-20f ? p[v] : 1e-20f);
    }
}
