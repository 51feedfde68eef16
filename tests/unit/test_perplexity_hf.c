/* Windows that overlap and that are of unequal length, against a plain count over the reference's logits. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eval/perplexity.h"
#include "math/blas.h"
#include "support/perplexity_kit.h"

enum { STRIDE = 6, WINDOWS = 21, LAST = TOKENS - (WINDOWS - 1) * STRIDE };

/* Every token but the first once, by the window that first has it. */
static void each_token_once(void **state) {
    world *w = *state;
    lb_eval_request r = request(w, "HF-16/6");
    lb_eval e = evaluate(w, w->m, &r, 2);
    double lp[N * VOCAB], sum = 0, sq = 0;
    int64_t next = 1;
    assert_int_equal(e.windows, WINDOWS);
    assert_int_equal(e.windows_all, WINDOWS);
    assert_int_equal(e.scored, TOKENS - 1);
    for (int64_t i = 0; i < WINDOWS; i++) {
        int64_t start = i * STRIDE, n = start + N < TOKENS ? N : TOKENS - start, counted = 0;
        double nll = 0;
        log_probs(w->m, w->tokens + start, n, lp);
        for (; next < start + n; next++, counted++) {
            double x = -lp[(next - 1 - start) * VOCAB + w->tokens[next]];
            nll += x;
            sq += x * x;
        }
        close_to(e.window_nll[i], nll / (double)counted, 1e-5);
        sum += nll;
    }
    double mean = sum / (TOKENS - 1);
    close_to(e.mean_nll, mean, 1e-6);
    close_to(e.ppl, exp(mean), 1e-5);
    close_to(e.ppl_se, exp(mean) * sqrt((sq / (TOKENS - 1) - mean * mean) / (TOKENS - 2)), 1e-4);
}

static void of_some_windows(void **state) {
    world *w = *state;
    lb_eval_request r = request(w, "HF-16/6");
    lb_eval all = evaluate(w, w->m, &r, 1);
    r.max_windows = 3;
    lb_eval e = evaluate(w, w->m, &r, 1);
    assert_int_equal(e.windows, 3);
    assert_int_equal(e.windows_all, WINDOWS);
    assert_int_equal(e.scored, 15 + 6 + 6);
    assert_memory_equal(e.window_nll, all.window_nll, 3 * sizeof(double));
    close_to(e.mean_nll, (15 * e.window_nll[0] + 6 * e.window_nll[1] + 6 * e.window_nll[2]) / 27, 1e-12);
}

static void a_text_shorter_than_a_window(void **state) {
    world *w = *state;
    lb_eval_request r = request(w, "HF-16/6");
    double lp[N * VOCAB];
    lb_eval e;
    w->corpus.tokens = 3;
    e = evaluate(w, w->m, &r, 2);
    assert_int_equal(e.windows, 1);
    assert_int_equal(e.scored, 2);
    log_probs(w->m, w->tokens, 3, lp);
    close_to(e.mean_nll, -(lp[w->tokens[1]] + lp[VOCAB + w->tokens[2]]) / 2, 1e-5);
    w->corpus.tokens = 1;
    assert_status(LB_E_CONFIG, lb_perplexity(w->m->net, &w->m->weights, &r, NULL, w->arena, NULL, &e));
    assert_error_has("some.txt: 1 tokens are too few for one window: protocol HF-16/6 needs 2");
    w->corpus.tokens = TOKENS;
    r = request(w, "HF-65/6");
    assert_status(LB_E_CONFIG, lb_perplexity(w->m->net, &w->m->weights, &r, NULL, w->arena, NULL, &e));
    assert_error_has("longer than the model's context of 64");
}

static void save_states(world *w) {
    lb_eval_request r = request(w, "HF-16/6");
    assert_ok(lb_states_create(w->states, "some key", WINDOWS, N, DIM, &r.save_states));
    evaluate(w, w->m, &r, 2);
    assert_ok(lb_states_commit(r.save_states));
    lb_states_close(r.save_states);
}

