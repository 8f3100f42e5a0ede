/* Gradients of the GRU with batch normalisation over a whole chunk: all steps, each by blocks of hidden units, from the
   last to the first, then the products of all steps. */
#include "columns.h"
#include "recurrent_heads.h"

/* What a thread needs for a block of units: gradients of the norms of the inputs' products and of the recurrent
   products, and what was normalised; the statistics, parameters and sums of their columns */
typedef struct {
    float *d_x, *d_product, *x, *x_hat; /* B rows of a panel for each gate */
    float x_mean[3 * PANEL], x_rstd[3 * PANEL], rstd[3 * PANEL], gain[3 * PANEL], x_gain[3 * PANEL];
    float x_sum[3 * PANEL], x_dot[3 * PANEL], sum[3 * PANEL], dot[3 * PANEL];
} block;

static void load_columns(const chunk *u, block *k, long step, long first, long gate, long gates) {
    long H = u->H, G = 3 * H, at = gate * H, width = smaller(H - first, PANEL);
    in means = u->means_TS + step * 2 * G + at, variances = u->variances_TS + step * 2 * G + at;
    load_gates(gates, H, first, width, u->input_gain_G + at, k->x_gain);
    load_gates(gates, H, first, width, u->recurrent_gain_G + at, k->gain);
    load_gates(gates, H, first, width, means, k->x_mean);
    load_gates(gates, H, first, width, variances, k->x_rstd);
    load_gates(gates, H, first, width, variances + G, k->rstd);
    for (long g = 0; g < gates * PANEL; g += PANEL) {
        inverse_deviations(k->x_rstd + g, u->eps, k->x_rstd + g);
        inverse_deviations(k->rstd + g, u->eps, k->rstd + g);
    }
    memset(k->x_sum, 0, sizeof(k->x_sum) * 4);
}

/* From the gradients of the norms, of gates from `gate` on, those of the products and of the vectors. d_product: as the
   product with W reads them, gate by gate */
static void norms_backward(const chunk *u, block *k, long step, long first, long gate, long gates, out d_product,
                           long ld_product) {
    long B = u->B, H = u->H, G = 3 * H, at = gate * H, width = smaller(H - first, PANEL), size = gates * PANEL;
    load_columns(u, k, step, first, gate, gates);
    for (long b = 0; b < B; b++) {
        long row = step * B + b;
        float *x = k->x + b * size, *x_hat = k->x_hat + b * size;
        in d_x = k->d_x + b * size, d = k->d_product + b * size;
        load_gates(gates, H, first, width, u->input_TBG + row * G + at, x);
        load_gates(gates, H, first, width, u->x_hat_TBG + row * G + at, x_hat);
        SIMD for (long j = 0; j < size; j++) {
            x[j] = (x[j] - k->x_mean[j]) * k->x_rstd[j];
            k->x_sum[j] += d_x[j];
            k->x_dot[j] += d_x[j] * x[j];
            k->sum[j] += d[j];
            k->dot[j] += d[j] * x_hat[j];
        }
    }
    for (long b = 0; b < B; b++) {
        long row = step * B + b;
        float *x = k->x + b * size, *x_hat = k->x_hat + b * size;
        in d_x = k->d_x + b * size, d = k->d_product + b * size;
        SIMD for (long j = 0; j < size; j++) {
            x_hat[j] = k->gain[j] * k->rstd[j] * (d[j] - (k->sum[j] + x_hat[j] * k->dot[j]) / (float)B);
            x[j] = k->x_gain[j] * k->x_rstd[j] * (d_x[j] - (k->x_sum[j] + x[j] * k->x_dot[j]) / (float)B);
        }
        store_gates(gates, H, first, width, x_hat, u->d_product_TBG + row * G + at);
        store_gates(gates, H, first, width, x, u->d_input_TBG + row * G + at);
        for (long g = 0; g < gates; g++)
            pack_row(u->bf16, width, x_hat + g * PANEL,
                     d_product + b * ld_product + (gate + g) * units(u->bf16, H) + units(u->bf16, first));
    }
    add_columns(gates, H, first, width, k->x_sum, u->d_vectors + at);
    add_columns(gates, H, first, width, k->x_dot, u->d_vectors + G + at);
    add_columns(gates, H, first, width, k->dot, u->d_vectors + 2 * G + at);
}

/* The gradients of the gates z and n of a row before their norms; kept_hidden: what the hidden state gets of the
   gradient without a product */
