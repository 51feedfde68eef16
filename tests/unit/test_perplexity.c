/* Perplexity by protocol against a plain count over the reference's logits; kept states; error bars. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/rng.h"
#include "eval/perplexity.h"
#include "math/blas.h"
#include "support/forge.h"
#include "support/llama.h"
#include "support/perplexity_kit.h"

static void w2_scores_all_but_the_first(void **state) {
    world *w = *state;
    lb_eval_request r = request(w, "W2-16");
    lb_eval e = evaluate(w, w->m, &r, 2);
    double lp[N * VOCAB], sum = 0, sq = 0;
    assert_int_equal(e.windows, 8); /* 135 tokens: the last 7 are dropped */
    assert_int_equal(e.windows_all, 8);
    assert_int_equal(e.scored, 8 * 15);
    for (int64_t i = 0; i < 8; i++) {
        double nll = 0;
        log_probs(w->m, w->tokens + i * N, N, lp);
        for (int64_t t = 1; t < N; t++) nll -= lp[(t - 1) * VOCAB + w->tokens[i * N + t]] / 15;
        close_to(e.window_nll[i], nll, 1e-5);
        sum += nll;
        sq += nll * nll;
    }
    close_to(e.mean_nll, sum / 8, 1e-5);
    close_to(e.ppl, exp(sum / 8), 1e-4);
    close_to(e.ppl_se, exp(sum / 8) * sqrt((sq - sum * sum / 8) / 7 / 8), 1e-3);
    assert_false(e.has_kl);
}

/* llama.cpp: the second half from n/2 + 1 on; BOS over each window's first token where the model has one. */
static void lcpp_scores_the_second_half(void **state) {
    world *w = *state;
    for (int bos = 0; bos < 2; bos++) {
        w->corpus.has_bos = bos == 1;
        w->corpus.bos_id = bos == 1 ? 2 : -1;
        lb_eval_request r = request(w, "LCPP-16");
        lb_eval e = evaluate(w, w->m, &r, 1);
        double lp[N * VOCAB], sum = 0, sq = 0;
        assert_int_equal(e.scored, 8 * 7);
        for (int64_t i = 0; i < 8; i++) {
            int32_t win[N];
            double nll = 0;
            memcpy(win, w->tokens + i * N, sizeof win);
            if (bos) win[0] = 2;
            log_probs(w->m, win, N, lp);
            for (int64_t t = 9; t < N; t++) {
                double x = -lp[(t - 1) * VOCAB + win[t]];
                nll += x;
                sq += x * x;
            }
            close_to(e.window_nll[i], nll / 7, 1e-5);
            sum += nll;
        }
        double mean = sum / 56;
        close_to(e.mean_nll, mean, 1e-5);
        close_to(e.ppl_se, exp(mean) * sqrt((sq / 56 - mean * mean) / 55), 1e-3);
    }
    /* W2 takes the text as it is: its BOS, if any, is at the head of the whole text alone. */
    lb_eval_request r = request(w, "W2-16");
    lb_eval with = evaluate(w, w->m, &r, 1);
    w->corpus.has_bos = false;
    w->corpus.bos_id = -1;
    lb_eval without = evaluate(w, w->m, &r, 1);
    assert_memory_equal(with.window_nll, without.window_nll, 8 * sizeof(double));
}

static void limits_on_windows(void **state) {
    world *w = *state;
    lb_eval_request r = request(w, "W2-16");
    lb_eval all = evaluate(w, w->m, &r, 1), e;
    r.max_windows = 3;
    e = evaluate(w, w->m, &r, 1);
    assert_int_equal(e.windows, 3);
    assert_int_equal(e.windows_all, 8);
    assert_memory_equal(e.window_nll, all.window_nll, 3 * sizeof(double));
    r.max_windows = 1;
    e = evaluate(w, w->m, &r, 1);
    assert_true(isnan(e.ppl_se) && isfinite(e.ppl));
    r.max_windows = 99;
    assert_int_equal(evaluate(w, w->m, &r, 1).windows, 8);
    r.max_windows = -1;
    assert_status(LB_E_CONFIG, lb_perplexity(w->m->net, &w->m->weights, &r, NULL, w->arena, NULL, &e));
    r = request(w, "W2-65");
    assert_status(LB_E_CONFIG, lb_perplexity(w->m->net, &w->m->weights, &r, NULL, w->arena, NULL, &e));
    assert_error_has("longer than the model's context of 64");
    r = request(w, "W2-64");
    w->corpus.tokens = 63;
    assert_status(LB_E_CONFIG, lb_perplexity(w->m->net, &w->m->weights, &r, NULL, w->arena, NULL, &e));
    assert_error_has("some.txt: 63 tokens are too few for one window: protocol W2-64 needs 64");
    w->corpus.tokens = TOKENS;
}

