/* Statistics of what experts read: only of the rows that were routed to them, against plain loops over captured rows;
 * of T x where there is a T; kept in the statistics file with their tokens; and what becomes of an expert that no token
 * reached. */
#include <math.h>
#include <string.h>

#include "base/fs.h"
#include "eval/calibrate.h"
#include "math/blas.h"
#include "support/collect.h"
#include "support/programs.h"
#include "support/quant_kit.h"
#include "support/support.h"

enum { SAMPLES = 5, LENGTH = 12, INPUTS = 32 };

typedef struct expected {
    double *H, *sum; /* (cols, cols), (cols) of |x| */
    float *row;      /* (tokens, cols) */
    int64_t tokens, sequences;
} expected;

static lb_log quiet;

static lb_team *team_of(int threads) {
    lb_team *t = NULL;
    assert_ok(lb_team_new(threads, &t));
    return t;
}

static void add_rows(expected *e, lb_mat X, int64_t rows) {
    for (int64_t t = 0; t < rows; t++)
        memcpy(e->row + (e->tokens + t) * X.cols, X.d + t * X.ld, (size_t)X.cols * sizeof *X.d);
    e->tokens += rows;
    e->sequences += rows > 0;
    for (int64_t t = 0; t < rows; t++)
        for (int64_t i = 0; i < X.cols; i++) e->sum[i] += fabs((double)X.d[t * X.ld + i]);
    for (int64_t t = 0; t < rows; t++)
        for (int64_t i = 0; i < X.cols; i++)
            for (int64_t j = 0; j < X.cols; j++)
                e->H[i * X.cols + j] += (double)X.d[t * X.ld + i] * (double)X.d[t * X.ld + j];
}

/* Every input of block 0, sequence by sequence on one thread. */
static void expect(const lb_test_program *c, const lb_net *n, const lb_weights *w, const int32_t *tokens, int32_t first,
                   int32_t inputs, expected *out) {
    lb_exec *e;
    lb_tap tap[INPUTS];
    lb_mat x = lb_mat_of(LB_NEW(c->arena, float, LENGTH * n->dim), LENGTH, n->dim);
    assert_ok(lb_exec_new(c->arena, n, LENGTH, NULL, &e));
    for (int32_t i = 0; i < inputs; i++) {
        int64_t cols = n->input[first + i].cols;
        out[i].H = LB_NEW(c->arena, double, cols *cols);
        out[i].sum = LB_NEW(c->arena, double, cols);
        out[i].row = LB_NEW(c->arena, float, SAMPLES *LENGTH *cols);
        tap[i] = (lb_tap){.input = first + i, .to = lb_mat_of(LB_NEW(c->arena, float, LENGTH *cols), LENGTH, cols)};
    }
    for (int64_t q = 0; q < SAMPLES; q++) {
        lb_capture cap = {.tap = tap, .taps = inputs};
        assert_ok(lb_exec_embed(e, w, tokens + q * LENGTH, LENGTH, x));
        assert_ok(lb_exec_block(e, w, 0, x, &cap));
        for (int32_t i = 0; i < inputs; i++) {
            const lb_transform *t = &w->site[n->reader[n->input[first + i].first]].T;
            lb_mat rows = lb_mat_part(tap[i].to, 0, 0, tap[i].rows, tap[i].to.cols);
            if (lb_transform_any(t)) lb_transform_input(t, lb_mat_c(rows), rows);
            add_rows(&out[i], rows, rows.rows);
        }
    }
}

static void check_hessian(const expected *e, const lb_stats *h) {
    int64_t n = h->H.cols;
    assert_int_equal(h->tokens, e->tokens);
    assert_int_equal(h->sequences, e->sequences);
    for (int64_t i = 0; i < n * n; i++) {
        double want = e->tokens ? e->H[i] / (double)e->tokens : 0.0;
        double scale = e->tokens ? sqrt(e->H[i / n * n + i / n] * e->H[i % n * n + i % n]) / (double)e->tokens : 0.0;
        assert_true(fabs(h->H.d[i] - want) <= 1e-5 * scale);
    }
}

/* All others: of so few rows every one is a sample. */
static void check_others(const expected *e, const lb_stats *s, int64_t cols) {
    float lo = e->tokens ? e->row[0] : 0, hi = lo;
    for (int64_t i = 0; i < cols; i++) {
        float most = 0;
        for (int64_t t = 0; t < e->tokens; t++) {
            float x = e->row[t * cols + i];
            most = fmaxf(most, fabsf(x));
            lo = fminf(lo, x);
            hi = fmaxf(hi, x);
        }
        assert_true(s->absmax[i] == most);
        assert_true(s->mean_abs[i] == (e->tokens ? e->sum[i] / (double)e->tokens : 0));
    }
    assert_true(s->lo == lo && s->hi == hi);
    assert_int_equal(s->rows.rows, e->tokens);
    assert_memory_equal(s->rows.d, e->row, (size_t)(e->tokens * cols) * sizeof(float));
}

