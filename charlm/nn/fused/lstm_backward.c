/* Gradients of the LSTM over a whole chunk: all steps of each block of rows, from the last to the first, then the
   products of all steps. */
#include "recurrent_heads.h"
#include "mogrifier.h"

/* d_hidden, kept_hidden: the gradient of the hidden state through the next product, and what zoneout passes on of it.
   sums: gradients of the vectors, as in d_vectors. work: 3 H. */
static void backward_row(const chunk *u, long step, long b, out d_hidden, out kept_hidden, out d_product,
                         out sums, out work) {
    long H = u->H, G = lstm_gates_size(u), row = step * u->B + b;
    in a = u->gates_TBG + row * G, tanh = u->tanh_TBH + row * H, cell = u->cells_TBH + row * H;
    in i = a, f = a + G - 3 * H, g = a + G - 2 * H, o = a + G - H, statistics = u->statistics_TBS + row * 6;
    in d_output = u->d_output_TBH + step * u->d_output_stride_T + b * u->d_output_stride_B;
    in mask = at_row(u->dropout_mask_TBH, row, H);
    out d_cell = u->d_cell_BH + b * H, kept_cell = work, d_read = work + H, d_memory = work + 2 * H;
    out d_gates = u->d_input_TBG + row * G;
    float *d_i = d_gates, *d_f = d_gates + G - 3 * H, *d_g = d_gates + G - 2 * H, *d_o = d_gates + G - H;
    SIMD for (long k = 0; k < H; k++) d_hidden[k] += d_output[k] + kept_hidden[k];
    split(H, d_hidden, kept_hidden, at_row(u->zoneout_hidden_TBH, row, H), u->zoneout_hidden);
    split(H, d_cell, kept_cell, at_row(u->zoneout_cell_TBH, row, H), u->zoneout_cell);
    SIMD for (long k = 0; k < H; k++) {
        d_read[k] = d_hidden[k] * o[k] * (1.0f - tanh[k] * tanh[k]);
        d_o[k] = d_hidden[k] * tanh[k] * o[k] * (1.0f - o[k]);
    }
    if (u->memory_gain_H) {
        out d_bias = sums + 3 * G + H;
        in new_cell = u->new_cells_TBH + row * H;
        norm_backward(H, d_read, u->memory_gain_H, new_cell, statistics[4], statistics[5], statistics[5],
                      sums + 3 * G, d_memory);
        SIMD for (long k = 0; k < H; k++) d_bias[k] += d_read[k];
        SIMD for (long k = 0; k < H; k++) d_cell[k] += d_memory[k];
    } else SIMD for (long k = 0; k < H; k++) d_cell[k] += d_read[k];
    if (mask) memcpy(d_g, mask, H * sizeof(float));
    else SIMD for (long k = 0; k < H; k++) d_g[k] = 1.0f;
    if (u->coupled) SIMD for (long k = 0; k < H; k++) {
        d_f[k] = d_cell[k] * (cell[k] - g[k] * d_g[k]) * f[k] * (1.0f - f[k]);
        d_g[k] *= d_cell[k] * (1.0f - f[k]) * (1.0f - g[k] * g[k]);
    }
    else SIMD for (long k = 0; k < H; k++) {
        d_i[k] = d_cell[k] * g[k] * d_g[k] * i[k] * (1.0f - i[k]);
        d_f[k] = d_cell[k] * cell[k] * f[k] * (1.0f - f[k]);
        d_g[k] *= d_cell[k] * i[k] * (1.0f - g[k] * g[k]);
    }
    SIMD for (long k = 0; k < H; k++) d_cell[k] = d_cell[k] * f[k] + kept_cell[k];
    SIMD for (long k = 0; k < G; k++) sums[k] += d_gates[k];
    if (u->recurrent_gain_G) {
        in x = u->input_TBG + row * G, x_hat = u->x_hat_TBG + row * G;
        out d_recurrent = u->d_product_TBG + row * G;
        norm_backward(G, d_gates, u->recurrent_gain_G, x_hat, 0.0f, 1.0f, statistics[3], sums + 2 * G, d_recurrent);
        norm_backward(G, d_gates, u->input_gain_G, x, statistics[0], statistics[1], statistics[1], sums + G, d_gates);
        pack_gates_row(u, G / H, d_recurrent, d_product);
    } else pack_gates_row(u, G / H, d_gates, d_product);
}

