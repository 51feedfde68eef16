/* Sweeps: products of axes, cells that depend on nothing else run once, nonsense is refused and not failed. */
#include <stdio.h>
#include <string.h>

#include "run/provenance.h"
#include "run/sweep.h"
#include "support/support.h"

static lb_arena *arena;

static int setup(void **state) {
    (void)state;
    return lb_arena_new(0, &arena) == LB_OK ? 0 : -1;
}
static int teardown(void **state) {
    (void)state;
    lb_arena_free(arena);
    return 0;
}

static lb_config config;
static lb_sweep sweep;

static lb_status expand(const char *text) {
    lb_yaml *root = NULL;
    LB_TRY(lb_yaml_parse(arena, "c.yaml", text, strlen(text), &root));
    lb_config *c = LB_NEW(arena, lb_config, 1);
    assert_non_null(c);
    LB_TRY(lb_config_from_tree(arena, "c.yaml", root, c));
    config = *c;
    return lb_sweep_expand(arena, c, &sweep);
}

/* Labels in order, refused ones in brackets. */
static void expect_cells(const char *text, const char *labels) {
    assert_ok(expand(text));
    lb_str got = {0};
    for (size_t i = 0; i < sweep.n; i++)
        lb_str_add(&got, sweep.cell[i].refused ? "%s[%s]" : "%s%s", i ? "; " : "", sweep.cell[i].label);
    assert_ok(lb_str_check(&got));
    assert_string_equal(got.s, labels);
    lb_str_free(&got);
}

static void products(void **state) {
    (void)state;
    expect_cells("model: m\n", "none");
    expect_cells("model: m\nquantize: [{method: none}, {method: none}]\n", "none");
    expect_cells("model: m\naxes: {bits: [2, 3]}\nquantize: [{method: rtn, group: [row, 64]}]\n",
                 "none; rtn 2b row; rtn 2b g64; rtn 3b row; rtn 3b g64");
    /* An entry's own value keeps the axis out of it. */
    expect_cells("model: m\naxes: {bits: [2, 3]}\nquantize: [{method: rtn, bits: 8}]\n", "none; rtn 8b row");
    expect_cells("model: m\nquantize: [{method: rtn, symmetric: [false, true]}]\n",
                 "none; rtn 4b row no_symmetric; rtn 4b row symmetric");
}

static void refusals(void **state) {
    (void)state;
    expect_cells("model: m\naxes: {bits: [3, 4]}\nquantize: [{method: rtn}, {method: nf4}]\n",
                 "none; rtn 3b row; rtn 4b row; [nf4 3b g64]; nf4 4b g64");
    assert_string_equal(sweep.cell[3].reason, "nf4 has 16 values, so bits must be 4, not 3");
    /* A value that one method takes and another cannot is refused for the other. */
    expect_cells("model: m\naxes: {group: [row, 4]}\nquantize: [{method: rtn}, {method: nf4}]\n",
                 "none; rtn 4b row; [rtn 4b g4]; [nf4 4b row]; nf4 4b g4");
    assert_non_null(strstr(sweep.cell[2].reason, "group = 4"));
    expect_cells("model: m\ncalibration: {text: t}\nquantize: [{method: gptq, propagate: [quantized, original], "
                 "true_sequential: true}]\n",
                 "none; gptq 4b row propagate=quantized true_sequential; [gptq 4b row propagate=original "
                 "true_sequential]");
    assert_string_equal(sweep.cell[2].reason, "true_sequential needs propagate: quantized");
}

