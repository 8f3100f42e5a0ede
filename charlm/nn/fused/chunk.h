/* A cell over a whole chunk, for fp32: what lstm_*.c and gru_*.c share. The functions are called by chunk_in_c.py.

       x ── U of all steps ──────────────────────────┐
       hidden ── packed W, block of rows ── norm ── gates ── hidden of the next step

   The rows of a batch do not depend on one another. A thread takes a block of rows through all steps, so that no thread
   waits for another, and the products, gates and norms of a step stay in its cache. Results do not depend on the number
   of threads.

   T time, B batch, D inputs, H hidden, S statistics of norms, G gates: of an LSTM 4 H in the order i, f, g, o, or 3 H,
   f, g, o, if coupled; of a GRU 3 H in the order r, z, n.
*/
#pragma once
#include "row_norms.h"

enum {
    GROUP = 8, /* rows whose gradients of gains and biases are added up together; a block has a multiple of it */
    MAX_BLOCK_BYTES = 640 * 1024,
    MAX_BLOCK_ROWS = 64,
};

/* Null pointers stand for what the cell does not have (norms, masks), and for gradients that nobody needs. */
typedef struct {
    long threads, T, B, D, H;
    long coupled;                   /* LSTM: 1 - f is the input gate */
    long heads;                     /* blocks on the diagonal of the recurrent matrix of each gate; 0 as 1 */
    long resets_before;             /* GRU: r multiplies the hidden state, not its product */
    long keeps_steps;               /* whether a backward pass follows */
    long bf16;                      /* whether the factors of products are rounded to bf16 */
    long rounds; /* LSTM: of a Mogrifier */
    long scales; /* batch normalisation in evaluation: gains and biases have a row for each step, and x gain + bias is
                    the norm, statistics included. It has no backward pass. */
    float eps, zoneout_hidden, zoneout_cell; /* the probabilities in evaluation; in training, there are masks */
    const float *x_TBD, *input_GD, *recurrent_GH, *bias_G;
    const float *input_gain_G, *recurrent_gain_G;
    const float *memory_gain_H, *memory_bias_H; /* LSTM */
    const float *candidate_bias_H;              /* GRU with the reset after the product */
    const float *rounds_RM;                     /* the matrices of a Mogrifier's rounds, M = D H */
    const float *dropout_mask_TBH, *zoneout_hidden_TBH, *zoneout_cell_TBH;
    float *input_TBG;   /* U x, before its norm */
    float *hiddens_TBH; /* T + 1 states: before the first step, and after each */
    float *cells_TBH;   /* LSTM: likewise */
    float *new_cells_TBH; /* LSTM: before zoneout; cells_TBH from step 1 on if there is none */
    float *gates_TBG, *x_hat_TBG, *statistics_TBS; /* these and the next two: a single step unless keeps_steps */
    float *means_TS, *variances_TS; /* batch normalisation: of input products G, recurrent products G and, of an LSTM,
                                       memory H */
    float *tanh_TBH;                               /* LSTM: of the memory */
    float *reset_TBH; /* GRU: what r multiplies; if it resets before, r times the hidden state */
    float *factors, *results; /* of a Mogrifier's rounds: mogrifier.h */
    const float *d_output_TBH;
    long d_output_stride_T, d_output_stride_B;
    float *d_hidden_BH, *d_cell_BH; /* of the last state, then of the first */
    float *d_input_TBG, *d_product_TBG, *d_x_TBD, *d_input_GD, *d_recurrent_GH;
    float *d_gates, *d_rounds_RM; /* of a Mogrifier's rounds */
    float *d_vectors; /* of the bias G, the gains of inputs G and recurrence G; of an LSTM, gain and bias of the memory
                         H each; of a GRU, the candidate's bias H */
} chunk;

static inline long lstm_gates_size(const chunk *u) { return (u->coupled ? 3 : 4) * u->H; }

static inline const float *at_row(in x, long row, long size) { return x ? x + row * size : NULL; }

static inline float *in_row(float *x, long row, long size) { return x ? x + row * size : NULL; }

