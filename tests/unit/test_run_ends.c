/* `embedding` and `head` in configs: which level has the last word, what tells cells apart, and what is refused. */
#include <string.h>

#include "support/expand_kit.h"

static void expect_end(const lb_end *e, const char *want) {
    lb_str s = {0};
    if (!want) {
        assert_null(e);
        return;
    }
    assert_non_null(e);
    lb_end_text(e, &s);
    assert_ok(lb_str_check(&s));
    assert_int_equal(strncmp(s.s, want, strlen(want)), 0);
    lb_str_free(&s);
}

static void the_entry_has_the_last_word(void **state) {
    (void)state;
    assert_ok(expand_rest("embedding: {method: rtn, bits: 8}\nquantize:\n"
                          "  - {method: gptq, bits: 3}\n"
                          "  - {method: gptq, bits: 3, embedding: {method: nf4, group: 32}}\n"
                          "  - {method: gptq, bits: 3, quantize_embedding: false}\n"
                          "  - {method: gptq, bits: 3, head: {method: gptq, bits: 6}}\n"));
    assert_int_equal(sweep.n, 5);
    expect_end(sweep.cell[1].embedding, "rtn bits=8 group=row ");
    expect_end(sweep.cell[2].embedding, "nf4 bits=4 group=32 ");
    expect_end(sweep.cell[3].embedding, NULL);
    expect_end(sweep.cell[4].embedding, "rtn bits=8 ");
    expect_end(sweep.cell[4].head, "gptq bits=6 ");
    assert_true(sweep.cell[1].own.quantize_embedding && !sweep.cell[1].own.quantize_head);
    assert_true(!sweep.cell[3].own.quantize_embedding && sweep.cell[4].own.quantize_head);
    assert_string_equal(sweep.cell[1].label, "gptq 3b row");
    assert_string_equal(sweep.cell[2].label, "gptq 3b row embedding nf4 group=32");
    assert_string_equal(sweep.cell[4].label, "gptq 3b row head gptq bits=6");
}

/* Configs that say nothing of them are what they were; what is not quantized makes no cell of its own. */
static void identity(void **state) {
    (void)state;
    assert_ok(expand_rest("quantize: [{method: gptq, bits: 3, quantize_head: true}]\n"));
    assert_null(strstr(sweep.cell[1].identity, "\nhead "));
    const char *plain = sweep.cell[1].identity;
    assert_ok(expand_rest("head: {method: rtn}\nquantize: [{method: gptq, bits: 3}]\n"));
    assert_non_null(strstr(sweep.cell[1].identity, "\nhead rtn bits=4 "));
    assert_string_not_equal(sweep.cell[1].identity, plain);
    assert_ok(expand_rest("head: {method: rtn}\naxes: {quantize_head: [true, false]}\nquantize:\n"
                          "  - {method: gptq}\n  - {method: gptq, head: {method: rtn, bits: 8}}\n"));
    assert_true(sweep.n == 4 && sweep.merged == 1);
}

/* What an end is solved on, the cell needs: its texts, seed and the way of its inputs matter then. */
static void needs(void **state) {
    (void)state;
    assert_ok(expand_rest("quantize: [{method: rtn, head: {method: gptq}, propagate: original}]\n"));
    assert_true((sweep.cell[1].layer_needs & LB_NEEDS_HESSIAN) != 0);
    assert_int_equal(sweep.cell[1].own.propagate, LB_PROPAGATE_ORIGINAL);
    assert_status(LB_E_CONFIG, expand_rest("quantize: [{method: rtn, head: {method: rtn}, propagate: original}]\n"));
    assert_error_has("method rtn needs no statistics");
}

static void refused_with(const char *rest, const char *why) {
    assert_status(LB_E_CONFIG, expand_rest(rest));
    assert_error_has(why);
}

static void mistakes(void **state) {
    (void)state;
    refused_with("embedding: 8\n", "c.yaml:3: embedding: must be a map with method and its options, not one value");
    refused_with("embedding: {bits: 8}\n", "'method' is missing");
    refused_with("embedding: {method: rtn, bits: 9}\n", "bits = 9: must be in [1, 8] (method rtn)");
    refused_with("embedding: {method: rtn, bits: [4, 8]}\n", "bits: must be one value, not a list");
    refused_with("embedding: {method: rtn, gruop: 8}\n", "unknown key 'gruop' in embedding: did you mean 'group'?");
    refused_with("embedding: {method: rnt}\n", "did you mean 'rtn'?");
    refused_with("embedding: {method: none}\n", "quantize_embedding: false leaves it as it is");
    refused_with("head: {method: qat}\n", "method qat works on the whole network");
    refused_with("head: {method: smoothquant}\n", "method smoothquant prepares a model and compresses nothing");
    refused_with("head: {method: autoround}\n", "method autoround makes the layers of blocks");
    refused_with("quantize:\n  - {method: rtn, quantize_head: false, head: {method: rtn}}\n",
                 "c.yaml:4: quantize_head: false, and head says how it is quantized");
    refused_with("embeding: {method: rtn}\n", "did you mean 'embedding'?");
}

/* Rounding takes what the options of the stage that rounds have of its own. */
static void rounded(void **state) {
    (void)state;
    const lb_end *e = NULL;
    assert_ok(expand_rest("quantize:\n  - {method: gptq, bits: 3, group: 32, symmetric: true, mse: true}\n"
                          "  - stages: [{method: wanda}, {method: gptq, bits: 2, group: 16}]\n"
                          "  - {method: wanda}\n  - {method: autoround, bits: 5}\n"));
    assert_ok(lb_end_rounded(arena, sweep.cell[1].method, sweep.cell[1].opts, &e));
    expect_end(e, "rtn bits=3 group=32 symmetric=true mse=true ");
    assert_null(e->node);
    assert_ok(lb_end_rounded(arena, sweep.cell[2].method, sweep.cell[2].opts, &e));
    expect_end(e, "rtn bits=2 group=16 ");
    assert_ok(lb_end_rounded(arena, sweep.cell[3].method, sweep.cell[3].opts, &e));
    assert_null(e);
    assert_ok(lb_end_rounded(arena, sweep.cell[4].method, sweep.cell[4].opts, &e));
    expect_end(e, "rtn bits=5 ");
}

static void memory_runs_out(void **state) {
    (void)state;
    static const char text[] = "embedding: {method: rtn, bits: 8}\nquantize:\n"
                               "  - {method: gptq, bits: 3, head: {method: nf4}}\n  - {method: gptq, bits: 3}\n";
    expect_memory_errors(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_entry_has_the_last_word),
        cmocka_unit_test(identity),
        cmocka_unit_test(needs),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(rounded),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, expand_setup, expand_teardown);
}
