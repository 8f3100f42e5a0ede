/* Fixed-point numbers in C, as in fixed_point.py and activation_tables.py, whose functions agree to the bit.

   Right shifts of negative numbers round down, as in every compiler that charlm runs with. */
#pragma once
#include <stdint.h>

enum { UNIT_BITS = 15, GATE_BITS = 16, POWER_BITS = 30, STEP_BITS = 10, POWER_STEP_BITS = 8, ROOT_BITS = 60 };
enum { ONE = 1 << UNIT_BITS, LIMIT = 16 << GATE_BITS, MAX_MEMORY = (1 << 24) - 1 };

static inline int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }
/* value / 2**bits, rounded, of a value within +-2**62, if that fits into 32 bits. Only unsigned numbers are shifted,
   since AVX2 has no other shift of 64 bits. */
static inline int32_t shift_rounded(int64_t value, int64_t bits) {
    const uint64_t above = (uint64_t)1 << 62;
    uint64_t shifted = ((uint64_t)value + (above + ((uint64_t)1 << (bits - 1)))) >> bits;
    return (int32_t)((uint32_t)shifted - (uint32_t)(above >> bits));
}

static inline int64_t divide_rounded(int64_t value, int64_t divisor) {
    int64_t shifted = value + divisor / 2, quotient = shifted / divisor;
    return quotient - (shifted % divisor < 0);
}

/* Replace each x by its sigmoid or tanh. An entry of a table holds two values side by side, of 16 bits, less `middle`.
   The look-ups are alone in their loop, so that compilers turn the other two into vector instructions. */
static void look_up(const uint32_t *table, int32_t middle, int32_t *restrict x, uint32_t *restrict entries, long size) {
    for (long k = 0; k < size; k++) x[k] = (x[k] < -LIMIT ? -LIMIT : x[k] > LIMIT - 1 ? LIMIT - 1 : x[k]) + LIMIT;
    for (long k = 0; k < size; k++) entries[k] = table[x[k] >> STEP_BITS];
    for (long k = 0; k < size; k++) {
        int32_t left = (int16_t)entries[k], right = (int32_t)entries[k] >> 16;
        int32_t remainder = x[k] & ((1 << STEP_BITS) - 1);
        int32_t weighted = left * (1 << STEP_BITS) + (right - left) * remainder;
        x[k] = ((weighted + (1 << (STEP_BITS - 1))) >> STEP_BITS) + middle;
    }
}

/* Write 2**-(largest - x) of each x. The look-ups are alone in their loop again.
   entries: memory for as many numbers; the next ones are in `powers` for a while. */
static void negative_powers(
    const int32_t *table, int32_t largest, const int32_t *restrict x, uint32_t *restrict entries,
    uint32_t *restrict powers, long size) {
    for (long k = 0; k < size; k++) {
        uint32_t entry = (uint32_t)(largest - x[k]) >> POWER_STEP_BITS & ((1u << (GATE_BITS - POWER_STEP_BITS)) - 1);
        entries[k] = (uint32_t)table[entry];
        powers[k] = (uint32_t)table[entry + 1];
    }
    for (long k = 0; k < size; k++) {
        uint32_t t = (uint32_t)(largest - x[k]), whole = t >> GATE_BITS, remainder = t & ((1u << POWER_STEP_BITS) - 1);
        uint64_t fall = (uint64_t)(entries[k] - powers[k]) * remainder;
        uint32_t value = entries[k] - (uint32_t)((fall + (1u << (POWER_STEP_BITS - 1))) >> POWER_STEP_BITS);
        powers[k] = value >> (whole < POWER_BITS + 1 ? whole : POWER_BITS + 1);
    }
}

/* The square root of a number from 1 to 2**62, rounded down, by Newton's steps from above. */
static int64_t integer_sqrt(int64_t value) {
    int64_t root = (int64_t)1 << 31;
    for (int64_t next; (next = (root + value / root) / 2) < root; root = next);
    return root;
}

/* Let x be (x - mean) / sqrt(variance + epsilon) gain + bias. */
static void normalise(int32_t *restrict x, long size, int64_t epsilon, const int32_t *gain, const int32_t *bias) {
    int64_t sum = 0, squares = 0, k = 0;
    for (long i = 0; i < size; i++) {
        sum += x[i];
        squares += (int64_t)x[i] * x[i];
    }
    int64_t mean = divide_rounded(sum, size);
    int64_t variance = (squares - 2 * mean * sum + mean * mean * size) / size + epsilon;
    for (int step = 16; step; step /= 2)
        if (variance << (2 * k) < (int64_t)1 << (ROOT_BITS + 2 - 2 * step)) k += step;
    int32_t inverse = (int32_t)(((int64_t)1 << ROOT_BITS) / integer_sqrt(variance << (2 * k)));
    for (long i = 0; i < size; i++) {
        int32_t normalised = shift_rounded((int64_t)(x[i] - (int32_t)mean) * inverse, ROOT_BITS - GATE_BITS - k);
        x[i] = shift_rounded((int64_t)normalised * gain[i], GATE_BITS) + (bias ? bias[i] : 0);
    }
}
