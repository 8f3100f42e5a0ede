/* The LSTM over a whole chunk: all steps of each block of rows, from the first to the last. */
#include "recurrent_heads.h"
#include "mogrifier.h"

/* W h of a row -> its next state; next_hidden is the hidden state as the next product reads it. */
static void forward_row(const chunk *u, long step, long b, in product, out next_hidden) {
    long H = u->H, G = lstm_gates_size(u), row = step * u->B + b, next = row + u->B, kept = u->keeps_steps ? row : b;
    in cell = u->cells_TBH + row * H, dropout_mask = at_row(u->dropout_mask_TBH, row, H);
    float *statistics = u->statistics_TBS + kept * 6;
    out a = u->gates_TBG + kept * G, written = u->tanh_TBH + kept * H, new_cell = u->new_cells_TBH + row * H;
    add_products(G, u->input_TBG + row * G, product, at_step(u, u->input_gain_G, step, G),
                 at_step(u, u->recurrent_gain_G, step, G), at_step(u, u->bias_G, step, G), u->eps, statistics,
                 in_row(u->x_hat_TBG, kept, G), a);
    float *i = a, *f = a + G - 3 * H, *g = a + G - 2 * H, *o = a + G - H;
    SIMD for (long k = 0; k < G - 2 * H; k++) a[k] = sigmoid_(a[k]);
    SIMD for (long k = 0; k < H; k++) g[k] = tanh_(g[k]);
    SIMD for (long k = 0; k < H; k++) o[k] = sigmoid_(o[k]);
    if (dropout_mask) SIMD for (long k = 0; k < H; k++) written[k] = g[k] * dropout_mask[k];
    else memcpy(written, g, H * sizeof(float));
    if (u->coupled) SIMD for (long k = 0; k < H; k++) new_cell[k] = f[k] * cell[k] + (1.0f - f[k]) * written[k];
    else SIMD for (long k = 0; k < H; k++) new_cell[k] = f[k] * cell[k] + i[k] * written[k];
    float *tanh = written;
    if (u->memory_gain_H) {
        in gain = at_step(u, u->memory_gain_H, step, H), bias = at_step(u, u->memory_bias_H, step, H);
        if (u->scales) statistics[4] = 0.0f, statistics[5] = 1.0f;
        else mean_and_rstd(H, new_cell, u->eps, statistics + 4, statistics + 5);
        float mean = statistics[4], rstd = statistics[5];
        SIMD for (long k = 0; k < H; k++) tanh[k] = tanh_((new_cell[k] - mean) * rstd * gain[k] + bias[k]);
    } else SIMD for (long k = 0; k < H; k++) tanh[k] = tanh_(new_cell[k]);
    float *hidden = u->hiddens_TBH + next * H, *after = u->cells_TBH + next * H;
    SIMD for (long k = 0; k < H; k++) hidden[k] = o[k] * tanh[k];
    if (after != new_cell) memcpy(after, new_cell, H * sizeof(float));
    mix(H, hidden, u->hiddens_TBH + row * H, at_row(u->zoneout_hidden_TBH, row, H), u->zoneout_hidden);
    mix(H, after, cell, at_row(u->zoneout_cell_TBH, row, H), u->zoneout_cell);
    pack_row(u->bf16, H, hidden, next_hidden);
}

/* packed: W; packed_rounds: the matrices of a Mogrifier, and U */
static int forward_block(const chunk *u, long first, long rows, in packed, in packed_rounds) {
    long H = u->H, G = lstm_gates_size(u), K = units(u->bf16, H), ld_hidden = padded(K), ld_product = padded(G);
    long tiles = round_up(rows, TILE), ld_x = u->rounds ? padded(u->D) : 0, ld_rounds = padded(u->D + H);
    float *hidden = allocate(tiles * (ld_hidden + ld_product + ld_x + (u->rounds ? ld_rounds : 0)));
    float *product = hidden + tiles * ld_hidden, *x = product + tiles * ld_product, *rounds = x + tiles * ld_x;
    if (!hidden) return 0;
    memset(hidden, 0, tiles * ld_hidden * sizeof(float));
    memset(x, 0, tiles * ld_x * sizeof(float));
    for (long r = 0; r < rows; r++)
        pack_row(u->bf16, H, u->hiddens_TBH + (first + r) * H, hidden + r * ld_hidden);
    for (long step = 0; step < u->T; step++) {
        long row = step * u->B + first, next = row + u->B, kept = u->keeps_steps ? row : first;
        const stream touched[] = {
            {u->input_TBG + row * G, G, G},       {u->gates_TBG + kept * G, G, G},
            {u->tanh_TBH + kept * H, H, H},       {u->hiddens_TBH + next * H, H, H},
            {u->new_cells_TBH + row * H, H, H},   {at_row(u->x_hat_TBG, kept, G), G, G},
        };
        if (u->rounds)
            mogrify(u, G, step, first, rows, packed_rounds, x, ld_x, hidden, ld_hidden, rounds, ld_rounds);
        multiply_gates(u, tiles, G / H, hidden, ld_hidden, packed, product, ld_product, touched, 6);
        for (long r = 0; r < rows; r++)
            forward_row(u, step, first + r, product + r * ld_product, hidden + r * ld_hidden);
    }
    free(hidden);
    return 1;
}

/* Returns 0 if there is no memory. */
int lstm_unroll_forward(const chunk *u) {
    long threads = u->threads, D = u->D, H = u->H, G = lstm_gates_size(u), done = 1;
    long block = block_rows(u, padded(H) + padded(G) + (u->rounds ? padded(D) + padded(D + H) : 0));
    float *packed = allocate(packed_gates(u, G / H));
    float *packed_rounds = u->rounds ? allocate(packed_size(u, 0, G)) : NULL;
    if (!packed || (u->rounds && !packed_rounds) ||
        (!u->rounds && !multiply_all(u->bf16, threads, u->T * u->B, D, G, u->x_TBD, u->input_GD, 1, D, u->input_TBG)))
        done = 0;
    else {
        pack_gates(u, G / H, u->recurrent_GH, packed);
        if (u->rounds) pack_rounds(u, 0, G, packed_rounds);
        PARALLEL_ROWS for (long first = 0; first < u->B; first += block)
            if (!forward_block(u, first, smaller(u->B - first, block), packed, packed_rounds)) done = 0;
    }
    free(packed);
    free(packed_rounds);
    return done;
}
