/* Axes: an axis that reaches no cell is a mistake in the config, and is told with its line and the reason. */
#include <string.h>

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
    LB_TRY(lb_config_from_tree(arena, "c.yaml", root, &config));
    return lb_sweep_expand(arena, &config, &sweep);
}

static void expect_refused(const char *text, const char *message) {
    assert_status(LB_E_CONFIG, expand(text));
    assert_error_has(message);
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

static void overridden(void **state) {
    (void)state;
    expect_refused("model: m\naxes:\n  bits: [3]\nquantize:\n  - method: rtn\n    bits: 4\n",
                   "c.yaml:3: axes.bits has no effect: every entry sets bits itself (c.yaml:6)");
    /* nf4 has no act_order, so it does not count. */
    expect_refused("model: m\ncalibration: {text: t}\naxes: {act_order: [true]}\nquantize:\n  - {method: nf4}\n"
                   "  - {method: gptq, act_order: false}\n",
                   "c.yaml:3: axes.act_order has no effect: every entry that has it sets act_order itself (c.yaml:6)");
    /* By a stage, which is all that has the option. */
    expect_refused("model: m\ncalibration: {text: t}\naxes: {sparsity: [0.5]}\nquantize: [{stages: [{method: wanda, "
                   "sparsity: 0.3}, {method: rtn}]}]\n",
                   "axes.sparsity has no effect: every entry sets sparsity itself");
    /* One that takes it is enough; so is a single value, and the one that is the default. */
    expect_cells("model: m\naxes: {bits: [3]}\nquantize: [{method: rtn, bits: 4}, {method: rtn}]\n",
                 "none; rtn 4b row; rtn 3b row");
    expect_cells("model: m\naxes: {bits: [4]}\nquantize: [{method: rtn}]\n", "none; rtn 4b row");
}

static void nothing_depends_on_it(void **state) {
    (void)state;
    expect_refused("model: m\naxes: {seed: [0, 1]}\nquantize: [{method: rtn}]\n",
                   "c.yaml:2: axes.seed has no effect: nothing is drawn at random");
    expect_refused("model: m\ncalibration: {text: t}\naxes: {seed: [0, 1]}\nquantize: [{method: gptq}]\n",
                   "axes.seed has no effect");
    expect_refused("model: m\ncalibration: {text: t}\naxes: {propagate: [original, quantized]}\nquantize: [{method: "
                   "rtn}]\n",
                   "axes.propagate has no effect: no method here solves layers on statistics of their inputs");
    expect_refused("model: m\ncalibration: {text: t}\naxes: {true_sequential: [true]}\nquantize: [{method: rtn}, "
                   "{method: nf4}]\n",
                   "axes.true_sequential has no effect");
    expect_cells("model: m\ncalibration: {text: t}\naxes: {true_sequential: [true]}\nquantize: [{method: rtn}, "
                 "{method: gptq}]\n",
                 "none; rtn 4b row; gptq 4b row true_sequential");
    /* A list in an entry says so too; a single value there is what it was. */
    expect_refused("model: m\nquantize:\n  - method: rtn\n    seed: [0, 1]\n",
                   "c.yaml:4: quantize[0].seed has no effect: nothing is drawn at random");
    expect_cells("model: m\nquantize: [{method: rtn, seed: 1}]\n", "none; rtn 4b row");
}

static void refused_everywhere(void **state) {
    (void)state;
    expect_refused("model: m\naxes: {symmetric: [true]}\nquantize: [{method: rtn, symmetric: false}, {stages: "
                   "[{method: rtn}, {method: wanda}]}]\ncalibration: {text: t}\n",
                   "c.yaml:2: axes.symmetric has no effect: every cell that it reaches is refused: ");
    /* One value that runs is enough. */
    expect_cells("model: m\naxes: {bits: [3, 4]}\nquantize: [{method: nf4}]\n", "none; [nf4 3b g64]; nf4 4b g64");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overridden),
        cmocka_unit_test(nothing_depends_on_it),
        cmocka_unit_test(refused_everywhere),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
