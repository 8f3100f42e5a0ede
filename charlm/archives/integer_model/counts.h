/* Counts of the text so far and of the training text, and what mixes them: laid out by compiled_counts.py. */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { SLOT_SYMBOLS = 9, MAX_ORDERS = 16, MAX_SOURCES = 2 * MAX_ORDERS, MAX_INPUTS = 2 + MAX_SOURCES };
enum { MAX_FOLLOWERS = 64, NUM_TOPS = 4, TOP_SHIFT = 6, MAX_CANDIDATES = 12, MAX_COUNT = 255 };
enum { MAX_FOUND = MAX_ORDERS * (SLOT_SYMBOLS + MAX_FOLLOWERS) + NUM_TOPS };
enum { COUNT_BINS = 10, NUM_STATES = COUNT_BINS * COUNT_BINS * 2, NO_STATE = -1 };
enum { NUM_CHOICES = 3, NUM_CONTEXTS = 512, NUM_RANKS = 4, NUM_FINAL = NUM_RANKS * (MAX_ORDERS + 1) };
enum { NUM_CORRECTIONS = 2, CORRECTION_BITS = 16, NUM_KNOTS = 33, TOTAL_BITS = 24 };
enum { LOGIT_BITS = 8, LARGEST_LOGIT = 15 << LOGIT_BITS, NUM_LOGITS = 2 * LARGEST_LOGIT + 1, MANTISSA_BITS = 12 };

typedef struct {
    uint16_t check, total, symbols[SLOT_SYMBOLS];
    uint8_t counts[SLOT_SYMBOLS], last; /* a count of 0: no symbol; last: the entry of the last symbol */
} Slot; /* a total of 0: no context */

typedef struct {
    const int32_t *tokens, *counts, *starts;
} Table; /* n-grams of the training text of one length; see training_tables.py */

typedef struct {
    uint32_t p, updates; /* 22 bits after the point */
} State; /* how often candidates came that had these counts */

typedef struct {
    int32_t weights[MAX_INPUTS], updates;
} Weights;

/* What was computed for a candidate, and is learned from. */
typedef struct {
    int64_t symbol;
    int32_t inputs[MAX_INPUTS], states[MAX_SOURCES], logits[NUM_CHOICES], p[NUM_CHOICES], mixed, mixed_p, final;
    Weights *chosen[NUM_CHOICES];
    int32_t *final_weights;
    uint16_t *corrections[NUM_CORRECTIONS];
} Candidate;

typedef struct {
    uint32_t pairs[MAX_ORDERS];
    uint16_t checks[MAX_ORDERS];
    int64_t num_candidates;
    Candidate candidates[MAX_CANDIDATES];
} Lane;

typedef struct {
    const int32_t *logarithms, *logits, *squashed; /* see mixing_tables.py */
    const int64_t *orders;
    State *states;         /* of each source, NUM_STATES */
    Weights *weights;      /* of each choice, NUM_CONTEXTS */
    int32_t *final;        /* NUM_FINAL times NUM_CHOICES */
    uint16_t *corrections; /* of each correction, 2**CORRECTION_BITS times NUM_KNOTS */
    int64_t *history;      /* of each lane: the last symbols, -1 before the first */
    int64_t *contexts;     /* of each lane: the numbers of the contexts of 1, 2, ... tokens, or -1 */
    const Table *tables;
    Slot *slots;
    Lane *lanes;
    uint32_t *frequencies;
    uint16_t *marks; /* of each thread: V, zero at first */
    int64_t num_orders, slot_bits, vocab_size, num_tables, num_table_orders, history_size;
} Counts;

/* A symbol that some context knows, or that the network finds likely. */
typedef struct {
    uint64_t score;
    int64_t symbol;
    int32_t counts[MAX_SOURCES];
    uint32_t is_last; /* a bit for each source */
} Found;

/* What the contexts of a lane know: first those of the slots, then those of the tables. */
typedef struct {
    int64_t totals[MAX_SOURCES], num_found;
    Found found[MAX_FOUND];
} Evidence;