static void path_in(char out[LB_TEST_PATH], const char *name) {
    static const char *dir;
    if (!dir) dir = lb_test_tmpdir();
    snprintf(out, LB_TEST_PATH, "%s/%s", dir, name);
}

/* States of `m` over all windows, committed. */
static void save_states(world *w, const lb_model *m, const char *path) {
    lb_eval_request r = request(w, "W2-16");
    assert_ok(lb_states_create(path, "some key", 8, N, 12, &r.save_states));
    evaluate(w, m, &r, 2);
    assert_false(access(path, F_OK) == 0); /* not before it is whole */
    assert_ok(lb_states_commit(r.save_states));
    lb_states_close(r.save_states);
}

static void kl_over_the_scored_tokens(void **state) {
    world *w = *state;
    char path[LB_TEST_PATH];
    path_in(path, "base.states");
    save_states(w, w->m, path);
    lb_eval_request r = request(w, "W2-16");
    r.base = &w->m->weights;
    assert_ok(lb_states_open(path, "some key", 8, N, 12, &r.base_states));
    lb_eval same = evaluate(w, w->m, &r, 2), e = evaluate(w, w->other, &r, 2);
    assert_true(same.has_kl && same.kl_mean == 0 && same.kl_p99 == 0 && same.top1 == 1);
    double p[N * VOCAB], q[N * VOCAB], kl[8 * 15], sum = 0;
    int64_t k = 0, agree = 0;
    for (int64_t i = 0; i < 8; i++) {
        log_probs(w->m, w->tokens + i * N, N, p);
        log_probs(w->other, w->tokens + i * N, N, q);
        double window = 0;
        for (int64_t t = 0; t < N - 1; t++) {
            int64_t bp = 0, bq = 0;
            kl[k] = 0;
            for (int64_t v = 0; v < VOCAB; v++) {
                double lp = p[t * VOCAB + v], lq = q[t * VOCAB + v];
                kl[k] += exp(lp) * (lp - lq);
                if (lp > p[t * VOCAB + bp]) bp = v;
                if (lq > q[t * VOCAB + bq]) bq = v;
            }
            agree += bp == bq;
            window += kl[k++];
        }
        close_to(e.window_kl[i], window / 15, 1e-4);
        sum += window;
    }
    close_to(e.kl_mean, sum / 120, 1e-4);
    close_to(e.top1, (double)agree / 120, 1e-9);
    for (int64_t i = 1; i < k; i++) /* an insertion sort of our own */
        for (int64_t j = i; j > 0 && kl[j] < kl[j - 1]; j--) {
            double x = kl[j];
            kl[j] = kl[j - 1];
            kl[j - 1] = x;
        }
    close_to(e.kl_median, (kl[59] + kl[60]) / 2, 1e-4);
    close_to(e.kl_p99, kl[117] + 0.81 * (kl[118] - kl[117]), 1e-4); /* 0.99 * 119 = 117.81 */
    lb_states_close(r.base_states);
    r.base_states = NULL;
    assert_status(LB_E_ARG, lb_perplexity(w->m->net, &w->m->weights, &r, NULL, w->arena, NULL, &e));
}

/* The same bytes with one thread and more, whether or not they divide the windows, and more than there are windows. */
static void threads_change_nothing(void **state) {
    world *w = *state;
    char path[LB_TEST_PATH];
    path_in(path, "threads.states");
    save_states(w, w->m, path);
    lb_eval_request r = request(w, "W2-16");
    r.base = &w->m->weights;
    assert_ok(lb_states_open(path, "some key", 8, N, 12, &r.base_states));
    lb_eval one = evaluate(w, w->other, &r, 1);
    for (int threads = 2; threads <= 11; threads++) {
        lb_eval e = evaluate(w, w->other, &r, threads);
        assert_memory_equal(e.window_nll, one.window_nll, 8 * sizeof(double));
        assert_memory_equal(e.window_kl, one.window_kl, 8 * sizeof(double));
        assert_memory_equal(&e.kl_median, &one.kl_median, sizeof(double));
        assert_memory_equal(&e.ppl_se, &one.ppl_se, sizeof(double));
    }
    lb_states_close(r.base_states);
}

