/* Names that other programs give to keys and methods: an error says what is meant, and only what may stand there. */
#include <string.h>

#include "quant/method.h"
#include "run/config.h"
#include "run/field_names.h"
#include "support/support.h"

static lb_arena *arena;
static lb_config config;

static int setup(void **state) {
    (void)state;
    return lb_arena_new(0, &arena) == LB_OK ? 0 : -1;
}
static int teardown(void **state) {
    (void)state;
    lb_arena_free(arena);
    return 0;
}

static lb_status parse(const char *text) {
    lb_yaml *root = NULL;
    LB_TRY(lb_yaml_parse(arena, "c.yaml", text, strlen(text), &root));
    return lb_config_from_tree(arena, "c.yaml", root, &config);
}

/* "model: m" and this; the message ends so. */
static void expect_error(const char *text, const char *end) {
    char *all = lb_arena_printf(arena, "model: m\n%s\n", text);
    assert_non_null(all);
    assert_status(LB_E_CONFIG, parse(all));
    const char *have = lb_error();
    if (!lb_str_ends(have, end)) fail_msg("%s\n  says  %s\n  not   %s", text, have, end);
}

static void of_entries(void **state) {
    (void)state;
    static const char *const of_gptq[][2] = {
        {"group_size: 128", "c.yaml:2: unknown key 'group_size' in quantize[0]: did you mean 'group'?"},
        {"q_group_size: 128", "'group'?"},
        {"groupsize: 128", "'group'?"},
        {"Group-Size: 128", "'group'?"},
        {"bnb_4bit_blocksize: 64", "'group'?"},
        {"block_size: 128", "'block' (columns at a time; columns that share a scale are group)?"},
        {"desc_act: true", "did you mean 'act_order'?"},
        {"actorder: true", "'act_order'?"},
        {"act-order: true", "'act_order'?"},
        {"sym: true", "did you mean 'symmetric'?"},
        {"zero_point: true", "'symmetric' (zero_point: true is symmetric: false)?"},
        {"damp_percent: 0.01", "did you mean 'percdamp'?"},
        {"dampening_frac: 0.01", "'percdamp'?"},
        {"w_bit: 4", "did you mean 'bits'?"},
        {"wbits: 4", "'bits'?"},
        {"num_bits: 4", "'bits'?"},
        {"load_in_4bit: true", "'bits' (bits: 4)?"},
        {"BITS: 4", "'bits'?"},
        {"nsamples: 128", "did you mean 'calibration.samples'?"},
        {"seqlen: 2048", "'calibration.length'?"},
        {"dataset: wikitext2", "'calibration.text'?"},
        {"lm_head: true", "'quantize_head'?"},
        {"ignore: [lm_head]", "'rules' (rules: [{match: \"head\", skip: true}])?"},
        {"quant_type: nf4", "'format'?"},
        {"gruop: 64", "did you mean 'group'?"},
        {"utterly_unknown: 1", "see lowbit methods gptq"},
    };
    for (size_t i = 0; i < sizeof of_gptq / sizeof of_gptq[0]; i++)
        expect_error(lb_arena_printf(arena, "quantize: [{method: gptq, %s}]", of_gptq[i][0]), of_gptq[i][1]);
    /* What the method does not have is not offered. */
    expect_error("quantize: [{method: rtn, block_size: 64}]", "did you mean 'group'?");
    expect_error("quantize: [{method: nf4, desc_act: true}]", "see lowbit methods nf4");
    expect_error("quantize: [{method: qat, seqlen: 64}]", "did you mean 'length'?");
    expect_error("quantize: [{method: wanda, sparsity_ratio: 0.5}]", "did you mean 'sparsity'?");
    expect_error("quantize: [{stages: [{method: smoothquant, migration_strength: 0.5}, {method: rtn}]}]",
                 "in quantize[0].stages[0]: did you mean 'alpha'?");
    expect_error("quantize: [{method: rtn, rules: [{match: \"*.down\", group_size: 8}]}]",
                 "in quantize[0].rules[0]: did you mean 'group'?");
}

