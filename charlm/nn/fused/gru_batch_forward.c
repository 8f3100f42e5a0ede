/* The GRU with batch normalisation over a whole chunk, in training: all steps, each by blocks of hidden units. */
#include "columns.h"

/* What a thread needs for a block of units: the products of inputs and recurrence with some gates, and the statistics
   and parameters of their columns */
typedef struct {
    float *x, *product; /* B rows of a panel for each gate */
    float mean[3 * PANEL], variance[3 * PANEL], rstd[3 * PANEL];
    float x_mean[3 * PANEL], x_variance[3 * PANEL], x_rstd[3 * PANEL];
    float gain[3 * PANEL], x_gain[3 * PANEL], bias[3 * PANEL], candidate_bias[PANEL];
} block;

/* Gates from `gate` on: x becomes norm(x) + bias, and the product x_hat, its norm without the gain, which is kept.
   factor: what W multiplies */
static void normalise_products(const chunk *u, block *k, long step, long first, long gate, long gates, in factor,
                               long ld_factor, in packed) {
    long B = u->B, H = u->H, G = 3 * H, K = units(u->bf16, H), width = smaller(H - first, PANEL), size = gates * PANEL;
    long row = step * B, at = gate * H;
    float *means = u->means_TS + step * 2 * G + at, *variances = u->variances_TS + step * 2 * G + at;
    load_gates(gates, H, first, width, u->input_gain_G + at, k->x_gain);
    load_gates(gates, H, first, width, u->recurrent_gain_G + at, k->gain);
    load_gates(gates, H, first, width, u->bias_G + at, k->bias);
    stream touched[12];
    const float *of_gates[] = {u->input_TBG, u->gates_TBG, u->x_hat_TBG};
    long num_touched = 0;
    for (int i = 0; i < 3; i++)
        for (long g = gate; g < gate + gates; g++)
            touched[num_touched++] = (stream){of_gates[i] + row * G + g * H + first, width, G};
    touched[num_touched++] = (stream){u->reset_TBH + row * H + first, width, H};
    touched[num_touched++] = (stream){u->hiddens_TBH + (row + B) * H + first, width, H};
    multiply(u->bf16, round_up(B, TILE), K, size, factor, ld_factor, packed + gate * PANEL * K, k->product, size,
             touched, num_touched);
    if (width < PANEL) memset(k->x, 0, B * size * sizeof(float));
    for (long b = 0; b < B; b++)
        load_gates(gates, H, first, width, u->input_TBG + (row + b) * G + at, k->x + b * size);
    for (long g = 0; g < size; g += PANEL) {
        column_statistics(B, k->x + g, size, k->x_mean + g, k->x_variance + g);
        column_statistics(B, k->product + g, size, k->mean + g, k->variance + g);
        inverse_deviations(k->x_variance + g, u->eps, k->x_rstd + g);
        inverse_deviations(k->variance + g, u->eps, k->rstd + g);
    }
    for (long b = 0; b < B; b++) {
        float *x = k->x + b * size, *x_hat = k->product + b * size;
        SIMD for (long j = 0; j < size; j++) {
            x_hat[j] = (x_hat[j] - k->mean[j]) * k->rstd[j];
            x[j] = (x[j] - k->x_mean[j]) * k->x_rstd[j] * k->x_gain[j] + k->bias[j];
        }
        store_gates(gates, H, first, width, x_hat, u->x_hat_TBG + (row + b) * G + at);
    }
    store_gates(gates, H, first, width, k->x_mean, means);
    store_gates(gates, H, first, width, k->x_variance, variances);
    store_gates(gates, H, first, width, k->mean, means + G);
    store_gates(gates, H, first, width, k->variance, variances + G);
}

/* The gates r and z of a row, which replace x in its first two panels */
static void reset_row(const chunk *u, block *k, long row, long first, long width, float *x, in x_hat) {
    SIMD for (long j = 0; j < 2 * PANEL; j++) x[j] = sigmoid_(x[j] + x_hat[j] * k->gain[j]);
    store_gates(2, u->H, first, width, x, u->gates_TBG + row * 3 * u->H);
}

/* The next hidden state of a row from z, the candidate n and the masks; next_hidden is that as products read it. */
static void output_row(const chunk *u, long row, long first, long width, in z, in n, out next_hidden) {
    long H = u->H, at = row * H + first;
    in h = u->hiddens_TBH + at, mask = at_row(u->dropout_mask_TBH, at, 1);
    float *after = u->hiddens_TBH + at + u->B * H;
    copy_units(width, n, u->gates_TBG + row * 3 * H + 2 * H + first);
    if (mask) SIMD for (long j = 0; j < width; j++) after[j] = (1.0f - z[j]) * n[j] * mask[j] + z[j] * h[j];
    else SIMD for (long j = 0; j < width; j++) after[j] = (1.0f - z[j]) * n[j] + z[j] * h[j];
    mix(width, after, h, at_row(u->zoneout_hidden_TBH, at, 1), u->zoneout_hidden);
    pack_row(u->bf16, width, after, next_hidden);
}

