/* The probability that a candidate comes next, given that those before it do not; mixing.py is the definition. */
#pragma once
#include "counts.h"

enum { RATE = 3, FIRST_RATE = 16, RATE_DECAY = 256, MAX_UPDATES = 65535, MAX_STATE_UPDATES = 255 };
enum { LARGEST_WEIGHT = 16 << 16, STATE_BITS = 22, CORRECTION_SHIFT = 4, LEAST_P = 16 };

static inline int32_t clamp(int64_t value, int32_t limit) {
    return (int32_t)(value < -limit ? -limit : value > limit ? limit : value);
}

/* log2 of a whole number above 0. */
static int32_t logarithm(const Counts *c, uint64_t value) {
    int exponent = 63 - __builtin_clzll(value);
    int over = exponent - MANTISSA_BITS;
    uint64_t mantissa = over < 0 ? value << -over : value >> over;
    return (exponent << LOGIT_BITS) + c->logarithms[mantissa - (1 << MANTISSA_BITS)];
}

static inline int32_t squash(const Counts *c, int32_t logit) { return c->squashed[logit + LARGEST_LOGIT]; }

static int count_bin(int64_t count) {
    return (count >= 1) + (count >= 2) + (count >= 3) + (count >= 4) + (count >= 6) + (count >= 10) + (count >= 20) +
           (count >= 40) + (count >= 100);
}

/* What is left for a candidate and those after it: of the network's powers, and of each context's counts. */
typedef struct {
    uint64_t power;
    int64_t counts[MAX_SOURCES];
} Rest;

/* The numbers of contexts that choose weights. */
typedef struct {
    int64_t longest, knows, longest_table; /* 1 + the index of the longest context, of that which knows the candidate */
} Lengths;

static Lengths put_inputs(const Counts *c, const Found *found, uint64_t power, Rest *rest, Candidate *candidate) {
    long num_sources = c->num_orders + c->num_table_orders;
    Lengths lengths = {0, 0, 0};
    rest->power -= power;
    candidate->inputs[0] = LARGEST_LOGIT;
    if (rest->power) candidate->inputs[0] = clamp(logarithm(c, power) - logarithm(c, rest->power), LARGEST_LOGIT);
    candidate->inputs[1] = 1 << LOGIT_BITS;
    for (long k = 0; k < num_sources; k++) {
        int64_t count = found->counts[k], left = rest->counts[k];
        candidate->states[k] = NO_STATE;
        candidate->inputs[2 + k] = 0;
        if (!left) continue;
        int state = (count_bin(count) * COUNT_BINS + count_bin(left - count)) * 2 + (found->is_last >> k & 1);
        candidate->states[k] = state;
        candidate->inputs[2 + k] = c->logits[c->states[k * NUM_STATES + state].p >> (STATE_BITS - MANTISSA_BITS)];
        rest->counts[k] = left - count;
        if (k >= c->num_orders) lengths.longest_table = k - c->num_orders + 1;
        else lengths.longest = k + 1;
        if (k < c->num_orders && count) lengths.knows = k + 1;
    }
    return lengths;
}

/* Find the corrections that are chosen by a candidate and the last symbols, and fetch them.
   history: its last symbol, behind the one before it. */
static void find_corrections(const Counts *c, const int64_t *history, Candidate *candidate) {
    uint64_t hash = (uint64_t)(candidate->symbol + 2) * 0x9E3779B97F4A7C15u + (uint64_t)(history[0] + 2);
    for (int k = 0; k < NUM_CORRECTIONS; k++) {
        uint64_t mixed = (hash ^ hash >> 32) * 0x9E3779B97F4A7C15u;
        size_t row = ((size_t)k << CORRECTION_BITS) + (mixed >> (64 - CORRECTION_BITS));
        candidate->corrections[k] = c->corrections + row * NUM_KNOTS;
        __builtin_prefetch(candidate->corrections[k]);
        __builtin_prefetch(candidate->corrections[k] + NUM_KNOTS - 1);
        hash = hash * 0x9E3779B97F4A7C15u + (uint64_t)(history[-1] + 2);
    }
}

/* Correct the probability of a candidate, and keep the knots that learn from it. */
static void correct(Candidate *candidate) {
    enum { SPAN = 2 * LARGEST_LOGIT / (NUM_KNOTS - 1) };
    int32_t place = candidate->mixed + LARGEST_LOGIT, knot = place / SPAN;
    knot = knot < NUM_KNOTS - 2 ? knot : NUM_KNOTS - 2;
    int32_t within = place - knot * SPAN;
    int32_t sum = 2 * candidate->final;
    for (int k = 0; k < NUM_CORRECTIONS; k++) {
        uint16_t *knots = candidate->corrections[k] + knot;
        candidate->corrections[k] = knots + (2 * within > SPAN);
        sum += (knots[0] * (SPAN - within) + knots[1] * within) / SPAN;
    }
    candidate->final = (sum + 2) >> 2;
}

