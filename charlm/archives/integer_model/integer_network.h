/* An integer network in C: what a model consists of, laid out by compiled.py, and where its activations lie. */
#pragma once
#include "fixed_point.h"
#include <stddef.h>

enum { ROW_TILE = 64, MAX_GROUP = 24 }; /* rows of a tile of weights; lanes that a thread computes at a time */
enum { PLAIN, AVX2, VNNI };
enum { RNN, GRU, LSTM };

typedef struct {
    const void *weights; /* packed for the path; see packing.py */
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
    const uint32_t *sigmoid, *tanh; /* two values in each entry; see look_up */
    const int32_t *powers;
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
    int32_t *sums, *high_sums, *input, *recurrent, *total;
    int32_t *gates, *unit; /* of one lane, as is the next */
    uint32_t *entries;
    int16_t *x_16, *weights_16; /* activations of all lanes, and a row of weights, for paths that need 16 bits */
} Scratch;

static int64_t largest_size(const Network *net) {
    return round_up(net->embedding_size > net->hidden_size ? net->embedding_size : net->hidden_size, 4);
}

static int64_t source_size(const Network *net, int64_t source) {
    return round_up(source ? net->hidden_size : net->embedding_size, 4);
}

static size_t source_offset(const Network *net, int64_t source) {
    return source ? (size_t)MAX_GROUP * (source_size(net, 0) + (source - 1) * source_size(net, 1)) : 0;
}

static void put_wide(const Network *net, Scratch *s, int64_t source, long lane, const int32_t *restrict values) {
    size_t place = source_offset(net, source) + (size_t)lane * source_size(net, source);
    long size = source ? net->hidden_size : net->embedding_size;
    int8_t *restrict high = s->high + place, *restrict low = s->low + place;
    for (long k = 0; k < size; k++) {
        high[k] = (int8_t)((values[k] + 128) >> 8);
        low[k] = (int8_t)values[k];
    }
}

static void put_hidden(const Network *net, Scratch *s, int64_t layer, long lane, const int16_t *restrict hidden) {
    int8_t *restrict place = s->low + source_offset(net, 1 + layer) + (size_t)lane * source_size(net, 1);
    long size = net->hidden_size;
    for (long k = 0; k < size; k++) place[k] = (int8_t)((hidden[k] * 127 + (1 << (UNIT_BITS - 1))) >> UNIT_BITS);
}
