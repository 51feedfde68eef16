/* YAML: trees with their lines, what is refused and how the message reads, changes by path, writing, damage. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "io/yaml.h"
#include "support/io_probe.h"
#include "support/support.h"

static const char config[] = "# a sweep\n"
                             "model: models/tiny.gguf\n"
                             "eval: {protocol: W2-2048, windows: 20}\n"
                             "quantize:\n"
                             "  - method: rtn\n"
                             "    bits: [2, 3, \"4\"]\n"
                             "  - method: gptq\n"
                             "    rules: &rules\n"
                             "      - {match: '*.down', bits: 4}\n"
                             "    note: |\n"
                             "      two\n"
                             "      lines\n"
                             "other:\n"
                             "  rules: *rules\n"
                             "  nothing:\n"
                             "  'quoted key': \"tab\\t\\u732b\"\n";

static lb_arena *arena;

static int set_up(void **state) {
    (void)state;
    return lb_arena_new(0, &arena) == LB_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    lb_arena_free(arena);
    return 0;
}

static lb_yaml *parse(const char *text) {
    lb_yaml *root = NULL;
    assert_ok(lb_yaml_parse(arena, "x.yaml", text, strlen(text), &root));
    return root;
}

static void test_tree(void **state) {
    (void)state;
    lb_yaml *root = parse(config);
    assert_int_equal(root->kind, LB_YAML_MAP);
    assert_int_equal(root->count, 4);
    lb_yaml *model = lb_yaml_get(root, "model"), *quantize = lb_yaml_get(root, "quantize");
    assert_string_equal(model->text, "models/tiny.gguf");
    assert_string_equal(model->file, "x.yaml");
    assert_string_equal(model->key, "model");
    assert_int_equal(model->line, 2);
    assert_int_equal(model->key_line, 2);
    assert_false(model->quoted);
    assert_int_equal(quantize->kind, LB_YAML_LIST);
    assert_int_equal(quantize->key_line, 4);
    assert_int_equal(quantize->count, 2);
    assert_null(quantize->item[0]->key);
    assert_int_equal(quantize->item[1]->line, 7);
    lb_yaml *bits = lb_yaml_get(quantize->item[0], "bits");
    assert_int_equal(bits->count, 3);
    assert_string_equal(bits->item[2]->text, "4");
    assert_true(bits->item[2]->quoted);
    assert_false(bits->item[1]->quoted);
    lb_yaml *note = lb_yaml_get(quantize->item[1], "note");
    assert_string_equal(note->text, "two\nlines\n");
    assert_true(note->quoted);
    lb_yaml *other = lb_yaml_get(root, "other");
    assert_string_equal(lb_yaml_get(other, "nothing")->text, "");
    assert_int_equal(lb_yaml_get(other, "nothing")->line, 15);
    assert_string_equal(lb_yaml_get(other, "quoted key")->text, "tab\t\xe7\x8c\xab");
    assert_null(lb_yaml_get(root, "mode"));
    assert_null(lb_yaml_get(quantize, "method"));
    assert_null(lb_yaml_get(NULL, "method"));
}

/* An alias is a copy: changing it leaves the anchor's node alone, and it has a key of its own. */
static void test_alias(void **state) {
    (void)state;
    lb_yaml *root = parse(config);
    lb_yaml *first = lb_yaml_get(lb_yaml_get(root, "quantize")->item[1], "rules");
    lb_yaml *second = lb_yaml_get(lb_yaml_get(root, "other"), "rules");
    assert_string_equal(lb_yaml_get(second->item[0], "match")->text, "*.down");
    assert_ok(lb_yaml_set(arena, root, "other.rules[0].bits", parse("8")));
    assert_string_equal(lb_yaml_get(second->item[0], "bits")->text, "8");
    assert_string_equal(lb_yaml_get(first->item[0], "bits")->text, "4");
    root = parse("a: &x 1\nb: &x 2\nc: *x\n"); /* the nearest before it counts */
    assert_string_equal(lb_yaml_get(root, "c")->text, "2");
    assert_string_equal(lb_yaml_get(root, "c")->key, "c");
}

