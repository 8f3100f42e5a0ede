/* Gradients of the LSTM with batch normalisation over a whole chunk: all steps, each by blocks of hidden units, from
   the last to the first, then the products of all steps. */
#include "columns.h"

/* What a thread needs for a block of units: the gradients of the gates, the normalised products, and the gradients of
   the memory; the statistics, parameters and sums of their columns */
typedef struct {
    float *d_gates, *x_hat, *x, *d_read, *memory_hat; /* B rows of gates panels; of the last two, of a panel */
    float x_mean[4 * PANEL], x_rstd[4 * PANEL], rstd[4 * PANEL], gain[4 * PANEL], x_gain[4 * PANEL];
    float d_sum[4 * PANEL], dot[4 * PANEL], x_dot[4 * PANEL];
    float memory_mean[PANEL], memory_rstd[PANEL], memory_gain[PANEL], memory_sum[PANEL], memory_dot[PANEL];
} block;

static void load_columns(const chunk *u, block *k, long step, long first, long width, long gates) {
    long H = u->H, G = gates * H, size = 2 * G + H;
    in means = u->means_TS + step * size, variances = u->variances_TS + step * size;
    load_gates(gates, H, first, width, u->input_gain_G, k->x_gain);
    load_gates(gates, H, first, width, u->recurrent_gain_G, k->gain);
    load_gates(1, H, first, width, u->memory_gain_H, k->memory_gain);
    load_gates(gates, H, first, width, means, k->x_mean);
    load_gates(gates, H, first, width, variances, k->x_rstd);
    load_gates(gates, H, first, width, variances + G, k->rstd);
    load_gates(1, H, first, width, means + 2 * G, k->memory_mean);
    load_gates(1, H, first, width, variances + 2 * G, k->memory_rstd);
    for (long g = 0; g < gates * PANEL; g += PANEL) {
        inverse_deviations(k->x_rstd + g, u->eps, k->x_rstd + g);
        inverse_deviations(k->rstd + g, u->eps, k->rstd + g);
    }
    inverse_deviations(k->memory_rstd, u->eps, k->memory_rstd);
    memset(k->d_sum, 0, sizeof(k->d_sum));
    memset(k->dot, 0, sizeof(k->dot));
    memset(k->x_dot, 0, sizeof(k->x_dot));
    memset(k->memory_sum, 0, sizeof(k->memory_sum));
    memset(k->memory_dot, 0, sizeof(k->memory_dot));
}

/* The gradients of the output gate and of what it reads, and the sums over the rows that the memory's norm needs.
   d_hidden, kept_hidden: the gradient of the hidden state through the next product, and what zoneout passes on of it */
static void output_row(const chunk *u, block *k, long step, long b, long first, long width, long gates, out d_hidden,
                       out kept_hidden) {
    long H = u->H, row = step * u->B + b, at = row * H + first;
    in o = u->gates_TBG + row * gates * H + (gates - 1) * H + first, tanh = u->tanh_TBH + at;
    in new_cell = u->new_cells_TBH + at;
    in d_output = u->d_output_TBH + step * u->d_output_stride_T + b * u->d_output_stride_B + first;
    float *d_read = k->d_read + b * PANEL, *hat = k->memory_hat + b * PANEL;
    float *d_o = k->d_gates + (b + 1) * gates * PANEL - PANEL;
    SIMD for (long j = 0; j < width; j++) d_hidden[j] += d_output[j] + kept_hidden[j];
    split(width, d_hidden, kept_hidden, at_row(u->zoneout_hidden_TBH, at, 1), u->zoneout_hidden);
    SIMD for (long j = 0; j < width; j++) {
        d_read[j] = d_hidden[j] * o[j] * (1.0f - tanh[j] * tanh[j]);
        d_o[j] = d_hidden[j] * tanh[j] * o[j] * (1.0f - o[j]);
        hat[j] = (new_cell[j] - k->memory_mean[j]) * k->memory_rstd[j];
        k->memory_sum[j] += d_read[j];
        k->memory_dot[j] += d_read[j] * hat[j];
    }
}

