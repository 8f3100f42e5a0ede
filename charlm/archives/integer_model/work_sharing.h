/* Threads that share the parts of a job. The caller takes parts too, and waits only for parts that others have begun:
   on a busy machine, a thread that gets no processor delays nobody. OpenMP's regions end when every thread was there.

   One job runs at a time in the process; a second caller meanwhile does all parts of its job itself. */
#pragma once
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

typedef void (*Part)(const void *job, long thread, long part);

enum { PART_BITS = 20, THREAD_BITS = 12, MAX_THREADS = (1 << THREAD_BITS) - 1, MAX_PARTS = (1 << PART_BITS) / 2 };
enum { NUM_SPINS = 1000 }; /* about 20 microseconds, less than waking a thread takes */

/* The job's number, its threads, its parts, and the part to be taken next, so that one addition takes a part of the job
   that it belongs to. */
static _Atomic uint64_t ticket;
static _Atomic long num_done, num_sleeping;
static const void *current_job;
static Part current_function;
static long num_threads; /* of which the caller is one */
static pthread_mutex_t job_mutex = PTHREAD_MUTEX_INITIALIZER, sleep_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t job_came = PTHREAD_COND_INITIALIZER;

static inline uint64_t number_of(uint64_t taken) { return taken >> (2 * PART_BITS + THREAD_BITS); }

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* Take parts while there are any. */
static void take_parts(long thread) {
    const long mask = (1 << PART_BITS) - 1;
    for (;;) {
        uint64_t taken = atomic_load(&ticket);
        long part = (long)taken & mask, count = (long)(taken >> PART_BITS) & mask;
        long threads = (long)(taken >> (2 * PART_BITS)) & MAX_THREADS;
        if (part >= count || thread >= threads) return;
        if (!atomic_compare_exchange_weak(&ticket, &taken, taken + 1)) continue;
        current_function(current_job, thread, part);
        atomic_fetch_add(&num_done, 1);
    }
}

static void *work(void *thread) {
    uint64_t seen = 0;
    for (;;) {
        take_parts((long)(intptr_t)thread);
        for (long spin = 0; spin < NUM_SPINS && number_of(atomic_load(&ticket)) == seen; spin++) relax();
        if (number_of(atomic_load(&ticket)) == seen) {
            pthread_mutex_lock(&sleep_mutex);
            atomic_fetch_add(&num_sleeping, 1);
            while (number_of(atomic_load(&ticket)) == seen) pthread_cond_wait(&job_came, &sleep_mutex);
            atomic_fetch_sub(&num_sleeping, 1);
            pthread_mutex_unlock(&sleep_mutex);
        }
        seen = number_of(atomic_load(&ticket));
    }
    return NULL;
}

/* A child process has none of the threads, locks that nobody opens, and perhaps parts of a job of its parent. */
static void forget_threads(void) {
    num_threads = 1;
    atomic_store(&ticket, number_of(atomic_load(&ticket)) << (2 * PART_BITS + THREAD_BITS));
    atomic_store(&num_sleeping, 0);
    pthread_mutex_init(&job_mutex, NULL);
    pthread_mutex_init(&sleep_mutex, NULL);
    pthread_cond_init(&job_came, NULL);
}

/* Start threads until there are as many, or no more can be started. */
static void start_threads(long threads) {
    if (!num_threads) {
        num_threads = 1;
        pthread_atfork(NULL, NULL, forget_threads);
    }
    for (pthread_t started; num_threads < threads; num_threads++) {
        if (pthread_create(&started, NULL, work, (void *)(intptr_t)num_threads)) return;
        pthread_detach(started);
    }
}

/* Run all parts of a job on at most so many threads, whose numbers are below that; return when all are done. */
static void share_work(Part function, const void *job, long parts, long threads) {
    if (threads < 2 || parts < 2 || parts > MAX_PARTS || pthread_mutex_trylock(&job_mutex)) {
        for (long part = 0; part < parts; part++) function(job, 0, part);
        return;
    }
    threads = threads < MAX_THREADS ? threads : MAX_THREADS;
    start_threads(threads);
    current_function = function;
    current_job = job;
    atomic_store(&num_done, 0);
    uint64_t number = number_of(atomic_load(&ticket)) + 1;
    atomic_store(&ticket, ((number << THREAD_BITS | (uint64_t)threads) << PART_BITS | (uint64_t)parts) << PART_BITS);
    if (atomic_load(&num_sleeping)) {
        pthread_mutex_lock(&sleep_mutex);
        pthread_cond_broadcast(&job_came);
        pthread_mutex_unlock(&sleep_mutex);
    }
    take_parts(0);
    for (long spin = 0; atomic_load(&num_done) < parts; spin++)
        if (spin < NUM_SPINS) relax();
        else sched_yield();
    pthread_mutex_unlock(&job_mutex);
}
