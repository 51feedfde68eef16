/* Sweeps: products of axes, cells that depend on nothing else run once, nonsense is refused and not failed. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "result/provenance.h"
#include "support/expand_kit.h"

static void products(void **state) {
    (void)state;
    expect_cells("model: m\n", "none");
    expect_cells("model: m\nquantize: [{method: none}, {method: none}]\n", "none");
    expect_cells("model: m\naxes: {bits: [2, 3]}\nquantize: [{method: rtn, group: [row, 64]}]\n",
                 "none; rtn 2b row; rtn 2b g64; rtn 3b row; rtn 3b g64");
    /* An entry's own value keeps the axis out of it. */
    expect_cells("model: m\naxes: {bits: [2, 3]}\nquantize: [{method: rtn, bits: 8}, {method: rtn, group: 64}]\n",
                 "none; rtn 8b row; rtn 2b g64; rtn 3b g64");
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
    expect_cells("model: m\ncalibration: {text: t}\naxes: {seed: [5, 1]}\nquantize: [{method: gptq}, {method: qat}]\n",
                 "none; gptq 4b row; qat 4b row s5; qat 4b row s1");
    assert_int_equal(sweep.cell[1].own.seed, 5);
    expect_cells("model: m\ncalibration: {text: t, recipe: random, seed: 7}\naxes: {seed: [5, 1]}\nquantize: "
                 "[{method: gptq}, {method: qat}]\n",
                 "none; gptq 4b row; qat 4b row s5; qat 4b row s1");
    /* The same thing said twice. */
    expect_cells("model: m\nquantize: [{method: rtn, bits: 4}, {method: rtn}, {method: rtn, bits: [3, 4]}]\n",
                 "none; rtn 4b row; rtn 3b row");
    /* Rules make a difference. */
    expect_cells("model: m\nquantize: [{method: rtn}, {method: rtn, rules: [{match: \"*.down\", bits: 8}]}]\n",
                 "none; rtn 4b row; rtn 4b row *.down bits=8");
}

/* What tokens weigh in H matters to what reads H, and where they are clipped to what clips them. */
static void weights_of_tokens(void **state) {
    (void)state;
    expect_cells("model: m\ncalibration: {text: t}\naxes: {token_weight: [none, norm, clip], token_clip: [2, 3]}\n"
                 "quantize: [{method: rtn}, {method: gptq}]\n",
                 "none; rtn 4b row; gptq 4b row token_weight=none; gptq 4b row norm; gptq 4b row clip token_clip=2; "
                 "gptq 4b row clip token_clip=3");
    assert_int_equal(sweep.cell[2].own.token_weight, LB_TOKENS_AS_THEY_ARE);
    assert_true(sweep.cell[3].own.token_weight == LB_TOKENS_NORM && sweep.cell[3].own.token_clip == 3);
    assert_true(sweep.cell[4].own.token_weight == LB_TOKENS_CLIP && sweep.cell[4].own.token_clip == 2);
    /* Of the calibration it is every cell's; an entry has the last word. A diagonal of H is weighted, too. */
    expect_cells("model: m\ncalibration: {text: t, token_weight: norm}\n"
                 "quantize: [{method: rtn}, {method: gptq}, {method: gptq, token_weight: none}, {method: wanda}, "
                 "{method: act, act_mode: static}]\n",
                 "none; rtn 4b row; gptq 4b row; gptq 4b row token_weight=none; wanda; act a8 act_mode=static");
    static const int weight[] = {0, 0, LB_TOKENS_NORM, 0, LB_TOKENS_NORM, 0};
    for (size_t i = 1; i < sweep.n; i++) assert_int_equal(sweep.cell[i].own.token_weight, weight[i]);
    assert_status(LB_E_CONFIG, expand("model: m\nquantize: [{method: rtn, token_weight: norm}]\n"));
    assert_error_has("token_weight in quantize[0]: method rtn needs no H, so it does not apply");
    assert_status(LB_E_CONFIG, expand("model: m\ncalibration: {text: t}\naxes: {token_clip: [2, 4]}\n"
                                      "quantize: [{method: gptq}]\n"));
    assert_error_has("only token_weight: clip has a length to clip at");
    assert_status(LB_E_CONFIG, expand("model: m\ncalibration: {text: t, token_weight: length}\n"));
    assert_error_has("token_weight = length");
    assert_status(LB_E_CONFIG, expand("model: m\ncalibration: {text: t, token_clip: 0}\n"));
    assert_error_has("token_clip = 0");
    expect_cells("model: m\ncalibration: {text: t}\nquantize: [{method: gptq, token_weight: attention}]\n",
                 "none; gptq 4b row attention");
}

