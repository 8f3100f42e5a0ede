/* One step of an integer network for several lanes; reference.py is its definition, and both agree to the bit.

   Threads take lanes, and a lane is computed by one thread alone, so their number changes nothing. Only the products of
   matrices have paths for vector instructions, and sums of whole numbers do not depend on the order. bounds.py has proved
   that no signed sum leaves its type; what may wrap around is unsigned. Right shifts of negative numbers round down, as
   in every compiler that charlm runs with.
*/
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__AVX2__) || defined(__AVX512VNNI__)
#include <immintrin.h>
#endif
#ifdef _OPENMP
#include <omp.h>
#endif

enum { UNIT_BITS = 15, GATE_BITS = 16, POWER_BITS = 30, STEP_BITS = 10, POWER_STEP_BITS = 8, ROOT_BITS = 60 };
enum { ONE = 1 << UNIT_BITS, LIMIT = 16 << GATE_BITS, MAX_MEMORY = (1 << 24) - 1, ROW_TILE = 64, MAX_GROUP = 24 };
enum { PLAIN, AVX2, VNNI };
enum { RNN, GRU, LSTM };

typedef struct {
    const void *weights; /* packed for the path; see compiled.py */
    const int32_t *multipliers;
    int64_t source, columns, shift;
} Product;

typedef struct {
    const Product *products;
    const int32_t *gain; /* null without layer norm */
    int64_t num_products, rows, num_norms, norm_sizes[2], epsilon;
} Group;

typedef struct {
    Group input, recurrent;
    const int32_t *bias, *candidate_bias, *memory_gain, *memory_bias;
    int16_t *hidden; /* of each lane, as are the next */
    int32_t *memory;
    int64_t sum_shift; /* 0 if nothing reads the sum of the outputs up to this layer */
} Layer;

typedef struct {
    const int32_t *sigmoid, *tanh, *powers;
    const int16_t *tokens, *context;
    const int64_t *orders;
    const Layer *layers;
    const int32_t *head_bias;
    const int32_t *first_gates; /* of each token: what the first layer's input group gives; null if it is computed */
    int64_t *history; /* of each lane: the last symbols, -1 before the first */
    Group head;
    int64_t num_orders, buckets, longest, vocab_size, embedding_size, hidden_size, num_layers;
    int64_t cell, coupled, zoneout, zoneout_hidden, memory_epsilon, path;
} Network;

/* What one thread needs for a group of lanes. */
typedef struct {
    int8_t *high, *low; /* activations of all sources: value = high 256 + low; a narrow one has only `low` */
    int32_t *sums, *high_sums, *gates, *recurrent, *total, *unit;
    int16_t *pairs;
} Scratch;

static inline int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }
static inline int64_t shift_rounded(int64_t value, int64_t bits) { return (value + ((int64_t)1 << (bits - 1))) >> bits; }

static inline int64_t divide_rounded(int64_t value, int64_t divisor) {
    int64_t shifted = value + divisor / 2, quotient = shifted / divisor;
    return quotient - (shifted % divisor < 0);
}

static inline int32_t look_up(const int32_t *table, int32_t x) {
    x = x < -LIMIT ? -LIMIT : x > LIMIT - 1 ? LIMIT - 1 : x;
    int32_t offset = x + LIMIT, entry = offset >> STEP_BITS, remainder = offset & ((1 << STEP_BITS) - 1);
    int32_t weighted = table[entry] * ((1 << STEP_BITS) - remainder) + table[entry + 1] * remainder;
    return (weighted + (1 << (STEP_BITS - 1))) >> STEP_BITS;
}

static inline uint32_t negative_power(const int32_t *table, uint32_t t) {
    uint32_t fraction = t & ((1u << GATE_BITS) - 1), whole = t >> GATE_BITS;
    uint32_t entry = fraction >> POWER_STEP_BITS, remainder = fraction & ((1u << POWER_STEP_BITS) - 1);
    uint64_t fall = (uint64_t)(table[entry] - table[entry + 1]) * remainder;
    uint32_t value = (uint32_t)table[entry] - (uint32_t)((fall + (1u << (POWER_STEP_BITS - 1))) >> POWER_STEP_BITS);
    return value >> (whole < POWER_BITS + 1 ? whole : POWER_BITS + 1);
}

