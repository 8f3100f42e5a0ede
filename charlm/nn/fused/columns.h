/* What lstm_batch_*.c and gru_batch_*.c share: batch normalisation of a column over all rows, so a thread takes PANEL
   hidden units and all their gates for all rows, and threads wait for one another once a step, or twice where a step has
   two products one after the other.

   Blocks of columns in the thread's cache: B rows of `gates` panels, zeros behind the last unit.
*/
#pragma once
#include "chunk.h"
#ifdef _OPENMP
#include <omp.h>
#endif
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>

/* ---- threads */

typedef struct {
    long threads;
    atomic_long arrived, round;
} team;

static inline long this_thread(void) {
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

static inline long found_threads(void) {
#ifdef _OPENMP
    return omp_get_num_threads();
#else
    return 1;
#endif
}

/* Returns when all threads have come. A thread that waits for long lets others run: they may share its core. */
static inline void wait_for_all(team *all) {
    long round = atomic_load(&all->round);
    if (atomic_fetch_add(&all->arrived, 1) == all->threads - 1) {
        atomic_store(&all->arrived, 0);
        atomic_store(&all->round, round + 1);
    } else for (long spins = 0; atomic_load(&all->round) == round; spins++)
        if (spins > 2000) sched_yield();
}

/* ---- blocks of columns */

static inline long unit_blocks(const chunk *u) { return (u->H + PANEL - 1) / PANEL; }

/* A known size is copied without a call. */
static inline void copy_units(long width, in from, out to) {
    if (width == PANEL) memcpy(to, from, PANEL * sizeof(float));
    else memcpy(to, from, width * sizeof(float));
}

/* width columns of each gate of a row, side by side */
static inline void load_gates(long gates, long H, long first, long width, in row, out block) {
    for (long g = 0; g < gates; g++) copy_units(width, row + g * H + first, block + g * PANEL);
}

static inline void store_gates(long gates, long H, long first, long width, in block, out row) {
    for (long g = 0; g < gates; g++) copy_units(width, block + g * PANEL, row + g * H + first);
}

/* Adds the columns of gates to what a product fetches into the cache meanwhile; returns their new number. */
static inline long add_streams(stream *streams, long num_streams, long gates, long H, long first, long width, in rows) {
    for (long g = 0; g < gates; g++) streams[num_streams++] = (stream){rows + g * H + first, width, gates * H};
    return num_streams;
}

/* Adds sums of columns to the gradient of a vector. */
static inline void add_columns(long gates, long H, long first, long width, in sums, out d_vector) {
    for (long g = 0; g < gates; g++)
        for (long j = 0; j < width; j++) d_vector[g * H + first + j] += sums[g * PANEL + j];
}

/* Mean and variance of each column of a panel over all rows */
static inline void column_statistics(long rows, in x, long ld, out mean, out variance) {
    vector sum[WIDTH] = {{0}}, square[WIDTH] = {{0}};
    for (long b = 0; b < rows; b++)
        _Pragma("GCC unroll 3") for (int j = 0; j < WIDTH; j++) sum[j] += *(const vector *)(x + b * ld + j * LANES);
    for (int j = 0; j < WIDTH; j++) sum[j] /= (float)rows;
    for (long b = 0; b < rows; b++) _Pragma("GCC unroll 3") for (int j = 0; j < WIDTH; j++) {
        vector d = *(const vector *)(x + b * ld + j * LANES) - sum[j];
        square[j] += d * d;
    }
    for (int j = 0; j < WIDTH; j++) square[j] /= (float)rows;
    memcpy(mean, sum, sizeof(sum));
    memcpy(variance, square, sizeof(square));
}

static inline void inverse_deviations(const float *variance, float eps, float *rstd) {
    SIMD for (long k = 0; k < PANEL; k++) rstd[k] = 1.0f / sqrtf(variance[k] + eps);
}
