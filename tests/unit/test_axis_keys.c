/* Any key of a config may be an axis: a list for each key of docs/config.md makes cells of its values, or is refused
 * with the reason that the key has, wherever the list stands. */
#include <string.h>

#include "support/expand_kit.h"

/* What no cell has one by one. key NULL: every key of the section. */
static const struct {
    const char *section, *key, *why;
} no_axis[] = {
    {"top level", "name", "it is the whole experiment's"},
    {"top level", "results", "it is the whole experiment's"},
    {"top level", "expected", "it is the whole experiment's"},
    {"top level", "threads", "no result depends on it"},
    {"top level", "weights", "no result depends on it"},
    {"top level", "export", "no result depends on it"},
    {"top level", "keep_layers", "no result depends on it"},
    {"top level", "keep_model", "no result depends on it"},
    {"top level", "keep_cache", "no result depends on it"},
    {"top level", "prompt", "it is the whole experiment's"},
    {"top level", "prompt_tokens", "it is the whole experiment's"},
    {"prompt", NULL, "it is the whole experiment's"},
    {"eval", NULL, "every cell has all evaluations, which are a list"},
};

static const char *reason(const char *section, const char *key) {
    for (size_t i = 0; i < sizeof no_axis / sizeof no_axis[0]; i++)
        if (strcmp(no_axis[i].section, section) == 0 && (!no_axis[i].key || strcmp(no_axis[i].key, key) == 0))
            return no_axis[i].why;
    return NULL;
}

/* Two values that the option can have, and the first of them alone. */
static const char *values_of(const lb_option *o, bool one) {
    switch (o->type) {
    case LB_OPT_INT:
        return one ? "3" : "[3, 4]";
    case LB_OPT_FLOAT:
        return one ? "0.25" : "[0.25, 0.5]";
    case LB_OPT_BOOL:
        return one ? "true" : "[true, false]";
    case LB_OPT_GROUP:
        return one ? "row" : "[row, 64]";
    case LB_OPT_FORMAT:
        return one ? "int" : "[int, nf4]";
    case LB_OPT_CHOICE:
        return one ? o->choices[0] : lb_arena_printf(arena, "[%s, %s]", o->choices[0], o->choices[1]);
    default:
        return one ? "a" : "[a, b]";
    }
}

/* "calibration: {text: t, samples: 8, KEY: VALUE}\n": what is given of the section besides, without the key. */
static void add_section(lb_str *s, const char *section, const char *const (*given)[2], const char *of, const char *key,
                        const char *value) {
    bool here = strcmp(section, of) == 0;
    lb_str_add(s, "%s: {", section);
    for (; given[0][0]; given++)
        if (!here || strcmp(given[0][0], key) != 0) lb_str_add(s, "%s: %s, ", given[0][0], given[0][1]);
    if (here) lb_str_add(s, "%s: %s", key, value);
    lb_str_add(s, "}\n");
}

/* A config that has the value of this key of a section, and nothing that the key would not matter for. axes: there. */
static const char *config_with(const char *of, const char *key, const char *value, bool axes) {
    static const char *const calibration[][2] = {{"text", "t"},    {"recipe", "random"},     {"samples", "8"},
                                                 {"length", "16"}, {"token_weight", "clip"}, {NULL, NULL}};
    static const char *const text[][2] = {{"text", "t"}, {NULL, NULL}}, *const training[][2] = {{"text", "t"},
                                                                                                {"validation", "v"},
                                                                                                {NULL, NULL}};
    bool top = strcmp(of, "top level") == 0, entry = strcmp(of, "quantize[]") == 0;
    const char *in = axes ? "axes" : of;
    lb_str s = {0};
    if (axes) lb_str_add(&s, "axes: {%s%s%s: %s}\n", top || entry ? "" : of, top || entry ? "" : ".", key, value);
    if (!top || strcmp(key, "model") != 0) lb_str_add(&s, "model: m\n");
    if (top && !axes) lb_str_add(&s, "%s: %s\n", key, value);
    add_section(&s, "calibration", calibration, in, key, value);
    add_section(&s, "training", training, in, key, value);
    add_section(&s, "eval", text, in, key, value);
    if (strcmp(of, "prompt") == 0) add_section(&s, "prompt", text, in, key, value);
    lb_str_add(&s, "quantize:\n  - {method: gptq, bits: 3");
    if (entry && !axes) lb_str_add(&s, ", %s: %s", key, value);
    lb_str_add(&s, "}\n  - {method: qat, bits: 3}\n");
    assert_ok(lb_str_check(&s));
    const char *out = lb_arena_strdup(arena, s.s);
    assert_non_null(out);
    lb_str_free(&s);
    return out;
}

