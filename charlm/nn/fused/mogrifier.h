/* The Mogrifier: before each step, input x and hidden state h gate each other in turns (charlm/nn/cells/mogrifier.py).

       round 0, 2, ...   x = 2 sigmoid(Q h) * x          round 1, 3, ...   h = 2 sigmoid(R x) * h

   Factors, results and gradients of the rounds lie one behind the other, each with the kept rows of all steps.
*/
#pragma once
#include "chunk.h"

static inline long gated_size(const chunk *u, long round) { return round % 2 ? u->H : u->D; }

static inline long gating_size(const chunk *u, long round) { return round % 2 ? u->D : u->H; }

/* The rows of a round; N rows are kept of each. */
static inline float *round_rows(const chunk *u, float *rounds, long N, long round) {
    return rounds + N * ((round + 1) / 2 * u->D + round / 2 * u->H);
}

/* What a round reads: x or h before it. `round` is of the same parity. */
static inline const float *values_before(const chunk *u, long N, long round) {
    if (round >= 2) return round_rows(u, u->results, N, round - 2);
    return round ? u->hiddens_TBH : u->x_TBD;
}

/* ---- packed matrices: of the rounds, then U. Backward, they are transposed. */

static inline long packed_round(const chunk *u, int transposed, long round) {
    long from_hidden = round_up(u->D, PANEL) * units(u->bf16, u->H);
    long from_input = round_up(u->H, PANEL) * units(u->bf16, u->D);
    long even = transposed ? from_input : from_hidden, odd = transposed ? from_hidden : from_input;
    return (round + 1) / 2 * even + round / 2 * odd;
}

static inline long packed_size(const chunk *u, int transposed, long G) {
    long of_input = transposed ? round_up(u->D, PANEL) * units(u->bf16, G) : round_up(G, PANEL) * units(u->bf16, u->D);
    return packed_round(u, transposed, u->rounds) + of_input;
}

static inline void pack_rounds(const chunk *u, int transposed, long G, out packed) {
    for (long round = 0; round < u->rounds; round++) {
        long gated = gated_size(u, round), gating = gating_size(u, round);
        in matrix = u->rounds_RM + round * u->D * u->H;
        out to = packed + packed_round(u, transposed, round);
        if (transposed) pack(u->bf16, u->threads, gated, gating, matrix, gating, 1, to);
        else pack(u->bf16, u->threads, gating, gated, matrix, 1, gating, to);
    }
    out to = packed + packed_round(u, transposed, u->rounds);
    if (transposed) pack(u->bf16, u->threads, G, u->D, u->input_GD, u->D, 1, to);
    else pack(u->bf16, u->threads, u->D, G, u->input_GD, 1, u->D, to);
}

/* ---- forward: x and hidden of a block of rows, as products read them, are gated, and U x is written to input_TBG. */

static inline void mogrify(const chunk *u, long G, long step, long first, long rows, in packed, float *x, long ld_x,
                           float *hidden, long ld_hidden, out product, long ld_product) {
    long B = u->B, row = step * B + first, kept = u->keeps_steps ? row : first, N = u->keeps_steps ? u->T * B : B;
    for (long r = 0; r < rows; r++) pack_row(u->bf16, u->D, u->x_TBD + (row + r) * u->D, x + r * ld_x);
    for (long round = 0; round < u->rounds; round++) {
        long size = gated_size(u, round), K = units(u->bf16, gating_size(u, round)), gates_hidden = round % 2;
        multiply(u->bf16, round_up(rows, TILE), K, size, gates_hidden ? x : hidden, gates_hidden ? ld_x : ld_hidden,
                 packed + packed_round(u, 0, round), product, ld_product, NULL, 0);
        const float *before = values_before(u, N, round) + (round < 2 ? row : kept) * size;
        float *factors = round_rows(u, u->factors, N, round) + kept * size;
        float *results = round_rows(u, u->results, N, round) + kept * size;
        for (long r = 0; r < rows; r++) {
            in sum = product + r * ld_product;
            SIMD for (long k = 0; k < size; k++) {
                factors[r * size + k] = 2.0f * sigmoid_(sum[k]);
                results[r * size + k] = factors[r * size + k] * before[r * size + k];
            }
            pack_row(u->bf16, size, results + r * size, gates_hidden ? hidden + r * ld_hidden : x + r * ld_x);
        }
    }
    multiply(u->bf16, rows, units(u->bf16, u->D), G, x, ld_x, packed + packed_round(u, 0, u->rounds),
             u->input_TBG + row * G, G, NULL, 0);
}