static void candidate_row(const chunk *u, long step, long b, long first, long width, out d_hidden, out kept_hidden,
                          out d_z, out d_n) {
    long H = u->H, row = step * u->B + b, at = row * H + first;
    in z = u->gates_TBG + row * 3 * H + H + first, n = z + H, h = u->hiddens_TBH + at;
    in d_output = u->d_output_TBH + step * u->d_output_stride_T + b * u->d_output_stride_B + first;
    SIMD for (long j = 0; j < width; j++) d_hidden[j] += d_output[j] + kept_hidden[j];
    memset(kept_hidden, 0, width * sizeof(float));
    split(width, d_hidden, kept_hidden, at_row(u->zoneout_hidden_TBH, at, 1), u->zoneout_hidden);
    copy_or_fill(width, at_row(u->dropout_mask_TBH, at, 1), 1.0f, d_n);
    SIMD for (long j = 0; j < width; j++) {
        d_z[j] = d_hidden[j] * (h[j] - n[j] * d_n[j]) * z[j] * (1.0f - z[j]);
        d_n[j] *= d_hidden[j] * (1.0f - z[j]) * (1.0f - n[j] * n[j]);
        kept_hidden[j] += d_hidden[j] * z[j];
    }
}

/* A step of a block of units with the reset after the product */
static void backward_units(const chunk *u, block *k, long step, long first, float *d_hidden, float *kept_hidden,
                           long ld, out d_product, long ld_product) {
    long B = u->B, H = u->H, width = smaller(H - first, PANEL);
    for (long b = 0; b < B; b++) {
        long row = step * B + b;
        float *d_r = k->d_x + b * 3 * PANEL, *d_z = d_r + PANEL, *d_n = d_r + 2 * PANEL;
        float *d = k->d_product + b * 3 * PANEL;
        in r = u->gates_TBG + row * 3 * H + first, reset = u->reset_TBH + row * H + first;
        candidate_row(u, step, b, first, width, d_hidden + b * ld + first, kept_hidden + b * ld + first, d_z, d_n);
        SIMD for (long j = 0; j < width; j++) {
            d_r[j] = d_n[j] * reset[j] * r[j] * (1.0f - r[j]);
            d[j] = d_r[j];
            d[PANEL + j] = d_z[j];
            d[2 * PANEL + j] = d_n[j] * r[j];
        }
    }
    norms_backward(u, k, step, first, 0, 3, d_product, ld_product);
    add_columns(1, H, first, width, k->sum + 2 * PANEL, u->d_vectors + 9 * H);
}

/* The first part of a step with the reset before the product: the gradient of the candidate's product; that of z is
   left for the second part. */
static void candidate_units(const chunk *u, block *k, long step, long first, float *d_hidden, float *kept_hidden,
                            long ld, out d_product, long ld_product) {
    long B = u->B, H = u->H, width = smaller(H - first, PANEL);
    for (long b = 0; b < B; b++) {
        float *d_z = u->d_input_TBG + (step * B + b) * 3 * H + H + first, *d_n = k->d_x + b * PANEL;
        candidate_row(u, step, b, first, width, d_hidden + b * ld + first, kept_hidden + b * ld + first, d_z, d_n);
    }
    memcpy(k->d_product, k->d_x, B * PANEL * sizeof(float));
    norms_backward(u, k, step, first, 2, 1, d_product, ld_product);
}

/* The second part: the gradients of the products of r and z. d_reset: the gradient of r h */
static void reset_units(const chunk *u, block *k, long step, long first, const float *d_reset, float *kept_hidden,
                        long ld, out d_product, long ld_product) {
    long B = u->B, H = u->H, width = smaller(H - first, PANEL);
    for (long b = 0; b < B; b++) {
        long row = step * B + b;
        float *d_r = k->d_x + b * 2 * PANEL, *kept = kept_hidden + b * ld + first;
        in r = u->gates_TBG + row * 3 * H + first, h = u->hiddens_TBH + row * H + first;
        in d = d_reset + b * ld + first;
        SIMD for (long j = 0; j < width; j++) {
            d_r[j] = d[j] * h[j] * r[j] * (1.0f - r[j]);
            kept[j] += d[j] * r[j];
        }
        copy_units(width, u->d_input_TBG + row * 3 * H + H + first, d_r + PANEL);
    }
    memcpy(k->d_product, k->d_x, B * 2 * PANEL * sizeof(float));
    norms_backward(u, k, step, first, 0, 2, d_product, ld_product);
}

/* d_hidden of a block of units = the gradients of the products of some gates times their matrices. `next`: a step of
   which the block's columns are fetched into the cache meanwhile, or -1 */
static void multiply_units_of(const chunk *u, long first, long gate, long gates, in d_product, long ld_product,
                              in packed, float *d_hidden, long ld, long next) {
    long H = u->H, G = 3 * H, K = units(u->bf16, H), width = smaller(H - first, PANEL), row = next * u->B, count = 0;
    stream touched[20];
    if (next >= 0) {
        const float *of_gates[] = {u->gates_TBG, u->x_hat_TBG, u->input_TBG, u->d_product_TBG, u->d_input_TBG};
        for (int i = 0; i < 5; i++) count = add_streams(touched, count, 3, H, first, width, of_gates[i] + row * G);
        count = add_streams(touched, count, 1, H, first, width, u->hiddens_TBH + row * H);
        count = add_streams(touched, count, 1, H, first, width, u->reset_TBH + row * H);
        in d_output = u->d_output_TBH + next * u->d_output_stride_T + first;
        touched[count++] = (stream){d_output, width, u->d_output_stride_B};
    }
    multiply(u->bf16, round_up(u->B, TILE), gates * K, width, d_product + gate * K, ld_product,
             packed + gate * PANEL * K, d_hidden + first, ld, touched, count);
}

