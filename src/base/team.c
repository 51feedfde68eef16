#include "base/team.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"

enum {
    THREADS_MAX = 1024,
    TEXT_BYTES = 2048,
    /* Looks before a thread goes to sleep: some ten microseconds, so that the short loops of training follow each other
     * without a system call, and a thread that waits for one that was descheduled soon leaves it the processor. */
    LOOKS = 1000
};

/* One call's state, shared by its workers. */
typedef struct job {
    lb_piece f;
    void *ctx;
    int64_t n;
    atomic_int_least64_t next; /* the next piece nobody has taken */
    atomic_bool stop;
    pthread_mutex_t failure;
    int64_t failed_piece; /* -1: none; this and what follows only with the mutex held */
    lb_status status;
    char message[TEXT_BYTES], frames[TEXT_BYTES];
} job;

typedef struct seat {
    lb_team *team;
    int worker;
    pthread_t thread;
} seat;

/* Workers sleep until there is a job, and join it if they come before it is closed: a call never waits for one that is
 * late. */
struct lb_team {
    int threads;
    int started; /* threads beside the caller's: from the first call that needs them */
    seat *seat;  /* (threads) the first is the caller's */
    pthread_mutex_t mutex;
    pthread_cond_t wake, left;
    _Atomic uint64_t opened; /* jobs so far; this and what follows changes with the mutex held */
    atomic_int inside;       /* workers in the open job */
    int sleeping;
    bool quit;
    job *job; /* NULL: none is open */
};

/* The team and worker this thread is running a piece for: a nested call on the same team keeps the worker's number,
 * so that per-worker scratch of the team stays this thread's own. */
static _Thread_local const lb_team *running;
static _Thread_local int running_worker;

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static int processors(void) {
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n > THREADS_MAX ? THREADS_MAX : n;
}

lb_status lb_team_new(int threads, lb_team **out) {
    *out = NULL;
    if (threads < 0 || threads > THREADS_MAX)
        return lb_fail(LB_E_ARG, "threads = %d: must be in [0, %d]", threads, THREADS_MAX);
    if (threads == 0) threads = processors();
    lb_team *t = lb_alloc(1, sizeof *t);
    if (!t) return LB_E_NOMEM;
    t->threads = threads;
    if (!(t->seat = lb_alloc((size_t)threads, sizeof *t->seat))) {
        lb_free(t);
        return LB_E_NOMEM;
    }
    pthread_mutex_init(&t->mutex, NULL);
    pthread_cond_init(&t->wake, NULL);
    pthread_cond_init(&t->left, NULL);
    *out = t;
    return LB_OK;
}

void lb_team_free(lb_team *t) {
    if (!t) return;
    pthread_mutex_lock(&t->mutex);
    t->quit = true;
    atomic_fetch_add(&t->opened, 1);
    pthread_cond_broadcast(&t->wake);
    pthread_mutex_unlock(&t->mutex);
    for (int i = 1; i <= t->started; i++) pthread_join(t->seat[i].thread, NULL);
    pthread_cond_destroy(&t->wake);
    pthread_cond_destroy(&t->left);
    pthread_mutex_destroy(&t->mutex);
    lb_free(t->seat);
    lb_free(t);
}

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
    pthread_mutex_lock(&j->failure);
    if (j->failed_piece < 0 || piece < j->failed_piece) {
        j->failed_piece = piece;
        j->status = s;
        snprintf(j->message, sizeof j->message, "%s", lb_error());
        snprintf(j->frames, sizeof j->frames, "%s", lb_error_frames());
    }
    pthread_mutex_unlock(&j->failure);
}

/* Pieces are handed out in ascending order and one that was taken always runs, so every piece below a failing one
 * also runs: which failure is the lowest does not depend on timing. */
static void work(lb_team *t, job *j, int worker) {
    running = t;
    running_worker = worker;
    while (!atomic_load(&j->stop) && !lb_interrupted()) {
        int64_t i = atomic_fetch_add(&j->next, 1);
        if (i >= j->n) break;
        lb_status s = j->f(j->ctx, i, worker);
        if (s != LB_OK) keep_failure(j, i, s);
    }
    running = NULL;
}

/* A job opened after the `seen`th, which the caller is then inside of; NULL: the team ends. */
static job *next_job(lb_team *t, uint64_t *seen) {
    for (int i = 0; i < LOOKS && atomic_load(&t->opened) == *seen; i++) relax();
    pthread_mutex_lock(&t->mutex);
    while (!t->quit && (atomic_load(&t->opened) == *seen || !t->job)) {
        *seen = atomic_load(&t->opened);
        t->sleeping++;
        pthread_cond_wait(&t->wake, &t->mutex);
        t->sleeping--;
    }
    *seen = atomic_load(&t->opened);
    job *j = t->quit ? NULL : t->job;
    if (j) atomic_fetch_add(&t->inside, 1);
    pthread_mutex_unlock(&t->mutex);
    return j;
}

static void *live(void *arg) {
    const seat *s = arg;
    lb_team *t = s->team;
    uint64_t seen = 0;
    for (job *j; (j = next_job(t, &seen));) {
        work(t, j, s->worker);
        if (atomic_fetch_sub(&t->inside, 1) != 1) continue;
        pthread_mutex_lock(&t->mutex);
        pthread_cond_signal(&t->left);
        pthread_mutex_unlock(&t->mutex);
    }
    return NULL;
}