static void refuse(const char *text, size_t len, const char *where, const char *what) {
    lb_yaml *root = NULL;
    assert_status(LB_E_CONFIG, lb_yaml_parse(arena, "x.yaml", text, len, &root));
    assert_error_has(where);
    assert_error_has(what);
    assert_null(root);
}
#define REFUSE(text, where, what) refuse(text, sizeof(text) - 1, where, what)

static void test_refusals(void **state) {
    (void)state;
    REFUSE("bits: 4\nx: 1\n\nbits: 3\n", "x.yaml:4: key 'bits' again", "line 1");
    REFUSE("a:\n  - {k: 1, j: 2, 'k': 3}\n", "x.yaml:2: key 'k' again", "line 2");
    REFUSE("a: !!int 3\n", "x.yaml:1: tag", "not supported");
    REFUSE("a: !x [3]\n", "x.yaml:1: tag !x", "not supported");
    REFUSE("!!map {a: 1}\n", "x.yaml:1: tag", "");
    REFUSE("a: 1\n---\nb: 2\n", "x.yaml:2: a second document", "");
    REFUSE("a: *nowhere\n", "x.yaml:1: alias *nowhere", "no anchor");
    REFUSE("a: &a [*a]\n", "x.yaml:1: alias *a", "no anchor");
    REFUSE("a: 1\nb: {<<: {c: 1}}\n", "x.yaml:2: merge keys (<<) are of YAML 1.1", "use include");
    REFUSE("%YAML 1.1\n---\na: 1\n", "x.yaml:1: %YAML 1.1", "YAML 1.2");
    REFUSE("a: [on, off]\n", "x.yaml:1: on", "write true");
    REFUSE("a: !!str 010\n", "x.yaml:1: tag tag:yaml.org,2002:str", "in quotes");
    REFUSE("a: &x 1_000\nb: *x\n", "x.yaml:1: 1_000", "without '_'");
    REFUSE("? [1, 2]\n: 3\n", "x.yaml:1: a key must be plain text", "");
    REFUSE("a: 1\n: 3\n", "x.yaml:2", "");
    REFUSE("a: [1, 2\nb: 3\n", "x.yaml:2: not valid YAML", "while parsing a flow sequence");
    REFUSE("a: 1\n\tb: 2\n", "x.yaml:2: not valid YAML", "");
    REFUSE("a: \"\\0\"\n", "x.yaml:1", "NUL");
    REFUSE("a: 1\nb: \x01\n", "x.yaml: byte", "control characters are not allowed");
    REFUSE("a: \xff\xfe\n", "x.yaml: byte", "UTF-8");
    /* nesting, and aliases of aliases that would grow to 9^9 values */
    char deep[200];
    memset(deep, '[', 199);
    deep[199] = 0;
    refuse(deep, 199, "x.yaml:1", "nested deeper than 64");
    lb_str laughs = {0};
    lb_str_add(&laughs, "a0: &a0 [1]\n");
    for (int i = 1; i < 10; i++) {
        lb_str_add(&laughs, "a%d: &a%d [", i, i);
        for (int j = 0; j < 9; j++) lb_str_add(&laughs, "%s*a%d", j ? ", " : "", i - 1);
        lb_str_add(&laughs, "]\n");
    }
    refuse(laughs.s, laughs.len, "x.yaml:", "more than 100000 values");
    lb_str_free(&laughs);
    lb_yaml *root = NULL;
    assert_status(LB_E_IO, lb_yaml_parse_file(arena, "no/such.yaml", &root));
    assert_error_has("no/such.yaml");
}

/* Keys, and what is quoted, are texts whatever they look like; so is a date, and what 1.1 takes for a text. */
static void test_texts_stay(void **state) {
    (void)state;
    lb_yaml *root = parse("%YAML 1.2\n---\non: \"on\"\n010: '010'\ndate: 2001-01-01\nn: |-\n  no\ne: 1e3\n");
    assert_string_equal(lb_yaml_get(root, "on")->text, "on");
    assert_string_equal(lb_yaml_get(root, "010")->text, "010");
    assert_string_equal(lb_yaml_get(root, "date")->text, "2001-01-01");
    assert_string_equal(lb_yaml_get(root, "n")->text, "no");
    assert_string_equal(lb_yaml_get(root, "e")->text, "1e3");
}

