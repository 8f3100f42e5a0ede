/* Fixed-point numbers in C, as in fixed_point.py and activation_tables.py, whose functions agree to the bit.

   Right shifts of negative numbers round down, as in every compiler that charlm runs with. */
#pragma once
#include <stdint.h>

enum { UNIT_BITS = 15, GATE_BITS = 16, POWER_BITS = 30, STEP_BITS = 10, POWER_STEP_BITS = 8, ROOT_BITS = 60 };
enum { ONE = 1 << UNIT_BITS, LIMIT = 16 << GATE_BITS, MAX_MEMORY = (1 << 24) - 1 };

static inline int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }
static inline int64_t shift_rounded(int64_t value, int64_t bits) {
    return (value + ((int64_t)1 << (bits - 1))) >> bits;
}

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
