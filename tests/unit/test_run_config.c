/* Configs: every mistake is an error with file, line and the nearest known name; includes, overrides, rules. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "run/config.h"
#include "run/sweep.h"
#include "support/expected_output.h"
#include "support/support.h"

static lb_arena *arena;
static const char *dir;

static int setup(void **state) {
    (void)state;
    dir = lb_test_tmpdir();
    return lb_arena_new(0, &arena) == LB_OK ? 0 : -1;
}
static int teardown(void **state) {
    (void)state;
    lb_arena_free(arena);
    return 0;
}

static const char *file(const char *name, const char *text) {
    char *path = lb_fs_join(dir, name);
    assert_non_null(path);
    assert_ok(lb_fs_write_atomic(path, text, strlen(text)));
    const char *kept = lb_arena_strdup(arena, path);
    lb_free(path);
    return kept;
}

static lb_status read_text(const char *text, lb_config *c) {
    return lb_config_read(arena, file("c.yaml", text), NULL, 0, c);
}

/* The message without the folder in front. */
static void expect_error(const char *text, const char *message) {
    lb_config c;
    assert_status(LB_E_CONFIG, read_text(text, &c));
    const char *got = lb_error();
    assert_memory_equal(got, dir, strlen(dir));
    assert_string_equal(got + strlen(dir) + 1, message);
}

/* What is nearly a key is told from one that nothing is like, wherever it stands. */
static void near_names(void **state) {
    (void)state;
    static const char *const axis[][2] = {
        {"rule: [[{match: a, bits: 3}], []]",
         "'rule': no method of this config has that option: did you mean 'rules'?"},
        {"samples: [[3]]", "'samples': no method of this config has that option: did you mean 'calibration.samples'?"},
        {"hed.bits: [2, 3]", "'hed.bits': no method of this config has that option: did you mean 'head.bits'?"},
        {"prompts: [a, b]", "'prompts': no method of this config has that option, and if 'prompt' is meant: it is the "
                            "whole experiment's"},
        {"quantise: [{method: rtn}]", "'quantise': no method of this config has that option, and if 'quantize' is "
                                      "meant: entries are a list already: what is under axes reaches all that have "
                                      "the option"},
    };
    static const char *const entry[][3] = {
        {"metod: rtn", "metod' in quantize[0]", "method"},
        {"stage: [{method: rtn}]", "stage' in quantize[0]", "stages"},
        {"stages: [{metod: rtn}]", "metod' in quantize[0].stages[0]", "method"},
        {"method: rtn, head: {metod: rtn}", "metod' in head", "method"},
        {"stages: [{method: rtn}, {method: low_rank}], rtn.bit: 3", "rtn.bit' in quantize[0]", "bits"},
    };
    for (size_t i = 0; i < sizeof axis / sizeof axis[0]; i++)
        expect_error(lb_arena_printf(arena, "model: m\nquantize: [{method: rtn}]\nhead: {method: rtn}\naxes: {%s}\n",
                                     axis[i][0]),
                     lb_arena_printf(arena, "c.yaml:4: axis %s", axis[i][1]));
    for (size_t i = 0; i < sizeof entry / sizeof entry[0]; i++)
        expect_error(lb_arena_printf(arena, "model: m\nquantize: [{%s}]\n", entry[i][0]),
                     lb_arena_printf(arena, "c.yaml:2: unknown key '%s: did you mean '%s'?", entry[i][1], entry[i][2]));
    expect_error("model: m\nquantize: [{method: rtn}]\naxes: {bits: [[3, 4]]}\n",
                 "c.yaml:3: bits: must be a list of plain values (axes)");
}