static void test_empty(void **state) {
    (void)state;
    static const char *const texts[] = {"", "\n", "# only a comment\n", "---\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        lb_yaml *root = parse(texts[i]);
        assert_int_equal(root->kind, LB_YAML_SCALAR);
        assert_string_equal(root->text, "");
        assert_false(root->quoted);
    }
    assert_int_equal(parse("{}")->kind, LB_YAML_MAP);
    assert_int_equal(parse("[]")->count, 0);
    assert_false(parse("one\n two")->quoted);  /* folded into one line */
    assert_true(parse("one\n\n two")->quoted); /* two lines, so no number */
    assert_string_equal(parse("one\n\n two")->text, "one\ntwo");
    assert_string_equal(parse("3.5")->text, "3.5"); /* as the value of -o key=3.5 */
}

/* The tree in one line: {key: value}, [item], "quoted". */
static void write_flow(const lb_yaml *n, lb_str *out) {
    bool map = n->kind == LB_YAML_MAP;
    if (n->kind == LB_YAML_SCALAR) {
        lb_str_add(out, n->quoted ? "\"%s\"" : "%s", n->text);
        return;
    }
    lb_str_add(out, map ? "{" : "[");
    for (size_t i = 0; i < n->count; i++) {
        lb_str_add(out, "%s", i ? ", " : "");
        if (map) lb_str_add(out, "%s: ", n->item[i]->key);
        write_flow(n->item[i], out);
    }
    lb_str_add(out, map ? "}" : "]");
}

static void assert_tree(const lb_yaml *root, const char *expected) {
    lb_str text = {0};
    write_flow(root, &text);
    assert_ok(lb_str_check(&text));
    assert_string_equal(text.s, expected);
    lb_str_free(&text);
}

static void test_set(void **state) {
    (void)state;
    lb_yaml *root = parse("axes:\n  bits: [2, 3]\nquantize:\n- method: rtn\n- method: gptq\nnothing:\n"), *v = NULL;
    assert_ok(lb_yaml_parse(arena, "-o", "[4, 5]", 6, &v));
    assert_ok(lb_yaml_set(arena, root, "axes.bits", v));
    assert_string_equal(lb_yaml_get(lb_yaml_get(root, "axes"), "bits")->file, "-o");
    assert_string_equal(lb_yaml_get(lb_yaml_get(root, "axes"), "bits")->key, "bits");
    assert_ok(lb_yaml_set(arena, root, "axes.bits[1]", parse("6")));
    assert_ok(lb_yaml_set(arena, root, "quantize[1].group", parse("128")));
    assert_ok(lb_yaml_set(arena, root, "quantize[0]", parse("{method: nf4}")));
    assert_ok(lb_yaml_set(arena, root, "eval.kl.tokens", parse("10")));
    assert_ok(lb_yaml_set(arena, root, "nothing.now", parse("'yes'")));
    assert_tree(root, "{axes: {bits: [4, 6]}, quantize: [{method: nf4}, {method: gptq, group: 128}], "
                      "nothing: {now: \"yes\"}, eval: {kl: {tokens: 10}}}");
    assert_int_equal(v->count, 2);
    v = parse("{x: 1}"); /* one value in two places */
    assert_ok(lb_yaml_set(arena, root, "first", v));
    assert_ok(lb_yaml_set(arena, root, "second", v));
    assert_string_equal(lb_yaml_get(root, "first")->key, "first");
}

static void refuse_path(lb_yaml *root, const char *path, const char *what) {
    lb_str before = {0};
    write_flow(root, &before);
    assert_status(LB_E_ARG, lb_yaml_set(arena, root, path, parse("1")));
    assert_error_has(path);
    assert_error_has(what);
    assert_tree(root, before.s);
    lb_str_free(&before);
}

