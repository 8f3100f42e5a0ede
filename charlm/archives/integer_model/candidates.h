/* The candidates of a lane: symbols that its contexts know, and the likeliest of the network, the best first. */
#pragma once
#include "counts.h"
#include <string.h>

static Slot *pair_of(const Counts *c, long n, const Lane *lane) {
    return c->slots + ((size_t)n << c->slot_bits) + lane->pairs[n];
}

static Slot *find_slot(const Counts *c, long n, const Lane *lane) {
    Slot *pair = pair_of(c, n, lane);
    for (int k = 0; k < 2; k++)
        if (pair[k].total && pair[k].check == lane->checks[n]) return pair + k;
    return NULL;
}

/* Find where the counts of a lane's contexts lie, and fetch them: they are used when the lane before it is done. */
static void find_places(const Counts *c, long index) {
    const int64_t *history = c->history + index * c->history_size;
    Lane *lane = &c->lanes[index];
    uint64_t hash = 0;
    for (long length = 1, n = 0; n < c->num_orders; length++) {
        hash = hash * 0x9E3779B97F4A7C15u + (uint64_t)(history[c->history_size - length] + 2);
        if (c->orders[n] != length) continue;
        uint64_t mixed = (hash ^ hash >> 32) * 0x9E3779B97F4A7C15u;
        lane->pairs[n] = (uint32_t)(mixed >> (64 - c->slot_bits)) & ~1u;
        lane->checks[n] = (uint16_t)mixed;
        __builtin_prefetch(pair_of(c, n++, lane));
    }
}

/* Return a symbol among those found, and add it if it is new. marks[symbol]: 1 + its index. */
static Found *find_symbol(
    Evidence *e, uint16_t *marks, const uint32_t *powers, uint64_t total_power, int64_t symbol) {
    if (!marks[symbol]) {
        Found *added = &e->found[e->num_found];
        memset(added, 0, sizeof *added);
        added->symbol = symbol;
        added->score = ((uint64_t)powers[symbol] << 16) / total_power;
        marks[symbol] = (uint16_t)++e->num_found;
    }
    return &e->found[marks[symbol] - 1];
}

/* A longer context counts for more. */
static uint64_t score_of_count(long n, int64_t total, int shift) {
    return ((uint64_t)((n + 1) * (n + 1)) << shift) / (uint64_t)(total + 1);
}

static void add_slots(
    const Counts *c, const Lane *lane, Evidence *e, uint16_t *marks, const uint32_t *powers, uint64_t total_power) {
    for (long n = 0; n < c->num_orders; n++) {
        const Slot *slot = find_slot(c, n, lane);
        e->totals[n] = slot ? slot->total : 0;
        uint64_t score = score_of_count(n, e->totals[n], 13);
        for (int k = 0; slot && k < SLOT_SYMBOLS; k++) {
            if (!slot->counts[k]) continue;
            Found *found = find_symbol(e, marks, powers, total_power, slot->symbols[k]);
            found->counts[n] = slot->counts[k];
            found->is_last |= (uint32_t)(slot->last == k) << n;
            found->score += score * slot->counts[k];
        }
    }
}

static void add_tables(
    const Counts *c, long index, Evidence *e, uint16_t *marks, const uint32_t *powers, uint64_t total_power) {
    for (long n = 0; n < c->num_table_orders; n++) {
        const Table *table = &c->tables[c->orders[n] - 1];
        int64_t context = c->contexts[index * c->num_tables + c->orders[n] - 1], total = 0;
        long start = context < 0 ? 0 : table->starts[context], end = context < 0 ? 0 : table->starts[context + 1];
        if (end - start > MAX_FOLLOWERS) end = start;
        for (long k = start; k < end; k++) total += table->counts[k];
        e->totals[c->num_orders + n] = total;
        uint64_t score = score_of_count(n, total, 12);
        for (long k = start; k < end; k++) {
            Found *found = find_symbol(e, marks, powers, total_power, table->tokens[k]);
            found->counts[c->num_orders + n] = table->counts[k];
            found->score += score * (uint64_t)table->counts[k];
        }
    }
}

/* Add the likeliest symbols of the network, of those that have 2**-TOP_SHIFT of all. */
static void add_tops(
    const Counts *c, Evidence *e, uint16_t *marks, const uint32_t *powers, uint64_t total_power) {
    int64_t tops[NUM_TOPS];
    long num_tops = 0;
    for (long v = 0; v < c->vocab_size; v++) {
        if ((uint64_t)powers[v] << TOP_SHIFT < total_power) continue;
        if (num_tops == NUM_TOPS && powers[v] <= powers[tops[NUM_TOPS - 1]]) continue;
        long k = num_tops < NUM_TOPS ? num_tops++ : NUM_TOPS - 1;
        for (; k && powers[tops[k - 1]] < powers[v]; k--) tops[k] = tops[k - 1];
        tops[k] = v;
    }
    for (long k = 0; k < num_tops; k++) find_symbol(e, marks, powers, total_power, tops[k]);
}

/* Find what is known of the next symbol; bring the first MAX_CANDIDATES into order, and return how many they are. */
static long find_candidates(
    const Counts *c, long index, const Lane *lane, Evidence *e, uint16_t *marks, const uint32_t *powers,
    uint64_t total_power) {
    e->num_found = 0;
    add_slots(c, lane, e, marks, powers, total_power);
    add_tables(c, index, e, marks, powers, total_power);
    add_tops(c, e, marks, powers, total_power);
    long num_candidates = e->num_found < MAX_CANDIDATES ? e->num_found : MAX_CANDIDATES;
    for (long k = 0; k < e->num_found; k++) marks[e->found[k].symbol] = 0;
    for (long k = 0; k < num_candidates; k++) {
        long best = k;
        for (long other = k + 1; other < e->num_found; other++) {
            const Found *a = &e->found[other], *b = &e->found[best];
            if (a->score > b->score || (a->score == b->score && a->symbol < b->symbol)) best = other;
        }
        Found first = e->found[best];
        e->found[best] = e->found[k];
        e->found[k] = first;
    }
    return num_candidates;
}

static void count(const Counts *c, long n, const Lane *lane, int64_t symbol) {
    Slot *slot = find_slot(c, n, lane);
    if (!slot) {
        slot = pair_of(c, n, lane);
        slot += slot[1].total < slot[0].total;
        memset(slot->counts, 0, sizeof slot->counts);
        slot->check = lane->checks[n];
    }
    int entry = -1, least = 0, total = 0;
    for (int k = 0; k < SLOT_SYMBOLS; k++) {
        if (entry < 0 && slot->counts[k] && slot->symbols[k] == symbol) entry = k;
        if (slot->counts[k] < slot->counts[least]) least = k;
    }
    if (entry < 0) slot->counts[entry = least] = 0;
    slot->symbols[entry] = (uint16_t)symbol;
    if (slot->counts[entry] == MAX_COUNT)
        for (int k = 0; k < SLOT_SYMBOLS; k++) slot->counts[k] >>= 1;
    slot->counts[entry]++;
    slot->last = (uint8_t)entry;
    for (int k = 0; k < SLOT_SYMBOLS; k++) total += slot->counts[k];
    slot->total = (uint16_t)total;
}