static void messages(void **state) {
    (void)state;
    expect_error("model: m.gguf\nquantize:\n  - method: rtn\n    bits: 9\n",
                 "c.yaml:4: bits = 9: must be in [1, 8] (method rtn)");
    expect_error("model: m.gguf\nquantize:\n  - {method: rtn}\n  - method: gptq\n    gruop: 64\n",
                 "c.yaml:5: unknown key 'gruop' in quantize[1]: did you mean 'group'?");
    expect_error("modle: m.gguf\n", "c.yaml:1: unknown key 'modle': did you mean 'model'?");
    expect_error("name: x\n", "c.yaml:1: config: 'model' is missing (a GGUF file, a Hugging Face folder, or a name in "
                              "configs/sources.yaml; or a list of them: an axis, one model after another)");
    expect_error("model: m\nquantize:\n  - method: gpqt\n",
                 "c.yaml:3: unknown method 'gpqt' in quantize[0]: did you mean 'gptq'?");
    expect_error("model: m\nquantize:\n  - bits: 4\n",
                 "c.yaml:3: quantize[0]: 'method' is missing (lowbit methods lists them)");
    expect_error("model: m\nquantize:\n  - {method: rtn, bits: [2, 3, 11]}\n",
                 "c.yaml:3: bits = 11: must be in [1, 8] (method rtn)");
    expect_error("model: m\nquantize:\n  - {method: rtn, bits: []}\n",
                 "c.yaml:3: bits: the list is empty (quantize[0])");
    expect_error("model: m\nquantize:\n  - {method: rtn, bits: \"4\"}\n",
                 "c.yaml:3: bits = \"4\": a text in quotes, must be integer in [1, 8], default 4 (method rtn)");
    expect_error("model: m\nquantize:\n  - {method: rtn, bits: }\n", "c.yaml:3: bits has no value (method rtn)");
    expect_error("model: m\nquantize:\n  - {method: rtn, bits: {a: 4}}\n",
                 "c.yaml:3: bits: must be a value or a list of values (quantize[0])");
    expect_error("model: m\nquantize: rtn\n", "c.yaml:2: quantize: must be a list of maps, each with a method");
    expect_error("model: m\nthreads: many\n", "c.yaml:2: threads = many: must be an integer in [0, 1024] (config)");
    expect_error("model: m\nseed: [0, 1]\n", "c.yaml:2: axis 'seed': quantize has no method that it could reach");
    expect_error("model: m\ncalibration:\n  text: t\n  sampels: 4\n",
                 "c.yaml:4: unknown key 'sampels' in calibration: did you mean 'samples'?");
    expect_error("model: m\ncalibration: {samples: 4}\n",
                 "c.yaml:2: calibration: 'text' is missing (a UTF-8 text file, "
                 "or a name in configs/sources.yaml; or several mixed, \"a + b\", which give sequences in turn)");
    expect_error("model: m\ncalibration: {text: t, samples: 0}\n",
                 "c.yaml:2: samples = 0: must be at least 1 (calibration)");
    expect_error("model: m\ncalibration: t\n", "c.yaml:2: calibration: must be a map of keys, not one value");
    expect_error("model: m\naxes: {bitz: [2]}\nquantize: [{method: rtn}]\n",
                 "c.yaml:2: axis 'bitz': no method of this config has that option: did you mean 'bits'?");
    expect_error("model: m\naxes: {bits: [2, 9]}\nquantize: [{method: rtn}]\n",
                 "c.yaml:2: bits = 9: must be in [1, 8] (method rtn)");
    expect_error("model: m\nname: a/b\n",
                 "c.yaml:2: name = a/b: must be a plain folder name, without '/' and not starting with '.' or '-'");
    expect_error("- a\n- b\n", "c.yaml: must be a map of keys: see lowbit help config");
    expect_error("model: m\nquantize:\n  - {method: rtn, propagate: original}\n",
                 "c.yaml:3: propagate in quantize[0]: method rtn needs no statistics, so it does not apply");
    expect_error("model: m\ncalibration: {text: t}\nquantize:\n"
                 "  - {stages: [{method: smoothquant}, {method: rtn}], true_sequential: true}\n",
                 "c.yaml:4: true_sequential in quantize[0]: method smoothquant+rtn needs no statistics, so it does not "
                 "apply");
    expect_error("model: m\nquantize:\n  - {method: none, bits: 4}\n",
                 "c.yaml:3: unknown key 'bits' in quantize[0]: see lowbit help config");
}

