/* One step of an integer network for several lanes; reference.py is its definition, and both agree to the bit.

   Threads take lanes, and a lane is computed by one thread alone, so their number changes nothing. Only the products of
   matrices have paths for vector instructions, and sums of whole numbers do not depend on the order. bounds.py has
   proved that no signed sum leaves its type; what may wrap around is unsigned.
*/
#include "integer_cells.h"
#include "integer_embedding.h"
#include "integer_products.h"
#include "work_sharing.h"

/* Write products times their multipliers, or add them to what is there. */
static void scale(
    const Product *product, const int32_t *restrict sums, const int32_t *restrict high_sums, int32_t *restrict to,
    long rows, int adds) {
    const int32_t *m = product->multipliers;
    int64_t shift = product->shift;
    if (high_sums)
        for (long g = 0; g < rows; g++)
            to[g] = (adds ? to[g] : 0) + shift_rounded(((int64_t)high_sums[g] * 256 + sums[g]) * m[g], shift);
    else
        for (long g = 0; g < rows; g++)
            to[g] = (adds ? to[g] : 0) + shift_rounded((int64_t)sums[g] * m[g], shift);
}

static void run_group(const Network *net, const Group *group, Scratch *s, int32_t *out, long lanes) {
    long rows = group->rows, padded = round_up(rows, ROW_TILE);
    for (long p = 0; p < group->num_products; p++) {
        const Product *product = &group->products[p];
        size_t offset = source_offset(net, product->source);
        int is_wide = product->source == 0 || product->source > net->num_layers;
        multiply(net, product->weights, s->low + offset, s, s->sums, lanes, padded, product->columns);
        if (is_wide)
            multiply(net, product->weights, s->high + offset, s, s->high_sums, lanes, padded, product->columns);
        for (long lane = 0; lane < lanes; lane++) {
            const int32_t *high_sums = is_wide ? s->high_sums + lane * padded : NULL;
            int32_t *to = out + lane * rows;
            scale(product, s->sums + lane * padded, high_sums, to, rows, p > 0);
            if (p + 1 < group->num_products) continue;
            for (long n = 0, start = 0; n < group->num_norms; start += group->norm_sizes[n++])
                normalise(to + start, group->norm_sizes[n], group->epsilon, group->gain + start, NULL);
        }
    }
}

static void run_cells(
    const Network *net, const Layer *layer, Scratch *s, const int64_t *symbols, long first, long lanes) {
    long size = net->hidden_size, rows = layer->input.rows, index = layer - net->layers;
    long joined = net->cell == GRU ? 2 * size : rows; /* rows of which input and state are added at once */
    const int32_t *bias = layer->bias;
    for (long lane = 0; lane < lanes; lane++) {
        const int32_t *input = s->input + lane * rows, *recurrent = s->recurrent + lane * rows;
        if (!index && net->first_gates) input = net->first_gates + symbols[first + lane] * rows;
        int16_t *hidden = layer->hidden + (first + lane) * size;
        int32_t *memory = layer->memory + (first + lane) * size, *total = s->total + lane * size, *x = s->gates;
        for (long g = 0; g < joined; g++) x[g] = input[g] + recurrent[g] + bias[g];
        for (long g = joined; g < rows; g++) x[g] = input[g] + bias[g];
        if (net->cell == RNN) run_rnn(net, s, x, hidden);
        else if (net->cell == GRU) run_gru(net, layer, s, x, recurrent, hidden);
        else run_lstm(net, layer, s, x, hidden, memory);
        put_hidden(net, s, index, lane, hidden);
        for (long k = 0; k < size; k++) total[k] = index ? total[k] + hidden[k] : hidden[k];
        if (!layer->sum_shift) continue;
        for (long k = 0; k < size; k++) s->unit[k] = shift_rounded(total[k], layer->sum_shift);
        put_wide(net, s, 1 + net->num_layers + index, lane, s->unit);
    }
}

