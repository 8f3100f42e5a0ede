/* What lstm_forward.c and lstm_backward.c share: the LSTM over a whole chunk, for fp32, called by lstm_unroll.py.

       x ── U of all steps ──────────────────────────┐
       hidden ── packed W, block of rows ── norm ── gates ── memory ── norm ── hidden of the next step

   The rows of a batch do not depend on one another. A thread takes a block of rows through all steps, so that no thread
   waits for another, and the products, gates and norms of a step stay in its cache. Results do not depend on the number
   of threads.

   T time, B batch, D inputs, H hidden, G gates: 4 H in the order i, f, g, o, or 3 H, f, g, o, if coupled.
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
    long threads, T, B, D, H, coupled;
    long keeps_steps; /* whether a backward pass follows */
    long bf16;        /* whether the factors of products are rounded to bf16 */
    float eps, zoneout_hidden, zoneout_cell; /* the probabilities in evaluation; in training, there are masks */
    const float *x_TBD, *input_GD, *recurrent_GH, *bias_G;
    const float *input_gain_G, *recurrent_gain_G, *memory_gain_H, *memory_bias_H;
    const float *dropout_mask_TBH, *zoneout_hidden_TBH, *zoneout_cell_TBH;
    float *input_TBG;               /* U x, before its norm */
    float *hiddens_TBH, *cells_TBH; /* T + 1 states: before the first step, and after each */
    float *new_cells_TBH;           /* before zoneout: cells_TBH from step 1 on if there is none */
    float *gates_TBG, *x_hat_TBG, *tanh_TBH, *statistics_TB6; /* a single step unless keeps_steps */
    const float *d_output_TBH;
    long d_output_stride_T, d_output_stride_B;
    float *d_hidden_BH, *d_cell_BH; /* of the last state, then of the first */
    float *d_input_TBG, *d_product_TBG, *d_x_TBD, *d_input_GD, *d_recurrent_GH;
    float *d_vectors; /* of the bias G, the gains of inputs G and recurrence G, gain and bias of the memory H each */
} lstm_unroll;

static inline long gates_size(const lstm_unroll *u) { return (u->coupled ? 3 : 4) * u->H; }

static inline in at_row(in x, long row, long size) { return x ? x + row * size : NULL; }

/* Rows of a block: as many for each thread, and few enough for its cache */
static inline long block_rows(const lstm_unroll *u, long floats_per_row) {
    long most = MAX_BLOCK_BYTES / (long)sizeof(float) / floats_per_row / GROUP * GROUP;
    most = most < GROUP ? GROUP : smaller(most, MAX_BLOCK_ROWS);
    long share = (u->B + u->threads - 1) / u->threads, parts = (share + most - 1) / most;
    return round_up((share + parts - 1) / parts, GROUP);
}
