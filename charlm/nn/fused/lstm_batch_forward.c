/* The LSTM with batch normalisation over a whole chunk, in training: all steps, each by blocks of hidden units. */
#include "columns.h"

/* What a thread needs for a block of units: the products of inputs and recurrence with all gates, the memory, and the
   statistics and parameters of their columns */
typedef struct {
    float *x, *product, *cell; /* B rows of gates panels, of gates panels and of a panel */
    float mean[4 * PANEL], variance[4 * PANEL], rstd[4 * PANEL];
    float x_mean[4 * PANEL], x_variance[4 * PANEL], x_rstd[4 * PANEL];
    float gain[4 * PANEL], x_gain[4 * PANEL], bias[4 * PANEL];
    float memory_mean[PANEL], memory_variance[PANEL], memory_rstd[PANEL], memory_gain[PANEL], memory_bias[PANEL];
} block;

static void normalise_gates(const chunk *u, block *k, long gates) {
    for (long g = 0; g < gates * PANEL; g += PANEL) {
        column_statistics(u->B, k->x + g, gates * PANEL, k->x_mean + g, k->x_variance + g);
        column_statistics(u->B, k->product + g, gates * PANEL, k->mean + g, k->variance + g);
        inverse_deviations(k->x_variance + g, u->eps, k->x_rstd + g);
        inverse_deviations(k->variance + g, u->eps, k->rstd + g);
    }
}

/* The gates of a row, which replace x, and its new memory; the product is normalised. */
static void forward_gates(const chunk *u, block *k, long row, long b, long first, long width, long gates) {
    long size = gates * PANEL;
    float *a = k->x + b * size, *x_hat = k->product + b * size, *cell = k->cell + b * PANEL;
    float *f = a + size - 3 * PANEL, *g = a + size - 2 * PANEL, *o = a + size - PANEL;
    float before[PANEL] = {0}, written[PANEL] = {0};
    SIMD for (long j = 0; j < size; j++) {
        x_hat[j] = (x_hat[j] - k->mean[j]) * k->rstd[j];
        a[j] = (a[j] - k->x_mean[j]) * k->x_rstd[j] * k->x_gain[j] + x_hat[j] * k->gain[j] + k->bias[j];
    }
    SIMD for (long j = 0; j < size - 2 * PANEL; j++) a[j] = sigmoid_(a[j]);
    SIMD for (long j = 0; j < PANEL; j++) g[j] = tanh_(g[j]);
    SIMD for (long j = 0; j < PANEL; j++) o[j] = sigmoid_(o[j]);
    copy_units(width, u->cells_TBH + row * u->H + first, before);
    copy_or_fill(width, u->dropout_mask_TBH ? u->dropout_mask_TBH + row * u->H + first : NULL, 1.0f, written);
    SIMD for (long j = 0; j < PANEL; j++) written[j] *= g[j];
    if (u->coupled) SIMD for (long j = 0; j < PANEL; j++) cell[j] = f[j] * before[j] + (1.0f - f[j]) * written[j];
    else SIMD for (long j = 0; j < PANEL; j++) cell[j] = f[j] * before[j] + a[j] * written[j];
}

/* The next state of a row; next_hidden is the hidden state as the next product reads it. */
static void forward_output(const chunk *u, block *k, long row, long b, long first, long width, long gates,
                           out next_hidden) {
    long H = u->H, G = gates * H, at = row * H + first, next = at + u->B * H;
    in cell = k->cell + b * PANEL, o = k->x + (b + 1) * gates * PANEL - PANEL;
    float tanh[PANEL], hidden[PANEL];
    SIMD for (long j = 0; j < PANEL; j++) {
        tanh[j] = tanh_((cell[j] - k->memory_mean[j]) * k->memory_rstd[j] * k->memory_gain[j] + k->memory_bias[j]);
        hidden[j] = o[j] * tanh[j];
    }
    store_gates(gates, H, first, width, k->x + b * gates * PANEL, u->gates_TBG + row * G);
    store_gates(gates, H, first, width, k->product + b * gates * PANEL, u->x_hat_TBG + row * G);
    copy_units(width, tanh, u->tanh_TBH + at);
    copy_units(width, cell, u->new_cells_TBH + at);
    if (u->new_cells_TBH + at != u->cells_TBH + next) copy_units(width, cell, u->cells_TBH + next);
    copy_units(width, hidden, u->hiddens_TBH + next);
    mix(width, u->hiddens_TBH + next, u->hiddens_TBH + at, at_row(u->zoneout_hidden_TBH, at, 1), u->zoneout_hidden);
    mix(width, u->cells_TBH + next, u->cells_TBH + at, at_row(u->zoneout_cell_TBH, at, 1), u->zoneout_cell);
    pack_row(u->bf16, width, u->hiddens_TBH + next, next_hidden);
}