static void expect_axis(const char *of, const lb_option *o, bool axes) {
    const char *why = reason(of, o->name), *list = config_with(of, o->name, values_of(o, false), axes);
    lb_status st = expand(list);
    if (why) {
        if (st != LB_E_CONFIG || !strstr(lb_error(), why) || !strstr(lb_error(), o->name))
            fail_msg("%s: %s, not %s", list, st == LB_OK ? "it sweeps" : lb_error(), why);
        return;
    }
    if (st != LB_OK) fail_msg("%s: %s", list, lb_error());
    size_t cells = sweep.n, plans = config.models * config.computes;
    assert_ok(expand(config_with(of, o->name, values_of(o, true), false)));
    if (plans == 1 && cells <= sweep.n) fail_msg("%s: %zu cells, of one value %zu", list, cells, sweep.n);
}

static void every_key(void **state) {
    (void)state;
    const lb_config_section *s;
    int keys = 0;
    for (size_t i = 0; (s = lb_config_section_at(i)); i++)
        for (size_t k = 0; s->table && k < s->table->n; k++) {
            const lb_option *o = &s->table->table[k];
            /* what calibration and cells have of the same name is one axis */
            expect_axis(s->title, o, false);
            if (strcmp(s->title, "top level") != 0 || strcmp(o->name, "model") != 0) expect_axis(s->title, o, true);
            keys++;
        }
    assert_true(keys > 35);
    for (size_t i = 0; i < sizeof no_axis / sizeof no_axis[0]; i++) { /* none of them is of a key that is gone */
        bool found = !no_axis[i].key;
        for (size_t k = 0; k < lb_config_top_table.n && !found; k++)
            found = strcmp(lb_config_top_table.table[k].name, no_axis[i].key) == 0;
        assert_true(found);
    }
}

/* What is in no table: options of an end, those of a method in an entry, and what a list stands for already. */
static void the_rest(void **state) {
    (void)state;
    static const char *const end[] = {"embedding", "head"};
    const lb_options *t = &lb_method_find("rtn")->options;
    for (size_t i = 0; i < 2 * t->n; i++) {
        const char *text = lb_arena_printf(arena, "%s: {method: rtn, %s: %s}\nquantize: [{method: rtn}]\n", end[i % 2],
                                           t->table[i / 2].name, values_of(&t->table[i / 2], false));
        assert_non_null(text);
        if (expand_rest(text) != LB_OK || sweep.n != 3) fail_msg("%s: %zu: %s", text, sweep.n, lb_error());
        text = lb_arena_printf(arena, "quantize: [{method: rtn, %s: %s}]\n", t->table[i / 2].name,
                               values_of(&t->table[i / 2], false));
        assert_non_null(text);
        if (expand_rest(text) != LB_OK || sweep.n != 3) fail_msg("%s: %zu: %s", text, sweep.n, lb_error());
    }
    static const char *const message[][2] = {
        {"quantize: [{stages: [{method: [rtn, gptq]}]}]\n", "method: must be a name, not a list: stages are entries"},
        {"rules: [{match: \"*.down\", bits: [4, 8]}]\nquantize: [{method: rtn}]\n",
         "bits: must be one value, not a list: rules are an axis as a whole, each value a list of them"},
        {"quantize: [{method: rtn, rules: [{match: \"*.down\", bits: [4, 8]}]}]\n", "rules are an axis as a whole"},
        {"eval: [{text: t, windows: [2, 3]}]\n", "windows: must be one value, not a list: every cell has all"},
    };
    for (size_t i = 0; i < sizeof message / sizeof message[0]; i++) {
        assert_status(LB_E_CONFIG, expand_rest(message[i][0]));
        assert_error_has(message[i][1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key),
        cmocka_unit_test(the_rest),
    };
    return cmocka_run_group_tests(tests, expand_setup, expand_teardown);
}
