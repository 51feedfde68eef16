/* Acceptance of drafts: the sum of min(p, q) against its definition, PyTorch's and a simulation of rounds; and from an
 * evaluation to a result file and back. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "eval/perplexity.h"
#include "io/h5.h"
#include "io/json.h"
#include "math/blas.h"
#include "model/forward.h"
#include "model/weights.h"
#include "result/figures.h"
#include "result/store.h"
#include "run/config.h"
#include "support/llama.h"
#include "support/synthetic_results.h"

static const char *home;

/* ---- the sum ---- */

enum { ROWS = 3, DIM = 4, VOCAB = 2100 }; /* three chunks */

static float *draw(lb_rng *r, int64_t n, double spread) {
    float *x = lb_alloc((size_t)n, sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++) x[i] = (float)(spread * lb_rng_normal(r));
    return x;
}

/* Rows of logits, as the head gives them, as probabilities. */
static void softmax(const float *x, int64_t n, double *p) {
    double top = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) top = fmax(top, (double)x[i]);
    for (int64_t i = 0; i < n; i++) sum += p[i] = exp((double)x[i] - top);
    for (int64_t i = 0; i < n; i++) p[i] /= sum;
}

static double overlap(const double *p, const double *q, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += fmin(p[i], q[i]);
    return sum;
}

static void by_definition(void *ctx, const char *kernel) {
    (void)ctx;
    lb_rng r = lb_rng_make(5, 0);
    float *W = draw(&r, (int64_t)VOCAB * DIM, 1), *V = draw(&r, (int64_t)VOCAB * DIM, 1),
          *h = draw(&r, ROWS * DIM, 1.5);
    float *lp = draw(&r, ROWS * VOCAB, 0), *lq = draw(&r, ROWS * VOCAB, 0);
    for (int64_t i = 0; i < (int64_t)VOCAB * DIM; i++) V[i] = W[i] + 0.3f * V[i];
    lb_head p = lb_head_at(lb_cmat_of(W, VOCAB, DIM)), q = lb_head_at(lb_cmat_of(V, VOCAB, DIM));
    lb_cmat H = lb_cmat_of(h, ROWS, DIM);
    const int32_t target[ROWS] = {0, 7, VOCAB - 1};
    double nll[2][ROWS], kl[2][ROWS], accept[ROWS], same[ROWS];
    uint8_t agree[2][ROWS];
    lb_head_logits(&p, H, lb_mat_of(lp, ROWS, VOCAB));
    lb_head_logits(&q, H, lb_mat_of(lq, ROWS, VOCAB));
    assert_ok(lb_head_kl_rows(p, H, q, H, target, 0, ROWS, nll[0], kl[0], agree[0], NULL));
    assert_ok(lb_head_kl_rows(p, H, q, H, target, 0, ROWS, nll[1], kl[1], agree[1], accept));
    assert_memory_equal(nll[0], nll[1], sizeof nll[0]); /* what else is measured stays */
    assert_memory_equal(kl[0], kl[1], sizeof kl[0]);
    assert_memory_equal(agree[0], agree[1], sizeof agree[0]);
    assert_ok(lb_head_kl_rows(p, H, p, H, target, 0, ROWS, nll[1], kl[1], agree[1], same));
    for (int i = 0; i < ROWS; i++) {
        static double P[VOCAB], Q[VOCAB];
        softmax(lp + (int64_t)i * VOCAB, VOCAB, P);
        softmax(lq + (int64_t)i * VOCAB, VOCAB, Q);
        double want = overlap(P, Q, VOCAB);
        assert_true(want > 0.2 && want < 0.95);
        if (!(fabs(accept[i] - want) < 2e-6)) fail_msg("%s kernels: %g, not %g", kernel, accept[i], want);
        assert_true(same[i] <= 1.0 && same[i] > 1.0 - 1e-6);
    }
    float *all[] = {W, V, h, lp, lq};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) lb_free(all[i]);
}

static void the_sum_of_the_lesser_probabilities(void **state) {
    (void)state;
    llama_each_kernel(by_definition, NULL);
}