/* A T for each input of block 0, one for all that read it. */
static void give_transforms(const lb_test_program *c, const lb_net *n, lb_weights *w) {
    int32_t first, inputs = lb_net_inputs(n, 0, &first);
    for (int32_t i = first; i < first + inputs; i++) {
        int64_t cols = n->input[i].cols, run = 1;
        float *scale = LB_NEW(c->arena, float, cols);
        uint8_t *sign = LB_NEW(c->arena, uint8_t, cols);
        for (int64_t k = 0; k < cols; k++) scale[k] = 0.5f + 0.25f * (float)((k * 7 + i) % 5);
        for (int64_t k = 0; k < lb_transform_sign_bytes(cols); k++) sign[k] = (uint8_t)(i * 37 + k * 101);
        while (cols % (2 * run) == 0) run *= 2;
        for (int32_t s = 0; s < n->input[i].sites; s++)
            w->site[n->reader[n->input[i].first + s]].T =
                (lb_transform){.scale = scale, .hadamard = run > 1 ? run : 0, .sign = sign};
    }
}

static void sums_of(const lb_test_program *c, bool transforms) {
    const lb_net *n = lb_test_program_net(c);
    lb_weights w = lb_test_program_weights(c, n);
    if (transforms) give_transforms(c, n, &w);
    int32_t tokens[SAMPLES * LENGTH], first, inputs = lb_net_inputs(n, 0, &first), routed = 0;
    lb_stats h[2][INPUTS];
    expected want[INPUTS] = {{0}};
    int32_t input[INPUTS];
    assert_true(inputs <= INPUTS);
    for (int32_t i = 0; i < inputs; i++) input[i] = first + i;
    for (int32_t i = 0; i < SAMPLES * LENGTH; i++) tokens[i] = (i * i * 5 + i * 11 + 3) % 61;
    expect(c, n, &w, tokens, first, inputs, want);
    for (int threads = 1; threads <= 2; threads++) {
        lb_team *team = team_of(threads);
        lb_stream *s;
        assert_ok(lb_stream_new(c->arena, n, &w, &(lb_sequences){tokens, SAMPLES, LENGTH, NULL}, team, &s));
        assert_ok(collect_all(s, &w, input, inputs, LB_NEEDS_STATISTICS, false, c->arena, h[threads - 1]));
        for (int32_t i = 0; i < inputs; i++) {
            check_hessian(&want[i], &h[threads - 1][i]);
            check_others(&want[i], &h[threads - 1][i], n->input[first + i].cols);
        }
        lb_team_free(team);
    }
    for (int32_t i = 0; i < inputs; i++) {
        size_t bytes = (size_t)(h[0][i].H.cols * h[0][i].H.cols) * sizeof(double);
        assert_memory_equal(h[0][i].H.d, h[1][i].H.d, bytes);
        routed += n->input[first + i].expert >= 0 && want[i].tokens < SAMPLES * LENGTH;
    }
    assert_true(routed > 0); /* else nothing was shown */
    char *path = lb_fs_join(lb_test_tmpdir(), transforms ? "of-tx" : "of-x");
    lb_team *team = team_of(2);
    lb_stats_file *f;
    assert_ok(lb_stats_file_ensure(path, "key", &(lb_wanted){.needs = LB_NEEDS_STATISTICS}, n, &w,
                                   &(lb_sequences){tokens, SAMPLES, LENGTH, NULL}, team, &quiet, &f));
    for (int32_t i = 0; i < inputs; i++) {
        lb_stats back;
        assert_ok(lb_stats_file_get(f, first + i, LB_NEEDS_STATISTICS, c->arena, &back));
        check_hessian(&want[i], &back);
        check_others(&want[i], &back, n->input[first + i].cols);
    }
    lb_stats_file_close(f);
    lb_team_free(team);
    lb_free(path);
}

static void sums(const lb_test_program *c, const lb_tensor *logits) {
    (void)logits;
    if (strcmp(c->name, "mixtral") != 0 && strcmp(c->name, "qwen2_moe") != 0) return;
    sums_of(c, false);
    sums_of(c, true);
}

static void experts_sum_their_rows(void **state) {
    (void)state;
    lb_test_programs(sums);
}