/* Inputs: their bits are in the name where weights have none of their own; ranges of tokens need no calibration. */
static void quantized_inputs(void **state) {
    (void)state;
    expect_cells(
        "model: m\nquantize: [{method: act}, {method: act, act_bits: 4, act_group: 32}, {stages: [{method: rtn, "
        "bits: 8}, {method: act, act_bits: [8, 6], act_symmetric: true}]}, {method: act, act_group: 32, act_mode: "
        "token}]\n",
        "none; act a8; act a4 act_group=32; rtn 8b row + act a8 act_symmetric; rtn 8b row + act a6 "
        "act_symmetric; act a8 act_group=32 act_mode=token");
    for (size_t i = 1; i < sweep.n; i++) assert_int_equal(sweep.cell[i].layer_needs, 0);
    assert_status(LB_E_CONFIG, expand("model: m\nquantize: [{method: act, act_mode: static}]\n"));
    assert_error_has("method act needs a calibration text");
    expect_cells(
        "model: m\ncalibration: {text: t}\nquantize: [{method: act, act_mode: static}, {method: act, act_mode: "
        "static, act_group: 8}]\n",
        "none; act a8 act_mode=static; [act a8 act_mode=static act_group=8]");
    assert_int_equal(sweep.cell[1].layer_needs, LB_NEEDS_RANGE);
}

/* Stages: their labels, options as axes, those of the whole config, and what is one cell with another. */
static void stages(void **state) {
    (void)state;
    expect_cells(
        "model: m\ncalibration: {text: t}\nquantize: [{stages: [{method: wanda, sparsity: [0.3, 0.5]}, {method: "
        "rtn, bits: [3, 4], symmetric: true}], quantize_head: true}]\n",
        "none; wanda 30% + rtn 3b row symmetric quantize_head; wanda 30% + rtn 4b row symmetric quantize_head; "
        "wanda 50% + rtn 3b row symmetric quantize_head; wanda 50% + rtn 4b row symmetric quantize_head");
    const lb_cell *c = &sweep.cell[1];
    assert_string_equal(c->method->name, "wanda+rtn");
    assert_string_equal(lb_pairs_get(&c->options, "sparsity"), "0.3");
    assert_string_equal(lb_pairs_get(&c->options, "bits"), "3");
    assert_true(c->layer_needs & LB_NEEDS_HESSIAN && !c->trains && !c->draws);
    /* An axis reaches the stages that have the option and do not set it. */
    expect_cells(
        "model: m\ncalibration: {text: t}\naxes: {bits: [2, 3], group: [64], rank: [4, 8], percdamp: [0.1]}\n"
        "quantize: [{stages: [{method: gptq, bits: 4, percdamp: 0.5}, {method: low_rank}]}, {stages: [{method: "
        "rtn}, {method: low_rank, rank: 2}]}]\n",
        "none; gptq 4b g64 percdamp=0.1 percdamp=0.5 + low_rank rank=4 percdamp=0.1; gptq 4b g64 percdamp=0.1 "
        "percdamp=0.5 + low_rank rank=8 percdamp=0.1; rtn 2b g64 + low_rank percdamp=0.1 rank=2; rtn 3b g64 + "
        "low_rank percdamp=0.1 rank=2");
    assert_string_equal(lb_pairs_get(&sweep.cell[1].options, "gptq.percdamp"), "0.5");
    assert_string_equal(lb_pairs_get(&sweep.cell[1].options, "low_rank.percdamp"), "0.1");
    /* A single stage is its method; the same stages twice are one cell, another order is another. */
    expect_cells("model: m\nquantize: [{stages: [{method: rtn, bits: 3}]}, {method: rtn, bits: 3}]\n",
                 "none; rtn 3b row");
    expect_cells("model: m\ncalibration: {text: t}\nquantize: [{stages: [{method: rtn}, {method: low_rank}]}, {stages: "
                 "[{method: rtn, bits: 4}, {method: low_rank, rank: 16}], quantize_head: false}, {stages: [{method: "
                 "low_rank}, {method: rtn}]}]\n",
                 "none; rtn 4b row + low_rank; low_rank 4b row + rtn 4b row");
    /* What never combines is refused, one value of a stage like any. */
    expect_cells("model: m\ncalibration: {text: t}\naxes: {bits: [3, 4]}\nquantize: [{stages: [{method: rtn}, {method: "
                 "wanda}]}, {stages: [{method: wanda}, {method: nf4}]}, {stages: [{method: rtn}, {method: qat, bits: "
                 "4}]}]\n",
                 "none; [rtn 3b row + wanda 50%]; [rtn 4b row + wanda 50%]; [wanda 50% + nf4 3b g64]; wanda 50% + nf4 "
                 "4b g64; [rtn 3b row + qat 4b row]; [rtn 4b row + qat 4b row]");
    assert_string_equal(sweep.cell[1].reason, "stage wanda only starts a layer: it cannot go on from what rtn made");
    assert_string_equal(sweep.cell[3].reason, "stage nf4: nf4 has 16 values, so bits must be 4, not 3");
    assert_string_equal(sweep.cell[5].reason,
                        "stage qat works on the whole network: stages go through one layer together");
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
    assert_int_equal(c->options.n, c->method->options.n - 1); /* a format that is the default is not told of */
    assert_string_equal(lb_pairs_get(&c->options, "group"), "64");
    assert_string_equal(lb_pairs_get(&c->options, "percdamp"), "0.01");
    assert_int_equal(c->varied.n, 2);
    assert_string_equal(lb_pairs_get(&c->varied, "bits"), "3");
    assert_true(c->layer_needs & LB_NEEDS_HESSIAN && !c->trains && !c->draws);
    assert_ok(expand("model: m\ncalibration: {text: t}\nquantize: [{method: gptq, group: 32, format: mxfp4}, {method: "
                     "gptq, group: 32, format: int}, {method: gptq, group: 32}]\n"));
    assert_int_equal(sweep.n, 3); /* with the baseline: the last two are one */
    assert_string_equal(lb_pairs_get(&sweep.cell[1].options, "format"), "mxfp4");
    assert_int_equal(sweep.cell[1].options.n, c->method->options.n);
}