/* One state, whose only number is 1: logits are the head's. */
static void as_pytorch(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    json_t *root;
    const json_t *e;
    size_t k;
    lb_test_fixture("tests/oracle/fixtures/generate.json", path);
    assert_ok(lb_json_read(path, &root));
    const json_t *cases = json_object_get(root, "accept");
    assert_true(json_array_size(cases) >= 3);
    json_array_foreach(cases, k, e) {
        enum { MOST = 64 };
        float x[2][MOST], one = 1.0f;
        const char *const key[] = {"p", "q"};
        int64_t n = (int64_t)json_array_size(json_object_get(e, "p"));
        double nll, kl, accept, want = json_number_value(json_object_get(e, "accept"));
        uint8_t agree;
        assert_true(n <= MOST);
        for (int s = 0; s < 2; s++)
            for (int64_t i = 0; i < n; i++)
                x[s][i] = (float)json_number_value(json_array_get(json_object_get(e, key[s]), (size_t)i));
        lb_cmat h = lb_cmat_of(&one, 1, 1);
        assert_ok(lb_head_kl_rows(lb_head_at(lb_cmat_of(x[0], n, 1)), h, lb_head_at(lb_cmat_of(x[1], n, 1)), h,
                                  &(int32_t){0}, 0, 1, &nll, &kl, &agree, &accept));
        if (!(fabs(accept - want) < 1e-6)) fail_msg("%g, not %g", accept, want);
    }
    json_decref(root);
}

/* ---- rounds ---- */

enum { IDS = 6, DRAFTS = 4, ROUNDS = 20000 };

static int32_t drawn(lb_rng *r, const double *p) {
    double at = lb_rng_uniform(r), sum = 0;
    int32_t i = 0;
    while (i < IDS - 1 && (sum += p[i]) <= at) i++;
    return i;
}

/* Drafts of q, each taken with probability min(1, p / q): as often as the overlap says, and rounds as long as the sum
 * of its powers. */
static void rounds_of_drafts(void **state) {
    (void)state;
    const double p[IDS] = {0.4, 0.25, 0.15, 0.1, 0.06, 0.04}, q[IDS] = {0.3, 0.1, 0.3, 0.2, 0.06, 0.04};
    double alpha = overlap(p, q, IDS), taken = 0, offered = 0, tokens = 0, squares = 0;
    lb_rng r = lb_rng_make(9, 0);
    for (int k = 0; k < ROUNDS; k++) {
        double n = 1;
        for (int d = 0; d < DRAFTS; d++) {
            int32_t id = drawn(&r, q);
            bool take = lb_rng_uniform(&r) < p[id] / q[id];
            offered++;
            taken += take;
            if (!take) break;
            n++;
        }
        tokens += n;
        squares += n * n;
    }
    double mean = tokens / ROUNDS, error = sqrt((squares / ROUNDS - mean * mean) / ROUNDS);
    assert_true(fabs(taken / offered - alpha) < 4.0 * sqrt(alpha * (1.0 - alpha) / offered));
    assert_true(fabs(mean - lb_tokens_a_round(alpha, DRAFTS)) < 4.0 * error);
}

static void near(double a, double b) { assert_true(fabs(a - b) < 1e-12 * fmax(fabs(b), 1.0)); }

static void tokens_and_speed(void **state) {
    (void)state;
    near(lb_tokens_a_round(1.0, 4), 5.0);
    near(lb_tokens_a_round(0.0, 4), 1.0);
    near(lb_tokens_a_round(0.8, 1), 1.8);
    near(lb_tokens_a_round(0.8, 5), (1.0 - pow(0.8, 6)) / (1.0 - 0.8));
    near(lb_speculative_speedup(3.0, 4, 0.25), 1.5);
    lb_model_size size = {.total_as_fp16 = 250, .original_fp16 = 1000};
    lb_eval e = {.speculative = 4, .accept = 0.9, .accept_tokens = 3.0};
    near(lb_draft_speedup(&size, &e), 1.5);
    e.speculative = 0;
    assert_true(isnan(lb_draft_speedup(&size, &e)));
}

/* ---- an evaluation ---- */