/* A router that never takes this expert: it is as experts 0 and 1, who win ties. */
static void starve_expert(const lb_test_program *c, lb_linop *router, int64_t expert) {
    lb_cmat R = router->W;
    float *all = LB_NEW(c->arena, float, R.rows *R.cols);
    memcpy(all, R.d, (size_t)(R.rows * R.cols) * sizeof *all);
    for (int64_t i = 0; i < R.cols; i++) all[expert * R.cols + i] = all[R.cols + i] = all[i];
    router->W = lb_cmat_of(all, R.rows, R.cols);
}

/* The router never takes the last expert: it has no tokens, and what needs H says so. */
static void starve(const lb_test_program *c, const lb_tensor *logits) {
    (void)logits;
    if (strcmp(c->name, "mixtral") != 0) return;
    const lb_net *n = lb_test_program_net(c);
    lb_weights w = lb_test_program_weights(c, n);
    int32_t tokens[SAMPLES * LENGTH], up = lb_net_find(n, "0.expert.4.up"), router = lb_net_find(n, "0.router");
    assert_true(up >= 0 && router >= 0);
    starve_expert(c, &w.site[router], 4);
    for (int32_t i = 0; i < SAMPLES * LENGTH; i++) tokens[i] = (i * 7 + 1) % 61;
    lb_team *team = team_of(2);
    lb_stream *s;
    lb_stats h;
    int32_t input = n->site[up].input;
    assert_ok(lb_stream_new(c->arena, n, &w, &(lb_sequences){tokens, SAMPLES, LENGTH, NULL}, team, &s));
    assert_ok(collect_all(s, &w, &input, 1, LB_NEEDS_STATISTICS, false, c->arena, &h));
    assert_int_equal(h.tokens, 0);
    check_others(&(expected){0}, &h, n->input[input].cols);
    static const char *const methods[] = {"gptq", "wanda", "low_rank"};
    kit k = {.arena = c->arena, .team = team};
    lb_cmat W = w.site[up].W;
    lb_mat copy = lb_mat_of(LB_NEW(c->arena, float, W.rows *W.cols), W.rows, W.cols);
    memcpy(copy.d, W.d, (size_t)(W.rows * W.cols) * sizeof *copy.d);
    const lb_stats stats = h;
    lb_layer out;
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        assert_status(LB_E_NUMERIC, kit_try(&k, methods[i], "", copy, &stats, &out));
        assert_error_has("no calibration token reached this expert");
    }
    out = kit_run(&k, "gptq", "on_failure=rtn", copy, &stats); /* if that is what the user wants */
    assert_true(out.flags & LB_FLAG_FALLBACK_RTN);
    lb_team_free(team);
}

static void starved_experts_are_named(void **state) {
    (void)state;
    lb_test_programs(starve);
}

/* ---- an expert that gets all tokens ---- */

/* (rows, out) = X Wᵀ. */
static double *product(lb_arena *a, const double *X, int64_t rows, lb_cmat W) {
    double *y = LB_NEW(a, double, rows *W.rows);
    for (int64_t t = 0; t < rows; t++)
        for (int64_t r = 0; r < W.rows; r++)
            for (int64_t c = 0; c < W.cols; c++) y[t * W.rows + r] += X[t * W.cols + c] * (double)W.d[r * W.ld + c];
    return y;
}

/* What an expert reads of the tokens that the router saw: X, and the product that its last layer reads. */
static void expect_fed(lb_arena *a, const expected *seen, lb_cmat gate, lb_cmat up, expected out[2]) {
    int64_t rows = seen->tokens, cols[2] = {gate.cols, gate.rows};
    double *X = LB_NEW(a, double, rows *gate.cols);
    for (int64_t i = 0; i < rows * gate.cols; i++) X[i] = (double)seen->row[i];
    double *g = product(a, X, rows, gate), *u = product(a, X, rows, up);
    for (int64_t i = 0; i < rows * gate.rows; i++) g[i] = g[i] / (1.0 + exp(-g[i])) * u[i];
    const double *of[2] = {X, g};
    for (int k = 0; k < 2; k++) {
        out[k] = (expected){.H = LB_NEW(a, double, cols[k] * cols[k]), .tokens = rows, .sequences = SAMPLES};
        for (int64_t t = 0; t < rows; t++)
            for (int64_t i = 0; i < cols[k]; i++)
                for (int64_t j = 0; j < cols[k]; j++)
                    out[k].H[i * cols[k] + j] += of[k][t * cols[k] + i] * of[k][t * cols[k] + j];
    }
}