/* packed: W; packed_rounds: the matrices of a Mogrifier, and U */
static int backward_block(const chunk *u, long first, long rows, in packed, in packed_rounds, float *sums,
                          long num_sums) {
    long B = u->B, H = u->H, G = lstm_gates_size(u), tiles = round_up(rows, TILE), ld_hidden = padded(H);
    long K = units(u->bf16, G), ld_product = padded(K), ld_x = u->rounds ? padded(u->D + H) : 0;
    long size = tiles * (2 * ld_hidden + ld_product + 3 * ld_x) + 3 * H;
    float *d_hidden = allocate(size), *kept_hidden = d_hidden + tiles * ld_hidden;
    float *d_product = kept_hidden + tiles * ld_hidden, *work = d_product + tiles * ld_product, *d_x = work + 3 * H;
    if (!d_hidden) return 0;
    memset(d_hidden, 0, size * sizeof(float));
    for (long r = 0; r < rows; r++)
        memcpy(d_hidden + r * ld_hidden, u->d_hidden_BH + (first + r) * H, H * sizeof(float));
    for (long step = u->T - 1; step >= 0; step--) {
        for (long r = 0; r < rows; r++)
            backward_row(u, step, first + r, d_hidden + r * ld_hidden, kept_hidden + r * ld_hidden,
                         d_product + r * ld_product, sums + (first + r) / GROUP * num_sums, work);
        long row = (step - 1) * B + first;
        const float *d_output = u->d_output_TBH + (step - 1) * u->d_output_stride_T + first * u->d_output_stride_B;
        const stream touched[] = {
            {u->gates_TBG + row * G, G, G},
            {u->d_input_TBG + row * G, G, G},
            {u->cells_TBH + row * H, H, H},
            {u->tanh_TBH + row * H, H, H},
            {d_output, H, u->d_output_stride_B},
            {u->input_TBG + row * G, G, G},
            {at_row(u->x_hat_TBG, row, G), G, G},
            {u->d_product_TBG + row * G, G, G},
        };
        long num_touched = step == 0 ? 0 : u->recurrent_gain_G ? 8 : 5;
        multiply_gates_transposed(u, tiles, G / H, d_product, ld_product, packed, d_hidden, ld_hidden, touched,
                                  num_touched);
        if (u->rounds) {
            for (long r = 0; r < rows; r++)
                pack_row(u->bf16, G, u->d_input_TBG + (row + B + r) * G, d_product + r * ld_product);
            multiply(u->bf16, tiles, K, u->D, d_product, ld_product, packed_rounds + packed_round(u, 1, u->rounds), d_x,
                     ld_x, NULL, 0);
            mogrify_backward(u, step, first, rows, packed_rounds, d_x, ld_x, d_hidden, ld_hidden, d_x + tiles * ld_x,
                             ld_x, d_x + 2 * tiles * ld_x, ld_x);
        }
    }
    for (long r = 0; r < rows; r++)
        SIMD for (long k = 0; k < H; k++)
            u->d_hidden_BH[(first + r) * H + k] = d_hidden[r * ld_hidden + k] + kept_hidden[r * ld_hidden + k];
    free(d_hidden);
    return 1;
}

static int weight_gradients(const chunk *u, long G) {
    if (u->rounds) return mogrifier_gradients(u, G);
    return input_gradients(u, G) &&
           (!u->d_recurrent_GH ||
            gates_gradient(u, G / u->H, u->d_product_TBG, G, u->hiddens_TBH, u->d_recurrent_GH));
}

/* Returns 0 if there is no memory. */
int lstm_unroll_backward(const chunk *u) {
    long threads = u->threads, B = u->B, H = u->H, G = lstm_gates_size(u), num_sums = 3 * G + 2 * H, done = 1;
    long block = block_rows(u, 2 * padded(H) + padded(G) + (u->rounds ? 3 * padded(u->D + H) : 0));
    long groups = (B + GROUP - 1) / GROUP;
    float *packed = allocate(packed_gates_transposed(u, G / H)), *sums = calloc(groups * num_sums, sizeof(float));
    float *packed_rounds = u->rounds ? allocate(packed_size(u, 1, G)) : NULL;
    if (packed && sums && (packed_rounds || !u->rounds) && pack_gates_transposed(u, G / H, u->recurrent_GH, packed)) {
        if (u->rounds) pack_rounds(u, 1, G, packed_rounds);
        PARALLEL_ROWS for (long first = 0; first < B; first += block)
            if (!backward_block(u, first, smaller(B - first, block), packed, packed_rounds, sums, num_sums)) done = 0;
        add_groups(u, sums, num_sums);
    } else done = 0;
    free(packed);
    free(packed_rounds);
    free(sums);
    return done && weight_gradients(u, G);
}