/* A step of a block of units with the reset after the product */
static void forward_units(const chunk *u, block *k, long step, long first, in hidden, long ld, in packed,
                          out next_hidden) {
    long B = u->B, H = u->H, width = smaller(H - first, PANEL), at_units = units(u->bf16, first);
    normalise_products(u, k, step, first, 0, 3, hidden, ld, packed);
    load_gates(1, H, first, width, u->candidate_bias_H, k->candidate_bias);
    for (long b = 0; b < B; b++) {
        long row = step * B + b;
        float *r = k->x + b * 3 * PANEL, *z = r + PANEL, *n = r + 2 * PANEL, *x_hat = k->product + b * 3 * PANEL;
        float reset[PANEL];
        reset_row(u, k, row, first, width, r, x_hat);
        SIMD for (long j = 0; j < PANEL; j++) {
            reset[j] = x_hat[2 * PANEL + j] * k->gain[2 * PANEL + j] + k->candidate_bias[j];
            n[j] = tanh_(n[j] + r[j] * reset[j]);
        }
        copy_units(width, reset, u->reset_TBH + row * H + first);
        output_row(u, row, first, width, z, n, next_hidden + b * ld + at_units);
    }
}

/* The first half of a step with the reset before the product: the gates r and z, and r h for the next product */
static void reset_units(const chunk *u, block *k, long step, long first, in hidden, long ld, in packed,
                        out reset_hidden) {
    long B = u->B, H = u->H, width = smaller(H - first, PANEL), at_units = units(u->bf16, first);
    normalise_products(u, k, step, first, 0, 2, hidden, ld, packed);
    for (long b = 0; b < B; b++) {
        long row = step * B + b, at = row * H + first;
        float *r = k->x + b * 2 * PANEL, *reset = u->reset_TBH + at;
        in h = u->hiddens_TBH + at;
        reset_row(u, k, row, first, width, r, k->product + b * 2 * PANEL);
        SIMD for (long j = 0; j < width; j++) reset[j] = r[j] * h[j];
        pack_row(u->bf16, width, reset, reset_hidden + b * ld + at_units);
    }
}

/* The second half: the candidate and the next state */
static void candidate_units(const chunk *u, block *k, long step, long first, in reset_hidden, long ld, in packed,
                            out next_hidden) {
    long B = u->B, H = u->H, width = smaller(H - first, PANEL), at_units = units(u->bf16, first);
    normalise_products(u, k, step, first, 2, 1, reset_hidden, ld, packed);
    for (long b = 0; b < B; b++) {
        long row = step * B + b;
        float *n = k->x + b * PANEL, *x_hat = k->product + b * PANEL;
        SIMD for (long j = 0; j < PANEL; j++) n[j] = tanh_(n[j] + x_hat[j] * k->gain[j]);
        output_row(u, row, first, width, u->gates_TBG + row * 3 * H + H + first, n, next_hidden + b * ld + at_units);
    }
}

/* All steps of the blocks of units of this thread. hidden: two buffers, one that this step reads and one that it
   writes; and a third one for r h */
static int forward_thread(const chunk *u, team *all, in packed, float *hidden, long ld) {
    long tiles = round_up(u->B, TILE), blocks = unit_blocks(u), me = this_thread(), size = 2 * tiles * 3 * PANEL;
    long begin = me * blocks / all->threads, end = (me + 1) * blocks / all->threads;
    long block_size = 3 * PANEL * units(u->bf16, u->H);
    float *reset = hidden + 2 * tiles * ld;
    block k;
    k.x = allocate(size);
    if (k.x) memset(k.x, 0, size * sizeof(float));
    else begin = end;
    k.product = k.x + tiles * 3 * PANEL;
    memset(k.mean, 0, sizeof(k) - offsetof(block, mean));
    for (long step = 0; step < u->T; step++) {
        float *from = hidden + step % 2 * tiles * ld, *to = hidden + (step + 1) % 2 * tiles * ld;
        if (u->resets_before) {
            for (long i = begin; i < end; i++)
                reset_units(u, &k, step, i * PANEL, from, ld, packed + i * block_size, reset);
            wait_for_all(all);
            for (long i = begin; i < end; i++)
                candidate_units(u, &k, step, i * PANEL, reset, ld, packed + i * block_size, to);
        } else for (long i = begin; i < end; i++)
            forward_units(u, &k, step, i * PANEL, from, ld, packed + i * block_size, to);
        wait_for_all(all);
    }
    free(k.x);
    return k.x != NULL;
}

/* Returns 0 if there is no memory. */
int gru_batch_forward(const chunk *u) {
    long threads = smaller(u->threads, unit_blocks(u)), B = u->B, H = u->H, G = 3 * H, K = units(u->bf16, H);
    long buffers = 3 * round_up(B, TILE), ld = padded(K), done = 1;
    float *packed = allocate(unit_blocks(u) * 3 * PANEL * K), *hidden = allocate(buffers * ld);
    if (packed && hidden &&
        multiply_all(u->bf16, u->threads, u->T * B, u->D, G, u->x_TBD, u->input_GD, 1, u->D, u->input_TBG)) {
        team all = {.threads = 1};
        memset(hidden, 0, buffers * ld * sizeof(float));
        for (long b = 0; b < B; b++) pack_row(u->bf16, H, u->hiddens_TBH + b * H, hidden + b * ld);
        PARALLEL_ROWS for (long panel = 0; panel < unit_blocks(u) * 3; panel++) {
            long first = panel / 3 * PANEL, row = panel % 3 * H + first;
            pack(u->bf16, 1, H, smaller(H - first, PANEL), u->recurrent_GH + row * H, 1, H, packed + panel * PANEL * K);
        }
        _Pragma("omp parallel num_threads(threads)") {
            _Pragma("omp single") all.threads = found_threads();
            if (!forward_thread(u, &all, packed, hidden, ld)) done = 0;
        }
    } else done = 0;
    free(packed);
    free(hidden);
    return done;
}
