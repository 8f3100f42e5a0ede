/* Gradients of the GRU over a whole chunk: all steps of each block of rows, from the last to the first, then the
   products of all steps. */
#include "recurrent_heads.h"

/* The gradients of the gates z and n, and of r if it multiplies the product; kept_hidden: what the hidden state gets of
   the gradient without a product. sums: gradients of the vectors, as in d_vectors. */
static void candidate_row(const chunk *u, long step, long b, out d_hidden, out kept_hidden, out d_product, out sums) {
    long H = u->H, G = 3 * H, row = step * u->B + b;
    in r = u->gates_TBG + row * G, z = r + H, n = r + 2 * H, h = u->hiddens_TBH + row * H;
    in reset = u->reset_TBH + row * H, mask = at_row(u->dropout_mask_TBH, row, H);
    in d_output = u->d_output_TBH + step * u->d_output_stride_T + b * u->d_output_stride_B;
    float *d_r = u->d_input_TBG + row * G, *d_z = d_r + H, *d_n = d_r + 2 * H;
    float *d_recurrent = u->d_product_TBG + row * G + 2 * H, *candidate_sums = sums + 3 * G;
    SIMD for (long k = 0; k < H; k++) d_hidden[k] += d_output[k] + kept_hidden[k];
    memset(kept_hidden, 0, H * sizeof(float));
    split(H, d_hidden, kept_hidden, at_row(u->zoneout_hidden_TBH, row, H), u->zoneout_hidden);
    if (mask) memcpy(d_n, mask, H * sizeof(float));
    else SIMD for (long k = 0; k < H; k++) d_n[k] = 1.0f;
    SIMD for (long k = 0; k < H; k++) {
        d_z[k] = d_hidden[k] * (h[k] - n[k] * d_n[k]) * z[k] * (1.0f - z[k]);
        d_n[k] *= d_hidden[k] * (1.0f - z[k]) * (1.0f - n[k] * n[k]);
        kept_hidden[k] += d_hidden[k] * z[k];
    }
    if (u->resets_before) memcpy(d_recurrent, d_n, H * sizeof(float));
    else SIMD for (long k = 0; k < H; k++) {
        d_r[k] = d_n[k] * reset[k] * r[k] * (1.0f - r[k]);
        d_recurrent[k] = d_n[k] * r[k];
        candidate_sums[k] += d_recurrent[k];
    }
    SIMD for (long k = 2 * H; k < G; k++) sums[k] += d_r[k];
    if (u->recurrent_gain_G) {
        in x = u->input_TBG + row * G + 2 * H, x_hat = u->x_hat_TBG + row * G + 2 * H;
        in statistics = u->statistics_TBS + row * 8 + 4;
        norm_backward(H, d_recurrent, u->recurrent_gain_G + 2 * H, x_hat, 0.0f, 1.0f, statistics[3],
                      sums + 2 * G + 2 * H, d_recurrent);
        norm_backward(H, d_n, u->input_gain_G + 2 * H, x, statistics[0], statistics[1], statistics[1],
                      sums + G + 2 * H, d_n);
    }
    if (u->resets_before) pack_gates_row(u, 1, d_recurrent, d_product);
}

/* The gradients of the gates r and z. d_reset: of r h, if the reset comes before the product */
static void reset_row(const chunk *u, long step, long b, in d_reset, out kept_hidden, out d_product, out sums) {
    long H = u->H, G = 3 * H, row = step * u->B + b;
    in r = u->gates_TBG + row * G, h = u->hiddens_TBH + row * H;
    float *d_rz = u->d_input_TBG + row * G, *d_recurrent = u->d_product_TBG + row * G;
    if (u->resets_before) SIMD for (long k = 0; k < H; k++) {
        d_rz[k] = d_reset[k] * h[k] * r[k] * (1.0f - r[k]);
        kept_hidden[k] += d_reset[k] * r[k];
    }
    SIMD for (long k = 0; k < 2 * H; k++) sums[k] += d_rz[k];
    if (u->recurrent_gain_G) {
        in x = u->input_TBG + row * G, x_hat = u->x_hat_TBG + row * G, statistics = u->statistics_TBS + row * 8;
        norm_backward(2 * H, d_rz, u->recurrent_gain_G, x_hat, 0.0f, 1.0f, statistics[3], sums + 2 * G, d_recurrent);
        norm_backward(2 * H, d_rz, u->input_gain_G, x, statistics[0], statistics[1], statistics[1], sums + G, d_rz);
    } else memcpy(d_recurrent, d_rz, 2 * H * sizeof(float));
    pack_gates_row(u, u->resets_before ? 2 : 3, d_recurrent, d_product);
}