/* The gradients of the other gates and of the memory before this step, and the sums that the products' norms need */
static void gates_row(const chunk *u, block *k, long step, long b, long first, long width, long gates) {
    long H = u->H, G = gates * H, row = step * u->B + b, at = row * H + first, size = gates * PANEL;
    in a = u->gates_TBG + row * G + first, f = a + G - 3 * H, g = a + G - 2 * H, cell = u->cells_TBH + at;
    in mask = u->dropout_mask_TBH ? u->dropout_mask_TBH + at : NULL;
    float *d_read = k->d_read + b * PANEL, *hat = k->memory_hat + b * PANEL;
    float *d_i = k->d_gates + b * size, *d_f = d_i + size - 3 * PANEL, *d_g = d_i + size - 2 * PANEL;
    float *x_hat = k->x_hat + b * size, *x = k->x + b * size, *d_cell = u->d_cell_BH + b * H + first;
    float kept[PANEL] = {0};
    split(width, d_cell, kept, at_row(u->zoneout_cell_TBH, at, 1), u->zoneout_cell);
    SIMD for (long j = 0; j < width; j++)
        d_cell[j] += k->memory_gain[j] * k->memory_rstd[j] *
                     (d_read[j] - (k->memory_sum[j] + hat[j] * k->memory_dot[j]) / (float)u->B);
    copy_or_fill(width, mask, 1.0f, d_g);
    if (u->coupled) SIMD for (long j = 0; j < width; j++) {
        d_f[j] = d_cell[j] * (cell[j] - g[j] * d_g[j]) * f[j] * (1.0f - f[j]);
        d_g[j] *= d_cell[j] * (1.0f - f[j]) * (1.0f - g[j] * g[j]);
    }
    else SIMD for (long j = 0; j < width; j++) {
        d_i[j] = d_cell[j] * g[j] * d_g[j] * a[j] * (1.0f - a[j]);
        d_f[j] = d_cell[j] * cell[j] * f[j] * (1.0f - f[j]);
        d_g[j] *= d_cell[j] * a[j] * (1.0f - g[j] * g[j]);
    }
    SIMD for (long j = 0; j < width; j++) d_cell[j] = d_cell[j] * f[j] + kept[j];
    load_gates(gates, H, first, width, u->x_hat_TBG + row * G, x_hat);
    load_gates(gates, H, first, width, u->input_TBG + row * G, x);
    SIMD for (long j = 0; j < size; j++) {
        x[j] = (x[j] - k->x_mean[j]) * k->x_rstd[j];
        k->d_sum[j] += d_i[j];
        k->dot[j] += d_i[j] * x_hat[j];
        k->x_dot[j] += d_i[j] * x[j];
    }
}

/* The gradients of the products of a row; d_product: as the product with W reads them, gate by gate */
static void products_row(const chunk *u, block *k, long row, long b, long first, long width, long gates,
                         out d_product) {
    long H = u->H, G = gates * H, size = gates * PANEL;
    float *d = k->d_gates + b * size, *x_hat = k->x_hat + b * size, *x = k->x + b * size;
    SIMD for (long j = 0; j < size; j++) {
        x_hat[j] = k->gain[j] * k->rstd[j] * (d[j] - (k->d_sum[j] + x_hat[j] * k->dot[j]) / (float)u->B);
        x[j] = k->x_gain[j] * k->x_rstd[j] * (d[j] - (k->d_sum[j] + x[j] * k->x_dot[j]) / (float)u->B);
    }
    store_gates(gates, H, first, width, x_hat, u->d_product_TBG + row * G);
    store_gates(gates, H, first, width, x, u->d_input_TBG + row * G);
    for (long g = 0; g < gates; g++)
        pack_row(u->bf16, width, x_hat + g * PANEL, d_product + g * units(u->bf16, H) + units(u->bf16, first));
}

static void backward_units(const chunk *u, block *k, long step, long first, float *d_hidden, float *kept_hidden,
                           long ld_hidden, out d_product, long ld_product) {
    long B = u->B, H = u->H, gates = lstm_gates_size(u) / H, G = gates * H, width = smaller(H - first, PANEL);
    load_columns(u, k, step, first, width, gates);
    for (long b = 0; b < B; b++)
        output_row(u, k, step, b, first, width, gates, d_hidden + b * ld_hidden + first,
                   kept_hidden + b * ld_hidden + first);
    for (long b = 0; b < B; b++) gates_row(u, k, step, b, first, width, gates);
    for (long b = 0; b < B; b++)
        products_row(u, k, step * B + b, b, first, width, gates, d_product + b * ld_product);
    add_columns(gates, H, first, width, k->d_sum, u->d_vectors);
    add_columns(gates, H, first, width, k->x_dot, u->d_vectors + G);
    add_columns(gates, H, first, width, k->dot, u->d_vectors + 2 * G);
    add_columns(1, H, first, width, k->memory_dot, u->d_vectors + 3 * G);
    add_columns(1, H, first, width, k->memory_sum, u->d_vectors + 3 * G + H);
}

/* The columns that a step of a block of units reads and writes; returns their number. */
static long streams_of_step(const chunk *u, long step, long first, stream *touched) {
    long B = u->B, H = u->H, G = lstm_gates_size(u), gates = G / H, width = smaller(H - first, PANEL), row = step * B;
    const float *of_gates[] = {u->gates_TBG, u->x_hat_TBG, u->input_TBG, u->d_product_TBG, u->d_input_TBG};
    const float *of_units[] = {u->tanh_TBH, u->new_cells_TBH, u->cells_TBH};
    long count = 0;
    for (int i = 0; i < 5; i++) count = add_streams(touched, count, gates, H, first, width, of_gates[i] + row * G);
    for (int i = 0; i < 3; i++) count = add_streams(touched, count, 1, H, first, width, of_units[i] + row * H);
    touched[count] = (stream){u->d_output_TBH + step * u->d_output_stride_T + first, width, u->d_output_stride_B};
    return count + 1;
}