static void stages(void **state) {
    (void)state;
#define STAGES "model: m\ncalibration: {text: t}\nquantize:\n  - stages:\n      - {method: wanda}\n      - "
    lb_config c;
    assert_ok(read_text(STAGES "{method: rtn, bits: [2, 3]}\n    seed: 3\n    symmetric: true\n", &c));
    assert_string_equal(c.entry[0].method->name, "wanda+rtn");
    assert_int_equal(c.entry[0].n_options, 3);
    assert_ok(read_text("model: m\nquantize: [{stages: [{method: rtn}]}]\n", &c));
    assert_true(c.entry[0].method == lb_method_find("rtn"));
    expect_error(STAGES "{method: rtn, bits: 9}\n", "c.yaml:6: bits = 9: must be in [1, 8] (method wanda+rtn)");
    expect_error(STAGES "{method: rtn, bist: 4}\n",
                 "c.yaml:6: unknown key 'bist' in quantize[0].stages[1]: did you mean 'bits'?");
    expect_error(STAGES "{method: rtn, zzz: 4}\n",
                 "c.yaml:6: unknown key 'zzz' in quantize[0].stages[1]: see lowbit methods rtn");
    expect_error(STAGES "{method: rtn, seed: 4}\n",
                 "c.yaml:6: seed in quantize[0].stages[1]: is of all stages together: it belongs beside them");
    expect_error(
        STAGES "{method: low_rank, bits: 4}\n",
        "c.yaml:6: bits in quantize[0].stages[1]: does not apply where low_rank goes on from the stage before");
    expect_error(STAGES "{method: rtn, bits: 4}\n    bits: 4\n",
                 "c.yaml:7: bits in quantize[0]: a stage sets it already");
    expect_error(STAGES "{method: rtn}\n    zzz: 4\n", "c.yaml:7: unknown key 'zzz' in quantize[0]: see lowbit help "
                                                       "config");
    expect_error(STAGES "{method: rtn}\n    method: rtn\n",
                 "c.yaml:4: quantize[0] has a method and stages: give one of them");
    expect_error(STAGES "{method: wanda}\n",
                 "c.yaml:4: quantize[0].stages: method wanda twice: a stage can only add what is not there");
    expect_error(STAGES "{method: none}\n", "c.yaml:6: quantize[0].stages[1]: none is no stage: it quantizes nothing");
    expect_error(STAGES "{bits: 4}\n",
                 "c.yaml:6: quantize[0].stages[1]: 'method' is missing (lowbit methods lists them)");
    expect_error(STAGES "rtn\n",
                 "c.yaml:6: quantize[0].stages[1]: must be a map with method and its options, not one value");
    expect_error("model: m\nquantize: [{stages: []}]\n",
                 "c.yaml:2: quantize[0].stages: must be a list of maps, each with method and its options");
    expect_error(STAGES "{method: rtn}\n    rules: [{match: x, rank: 4}]\n",
                 "c.yaml:7: unknown key 'rank' in quantize[0].rules[0]: see lowbit methods NAME of each stage");
#undef STAGES
}

/* By YAML 1.2's core schema, in a file and with -o; tests/unit/test_base_scalar.c has the whole table. */
static void scalars(void **state) {
    (void)state;
    lb_config c;
    static const char *const word[] = {"true", "True", "TRUE", "false", "False", "FALSE"};
    for (size_t i = 0; i < sizeof word / sizeof word[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "model: m\nkeep_cache: %s\nthreads: 0x%zu\nseed: 0o1%zu\n", word[i], i, i);
        assert_ok(read_text(text, &c));
        assert_int_equal(c.keep_cache, i < 3);
        assert_int_equal(c.threads, i);
        assert_int_equal(c.cell.seed, 8 + i);
    }
    expect_error("model: m\nkeep_cache: yes\n", "c.yaml:2: yes: a boolean in YAML 1.1, a text in 1.2: write true, or "
                                                "\"yes\" for the text");
    expect_error("model: m\nkeep_cache: tRUE\n", "c.yaml:2: keep_cache = tRUE: must be true or false (config)");
    expect_error("model: m\nname: on\n", "c.yaml:2: on: a boolean in YAML 1.1, a text in 1.2: write true, or \"on\" "
                                         "for the text");
    expect_error("model: m\nthreads: 010\n",
                 "c.yaml:2: 010: a leading zero makes an octal number in YAML 1.1, a decimal one in 1.2: write 10 or "
                 "0o10");
    expect_error("model: m\nthreads: 4.0\n", "c.yaml:2: threads = 4.0: must be an integer in [0, 1024] (config)");
    expect_error("model: m\nthreads: 1e1\n", "c.yaml:2: threads = 1e1: must be an integer in [0, 1024] (config)");
    expect_error("model: NULL\n", "c.yaml:1: model has no value (config)");
    expect_error("model: m\nquantize: [{method: gptq, percdamp: .nan}]\n",
                 "c.yaml:2: percdamp = .nan: must be a number in [0, 1] (method gptq)");
    expect_error("model: m\nquantize: [{method: rtn, group: 064}]\n",
                 "c.yaml:2: 064: a leading zero makes an octal number in YAML 1.1, a decimal one in 1.2: write 64 or "
                 "0o64");
    assert_ok(read_text("model: \"on\"\nname: 010\n", &c)); /* both read a number, whose text it is */
    assert_int_equal(c.models, 1);
    assert_string_equal(c.model[0], "on");
    assert_string_equal(c.name, "010");
    const char *path = file("plain.yaml", "model: m\n"), *over[] = {"threads=1_0"};
    assert_status(LB_E_CONFIG, lb_config_read(arena, path, over, 1, &c));
    assert_error_has("-o threads=1_0:1: 1_0: a number in YAML 1.1");
    over[0] = "keep_cache=False";
    assert_ok(lb_config_read(arena, path, over, 1, &c));
    assert_false(c.keep_cache);
}