/* Return the probability of a candidate, 16 bits after the point.
   history: its last symbol, behind the one before it. */
static int32_t predict_candidate(
    const Counts *c, const int64_t *history, const Found *found, uint64_t power, long rank, Rest *rest,
    Candidate *candidate) {
    long num_inputs = 2 + c->num_orders + c->num_table_orders;
    Lengths lengths = put_inputs(c, found, power, rest, candidate);
    rank = rank < NUM_RANKS ? rank : NUM_RANKS - 1;
    int64_t expected = (candidate->inputs[0] >> LOGIT_BITS) + 10;
    expected = expected < 0 ? 0 : expected > 15 ? 15 : expected;
    int64_t contexts[NUM_CHOICES] = {
        lengths.longest * (MAX_ORDERS + 1) + lengths.knows, expected * (MAX_ORDERS + 1) + lengths.longest_table,
        rank * 128 + (history[0] & 127)};
    candidate->final_weights = c->final + (rank * (MAX_ORDERS + 1) + lengths.longest) * NUM_CHOICES;
    int64_t mixed = 1 << 15;
    for (int j = 0; j < NUM_CHOICES; j++) {
        Weights *weights = candidate->chosen[j] = c->weights + j * NUM_CONTEXTS + contexts[j];
        int64_t sum = 1 << 15;
        for (long k = 0; k < num_inputs; k++) sum += (int64_t)weights->weights[k] * candidate->inputs[k];
        candidate->logits[j] = clamp(sum >> 16, LARGEST_LOGIT);
        candidate->p[j] = squash(c, candidate->logits[j]);
        mixed += (int64_t)candidate->final_weights[j] * candidate->logits[j];
    }
    candidate->mixed = clamp(mixed >> 16, LARGEST_LOGIT);
    candidate->mixed_p = candidate->final = squash(c, candidate->mixed);
    correct(candidate);
    int32_t p = candidate->final, largest = (1 << 16) - LEAST_P;
    return p < LEAST_P ? LEAST_P : p > largest ? largest : p;
}

static void learn_state(State *state, int is_next) {
    int64_t target = is_next ? (1 << STATE_BITS) - 1 : 0;
    int64_t moved = ((target - (int64_t)state->p) * (131072 / (2 * (int32_t)state->updates + 3))) >> 16;
    state->p = (uint32_t)((int64_t)state->p + moved);
    state->updates += state->updates < MAX_STATE_UPDATES;
}

static void learn_candidate(const Counts *c, const Candidate *candidate, int is_next) {
    long num_sources = c->num_orders + c->num_table_orders;
    int32_t target = is_next << 16;
    for (int j = 0; j < NUM_CHOICES; j++) {
        int32_t *weight = candidate->final_weights + j;
        int64_t step = (int64_t)candidate->logits[j] * (target - candidate->mixed_p);
        *weight = clamp(*weight + ((step + (1 << 15)) >> 16), LARGEST_WEIGHT);
    }
    for (int j = 0; j < NUM_CHOICES; j++) {
        Weights *weights = candidate->chosen[j];
        int64_t rate = RATE + FIRST_RATE * RATE_DECAY / (RATE_DECAY + weights->updates);
        int64_t error = (int64_t)(target - candidate->p[j]) * rate;
        weights->updates += weights->updates < MAX_UPDATES;
        for (long k = 0; k < 2 + num_sources; k++) {
            int64_t moved = (candidate->inputs[k] * error + (1 << 17)) >> 18;
            weights->weights[k] = clamp(weights->weights[k] + moved, LARGEST_WEIGHT);
        }
    }
    for (long k = 0; k < num_sources; k++)
        if (candidate->states[k] != NO_STATE) learn_state(&c->states[k * NUM_STATES + candidate->states[k]], is_next);
    for (int k = 0; k < NUM_CORRECTIONS; k++) {
        uint16_t *knot = candidate->corrections[k];
        int32_t away = (is_next ? 65535 : 0) - *knot;
        *knot = (uint16_t)(*knot + ((away + (1 << (CORRECTION_SHIFT - 1))) >> CORRECTION_SHIFT));
    }
}
