/* JSON: places in messages, typed members, damage, memory. */
#include <string.h>

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
    assert_error_has("x.json: key 'real' is a real number: expected an integer");
    assert_status(LB_E_FORMAT, lb_json_str("x.json", o, "list", &s));
    assert_error_has("key 'list' is an array: expected a string");
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
    refuse("{\"a\": 1,\n \"b\": }", "x.json:2:");
    refuse("{\"a\": 1, \"a\": 2}", "duplicate");
    refuse("", "x.json:1:");
    refuse("{} {}", "x.json:1:");
    refuse("{\"a\": \"\xff\"}", "unable to decode byte 0xff");
    refuse("{\"a\": 99999999999999999999}", "x.json:1:");
    char deep[5000];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = 0;
    refuse(deep, "depth");
    json_t *o = NULL;
    assert_status(LB_E_IO, lb_json_read("no/such.json", &o));
    assert_null(o);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_members), cmocka_unit_test(test_refusals),
                                       cmocka_unit_test(test_damage)};
    return cmocka_run_group_tests_name("io/json", tests, NULL, NULL);
}
