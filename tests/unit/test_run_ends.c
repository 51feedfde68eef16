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

/* Options of an end as axes, whichever way they are written: each cell is what a config of that one value gives. */
static void axes(void **state) {
    (void)state;
    static const char *const written[] = {
        "embedding: {method: rtn, bits: [4, 8]}\nquantize: [{method: gptq, bits: 3}]\n",
        "embedding: {method: rtn}\naxes: {embedding.bits: [4, 8]}\nquantize: [{method: gptq, bits: 3}]\n",
        "embedding: {method: rtn}\naxes: {embedding: {bits: [4, 8, 0x8]}}\nquantize: [{method: gptq, bits: 3}]\n",
        "quantize: [{method: gptq, bits: 3, embedding: {method: rtn, bits: [4, 8]}}]\n",
        "embedding: {method: rtn}\nquantize: [{method: gptq, bits: 3, embedding.bits: [4, 8]}]\n",
        "axes: {embedding.bits: [4, 8]}\nquantize: [{method: gptq, bits: 3, embedding: {method: rtn}}]\n",
    };
    for (size_t i = 0; i < sizeof written / sizeof written[0]; i++) {
        assert_ok(expand_rest(written[i]));
        assert_int_equal(sweep.n, 3);
        expect_end(sweep.cell[1].embedding, "rtn bits=4 ");
        expect_end(sweep.cell[2].embedding, "rtn bits=8 ");
        assert_string_equal(sweep.cell[1].label, "gptq 3b row embedding 4 bits");
        assert_string_equal(sweep.cell[2].name, "gptq 3b row embedding 8 bits");
        assert_string_equal(lb_pairs_get(&sweep.cell[2].varied, "embedding.bits"), "8");
        const char *identity = sweep.cell[2].identity;
        assert_ok(expand_rest("embedding: {method: rtn, bits: 8}\nquantize: [{method: gptq, bits: 3}]\n"));
        assert_string_equal(sweep.cell[1].identity, identity);
    }
    /* Two ends, and other options than bits. */
    assert_ok(expand_rest("head: {method: gptq, bits: 6, group: [row, 64], mse: [false, true]}\n"
                          "axes: {embedding: {bits: [1, 2]}}\nembedding: {method: rtn}\nquantize: [{method: rtn}]\n"));
    assert_int_equal(sweep.n, 9);
    assert_string_equal(sweep.cell[8].label, "rtn 4b row head g64 head mse embedding 2 bits");
    assert_string_equal(sweep.cell[1].label, "rtn 4b row head row head no_mse embedding 1 bit");
    expect_end(sweep.cell[8].head, "gptq bits=6 group=64 ");
    /* Behind a label, of stages, and beside cells that other rules tell apart. */
    assert_ok(expand_rest("quantize:\n  - {method: rtn, label: mine, head: {method: rtn, bits: [4, 8], group: 64}}\n"
                          "  - {stages: [{method: wanda}, {method: rtn}], head: {method: rtn, bits: [2, 3]}}\n"));
    assert_string_equal(sweep.cell[2].label, "mine head 8 bits");
    assert_string_equal(sweep.cell[4].label, "wanda 50% + rtn 4b row head 3 bits");
}

