/* The input vector of a lane: that of its last token, and those of the n-grams before it. */
#pragma once
#include "integer_network.h"
#include <string.h>

static uint64_t mix(uint64_t hash) { /* as charlm.nn.embeddings.context, whose numbers are signed */
    uint64_t upper = hash >> 32 | (hash >> 63 ? 0xFFFFFFFF00000000u : 0);
    return (((hash ^ upper) * 0x9E3779B97F4A7C15u) >> 33) & 0x7FFFFFFFu;
}

static void put_vector(const Network *net, Scratch *s, long lane, const int16_t **rows, long num_rows) {
    int32_t *restrict sum = s->unit;
    long size = net->embedding_size;
    for (long n = 0; n < num_rows; n++) {
        const int16_t *row = rows[n];
        for (long k = 0; k < size; k++) sum[k] = n ? sum[k] + row[k] : row[k];
    }
    put_wide(net, s, 0, lane, sum);
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
