/* Sweeps over a model of experts, one of which no token is ever routed to: what starved_experts makes of it, and what
 * tables tell. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "result/figures.h"
#include "support/folder.h"
#include "support/letter_tokenizer.h"
#include "support/sweep_kit.h"

enum { SAMPLES = 8, LENGTH = 32, EXPERTS = 4, TOP = 2, STARVED = 3 };
#define CONFIG                                                                                                         \
    "model: tiny-moe\nthreads: 2\ncalibration: {text: cal.txt, samples: 8, length: 32}\n"                              \
    "eval: {text: eval.txt, protocol: W2-32, windows: 4}\nquantize:\n  - {method: rtn, bits: 3}\n"                     \
    "  - {method: gptq, bits: 3}\n"

static int make_moe(void **state) {
    char dir[LB_TEST_PATH];
    (void)state;
    home = lb_test_tmpdir();
    if (lb_arena_new(0, &arena) != LB_OK) return 1;
    folder f = folder_take("families/mixtral/a");
    join_path(dir, home, "tiny-moe");
    assert_ok(lb_fs_mkdirs(dir));
    snprintf(f.dir, sizeof f.dir, "%s", dir);
    for (int b = 0; b < 2; b++) { /* the router is as sure of expert 3 as of 0 and 1, which win ties */
        char name[64];
        snprintf(name, sizeof name, "model.layers.%d.block_sparse_moe.gate.weight", b);
        lb_tensor_out *t = folder_tensor(&f, name);
        float *w = (float *)(uintptr_t)t->data;
        for (int64_t i = 0; i < t->shape[1]; i++) w[STARVED * t->shape[1] + i] = w[t->shape[1] + i] = w[i];
    }
    folder_write(&f);
    letter_tokenizer(f.dir);
    folder_drop(&f);
    path_in(dir, home, "cal.txt");
    letter_text(dir, 1, 600);
    path_in(dir, home, "eval.txt");
    letter_text(dir, 2, 300);
    return 0;
}

static const lb_layer_row *layer_of(const lb_record *r, const char *name) {
    for (int64_t i = 0; i < r->layers; i++)
        if (strcmp(r->layer[i].name, name) == 0) return &r->layer[i];
    fail_msg("no layer %s", name);
    return NULL;
}

static void an_error_names_it(void **state) {
    (void)state;
    cli_options o = here();
    put_file("error.yaml", CONFIG);
    cli_result r = CLI(&o, "run", "error.yaml", "--no-report");
    assert_int_not_equal(r.code, 0);
    cli_has(r.err, "layer 0.expert.3.gate: no calibration token reached this expert");
    cli_has(r.err, "calibration.starved_experts");
    cli_free(&r);
    r = CLI(&o, "run", "error.yaml", "--no-report", "-o", "calibration.expert_tokens=100000");
    assert_int_not_equal(r.code, 0);
    cli_has(r.err, "layer 0.expert.0.gate: too few calibration tokens reached this expert, ");
    cli_free(&r);
}

/* Every token goes to TOP experts. */
static void check_tokens(const lb_record *r) {
    for (int b = 0; b < 2; b++) {
        int64_t sum = 0;
        for (int e = 0; e < EXPERTS; e++) {
            char name[48];
            snprintf(name, sizeof name, "%d.expert.%d.down", b, e);
            const lb_layer_row *l = layer_of(r, name);
            assert_true(e == STARVED ? l->tokens == 0 : l->tokens > 0);
            assert_true(!(l->flags & LB_FLAG_STARVED) == (e != STARVED));
            sum += l->tokens;
        }
        assert_int_equal(sum, TOP * SAMPLES * LENGTH);
    }
    assert_int_equal(layer_of(r, "1.q")->tokens, SAMPLES * LENGTH);
    assert_false(layer_of(r, "1.router")->quantized);
}

static lb_results *run_with(const char *name, const char *policy) {
    cli_options o = here();
    char file[64], set[96], made[96];
    snprintf(file, sizeof file, "%s.yaml", name);
    snprintf(set, sizeof set, "calibration.starved_experts=%s", policy);
    snprintf(made, sizeof made, "results/%s", name);
    put_file(file, CONFIG);
    cli_result r = CLI(&o, "run", file, "-o", set);
    if (r.code) fail_msg("%s", r.err);
    cli_has(r.out, "E: experts that too few calibration tokens were routed to");
    cli_free(&r);
    lb_results *x = results(made);
    assert_int_equal(x->n, 3);
    check_tokens(&x->record[2]);
    assert_int_equal(layer_of(&x->record[1], "0.expert.0.up")->flags & LB_FLAG_STARVED, 0); /* rtn asks for nothing */
    return x;
}