/* `n` values of a list: first, first + 1, ... or n times the same text. */
static void add_list(lb_str *text, const char *key, int first, int n, const char *same) {
    lb_str_add(text, "  %s: [", key);
    for (int i = 0; i < n; i++)
        if (same)
            lb_str_add(text, "%s%s", i ? "," : "", same);
        else
            lb_str_add(text, "%s%d", i ? "," : "", first + i);
    lb_str_add(text, "]\n");
}

/* However a value is written, and by whichever list: it counts once, and the first stays. */
static void equal_values_count_once(void **state) {
    (void)state;
    expect_cells("model: m\naxes: {bits: [3, 4, 4, 0x4, 3]}\nquantize: [{method: rtn, group: [row, 64, row]}]\n",
                 "none; rtn 3b row; rtn 3b g64; rtn 4b row; rtn 4b g64");
    assert_int_equal(sweep.merged, 0);
    expect_cells("model: m\ntraining: {text: t}\nquantize: [{method: qat, lr: [1e-3, 0.001, 0.0010, 2e-3]}]\n",
                 "none; qat 4b row lr=0.001; qat 4b row lr=0.002");
    expect_cells("model: m\ntraining: {text: t}\naxes: {seed: [1, 2]}\nquantize: [{method: rtn, symmetric: [true, "
                 "true]}, {method: qat}]\n",
                 "none; rtn 4b row symmetric; qat 4b row s1; qat 4b row s2");
    assert_int_equal(sweep.merged, 1);
    /* Refused values too, where they say the same. */
    expect_cells("model: m\naxes: {group: [row, 4, 4]}\nquantize: [{method: rtn}, {method: nf4}]\n",
                 "none; rtn 4b row; [rtn 4b g4]; [nf4 4b row]; nf4 4b g4");
    /* Six lists of 31 equal values would be 887 million combinations. */
    lb_str text = {0};
    alarm(60);
    lb_str_add(&text, "model: m\ncalibration: {text: t}\nquantize: [{method: gptq}]\naxes:\n");
    add_list(&text, "bits", 0, 31, "4");
    add_list(&text, "group", 0, 31, "row");
    add_list(&text, "symmetric", 0, 31, "true");
    add_list(&text, "act_order", 0, 31, "true");
    add_list(&text, "percdamp", 0, 31, "0.02");
    add_list(&text, "quantize_head", 0, 31, "true");
    assert_ok(lb_str_check(&text));
    expect_cells(text.s, "none; gptq 4b row symmetric act_order percdamp=0.02 quantize_head");
    alarm(0);
    lb_str_free(&text);
}

