/* JSON: places in messages, typed members, damage, memory. */
#include <string.h>
#include <unistd.h>

#include "io/json.h"
#include "support/io_probe.h"
#include "support/support.h"

static const char text[] =
    "{\n  \"text\": \"na\\u00efve\",\n  \"whole\": -3, \"real\": 0.5,\n  \"list\": [1, null, true]\n}";

static void test_members(void **state) {
    (void)state;
    json_t *o = NULL;
    int64_t i = 0;
    double d = 0;
    const char *s = NULL;
    assert_ok(lb_json_parse("x.json", text, strlen(text), &o));
    assert_ok(lb_json_str("x.json", o, "text", &s));
    assert_string_equal(s, "na\xc3\xafve");
    assert_ok(lb_json_int("x.json", o, "whole", &i));
    assert_int_equal(i, -3);
    assert_ok(lb_json_num("x.json", o, "real", &d));
    assert_true(d == 0.5);
    assert_ok(lb_json_num("x.json", o, "whole", &d)); /* an integer is a number */
    assert_true(d == -3);
    assert_status(LB_E_FORMAT, lb_json_int("x.json", o, "real", &i));
    assert_error_has("x.json: key 'real' = 0.5: expected an integer");
    assert_status(LB_E_FORMAT, lb_json_str("x.json", o, "list", &s));
    assert_error_has("key 'list' = [...]: expected a string");
    assert_status(LB_E_FORMAT, lb_json_num("x.json", o, "nothing", &d));
    assert_error_has("x.json: no key 'nothing'");
    assert_status(LB_E_FORMAT, lb_json_num("x.json", json_object_get(o, "list"), "k", &d));
    assert_error_has("not an object");
    json_decref(o);
}

static void refuse(const char *bad, const char *what) {
    json_t *o = NULL;
    assert_status(LB_E_FORMAT, lb_json_parse("x.json", bad, strlen(bad), &o));
    assert_error_has(what);
    assert_null(o);
}

static void test_refusals(void **state) {
    (void)state;
    refuse("{\"a\": 1,\n \"b\": }", "x.json:2:7: not valid JSON: expected a value at '}'");
    refuse("", "x.json:1:1: not valid JSON: expected a value at the end");
    refuse("{} {}", "x.json:1:4: not valid JSON: something behind the value at '{'");
    refuse("{\"a\": \"\xff\"}", "x.json:1:8: not valid JSON: bytes that are not UTF-8 at byte 0xff");
    refuse("{\"a\": \"b", "x.json:1:7: not valid JSON: a string that does not end");
    char deep[5000];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = 0;
    refuse(deep, "nested too deep");
    static const char wide[] = "{\0}\0", packed[] = "\x1f\x8b\x08";
    json_t *w = NULL;
    assert_status(LB_E_FORMAT, lb_json_parse("x.json", "\xff\xfe{\0}", 6, &w));
    assert_error_has("x.json: is UTF-16 text, little-endian, expected JSON in UTF-8");
    assert_status(LB_E_FORMAT, lb_json_parse("x.json", wide, sizeof wide, &w));
    refuse(packed, "is gzip data");
    json_t *o = NULL;
    assert_status(LB_E_IO, lb_json_read("no/such.json", &o));
    assert_null(o);
}

static json_t *parsed(const char *t) {
    json_t *o = NULL;
    assert_ok(lb_json_parse("x.json", t, strlen(t), &o));
    return o;
}

/* What jansson has no form for is kept, does no harm where nobody asks for it, and is named where somebody does. */
static void test_odd_values(void **state) {
    (void)state;
    int64_t i;
    double d;
    const char *s;
    json_t *o =
        parsed("\xef\xbb\xbf{\"big\": 1000000000000000019884624838656, \"min\": -9223372036854775808, \"nan\": NaN, "
               "\"huge\": 1e400, \"nul\": \"a\\u0000b\", \"half\": \"\\ud800\"}");
    assert_ok(lb_json_num("x.json", o, "big", &d));
    assert_true(d == 1e30);
    assert_ok(lb_json_int("x.json", o, "min", &i));
    assert_true(i == INT64_MIN);
    assert_status(LB_E_FORMAT, lb_json_int("x.json", o, "big", &i));
    assert_error_has("x.json: key 'big' = 1000000000000000019884624838656: expected an integer that fits in 64 bits");
    assert_status(LB_E_FORMAT, lb_json_num("x.json", o, "nan", &d));
    assert_error_has("x.json: key 'nan' = NaN: expected a finite number");
    assert_status(LB_E_FORMAT, lb_json_num("x.json", o, "huge", &d));
    assert_error_has("x.json: key 'huge' = 1e400: expected a finite number");
    assert_status(LB_E_FORMAT, lb_json_str("x.json", o, "nan", &s));
    assert_error_has("key 'nan' = NaN: expected a string");
    assert_ok(lb_json_str("x.json", o, "nul", &s));
    assert_string_equal(s, "a\xc0\x80"
                           "b"); /* never cut short */
    assert_ok(lb_json_all_once("x.json", o));
    assert_status(LB_E_FORMAT, lb_json_strict("x.json", o));
    json_decref(o);
}

/* The last value of a key counts, as in Python, unless somebody asks for it and there was another one. */
static void test_twice(void **state) {
    (void)state;
    static const char *const keys[] = {"b", "a", NULL};
    int64_t i;
    json_t *o =
        parsed("{\"a\": 1, \"b\": 2, \"a\": 500000, \"b\": 2.0, \"c\": {\"d\": [{\"e\": null, \"e\": false}]}}");
    assert_int_equal(json_integer_value(json_object_get(o, "a")), 500000);
    assert_status(LB_E_FORMAT, lb_json_int("x.json", o, "a", &i));
    assert_error_has("x.json: key 'a' is given twice: 1 and 500000");
    assert_status(LB_E_FORMAT, lb_json_once("x.json", o, keys));
    assert_ok(lb_json_once("x.json", o, (const char *const[]){"b", "c", NULL})); /* 2 and 2.0 are one number */
    assert_status(LB_E_FORMAT, lb_json_all_once("x.json", json_object_get(o, "c")));
    assert_error_has("x.json: key 'e' is given twice: null and false");
    json_decref(o);
}

static void test_size_limit(void **state) {
    (void)state;
    json_t *o = NULL;
    memfile m = memfile_make("[1]", 3);
    assert_int_equal(ftruncate(m.fd, (off_t)LB_JSON_MOST), 0);
    assert_status(LB_E_FORMAT, lb_json_read(m.path, &o)); /* NUL is no JSON */
    assert_int_equal(ftruncate(m.fd, (off_t)LB_JSON_MOST + 1), 0);
    assert_status(LB_E_FORMAT, lb_json_read(m.path, &o));
    assert_error_has("larger than 64 MiB, the most that is read of such a file");
    memfile_close(&m);
}

static void test_damage(void **state) {
    (void)state;
    memfile m = memfile_make(text, sizeof text - 1);
    assert_int_equal(sweep_prefixes(probe_json, m.path, LB_E_FORMAT, LB_E_FORMAT), 0);
    assert_in_range(sweep_bytes(probe_json, m.path, 0, sizeof text, LB_E_FORMAT, LB_E_FORMAT), 50, 300);
    assert_true(sweep_allocations(probe_json, m.path) > 10);
    memfile_close(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_members),    cmocka_unit_test(test_refusals),
                                       cmocka_unit_test(test_odd_values), cmocka_unit_test(test_twice),
                                       cmocka_unit_test(test_size_limit), cmocka_unit_test(test_damage)};
    return cmocka_run_group_tests_name("io/json", tests, NULL, NULL);
}
