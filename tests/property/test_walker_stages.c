/* What a cell keeps of its stages that preserve: interrupted and started again, it asks them about no block twice. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "quant/block.h"
#include "quant/transform.h"
#include "support/forge.h"
#include "support/h5_same.h"
#include "support/llama.h"
#include "support/probe.h"
#include "support/small_model.h"

extern const lb_method lb_hadamard_method, lb_smoothquant_method, lb_autoround_method;
static lb_method asked_method, calling_method; /* smoothquant, looked at */
const lb_method *const lb_method_table[] = {
    &probe_method, &probe_blind_method, &lb_hadamard_method,  &lb_smoothquant_method,
    &asked_method, &calling_method,     &lb_autoround_method, NULL};

#define COMMON                                                                                                         \
    "threads: 2\ncalibration: {text: text.txt, samples: 5, length: 52}\n"                                              \
    "eval: {text: text.txt, protocol: W2-32, windows: 3}\nquantize:\n"

/* ---- folders of results ---- */

typedef struct folders {
    small_plan s;
    const char *whole, *parts; /* in one go; interrupted */
} folders;

static const char *folder(small_plan *s, const char *name, const char *which) {
    char *path = lb_arena_printf(s->arena, "%s/%s-%s", small_home, name, which);
    assert_non_null(path);
    assert_ok(lb_fs_mkdirs(path));
    return path;
}

static lb_status run_in(folders *x, const char *dir, const lb_cell *c) {
    lb_record r;
    lb_runner runner = {.plan = &x->s.plan, .keep = x->s.arena, .dir = dir, .cache = x->s.plan.cache};
    lb_status st = lb_fs_mkdirs(x->s.plan.cache);
    if (st == LB_OK) st = lb_cell_run(&runner, c, NULL, NULL, &r);
    lb_runner_close(&runner);
    if (st == LB_OK) st = lb_store_write(dir, &r);
    probe_reset();
    return st;
}

static void same_file(folders *x, const lb_cell *c) {
    char *a = lb_arena_printf(x->s.arena, "%s/%s.h5", x->whole, c->stem);
    char *b = lb_arena_printf(x->s.arena, "%s/%s.h5", x->parts, c->stem);
    assert_true(a && b);
    assert_true(h5_same(a, b, "/host") > 50);
}

/* The last stage is stopped at a layer. */
static void stop_at(folders *x, const lb_cell *c, const char *layer) {
    probe.fail_at = layer;
    assert_status(LB_E_INTERRUPTED, run_in(x, x->parts, c));
}

/* ---- stages ---- */

static lb_option asked_options[3]; /* smoothquant's, and bits */

/* What its plan is made with is what it is shown. */
static lb_status asked_input(const void *opts, const lb_block_input *in, lb_storage *out, bool *fold) {
    assert_true(in->sequences == 5 && in->length == 52);
    return lb_smoothquant_method.spec_input(opts, in, out, fold);
}

static int64_t asked, stop_before = -1; /* blocks that the method was asked about; the one where it is stopped */

static lb_status asked_block(const lb_block_in *in, const void *opts, lb_block_out *out) {
    if (in->block == stop_before) return lb_fail(LB_E_INTERRUPTED, "stopped by the test");
    asked++;
    lb_warn(in->log, "asked about block %lld", (long long)in->block);
    LB_TRY(lb_smoothquant_method.block(in, opts, out));
    if (in->block == 1) out->T[0] = (lb_transform){0}; /* said to be folded: none is no change */
    return LB_OK;
}

/* Its scales depend on sequences as they leave the block, so on the way of the stream. */
static lb_status calling_block(const lb_block_in *in, const void *opts, lb_block_out *out) {
    LB_TRY(asked_block(in, opts, out));
    float *d = LB_NEW(in->scratch, float, in->length * in->dim);
    if (!d) return LB_E_NOMEM;
    LB_TRY(in->forward(in, -1, 1, NULL, lb_mat_of(d, in->length, in->dim)));
    for (int32_t i = 0; i < in->inputs; i++)
        if (in->input[i].quantize && out->T[i].scale && !in->input[i].tied)
            ((float *)(uintptr_t)out->T[i].scale)[1] *= 1 + fabsf(d[in->dim]);
    return LB_OK;
}