/* Rows of a block: as many for each thread, and few enough for its cache */
static inline long block_rows(const chunk *u, long floats_per_row) {
    long most = MAX_BLOCK_BYTES / (long)sizeof(float) / floats_per_row / GROUP * GROUP;
    most = most < GROUP ? GROUP : smaller(most, MAX_BLOCK_ROWS);
    long share = (u->B + u->threads - 1) / u->threads, parts = (share + most - 1) / most;
    return round_up((share + parts - 1) / parts, GROUP);
}

/* The gains or biases of a step */
static inline const float *at_step(const chunk *u, in vector, long step, long size) {
    return at_row(vector, u->scales ? step : 0, size);
}

/* ---- parts of a step */

/* gates = norm(x) + norm(product) + bias; without gains, x + product + bias, and without x_hat, x x_gain + product gain
   + bias. statistics: mean and 1 / deviation of x, then of the product. */
static inline void add_products(long size, in x, in product, in x_gain, in gain, in bias, float eps, float *statistics,
                                out x_hat, out gates) {
    if (!gain) {
        SIMD for (long k = 0; k < size; k++) gates[k] = x[k] + product[k] + bias[k];
        return;
    }
    if (!x_hat) {
        SIMD for (long k = 0; k < size; k++) gates[k] = x[k] * x_gain[k] + product[k] * gain[k] + bias[k];
        return;
    }
    mean_and_rstd(size, x, eps, statistics, statistics + 1);
    mean_and_rstd(size, product, eps, statistics + 2, statistics + 3);
    float x_mean = statistics[0], x_rstd = statistics[1], mean = statistics[2], rstd = statistics[3];
    SIMD for (long k = 0; k < size; k++) {
        x_hat[k] = (product[k] - mean) * rstd;
        gates[k] = (x[k] - x_mean) * x_rstd * x_gain[k] + x_hat[k] * gain[k] + bias[k];
    }
}

/* Zoneout: `weights` is a mask of the old values to keep, or else `weight` their part. */
static inline void mix(long size, out after, in before, in weights, float weight) {
    if (weights) SIMD for (long k = 0; k < size; k++) after[k] = weights[k] != 0.0f ? before[k] : after[k];
    else if (weight != 0.0f) SIMD for (long k = 0; k < size; k++) after[k] += weight * (before[k] - after[k]);
}

/* ---- parts of a step's gradient */

/* Zoneout: kept = d * weight is the gradient of the old value, d - kept that of the new one. */
static inline void split(long size, out d, out kept, in weights, float weight) {
    if (weights) SIMD for (long k = 0; k < size; k++) kept[k] = d[k] * weights[k];
    else if (weight != 0.0f) SIMD for (long k = 0; k < size; k++) kept[k] = d[k] * weight;
    else return;
    SIMD for (long k = 0; k < size; k++) d[k] -= kept[k];
}

/* dx = scale * (g - mean(g) - x_hat * mean(g * x_hat)) with g = dy * gain and x_hat = (x - mean) * rstd. dx may be
   dy. */
static inline void norm_backward(long size, const float *dy, in gain, in x, float mean, float rstd, float scale,
                                 out d_gain, float *dx) {
    float g_mean, dot_mean;
    norm_means(size, dy, gain, x, mean, rstd, d_gain, &g_mean, &dot_mean);
    SIMD for (long k = 0; k < size; k++)
        dx[k] = scale * (dy[k] * gain[k] - g_mean - (x[k] - mean) * rstd * dot_mean);
}

/* d_vectors = the sums of all groups of rows */
static inline void add_groups(const chunk *u, in sums, long num_sums) {
    memset(u->d_vectors, 0, num_sums * sizeof(float));
    for (long group = 0; group < (u->B + GROUP - 1) / GROUP; group++)
        SIMD for (long k = 0; k < num_sums; k++) u->d_vectors[k] += sums[group * num_sums + k];
}

/* Gradients of the inputs and of their matrix. Returns 0 if there is no memory. */
static inline int input_gradients(const chunk *u, long G) {
    long threads = u->threads, N = u->T * u->B, D = u->D;
    return (!u->d_x_TBD || multiply_all(u->bf16, threads, N, G, D, u->d_input_TBG, u->input_GD, D, 1, u->d_x_TBD)) &&
           (!u->d_input_GD ||
            multiply_transposed(u->bf16, threads, N, G, D, u->d_input_TBG, G, u->x_TBD, D, u->d_input_GD, D));
}
