/* Our JSON against Python's json.load (fixtures/json.txt, make_json.py): what it takes we take, and every value is
 * kept; what it refuses we refuse. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/json.h"
#include "support/support.h"

static void form(const json_t *v, lb_str *out);

/* The bytes; NUL has a form of its own in memory. */
static void form_text(const char *s, lb_str *out) {
    lb_str_add(out, "s");
    for (; *s; s++) {
        bool nul = (uint8_t)s[0] == 0xc0 && (uint8_t)s[1] == 0x80;
        lb_str_add(out, "%02x", nul ? 0 : (uint8_t)*s);
        s += nul;
    }
    lb_str_add(out, ".");
}

static void form_real(double x, lb_str *out) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (isnan(x))
        lb_str_add(out, "fnan");
    else
        lb_str_add(out, "f%016llx", (unsigned long long)bits);
}

static void form_odd(const char *odd, lb_str *out) {
    bool whole = strspn(odd, "-0123456789") == strlen(odd);
    if (whole)
        lb_str_add(out, "i%s", odd);
    else
        form_real(strcmp(odd, "NaN") == 0 ? NAN : odd[0] == '-' ? -INFINITY : INFINITY, out);
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void form_object(const json_t *v, lb_str *out) {
    char **member = calloc(json_object_size(v) + 1, sizeof *member);
    const char *key;
    json_t *item;
    size_t n = 0;
    assert_non_null(member);
    json_object_foreach((json_t *)(uintptr_t)v, key, item) {
        lb_str m = {0};
        if (lb_json_twice(key)) continue;
        form_text(key, &m);
        lb_str_add(&m, ":");
        form(item, &m);
        member[n++] = m.s;
    }
    qsort(member, n, sizeof *member, by_text);
    lb_str_add(out, "{");
    for (size_t i = 0; i < n; i++) {
        lb_str_add(out, "%s%s", i ? "," : "", member[i]);
        lb_free(member[i]);
    }
    lb_str_add(out, "}");
    free(member);
}

static void form(const json_t *v, lb_str *out) {
    size_t i;
    json_t *item;
    if (json_is_object(v)) {
        form_object(v, out);
    } else if (json_is_array(v)) {
        lb_str_add(out, "[");
        json_array_foreach(v, i, item) {
            if (i) lb_str_add(out, ",");
            form(item, out);
        }
        lb_str_add(out, "]");
    } else if (lb_json_odd(v)) {
        form_odd(lb_json_odd(v), out);
    } else if (json_is_string(v)) {
        form_text(json_string_value(v), out);
    } else if (json_is_integer(v)) {
        lb_str_add(out, "i%lld", (long long)json_integer_value(v));
    } else if (json_is_real(v)) {
        form_real(json_real_value(v), out);
    } else {
        lb_str_add(out, json_is_null(v) ? "n" : json_is_true(v) ? "t" : "x");
    }
}

static void expect(const char *hex, const char *want) {
    size_t n = strlen(hex) / 2;
    char *text = malloc(n ? n : 1); /* as long as the text, so that a sanitizer sees a byte too many */
    assert_non_null(text);
    for (size_t i = 0; i < n; i++) text[i] = (char)strtoul((char[]){hex[2 * i], hex[2 * i + 1], 0}, NULL, 16);
    json_t *v = NULL;
    lb_str got = {0};
    lb_status st = lb_json_parse("x.json", text, n, &v);
    if (st == LB_OK)
        form(v, &got);
    else
        lb_str_add(&got, "refused");
    if (strcmp(got.s, want) != 0) fail_msg("%.400s: %.200s (%s), Python: %.200s", hex, got.s, lb_error(), want);
    if (st != LB_OK) assert_int_equal(st, LB_E_FORMAT);
    json_decref(v);
    lb_str_free(&got);
    free(text);
}

static void test_as_python(void **state) {
    (void)state;
    char path[LB_TEST_PATH], *lines;
    int taken = 0, refused = 0;
    lb_test_fixture("tests/oracle/fixtures/json.txt", path);
    assert_ok(lb_fs_read(path, &lines, NULL));
    for (char *at = lines; *at;) {
        char *end = strchr(at, '\n'), *tab = strchr(at, '\t');
        assert_true(end && tab && tab < end);
        *end = *tab = 0;
        expect(at, tab + 1);
        *(strcmp(tab + 1, "refused") == 0 ? &refused : &taken) += 1;
        at = end + 1;
    }
    assert_true(taken > 100 && refused > 200);
    lb_free(lines);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_python)};
    return cmocka_run_group_tests_name("oracle/json", tests, NULL, NULL);
}