static void test_set_refusals(void **state) {
    (void)state;
    lb_yaml *root = parse("axes:\n  bits: [2, 3]\n  seed: 1\n");
    refuse_path(root, "axes.bits[2]", "axes.bits (x.yaml:2) has 2 items");
    refuse_path(root, "axes.bits.x", "axes.bits (x.yaml:2) is not a map");
    refuse_path(root, "axes[0]", "axes (x.yaml:2) is not a list");
    refuse_path(root, "axes.seed.x.y", "axes.seed (x.yaml:3) is not a map");
    refuse_path(root, "new.list[0]", "does not exist");
    refuse_path(root, "new[0].x", "does not exist");
    refuse_path(root, "axes..bits", "a name is missing");
    refuse_path(root, ".axes", "a name is missing");
    refuse_path(root, "axes.", "a name is missing");
    refuse_path(root, "", "a name is missing");
    refuse_path(root, "[0]", "a name is missing");
    refuse_path(root, "axes.bits[x]", "must be followed by a number");
    refuse_path(root, "axes.bits[]", "must be followed by a number");
    refuse_path(root, "axes.bits[1", "must be followed by a number");
    refuse_path(root, "axes.bits[99999999999999999999]", "must be followed by a number");
    refuse_path(root, "axes.bits[0]x", "expected '.' or '['");
    refuse_path(parse("[1, 2]"), "x", "is not a map");
}

static void test_whole_tree(void **state) {
    (void)state;
    assert_tree(parse(config),
                "{model: models/tiny.gguf, eval: {protocol: W2-2048, windows: 20}, "
                "quantize: [{method: rtn, bits: [2, 3, \"4\"]}, "
                "{method: gptq, rules: [{match: \"*.down\", bits: 4}], note: \"two\nlines\n\"}], "
                "other: {rules: [{match: \"*.down\", bits: 4}], nothing: , quoted key: \"tab\t\xe7\x8c\xab\"}}");
}

static void test_damage(void **state) {
    (void)state;
    memfile m = memfile_make(config, sizeof config - 1);
    assert_ok(probe_yaml(m.path));
    assert_true(sweep_prefixes(probe_yaml, m.path, LB_E_CONFIG, LB_E_CONFIG) > 50); /* any line's end will do */
    int64_t accepted = sweep_bytes(probe_yaml, m.path, 0, sizeof config, LB_E_CONFIG, LB_E_CONFIG);
    assert_true(accepted > 100 && accepted < (int64_t)sizeof config * 6);
    assert_true(sweep_allocations(probe_yaml, m.path) > 50);
    memfile_close(&m);
}

/* Memory running out in the middle of lb_yaml_set. */
static lb_status set_probe(const char *path) {
    lb_arena *a = NULL;
    lb_yaml *root = NULL, *v = NULL;
    LB_TRY(lb_arena_new(64, &a)); /* every piece is a chunk */
    lb_status s = lb_yaml_parse(a, "x", "a: {b: [1]}", 11, &root);
    if (s == LB_OK) s = lb_yaml_parse(a, "-o", "{y: 2}", 6, &v);
    if (s == LB_OK) s = lb_yaml_set(a, root, path, v);
    lb_arena_free(a);
    return s;
}

static void test_set_without_memory(void **state) {
    (void)state;
    assert_true(sweep_allocations(set_probe, "a.c.d") > 10);
    assert_true(sweep_allocations(set_probe, "a.b[0]") > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),         cmocka_unit_test(test_alias),
        cmocka_unit_test(test_refusals),     cmocka_unit_test(test_texts_stay),
        cmocka_unit_test(test_empty),        cmocka_unit_test(test_set),
        cmocka_unit_test(test_set_refusals), cmocka_unit_test(test_whole_tree),
        cmocka_unit_test(test_damage),       cmocka_unit_test(test_set_without_memory),
    };
    return cmocka_run_group_tests_name("io/yaml", tests, set_up, tear_down);
}