/* Whose map an axis is for, and who keeps out of it. */
static void axes_and_maps(void **state) {
    (void)state;
    static const char entries[] = "quantize:\n  - {method: gptq, bits: 3}\n"
                                  "  - {method: gptq, bits: 3, embedding: {method: rtn, group: 64}}\n"
                                  "  - {method: gptq, bits: 3, embedding: {method: rtn, bits: 2}}\n";
    /* A list in the config's map is that map's: another one replaces it whole, as it does a single value. */
    assert_ok(expand_rest(lb_arena_printf(arena, "embedding: {method: rtn, bits: [4, 8]}\n%s", entries)));
    assert_int_equal(sweep.n, 5);
    expect_end(sweep.cell[2].embedding, "rtn bits=8 group=row ");
    expect_end(sweep.cell[3].embedding, "rtn bits=4 group=64 ");
    expect_end(sweep.cell[4].embedding, "rtn bits=2 group=row ");
    /* Under axes it is of every map that does not say otherwise. */
    assert_ok(
        expand_rest(lb_arena_printf(arena, "embedding: {method: rtn}\naxes: {embedding.bits: [4, 8]}\n%s", entries)));
    assert_int_equal(sweep.n, 6);
    expect_end(sweep.cell[4].embedding, "rtn bits=8 group=64 ");
    expect_end(sweep.cell[5].embedding, "rtn bits=2 group=row ");
    /* What is not quantized is not multiplied; a value that the method cannot have refuses its cells. */
    assert_ok(expand_rest("head: {method: rtn, bits: [4, 8]}\naxes: {quantize_head: [true, false]}\n"
                          "quantize: [{method: rtn}]\n"));
    assert_true(sweep.n == 4 && sweep.merged == 1);
    expect_end(sweep.cell[2].head, NULL);
    assert_null(lb_pairs_get(&sweep.cell[2].varied, "head.bits"));
    assert_ok(expand_rest("axes: {head.bits: [3, 4]}\nquantize:\n  - {method: rtn, head: {method: nf4}}\n"
                          "  - {method: rtn, head: {method: rtn}}\n"));
    assert_true(sweep.n == 5 && sweep.cell[1].refused && !sweep.cell[2].refused && !sweep.cell[3].refused);
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
    refused_with("embedding: {method: rtn, bits: [4, 9]}\nquantize: [{method: rtn}]\n",
                 "c.yaml:3: bits = 9: must be in [1, 8] (embedding)");
    refused_with("embedding: {method: rtn, bits: []}\n", "bits: the list is empty (embedding)");
    refused_with("embedding: {method: [rtn, nf4]}\n",
                 "method: must be a name, not a list: it is the config's or an entry's: give two entries");
    refused_with("axes: {head.method: [rtn, nf4]}\nhead: {method: rtn}\nquantize: [{method: rtn}]\n",
                 "axis 'head.method': it is the config's or an entry's");
    refused_with("axes: {head.bits: [4, 8]}\nquantize: [{method: rtn}]\n",
                 "axis 'head.bits': it needs a method of its own: add head: {method: rtn}");
    refused_with("axes: {head.bist: [4, 8]}\nhead: {method: rtn}\nquantize: [{method: rtn}]\n",
                 "axis 'head.bist': method rtn has no option 'bist': did you mean 'bits'?");
    refused_with("axes: {head.bits: [4]}\nhead: {method: rtn}\n", "quantize has no method that it could reach");
    refused_with("axes: {head.bits: [4]}\nquantize:\n  - {method: rtn, head: {method: rtn, bits: 8}}\n",
                 "axes.head.bits has no effect: every entry sets head.bits itself (c.yaml:5)");
    refused_with("axes: {head.bits: [4, 8]}\nhead: {method: rtn}\nquantize: [{method: rtn, quantize_head: false}]\n",
                 "axes.head.bits has no effect: the head is not quantized");
    refused_with("quantize: [{method: rtn, head: {method: rtn, bits: 4}, head.bits: 8}]\n",
                 "c.yaml:3: head.bits in quantize[0]: is given already (c.yaml:3)");
    refused_with("head: {method: rtn, bits: [4, 8]}\naxes: {head.bits: [2]}\nquantize: [{method: rtn}]\n",
                 "axis 'head.bits' is given already");
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
    static const char text[] = "embedding: {method: rtn, bits: [4, 8]}\nquantize:\n"
                               "  - {method: gptq, bits: 3, head: {method: nf4}}\n  - {method: gptq, bits: 3}\n";
    expect_memory_errors(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_entry_has_the_last_word),
        cmocka_unit_test(identity),
        cmocka_unit_test(needs),
        cmocka_unit_test(axes),
        cmocka_unit_test(axes_and_maps),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(rounded),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, expand_setup, expand_teardown);
}