/* Too many are refused with their number, before the first is made. */
static void too_many_cells(void **state) {
    (void)state;
    lb_str text = {0};
    lb_str_add(&text, "model: m\ntraining: {text: t}\nquantize:\n  - {method: qat}\naxes:\n");
    add_list(&text, "seed", 0, 400, NULL);
    add_list(&text, "steps", 30, 251, NULL);
    add_list(&text, "bits", 0, 9, "4");
    assert_status(LB_E_CONFIG, expand(text.s));
    assert_string_equal(lb_error(), "c.yaml:4: quantize[0]: seed (400 values) x steps (251 values) = 100400 "
                                    "combinations: a sweep has at most 100000");
    /* No entry has too many, all together do. */
    text.len = 0;
    lb_str_add(&text, "model: m\ntraining: {text: t}\nquantize:\n");
    for (int i = 0; i < 3; i++) lb_str_add(&text, "  - {method: qat, batch: %d}\n", i + 1);
    lb_str_add(&text, "axes:\n");
    add_list(&text, "seed", 0, 40000, NULL);
    assert_status(LB_E_CONFIG, expand(text.s));
    assert_string_equal(lb_error(), "c.yaml:6: quantize[2]: seed (40000 values) = 40000 combinations, 120000 with the "
                                    "entries before: a sweep has at most 100000");
    /* More than any integer holds. */
    text.len = 0;
    lb_str_add(&text, "model: m\ntraining: {text: t}\nquantize:\n  - {method: qat}\naxes:\n");
    static const char *const axis[] = {"seed", "steps", "batch", "length", "warmup"};
    for (int i = 0; i < 5; i++) add_list(&text, axis[i], 2, 15000, NULL);
    assert_status(LB_E_CONFIG, expand(text.s));
    assert_non_null(strstr(lb_error(), " = 7.59375e+20 combinations: a sweep has at most 100000"));
    lb_str_free(&text);
}

/* The time grows with the cells, not with their square. */
static void many_cells(void **state) {
    (void)state;
    lb_str text = {0};
    lb_str_add(&text, "model: m\ntraining: {text: t}\nquantize:\n  - {method: qat}\n  - {method: qat, rules: [{match: "
                      "\"0.*\", bits: 8}]}\naxes:\n");
    add_list(&text, "seed", 0, 100, NULL);
    add_list(&text, "steps", 100, 300, NULL);
    alarm(60);
    assert_ok(expand(text.s));
    alarm(0);
    assert_int_equal(sweep.n, 60001);
    assert_string_equal(sweep.cell[1].label, "qat 4b row s0 steps=100");
    assert_string_equal(sweep.cell[30000].label, "qat 4b row s99 steps=399");
    assert_string_equal(sweep.cell[30001].label, "qat 4b row s0 steps=100 0.* bits=8");
    assert_string_equal(sweep.cell[60000].label, "qat 4b row s99 steps=399 0.* bits=8");
    lb_str_free(&text);
}

/* A number is put to a name until it is one of its own. */
static void names_are_unique(void **state) {
    (void)state;
    expect_cells("model: m\nquantize:\n  - {method: rtn, bits: [3, 4]}\n"
                 "  - {method: rtn, bits: [4, 3], rules: [{match: \"*.v\", bits: 8}]}\n"
                 "  - {method: rtn, bits: 4, rules: [{match: \"*.q\", bits: 8}]}\n"
                 "  - {method: rtn, bits: 4, rules: [{match: \"*.q\", bits: 8}]}\n"
                 "  - {method: rtn, bits: 4, rules: [{match: \"*.k\", bits: 8}]}\n",
                 "none; rtn 3b row; rtn 4b row; rtn 4b row *.v bits=8; rtn 3b row *.v bits=8; rtn 4b row *.q bits=8; "
                 "rtn 4b row *.k bits=8");
    static const char *const name[] = {"none",          "rtn 3b row",    "rtn 4b row",   "rtn 4b row #2",
                                       "rtn 3b row #2", "rtn 4b row #3", "rtn 4b row #4"};
    for (size_t i = 0; i < sweep.n; i++) assert_string_equal(sweep.cell[i].name, name[i]);
    assert_int_equal(sweep.merged, 1);
}

/* Ctrl-C ends it, however long it would go on. */
static void interrupted(void **state) {
    (void)state;
    lb_interrupt_request();
    assert_status(LB_E_INTERRUPTED, expand("model: m\nquantize: [{method: rtn}]\n"));
    lb_interrupt_clear();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products),          cmocka_unit_test(refusals),
        cmocka_unit_test(run_once),          cmocka_unit_test(stages),
        cmocka_unit_test(weights_of_tokens), cmocka_unit_test(quantized_inputs),
        cmocka_unit_test(texts_needed),      cmocka_unit_test(layer_rules),
        cmocka_unit_test(described),         cmocka_unit_test(equal_values_count_once),
        cmocka_unit_test(too_many_cells),    cmocka_unit_test(many_cells),
        cmocka_unit_test(names_are_unique),  cmocka_unit_test(interrupted),
    };
    return cmocka_run_group_tests(tests, expand_setup, expand_teardown);
}