/* Files whose hashes are right and whose numbers are no normed states, or those of other windows. */
static void forged_states_are_refused(void **state) {
    world *w = *state;
    static const int64_t shape[][3] = {{8, N, 0}, {-8, -N, 12}, {N, 8, 12}, {4, 2 * N, 12}, {8, N, 13}};
    const float most = 1.01f * sqrtf(12.0f) * fabsf(llama_vector(w->m, "final_norm")[0]);
    const float lie[] = {NAN, INFINITY, -1e38f, 1.01f * most, -1.01f * most};
    char path[LB_TEST_PATH];
    path_in(path, "forged.states");
    for (size_t i = 0; i < sizeof lie / sizeof lie[0]; i++) {
        save_states(w, w->m, path);
        lb_eval_request r = request(w, "W2-16");
        lb_eval e;
        r.base = &w->m->weights;
        forge(path, "states", &lie[i], sizeof lie[i]);
        assert_ok(lb_states_open(path, "some key", 8, N, 12, &r.base_states));
        assert_status(LB_E_FORMAT, lb_perplexity(w->m->net, &w->m->weights, &r, NULL, w->arena, NULL, &e));
        assert_error_has("damaged: window 0: the state at row 0, column 0");
        assert_true(lb_states_damaged(r.base_states));
        lb_states_close(r.base_states);
        unlink(path);
    }
    save_states(w, w->m, path);
    for (size_t i = 0; i < sizeof shape / sizeof shape[0]; i++) {
        lb_states *s;
        forge(path, "shape", shape[i], sizeof shape[i]);
        assert_status(LB_E_FORMAT, lb_states_open(path, "some key", 8, N, 12, &s));
        assert_error_has("expected 8 x 16 x 12");
    }
    unlink(path);
}

static void states_are_checked(void **state) {
    world *w = *state;
    char path[LB_TEST_PATH];
    lb_states *s;
    float row[N * 12] = {0};
    path_in(path, "checked.states");
    save_states(w, w->m, path);
    assert_status(LB_E_FORMAT, lb_states_open(path, "other key", 8, N, 12, &s));
    assert_error_has("expected other key");
    assert_ok(lb_states_open(path, "some key", 8, N, 12, &s));
    assert_status(LB_E_ARG, lb_states_get(s, 8, lb_mat_of(row, N, 12)));
    assert_status(LB_E_ARG, lb_states_get(s, 0, lb_mat_of(row, N - 1, 12)));
    assert_status(LB_E_ARG, lb_states_commit(s));
    lb_states_close(s);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(truncate(path, info.st_size - 4), 0);
    assert_status(LB_E_FORMAT, lb_states_open(path, "some key", 8, N, 12, &s));
    assert_int_equal(truncate(path, 100), 0);
    assert_status(LB_E_FORMAT, lb_states_open(path, "some key", 8, N, 12, &s));
    assert_int_equal(truncate(path, 0), 0);
    assert_status(LB_E_FORMAT, lb_states_open(path, "some key", 8, N, 12, &s));
    path_in(path, "nowhere.states");
    assert_status(LB_E_IO, lb_states_open(path, "some key", 8, N, 12, &s));
    path_in(path, "no/folder.states");
    assert_status(LB_E_IO, lb_states_create(path, "some key", 8, N, 12, &s));
    /* Not every window written: no file. */
    path_in(path, "half.states");
    assert_ok(lb_states_create(path, "some key", 8, N, 12, &s));
    assert_ok(lb_states_put(s, 0, lb_cmat_of(row, N, 12)));
    assert_status(LB_E_ARG, lb_states_commit(s));
    lb_states_close(s);
    assert_int_equal(access(path, F_OK), -1);
    char *dir = lb_fs_dirname(path), **name;
    size_t n;
    assert_ok(lb_fs_list(dir, NULL, &name, &n));
    for (size_t i = 0; i < n; i++) assert_null(strstr(name[i], ".tmp"));
    lb_fs_list_free(name, n);
    lb_free(dir);
}

static void nan_names_the_window(void **state) {
    world *w = *state;
    lb_eval_request r = request(w, "W2-16");
    lb_eval e;
    float *embed = (float *)(uintptr_t)w->m->weights.site[w->m->net->embed].W.d;
    int32_t poison = w->tokens[5 * N + 3];
    float keep = embed[poison * 12];
    embed[poison * 12] = NAN;
    assert_status(LB_E_NUMERIC, lb_perplexity(w->m->net, &w->m->weights, &r, NULL, w->arena, NULL, &e));
    int64_t first = 0;
    while (w->tokens[first] != poison) first++;
    char want[64];
    snprintf(want, sizeof want, "window %lld: logits of row", (long long)(first / N));
    assert_error_has(want);
    embed[poison * 12] = keep;
}