/* packed: as in the forward pass, but with the columns of the hidden state */
static int backward_block(const chunk *u, long first, long rows, in packed, float *sums, long num_sums) {
    long B = u->B, H = u->H, G = 3 * H, tiles = round_up(rows, TILE), ld_hidden = padded(H);
    long gates = u->resets_before ? 2 : 3;
    long ld_product = padded(units(u->bf16, G)), size = tiles * (2 * ld_hidden + ld_product);
    float *d_hidden = allocate(size), *kept_hidden = d_hidden + tiles * ld_hidden;
    float *d_product = kept_hidden + tiles * ld_hidden;
    if (!d_hidden) return 0;
    memset(d_hidden, 0, size * sizeof(float));
    for (long r = 0; r < rows; r++)
        memcpy(d_hidden + r * ld_hidden, u->d_hidden_BH + (first + r) * H, H * sizeof(float));
    for (long step = u->T - 1; step >= 0; step--) {
        for (long r = 0; r < rows; r++)
            candidate_row(u, step, first + r, d_hidden + r * ld_hidden, kept_hidden + r * ld_hidden,
                          d_product + r * ld_product, sums + (first + r) / GROUP * num_sums);
        if (u->resets_before)
            multiply_gates_transposed(u, tiles, 1, d_product, ld_product, packed + packed_gates_transposed(u, 2),
                                      d_hidden, ld_hidden, NULL, 0);
        for (long r = 0; r < rows; r++)
            reset_row(u, step, first + r, d_hidden + r * ld_hidden, kept_hidden + r * ld_hidden,
                      d_product + r * ld_product, sums + (first + r) / GROUP * num_sums);
        long row = (step - 1) * B + first;
        const float *d_output = u->d_output_TBH + (step - 1) * u->d_output_stride_T + first * u->d_output_stride_B;
        const stream touched[] = {
            {u->gates_TBG + row * G, G, G},   {u->d_input_TBG + row * G, G, G},
            {u->hiddens_TBH + row * H, H, H}, {u->reset_TBH + row * H, H, H},
            {d_output, H, u->d_output_stride_B}, {u->d_product_TBG + row * G, G, G},
            {u->input_TBG + row * G, G, G},   {at_row(u->x_hat_TBG, row, G), G, G},
        };
        long num_touched = step == 0 ? 0 : u->recurrent_gain_G ? 8 : 6;
        multiply_gates_transposed(u, tiles, gates, d_product, ld_product, packed, d_hidden, ld_hidden, touched,
                                  num_touched);
    }
    for (long r = 0; r < rows; r++)
        SIMD for (long k = 0; k < H; k++)
            u->d_hidden_BH[(first + r) * H + k] = d_hidden[r * ld_hidden + k] + kept_hidden[r * ld_hidden + k];
    free(d_hidden);
    return 1;
}

/* Returns 0 if there is no memory. */
int gru_unroll_backward(const chunk *u) {
    long threads = u->threads, B = u->B, H = u->H, G = 3 * H, num_sums = 3 * G + H, done = 1;
    long gates = u->resets_before ? 2 : 3;
    long block = block_rows(u, 2 * padded(H) + padded(G)), groups = (B + GROUP - 1) / GROUP;
    long packed_size = packed_gates_transposed(u, gates) + (u->resets_before ? packed_gates_transposed(u, 1) : 0);
    float *packed = allocate(packed_size);
    float *sums = calloc(groups * num_sums, sizeof(float));
    int is_packed = packed && sums && pack_gates_transposed(u, gates, u->recurrent_GH, packed) &&
                    (!u->resets_before || pack_gates_transposed(u, 1, u->recurrent_GH + 2 * H * H,
                                                                packed + packed_gates_transposed(u, 2)));
    if (is_packed) {
        PARALLEL_ROWS for (long first = 0; first < B; first += block)
            if (!backward_block(u, first, smaller(B - first, block), packed, sums, num_sums)) done = 0;
        add_groups(u, sums, num_sums);
    } else done = 0;
    free(packed);
    free(sums);
    return done && input_gradients(u, G) && gru_recurrent_gradient(u);
}
