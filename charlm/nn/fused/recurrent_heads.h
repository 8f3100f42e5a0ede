/* Products with recurrent matrices of `heads` blocks on the diagonal: a head is W = H / heads units, which read one
   another alone. The matrix of a gate has H rows and columns, and those outside of its blocks are not read.

   Gates are packed head by head, then gate by gate. With one head, all gates together are one block. */
#pragma once
#include "chunk.h"

static inline long num_heads(const chunk *u) { return u->heads > 1 ? u->heads : 1; }

static inline long head_width(const chunk *u) { return u->H / num_heads(u); }

/* The blocks of a head that are multiplied at a time, and their rows: those of a gate; of all gates if there is one
   head */
static inline long num_blocks(const chunk *u, long gates) { return num_heads(u) > 1 ? gates : 1; }

static inline long block_columns(const chunk *u, long gates) { return num_heads(u) > 1 ? head_width(u) : gates * u->H; }

/* ---- hidden state -> products of gates */

static inline long packed_block(const chunk *u, long gates) {
    return round_up(block_columns(u, gates), PANEL) * units(u->bf16, head_width(u));
}

static inline long packed_gates(const chunk *u, long gates) {
    return num_heads(u) * num_blocks(u, gates) * packed_block(u, gates);
}

/* w: the first row of the gates in W_GH */
static inline void pack_gates(const chunk *u, long gates, in w, out packed) {
    long H = u->H, W = head_width(u), blocks = num_blocks(u, gates), columns = block_columns(u, gates);
    for (long j = 0; j < num_heads(u); j++)
        for (long q = 0; q < blocks; q++)
            pack(u->bf16, u->threads, W, columns, w + (q * H + j * W) * H + j * W, 1, H,
                 packed + (j * blocks + q) * packed_block(u, gates));
}

/* product = W hidden of these gates, for rows of packed units */
static inline void multiply_gates(const chunk *u, long rows, long gates, in hidden, long ld_hidden, in packed,
                                  out product, long ld_product, const stream *next, long num_next) {
    long W = head_width(u), K = units(u->bf16, W), blocks = num_blocks(u, gates);
    for (long j = 0; j < num_heads(u); j++)
        for (long q = 0; q < blocks; q++, num_next = 0)
            multiply(u->bf16, rows, K, block_columns(u, gates), hidden + j * K, ld_hidden,
                     packed + (j * blocks + q) * packed_block(u, gates), product + q * u->H + j * W, ld_product, next,
                     num_next);
}

/* ---- gradients of these products -> gradient of the hidden state */

static inline long packed_head_transposed(const chunk *u, long gates) {
    return round_up(head_width(u), PANEL) * units(u->bf16, gates * head_width(u));
}

static inline long packed_gates_transposed(const chunk *u, long gates) {
    return num_heads(u) * packed_head_transposed(u, gates);
}

/* Returns 0 if there is no memory. */
static inline int pack_gates_transposed(const chunk *u, long gates, in w, out packed) {
    long H = u->H, W = head_width(u);
    if (num_heads(u) == 1) {
        pack(u->bf16, u->threads, gates * H, H, w, H, 1, packed);
        return 1;
    }
    float *rows = allocate(gates * W * W);
    if (!rows) return 0;
    for (long j = 0; j < num_heads(u); j++) {
        for (long row = 0; row < gates * W; row++)
            memcpy(rows + row * W, w + (row / W * H + j * W + row % W) * H + j * W, W * sizeof(float));
        pack(u->bf16, u->threads, gates * W, W, rows, W, 1, packed + j * packed_head_transposed(u, gates));
    }
    free(rows);
    return 1;
}

/* A row of gradients of these gates as multiply_gates_transposed reads it */
static inline void pack_gates_row(const chunk *u, long gates, in d_product, out packed) {
    long W = head_width(u), blocks = num_blocks(u, gates), columns = block_columns(u, gates);
    for (long j = 0; j < num_heads(u); j++)
        for (long q = 0; q < blocks; q++)
            pack_row(u->bf16, columns, d_product + q * u->H + j * W,
                     packed + (j * blocks + q) * units(u->bf16, columns));
}

static inline void multiply_gates_transposed(const chunk *u, long rows, long gates, in d_product, long ld_product,
                                             in packed, out d_hidden, long ld_hidden, const stream *next,
                                             long num_next) {
    long W = head_width(u), K = units(u->bf16, gates * W);
    for (long j = 0; j < num_heads(u); j++, num_next = 0)
        multiply(u->bf16, rows, K, W, d_product + j * K, ld_product, packed + j * packed_head_transposed(u, gates),
                 d_hidden + j * W, ld_hidden, next, num_next);
}

/* The gradient of the matrix of these gates; outside of its blocks it is 0. d_product: the first of them in rows of the
   stride ld_product; read_NH: what the product read. Returns 0 if there is no memory. */
static inline int gates_gradient(const chunk *u, long gates, in d_product, long ld_product, in read_NH, out d_w) {
    long N = u->T * u->B, H = u->H, W = head_width(u), columns = block_columns(u, gates), done = 1;
    if (num_heads(u) > 1) memset(d_w, 0, gates * H * H * sizeof(float));
    for (long j = 0; j < num_heads(u); j++)
        for (long q = 0; q < num_blocks(u, gates); q++)
            done &= multiply_transposed(u->bf16, u->threads, N, columns, W, d_product + q * H + j * W, ld_product,
                                        read_NH + j * W, H, d_w + (q * H + j * W) * H + j * W, H);
    return (int)done;
}

/* The gradient of the recurrent matrix of a GRU, whose candidate's part reads r h if the reset comes before */
static inline int gru_recurrent_gradient(const chunk *u) {
    long H = u->H, G = 3 * H;
    if (!u->d_recurrent_GH) return 1;
    return gates_gradient(u, u->resets_before ? 2 : 3, u->d_product_TBG, G, u->hiddens_TBH, u->d_recurrent_GH) &&
           (!u->resets_before ||
            gates_gradient(u, 1, u->d_product_TBG + 2 * H, G, u->reset_TBH, u->d_recurrent_GH + 2 * H * H));
}
