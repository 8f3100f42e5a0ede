/* Powers of a network and counts of the text so far -> frequencies; counts.py is the definition, and both agree to the
   bit. Threads take lanes and only read what is shared; `update` changes it, lane after lane, on one thread. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

enum { SLOT_SYMBOLS = 7, MAX_ORDERS = 16, MAX_FOLLOWERS = 16 };
enum { MAX_CANDIDATES = (SLOT_SYMBOLS + MAX_FOLLOWERS) * MAX_ORDERS, MAX_FEATURES = 2 * (MAX_ORDERS + 1) };
enum { GATE_BITS = 16, POWER_BITS = 30, POWER_STEP_BITS = 8, SCALE_BITS = 12, FACTOR_SHIFT = 4, TOTAL_BITS = 24 };
enum { LOWEST_BONUS = -10 * 65536, HIGHEST_BONUS = 14 * 65536, MAX_COUNT = 255, MAX_UPDATES = 65535 };
enum { LOWEST_RATE = 1000, FIRST_RATE = 16384, RATE_DECAY = 128 };
enum { COUNT_BINS = 7, OTHER_BINS = 5, LEVELS = 8, COUNT_FEATURES = COUNT_BINS * OTHER_BINS };

typedef struct {
    uint16_t check, total, symbols[SLOT_SYMBOLS], counts[SLOT_SYMBOLS];
} Slot; /* a count of 0: no symbol; a total of 0: no context */

typedef struct {
    uint16_t symbol, num_features, families, features[MAX_FEATURES]; /* families: a bit for each that has a feature */
} Candidate;

typedef struct {
    const int32_t *tokens, *counts, *starts;
} Table; /* n-grams of the training text of one length; see training_tables.py */

typedef struct {
    uint32_t pairs[MAX_ORDERS];
    uint16_t checks[MAX_ORDERS];
    int64_t num_candidates;
    Candidate candidates[MAX_CANDIDATES];
} Lane;

typedef struct {
    const int32_t *powers;
    const int64_t *orders;
    int32_t *weights, *updates;
    int64_t *history;  /* of each lane: the last symbols, -1 before the first */
    int64_t *contexts; /* of each lane: the numbers of the contexts of 1, 2, ... tokens in the tables, or -1 */
    const Table *tables;
    Slot *slots;
    Lane *lanes;
    uint32_t *frequencies;
    uint8_t *scratch; /* of each thread: V numbers of 64 bits, V of 16 bits, zero at first */
    int64_t num_orders, slot_bits, vocab_size, num_tables, num_table_orders;
} Counts;

static uint32_t negative_power(const int32_t *table, uint32_t t) {
    uint32_t fraction = t & ((1u << GATE_BITS) - 1), whole = t >> GATE_BITS;
    uint32_t entry = fraction >> POWER_STEP_BITS, remainder = fraction & ((1u << POWER_STEP_BITS) - 1);
    uint64_t fall = (uint64_t)(table[entry] - table[entry + 1]) * remainder;
    uint32_t value = (uint32_t)table[entry] - (uint32_t)((fall + (1u << (POWER_STEP_BITS - 1))) >> POWER_STEP_BITS);
    return value >> (whole < POWER_BITS + 1 ? whole : POWER_BITS + 1);
}

static int count_bin(int count) { return (count >= 2) + (count >= 3) + (count >= 4) + (count >= 6) + (count >= 10) + (count >= 20); }
static int other_bin(int64_t others) { return (others >= 1) + (others >= 2) + (others >= 3) + (others >= 6); }

static Slot *find_slot(const Counts *c, long n, const Lane *lane) {
    Slot *pair = c->slots + ((size_t)n << c->slot_bits) + lane->pairs[n];
    for (int k = 0; k < 2; k++)
        if (pair[k].total && pair[k].check == lane->checks[n]) return pair + k;
    return NULL;
}

static void find_places(const Counts *c, const int64_t *history, Lane *lane) {
    int64_t longest = c->orders[c->num_orders - 1];
    uint64_t hash = 0;
    for (long length = 1, n = 0; length <= longest; length++) {
        hash = hash * 0x9E3779B97F4A7C15u + (uint64_t)(history[longest - length] + 2);
        if (c->orders[n] != length) continue;
        uint64_t mixed = (hash ^ hash >> 32) * 0x9E3779B97F4A7C15u;
        lane->pairs[n] = (uint32_t)(mixed >> (64 - c->slot_bits)) & ~1u;
        lane->checks[n++] = (uint16_t)mixed;
    }
}

