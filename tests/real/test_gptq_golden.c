/* Sixteen cases that the GPTQ authors' code produced: rounding to nearest in every code, GPTQ up to ties, the error it
 * prints, and the three MSEs. The files are found by their hashes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/hash.h"
#include "eval/hessian.h"
#include "eval/layer_error.h"
#include "io/safetensors.h"
#include "math/blas.h"
#include "quant/method.h"
#include "support/gptq_ref.h"
#include "support/support.h"

static const struct {
    const char *name, *sha256;
} golden[] = {
    {"b2_g16", "389d946deaf5f99fdd7970510d0396338f4f0f84dda895364db76cde8f01f6fb"},
    {"b2_pc_act", "2690ae3da3f8e508e847a5cd7c7a0d018ea6cb404f124c58a410a4791cb683b1"},
    {"b3_block64", "5ec635b427a4b23d9d27f0c9395ac2da41077354e25faf40779741468e0d0903"},
    {"b3_g128", "d1518da95092e37e5b932984aa696b0708f474a482adbd798d7372e8e2252961"},
    {"b3_g32", "70acd1f528cdd53002f92188a302034767cdee1d5ce4236eccd8a6ee7e80b079"},
    {"b3_sym_mse_g128", "ba169502f045930224b7fd14ddac4eaedea0aa53b783c9079bf204003297865e"},
    {"b4_damp10", "ca692e2abf813c6e2187830e6981d62f209105689a22eb2c3d0da5e755c225e1"},
    {"b4_dead", "950d3a05c8d1257e92437e7846ee90b53d5697147f5fc63ea09423ede4f178ee"},
    {"b4_g64_act", "0403e1a69ebfc32480740cf69b916a2deeab279f92ae1636e3226a72e30b814c"},
    {"b4_g64_act_static", "8d240e34677039e5df245b9a1043ed55c1624e95c17fb5079c70bfa51b37c6c9"},
    {"b4_mse", "e7aae8aecb7a6bf2ff6d5f91e83f7c1e86d0f9770f9aeacac119ffe3e94707c5"},
    {"b4_pc", "1293e7c3632b277c8add96b952661ada328a5fba8729789904b71ed753d4e810"},
    {"b4_ragged_g64", "8bdbc528cf27afb3b952f470f19d4284b14639ca3a285c139cd44dd667211f1e"},
    {"b4_rankdef", "c1d9f9b2eb2df581cbb9fdbebec37c87739c258c11fa36aad8d0ddac5da32725"},
    {"b4_sym_g64", "8e12195944a7155ca37365ad9c442bb343ab7d555bea28a46519cac925e5dfb9"},
    {"b8_pc", "b58fc6628e703c8944e03508fdbdbac8125c51238b99e8e70c91bdb7f90b4a97"},
};

typedef struct sample { /* one golden file; all from the arena */
    lb_safetensors *file;
    lb_arena *arena;
    lb_team *team;
    int64_t rows, cols, sequences, tokens;
    lb_mat W, rtn, q, X;
    double err;
    lb_dmat h; /* the authors' H, per token */
    gptq_ref_opts ref;
} sample;

static lb_mat read(sample *s, const char *name) {
    const lb_tensor *t = lb_safetensors_find(s->file, name);
    assert_non_null(t);
    int64_t n = lb_tensor_count(t), cols = t->shape[t->ndim - 1];
    float *d = LB_NEW(s->arena, float, n);
    assert_non_null(d);
    assert_int_equal(lb_tensor_read_f32(t, 0, n, d), LB_OK);
    return lb_mat_of(d, n / cols, cols);
}

static const char *meta(const sample *s, const char *key) {
    const char *v = lb_safetensors_metadata(s->file, key);
    assert_non_null(v);
    return v;
}
static bool meta_true(const sample *s, const char *key) { return strcmp(meta(s, key), "true") == 0; }

static void open_sample(sample *s, size_t i) {
    char path[LB_TEST_PATH];
    lb_test_source(golden[i].sha256, path);
    *s = (sample){0};
    assert_int_equal(lb_safetensors_open(path, &s->file), LB_OK);
    assert_int_equal(lb_arena_new(0, &s->arena), LB_OK);
    assert_int_equal(lb_team_new(2, &s->team), LB_OK);
    s->W = read(s, "w"), s->rtn = read(s, "rtn"), s->q = read(s, "q"), s->X = read(s, "x");
    s->rows = s->W.rows, s->cols = s->W.cols, s->tokens = s->X.rows;
    s->sequences = lb_safetensors_find(s->file, "x")->shape[0];
    s->err = read(s, "err").d[0];
    lb_mat h = read(s, "h");
    s->h = lb_dmat_of(LB_NEW(s->arena, double, s->cols * s->cols), s->cols, s->cols);
    for (int64_t k = 0; k < s->cols * s->cols; k++)
        s->h.d[k] = (double)h.d[k] * (double)s->sequences / (2.0 * (double)s->tokens);
    int64_t group = atoll(meta(s, "group"));
    s->ref = (gptq_ref_opts){.bits = atoi(meta(s, "bits")),
                             .group = group > 0 ? group : 0,
                             .block = atoll(meta(s, "block")),
                             .symmetric = meta_true(s, "sym"),
                             .mse = meta_true(s, "mse"),
                             .act_order = meta_true(s, "act_order"),
                             .static_groups = meta_true(s, "static_groups"),
                             .percdamp = atof(meta(s, "damp"))};
}

