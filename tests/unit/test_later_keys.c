/* A key of a config that came later does not change what a config without it is known by: its cells are found again in
 * the results that were there before. */
#include <string.h>

#include "support/small_model.h"

/* What stands in a cell's resolved config whatever is left out, with 64 zeros for every hash: keys that were there when
 * the first results were stored. A new key does not belong here, but into `later` of run/plan_keys.c. */
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
static const char of_gptq[] = "name: keys\n"
                              "model: tied # sha256 " ZEROS "\n"
                              "seed: 5\n"
                              "calibration:\n"
                              "  text: text.txt # sha256 " ZEROS "\n"
                              "  recipe: random\n"
                              "  samples: 4\n"
                              "  length: 16\n"
                              "  bos: auto\n"
                              "  original_errors: true\n"
                              "  starved_experts: error\n"
                              "  expert_tokens: 1\n"
                              "  seed: 5\n"
                              "eval:\n"
                              "  - text: text.txt # sha256 " ZEROS "\n"
                              "    name: text.txt\n"
                              "    protocol: W2-32\n"
                              "    windows: 3\n"
                              "    bos: auto\n"
                              "    kl: true\n"
                              "quantize:\n"
                              "  - method: gptq\n"
                              "    bits: 3\n"
                              "    group: row\n"
                              "    symmetric: false\n"
                              "    mse: false\n"
                              "    percdamp: 0.01\n"
                              "    block: 128\n"
                              "    act_order: false\n"
                              "    static_groups: false\n"
                              "    group_refit: block\n"
                              "    scale_type: f32\n"
                              "    on_failure: error\n"
                              "    propagate: quantized\n"
                              "    true_sequential: false\n"
                              "    quantize_embedding: false\n"
                              "    quantize_head: false\n"
                              "    quantize_router: false\n";
static const char of_training[] = "training:\n"
                                  "  text: text.txt # sha256 " ZEROS "\n"
                                  "  bos: auto\n"
                                  "  validation: text.txt # sha256 " ZEROS "\n"
                                  "  every: 50\n"
                                  "  validation_windows: 32\n"
                                  "eval:\n";

/* `more`: of the section that it is put into. */
static const char *config_with(lb_arena *a, const char *section, const char *more) {
    const char *in[4] = {"calibration", "eval", "training", "quantize[]"}, *put[4];
    for (int i = 0; i < 4; i++) put[i] = strcmp(section, in[i]) == 0 ? more : "";
    const char *text = lb_arena_printf(a,
                                       "seed: 5\n"
                                       "calibration: {text: text.txt, recipe: random, samples: 4, length: 16%s}\n"
                                       "eval: {text: text.txt, protocol: W2-32, windows: 3%s}\n"
                                       "training: {text: text.txt, validation: text.txt%s}\nquantize:\n"
                                       "  - {method: gptq, bits: 3%s}\n"
                                       "  - {method: qat, bits: 3, length: 16, steps: 2, warmup: 1, batch: 1%s}\n",
                                       put[0], put[1], put[2], put[3], put[3]);
    assert_non_null(text);
    return text;
}

static const lb_cell *cell_of(const small_plan *s, const char *method) {
    for (size_t i = 0; i < s->plan.sweep.n; i++) {
        const lb_cell *c = &s->plan.sweep.cell[i];
        if (c->method && strcmp(c->method->name, method) == 0) return c;
    }
    fail_msg("no cell of %s", method);
    return NULL;
}

static const char *without_hashes(lb_arena *a, const char *config) {
    static const char mark[] = " # sha256 ";
    char *text = lb_arena_strdup(a, config);
    assert_non_null(text);
    for (char *at = strstr(text, mark); at; at = strstr(at + 1, mark)) memset(at + sizeof mark - 1, '0', 64);
    return text;
}