/* One model or a list of them; equal ones count once, as on any axis. */
static void models(void **state) {
    (void)state;
    lb_config c;
    assert_ok(read_text("model: m\n", &c));
    assert_int_equal(c.models, 1);
    assert_string_equal(c.model[0], "m");
    assert_ok(read_text("name: x\nmodel: [b, a/c.gguf, b]\n", &c));
    assert_int_equal(c.models, 2);
    assert_string_equal(c.model[0], "b");
    assert_string_equal(c.model[1], "a/c.gguf");
    assert_string_equal(c.name, "x");
    const char *path = file("one.yaml", "model: m\n"), *over[] = {"model=[x, z]"};
    assert_ok(lb_config_read(arena, path, over, 1, &c));
    assert_int_equal(c.models, 2);
    assert_string_equal(c.model[1], "z");
    expect_error("model: []\n", "c.yaml:1: model: the list is empty (config)");
    expect_error("name: x\nmodel:\n  - m\n  - [k]\n", "c.yaml:4: model: must be a list of plain values (config)");
    expect_error("model: {m: k}\n", "c.yaml:1: model: must be one value, not a map (config)");
    expect_error("model:\n  - m\n  - ~\n", "c.yaml:3: model has no value (config)");
    expect_error("model:\n  - ~\n  - m\n", "c.yaml:2: model has no value (config)");
    /* Every model has every cell: the most that a sweep may have is counted over all of them. */
    lb_str s = {0};
    lb_str_add(&s, "model: [a, b]\nquantize:\n  - method: finetune\n    seed: [0");
    for (int i = 1; i < 50001; i++) lb_str_add(&s, ", %d", i);
    lb_str_add(&s, "]\ntraining: {text: t}\n");
    lb_sweep sweep;
    assert_ok(lb_str_check(&s));
    assert_ok(read_text(s.s, &c));
    assert_status(LB_E_CONFIG, lb_sweep_expand(arena, &c, &sweep));
    assert_error_has("quantize[0]: model (2 values) x seed (50001 values) = 100002 combinations: a sweep has at most "
                     "100000");
    lb_str_free(&s);
}

static void eval_messages(void **state) {
    (void)state;
    expect_error("model: m\neval:\n  - {text: a}\n  - {text: a}\n",
                 "c.yaml:4: eval[1]: 'a' with W2-2048 is there already: give one of them a name");
    lb_config c;
    assert_status(LB_E_CONFIG, read_text("model: m\neval:\n  text: a\n  protocol: W3-7\n", &c));
    assert_error_has("c.yaml:4: ");
    assert_ok(read_text("model: m\neval:\n  - {text: a}\n  - {text: a, protocol: LCPP-256, windows: 7}\n", &c));
    assert_int_equal(c.evals, 2);
    assert_string_equal(c.eval[1].name, "a");
    assert_int_equal(c.eval[1].windows, 7);
    assert_true(c.eval[1].kl);
}