static void close_sample(sample *s) {
    lb_safetensors_close(s->file);
    lb_arena_free(s->arena);
    lb_team_free(s->team);
}

static void set(const lb_method *m, sample *s, void *opts, const char *name, const char *text) {
    if (lb_options_set(&m->options, s->arena, opts, name, text, m->name) != LB_OK) fail_msg("%s", lb_error());
}

/* Runs a method with the file's options; What (rows, cols). */
static lb_mat quantize(sample *s, const char *method, const lb_stats *stats) {
    const lb_method *m = lb_method_find(method);
    void *opts = lb_arena_get(s->arena, 1, m->options.struct_size);
    assert_int_equal(lb_options_defaults(&m->options, s->arena, opts), LB_OK);
    set(m, s, opts, "bits", meta(s, "bits"));
    set(m, s, opts, "group", s->ref.group ? meta(s, "group") : "row");
    set(m, s, opts, "symmetric", meta(s, "sym"));
    set(m, s, opts, "mse", meta(s, "mse"));
    if (stats) {
        set(m, s, opts, "percdamp", meta(s, "damp"));
        set(m, s, opts, "block", meta(s, "block"));
        set(m, s, opts, "act_order", meta(s, "act_order"));
        set(m, s, opts, "static_groups", meta(s, "static_groups"));
    }
    lb_layer_in in = {"golden", lb_mat_c(s->W), NULL, stats, 0, s->arena, s->arena, s->team, NULL};
    lb_layer c;
    if (m->layer(&in, opts, &c) != LB_OK) fail_msg("%s", lb_error());
    lb_mat What = lb_mat_of(LB_NEW(s->arena, float, s->rows * s->cols), s->rows, s->cols);
    assert_int_equal(lb_layer_dequantize(&c, What), LB_OK);
    return What;
}

/* The order in which columns are solved: the first difference of a row is the first in this order. */
static void solving_order(const sample *s, int64_t *perm) {
    for (int64_t i = 0; i < s->cols; i++) perm[i] = i;
    double one = (double)s->sequences / (2.0 * (double)s->tokens);
    for (int64_t i = 1; s->ref.act_order && i < s->cols; i++)
        for (int64_t k = i; k > 0; k--) {
            double a = s->h.d[perm[k - 1] * (s->cols + 1)], b = s->h.d[perm[k] * (s->cols + 1)];
            if ((a == 0 ? one : a) >= (b == 0 ? one : b)) break;
            int64_t t = perm[k];
            perm[k] = perm[k - 1], perm[k - 1] = t;
        }
}

/* Rows that leave the golden file's path; each must do so at a tie. */
static int64_t check_codes(const sample *s, const char *name, lb_mat What) {
    int64_t tied_rows = 0, *perm = LB_NEW(s->arena, int64_t, s->cols);
    float *ref = LB_NEW(s->arena, float, s->rows * s->cols);
    double *before = LB_NEW(s->arena, double, s->rows * s->cols);
    assert_true(gptq_ref(&s->ref, s->W.d, s->rows, s->cols, s->h.d, s->tokens, s->sequences, ref, before));
    solving_order(s, perm);
    for (int64_t r = 0; r < s->rows; r++) {
        for (int64_t p = 0; p < s->cols; p++) {
            int64_t at = r * s->cols + perm[p];
            /* equal codes differ by what the scale's float32 noise gives, other codes by a step */
            if (fabs((double)What.d[at] - s->q.d[at]) < 1e-4 * (fabs((double)s->q.d[at]) + 1e-3)) continue;
            double x = before[at], tie = fabs(x - floor(x) - 0.5);
            if (tie >= 1e-4)
                fail_msg("%s: row %lld, column %lld: %.9g, the golden file has %.9g, and %.6f is no tie", name,
                         (long long)r, (long long)perm[p], (double)What.d[at], (double)s->q.d[at], x);
            tied_rows++;
            break;
        }
    }
    return tied_rows;
}

static void assert_close(const char *file, const char *what, double got, double want, double tolerance) {
    if (!(fabs(got - want) <= tolerance * fabs(want)))
        fail_msg("%s: %s is %.9g, the golden file has %.9g", file, what, got, want);
}

