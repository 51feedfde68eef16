/* Stages that preserve, from a config to its result on the built-in model, against scipy, numpy and PyTorch
 * (make_hadamard.py, make_smoothquant.py). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/safetensors.h"
#include "io/yaml.h"
#include "math/blas.h"
#include "run/sweep_run.h"
#include "support/support.h"

enum { WINDOWS = 128 };

/* ---- methods that are looked at ---- */

extern const lb_method lb_rtn_method, lb_gptq_method, lb_hadamard_method, lb_smoothquant_method, lb_act_method;
static lb_method rtn, gptq;
const lb_method *const lb_method_table[] = {&rtn,           &gptq, &lb_hadamard_method, &lb_smoothquant_method,
                                            &lb_act_method, NULL};

typedef struct world {
    lb_arena *arena;
    lb_team *team;
    lb_config config;
    lb_plan plan;
    lb_runner runner;
    lb_safetensors *file;
    const char *name;      /* the case */
    int64_t layers, norms; /* that were held against it */
} world;
static world x;

static const float *fixture(const char *name, int64_t n) {
    const lb_tensor *t = lb_safetensors_find(x.file, name);
    float *v = LB_NEW(x.arena, float, n);
    if (!t || !v) fail_msg("there is no %s", name);
    assert_int_equal(lb_tensor_count(t), n);
    assert_ok(lb_tensor_read_f32(t, 0, n, v));
    return v;
}

static bool has_fixture(const char *name) { return lb_safetensors_find(x.file, name) != NULL; }

/* ---- a plan ---- */

static void open_world(const char *fixtures, const char *yaml) {
    char name[LB_TEST_PATH], path[LB_TEST_PATH];
    lb_yaml *root = NULL;
    x = (world){0};
    snprintf(name, sizeof name, "tests/oracle/fixtures/%s", fixtures);
    lb_test_fixture(name, path);
    assert_ok(lb_safetensors_open(path, &x.file));
    lb_test_fixture("data/builtin/README.md", path); /* the config stands beside it, where the texts are */
    assert_ok(lb_arena_new(0, &x.arena));
    char *text = lb_arena_printf(x.arena, "name: oracle\nmodel: model\nresults: %s\n%s", lb_test_tmpdir(), yaml);
    assert_non_null(text);
    assert_ok(lb_yaml_parse(x.arena, path, text, strlen(text), &root));
    assert_ok(lb_config_from_tree(x.arena, path, root, &x.config));
    assert_ok(lb_team_new(2, &x.team));
    assert_ok(lb_plan_open(x.arena, &x.config, &(lb_plan_request){.parts = LB_WEIGHTS, .plugin_hash = ""}, x.team, NULL,
                           &x.plan));
    x.runner = (lb_runner){.plan = &x.plan, .keep = x.arena, .cache = x.plan.cache};
}

static void close_world(void) {
    lb_runner_close(&x.runner);
    lb_plan_close(&x.plan);
    lb_team_free(x.team);
    lb_arena_free(x.arena);
    lb_safetensors_close(x.file);
}

static lb_cmat original(const char *layer) {
    const lb_model *m = x.plan.model;
    return m->weights.site[lb_net_find(m->net, layer)].W;
}

/* ---- rotated inputs, then GPTQ ---- */

static void check_codes(const char *role, const lb_layer *c) {
    char name[64];
    snprintf(name, sizeof name, "%s.codes", role);
    int64_t n = c->rows * c->cols, other = 0;
    const float *code = fixture(name, n);
    for (int64_t i = 0; i < n; i++) other += (float)c->codes[i] != code[i];
    /* H is summed in float32 here: a number halfway between two codes may go the other way, and takes others along. */
    if (other > n / 1000) fail_msg("%s: %lld of %lld codes are others", role, (long long)other, (long long)n);
}