static void rules(void **state) {
    (void)state;
    const char *head = "model: m\nquantize: [{method: rtn}, {method: nf4}]\n";
    char text[512];
    snprintf(text, sizeof text, "%srules: [{match: \"*.down\", bits: 8}, {match: \"0.*\", skip: true}]\n", head);
    lb_config c;
    assert_ok(read_text(text, &c));
    assert_int_equal(c.rules, 2);
    assert_string_equal(c.rule[0].match, "*.down");
    assert_true(c.rule[1].skip);
    snprintf(text, sizeof text, "%srules:\n  - {match: \"*.down\", bitz: 8}\n", head);
    expect_error(text, "c.yaml:4: unknown key 'bitz' in rules[0]: did you mean 'bits'?");
    snprintf(text, sizeof text, "%srules:\n  - {bits: 8}\n", head);
    expect_error(text, "c.yaml:4: rules[0]: 'match' is missing");
    snprintf(text, sizeof text, "%srules:\n  - {match: \"*\"}\n", head);
    expect_error(text, "c.yaml:4: rules[0]: sets nothing: give an option or skip: true");
    snprintf(text, sizeof text, "%srules:\n  - {match: \"*\", skip: 1}\n", head);
    expect_error(text, "c.yaml:4: skip: must be true or false");
    snprintf(text, sizeof text, "%srules: [{match: \"*.down\", same_as: \"0.down\"}]\n", head);
    assert_ok(read_text(text, &c));
    assert_string_equal(c.rule[0].same_as, "0.down");
    snprintf(text, sizeof text, "%srules:\n  - {match: \"1.q\", same_as: [\"0.q\"]}\n", head);
    expect_error(text, "c.yaml:4: same_as: must be the name of a layer, such as \"0.down\"");
    snprintf(text, sizeof text, "%srules:\n  - {match: \"1.q\", same_as: \"0.q\", bits: 3}\n", head);
    expect_error(text, "c.yaml:4: rules[0]: same_as: the layer is what 0.q is: neither options nor skip beside it");
    expect_error("model: m\nquantize:\n  - {method: rtn, rules: [{match: \"*\", double_quant: true}]}\n",
                 "c.yaml:3: unknown key 'double_quant' in quantize[0].rules[0]: see lowbit methods rtn");
}

static void includes_and_overrides(void **state) {
    (void)state;
    file("base.yaml", "model: m\nseed: 3\ncalibration: {text: t, samples: 4, length: 16}\n"
                      "eval: {text: e, windows: 5}\n");
    const char *top = file("top.yaml", "include: base.yaml\ncalibration: {samples: 8}\nquantize: [{method: gptq}]\n");
    lb_config c;
    const char *over[] = {"eval.windows=20", "axes.bits=[2, 3]", "quantize[0].group=64"};
    assert_ok(lb_config_read(arena, top, over, 3, &c));
    assert_string_equal(c.name, "top");
    assert_int_equal(c.cell.seed, 3);
    assert_int_equal(c.calibration.samples, 8);
    assert_int_equal(c.calibration.length, 16);
    assert_string_equal(c.calibration.text, "t");
    assert_int_equal(c.eval[0].windows, 20);
    assert_int_equal(c.axes, 1);
    assert_int_equal(c.axis[0].n, 2);
    assert_string_equal(c.entry[0].option[0].value[0]->text, "64");

    const char *typo[] = {"evall.windows=3"};
    assert_status(LB_E_CONFIG, lb_config_read(arena, top, typo, 1, &c));
    assert_string_equal(lb_error(), "-o evall.windows=3: unknown key 'evall': did you mean 'eval'?");
    const char *bad[] = {"axes.bits=[2, 9]"};
    assert_status(LB_E_CONFIG, lb_config_read(arena, top, bad, 1, &c));
    assert_string_equal(lb_error(), "-o axes.bits=[2, 9]: bits = 9: must be in [1, 8] (method gptq)");
    const char *none[] = {"seed="};
    assert_status(LB_E_CONFIG, lb_config_read(arena, top, none, 1, &c));
    assert_string_equal(lb_error(), "-o seed=: no value after '='");
    const char *inc[] = {"include=base.yaml"};
    assert_status(LB_E_CONFIG, lb_config_read(arena, top, inc, 1, &c));
    /* An error in an included file names that file. */
    file("base.yaml", "model: m\nseed: x\n");
    assert_status(LB_E_CONFIG, lb_config_read(arena, top, NULL, 0, &c));
    assert_error_has("base.yaml:2: seed = x: must be an integer");
    const char *loop = file("loop.yaml", "include: loop.yaml\n");
    assert_status(LB_E_CONFIG, lb_config_read(arena, loop, NULL, 0, &c));
    assert_error_has("loop.yaml:1: include: 'loop.yaml' includes itself");
    const char *gone = file("gone.yaml", "model: m\ninclude: [nowhere.yaml]\n");
    assert_status(LB_E_CONFIG, lb_config_read(arena, gone, NULL, 0, &c));
    assert_error_has("gone.yaml:2: include");
    assert_error_has("nowhere.yaml");
    /* Each reads the next one twice: 65,536 files in the end. */
    char name[32], text[64];
    file("doubles-16.yaml", "seed: 1\n");
    for (int i = 15; i >= 0; i--) {
        snprintf(name, sizeof name, "doubles-%d.yaml", i);
        snprintf(text, sizeof text, "include: [doubles-%d.yaml, doubles-%d.yaml]\n", i + 1, i + 1);
        top = file(name, text);
    }
    assert_status(LB_E_CONFIG, lb_config_read(arena, top, NULL, 0, &c));
    assert_error_has("includes read more than 100 files");
}

