#include "support/support.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/team.h"

enum { N = 5000, THREADS = 4 };

typedef struct work {
    atomic_int times[N];
    atomic_int busy[THREADS]; /* pieces that run now with this worker's number */
    atomic_int clashes, started;
    lb_team *team;
    int64_t bad[3];
} work;

static lb_status count(void *ctx, int64_t i, int worker) {
    work *w = ctx;
    if (worker < 0 || worker >= THREADS) return lb_fail(LB_E_ARG, "worker %d", worker);
    if (atomic_fetch_add(&w->busy[worker], 1) != 0) atomic_fetch_add(&w->clashes, 1);
    atomic_fetch_add(&w->times[i], 1);
    atomic_fetch_sub(&w->busy[worker], 1);
    return LB_OK;
}

static void every_piece_once(void **state) {
    (void)state;
    for (int threads = 0; threads <= THREADS; threads++) {
        work w = {0};
        lb_team *t = NULL;
        if (threads) assert_ok(lb_team_new(threads, &t)); /* 0: no team */
        assert_int_equal(lb_team_threads(t), threads ? threads : 1);
        assert_ok(lb_parallel_for(t, N, count, &w));
        for (int i = 0; i < N; i++) assert_int_equal(w.times[i], 1);
        assert_int_equal(w.clashes, 0);
        assert_ok(lb_parallel_for(t, 0, count, &w));
        assert_ok(lb_parallel_for(t, 1, count, &w));
        assert_int_equal(w.times[0], 2);
        lb_team_free(t);
    }
}

static lb_status fail_some(void *ctx, int64_t i, int worker) {
    work *w = ctx;
    (void)worker;
    atomic_fetch_add(&w->started, 1);
    for (int k = 0; k < 3; k++) {
        if (i != w->bad[k]) continue;
        /* The lowest failure takes longest, so that later ones are reported first. */
        for (volatile int spin = 0; spin < (k == 0 ? 2000000 : 0); spin = spin + 1) {
        }
        return lb_fail(k == 0 ? LB_E_NUMERIC : LB_E_IO, "piece %d went wrong", (int)i);
    }
    return LB_OK;
}

static void the_lowest_failure_is_reported(void **state) {
    (void)state;
    for (int threads = 1; threads <= THREADS; threads++)
        for (int round = 0; round < 5; round++) {
            work w = {.bad = {100, 101, 102}};
            lb_team *t;
            assert_ok(lb_team_new(threads, &t));
            lb_error_clear();
            assert_int_equal(lb_parallel_for(t, N, fail_some, &w), LB_E_NUMERIC);
            assert_string_equal(lb_error(), "piece 100 went wrong");
            assert_non_null(strstr(lb_error_frames(), "team.c"));
            assert_true(w.started >= 101 && w.started < N); /* no new piece starts after a failure */
            lb_team_free(t);
        }
}

static lb_status nested(void *ctx, int64_t i, int worker) {
    work *w = ctx;
    (void)i, (void)worker;
    return lb_parallel_for(w->team, 50, count, w);
}

/* Inner pieces keep the outer worker's number: two of the same number at one time would share scratch. */
static void nested_calls_keep_the_worker(void **state) {
    (void)state;
    work w = {0};
    assert_ok(lb_team_new(THREADS, &w.team));
    assert_ok(lb_parallel_for(w.team, 200, nested, &w));
    for (int i = 0; i < 50; i++) assert_int_equal(w.times[i], 200);
    assert_int_equal(w.clashes, 0);
    lb_team_free(w.team);
}

static lb_status fails_inside(void *ctx, int64_t i, int worker) {
    work *w = ctx, inner = {.bad = {7, -1, -1}};
    (void)worker;
    return i == 20 ? lb_parallel_for(w->team, 10, fail_some, &inner) : LB_OK;
}

static void nested_failures_reach_the_caller(void **state) {
    (void)state;
    work w = {0};
    assert_ok(lb_team_new(THREADS, &w.team));
    assert_status(LB_E_NUMERIC, lb_parallel_for(w.team, 40, fails_inside, &w));
    assert_string_equal(lb_error(), "piece 7 went wrong");
    lb_team_free(w.team);
}

static lb_status interrupt_at_60(void *ctx, int64_t i, int worker) {
    work *w = ctx;
    (void)worker;
    atomic_fetch_add(&w->started, 1);
    if (i == 60) lb_interrupt_request();
    return LB_OK;
}

static void interrupts_stop_it(void **state) {
    (void)state;
    for (int threads = 1; threads <= THREADS; threads++) {
        work w = {0};
        lb_team *t;
        assert_ok(lb_team_new(threads, &t));
        lb_status s = lb_parallel_for(t, 1000000, interrupt_at_60, &w);
        lb_interrupt_clear();
        assert_int_equal(s, LB_E_INTERRUPTED);
        assert_in_range(w.started, 61, 999999);
        lb_team_free(t);
    }
}