/* ---- products: sums[lane][row] = sum_k weight[row][k] activation[lane][k]; rows in tiles of 64, columns by 4 */

static void multiply_plain(const int8_t *weights, const int8_t *x, int32_t *sums, long lanes, long rows, long columns) {
    for (long row = 0; row < rows; row++)
        for (long lane = 0; lane < lanes; lane++) {
            int32_t sum = 0;
            for (long k = 0; k < columns; k++) sum += (int32_t)weights[row * columns + k] * x[lane * columns + k];
            sums[lane * rows + row] = sum;
        }
}

#ifdef __AVX512VNNI__
/* Weights are stored plus 128, as unsigned bytes, since vpdpbusd multiplies unsigned by signed ones. What that adds, 128
   times the sum of the activations, is the same for all rows of a lane, and is where the sums start. */
static inline __attribute__((always_inline)) void tile_vnni(
    const uint8_t *weights, const int8_t *x, int32_t *sums, long lanes, long rows, long columns) {
    __m512i sum[6][4];
    for (long lane = 0; lane < lanes; lane++) {
        uint32_t start = 0;
        for (long k = 0; k < columns; k++) start -= 128u * (uint32_t)x[lane * columns + k];
        for (int part = 0; part < 4; part++) sum[lane][part] = _mm512_set1_epi32((int32_t)start);
    }
    for (long k = 0; k < columns; k += 4, weights += 4 * ROW_TILE) {
        __m512i w0 = _mm512_loadu_si512(weights), w1 = _mm512_loadu_si512(weights + 64);
        __m512i w2 = _mm512_loadu_si512(weights + 128), w3 = _mm512_loadu_si512(weights + 192);
        for (long lane = 0; lane < lanes; lane++) {
            int32_t four;
            memcpy(&four, x + lane * columns + k, 4);
            __m512i a = _mm512_set1_epi32(four);
            sum[lane][0] = _mm512_dpbusd_epi32(sum[lane][0], w0, a);
            sum[lane][1] = _mm512_dpbusd_epi32(sum[lane][1], w1, a);
            sum[lane][2] = _mm512_dpbusd_epi32(sum[lane][2], w2, a);
            sum[lane][3] = _mm512_dpbusd_epi32(sum[lane][3], w3, a);
        }
    }
    for (long lane = 0; lane < lanes; lane++)
        for (int part = 0; part < 4; part++) _mm512_storeu_si512(sums + lane * rows + 16 * part, sum[lane][part]);
}

static void multiply_vnni(const uint8_t *weights, const int8_t *x, int32_t *sums, long lanes, long rows, long columns) {
    for (long row = 0; row < rows; row += ROW_TILE, weights += ROW_TILE * columns) {
        long lane = 0;
        for (; lane + 6 <= lanes; lane += 6)
            tile_vnni(weights, x + lane * columns, sums + lane * rows + row, 6, rows, columns);
        for (; lane + 2 <= lanes; lane += 2)
            tile_vnni(weights, x + lane * columns, sums + lane * rows + row, 2, rows, columns);
        if (lane < lanes) tile_vnni(weights, x + lane * columns, sums + lane * rows + row, 1, rows, columns);
    }
}
#endif

