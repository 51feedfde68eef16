/* Scalars by YAML 1.2's core schema, each beside what YAML 1.1 reads (fixtures/yaml_scalars.h). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/scalar.h"
#include "io/yaml.h"
#include "oracle/fixtures/yaml_scalars.h"
#include "support/support.h"

enum { SCALARS = sizeof yaml_scalar / sizeof yaml_scalar[0] };

static bool is(const char *kind, const char *name) { return strcmp(kind, name) == 0; }

/* In a list of a file: refused with the file, the line and how to write it, or its characters. */
static void by_the_table(void **state) {
    (void)state;
    int64_t refused = 0, read = 0;
    for (size_t i = 0; i < SCALARS; i++) {
        const char *s = yaml_scalar[i].text;
        bool everywhere = is(yaml_scalar[i].refused, "everywhere");
        lb_arena *a = NULL;
        lb_yaml *root = NULL;
        char text[128];
        assert_ok(lb_arena_new(0, &a));
        snprintf(text, sizeof text, "a: 1\nkey: [1, %s]\n", s);
        lb_status st = lb_yaml_parse(a, "x.yaml", text, strlen(text), &root);
        if (everywhere != (st == LB_E_CONFIG)) fail_msg("%s: %s", s, st == LB_OK ? "read" : lb_error());
        if (st == LB_OK) {
            assert_string_equal(lb_yaml_get(root, "key")->item[1]->text, s);
            read++;
        } else {
            char quoted[96];
            snprintf(quoted, sizeof quoted, "\"%s\"", s);
            assert_error_has("x.yaml:2: ");
            assert_error_has("YAML 1.1");
            assert_error_has(quoted);
            snprintf(text, sizeof text, "key: %s\n", quoted); /* what the message says to write */
            assert_ok(lb_yaml_parse(a, "x.yaml", text, strlen(text), &root));
            assert_string_equal(lb_yaml_get(root, "key")->text, s);
            refused++;
        }
        if ((lb_scalar_check(s, true) == LB_OK) != is(yaml_scalar[i].refused, "nowhere")) fail_msg("%s as a number", s);
        lb_arena_free(a);
    }
    assert_true(refused > 100 && read > 100);
}

/* What is read is the value of 1.2, and where 1.1 reads a number or a boolean too, the same one. */
static void values(void **state) {
    (void)state;
    for (size_t i = 0; i < SCALARS; i++) {
        const char *s = yaml_scalar[i].text, *kind = yaml_scalar[i].core;
        bool b = false, whole = is(kind, "int"), number = whole || is(kind, "float");
        int64_t n = 0;
        double v = 0, want = yaml_scalar[i].value;
        assert_int_equal(lb_scalar_null(s), is(kind, "null"));
        assert_int_equal(lb_scalar_bool(s, &b) == LB_OK, is(kind, "bool"));
        if (is(kind, "bool")) assert_int_equal(b, want == 1);
        if ((lb_scalar_i64(s, &n) == LB_OK) != whole) fail_msg("%s as a whole number", s);
        if (whole) assert_true((double)n == want);
        if ((lb_scalar_f64(s, &v) == LB_OK) != number) fail_msg("%s as a number", s);
        if (number && !(v == want || (isnan(v) && isnan(want)))) fail_msg("%s: %g, not %g", s, v, want);
    }
}

static void limits(void **state) {
    (void)state;
    int64_t v = 7;
    assert_ok(lb_scalar_i64("0x7fffffffffffffff", &v));
    assert_true(v == INT64_MAX);
    v = 7;
    assert_status(LB_E_ARG, lb_scalar_i64("0x8000000000000000", &v));
    assert_status(LB_E_ARG, lb_scalar_i64("0o1000000000000000000000", &v));
    assert_status(LB_E_ARG, lb_scalar_i64("9223372036854775808", &v));
    assert_int_equal(v, 7);
}

/* What a message says to write is what 1.2 reads. */
static void hints(void **state) {
    (void)state;
    static const char *const hint[][2] = {
        {"on", "write true, or \"on\""}, {"NO", "write false, or \"NO\""},
        {"y", "write true, or \"y\""},   {"off", "write false,"},
        {"On", "write true,"},           {"010", "write 10 or 0o10"},
        {"089", "in 1.2: write 89"},     {"-007", "write -7"},
        {"00", "write 0 or 0o0"},        {"1_000", "write it without '_', or"},
        {"1:30", "base of 60"},          {"0b101", "a binary number"},
        {"=", "write \"=\" for a text"},
    };
    for (size_t i = 0; i < sizeof hint / sizeof hint[0]; i++) {
        assert_status(LB_E_CONFIG, lb_scalar_check(hint[i][0], true));
        assert_error_has(hint[i][1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_the_table), cmocka_unit_test(values),
                                       cmocka_unit_test(limits), cmocka_unit_test(hints)};
    return cmocka_run_group_tests_name("base/scalar", tests, NULL, NULL);
}
