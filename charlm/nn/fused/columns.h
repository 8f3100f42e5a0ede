/* What lstm_batch_*.c share: batch normalisation of a column over all rows, so a thread takes PANEL hidden units and
   all their gates for all rows, and threads wait for one another once a step.

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

/* width columns of each gate of a row, side by side */
static inline void load_gates(long gates, long H, long first, long width, in row, out block) {
    for (long g = 0; g < gates; g++) memcpy(block + g * PANEL, row + g * H + first, width * sizeof(float));
}

static inline void store_gates(long gates, long H, long first, long width, in block, out row) {
    for (long g = 0; g < gates; g++) memcpy(row + g * H + first, block + g * PANEL, width * sizeof(float));
}

/* Mean and variance of each column of a panel over all rows */
static inline void column_statistics(long rows, in x, long ld, out mean, out variance) {
    for (long k = 0; k < PANEL; k++) mean[k] = variance[k] = 0.0f;
    for (long b = 0; b < rows; b++) SIMD for (long k = 0; k < PANEL; k++) mean[k] += x[b * ld + k];
    for (long k = 0; k < PANEL; k++) mean[k] /= rows;
    for (long b = 0; b < rows; b++) SIMD for (long k = 0; k < PANEL; k++) {
        float d = x[b * ld + k] - mean[k];
        variance[k] += d * d;
    }
    for (long k = 0; k < PANEL; k++) variance[k] /= rows;
}

static inline void inverse_deviations(const float *variance, float eps, float *rstd) {
    SIMD for (long k = 0; k < PANEL; k++) rstd[k] = 1.0f / sqrtf(variance[k] + eps);
}