/* All steps of the blocks of units of this thread. d_hidden: then kept_hidden; d_product: two buffers, of which steps
   use one in turns, so that none is written while another thread reads it */
static int backward_thread(const chunk *u, team *all, in packed, float *d_hidden, long ld, float *d_product,
                           long ld_product) {
    long tiles = round_up(u->B, TILE), blocks = unit_blocks(u), me = this_thread(), size = 4 * tiles * 3 * PANEL;
    long begin = me * blocks / all->threads, end = (me + 1) * blocks / all->threads;
    long block_size = 3 * PANEL * units(u->bf16, u->H), gates = u->resets_before ? 2 : 3;
    float *kept_hidden = d_hidden + tiles * ld;
    block k;
    k.d_x = allocate(size);
    if (k.d_x) memset(k.d_x, 0, size * sizeof(float));
    else begin = end;
    k.d_product = k.d_x + tiles * 3 * PANEL;
    k.x = k.d_product + tiles * 3 * PANEL;
    k.x_hat = k.x + tiles * 3 * PANEL;
    memset(k.x_mean, 0, sizeof(k) - offsetof(block, x_mean));
    for (long step = u->T - 1; step >= 0; step--) {
        float *d = d_product + step % 2 * tiles * ld_product;
        for (long i = begin; i < end; i++)
            (u->resets_before ? candidate_units : backward_units)(u, &k, step, i * PANEL, d_hidden, kept_hidden, ld, d,
                                                                  ld_product);
        wait_for_all(all);
        if (u->resets_before) {
            for (long i = begin; i < end; i++) {
                multiply_units_of(u, i * PANEL, 2, 1, d, ld_product, packed + i * block_size, d_hidden, ld, -1);
                reset_units(u, &k, step, i * PANEL, d_hidden, kept_hidden, ld, d, ld_product);
            }
            wait_for_all(all);
        }
        for (long i = begin; i < end; i++)
            multiply_units_of(u, i * PANEL, 0, gates, d, ld_product, packed + i * block_size, d_hidden, ld, step - 1);
    }
    free(k.d_x);
    return k.d_x != NULL;
}

static int backward_steps(const chunk *u, float *packed, float *d_hidden, long ld, float *d_product, long ld_product) {
    long threads = smaller(u->threads, unit_blocks(u)), B = u->B, H = u->H, K = units(u->bf16, H), done = 1;
    long tiles = round_up(B, TILE);
    team all = {.threads = 1};
    memset(d_hidden, 0, 2 * tiles * ld * sizeof(float));
    memset(d_product, 0, 2 * tiles * ld_product * sizeof(float));
    memset(u->d_vectors, 0, 10 * H * sizeof(float));
    for (long b = 0; b < B; b++) memcpy(d_hidden + b * ld, u->d_hidden_BH + b * H, H * sizeof(float));
    PARALLEL_ROWS for (long panel = 0; panel < unit_blocks(u) * 3; panel++) {
        long first = panel / 3 * PANEL;
        in gate = u->recurrent_GH + panel % 3 * H * H;
        pack(u->bf16, 1, H, smaller(H - first, PANEL), gate + first, H, 1, packed + panel * PANEL * K);
    }
    _Pragma("omp parallel num_threads(threads)") {
        _Pragma("omp single") all.threads = found_threads();
        if (!backward_thread(u, &all, packed, d_hidden, ld, d_product, ld_product)) done = 0;
    }
    for (long b = 0; b < B; b++)
        for (long j = 0; j < H; j++) u->d_hidden_BH[b * H + j] = d_hidden[b * ld + j] + d_hidden[(tiles + b) * ld + j];
    return done;
}

/* Returns 0 if there is no memory. */
int gru_batch_backward(const chunk *u) {
    long H = u->H, tiles = round_up(u->B, TILE), K = units(u->bf16, H), ld = padded(H), ld_product = padded(3 * K);
    float *packed = allocate(unit_blocks(u) * PANEL * 3 * K), *d_hidden = allocate(2 * tiles * ld);
    float *d_product = allocate(2 * tiles * ld_product);
    int done = packed && d_hidden && d_product && backward_steps(u, packed, d_hidden, ld, d_product, ld_product);
    free(packed);
    free(d_hidden);
    free(d_product);
    return done && input_gradients(u, 3 * H) && gru_recurrent_gradient(u);
}
