#include "base/team.h"

#include <omp.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/mem.h"

enum { THREADS_MAX = 1024, TEXT_BYTES = 2048 };

struct lb_team {
    int threads;
};

/* One call's state, shared by its workers. */
typedef struct job {
    atomic_int_least64_t next; /* the next piece nobody has taken */
    atomic_bool stop;
    int64_t failed_piece; /* -1: none; this and what follows only inside the critical section */
    lb_status status;
    char message[TEXT_BYTES], frames[TEXT_BYTES];
} job;

/* The team and worker this thread is running a piece for: a nested call on the same team keeps the worker's number,
 * so that per-worker scratch of the team stays this thread's own. */
static _Thread_local const lb_team *running;
static _Thread_local int running_worker;

lb_status lb_team_new(int threads, lb_team **out) {
    *out = NULL;
    if (threads < 0 || threads > THREADS_MAX)
        return lb_fail(LB_E_ARG, "threads = %d: must be in [0, %d]", threads, THREADS_MAX);
    if (threads == 0) threads = omp_get_num_procs();
    if (threads > THREADS_MAX) threads = THREADS_MAX;
    if (!(*out = lb_alloc(1, sizeof **out))) return LB_E_NOMEM;
    (*out)->threads = threads;
    return LB_OK;
}

void lb_team_free(lb_team *t) { lb_free(t); }
int lb_team_threads(const lb_team *t) { return t ? t->threads : 1; }

static lb_status serial(int64_t n, lb_piece f, void *ctx, int worker) {
    for (int64_t i = 0; i < n; i++) {
        LB_TRY(lb_interrupt_check());
        LB_TRY(f(ctx, i, worker));
    }
    return LB_OK;
}

static void keep_failure(job *j, int64_t piece, lb_status s) {
    atomic_store(&j->stop, true);
#pragma omp critical(lb_team_failure)
    if (j->failed_piece < 0 || piece < j->failed_piece) {
        j->failed_piece = piece;
        j->status = s;
        snprintf(j->message, sizeof j->message, "%s", lb_error());
        snprintf(j->frames, sizeof j->frames, "%s", lb_error_frames());
    }
}

/* Pieces are handed out in ascending order and one that was taken always runs, so every piece below a failing one
 * also runs: which failure is the lowest does not depend on timing. */
static void work(job *j, int64_t n, lb_piece f, void *ctx, int worker) {
    while (!atomic_load(&j->stop) && !lb_interrupted()) {
        int64_t i = atomic_fetch_add(&j->next, 1);
        if (i >= n) return;
        lb_status s = f(ctx, i, worker);
        if (s != LB_OK) keep_failure(j, i, s);
    }
}

lb_status lb_parallel_for(lb_team *t, int64_t n, lb_piece f, void *ctx) {
    int threads = lb_team_threads(t);
    if (omp_in_parallel()) return serial(n, f, ctx, t && running == t ? running_worker : 0);
    if (threads == 1 || n <= 1) return serial(n, f, ctx, 0);
    if (threads > n) threads = (int)n;
    job j = {.failed_piece = -1};
#pragma omp parallel num_threads(threads)
    {
        running = t;
        running_worker = omp_get_thread_num();
        work(&j, n, f, ctx, running_worker);
        running = NULL;
    }
    if (j.failed_piece >= 0) {
        lb_error_set(j.message, j.frames);
        lb_error_frame(__FILE__, __LINE__, __func__);
        return j.status;
    }
    return atomic_load(&j.next) >= n ? LB_OK : lb_interrupt_check();
}