static int network_level(const uint32_t *powers, uint64_t total, int symbol) {
    static const int shifts[LEVELS - 1] = {14, 11, 8, 6, 4, 2, 1};
    int level = 0;
    for (int k = 0; k < LEVELS - 1; k++) level += (uint64_t)powers[symbol] << shifts[k] >= total;
    return level;
}

/* A family of contexts: those of the slots, or those of the tables. */
typedef struct {
    int64_t first, num_orders, bit;
    int is_longest; /* whether no context of it was seen yet */
} Family;

/* marks[symbol]: 1 + the index of its candidate. */
static void add_follower(
    const uint32_t *powers, uint64_t total_power, Lane *lane, uint16_t *marks, const Family *family, long n, int symbol,
    int count, int64_t others) {
    if (!marks[symbol]) {
        lane->candidates[lane->num_candidates] = (Candidate){.symbol = (uint16_t)symbol};
        marks[symbol] = (uint16_t)++lane->num_candidates;
    }
    Candidate *candidate = &lane->candidates[marks[symbol] - 1];
    if (!(candidate->families & family->bit)) {
        long feature = family->num_orders * COUNT_FEATURES + n * 2 * LEVELS + family->is_longest * LEVELS;
        feature += network_level(powers, total_power, symbol);
        candidate->features[candidate->num_features++] = (uint16_t)(family->first + feature);
        candidate->families |= (uint16_t)family->bit;
    }
    long feature = n * COUNT_FEATURES + count_bin(count) * OTHER_BINS + other_bin(others);
    candidate->features[candidate->num_features++] = (uint16_t)(family->first + feature);
}

static void find_candidates(const Counts *c, const uint32_t *powers, long index, Lane *lane, uint16_t *marks) {
    uint64_t total_power = 0;
    for (long v = 0; v < c->vocab_size; v++) total_power += powers[v];
    lane->num_candidates = 0;
    Family slots = {0, c->num_orders, 1, 1};
    for (long n = c->num_orders - 1; n >= 0; n--) {
        const Slot *slot = find_slot(c, n, lane);
        if (!slot) continue;
        for (int k = 0; k < SLOT_SYMBOLS; k++) {
            int count = slot->counts[k];
            if (count) add_follower(powers, total_power, lane, marks, &slots, n, slot->symbols[k], count, slot->total - count);
        }
        slots.is_longest = 0;
    }
    Family tables = {c->num_orders * (COUNT_FEATURES + 2 * LEVELS), c->num_table_orders, 2, 1};
    for (long n = c->num_table_orders - 1; n >= 0; n--) {
        const Table *table = &c->tables[c->orders[n] - 1];
        int64_t context = c->contexts[index * c->num_tables + c->orders[n] - 1], total = 0;
        long start = context < 0 ? 0 : table->starts[context], end = context < 0 ? 0 : table->starts[context + 1];
        if (end == start || end - start > MAX_FOLLOWERS) continue;
        for (long k = start; k < end; k++) total += table->counts[k];
        for (long k = start; k < end; k++)
            add_follower(
                powers, total_power, lane, marks, &tables, n, table->tokens[k], table->counts[k], total - table->counts[k]);
        tables.is_longest = 0;
    }
    for (long k = 0; k < lane->num_candidates; k++) marks[lane->candidates[k].symbol] = 0;
}

static void divide(const uint64_t *scaled, long size, uint32_t *frequencies) {
    uint64_t sum = 0, amount = ((uint64_t)1 << TOTAL_BITS) - (uint64_t)size;
    for (long v = 0; v < size; v++) sum += scaled[v];
    int shift = 0;
    for (int step = 16; step; step /= 2)
        if (sum >> (shift + step) >= (uint64_t)1 << 31) shift += step;
    uint64_t ratio = (amount << 32) / ((sum >> shift) + 1);
    uint32_t left = 1u << TOTAL_BITS, largest = 0;
    for (long v = 0; v < size; v++) {
        uint32_t frequency = 1 + (uint32_t)(((scaled[v] >> shift) * ratio) >> 32);
        frequencies[v] = frequency;
        left -= frequency;
        largest = frequency > largest ? frequency : largest;
    }
    long first = 0;
    while (frequencies[first] != largest) first++;
    frequencies[first] += left;
}