/* ---- backward: d_hidden of a block of rows comes in for the gated h, and becomes that of h before the rounds. d_x
   comes in for the gated x. product, gates: as wide as x or h */

static inline void mogrify_backward(const chunk *u, long step, long first, long rows, in packed, float *d_x, long ld_x,
                                    float *d_hidden, long ld_hidden, out product, long ld_product, out gates,
                                    long ld_gates) {
    long B = u->B, row = step * B + first, N = u->T * B;
    for (long round = u->rounds - 1; round >= 0; round--) {
        long size = gated_size(u, round), other_size = gating_size(u, round), gates_hidden = round % 2;
        const float *before = values_before(u, N, round) + row * size;
        const float *factors = round_rows(u, u->factors, N, round) + row * size;
        float *d_gates = round_rows(u, u->d_gates, N, round) + row * size;
        float *gated = gates_hidden ? d_hidden : d_x, *gating = gates_hidden ? d_x : d_hidden;
        long ld_gated = gates_hidden ? ld_hidden : ld_x, ld_gating = gates_hidden ? ld_x : ld_hidden;
        for (long r = 0; r < rows; r++) {
            float *d = gated + r * ld_gated, *d_gate = d_gates + r * size;
            in s = factors + r * size, value = before + r * size;
            SIMD for (long k = 0; k < size; k++) {
                d_gate[k] = d[k] * value[k] * s[k] * (1.0f - 0.5f * s[k]);
                d[k] *= s[k];
            }
            pack_row(u->bf16, size, d_gate, gates + r * ld_gates);
        }
        multiply(u->bf16, round_up(rows, TILE), units(u->bf16, size), other_size, gates, ld_gates,
                 packed + packed_round(u, 1, round), product, ld_product, NULL, 0);
        for (long r = 0; r < rows; r++)
            SIMD for (long k = 0; k < other_size; k++) gating[r * ld_gating + k] += product[r * ld_product + k];
    }
    if (u->d_x_TBD) for (long r = 0; r < rows; r++)
        memcpy(u->d_x_TBD + (row + r) * u->D, d_x + r * ld_x, u->D * sizeof(float));
}

/* Gradients of all matrices of the cell. Returns 0 if there is no memory. */
static inline int mogrifier_gradients(const chunk *u, long G) {
    long threads = u->threads, N = u->T * u->B, D = u->D, H = u->H, R = u->rounds;
    const float *last_x = values_before(u, N, R + R % 2), *last_h = values_before(u, N, R + 1 - R % 2);
    for (long round = 0; u->d_rounds_RM && round < R; round++) {
        long size = gated_size(u, round), other_size = gating_size(u, round);
        if (!multiply_transposed(u->bf16, threads, N, size, other_size, round_rows(u, u->d_gates, N, round), size,
                                 values_before(u, N, round + 1), other_size, u->d_rounds_RM + round * D * H,
                                 other_size))
            return 0;
    }
    return (!u->d_input_GD ||
            multiply_transposed(u->bf16, threads, N, G, D, u->d_input_TBG, G, last_x, D, u->d_input_GD, D)) &&
           (!u->d_recurrent_GH ||
            multiply_transposed(u->bf16, threads, N, G, H, u->d_product_TBG, G, last_h, H, u->d_recurrent_GH, H));
}