/* Jobs that are over before a worker has woken up, one after another, on more threads than there are processors. */
static void short_jobs(void **state) {
    (void)state;
    enum { JOBS = 20000, PIECES = 3 };
    work w = {0};
    lb_team *t;
    assert_ok(lb_team_new(THREADS, &t));
    for (int k = 0; k < JOBS; k++) assert_ok(lb_parallel_for(t, PIECES, count, &w));
    for (int i = 0; i < PIECES; i++) assert_int_equal(w.times[i], JOBS);
    assert_int_equal(w.clashes, 0);
    lb_team_free(t);
}

enum { CHAINS = 7, STEPS = 40 };

typedef struct braid {
    int64_t done[CHAINS]; /* not atomic: the team orders the steps of a chain */
    atomic_int running[CHAINS], wrong;
    int64_t order[CHAINS * STEPS], taken; /* with one thread */
    int64_t bad[2];                       /* chains that fail at step 20 and 10 */
    bool one;
} braid;

static lb_status advance(void *ctx, int64_t chain, int64_t step, int worker) {
    braid *b = ctx;
    if (worker < 0 || worker >= THREADS || atomic_fetch_add(&b->running[chain], 1) != 0) atomic_fetch_add(&b->wrong, 1);
    if (step != b->done[chain]) atomic_fetch_add(&b->wrong, 1);
    if (b->one) b->order[b->taken++] = chain;
    for (volatile int spin = 0; spin < 1000 * (int)(chain + 1); spin = spin + 1) {
    }
    b->done[chain]++;
    atomic_fetch_sub(&b->running[chain], 1);
    for (int k = 0; k < 2; k++)
        if (chain == b->bad[k] && step == 20 - 10 * k) return lb_fail(LB_E_NUMERIC, "chain %d", (int)chain);
    return LB_OK;
}

static void chains_advance_side_by_side(void **state) {
    (void)state;
    for (int threads = 0; threads <= THREADS; threads++) {
        braid b = {.bad = {-1, -1}, .one = threads <= 1};
        lb_team *t = NULL;
        if (threads) assert_ok(lb_team_new(threads, &t));
        assert_ok(lb_parallel_chains(t, CHAINS, STEPS, advance, &b));
        assert_int_equal(b.wrong, 0);
        for (int i = 0; i < CHAINS; i++) assert_int_equal(b.done[i], STEPS);
        for (int i = 0; b.one && i < CHAINS * STEPS; i++) assert_int_equal(b.order[i], i % CHAINS);
        assert_ok(lb_parallel_chains(t, 0, STEPS, advance, &b));
        assert_ok(lb_parallel_chains(t, CHAINS, 0, advance, &b));
        for (int i = 0; i < CHAINS; i++) assert_int_equal(b.done[i], STEPS);
        lb_team_free(t);
    }
}

/* The lowest chain that fails is reported, though a higher one failed earlier; those below it are unharmed. */
static void the_lowest_chain_that_fails_is_reported(void **state) {
    (void)state;
    for (int threads = 1; threads <= THREADS; threads++)
        for (int round = 0; round < 20; round++) {
            braid b = {.bad = {3, 5}};
            lb_team *t;
            assert_ok(lb_team_new(threads, &t));
            lb_error_clear();
            assert_int_equal(lb_parallel_chains(t, CHAINS, STEPS, advance, &b), LB_E_NUMERIC);
            assert_string_equal(lb_error(), "chain 3");
            for (int i = 0; i < 3; i++) assert_int_equal(b.done[i], STEPS);
            assert_int_equal(b.done[3], 21);
            if (threads == 1) assert_true(b.done[5] == 11 && b.done[6] == 10); /* else as far as it was */
            assert_int_equal(b.wrong, 0);
            lb_team_free(t);
        }
    braid b = {.bad = {-1, -1}};
    lb_interrupt_request();
    assert_status(LB_E_INTERRUPTED, lb_parallel_chains(NULL, CHAINS, STEPS, advance, &b));
    lb_interrupt_clear();
    lb_alloc_fail_at(1);
    assert_status(LB_E_NOMEM, lb_parallel_chains(NULL, CHAINS, STEPS, advance, &b));
    lb_alloc_fail_at(0);
}

static void thread_counts(void **state) {
    (void)state;
    lb_team *t = NULL;
    assert_ok(lb_team_new(0, &t));
    assert_true(lb_team_threads(t) >= 1);
    lb_team_free(t);
    lb_team_free(NULL);
    assert_status(LB_E_ARG, lb_team_new(-1, &t));
    assert_error_has("threads = -1");
    assert_status(LB_E_ARG, lb_team_new(100000, &t));
    for (int nth = 1; nth <= 2; nth++) {
        lb_alloc_fail_at(nth);
        assert_status(LB_E_NOMEM, lb_team_new(2, &t));
        lb_alloc_fail_at(0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_piece_once),
        cmocka_unit_test(the_lowest_failure_is_reported),
        cmocka_unit_test(nested_calls_keep_the_worker),
        cmocka_unit_test(nested_failures_reach_the_caller),
        cmocka_unit_test(interrupts_stop_it),
        cmocka_unit_test(short_jobs),
        cmocka_unit_test(chains_advance_side_by_side),
        cmocka_unit_test(the_lowest_chain_that_fails_is_reported),
        cmocka_unit_test(thread_counts),
    };
    return cmocka_run_group_tests_name("base/team", tests, NULL, NULL);
}