/* Each token's weight is the same, whatever its window; and the rows behind the last one's tokens are nobody's. */
static void divergence(void **state) {
    world *w = *state;
    save_states(w);
    lb_eval_request r = request(w, "HF-16/6");
    r.base = &w->m->weights;
    assert_ok(lb_states_open(w->states, "some key", WINDOWS, N, DIM, &r.base_states));
    float kept[N * DIM];
    assert_ok(lb_states_get(r.base_states, WINDOWS - 1, lb_mat_of(kept, N, DIM)));
    for (int64_t i = LAST * DIM; i < N * DIM; i++) assert_true(kept[i] == 0.0f);
    lb_eval same = evaluate(w, w->m, &r, 2), e = evaluate(w, w->other, &r, 1);
    assert_true(same.has_kl && same.kl_mean == 0 && same.kl_p99 == 0 && same.top1 == 1);
    double p[N * VOCAB], q[N * VOCAB], sum = 0;
    int64_t next = 1, agree = 0;
    for (int64_t i = 0; i < WINDOWS; i++) {
        int64_t start = i * STRIDE, n = start + N < TOKENS ? N : TOKENS - start;
        log_probs(w->m, w->tokens + start, n, p);
        log_probs(w->other, w->tokens + start, n, q);
        for (; next < start + n; next++) {
            const double *lp = p + (next - 1 - start) * VOCAB, *lq = q + (next - 1 - start) * VOCAB;
            int64_t bp = 0, bq = 0;
            for (int64_t v = 0; v < VOCAB; v++) {
                sum += exp(lp[v]) * (lp[v] - lq[v]);
                if (lp[v] > lp[bp]) bp = v;
                if (lq[v] > lq[bq]) bq = v;
            }
            agree += bp == bq;
        }
    }
    close_to(e.kl_mean, sum / (TOKENS - 1), 1e-5);
    close_to(e.top1, (double)agree / (TOKENS - 1), 1e-9);
    for (int threads = 2; threads <= WINDOWS + 2; threads += threads < 5 ? 1 : 6) {
        lb_eval more = evaluate(w, w->other, &r, threads);
        assert_memory_equal(more.window_nll, e.window_nll, WINDOWS * sizeof(double));
        assert_memory_equal(more.window_kl, e.window_kl, WINDOWS * sizeof(double));
        assert_memory_equal(&more.kl_median, &e.kl_median, sizeof(double));
        assert_memory_equal(&more.ppl_se, &e.ppl_se, sizeof(double));
    }
    lb_states_close(r.base_states);
}

/* What is compared has the protocol's mean, and is taken from the windows alone. */
static void compared_by_tokens(void **state) {
    world *w = *state;
    lb_eval_request r = request(w, "HF-16/6");
    r.max_windows = 5;
    const double *x;
    double sum = 0;
    lb_eval e = evaluate(w, w->m, &r, 1);
    assert_ok(lb_eval_series(&e, TOKENS, w->arena, &x));
    for (int64_t i = 0; i < 5; i++) sum += x[i];
    close_to(sum / 5, e.mean_nll, 1e-12);
    close_to(x[0] / x[1], 15.0 / 6.0 * e.window_nll[0] / e.window_nll[1], 1e-12);
    r = request(w, "W2-16");
    e = evaluate(w, w->m, &r, 1);
    assert_ok(lb_eval_series(&e, TOKENS, w->arena, &x));
    assert_ptr_equal(x, e.window_nll);
}

/* Scored as W2 whatever else they say of the text. */
static void others_score_as_w2(void **state) {
    world *w = *state;
    static const char *const id[] = {"SQ-16", "PTB-old-16", "PTB-new-16"};
    lb_eval_request r = request(w, "W2-16");
    lb_eval w2 = evaluate(w, w->m, &r, 1);
    for (size_t i = 0; i < sizeof id / sizeof id[0]; i++) {
        r = request(w, id[i]);
        lb_eval e = evaluate(w, w->m, &r, 1);
        assert_int_equal(e.windows, 8);
        assert_memory_equal(e.window_nll, w2.window_nll, 8 * sizeof(double));
        assert_memory_equal(&e.ppl_se, &w2.ppl_se, sizeof(double));
    }
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_token_once),
        cmocka_unit_test(of_some_windows),
        cmocka_unit_test(a_text_shorter_than_a_window),
        cmocka_unit_test(divergence),
        cmocka_unit_test(compared_by_tokens),
        cmocka_unit_test(others_score_as_w2),
    };
    return cmocka_run_group_tests(tests, make_world, free_world);
}