/* So many passes for an input, one for a block, and bytes of a layer. */
static double passes, bytes;
static void calling_cost(const void *opts, const lb_cost_of *of, lb_cost *out) {
    (void)opts;
    assert_true(of->sequences == 5 && of->length == 52 && of->rows > 0 && of->cols > 0 && !of->so_far);
    double tokens = (double)(of->sequences * of->length);
    if (of->first) out->forward += passes * tokens;
    if (of->first_in_block) out->backward = passes * tokens;
    out->scratch = bytes;
}

static void open_folders(folders *x, const char *name, const char *yaml) {
    asked_method = calling_method = lb_smoothquant_method;
    const lb_options *of = &lb_smoothquant_method.options;
    memcpy(asked_options, of->table, 2 * sizeof *asked_options);
    asked_options[2] = (lb_option){"bits", LB_OPT_INT, "3", 2, 8, NULL, "what comes after it", of->struct_size};
    asked_method.options = (lb_options){asked_options, 3, of->struct_size + sizeof(int64_t)};
    asked_method.spec_input = asked_input;
    asked_method.name = "asked", asked_method.block = asked_block;
    calling_method.name = "calling", calling_method.block = calling_block;
    calling_method.cost = calling_cost;
    calling_method.needs |= LB_NEEDS_FORWARD;
    small_plan_open(&x->s, "untied", name, yaml);
    x->whole = folder(&x->s, name, "whole");
    x->parts = folder(&x->s, name, "parts");
}

/* Stopped in one of them and gone on: blocks that it had done are not asked about again, nor, once layers are made,
 * any; and the file is the same. */
static void stages_go_on(void **state) {
    (void)state;
    folders x;
    open_folders(&x, "stages",
                 COMMON "  - stages: [{method: asked, fold: all}, {method: hadamard, block: 8}, {method: probe}]\n"
                        "  - stages: [{method: smoothquant}, {method: calling, fold: all}, {method: probe}]\n"
                        "  - {stages: [{method: calling, fold: all}, {method: blind}], "
                        "rules: [{match: \"1.down\", skip: true}]}\n");
    for (size_t i = 1; i < x.s.plan.sweep.n; i++) {
        const lb_cell *c = &x.s.plan.sweep.cell[i];
        assert_ok(run_in(&x, x.whole, c));
        asked = 0, stop_before = 2;
        assert_status(LB_E_INTERRUPTED, run_in(&x, x.parts, c));
        assert_int_equal(asked, 2);
        stop_before = -1;
        if (i < 3) stop_at(&x, c, "1.k");
        assert_int_equal(asked, i < 3 ? 3 : 2); /* block 2 alone */
        assert_ok(run_in(&x, x.parts, c));
        assert_int_equal(asked, 3);
        same_file(&x, c);
    }
    small_plan_close(&x.s);
}

/* Changes that cannot be, or not be read, are asked for again, with all behind them. */
static void forged_changes(void **state) {
    (void)state;
    static const float infinite = INFINITY, negative = -1;
    static const int64_t run = 2;
    static const struct {
        const char *section;
        const void *bytes;
        size_t n;
    } lie[] = {{"1/scale", &infinite, 4}, {"1/scale", &negative, 4}, {"hadamard", &run, 8}, {NULL, NULL, 0}};
    folders x;
    open_folders(&x, "changes", COMMON "  - stages: [{method: asked, fold: all}, {method: probe}]\n");
    const lb_cell *c = &x.s.plan.sweep.cell[1];
    assert_ok(run_in(&x, x.whole, c));
    char *path = lb_arena_printf(x.s.arena, "%s/%s.partial/00001.stage0", x.parts, c->stem);
    assert_non_null(path);
    for (size_t i = 0; i < sizeof lie / sizeof lie[0]; i++) {
        stop_at(&x, c, "2.k");
        if (lie[i].section)
            forge(path, lie[i].section, lie[i].bytes, lie[i].n);
        else
            assert_int_equal(truncate(path, 300), 0);
        asked = 0;
        assert_ok(run_in(&x, x.parts, c));
        assert_int_equal(asked, 2); /* blocks 1 and 2 */
        same_file(&x, c);
        lb_partial_remove(x.parts, c->stem);
    }
    small_plan_close(&x.s);
}