/* As many as there can be: where the system gives fewer threads, those that are there do all the work. Signals are the
 * caller's business. */
static void start_threads(lb_team *t) {
    sigset_t all, before;
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}; /* a thread's own faults */
    sigfillset(&all);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) sigdelset(&all, own[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (t->started + 1 < t->threads) {
        seat *s = &t->seat[t->started + 1];
        *s = (seat){.team = t, .worker = t->started + 1};
        if (pthread_create(&s->thread, NULL, live, s) != 0) break;
        t->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void open_job(lb_team *t, job *j) {
    pthread_mutex_lock(&t->mutex);
    t->job = j;
    atomic_fetch_add(&t->opened, 1);
    if (t->sleeping) pthread_cond_broadcast(&t->wake);
    pthread_mutex_unlock(&t->mutex);
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WATCHED 1
#endif
#endif
#ifndef WATCHED
#define WATCHED 0
#endif

/* The thread sanitizer sees nothing in a loop that one thread has run alone, as most short ones are before another
 * wakes: under it the caller leaves the first piece to another, for as long as a thread may take to come. */
static void leave_first(const lb_team *t, const job *j) {
    const struct timespec a_while = {0, 20000};
    for (int i = 0; WATCHED && i < 100 && t->started > 0 && atomic_load(&j->next) == 0; i++) nanosleep(&a_while, NULL);
}

/* Nobody enters any more; those inside finish their pieces. */
static void close_job(lb_team *t) {
    pthread_mutex_lock(&t->mutex);
    t->job = NULL;
    pthread_mutex_unlock(&t->mutex);
    for (int i = 0; i < LOOKS && atomic_load(&t->inside) > 0; i++) relax();
    pthread_mutex_lock(&t->mutex);
    while (atomic_load(&t->inside) > 0) pthread_cond_wait(&t->left, &t->mutex);
    pthread_mutex_unlock(&t->mutex);
}

static lb_status failure_of(const job *j) {
    lb_error_set(j->message, j->frames);
    lb_error_frame(__FILE__, __LINE__, __func__);
    return j->status;
}

lb_status lb_parallel_for(lb_team *t, int64_t n, lb_piece f, void *ctx) {
    if (running) return serial(n, f, ctx, t && running == t ? running_worker : 0);
    if (lb_team_threads(t) == 1 || n <= 1) return serial(n, f, ctx, 0);
    if (t->started + 1 < t->threads) start_threads(t);
    job j = {.f = f, .ctx = ctx, .n = n, .failed_piece = -1, .failure = PTHREAD_MUTEX_INITIALIZER};
    open_job(t, &j);
    leave_first(t, &j);
    work(t, &j, 0);
    close_job(t);
    if (j.failed_piece >= 0) return failure_of(&j);
    return atomic_load(&j.next) >= n ? LB_OK : lb_interrupt_check();
}

typedef struct chain {
    int64_t done; /* steps */
    bool taken;   /* one is running */
} chain;

typedef struct chains {
    lb_chain_step f;
    void *ctx;
    int64_t n, steps;
    chain *chain;          /* (n) with the mutex held */
    pthread_mutex_t mutex; /* also orders what one step writes and the next one reads */
    job failed;            /* keeps the lowest failure */
} chains;

/* Gives back the chain whose step has ended, and takes the one that has come least far; -1: all are taken, or at their
 * end. Whoever finds none has nothing to wait for: the threads that hold the others bring them to their ends. */
static int64_t next_chain(chains *c, int64_t ended) {
    int64_t best = -1;
    pthread_mutex_lock(&c->mutex);
    if (ended >= 0) {
        c->chain[ended].taken = false;
        c->chain[ended].done++;
    }
    int64_t below = c->failed.failed_piece >= 0 ? c->failed.failed_piece : c->n;
    for (int64_t i = 0; i < below; i++) {
        const chain *at = &c->chain[i];
        if (!at->taken && at->done < c->steps && (best < 0 || at->done < c->chain[best].done)) best = i;
    }
    if (best >= 0) c->chain[best].taken = true;
    pthread_mutex_unlock(&c->mutex);
    return best;
}

static lb_status weave(void *ctx, int64_t piece, int worker) {
    (void)piece;
    chains *c = ctx;
    for (int64_t i = next_chain(c, -1); i >= 0; i = next_chain(c, i)) {
        LB_TRY(lb_interrupt_check());
        lb_status s = c->f(c->ctx, i, c->chain[i].done, worker);
        if (s == LB_OK) continue;
        pthread_mutex_lock(&c->mutex);
        keep_failure(&c->failed, i, s);
        pthread_mutex_unlock(&c->mutex);
    }
    return LB_OK;
}

lb_status lb_parallel_chains(lb_team *t, int64_t n, int64_t steps, lb_chain_step f, void *ctx) {
    if (n < 1 || steps < 1) return LB_OK;
    chains c = {.f = f,
                .ctx = ctx,
                .n = n,
                .steps = steps,
                .chain = lb_alloc((size_t)n, sizeof *c.chain),
                .mutex = PTHREAD_MUTEX_INITIALIZER,
                .failed = {.failed_piece = -1, .failure = PTHREAD_MUTEX_INITIALIZER}};
    if (!c.chain) return LB_E_NOMEM;
    lb_status s = lb_parallel_for(t, n, weave, &c);
    lb_free(c.chain);
    return c.failed.failed_piece >= 0 && s == LB_OK ? failure_of(&c.failed) : s;
}