static lb_eval evaluated(lb_arena *a, const lb_model *m, const lb_weights *w, lb_corpus *c, lb_states *save,
                         lb_states *base, int64_t speculative, lb_team *team) {
    lb_eval e;
    lb_eval_request r = {.corpus = c, .save_states = save, .base_states = base, .speculative = speculative};
    assert_ok(lb_protocol_parse("HF-16/5", &r.protocol));
    r.base = base ? &m->weights : NULL;
    assert_ok(lb_perplexity(m->net, w, &r, team, a, NULL, &e));
    return e;
}

static void check_evaluation(const lb_model *m, lb_arena *a, lb_corpus *c, lb_team *team, lb_eval out[2]) {
    char path[LB_TEST_PATH];
    lb_states *states;
    lb_weights other;
    lb_protocol p;
    assert_ok(lb_protocol_parse("HF-16/5", &p));
    int64_t windows = lb_protocol_windows(&p, c->tokens), dim = m->net->dim;
    snprintf(path, sizeof path, "%s/states", home);
    assert_ok(lb_states_create(path, "k", windows, 16, dim, &states));
    (void)evaluated(a, m, &m->weights, c, states, NULL, 0, team);
    assert_ok(lb_states_commit(states));
    lb_states_close(states);
    assert_ok(lb_weights_clone(a, m->net, &m->weights, &other));
    lb_linop *down = &other.site[lb_net_find(m->net, "1.down")];
    float *half = LB_NEW(a, float, down->W.rows * down->W.cols);
    assert_non_null(half);
    for (int64_t i = 0; i < down->W.rows * down->W.cols; i++) half[i] = 0.5f * down->W.d[i];
    down->W.d = half;
    for (int k = 0; k < 2; k++) { /* itself, another */
        assert_ok(lb_states_open(path, "k", windows, 16, dim, &states));
        out[k] = evaluated(a, m, k ? &other : &m->weights, c, NULL, states, 4, team);
        lb_eval plain = evaluated(a, m, k ? &other : &m->weights, c, NULL, states, 0, team);
        lb_states_close(states);
        assert_int_equal(plain.speculative, 0);
        assert_true(plain.kl_mean == out[k].kl_mean && plain.ppl == out[k].ppl && plain.top1 == out[k].top1);
        assert_memory_equal(plain.window_kl, out[k].window_kl, (size_t)windows * sizeof *plain.window_kl);
    }
}

static void a_model_and_another(void **state) {
    (void)state;
    static const char text[] =
        "The cat sat on the mat. The dog sat on the log, and 12 cats sat on 34 mats. The cat sat on "
        "the log. 34 dogs sat on 12 mats, and the cat sat on the dog. The end of the log.";
    char path[LB_TEST_PATH];
    lb_arena *a;
    lb_corpus *c;
    lb_team *team;
    lb_eval one[2], two[2];
    lb_model *m = llama_random(
        (lb_arch){.layers = 2, .dim = 16, .hidden = 24, .heads = 2, .kv_heads = 1, .head_dim = 8, .vocab = 280}, 3);
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_team_new(2, &team));
    assert_ok(lb_tokenizer_train(text, sizeof text - 1, 280, &m->tokenizer));
    snprintf(path, sizeof path, "%s/text.txt", home);
    assert_ok(lb_fs_write_atomic(path, text, sizeof text - 1));
    assert_ok(lb_corpus_open(path, m->tokenizer, LB_BOS_NEVER, NULL, &c));
    check_evaluation(m, a, c, NULL, one);
    check_evaluation(m, a, c, team, two);
    assert_int_equal(one[0].speculative, 4);
    assert_true(one[0].accept > 1.0 - 1e-6 && one[0].accept <= 1.0 && one[0].accept_tokens > 5.0 - 1e-5);
    assert_true(one[1].accept > 0.1 && one[1].accept < 0.999);
    near(one[1].accept_tokens, lb_tokens_a_round(one[1].accept, 4));
    double sum = 0;
    for (int64_t i = 0; i < one[1].windows; i++) { /* over tokens: windows score different numbers of them */
        lb_window w = lb_protocol_window(&one[1].protocol, c->tokens, i);
        sum += one[1].window_accept[i] * (double)(w.n - 1 - w.from);
    }
    near(one[1].accept, sum / (double)one[1].scored);
    assert_memory_equal(one[1].window_accept, two[1].window_accept, (size_t)one[1].windows * sizeof(double));
    assert_true(one[1].accept == two[1].accept);
    lb_corpus_close(c);
    lb_team_free(team);
    lb_arena_free(a);
    lb_model_close(m);
}

