/* The GRU over a whole chunk: all steps of each block of rows, from the first to the last. */
#include "recurrent_heads.h"

/* W_rz h of a row -> its gates r and z; and r h, as the candidate's product reads it, if the reset comes before */
static void reset_row(const chunk *u, long step, long b, in product, out reset_hidden) {
    long H = u->H, G = 3 * H, row = step * u->B + b, kept = u->keeps_steps ? row : b;
    in h = u->hiddens_TBH + row * H;
    float *rz = u->gates_TBG + kept * G, *reset = u->reset_TBH + kept * H;
    add_products(2 * H, u->input_TBG + row * G, product, at_step(u, u->input_gain_G, step, G),
                 at_step(u, u->recurrent_gain_G, step, G), at_step(u, u->bias_G, step, G), u->eps,
                 u->statistics_TBS + kept * 8, in_row(u->x_hat_TBG, kept, G), rz);
    SIMD for (long k = 0; k < 2 * H; k++) rz[k] = sigmoid_(rz[k]);
    if (u->resets_before) {
        SIMD for (long k = 0; k < H; k++) reset[k] = rz[k] * h[k];
        pack_row(u->bf16, H, reset, reset_hidden);
    }
}

/* n = norm(x) + bias + r reset with reset = norm(product) + candidate_bias, and the cases of add_products */
static void add_candidate(const chunk *u, in x, in product, in x_gain, in gain, in bias, in candidate_bias, in r,
                          float *statistics, out x_hat, out reset, out n) {
    long H = u->H;
    if (!gain) {
        SIMD for (long k = 0; k < H; k++) {
            reset[k] = product[k] + candidate_bias[k];
            n[k] = x[k] + bias[k] + r[k] * reset[k];
        }
        return;
    }
    if (!x_hat) {
        SIMD for (long k = 0; k < H; k++) {
            reset[k] = product[k] * gain[k] + candidate_bias[k];
            n[k] = x[k] * x_gain[k] + bias[k] + r[k] * reset[k];
        }
        return;
    }
    mean_and_rstd(H, x, u->eps, statistics, statistics + 1);
    mean_and_rstd(H, product, u->eps, statistics + 2, statistics + 3);
    float x_mean = statistics[0], x_rstd = statistics[1], mean = statistics[2], rstd = statistics[3];
    SIMD for (long k = 0; k < H; k++) {
        x_hat[k] = (product[k] - mean) * rstd;
        reset[k] = x_hat[k] * gain[k] + candidate_bias[k];
        n[k] = (x[k] - x_mean) * x_rstd * x_gain[k] + bias[k] + r[k] * reset[k];
    }
}

/* The candidate's product -> the next hidden state; next_hidden is that as the next product reads it. */
static void candidate_row(const chunk *u, long step, long b, in product, out next_hidden) {
    long H = u->H, G = 3 * H, row = step * u->B + b, kept = u->keeps_steps ? row : b;
    in x = u->input_TBG + row * G + 2 * H, h = u->hiddens_TBH + row * H, mask = at_row(u->dropout_mask_TBH, row, H);
    float *statistics = u->statistics_TBS + kept * 8 + 4, *x_hat = in_row(u->x_hat_TBG, kept, G);
    float *r = u->gates_TBG + kept * G, *z = r + H, *n = r + 2 * H, *after = u->hiddens_TBH + (row + u->B) * H;
    in x_gain = at_row(at_step(u, u->input_gain_G, step, G), 2, H), bias = at_step(u, u->bias_G, step, G) + 2 * H;
    in gain = at_row(at_step(u, u->recurrent_gain_G, step, G), 2, H);
    if (x_hat) x_hat += 2 * H;
    if (u->resets_before) add_products(H, x, product, x_gain, gain, bias, u->eps, statistics, x_hat, n);
    else
        add_candidate(u, x, product, x_gain, gain, bias, at_step(u, u->candidate_bias_H, step, H), r, statistics, x_hat,
                      u->reset_TBH + kept * H, n);
    SIMD for (long k = 0; k < H; k++) n[k] = tanh_(n[k]);
    if (mask) SIMD for (long k = 0; k < H; k++) after[k] = (1.0f - z[k]) * n[k] * mask[k] + z[k] * h[k];
    else SIMD for (long k = 0; k < H; k++) after[k] = (1.0f - z[k]) * n[k] + z[k] * h[k];
    mix(H, after, h, at_row(u->zoneout_hidden_TBH, row, H), u->zoneout_hidden);
    pack_row(u->bf16, H, after, next_hidden);
}

/* packed: the matrix of all gates; or that of r and z, then that of the candidate, if the reset comes before */
static int forward_block(const chunk *u, long first, long rows, in packed) {
    long H = u->H, G = 3 * H, columns = u->resets_before ? 2 * H : G, K = units(u->bf16, H);
    long ld_hidden = padded(K), ld_product = padded(G), tiles = round_up(rows, TILE);
    float *hidden = allocate(tiles * (ld_hidden + ld_product)), *product = hidden + tiles * ld_hidden;
    if (!hidden) return 0;
    memset(hidden, 0, tiles * ld_hidden * sizeof(float));
    for (long r = 0; r < rows; r++)
        pack_row(u->bf16, H, u->hiddens_TBH + (first + r) * H, hidden + r * ld_hidden);
    for (long step = 0; step < u->T; step++) {
        long row = step * u->B + first, next = row + u->B, kept = u->keeps_steps ? row : first;
        const stream touched[] = {
            {u->input_TBG + row * G, G, G},     {u->gates_TBG + kept * G, G, G},
            {u->hiddens_TBH + next * H, H, H},  {u->reset_TBH + kept * H, H, H},
            {at_row(u->x_hat_TBG, kept, G), G, G},
        };
        multiply_gates(u, tiles, columns / H, hidden, ld_hidden, packed, product, ld_product, touched, 5);
        for (long r = 0; r < rows; r++) {
            reset_row(u, step, first + r, product + r * ld_product, hidden + r * ld_hidden);
            if (!u->resets_before)
                candidate_row(u, step, first + r, product + r * ld_product + 2 * H, hidden + r * ld_hidden);
        }
        if (u->resets_before) {
            multiply_gates(u, tiles, 1, hidden, ld_hidden, packed + packed_gates(u, 2), product, ld_product, NULL, 0);
            for (long r = 0; r < rows; r++)
                candidate_row(u, step, first + r, product + r * ld_product, hidden + r * ld_hidden);
        }
    }
    free(hidden);
    return 1;
}

/* Returns 0 if there is no memory. */
int gru_unroll_forward(const chunk *u) {
    long threads = u->threads, H = u->H, G = 3 * H, columns = u->resets_before ? 2 * H : G;
    long block = block_rows(u, padded(H) + padded(G)), done = 1;
    float *packed = allocate(packed_gates(u, columns / H) + (u->resets_before ? packed_gates(u, 1) : 0));
    if (!packed ||
        !multiply_all(u->bf16, threads, u->T * u->B, u->D, G, u->x_TBD, u->input_GD, 1, u->D, u->input_TBG)) {
        free(packed);
        return 0;
    }
    pack_gates(u, columns / H, u->recurrent_GH, packed);
    if (u->resets_before) pack_gates(u, 1, u->recurrent_GH + columns * H, packed + packed_gates(u, 2));
    PARALLEL_ROWS for (long first = 0; first < u->B; first += block)
        if (!forward_block(u, first, smaller(u->B - first, block), packed)) done = 0;
    free(packed);
    return done;
}