static void forward_units(const chunk *u, block *k, long step, long first, in hidden, long ld_hidden, in packed,
                          out next_hidden) {
    long B = u->B, H = u->H, gates = lstm_gates_size(u) / H, G = gates * H, width = smaller(H - first, PANEL);
    long K = units(u->bf16, H), row = step * B, size = 2 * G + H, at_hidden = units(u->bf16, first);
    float *means = u->means_TS + step * size, *variances = u->variances_TS + step * size;
    load_gates(gates, H, first, width, u->input_gain_G, k->x_gain);
    load_gates(gates, H, first, width, u->recurrent_gain_G, k->gain);
    load_gates(gates, H, first, width, u->bias_G, k->bias);
    load_gates(1, H, first, width, u->memory_gain_H, k->memory_gain);
    load_gates(1, H, first, width, u->memory_bias_H, k->memory_bias);
    stream touched[16];
    long num_touched = add_streams(touched, 0, gates, H, first, width, u->input_TBG + row * G);
    num_touched = add_streams(touched, num_touched, gates, H, first, width, u->gates_TBG + row * G);
    num_touched = add_streams(touched, num_touched, gates, H, first, width, u->x_hat_TBG + row * G);
    num_touched = add_streams(touched, num_touched, 1, H, first, width, u->tanh_TBH + row * H);
    num_touched = add_streams(touched, num_touched, 1, H, first, width, u->new_cells_TBH + row * H);
    num_touched = add_streams(touched, num_touched, 1, H, first, width, u->hiddens_TBH + (row + B) * H);
    multiply(u->bf16, round_up(B, TILE), K, gates * PANEL, hidden, ld_hidden, packed, k->product, gates * PANEL,
             touched, num_touched);
    if (width < PANEL) memset(k->x, 0, B * gates * PANEL * sizeof(float));
    for (long b = 0; b < B; b++)
        load_gates(gates, H, first, width, u->input_TBG + (row + b) * G, k->x + b * gates * PANEL);
    normalise_gates(u, k, gates);
    for (long b = 0; b < B; b++) forward_gates(u, k, row + b, b, first, width, gates);
    column_statistics(B, k->cell, PANEL, k->memory_mean, k->memory_variance);
    inverse_deviations(k->memory_variance, u->eps, k->memory_rstd);
    for (long b = 0; b < B; b++)
        forward_output(u, k, row + b, b, first, width, gates, next_hidden + b * ld_hidden + at_hidden);
    store_gates(gates, H, first, width, k->x_mean, means);
    store_gates(gates, H, first, width, k->x_variance, variances);
    store_gates(gates, H, first, width, k->mean, means + G);
    store_gates(gates, H, first, width, k->variance, variances + G);
    store_gates(1, H, first, width, k->memory_mean, means + 2 * G);
    store_gates(1, H, first, width, k->memory_variance, variances + 2 * G);
}

/* All steps of the blocks of units of this thread. hidden: two buffers, one that this step reads and one that it
   writes */
static int forward_thread(const chunk *u, team *all, in packed, float *hidden, long ld_hidden) {
    long B = u->B, gates = lstm_gates_size(u) / u->H, K = units(u->bf16, u->H), tiles = round_up(B, TILE);
    long blocks = unit_blocks(u), me = this_thread(), size = tiles * (2 * gates + 1) * PANEL;
    block k;
    k.x = allocate(size);
    if (k.x) memset(k.x, 0, size * sizeof(float));
    k.product = k.x + tiles * gates * PANEL;
    k.cell = k.product + tiles * gates * PANEL;
    memset(k.mean, 0, sizeof(k) - offsetof(block, mean));
    for (long step = 0; step < u->T; step++) {
        in from = hidden + step % 2 * tiles * ld_hidden;
        out to = hidden + (step + 1) % 2 * tiles * ld_hidden;
        if (k.x) for (long i = me * blocks / all->threads; i < (me + 1) * blocks / all->threads; i++)
            forward_units(u, &k, step, i * PANEL, from, ld_hidden, packed + i * gates * PANEL * K, to);
        wait_for_all(all);
    }
    free(k.x);
    return k.x != NULL;
}

/* Returns 0 if there is no memory. */
int lstm_batch_forward(const chunk *u) {
    long threads = smaller(u->threads, unit_blocks(u)), B = u->B, H = u->H, G = lstm_gates_size(u), gates = G / H;
    long K = units(u->bf16, H), tiles = round_up(B, TILE), ld_hidden = padded(K), done = 1;
    float *packed = allocate(unit_blocks(u) * gates * PANEL * K), *hidden = allocate(2 * tiles * ld_hidden);
    if (packed && hidden &&
        multiply_all(u->bf16, u->threads, u->T * B, u->D, G, u->x_TBD, u->input_GD, 1, u->D, u->input_TBG)) {
        team all = {.threads = 1};
        memset(hidden, 0, 2 * tiles * ld_hidden * sizeof(float));
        for (long b = 0; b < B; b++) pack_row(u->bf16, H, u->hiddens_TBH + b * H, hidden + b * ld_hidden);
        PARALLEL_ROWS for (long panel = 0; panel < unit_blocks(u) * gates; panel++) {
            long first = panel / gates * PANEL, row = panel % gates * H + first;
            pack(u->bf16, 1, H, smaller(H - first, PANEL), u->recurrent_GH + row * H, 1, H, packed + panel * PANEL * K);
        }
        _Pragma("omp parallel num_threads(threads)") {
            _Pragma("omp single") all.threads = found_threads();
            if (!forward_thread(u, &all, packed, hidden, ld_hidden)) done = 0;
        }
    } else done = 0;
    free(packed);
    free(hidden);
    return done;
}
