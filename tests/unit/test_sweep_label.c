/* Labels: the entry's own, or what tells a cell from those of the same name; the file's name never follows them. */
#include <string.h>

#include "support/expand_kit.h"

static void expect(const char *quantize, const char *labels, const char *names) {
    assert_ok(expand_rest(quantize));
    lb_str label = {0}, name = {0};
    for (size_t i = 1; i < sweep.n; i++) {
        lb_str_add(&label, "%s%s", i > 1 ? "; " : "", sweep.cell[i].label);
        lb_str_add(&name, "%s%s", i > 1 ? "; " : "", sweep.cell[i].name);
    }
    assert_true(lb_str_check(&label) == LB_OK && lb_str_check(&name) == LB_OK);
    assert_string_equal(label.s, labels);
    assert_string_equal(name.s, names);
    lb_str_free(&label);
    lb_str_free(&name);
}

/* Cells that rules alone tell apart are called by them; the one without any is called as ever. */
static void siblings(void **state) {
    (void)state;
    expect("quantize:\n"
           "  - {method: gptq, bits: 3, rules: [{match: \"*.down\", bits: 8}]}\n"
           "  - {method: gptq, bits: 3, rules: [{match: \"*.down\", bits: 8}, {match: \"0.*\", skip: true}]}\n"
           "  - {method: gptq, bits: 3, rules: [{match: \"1.up\", same_as: 0.up}]}\n"
           "  - {method: gptq, bits: 3, rules: [{match: \"0.*\", bits: 8}, {match: \"4.*\", bits: 8}]}\n"
           "  - {method: gptq, bits: 3}\n"
           "  - {method: gptq, bits: 4, rules: [{match: \"*.down\", bits: 8}]}\n",
           "gptq 3b row *.down bits=8; gptq 3b row *.down bits=8, 0.* skip; gptq 3b row 1.up same_as=0.up; gptq 3b "
           "row 0.* 4.* bits=8; gptq 3b row; gptq 4b row",
           "gptq 3b row; gptq 3b row #2; gptq 3b row #3; gptq 3b row #4; gptq 3b row #5; gptq 4b row");
    /* Rules that all of them have tell nothing. */
    expect("rules: [{match: \"*.down\", bits: 8}]\nquantize: [{method: gptq, bits: [2, 3]}]\n",
           "gptq 2b row; gptq 3b row", "gptq 2b row; gptq 3b row");
}

static void given(void **state) {
    (void)state;
    expect("quantize:\n"
           "  - {method: gptq, bits: 3, label: down at 8 bits, rules: [{match: \"*.down\", bits: 8}]}\n"
           "  - {method: gptq, bits: 3, label: \"plain: 3\"}\n",
           "down at 8 bits; plain: 3", "gptq 3b row; gptq 3b row #2");
    assert_string_equal(lb_pairs_get(&sweep.cell[1].varied, "label"), "down at 8 bits");
    /* What varies is behind it, and nothing else: act_order and propagate are the same in all. */
    expect("axes: {bits: [3, 4]}\nquantize:\n"
           "  - {method: gptq, label: mine, act_order: true, group: [row, 64], propagate: quantized}\n",
           "mine 3b row; mine 3b g64; mine 4b row; mine 4b g64",
           "gptq 3b row act_order propagate=quantized; gptq 3b g64 act_order propagate=quantized; gptq 4b row "
           "act_order propagate=quantized; gptq 4b g64 act_order propagate=quantized");
    expect("axes: {seed: [1, 2]}\nquantize: [{method: qat, label: mine, steps: [50, 60], bits: 2}]\n",
           "mine s1 steps=50; mine s1 steps=60; mine s2 steps=50; mine s2 steps=60",
           "qat 2b row s1 steps=50; qat 2b row s1 steps=60; qat 2b row s2 steps=50; qat 2b row s2 steps=60");
}

/* It is no part of what a cell is. */
static void no_identity(void **state) {
    (void)state;
    assert_ok(expand_rest("quantize: [{method: rtn, bits: 3}]\n"));
    const char *plain = sweep.cell[1].identity;
    assert_ok(expand_rest("quantize: [{method: rtn, bits: 3, label: x}]\n"));
    assert_string_equal(sweep.cell[1].identity, plain);
    assert_ok(expand_rest("quantize: [{method: rtn, bits: 3, label: x}, {method: rtn, bits: 3, label: z}]\n"));
    assert_true(sweep.n == 2 && sweep.merged == 1);
    assert_string_equal(sweep.cell[1].label, "x");
}

static void refused_with(const char *quantize, const char *why) {
    assert_status(LB_E_CONFIG, expand_rest(quantize));
    assert_error_has(why);
}

static void mistakes(void **state) {
    (void)state;
    refused_with("quantize:\n  - {method: rtn, label: x, bits: 2}\n  - {method: rtn, label: x, bits: 3}\n",
                 "c.yaml:5: label in quantize[1]: 'x' is the label of quantize[0] (c.yaml:4)");
    refused_with("quantize:\n  - {method: rtn, bits: 2}\n  - {method: rtn, label: rtn 2b row, bits: 3}\n",
                 "c.yaml:5: label: 'rtn 2b row' is also the name of a cell of quantize[0] (c.yaml:4)");
    refused_with("quantize:\n  - {method: rtn, label: rtn 2b row, bits: 3}\n  - {method: rtn, bits: 2}\n",
                 "c.yaml:4: label: 'rtn 2b row' is also the name of a cell of quantize[1] (c.yaml:5)");
    refused_with("quantize: [{method: rtn, label: none}]\n", "'none' is the name of the baseline");
    refused_with("quantize: [{method: none, label: x}]\n", "method none is the baseline");
    refused_with("quantize: [{method: rtn, label: \"\"}]\n", "must be a text of at most 80 bytes on one line");
    refused_with("quantize: [{method: rtn, label: \" x\"}]\n", "must be a text");
    refused_with("quantize: [{method: rtn, label: \"x\\ny\"}]\n", "must be a text");
    refused_with("quantize: [{method: rtn, label: [a, b]}]\n", "must be a text");
    refused_with("quantize: [{method: rtn, labl: x}]\n", "did you mean 'label'?");
}

static void memory_runs_out(void **state) {
    (void)state;
    static const char text[] = "quantize:\n  - {method: rtn, bits: 3, rules: [{match: \"0.*\", bits: 8}]}\n"
                               "  - {method: rtn, bits: 3}\n  - {method: rtn, bits: [2, 4], label: x}\n";
    expect_memory_errors(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(siblings), cmocka_unit_test(given),           cmocka_unit_test(no_identity),
        cmocka_unit_test(mistakes), cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, expand_setup, expand_teardown);
}