static lb_status look_gptq(const lb_layer_in *in, const void *opts, lb_layer *out) {
    LB_TRY(lb_gptq_method.layer(in, opts, out));
    if (in->name[0] != '0') return LB_OK;
    const char *role = in->name + 2;
    char name[64];
    snprintf(name, sizeof name, "%s.w", role);
    const float *W = has_fixture(name) ? fixture(name, in->W.rows * in->W.cols) : in->W.d;
    for (int64_t i = 0; i < in->W.rows * in->W.cols; i++)
        if (!(fabsf(in->W.d[i] - W[i]) < 1e-6f)) fail_msg("%s: weight %lld is another", role, (long long)i);
    snprintf(name, sizeof name, "%s.h", role);
    const float *H = has_fixture(name) ? fixture(name, in->W.cols * in->W.cols) : NULL;
    for (int64_t i = 0; H && i < in->W.cols * in->W.cols; i++) {
        double scale = sqrt((double)(H[i / in->W.cols * (in->W.cols + 1)] * H[i % in->W.cols * (in->W.cols + 1)]));
        if (!(fabs(in->stats->H.d[i] - (double)H[i]) <= 1e-5 * scale))
            fail_msg("%s: H at %lld is %.9g, scipy has %.9g", role, (long long)i, in->stats->H.d[i], (double)H[i]);
    }
    check_codes(role, out);
    x.layers++;
    return LB_OK;
}

static void rotated_inputs(void **state) {
    (void)state;
    lb_record r;
    open_world("hadamard.safetensors",
               "calibration: {text: calibration.txt, recipe: sequential, samples: 12, length: 128}\n"
               "eval: {text: eval.txt, protocol: W2-128, windows: 1, kl: false}\nquantize:\n"
               "  - stages: [{method: hadamard, signs: false}, {method: gptq, bits: 4}]\n");
    const lb_cell *c = &x.plan.sweep.cell[1];
    assert_int_equal(c->layer[0].storage.t_hadamard, 64);
    assert_int_equal(c->layer[6].storage.t_hadamard, 16); /* of 176 columns */
    assert_ok(lb_cell_run(&x.runner, c, NULL, NULL, &r));
    assert_int_equal(x.layers, 7);
    close_world();
}

/* ---- smoothed inputs, then rounded ---- */

/* s of the input that a layer reads, and of the one that its rows go to; NULL: not smoothed. */
static const float *scales(const char *block, const char *role, int64_t n) {
    char name[64];
    snprintf(name, sizeof name, "%s.%.1s.%s", x.name, block, role);
    return has_fixture(name) ? fixture(name, n) : NULL;
}

static lb_status look_rtn(const lb_layer_in *in, const void *opts, lb_layer *out) {
    static const char *const first[][2] = {{"q", "q"},       {"k", "q"},     {"v", "q"},      {"o", "o"},
                                           {"gate", "gate"}, {"up", "gate"}, {"down", "down"}};
    const char *role = in->name + 2, *reads = NULL;
    const lb_cmat W = original(in->name);
    for (size_t i = 0; i < 7; i++)
        if (strcmp(first[i][0], role) == 0) reads = first[i][1];
    assert_non_null(reads);
    const float *s = scales(in->name, reads, W.cols), *to = NULL;
    bool v = strcmp(role, "v") == 0;
    if (v) to = scales(in->name, "o", 64);
    if (strcmp(role, "up") == 0) to = scales(in->name, "down", W.rows);
    for (int64_t r = 0; r < W.rows; r++)
        for (int64_t c = 0; c < W.cols; c++) {
            /* Row r of v is channel r % 16 of the first of the two query heads that read its key head. */
            double by = (s ? (double)s[c] : 1) / (to ? (double)to[v ? r / 16 * 32 + r % 16 : r] : 1);
            double want = (double)W.d[r * W.ld + c] * by, got = (double)in->W.d[r * in->W.ld + c];
            if (!(fabs(got - want) <= 1e-5 * fabs(want)))
                fail_msg("%s: %s: weight %lld, %lld is %.9g, PyTorch has %.9g", x.name, in->name, (long long)r,
                         (long long)c, got, want);
        }
    x.layers++;
    return lb_rtn_method.layer(in, opts, out);
}