/* Every logit is a number, and so is the mean NLL; its exponential is none. */
static void perplexity_that_overflows(void **state) {
    world *w = *state;
    static const char *const protocol[] = {"W2-16", "LCPP-16"};
    float *head = (float *)(uintptr_t)w->m->weights.site[w->m->net->head].W.d,
          *keep = lb_alloc(VOCAB * 12, sizeof *keep);
    assert_non_null(keep);
    memcpy(keep, head, VOCAB * 12 * sizeof *keep);
    for (int i = 0; i < VOCAB * 12; i++) head[i] *= 1e30f;
    for (int p = 0; p < 2; p++) {
        lb_eval_request r = request(w, protocol[p]);
        lb_eval e;
        assert_status(LB_E_NUMERIC, lb_perplexity(w->m->net, &w->m->weights, &r, NULL, w->arena, NULL, &e));
        assert_error_has("perplexity overflows: the mean NLL is ");
        assert_error_has("e+29 nats a token, of window ");
    }
    /* Large, but a number: it is given. */
    for (int i = 0; i < VOCAB * 12; i++) head[i] = keep[i] * 1000;
    lb_eval_request r = request(w, "W2-16");
    lb_eval e = evaluate(w, w->m, &r, 1);
    assert_true(e.ppl > 1e4 && isfinite(e.ppl) && isfinite(e.ppl_se));
    memcpy(head, keep, VOCAB * 12 * sizeof *keep);
    lb_free(keep);
}

static void interruption_stops_it(void **state) {
    world *w = *state;
    lb_eval_request r = request(w, "W2-16");
    lb_eval e;
    lb_interrupt_request();
    assert_status(LB_E_INTERRUPTED, lb_perplexity(w->m->net, &w->m->weights, &r, NULL, w->arena, NULL, &e));
    lb_interrupt_clear();
}

typedef struct seen {
    int64_t calls, last, total;
} seen;

static void on_progress(void *user, const lb_progress *p) {
    seen *s = user;
    assert_string_equal(p->stage, "perplexity");
    assert_true(p->done >= s->last);
    s->calls++;
    s->last = p->done;
    s->total = p->total;
}

static void progress_reaches_the_end(void **state) {
    world *w = *state;
    lb_eval_request r = request(w, "W2-16");
    lb_eval e;
    seen s = {0};
    lb_log log = {.progress = on_progress, .user = &s};
    lb_team *team;
    assert_ok(lb_team_new(2, &team));
    assert_ok(lb_perplexity(w->m->net, &w->m->weights, &r, team, w->arena, &log, &e));
    lb_team_free(team);
    assert_true(s.calls >= 2 && s.last == 8 && s.total == 8);
}