/* ---- a file ---- */

static lb_status there_and_back(const lb_record *r, lb_arena *a, lb_record *back) {
    char path[LB_TEST_PATH];
    lb_record copy = *r;
    snprintf(path, sizeof path, "%s/%s.h5", home, r->stem);
    assert_ok(lb_store_write(home, &copy));
    return lb_store_read(path, a, back);
}

static void in_a_result(void **state) {
    (void)state;
    lb_results *s = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic/");
    lb_record *r = &s->record[1], back;
    lb_arena *a;
    double share[512];
    assert_ok(lb_arena_new(0, &a));
    lb_eval *e = &r->eval[0].eval;
    assert_true(r->evals > 0 && e->windows <= 512);
    assert_ok(there_and_back(r, a, &back));
    assert_int_equal(back.eval[0].eval.speculative, 0);
    for (int64_t i = 0; i < e->windows; i++) share[i] = 0.5 + 0.3 / (double)(i + 1);
    e->speculative = 5, e->accept = 0.75, e->accept_tokens = lb_tokens_a_round(0.75, 5), e->window_accept = share;
    assert_ok(there_and_back(r, a, &back));
    const lb_eval *b = &back.eval[0].eval;
    assert_int_equal(b->speculative, 5);
    assert_true(b->accept == e->accept && b->accept_tokens == e->accept_tokens);
    assert_memory_equal(b->window_accept, share, (size_t)e->windows * sizeof *share);
    static const struct {
        int64_t speculative;
        double accept, tokens, first;
    } bad[] = {{17, 0.5, 1.5, 0.5}, {5, 1.5, 2, 0.5},  {5, NAN, 2, 0.5},  {5, 0.5, 0.5, 0.5},
               {5, 0.5, 7, 0.5},    {5, 0.5, 1.5, -1}, {5, 0.5, 1.5, NAN}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        e->speculative = bad[i].speculative, e->accept = bad[i].accept, e->accept_tokens = bad[i].tokens;
        share[0] = bad[i].first;
        assert_status(LB_E_FORMAT, there_and_back(r, a, &back));
        share[0] = 0.5;
    }
    lb_arena_free(a);
    synthetic_results_free(s);
}

/* ---- a config ---- */

static lb_status read_config(lb_arena *a, const char *eval) {
    lb_config c;
    char yaml[512], path[LB_TEST_PATH];
    snprintf(path, sizeof path, "%s/x.yaml", home);
    snprintf(yaml, sizeof yaml, "model: m\neval: {text: t%s}\nquantize: [{method: rtn}]\n", eval);
    assert_ok(lb_fs_write_atomic(path, yaml, strlen(yaml)));
    return lb_config_read(a, path, NULL, 0, &c);
}

static void in_a_config(void **state) {
    (void)state;
    lb_arena *a;
    assert_ok(lb_arena_new(0, &a));
    assert_ok(read_config(a, ", speculative: 16"));
    assert_status(LB_E_CONFIG, read_config(a, ", speculative: 17"));
    assert_error_has("must be in [0, 16]");
    assert_status(LB_E_CONFIG, read_config(a, ", speculative: 2, kl: false"));
    assert_error_has("speculative: needs kl: true");
    lb_arena_free(a);
}

static int setup(void **state) {
    (void)state;
    home = lb_test_tmpdir();
    return lb_blas_init(2) == LB_OK ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_sum_of_the_lesser_probabilities),
                                       cmocka_unit_test(as_pytorch),
                                       cmocka_unit_test(rounds_of_drafts),
                                       cmocka_unit_test(tokens_and_speed),
                                       cmocka_unit_test(a_model_and_another),
                                       cmocka_unit_test(in_a_result),
                                       cmocka_unit_test(in_a_config)};
    return cmocka_run_group_tests_name("acceptance of drafts", tests, setup, NULL);
}
