/* Powers of a network, and counts of the text so far and of the training text -> frequencies; counts.py is the
   definition, and both agree to the bit. The threads of the network take lanes and only read what is shared; `update`
   changes it, lane after lane, on one thread. */
#include "candidates.h"
#include "mixing.h"

/* Give the network's share of what no candidate has, and round so that the frequencies sum to 2**24.
   power: the sum of the powers of all symbols that are no candidates; remaining: their probability, 32 bits. */
static void share_out(
    const Counts *c, const uint32_t *powers, const Lane *lane, uint64_t power, uint64_t remaining,
    const uint64_t *shares, uint32_t *frequencies) {
    uint64_t amount = ((uint64_t)1 << TOTAL_BITS) - (uint64_t)c->vocab_size;
    int shift = 0;
    for (int step = 16; step; step /= 2)
        if (power >> (shift + step) >= (uint64_t)1 << 31) shift += step;
    uint64_t ratio = remaining * amount / (power ? power >> shift : 1);
    for (long v = 0; v < c->vocab_size; v++)
        frequencies[v] = 1 + (uint32_t)(((((uint64_t)powers[v] + 1) >> shift) * ratio) >> 32);
    for (long k = 0; k < lane->num_candidates; k++)
        frequencies[lane->candidates[k].symbol] = 1 + (uint32_t)((shares[k] * amount) >> 32);
    uint32_t left = 1u << TOTAL_BITS, largest = 0;
    for (long v = 0; v < c->vocab_size; v++) {
        left -= frequencies[v];
        largest = frequencies[v] > largest ? frequencies[v] : largest;
    }
    long first = 0;
    while (frequencies[first] != largest) first++;
    frequencies[first] += left;
}

static void predict_lane(const Counts *c, const uint32_t *powers, long index, uint16_t *marks) {
    Lane *lane = &c->lanes[index];
    Evidence evidence;
    Rest rest = {.power = (uint64_t)c->vocab_size};
    uint64_t remaining = (uint64_t)1 << 32, shares[MAX_CANDIDATES];
    for (long v = 0; v < c->vocab_size; v++) rest.power += powers[v];
    lane->num_candidates = 0;
    if (c->num_orders) {
        const int64_t *last = c->history + (index + 1) * c->history_size - 1;
        lane->num_candidates = find_candidates(c, index, lane, &evidence, marks, powers, rest.power);
        for (long k = 0; k < lane->num_candidates; k++) {
            lane->candidates[k].symbol = evidence.found[k].symbol;
            find_corrections(c, last, &lane->candidates[k]);
        }
        memcpy(rest.counts, evidence.totals, sizeof rest.counts);
        for (long k = 0; k < lane->num_candidates; k++) {
            const Found *found = &evidence.found[k];
            uint64_t power = (uint64_t)powers[found->symbol] + 1;
            int32_t p = predict_candidate(c, last, found, power, k, &rest, &lane->candidates[k]);
            shares[k] = (remaining * (uint64_t)p) >> 16;
            remaining -= shares[k];
        }
    }
    share_out(c, powers, lane, rest.power, remaining, shares, c->frequencies + index * c->vocab_size);
}

long counts_size(void) { return sizeof(Counts); }
long lane_size(void) { return sizeof(Lane); }

/* Write the frequencies of some lanes; the network calls it when their powers are there. */
void predict_lanes(const Counts *c, long thread, const uint32_t *powers, long first, long lanes) {
    if (lanes) find_places(c, first);
    for (long lane = first; lane < first + lanes; lane++) {
        if (lane + 1 < first + lanes) find_places(c, lane + 1);
        predict_lane(c, powers + lane * c->vocab_size, lane, c->marks + thread * c->vocab_size);
    }
}

/* Write the frequencies of the first lanes, without a network that calls predict_lanes. */
void predict(const Counts *c, const uint32_t *powers, long lanes) { predict_lanes(c, 0, powers, 0, lanes); }

/* Learn from the symbols that followed the last frequencies of as many lanes. */
void update(const Counts *c, const int64_t *symbols, long lanes) {
    for (long index = 0; index < lanes; index++) {
        const Lane *lane = &c->lanes[index];
        int is_next = 0;
        for (long n = 0; n < c->num_orders && index + 1 < lanes; n++) __builtin_prefetch(pair_of(c, n, lane + 1), 1);
        for (long k = 0; k < lane->num_candidates && !is_next; k++) {
            is_next = lane->candidates[k].symbol == symbols[index];
            learn_candidate(c, &lane->candidates[k], is_next);
        }
        for (long n = 0; n < c->num_orders; n++) count(c, n, lane, symbols[index]);
    }
}

/* The index of an n-gram in a table, or -1. */
static int64_t find_ngram(const Table *table, int64_t context, int64_t token) {
    if (context < 0) return -1;
    int64_t low = table->starts[context], high = table->starts[context + 1];
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (table->tokens[middle] < token) low = middle + 1;
        else high = middle;
    }
    return low < table->starts[context + 1] && table->tokens[low] == token ? low : -1;
}

/* Let the first lanes go on to these symbols. */
void read_symbols(const Counts *c, const int64_t *symbols, long lanes) {
    if (!c->num_orders) return;
    long size = c->history_size;
    for (long lane = 0; lane < lanes; lane++) {
        int64_t *history = c->history + lane * size;
        memmove(history, history + 1, (size - 1) * sizeof *history);
        history[size - 1] = symbols[lane];
        int64_t *contexts = c->contexts + lane * c->num_tables;
        for (long k = c->num_tables - 1; k > 0; k--)
            contexts[k] = find_ngram(&c->tables[k - 1], contexts[k - 1], symbols[lane]);
        if (c->num_tables) contexts[0] = symbols[lane];
    }
}

/* Write the sum of the frequencies below each symbol, and its own. */
void find_intervals(const Counts *c, const int64_t *symbols, long lanes, uint32_t *low, uint32_t *own) {
    for (long lane = 0; lane < lanes; lane++) {
        const uint32_t *frequencies = c->frequencies + lane * c->vocab_size;
        uint32_t sum = 0;
        for (long v = 0; v < symbols[lane]; v++) sum += frequencies[v];
        low[lane] = sum;
        own[lane] = frequencies[symbols[lane]];
    }
}