static void run_once(void **state) {
    (void)state;
    /* RTN draws nothing and sees no statistics: neither a seed nor the propagation makes another cell of it. */
    expect_cells("model: m\ncalibration: {text: t, recipe: random}\naxes: {seed: [0, 1], propagate: [quantized, "
                 "original]}\nquantize: [{method: rtn}, {method: gptq}]\n",
                 "none; rtn 4b row; gptq 4b row s0 propagate=quantized; gptq 4b row s0 propagate=original; gptq 4b row "
                 "s1 propagate=quantized; gptq 4b row s1 propagate=original");
    assert_int_equal(sweep.merged, 3);
    /* With sequential windows, or a fixed seed, GPTQ does not depend on the seed either. */
    expect_cells("model: m\ncalibration: {text: t}\naxes: {seed: [5, 1]}\nquantize: [{method: gptq}]\n",
                 "none; gptq 4b row");
    assert_int_equal(sweep.cell[1].own.seed, 5);
    expect_cells("model: m\ncalibration: {text: t, recipe: random, seed: 7}\naxes: {seed: [5, 1]}\nquantize: "
                 "[{method: gptq}]\n",
                 "none; gptq 4b row");
    /* The same thing said twice. */
    expect_cells("model: m\nquantize: [{method: rtn, bits: 4}, {method: rtn}, {method: rtn, bits: [3, 4]}]\n",
                 "none; rtn 4b row; rtn 3b row");
    /* Rules make a difference, and the label a number. */
    expect_cells("model: m\nquantize: [{method: rtn}, {method: rtn, rules: [{match: \"*.down\", bits: 8}]}]\n",
                 "none; rtn 4b row; rtn 4b row #2");
}

static void texts_needed(void **state) {
    (void)state;
    assert_status(LB_E_CONFIG, expand("model: m\nquantize:\n  - {method: rtn}\n  - {method: gptq}\n"));
    assert_string_equal(lb_error(), "c.yaml:4: quantize[1]: method gptq needs a calibration text: add calibration: "
                                    "{text: ...}");
}

static void layer_rules(void **state) {
    (void)state;
    assert_ok(expand("model: m\nquantize: [{method: rtn, bits: 3}, {method: nf4}]\nrules:\n"
                     "  - {match: \"*.down\", bits: 8}\n  - {match: \"0.*\", skip: true}\n"
                     "  - {match: \"0.q\", skip: false, bits: 2}\n  - {match: \"*.v\", double_quant: true}\n"));
    const lb_cell *rtn = &sweep.cell[1], *nf4 = &sweep.cell[2];
    const struct {
        const char *name;
        bool skip;
        const char *bits;
    } want[] = {{"1.q", false, "3"},   {"1.down", false, "8"}, {"0.k", true, "3"},
                {"0.down", true, "8"}, {"0.q", false, "2"},    {"1.v", false, "3"}};
    int64_t matched[4] = {0};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        bool skip = false;
        const void *opts = NULL;
        assert_ok(lb_sweep_layer_options(arena, &config, rtn, &want[i].name, 1, &skip, &opts, matched));
        assert_int_equal(skip, want[i].skip);
        lb_str bits = {0};
        lb_options_text(lb_options_find(&rtn->method->options, "bits"), opts, &bits);
        assert_string_equal(bits.s, want[i].bits);
        lb_str_free(&bits);
    }
    const int64_t hits[] = {2, 3, 1, 1};
    assert_memory_equal(matched, hits, sizeof hits);
    /* A rule that makes no sense for a method is the cell's refusal, with the layer's name. */
    bool skip = false;
    const void *opts = NULL;
    const char *down = "1.down", *value = "1.v";
    assert_status(LB_E_UNSUPPORTED, lb_sweep_layer_options(arena, &config, nf4, &down, 1, &skip, &opts, NULL));
    assert_string_equal(lb_error(), "layer 1.down: nf4 has 16 values, so bits must be 4, not 8");
    assert_ok(lb_sweep_layer_options(arena, &config, nf4, &value, 1, &skip, &opts, NULL));
    assert_ptr_not_equal(opts, nf4->opts);
}

static void described(void **state) {
    (void)state;
    assert_ok(expand("model: m\nseed: 4\ncalibration: {text: t}\nquantize: [{method: gptq, group: 64}]\naxes: {bits: "
                     "[3]}\n"));
    const lb_cell *c = &sweep.cell[1];
    assert_int_equal(c->options.n, c->method->options.n);
    assert_string_equal(lb_pairs_get(&c->options, "group"), "64");
    assert_string_equal(lb_pairs_get(&c->options, "percdamp"), "0.01");
    assert_int_equal(c->varied.n, 2);
    assert_string_equal(lb_pairs_get(&c->varied, "bits"), "3");
    assert_true(c->needs_hessian && !c->trains && !c->draws);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products),     cmocka_unit_test(refusals),    cmocka_unit_test(run_once),
        cmocka_unit_test(texts_needed), cmocka_unit_test(layer_rules), cmocka_unit_test(described),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