static void help_names_every_key(void **state) {
    (void)state;
    lb_str help = {0}, page = {0};
    lb_config_help(&help);
    lb_config_markdown(&page);
    assert_ok(lb_str_check(&help));
    assert_ok(lb_str_check(&page));
    const lb_options *tables[] = {&lb_config_top_table, &lb_config_calibration_table, &lb_config_eval_table,
                                  &lb_config_training_table, &lb_config_cell_table};
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        for (size_t i = 0; i < tables[t]->n; i++) {
            char key[64];
            snprintf(key, sizeof key, "\n  %s ", tables[t]->table[i].name);
            assert_non_null(strstr(help.s, key));
            snprintf(key, sizeof key, "\n| `%s` |", tables[t]->table[i].name);
            assert_non_null(strstr(page.s, key));
        }
    }
    for (const char *p = help.s, *end; *p; p = end + 1) {
        end = strchr(p, '\n');
        assert_true(end - p <= 130);
    }
    lb_str_free(&help);
    lb_str_free(&page);
}

/* docs/config.md ends with the tables. LOWBIT_UPDATE=1 writes them instead of comparing. */
static void page_is_current(void **state) {
    (void)state;
    lb_str tables = {0};
    lb_config_markdown(&tables);
    assert_ok(lb_str_check(&tables));
    expect_part("docs/config.md", "<!-- From here on", NULL, tables.s);
    lb_str_free(&tables);
}

static const char *every_part = "name: a\nmodel: m\ninclude: part.yaml\ncalibration: {text: t}\ntraining: {text: t}\n"
                                "eval: [{text: a}]\naxes: {bits: [2, 3]}\nquantize:\n"
                                "  - {method: rtn, group: [row, 64], rules: [{match: \"*\", bits: 8}]}\n"
                                "rules: [{match: \"0.*\", skip: true}]\n";

static void memory_runs_out(void **state) {
    (void)state;
    file("part.yaml", "seed: 1\neval: {text: b}\n");
    const char *path = file("all.yaml", every_part);
    const char *over[] = {"seed=2"};
    int64_t failed = 0;
    for (int64_t n = 1; n < 10000; n++) {
        lb_arena *a = NULL;
        assert_ok(lb_arena_new(256, &a));
        lb_config c;
        lb_alloc_fail_at(n);
        lb_status st = lb_config_read(a, path, over, 1, &c);
        lb_alloc_fail_at(0);
        lb_arena_free(a);
        if (st == LB_OK) break;
        assert_int_equal(st, LB_E_NOMEM);
        failed++;
    }
    assert_true(failed > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(near_names),
        cmocka_unit_test(messages),
        cmocka_unit_test(stages),
        cmocka_unit_test(scalars),
        cmocka_unit_test(models),
        cmocka_unit_test(eval_messages),
        cmocka_unit_test(rules),
        cmocka_unit_test(includes_and_overrides),
        cmocka_unit_test(help_names_every_key),
        cmocka_unit_test(page_is_current),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