#ifdef __AVX2__
/* Weights and activations as pairs of 16 bits: vpmaddwd adds two products of them exactly. */
static inline __attribute__((always_inline)) void tile_avx2(
    const int16_t *weights, const int16_t *x, int32_t *sums, long lanes, long rows, long columns) {
    __m256i sum[4][2];
    for (long lane = 0; lane < lanes; lane++) sum[lane][0] = sum[lane][1] = _mm256_setzero_si256();
    for (long k = 0; k < columns; k += 2, weights += 32) {
        __m256i w0 = _mm256_loadu_si256((const __m256i *)weights);
        __m256i w1 = _mm256_loadu_si256((const __m256i *)(weights + 16));
        for (long lane = 0; lane < lanes; lane++) {
            int32_t two;
            memcpy(&two, x + lane * columns + k, 4);
            __m256i a = _mm256_set1_epi32(two);
            sum[lane][0] = _mm256_add_epi32(sum[lane][0], _mm256_madd_epi16(w0, a));
            sum[lane][1] = _mm256_add_epi32(sum[lane][1], _mm256_madd_epi16(w1, a));
        }
    }
    for (long lane = 0; lane < lanes; lane++)
        for (int part = 0; part < 2; part++)
            _mm256_storeu_si256((__m256i *)(sums + lane * rows + 8 * part), sum[lane][part]);
}

static void multiply_avx2(
    const int16_t *weights, const int8_t *x, int16_t *pairs, int32_t *sums, long lanes, long rows, long columns) {
    for (long k = 0; k < lanes * columns; k++) pairs[k] = x[k];
    for (long row = 0; row < rows; row += 16, weights += 16 * columns) {
        long lane = 0;
        for (; lane + 4 <= lanes; lane += 4)
            tile_avx2(weights, pairs + lane * columns, sums + lane * rows + row, 4, rows, columns);
        for (; lane < lanes; lane++)
            tile_avx2(weights, pairs + lane * columns, sums + lane * rows + row, 1, rows, columns);
    }
}
#endif

static void multiply(
    const Network *net, const void *weights, const int8_t *x, Scratch *s, int32_t *sums, long lanes, long rows,
    long columns) {
#ifdef __AVX512VNNI__
    if (net->path == VNNI) { multiply_vnni(weights, x, sums, lanes, rows, columns); return; }
#endif
#ifdef __AVX2__
    if (net->path == AVX2) { multiply_avx2(weights, x, s->pairs, sums, lanes, rows, columns); return; }
#endif
    (void)net, (void)s;
    multiply_plain(weights, x, sums, lanes, rows, columns);
}

/* ---- sources: where their activations lie in the scratch */

static int64_t largest_size(const Network *net) {
    return round_up(net->embedding_size > net->hidden_size ? net->embedding_size : net->hidden_size, 4);
}

static int64_t source_size(const Network *net, int64_t source) {
    return round_up(source ? net->hidden_size : net->embedding_size, 4);
}

static size_t source_offset(const Network *net, int64_t source) {
    return source ? (size_t)MAX_GROUP * (source_size(net, 0) + (source - 1) * source_size(net, 1)) : 0;
}

static void put_wide(const Network *net, Scratch *s, int64_t source, long lane, long k, int32_t value) {
    size_t place = source_offset(net, source) + (size_t)lane * source_size(net, source) + k;
    int32_t high = (value + 128) >> 8;
    s->high[place] = (int8_t)high;
    s->low[place] = (int8_t)(value - high * 256);
}

static void put_hidden(const Network *net, Scratch *s, int64_t layer, long lane, const int16_t *hidden) {
    int8_t *place = s->low + source_offset(net, 1 + layer) + (size_t)lane * source_size(net, 1);
    for (long k = 0; k < net->hidden_size; k++)
        place[k] = (int8_t)((hidden[k] * 127 + (1 << (UNIT_BITS - 1))) >> UNIT_BITS);
}

/* ---- layer norm */

static int64_t integer_sqrt(int64_t value) {
    int64_t root = 0;
    for (int bit = 30; bit >= 0; bit--) {
        int64_t candidate = root + ((int64_t)1 << bit);
        if (candidate * candidate <= value) root = candidate;
    }
    return root;
}