static void predict_lane(const Counts *c, const uint32_t *powers, long index, uint64_t *scaled, uint16_t *marks) {
    for (long v = 0; v < c->vocab_size; v++) scaled[v] = (uint64_t)powers[v] << SCALE_BITS;
    if (c->num_orders) {
        Lane *lane = &c->lanes[index];
        find_places(c, c->history + index * c->orders[c->num_orders - 1], lane);
        find_candidates(c, powers, index, lane, marks);
        for (long k = 0; k < lane->num_candidates; k++) {
            const Candidate *candidate = &lane->candidates[k];
            int32_t bonus = 0;
            for (int f = 0; f < candidate->num_features; f++) bonus += c->weights[candidate->features[f]];
            bonus = bonus < LOWEST_BONUS ? LOWEST_BONUS : bonus > HIGHEST_BONUS ? HIGHEST_BONUS : bonus;
            uint64_t factor = negative_power(c->powers, (uint32_t)(HIGHEST_BONUS - bonus)) >> FACTOR_SHIFT;
            scaled[candidate->symbol] = powers[candidate->symbol] * factor;
        }
    }
    divide(scaled, c->vocab_size, c->frequencies + index * c->vocab_size);
}

static void count(const Counts *c, long n, const Lane *lane, int symbol) {
    Slot *slot = find_slot(c, n, lane);
    if (!slot) {
        slot = c->slots + ((size_t)n << c->slot_bits) + lane->pairs[n];
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
    slot->counts[entry]++;
    int shift = slot->counts[entry] > MAX_COUNT;
    for (int k = 0; k < SLOT_SYMBOLS; k++) total += slot->counts[k] >>= shift;
    slot->total = (uint16_t)total;
}

static void move_weight(const Counts *c, int feature, int64_t gradient) {
    int64_t rate = LOWEST_RATE + FIRST_RATE * RATE_DECAY / (RATE_DECAY + c->updates[feature]);
    int64_t moved = c->weights[feature] + ((gradient * rate + (1 << (TOTAL_BITS - 1))) >> TOTAL_BITS);
    c->weights[feature] = (int32_t)(moved < LOWEST_BONUS ? LOWEST_BONUS : moved > HIGHEST_BONUS ? HIGHEST_BONUS : moved);
    c->updates[feature] += c->updates[feature] < MAX_UPDATES;
}

long counts_size(void) { return sizeof(Counts); }
long lane_size(void) { return sizeof(Lane); }

/* Write the frequencies of the first lanes. */
void predict(const Counts *c, long threads, const uint32_t *powers, long lanes) {
    size_t scratch_size = (size_t)c->vocab_size * (sizeof(uint64_t) + sizeof(uint16_t));
    scratch_size = (scratch_size + 63) / 64 * 64;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (long lane = 0; lane < lanes; lane++) {
        long thread = 0;
#ifdef _OPENMP
        thread = omp_get_thread_num();
#endif
        uint64_t *scaled = (uint64_t *)(c->scratch + thread * scratch_size);
        predict_lane(c, powers + lane * c->vocab_size, lane, scaled, (uint16_t *)(scaled + c->vocab_size));
    }
}

/* Learn from the symbols that followed the last frequencies of as many lanes. */
void update(const Counts *c, const int64_t *symbols, long lanes) {
    for (long index = 0; index < lanes; index++) {
        const Lane *lane = &c->lanes[index];
        const uint32_t *frequencies = c->frequencies + index * c->vocab_size;
        int symbol = (int)symbols[index];
        for (long k = 0; k < lane->num_candidates; k++) {
            const Candidate *candidate = &lane->candidates[k];
            int64_t gradient = (candidate->symbol == symbol ? 1 << TOTAL_BITS : 0) - (int64_t)frequencies[candidate->symbol];
            for (int f = 0; f < candidate->num_features; f++) move_weight(c, candidate->features[f], gradient);
        }
        for (long n = 0; n < c->num_orders; n++) count(c, n, lane, symbol);
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
    long longest = c->orders[c->num_orders - 1];
    for (long lane = 0; lane < lanes; lane++) {
        int64_t *history = c->history + lane * longest;
        memmove(history, history + 1, (longest - 1) * sizeof *history);
        history[longest - 1] = symbols[lane];
        int64_t *contexts = c->contexts + lane * c->num_tables;
        for (long k = c->num_tables - 1; k > 0; k--) contexts[k] = find_ngram(&c->tables[k - 1], contexts[k - 1], symbols[lane]);
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