/* 1/2 tr(D (H + damp mean(diag H) I) Dᵀ) in the authors' scale, D from W with dead columns zeroed. */
static double printed_error(const sample *s, lb_mat What) {
    double mean = 0, sum = 0, one = (double)s->sequences / (2.0 * (double)s->tokens);
    lb_mat Wz = lb_mat_of(LB_NEW(s->arena, float, s->rows * s->cols), s->rows, s->cols);
    lb_dmat H = lb_dmat_of(LB_NEW(s->arena, double, s->cols * s->cols), s->cols, s->cols);
    memcpy(Wz.d, s->W.d, (size_t)(s->rows * s->cols) * sizeof(float));
    memcpy(H.d, s->h.d, (size_t)(s->cols * s->cols) * sizeof(double));
    for (int64_t c = 0; c < s->cols; c++) {
        if (H.d[c * (s->cols + 1)] == 0) {
            H.d[c * (s->cols + 1)] = one;
            for (int64_t r = 0; r < s->rows; r++) Wz.d[r * s->cols + c] = 0;
        }
        mean += H.d[c * (s->cols + 1)] / (double)s->cols;
    }
    for (int64_t c = 0; c < s->cols; c++) H.d[c * (s->cols + 1)] += s->ref.percdamp * mean;
    for (int64_t r = 0; r < s->rows; r++)
        for (int64_t i = 0; i < s->cols; i++) {
            double d = (double)What.d[r * s->cols + i] - Wz.d[r * s->cols + i], t = 0;
            for (int64_t j = 0; j < s->cols; j++)
                t += H.d[i * s->cols + j] * ((double)What.d[r * s->cols + j] - Wz.d[r * s->cols + j]);
            sum += d * t;
        }
    return sum / 2 / one;
}

static void one_case(void **state) {
    size_t i = *(size_t *)*state;
    sample s;
    lb_hessian H;
    lb_layer_error e, e_rtn;
    open_sample(&s, i);
    const char *name = golden[i].name;
    assert_int_equal(lb_hessian_new(s.arena, s.cols, &H), LB_OK);
    assert_int_equal(lb_hessian_add(&H, lb_mat_c(s.X), s.sequences, s.team), LB_OK);
    assert_int_equal(lb_hessian_finish(&H, NULL), LB_OK);
    for (int64_t k = 0; k < s.cols * s.cols; k++) /* the authors' float32 sum; 384 products, eps 6e-8 each */
        assert_true(fabs(H.H.d[k] - s.h.d[k]) <=
                    3e-5 * sqrt(s.h.d[k / s.cols * (s.cols + 1)] * s.h.d[k % s.cols * (s.cols + 1)]));

    lb_mat rtn = quantize(&s, "rtn", NULL);
    for (int64_t k = 0; k < s.rows * s.cols; k++)
        if (rtn.d[k] != s.rtn.d[k])
            fail_msg("%s: rtn of weight %lld is %.9g, the golden file has %.9g", name, (long long)k, (double)rtn.d[k],
                     (double)s.rtn.d[k]);

    lb_stats stats = {.H = lb_dmat_c(s.h), .tokens = s.tokens, .sequences = s.sequences};
    lb_mat What = quantize(&s, "gptq", &stats);
    int64_t tied = check_codes(&s, name, What);
    assert_true(tied <= 2);
    assert_int_equal(lb_layer_error_of(lb_mat_c(s.W), lb_mat_c(What), lb_dmat_c(H.H), s.team, s.arena, &e), LB_OK);
    assert_int_equal(lb_layer_error_of(lb_mat_c(s.W), lb_mat_c(rtn), lb_dmat_c(H.H), s.team, s.arena, &e_rtn), LB_OK);
    assert_close(name, "out_mse", lb_output_mse(&e), atof(meta(&s, "out_mse")), 1e-3);
    assert_close(name, "weight_mse", lb_weight_mse(&e), atof(meta(&s, "weight_mse")), 1e-3);
    assert_close(name, "rtn_out_mse", lb_output_mse(&e_rtn), atof(meta(&s, "rtn_out_mse")), 1e-5);
    assert_close(name, "err", printed_error(&s, What), s.err, 1e-3);
    print_message("%s: %lld of %lld rows leave at a tie; out_mse %.6g (%.6g)\n", name, (long long)tied,
                  (long long)s.rows, lb_output_mse(&e), atof(meta(&s, "out_mse")));
    close_sample(&s);
}

int main(void) {
    enum { N = sizeof golden / sizeof golden[0] };
    struct CMUnitTest tests[N];
    size_t index[N];
    if (lb_blas_init(1) != LB_OK) return 1;
    for (size_t i = 0; i < N; i++) {
        index[i] = i;
        tests[i] = (struct CMUnitTest){golden[i].name, one_case, NULL, NULL, &index[i]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