static void normalise(int32_t *x, long size, int64_t epsilon) {
    int64_t sum = 0, squares = 0, k = 0;
    for (long i = 0; i < size; i++) sum += x[i];
    int32_t mean = (int32_t)divide_rounded(sum, size);
    for (long i = 0; i < size; i++) {
        x[i] -= mean;
        squares += (int64_t)x[i] * x[i];
    }
    int64_t variance = squares / size + epsilon;
    for (int step = 16; step; step /= 2)
        if (variance << (2 * k) < (int64_t)1 << (ROOT_BITS + 2 - 2 * step)) k += step;
    int32_t inverse = (int32_t)(((int64_t)1 << ROOT_BITS) / integer_sqrt(variance << (2 * k)));
    int64_t shift = ROOT_BITS - GATE_BITS - k, half = (int64_t)1 << (shift - 1);
    for (long i = 0; i < size; i++) x[i] = (int32_t)(((int64_t)x[i] * inverse + half) >> shift);
}

static void scale_and_shift(int32_t *x, long size, const int32_t *gain, const int32_t *bias) {
    for (long i = 0; i < size; i++)
        x[i] = (int32_t)(((int64_t)x[i] * gain[i] + (1 << (GATE_BITS - 1))) >> GATE_BITS) + (bias ? bias[i] : 0);
}

/* ---- the step */

static void run_group(const Network *net, const Group *group, Scratch *s, int32_t *out, long lanes) {
    long rows = group->rows, padded = round_up(rows, ROW_TILE);
    for (long p = 0; p < group->num_products; p++) {
        const Product *product = &group->products[p];
        size_t offset = source_offset(net, product->source);
        int is_wide = product->source == 0 || product->source > net->num_layers;
        const int32_t *m = product->multipliers;
        int64_t shift = product->shift, half = (int64_t)1 << (shift - 1);
        multiply(net, product->weights, s->low + offset, s, s->sums, lanes, padded, product->columns);
        if (is_wide) multiply(net, product->weights, s->high + offset, s, s->high_sums, lanes, padded, product->columns);
        for (long lane = 0; lane < lanes; lane++) {
            const int32_t *sums = s->sums + lane * padded, *high = s->high_sums + lane * padded;
            int32_t *to = out + lane * rows;
            if (p == 0) memset(to, 0, rows * sizeof *to);
            if (is_wide)
                for (long g = 0; g < rows; g++)
                    to[g] += (int32_t)((((int64_t)high[g] * 256 + sums[g]) * m[g] + half) >> shift);
            else
                for (long g = 0; g < rows; g++) to[g] += (int32_t)(((int64_t)sums[g] * m[g] + half) >> shift);
        }
    }
    if (!group->gain) return;
    for (long lane = 0; lane < lanes; lane++) {
        int32_t *to = out + lane * rows;
        for (long n = 0, start = 0; n < group->num_norms; start += group->norm_sizes[n++])
            normalise(to + start, group->norm_sizes[n], group->epsilon);
        scale_and_shift(to, rows, group->gain, NULL);
    }
}

static inline int32_t keep(int32_t next, int32_t old, int64_t zoneout) {
    return zoneout ? next + (int32_t)shift_rounded((int64_t)(old - next) * zoneout, UNIT_BITS) : next;
}

static void run_rnn(const Network *net, const int32_t *x, int16_t *hidden) {
    for (long k = 0; k < net->hidden_size; k++)
        hidden[k] = (int16_t)keep(look_up(net->tanh, x[k]), hidden[k], net->zoneout);
}

/* x: the input's products with the bias, of which those of both gates include the recurrent ones. */
static void run_gru(const Network *net, const Layer *layer, const int32_t *x, const int32_t *recurrent, int16_t *hidden) {
    long size = net->hidden_size;
    for (long k = 0; k < size; k++) {
        int32_t reset = look_up(net->sigmoid, x[k]), update = look_up(net->sigmoid, x[size + k]);
        int64_t candidate_h = (int64_t)recurrent[2 * size + k] + layer->candidate_bias[k];
        int32_t from_h = (int32_t)shift_rounded(reset * candidate_h, UNIT_BITS);
        int32_t candidate = look_up(net->tanh, x[2 * size + k] + from_h);
        int32_t next = (int32_t)shift_rounded((int64_t)(ONE - update) * candidate + (int64_t)update * hidden[k], UNIT_BITS);
        hidden[k] = (int16_t)keep(next, hidden[k], net->zoneout);
    }
}