/* Errors of weights are the same where the codes are. */
static double weights_lost(const lb_record *r, const char *name) {
    return lb_layer_weights(layer_of(r, name))->weight_err;
}

static void rtn_rounds_to_nearest(void **state) {
    (void)state;
    lb_results *x = run_with("nearest", "rtn");
    const lb_record *rtn = &x->record[1], *gptq = &x->record[2];
    static const char *const starved[] = {"0.expert.3.gate", "0.expert.3.up", "0.expert.3.down", "1.expert.3.down"};
    for (size_t i = 0; i < sizeof starved / sizeof starved[0]; i++)
        assert_true(weights_lost(gptq, starved[i]) == weights_lost(rtn, starved[i]));
    assert_true(weights_lost(gptq, "0.expert.0.gate") > weights_lost(rtn, "0.expert.0.gate"));
    assert_int_equal(layer_of(gptq, "0.expert.3.up")->flags & LB_FLAG_RANK_DEFICIENT, 0);
    cli_options o = here();
    cli_result r = CLI(&o, "report", "results/nearest", "--no-write", "--layers", gptq->label, "--format", "csv");
    cli_has(r.out, ",bytes,tokens,weight_mse,");
    cli_free(&r);
    lb_results_free(x);
}

/* As many tokens as are asked for are enough. */
static void exactly_enough_is_enough(void **state) {
    (void)state;
    cli_options o = here();
    lb_results *x = run_with("enough", "rtn");
    int64_t tokens = layer_of(&x->record[2], "0.expert.0.gate")->tokens;
    lb_results_free(x);
    for (int64_t more = 0; more < 2; more++) {
        char set[64];
        snprintf(set, sizeof set, "calibration.expert_tokens=%lld", (long long)(tokens + more));
        cli_result r = CLI(&o, "run", "error.yaml", "--no-report", "-o", set);
        assert_int_not_equal(r.code, 0);
        assert_true((strstr(r.err, "layer 0.expert.0.gate: too few") != NULL) == (more == 1));
        cli_free(&r);
    }
}

/* Routers stay as they are unless they are asked for, all or one. */
static void routers_are_asked_for(void **state) {
    (void)state;
    put_file("routers.yaml", CONFIG "  - {method: rtn, bits: 4, quantize_router: true}\n"
                                    "  - {method: rtn, bits: 5, rules: [{match: 1.router, skip: false}]}\n");
    cli_result r = RAN(0, "run", "routers.yaml", "--no-report", "-o", "calibration.starved_experts=rtn");
    cli_free(&r);
    static const bool wanted[5][2] = {{0}, {false, false}, {false, false}, {true, true}, {false, true}};
    lb_results *x = results("results/routers");
    assert_int_equal(x->n, 5);
    for (int i = 1; i < 5; i++) {
        assert_true(layer_of(&x->record[i], "0.router")->quantized == wanted[i][0]);
        assert_true(layer_of(&x->record[i], "1.router")->quantized == wanted[i][1]);
        assert_true(layer_of(&x->record[i], "1.expert.2.up")->quantized);
    }
    assert_int_equal(layer_of(&x->record[1], "0.router")->size.total, EXPERTS * 24 * 2);
    lb_results_free(x);
}

static void all_tokens_solves_it(void **state) {
    (void)state;
    lb_results_free(run_with("fed", "rtn")); /* whose statistics are in the cache */
    lb_results *x = run_with("fed", "all_tokens");
    const lb_record *rtn = &x->record[1], *gptq = &x->record[2];
    const lb_layer_row *l = layer_of(gptq, "1.expert.3.gate");
    assert_true(weights_lost(gptq, l->name) > weights_lost(rtn, l->name));
    assert_true(l->own.output_err < l->rtn_own.output_err && l->own.output_energy > 0);
    assert_true(l->original.output_energy > 0);
    lb_results_free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_error_names_it), cmocka_unit_test(rtn_rounds_to_nearest),
                                       cmocka_unit_test(exactly_enough_is_enough),
                                       cmocka_unit_test(routers_are_asked_for), cmocka_unit_test(all_tokens_solves_it)};
    return cmocka_run_group_tests_name("experts", tests, make_moe, clean);
}