static void step_group(
    const Network *net, Scratch *s, const int64_t *symbols, uint32_t *powers, long first, long lanes) {
    for (long lane = 0; lane < lanes; lane++) embed(net, s, first, lane, symbols[first + lane]);
    for (long index = 0; index < net->num_layers; index++) {
        const Layer *layer = &net->layers[index];
        for (long lane = 0; lane < lanes; lane++)
            put_hidden(net, s, index, lane, layer->hidden + (first + lane) * net->hidden_size);
        run_group(net, &layer->recurrent, s, s->recurrent, lanes);
        if (index || !net->first_gates) run_group(net, &layer->input, s, s->input, lanes);
        run_cells(net, layer, s, symbols, first, lanes);
    }
    run_group(net, &net->head, s, s->input, lanes);
    long size = net->vocab_size;
    const int32_t *bias = net->head_bias;
    for (long lane = 0; lane < lanes; lane++) {
        int32_t *logits = s->input + lane * size, largest = INT32_MIN;
        for (long v = 0; v < size; v++) {
            logits[v] += bias[v];
            largest = logits[v] > largest ? logits[v] : largest;
        }
        negative_powers(net->powers, largest, logits, s->entries, powers + (first + lane) * size, size);
    }
}

/* Lay the parts of the scratch out; return its size in bytes. */
static size_t lay_out(const Network *net, uint8_t *memory, Scratch *s) {
    size_t used = 0, lanes = MAX_GROUP;
    int64_t gates = net->layers[0].input.rows;
    size_t rows = round_up(gates > net->vocab_size ? gates : net->vocab_size, ROW_TILE);
    size_t sources = source_offset(net, 1 + 2 * net->num_layers);
#define PART(field, count) (s->field = (void *)(memory + used), used += round_up((count) * sizeof *s->field, 64))
    PART(high, sources), PART(low, sources), PART(sums, lanes * rows), PART(high_sums, lanes * rows);
    PART(input, lanes * rows), PART(recurrent, lanes * rows), PART(total, lanes * net->hidden_size);
    PART(gates, rows), PART(unit, largest_size(net)), PART(entries, rows);
    PART(x_16, lanes * largest_size(net)), PART(weights_16, largest_size(net));
#undef PART
    return used;
}

long network_size(void) { return sizeof(Network); }

long best_path(void) {
#if defined(__AVX512VNNI__)
    return VNNI;
#elif defined(__AVX2__)
    return AVX2;
#else
    return PLAIN;
#endif
}

long scratch_size(const Network *net) {
    Scratch s;
    uint8_t nothing = 0;
    return (long)lay_out(net, &nothing, &s);
}

/* Compute the input group of the first layer for every token: rows numbers each, for inputs without context n-grams. */
void fill_first_gates(const Network *net, uint8_t *scratch, int32_t *gates) {
    Scratch s;
    lay_out(net, scratch, &s);
    const Group *group = &net->layers[0].input;
    for (int64_t token = 0; token < net->vocab_size; token++) {
        const int16_t *row = net->tokens + token * net->embedding_size;
        put_vector(net, &s, 0, &row, 1);
        run_group(net, group, &s, gates + token * group->rows, 1);
    }
}

/* What uses the powers of some lanes, with what it needs; null if nothing does. */
typedef void (*PowerReader)(const void *with, long thread, const uint32_t *powers, long first, long lanes);

typedef struct {
    const Network *net;
    uint8_t *scratch;
    const int64_t *symbols;
    uint32_t *powers;
    PowerReader reader;
    const void *with;
    long lanes, size;
} Step;

static void run_part(const void *job, long thread, long part) {
    const Step *step = job;
    Scratch s;
    long first = part * step->size, left = step->lanes - first, lanes = left < step->size ? left : step->size;
    lay_out(step->net, step->scratch + thread * scratch_size(step->net), &s);
    step_group(step->net, &s, step->symbols, step->powers, first, lanes);
    if (step->reader) step->reader(step->with, thread, step->powers, first, lanes);
}

/* Let the first lanes read a symbol each, and write the powers of their next symbols.
   scratch: zeros at first, scratch_size bytes for each thread.
   reader: called for each group of lanes by the thread that computed it. */
void step(
    const Network *net, long threads, uint8_t *scratch, const int64_t *symbols, long lanes, uint32_t *powers,
    PowerReader reader, const void *with) {
    if (!lanes) return;
    long lanes_of_thread = (lanes + threads - 1) / threads;
    long groups_of_thread = (lanes_of_thread + MAX_GROUP - 1) / MAX_GROUP; /* as long as each other, so none waits */
    long size = (lanes_of_thread + groups_of_thread - 1) / groups_of_thread;
    Step job = {net, scratch, symbols, powers, reader, with, lanes, size};
    share_work(run_part, &job, (lanes + size - 1) / size, threads);
}