static void run_lstm(const Network *net, const Layer *layer, const int32_t *x, int32_t *unit, int16_t *hidden, int32_t *memory) {
    long size = net->hidden_size;
    const int32_t *i = x, *f = net->coupled ? x : x + size, *g = f + size, *o = g + size;
    for (long k = 0; k < size; k++) {
        int32_t forget = look_up(net->sigmoid, f[k]);
        int32_t entry = net->coupled ? ONE - forget : look_up(net->sigmoid, i[k]);
        int64_t summed = (int64_t)forget * memory[k] + (int64_t)2 * entry * look_up(net->tanh, g[k]);
        int32_t next = (int32_t)shift_rounded(summed, UNIT_BITS);
        next = next < -MAX_MEMORY ? -MAX_MEMORY : next > MAX_MEMORY ? MAX_MEMORY : next;
        unit[k] = next;
        memory[k] = keep(next, memory[k], net->zoneout);
    }
    if (net->memory_epsilon) {
        normalise(unit, size, net->memory_epsilon);
        scale_and_shift(unit, size, layer->memory_gain, layer->memory_bias);
    }
    for (long k = 0; k < size; k++) {
        int32_t next = (look_up(net->sigmoid, o[k]) * look_up(net->tanh, unit[k]) + (1 << (UNIT_BITS - 1))) >> UNIT_BITS;
        hidden[k] = (int16_t)keep(next, hidden[k], net->zoneout_hidden);
    }
}

static void run_cells(const Network *net, long index, Scratch *s, long first, long lanes) {
    const Layer *layer = &net->layers[index];
    long size = net->hidden_size, rows = layer->input.rows;
    long joined = net->cell == GRU ? 2 * size : rows; /* rows of which input and state are added at once */
    for (long lane = 0; lane < lanes; lane++) {
        int32_t *gates = s->gates + lane * rows, *recurrent = s->recurrent + lane * rows;
        int16_t *hidden = layer->hidden + (first + lane) * size;
        int32_t *memory = layer->memory + (first + lane) * size, *total = s->total + lane * size;
        for (long g = 0; g < rows; g++) gates[g] += layer->bias[g];
        for (long g = 0; g < joined; g++) gates[g] += recurrent[g];
        if (net->cell == RNN) run_rnn(net, gates, hidden);
        else if (net->cell == GRU) run_gru(net, layer, gates, recurrent, hidden);
        else run_lstm(net, layer, gates, s->unit, hidden, memory);
        put_hidden(net, s, index, lane, hidden);
        for (long k = 0; k < size; k++) total[k] = index ? total[k] + hidden[k] : hidden[k];
        for (long k = 0; k < size && layer->sum_shift; k++)
            put_wide(net, s, 1 + net->num_layers + index, lane, k, (int32_t)shift_rounded(total[k], layer->sum_shift));
    }
}

static uint64_t mix(uint64_t hash) { /* as charlm.nn.embeddings.context, whose numbers are signed */
    uint64_t upper = hash >> 32 | (hash >> 63 ? 0xFFFFFFFF00000000u : 0);
    return (((hash ^ upper) * 0x9E3779B97F4A7C15u) >> 33) & 0x7FFFFFFFu;
}

static void put_vector(const Network *net, Scratch *s, long lane, const int16_t **rows, long num_rows) {
    for (long k = 0; k < net->embedding_size; k++) {
        int32_t value = 0;
        for (long n = 0; n < num_rows; n++) value += rows[n][k];
        put_wide(net, s, 0, lane, k, value);
    }
}