static void fed_by(const lb_test_program *c, const lb_net *n, const lb_weights *w, const int32_t *tokens, int threads,
                   const expected *seen, lb_stats out[3]) {
    lb_team *team = team_of(threads);
    lb_stream *s, *plain;
    lb_collected got[3];
    int32_t up = lb_net_find(n, "0.expert.4.up"), down = lb_net_find(n, "0.expert.4.down"),
            other = lb_net_find(n, "0.expert.0.up"), gate = lb_net_find(n, "0.expert.4.gate");
    const lb_wanted want[3] = {{n->site[up].input, LB_NEEDS_STATISTICS, 1, 0},
                               {n->site[down].input, LB_NEEDS_STATISTICS, 1, 0},
                               {n->site[other].input, LB_NEEDS_STATISTICS, 1, 0}};
    expected fed[2];
    lb_stats alone;
    assert_true(gate >= 0);
    expect_fed(c->arena, seen, w->site[gate].W, w->site[up].W, fed);
    assert_ok(lb_stream_new(c->arena, n, w, &(lb_sequences){tokens, SAMPLES, LENGTH, NULL}, team, &s));
    assert_ok(lb_stream_new(c->arena, n, w, &(lb_sequences){tokens, SAMPLES, LENGTH, NULL}, team, &plain));
    assert_ok(collect_all(plain, w, &want[2].input, 1, LB_NEEDS_STATISTICS, true, c->arena, &alone));
    assert_ok(lb_stream_collect_advance(s, w, want, 3, c->arena, got));
    for (int k = 0; k < 3; k++) out[k] = lb_collected_stats(&got[k]);
    for (int k = 0; k < 2; k++) {
        check_hessian(&fed[k], &out[k]);
        assert_int_equal(out[k].routed, 0);
    }
    /* The others' statistics, and what the block gives, are what they were. */
    assert_true(alone.tokens > 0 && alone.tokens == out[2].tokens && out[2].routed == out[2].tokens);
    assert_memory_equal(alone.H.d, out[2].H.d, (size_t)(alone.H.cols * alone.H.cols) * sizeof(double));
    for (int64_t q = 0; q < SAMPLES; q++)
        assert_memory_equal(lb_stream_states(s, q).d, lb_stream_states(plain, q).d,
                            (size_t)(LENGTH * n->dim) * sizeof(float));
    lb_team_free(team);
}

static void feed(const lb_test_program *c, const lb_tensor *logits) {
    (void)logits;
    if (strcmp(c->name, "mixtral") != 0) return;
    const lb_net *n = lb_test_program_net(c);
    lb_weights w = lb_test_program_weights(c, n);
    int32_t tokens[SAMPLES * LENGTH], router = lb_net_find(n, "0.router");
    lb_stats of[2][3];
    expected seen = {0};
    starve_expert(c, &w.site[router], 4);
    for (int32_t i = 0; i < SAMPLES * LENGTH; i++) tokens[i] = (i * 7 + 1) % 61;
    expect(c, n, &w, tokens, n->site[router].input, 1, &seen);
    assert_int_equal(seen.tokens, SAMPLES * LENGTH);
    for (int threads = 1; threads <= 2; threads++) fed_by(c, n, &w, tokens, threads, &seen, of[threads - 1]);
    for (int k = 0; k < 3; k++)
        assert_memory_equal(of[0][k].H.d, of[1][k].H.d, (size_t)(of[0][k].H.cols * of[0][k].H.cols) * sizeof(double));
    /* Kept in the file, they come back with both counts. */
    char *path = lb_fs_join(lb_test_tmpdir(), "fed");
    lb_team *team = team_of(2);
    lb_stats_file *f;
    lb_stats back;
    int32_t input = n->site[lb_net_find(n, "0.expert.4.down")].input;
    assert_ok(lb_stats_file_ensure(path, "key", &(lb_wanted){.needs = LB_NEEDS_STATISTICS, .enough = 1}, n, &w,
                                   &(lb_sequences){tokens, SAMPLES, LENGTH, NULL}, team, &quiet, &f));
    assert_ok(lb_stats_file_get(f, input, LB_NEEDS_STATISTICS, c->arena, &back));
    assert_true(back.tokens == SAMPLES * LENGTH && back.routed == 0);
    assert_memory_equal(back.H.d, of[0][1].H.d, (size_t)(back.H.cols * back.H.cols) * sizeof(double));
    lb_stats_file_close(f);
    lb_team_free(team);
    lb_free(path);
}

static void starved_experts_may_get_all_tokens(void **state) {
    (void)state;
    lb_test_programs(feed);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(experts_sum_their_rows),
                                       cmocka_unit_test(starved_experts_are_named),
                                       cmocka_unit_test(starved_experts_may_get_all_tokens)};
    return cmocka_run_group_tests_name("experts' statistics", tests, NULL, NULL);
}