static void paired_differences(void **state) {
    (void)state;
    enum { MANY = 1000 };
    static double a[MANY], b[MANY];
    lb_paired p, again;
    lb_rng r = lb_rng_make(11, 0);
    for (int64_t i = 0; i < MANY; i++) {
        b[i] = 3 + lb_rng_normal(&r); /* what windows share cancels */
        a[i] = b[i] + 0.02 + 0.1 * lb_rng_normal(&r);
    }
    assert_ok(lb_paired_difference(a, b, MANY, &p));
    assert_int_equal(p.block, 10);
    assert_int_equal(p.windows, MANY);
    /* Independent windows: the interval is that of the mean, +- 1.96 sd / sqrt(n), within the bootstrap's own noise. */
    double half = 1.96 * 0.1 / sqrt(MANY);
    assert_true(fabs(p.delta - 0.02) < 2 * half);
    close_to(p.high - p.delta, half, 0.15);
    close_to(p.delta - p.low, half, 0.15);
    assert_ok(lb_paired_difference(a, b, MANY, &again));
    assert_memory_equal(&p, &again, sizeof p);

    /* Neighbours that move together: the interval must be wider than independence would have it. */
    double level = 0;
    for (int64_t i = 0; i < MANY; i++) {
        if (i % 10 == 0) level = 0.1 * lb_rng_normal(&r);
        a[i] = b[i] + level;
    }
    assert_ok(lb_paired_difference(a, b, MANY, &p));
    assert_true(p.high - p.low > 1.7 * 2 * half);

    for (int64_t i = 0; i < 30; i++) a[i] = b[i] + 0.5;
    assert_ok(lb_paired_difference(a, b, 30, &p));
    assert_int_equal(p.block, 3);
    assert_true(fabs(p.delta - 0.5) < 1e-12 && fabs(p.low - 0.5) < 1e-12 && fabs(p.high - 0.5) < 1e-12);
    a[1] = b[1] + 1.5; /* two windows: each of the four resamples, and so both ends, is likely */
    assert_ok(lb_paired_difference(a, b, 2, &p));
    assert_int_equal(p.block, 1);
    assert_true(fabs(p.delta - 1) < 1e-12 && fabs(p.low - 0.5) < 1e-12 && fabs(p.high - 1.5) < 1e-12);
    a[1] = b[1] + 0.5;
    assert_ok(lb_paired_difference(a, b, 1, &p));
    assert_true(isnan(p.low) && isnan(p.high) && p.block == 1 && fabs(p.delta - 0.5) < 1e-12);
    assert_status(LB_E_ARG, lb_paired_difference(a, b, 0, &p));
    a[3] = NAN;
    assert_status(LB_E_NUMERIC, lb_paired_difference(a, b, 30, &p));
    assert_error_has("window 3");
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The bootstrap as it is described, by plain loops: 10,000 series of runs of round(n^(1/3)) neighbours, drawn from the
 * one seed that results are published with; ends at 2.5 and 97.5 %, linear between neighbours. */
static void the_interval_as_described(void **state) {
    (void)state;
    enum { SERIES = 10000, SEED = 20240501, MANY = 61 };
    static const int64_t sizes[] = {MANY, 27, 5, 2};
    static double a[MANY], b[MANY], mean[SERIES];
    lb_rng r = lb_rng_make(4, 0);
    for (int64_t i = 0; i < MANY; i++) b[i] = 3 + lb_rng_normal(&r), a[i] = b[i] + 0.2 * lb_rng_normal(&r);
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        int64_t n = sizes[k], block = llround(cbrt((double)n));
        lb_rng draw = lb_rng_make(SEED, 0);
        for (int64_t s = 0; s < SERIES; s++) {
            mean[s] = 0;
            for (int64_t i = 0, start = 0; i < n; i++) {
                if (i % block == 0) start = lb_rng_below(&draw, n - block + 1) - i;
                mean[s] += (a[start + i] - b[start + i]) / (double)n;
            }
        }
        qsort(mean, SERIES, sizeof *mean, ascending);
        double low = mean[249] + 0.975 * (mean[250] - mean[249]), high = mean[9749] + 0.025 * (mean[9750] - mean[9749]);
        lb_paired p;
        assert_ok(lb_paired_difference(a, b, n, &p));
        assert_true(fabs(p.low - low) < 1e-9 && fabs(p.high - high) < 1e-9);
        assert_int_equal(p.block, block);
    }
}

static lb_status everything(void *ctx) {
    world *w = ctx;
    lb_arena *arena;
    lb_eval e;
    lb_paired p;
    char path[LB_TEST_PATH];
    lb_eval_request r = {.corpus = &w->corpus, .base = &w->m->weights, .protocol = {"W2-16", LB_RULE_W2, 16}};
    path_in(path, "alloc.states");
    LB_TRY(lb_arena_new(64, &arena));
    lb_status st = lb_states_create(path, "k", 8, N, 12, &r.save_states);
    if (st == LB_OK) {
        lb_eval_request plain = {.corpus = &w->corpus, .protocol = r.protocol, .save_states = r.save_states};
        st = lb_perplexity(w->m->net, &w->m->weights, &plain, NULL, arena, NULL, &e);
    }
    if (st == LB_OK) st = lb_states_commit(r.save_states);
    lb_states_close(r.save_states);
    r.save_states = NULL;
    if (st == LB_OK) st = lb_states_open(path, "k", 8, N, 12, &r.base_states);
    if (st == LB_OK) st = lb_perplexity(w->m->net, &w->m->weights, &r, NULL, arena, NULL, &e);
    lb_states_close(r.base_states);
    if (st == LB_OK) st = lb_paired_difference(e.window_nll, e.window_nll, e.windows, &p);
    lb_arena_free(arena);
    return st;
}

static void every_allocation_may_fail(void **state) {
    assert_true(llama_fail_each_allocation(everything, *state) > 20);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(w2_scores_all_but_the_first), cmocka_unit_test(lcpp_scores_the_second_half),
        cmocka_unit_test(limits_on_windows),           cmocka_unit_test(kl_over_the_scored_tokens),
        cmocka_unit_test(threads_change_nothing),      cmocka_unit_test(forged_states_are_refused),
        cmocka_unit_test(states_are_checked),          cmocka_unit_test(nan_names_the_window),
        cmocka_unit_test(interruption_stops_it),       cmocka_unit_test(progress_reaches_the_end),
        cmocka_unit_test(perplexity_that_overflows),   cmocka_unit_test(paired_differences),
        cmocka_unit_test(the_interval_as_described),   cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, make_world, free_world);
}