static void embed(const Network *net, Scratch *s, long first, long lane, int64_t symbol) {
    long size = net->embedding_size, num_found = 0;
    int64_t *history = net->history + (first + lane) * net->longest;
    memmove(history, history + 1, (net->longest - 1) * sizeof *history);
    history[net->longest - 1] = symbol;
    const int16_t *rows[17] = {net->tokens + symbol * size};
    uint64_t hash = 0;
    for (long lag = 0; lag < net->longest; lag++) {
        hash = hash * 0x9E3779B97F4A7C15u + (uint64_t)(history[net->longest - 1 - lag] + 2);
        for (long n = 0; n < net->num_orders; n++)
            if (net->orders[n] == lag + 1) {
                rows[1 + num_found] = net->context + (num_found * net->buckets + mix(hash) % net->buckets) * size;
                num_found++;
            }
    }
    put_vector(net, s, lane, rows, 1 + num_found);
}

static void step_group(const Network *net, Scratch *s, const int64_t *symbols, uint32_t *powers, long first, long lanes) {
    for (long lane = 0; lane < lanes; lane++) embed(net, s, first, lane, symbols[first + lane]);
    for (long index = 0; index < net->num_layers; index++) {
        const Layer *layer = &net->layers[index];
        for (long lane = 0; lane < lanes; lane++)
            put_hidden(net, s, index, lane, layer->hidden + (first + lane) * net->hidden_size);
        run_group(net, &layer->recurrent, s, s->recurrent, lanes);
        if (index || !net->first_gates) run_group(net, &layer->input, s, s->gates, lanes);
        else
            for (long lane = 0; lane < lanes; lane++)
                memcpy(
                    s->gates + lane * layer->input.rows, net->first_gates + symbols[first + lane] * layer->input.rows,
                    layer->input.rows * sizeof *s->gates);
        run_cells(net, index, s, first, lanes);
    }
    run_group(net, &net->head, s, s->gates, lanes);
    for (long lane = 0; lane < lanes; lane++) {
        int32_t *logits = s->gates + lane * net->vocab_size, largest = INT32_MIN;
        uint32_t *out = powers + (first + lane) * net->vocab_size;
        for (long v = 0; v < net->vocab_size; v++) {
            logits[v] += net->head_bias[v];
            largest = logits[v] > largest ? logits[v] : largest;
        }
        for (long v = 0; v < net->vocab_size; v++) out[v] = negative_power(net->powers, (uint32_t)(largest - logits[v]));
    }
}

/* Lay the parts of the scratch out; return its size in bytes. */
static size_t lay_out(const Network *net, uint8_t *memory, Scratch *s) {
    size_t used = 0, lanes = MAX_GROUP;
    size_t rows = round_up(net->layers[0].input.rows > net->vocab_size ? net->layers[0].input.rows : net->vocab_size, ROW_TILE);
    size_t sources = source_offset(net, 1 + 2 * net->num_layers);
#define PART(field, count) (s->field = (void *)(memory + used), used += round_up((count) * sizeof *s->field, 64))
    PART(high, sources), PART(low, sources), PART(sums, lanes * rows), PART(high_sums, lanes * rows);
    PART(gates, lanes * rows), PART(recurrent, lanes * rows), PART(total, lanes * net->hidden_size);
    PART(unit, net->hidden_size), PART(pairs, lanes * largest_size(net));
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

/* Let the first lanes read a symbol each, and write the powers of their next symbols.
   scratch: zeros at first, scratch_size bytes for each thread. */
void step(const Network *net, long threads, uint8_t *scratch, const int64_t *symbols, long lanes, uint32_t *powers) {
    long size = (lanes + threads - 1) / threads;
    size = size > MAX_GROUP ? MAX_GROUP : size;
    long num_groups = size ? (lanes + size - 1) / size : 0;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (long group = 0; group < num_groups; group++) {
        Scratch s;
        long thread = 0, first = group * size;
#ifdef _OPENMP
        thread = omp_get_thread_num();
#endif
        lay_out(net, scratch + thread * scratch_size(net), &s);
        step_group(net, &s, symbols, powers, first, lanes - first < size ? lanes - first : size);
    }
}
