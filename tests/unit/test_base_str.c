#include "support/support.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/str.h"

static void strings_grow(void **state) {
    (void)state;
    lb_str b = {0};
    char want[4000] = "";
    for (int i = 0; i < 500; i++) {
        lb_str_add(&b, "%d,", i);
        snprintf(want + strlen(want), 16, "%d,", i);
    }
    lb_str_add_bytes(&b, "a\0b", 3);
    assert_ok(lb_str_check(&b));
    assert_int_equal(b.len, strlen(want) + 3);
    assert_memory_equal(b.s, want, strlen(want));
    assert_memory_equal(b.s + strlen(want), "a\0b", 4);
    lb_str_free(&b);
    assert_null(b.s);
    lb_str_add_bytes(&b, NULL, 0);
    assert_string_equal(b.s, "");
    lb_str_free(&b);
}

static void globs(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *name;
        bool match;
    } g[] = {{"", "", true},
             {"", "a", false},
             {"*", "", true},
             {"*", "abc", true},
             {"a?c", "abc", true},
             {"a?c", "ac", false},
             {"layers.*.mlp.*", "layers.12.mlp.up", true},
             {"layers.*.mlp.*", "layers.12.attn.q", false},
             {"*.down", "layers.0.down", true},
             {"*.down", "layers.0.down2", false},
             {"*a*b", "xaxxab", true},
             {"*a*b", "xaxxba", false},
             {"**x", "aax", true},
             {"?", "", false},
             {"abc", "ab", false},
             {"ab", "abc", false},
             {"[a]", "a", false}};
    for (size_t i = 0; i < sizeof g / sizeof g[0]; i++)
        assert_int_equal(lb_str_glob(g[i].pattern, g[i].name), g[i].match);
    assert_false(lb_str_glob("*a*a*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}

static void nearest(void **state) {
    (void)state;
    static const char *const keys[] = {"bits", "group", "symmetric", "damp", "order"};
    assert_string_equal(lb_str_nearest("gruop", keys, 5), "group");
    assert_string_equal(lb_str_nearest("bit", keys, 5), "bits");
    assert_string_equal(lb_str_nearest("symetrik", keys, 5), "symmetric");
    assert_string_equal(lb_str_nearest("order", keys, 5), "order");
    assert_null(lb_str_nearest("layers", keys, 5));
    assert_null(lb_str_nearest("xx", keys, 5));
    assert_null(lb_str_nearest("", keys, 5));
    static const char *const two[] = {"abcdez", "abcdef"};
    assert_string_equal(lb_str_nearest("abcdef", two, 2), "abcdef"); /* the nearer one, not the first */
    char longer[200];
    memset(longer, 'a', 199);
    longer[199] = 0;
    assert_null(lb_str_nearest(longer, keys, 5));
}

static void ends(void **state) {
    (void)state;
    assert_true(lb_str_ends("a.h5", ".h5") && lb_str_ends("a", "") && lb_str_ends("", ""));
    assert_false(lb_str_ends("h5", ".h5") || lb_str_ends("a.h5x", ".h5"));
}

static void whole_numbers(void **state) {
    (void)state;
    int64_t v = 0;
    assert_ok(lb_parse_i64("-9223372036854775808", &v));
    assert_true(v == INT64_MIN);
    assert_ok(lb_parse_i64("9223372036854775807", &v));
    assert_true(v == INT64_MAX);
    assert_ok(lb_parse_i64("+007", &v));
    assert_int_equal(v, 7);
    static const char *const bad[] = {"",
                                      "-",
                                      "+",
                                      " 1",
                                      "1 ",
                                      "0x10",
                                      "1.0",
                                      "1e3",
                                      "--1",
                                      "nan",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        v = 5;
        assert_status(LB_E_ARG, lb_parse_i64(bad[i], &v));
        assert_error_has(bad[i]);
        assert_int_equal(v, 5);
    }
}

static void numbers(void **state) {
    (void)state;
    double v = 0;
    static const char *const good[] = {"0.01",   "-1",      "+.5", "5.", "1e-3", "1E+5", "1.7976931348623157e308",
                                       "1e-400", "4.9e-324"};
    setlocale(LC_ALL, "de_DE.UTF-8"); /* where there is one: a decimal comma must change nothing */
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) assert_ok(lb_parse_f64(good[i], &v));
    setlocale(LC_ALL, "C");
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_ok(lb_parse_f64(good[i], &v));
        assert_true(v == strtod(good[i], NULL));
    }
    static const char *const bad[] = {"",    ".",   "-",        "e5", "1e", "1e+", "1.2.3", "0x1p3",
                                      "nan", "inf", "infinity", " 1", "1 ", "1,5", "1e999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_status(LB_E_ARG, lb_parse_f64(bad[i], &v));
}

/* FIPS 180-4's examples. */
static void sha256(void **state) {
    (void)state;
    char hex[LB_HASH_HEX];
    assert_ok(lb_hash_bytes("", 0, hex));
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_ok(lb_hash_bytes("abc", 3, hex));
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_grow),  cmocka_unit_test(globs),   cmocka_unit_test(nearest), cmocka_unit_test(ends),
        cmocka_unit_test(whole_numbers), cmocka_unit_test(numbers), cmocka_unit_test(sha256),
    };
    return cmocka_run_group_tests_name("base/str, hash", tests, NULL, NULL);
}