/* All steps of the blocks of units of this thread. d_hidden: then kept_hidden; d_product: two buffers, of which steps
   use one in turns, so that none is written while another thread reads it */
static int backward_thread(const chunk *u, team *all, in packed, float *d_hidden, long ld_hidden, float *d_product,
                           long ld_product) {
    long B = u->B, H = u->H, gates = lstm_gates_size(u) / H, K = gates * units(u->bf16, H), tiles = round_up(B, TILE);
    long blocks = unit_blocks(u), me = this_thread(), size = tiles * (3 * gates + 2) * PANEL;
    float *kept_hidden = d_hidden + tiles * ld_hidden;
    block k;
    k.d_gates = allocate(size);
    if (k.d_gates) memset(k.d_gates, 0, size * sizeof(float));
    k.x_hat = k.d_gates + tiles * gates * PANEL;
    k.x = k.x_hat + tiles * gates * PANEL;
    k.d_read = k.x + tiles * gates * PANEL;
    k.memory_hat = k.d_read + tiles * PANEL;
    memset(k.x_mean, 0, sizeof(k) - offsetof(block, x_mean));
    for (long step = u->T - 1; step >= 0; step--) {
        float *gradients = d_product + step % 2 * tiles * ld_product;
        long begin = me * blocks / all->threads, end = (me + 1) * blocks / all->threads;
        if (k.d_gates) for (long i = begin; i < end; i++)
            backward_units(u, &k, step, i * PANEL, d_hidden, kept_hidden, ld_hidden, gradients, ld_product);
        wait_for_all(all);
        for (long i = begin; i < end; i++) {
            stream touched[24];
            long num_touched = step == 0 ? 0 : streams_of_step(u, step - 1, i * PANEL, touched);
            multiply(u->bf16, tiles, K, smaller(H - i * PANEL, PANEL), gradients, ld_product, packed + i * PANEL * K,
                     d_hidden + i * PANEL, ld_hidden, touched, num_touched);
        }
    }
    free(k.d_gates);
    return k.d_gates != NULL;
}

static int backward_steps(const chunk *u, float *packed, float *d_hidden, long ld_hidden, float *d_product,
                          long ld_product) {
    long threads = smaller(u->threads, unit_blocks(u)), B = u->B, H = u->H, gates = lstm_gates_size(u) / H, done = 1;
    long K = units(u->bf16, H), tiles = round_up(B, TILE);
    team all = {.threads = 1};
    memset(d_hidden, 0, 2 * tiles * ld_hidden * sizeof(float));
    memset(d_product, 0, 2 * tiles * ld_product * sizeof(float));
    memset(u->d_vectors, 0, (3 * gates + 2) * H * sizeof(float));
    for (long b = 0; b < B; b++) memcpy(d_hidden + b * ld_hidden, u->d_hidden_BH + b * H, H * sizeof(float));
    PARALLEL_ROWS for (long panel = 0; panel < unit_blocks(u) * gates; panel++) {
        long first = panel / gates * PANEL;
        in gate = u->recurrent_GH + panel % gates * H * H;
        pack(u->bf16, 1, H, smaller(H - first, PANEL), gate + first, H, 1, packed + panel * PANEL * K);
    }
    _Pragma("omp parallel num_threads(threads)") {
        _Pragma("omp single") all.threads = found_threads();
        if (!backward_thread(u, &all, packed, d_hidden, ld_hidden, d_product, ld_product)) done = 0;
    }
    for (long b = 0; b < B; b++)
        for (long j = 0; j < H; j++)
            u->d_hidden_BH[b * H + j] = d_hidden[b * ld_hidden + j] + d_hidden[(tiles + b) * ld_hidden + j];
    return done;
}

/* Returns 0 if there is no memory. */
int lstm_batch_backward(const chunk *u) {
    long B = u->B, H = u->H, G = lstm_gates_size(u), gates = G / H, tiles = round_up(B, TILE);
    long K = gates * units(u->bf16, H), ld_hidden = padded(H), ld_product = padded(K);
    float *packed = allocate(unit_blocks(u) * PANEL * K), *d_hidden = allocate(2 * tiles * ld_hidden);
    float *d_product = allocate(2 * tiles * ld_product);
    int done = packed && d_hidden && d_product && backward_steps(u, packed, d_hidden, ld_hidden, d_product, ld_product);
    free(packed);
    free(d_hidden);
    free(d_product);
    return done && input_gradients(u, G) &&
           (!u->d_recurrent_GH || multiply_transposed(u->bf16, u->threads, u->T * B, G, H, u->d_product_TBG, G,
                                                      u->hiddens_TBH, H, u->d_recurrent_GH, H));
}