/* Each allocation fails once, with what the runs before it left. */
typedef struct scarce {
    folders *x;
    const lb_cell *cell;
} scarce;
static lb_status run_scarcely(void *ctx) {
    const scarce *s = ctx;
    return run_in(s->x, s->x->parts, s->cell);
}
static void memory_runs_out(void **state) {
    (void)state;
    folders x;
    open_folders(&x, "scarce",
                 COMMON "  - stages: [{method: asked, fold: all}, {method: hadamard, block: 8}, {method: blind}]\n");
    scarce s = {&x, &x.s.plan.sweep.cell[1]};
    assert_ok(run_in(&x, x.whole, s.cell));
    assert_in_range(llama_fail_each_allocation(run_scarcely, &s), 20, 100000);
    same_file(&x, s.cell);
    small_plan_close(&x.s);
}

static lb_estimate estimate(const folders *x, const lb_cell *c, double p, double b) {
    const lb_rate rate = {.flops = 1e6, .steps = 1e30};
    lb_estimate e;
    passes = p, bytes = b;
    assert_ok(lb_plan_estimate(&x->s.plan, c, &rate, &e));
    return e;
}

/* What a stage that calls its blocks says it takes is in the estimate, whatever scope makes the layers. */
static void costs_count(void **state) {
    (void)state;
    folders x;
    open_folders(&x, "costs",
                 COMMON "  - stages: [{method: smoothquant}, {method: calling}, {method: blind}]\n"
                        "  - stages: [{method: calling}, {method: autoround}]\n");
    const lb_net *n = x.s.plan.model->net;
    double weights = 0, attends = 0;
    for (int32_t i = 0; i < n->sites; i++) {
        if (n->site[i].block < 0) continue;
        weights += (double)(n->site[i].rows * n->site[i].cols);
        if (strcmp(n->site[i].role, "o") == 0) attends += (double)n->site[i].cols;
    }
    /* Four inputs a block, and back once, which costs twice: tokens through all blocks. */
    double flops = 3 * (4 + 2) * 5 * 52 * (2 * weights + 2 * 52 * attends);
    for (size_t i = 1; i < x.s.plan.sweep.n; i++) {
        const lb_cell *c = &x.s.plan.sweep.cell[i];
        lb_estimate none = estimate(&x, c, 0, 0), some = estimate(&x, c, 3, 0), large = estimate(&x, c, 0, 1e9);
        assert_true(fabs(some.seconds - none.seconds - flops / (0.7 * 1e6)) < 1e-9 * some.seconds);
        assert_true(large.memory_bytes - none.memory_bytes > 6.9e9 && large.memory_bytes - none.memory_bytes <= 7e9);
    }
    small_plan_close(&x.s);
}

/* An option of two stages: a rule for one layer of several on an input has to name the stage. */
static void rules_name_a_stage(void **state) {
    (void)state;
    folders x;
    open_folders(&x, "rules",
                 COMMON
                 "  - {stages: [{method: asked}, {method: probe}], bits: 3, rules: [{match: 1.k, bits: 4}]}\n"
                 "  - {stages: [{method: asked}, {method: probe}], bits: 3, rules: [{match: 1.k, probe.bits: 4}]}\n");
    const lb_cell *no = &x.s.plan.sweep.cell[1], *yes = &x.s.plan.sweep.cell[2];
    assert_true(no->refused);
    assert_string_equal(no->reason,
                        "block 1: layers 1.q and 1.k read one input: rules must not give them different bits "
                        "of asked (probe.bits in a rule means that stage alone)");
    assert_false(yes->refused);
    for (int64_t i = 0; i < yes->layers; i++) {
        const lb_layer_plan *l = &yes->layer[i];
        if (l->quantize) assert_int_equal(l->storage.bits, strcmp(l->name, "1.k") == 0 ? 4 : 3);
    }
    assert_ok(run_in(&x, x.whole, yes));
    small_plan_close(&x.s);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(stages_go_on), cmocka_unit_test(forged_changes),
                                       cmocka_unit_test(memory_runs_out), cmocka_unit_test(costs_count),
                                       cmocka_unit_test(rules_name_a_stage)};
    return cmocka_run_group_tests(tests, small_model_setup, NULL);
}