static void what_was_there(void **state) {
    (void)state;
    lb_arena *a;
    small_plan s;
    assert_ok(lb_arena_new(0, &a));
    small_plan_open(&s, "tied", "keys", config_with(a, "", ""));
    assert_string_equal(without_hashes(a, cell_of(&s, "gptq")->config), of_gptq);
    const char *trained = without_hashes(a, cell_of(&s, "qat")->config);
    if (!strstr(trained, of_training)) fail_msg("%s\nhas not\n%s", trained, of_training);
    small_plan_close(&s);
    lb_arena_free(a);
}

/* Every key of a section but text, written out as its default is. */
static const char *all_defaults(lb_arena *a, const lb_options *t, const char *const *given) {
    lb_str s = {0};
    for (size_t i = 0; i < t->n; i++) {
        bool skip = !t->table[i].def;
        for (size_t k = 0; given[k]; k++) skip = skip || strcmp(given[k], t->table[i].name) == 0;
        const char *quote = t->table[i].type == LB_OPT_STR ? "\"" : "";
        if (!skip) lb_str_add(&s, ", %s: %s%s%s", t->table[i].name, quote, t->table[i].def, quote);
    }
    assert_ok(lb_str_check(&s));
    const char *out = lb_arena_strdup(a, s.s);
    assert_non_null(out);
    lb_str_free(&s);
    return out;
}

/* Of the calibration: an entry that says it must be one that reads H. */
static void tokens_as_they_are(void **state) {
    (void)state;
    static const char *const more[] = {", token_weight: none, token_clip: 3", ", token_clip: 7",
                                       ", token_weight: norm, token_clip: 7"};
    lb_arena *a;
    small_plan plain, s;
    assert_ok(lb_arena_new(0, &a));
    small_plan_open(&plain, "tied", "keys", config_with(a, "", ""));
    for (int i = 0; i < 3; i++) {
        small_plan_open(&s, "tied", "keys", config_with(a, "calibration", more[i]));
        const char *was = cell_of(&plain, "gptq")->config, *now = cell_of(&s, "gptq")->config;
        assert_int_equal(strcmp(was, now) == 0, i < 2);
        assert_int_equal(strstr(now, "    token_weight: norm\n") != NULL, i == 2);
        assert_null(strstr(now, "token_clip"));
        assert_string_equal(cell_of(&plain, "qat")->config, cell_of(&s, "qat")->config);
        small_plan_close(&s);
    }
    small_plan_close(&plain);
    lb_arena_free(a);
}

static void defaults_written_out(void **state) {
    (void)state;
    static const char *const given[] = {"recipe",     "samples",      "length",          "protocol",
                                        "windows",    "seed",         "true_sequential", "propagate",
                                        "validation", "token_weight", "token_clip",      NULL};
    static const struct {
        const char *section;
        const lb_options *table;
    } part[] = {{"calibration", &lb_config_calibration_table},
                {"eval", &lb_config_eval_table},
                {"training", &lb_config_training_table},
                {"quantize[]", &lb_config_cell_table}};
    lb_arena *a;
    small_plan plain, s;
    assert_ok(lb_arena_new(0, &a));
    small_plan_open(&plain, "tied", "keys", config_with(a, "", ""));
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) {
        small_plan_open(&s, "tied", "keys", config_with(a, part[i].section, all_defaults(a, part[i].table, given)));
        assert_int_equal(s.plan.sweep.n, plain.plan.sweep.n);
        for (size_t k = 0; k < plain.plan.sweep.n; k++) {
            const lb_cell *x = &plain.plan.sweep.cell[k], *y = &s.plan.sweep.cell[k];
            assert_string_equal(x->config, y->config);
            assert_string_equal(x->key, y->key);
            /* an entry's cells are called by what it sets */
            if (part[i].table != &lb_config_cell_table) assert_string_equal(x->stem, y->stem);
        }
        small_plan_close(&s);
    }
    small_plan_close(&plain);
    lb_arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_there), cmocka_unit_test(tokens_as_they_are),
                                       cmocka_unit_test(defaults_written_out)};
    return cmocka_run_group_tests(tests, small_model_setup, NULL);
}