static lb_status check_norms(void *user, const lb_cell *cell, const lb_weights *w, lb_log *log) {
    (void)user, (void)cell, (void)log;
    const lb_net *n = x.plan.model->net;
    for (int32_t i = 0; i < n->vectors; i++) {
        const lb_vector *v = &n->vector[i];
        const float *was = x.plan.model->weights.vector[i], *now = w->vector[i];
        if (v->block < 0) continue;
        const float *s = scales(v->name, strcmp(v->role, "attn_norm") == 0 ? "q" : "gate", v->n);
        if (!s) assert_ptr_equal(was, now); /* of a block that stays as it is */
        for (int64_t c = 0; s && c < v->n; c++)
            if (!(fabsf(now[c] * s[c] - was[c]) <= 1e-5f * fabsf(was[c]))) fail_msg("%s: %s differs", x.name, v->name);
        x.norms += s != NULL;
    }
    return LB_OK;
}

static double number(const char *part, int64_t i) {
    char name[64];
    double v;
    snprintf(name, sizeof name, "%s%s", part[0] == '.' ? x.name : "", part);
    const lb_tensor *t = lb_safetensors_find(x.file, name);
    assert_true(t && lb_tensor_count(t) == WINDOWS);
    memcpy(&v, (const char *)t->data + 8 * i, 8);
    return v;
}

/* Window by window, what quantization costs: no further from PyTorch's, by `share`, than its own float32 is from its
 * float64, for codes of inputs that go the other way are handed on from block to block; and much closer than any other
 * costs would be. */
static void check_nll(const lb_record *r, double share) {
    double off = 0, apart = 0, all = 0, mean = 0;
    assert_int_equal(r->eval[0].eval.windows, WINDOWS);
    for (int64_t i = 0; i < WINDOWS; i++) {
        double d = r->eval[0].eval.window_nll[i] - number(".nll", i), other = number(".nll64", i) - number(".nll", i);
        double cost = number(".nll", i) - number("nll", i);
        off += d * d / WINDOWS;
        apart += other * other / WINDOWS;
        all += cost * cost / WINDOWS;
        mean += d / WINDOWS;
    }
    off = sqrt(off), apart = sqrt(apart), all = sqrt(all);
    if (!(off < share * apart && off < 0.75 * all && fabs(mean) < 4 * share * apart / sqrt(WINDOWS)))
        fail_msg("%s: NLL is %g off (%g on average), PyTorch's precisions %g; quantization costs %g", x.name, off, mean,
                 apart, all);
}

#define SMOOTHED(options, w, a, rules)                                                                                 \
    "  - {stages: [{method: smoothquant, " options "}, {method: rtn, symmetric: true, bits: " w "}, {method: act, " a  \
    "}]" rules "}\n"
#define FIRST_BLOCK ", rules: [{match: \"*\", skip: true}, {match: \"0.*\", skip: false}]"
static void smoothed_inputs(void **state) {
    (void)state;
    static const char *const cases[] = {"token", "static", "token_all", "static_all"};
    lb_record r;
    open_world("smoothquant.safetensors",
               "calibration: {text: calibration.txt, recipe: sequential, samples: 6, length: 96}\n"
               "eval: {text: eval.txt, protocol: W2-128, windows: 128, kl: false}\nquantize:\n" SMOOTHED(
                   "alpha: 0.5", "8", "act_bits: 8", FIRST_BLOCK)
                   SMOOTHED("alpha: 0.5, fold: all", "8", "act_bits: 8, act_mode: static", FIRST_BLOCK)
                       SMOOTHED("alpha: 0.7, fold: all", "4", "act_bits: 5, act_symmetric: true", "")
                           SMOOTHED("alpha: 0.5", "8", "act_bits: 5, act_symmetric: true, act_mode: static", ""));
    assert_int_equal(x.plan.sweep.n, 5);
    for (int64_t i = 0; i < 4; i++) {
        x.name = cases[i];
        x.layers = x.norms = 0;
        assert_ok(lb_cell_run(&x.runner, &x.plan.sweep.cell[1 + i], check_norms, NULL, &r));
        assert_int_equal(x.layers, i < 2 ? 7 : 35);
        assert_int_equal(x.norms, i < 2 ? 2 : 10);
        check_nll(&r, i < 2 ? 0.5 : 1.5);
    }
    close_world();
}

int main(void) {
    if (lb_blas_init(2) != LB_OK) return 1;
    rtn = lb_rtn_method, rtn.layer = look_rtn;
    gptq = lb_gptq_method, gptq.layer = look_gptq;
    const struct CMUnitTest tests[] = {cmocka_unit_test(rotated_inputs), cmocka_unit_test(smoothed_inputs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