static void of_sections(void **state) {
    (void)state;
    expect_error("nsamples: 128", "did you mean 'calibration.samples'?");
    expect_error("output_dir: x", "did you mean 'results'?");
    expect_error("calibration: {text: t, nsamples: 128}", "in calibration: did you mean 'samples'?");
    expect_error("calibration: {dataset: wikitext2}", "in calibration: did you mean 'text'?");
    expect_error("calibration: {text: t, max_seq_length: 64}", "in calibration: did you mean 'length'?");
    expect_error("quantize: [{method: rtn, calibration: {num_samples: 3}}]", "did you mean 'samples'?");
    expect_error("training: {text: t, validation_file: v}", "in training: did you mean 'validation'?");
    expect_error("training: {text: t, eval_steps: 5}", "in training: did you mean 'every'?");
    expect_error("validation_dataset: v", "did you mean 'training.validation'?");
    expect_error("axes: {eval_steps: [5]}\nquantize: [{method: qat}]", "did you mean 'training.every'?");
    expect_error("eval: {text: t, seqlen: 2048}", "did you mean 'protocol' (protocol: W2-2048)?");
    expect_error("eval: {text: t, n_ctx: 512}", "did you mean 'protocol' (protocol: LCPP-512)?");
    expect_error("axes: {group_size: [8, 16]}\nquantize: [{method: rtn}]", "did you mean 'group'?");
    expect_error("axes: {nsamples: [8, 16]}\nquantize: [{method: rtn}]", "did you mean 'calibration.samples'?");
    expect_error("axes: {zero_point: [true]}\nquantize: [{method: rtn}]",
                 "did you mean 'symmetric' (zero_point: true is symmetric: false)?");
}

static void of_methods(void **state) {
    (void)state;
    static const char *const same[][2] = {
        {"GPTQ", "gptq"}, {"RTN", "rtn"}, {"SmoothQuant", "smoothquant"}, {"Low_Rank", "low_rank"}, {"NF4", "nf4"}};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        const lb_method *m = lb_method_find(same[i][0]);
        assert_non_null(m);
        assert_string_equal(m->name, same[i][1]);
    }
    assert_null(lb_method_find("gptq "));
    assert_ok(parse("model: m\nquantize: [{method: NONE}, {method: Rtn}]\n"));
    assert_null(config.entry[0].method);
    assert_string_equal(config.entry[1].method->name, "rtn");
    static const char *const wrong[][2] = {
        {"awq", "unknown method 'awq' in quantize[0]: it is not here; the nearest is 'smoothquant' (scales of inputs "
                "that the weights take up)"},
        {"AWQ", "the nearest is 'smoothquant' (scales of inputs that the weights take up)"},
        {"bnb", "did you mean 'nf4'?"},
        {"nearest", "did you mean 'rtn'?"},
        {"QuaRot", "the nearest is 'hadamard' (rotations at run time, before rounding)"},
        {"int8", "did you mean 'rtn' (bits: 8)?"},
        {"smooth_quant", "did you mean 'smoothquant'?"},
        {"auto-round", "did you mean 'autoround'?"},
        {"fp16", "did you mean 'none'?"},
        {"gtpq", "did you mean 'gptq'?"},
        {"utterly", "lowbit methods lists them, --plugin FILE brings others"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        expect_error(lb_arena_printf(arena, "quantize: [{method: %s}]", wrong[i][0]), wrong[i][1]);
}

/* Every name of ours in the tables is one, and no name of theirs is a key of ours: it would be taken. */
static bool is_key(const char *name) {
    static const lb_options *const table[] = {&lb_config_top_table, &lb_config_cell_table, &lb_config_eval_table};
    lb_axis_target t;
    for (size_t i = 0; lb_method_at(i); i++)
        if (lb_axis_find(lb_method_at(i), name, &t)) return true;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (lb_options_find(table[i], name)) return true;
    if (strncmp(name, "eval.", 5) == 0) return lb_options_find(&lb_config_eval_table, name + 5) != NULL;
    for (size_t i = 0; lb_config_sections[i]; i++)
        if (strcmp(lb_config_sections[i], name) == 0) return true;
    return strcmp(name, "match") == 0 || strcmp(name, "method") == 0 || strcmp(name, "stages") == 0;
}

static void tables_hold(void **state) {
    (void)state;
    const lb_field_name *f;
    for (size_t i = 0; (f = lb_field_keys(i)); i++) {
        if (!is_key(f->ours)) fail_msg("%s -> %s: is no key", f->theirs, f->ours);
        if (is_key(f->theirs)) fail_msg("%s: is a key of ours", f->theirs);
        for (size_t k = 0; k < i; k++)
            if (strcmp(f->theirs, lb_field_keys(k)->theirs) == 0 && strcmp(f->ours, lb_field_keys(k)->ours) == 0)
                fail_msg("%s -> %s: twice", f->theirs, f->ours);
    }
    for (size_t i = 0; (f = lb_field_methods(i)); i++) {
        if (!lb_method_find(f->ours)) fail_msg("%s -> %s: is no method", f->theirs, f->ours);
        if (lb_method_find(f->theirs)) fail_msg("%s: is a method of ours", f->theirs);
        if (lb_field_method(f->theirs) != f) fail_msg("%s: twice", f->theirs);
        assert_true(!f->other || f->note);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_entries),
        cmocka_unit_test(of_sections),
        cmocka_unit_test(of_methods),
        cmocka_unit_test(tables_hold),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
