/* CSV: RFC 4180 and what people's files do to it. */
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/csv.h"
#include "support/io_probe.h"
#include "support/support.h"

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

static lb_status read_text(const char *text, size_t len, lb_csv *out) {
    memfile m = memfile_make(text, len);
    lb_status s = lb_csv_read(arena, m.path, out);
    memfile_close(&m);
    return s;
}

static void test_read(void **state) {
    (void)state;
    static const char text[] = "\xef\xbb\xbf" /* a byte order mark */
                               "method,\"bits \"\"b\"\"\",note\r\n"
                               "rtn,4,\"a, b\"\r\n"
                               "\n"
                               "gptq,,\"two\nlines\"\n"
                               " x , 3 ,\"\"";
    lb_csv c;
    assert_ok(read_text(text, sizeof text - 1, &c));
    assert_int_equal(c.cols, 3);
    assert_int_equal(c.rows, 3);
    assert_string_equal(c.header[0], "method");
    assert_string_equal(c.header[1], "bits \"b\"");
    assert_string_equal(c.row[0][2], "a, b");
    assert_string_equal(c.row[1][1], "");
    assert_string_equal(c.row[1][2], "two\nlines");
    assert_string_equal(c.row[2][0], " x "); /* spaces are part of a field */
    assert_string_equal(c.row[2][2], "");
    assert_int_equal(lb_csv_column(&c, "note"), 2);
    assert_int_equal(lb_csv_column(&c, "Note"), -1);
    assert_ok(read_text("only,header", 11, &c));
    assert_int_equal(c.rows, 0);
    assert_int_equal(c.cols, 2);
    assert_ok(read_text("a,b\n,\n", 6, &c));
    assert_int_equal(c.rows, 1);
    assert_string_equal(c.row[0][1], "");
}

static void refuse(const char *text, size_t len, const char *what) {
    lb_csv c;
    assert_status(LB_E_FORMAT, read_text(text, len, &c));
    assert_error_has(what);
}
#define REFUSE(text, what) refuse(text, sizeof(text) - 1, what)

static void test_refusals(void **state) {
    (void)state;
    REFUSE("a,b\n1,2\n\n3\n", ":4: 1 fields: the header has 2");
    REFUSE("a,b\n\"x\ny\",2\n1,2,3\n", ":4: 3 fields: the header has 2"); /* the quoted line end counts */
    REFUSE("a,b\n1,\"2\n3,4\n", ":2: a quote is never closed");
    REFUSE("a,b\n1,\"2\"x\n", ":2: a field with quotes");
    REFUSE("a,b\n1,2\"x\"\n", ":2: a field with quotes");
    REFUSE("a,b\n1,2\r3,4\n", ":2: a field with quotes or line ends");
    REFUSE("a,b,a\n1,2,3\n", "two columns are called 'a'");
    REFUSE("", "no header");
    REFUSE("\n\r\n", "no header");
    REFUSE("a,b\n1,\0\n", "NUL");
    lb_csv c;
    assert_status(LB_E_IO, lb_csv_read(arena, "no/such.csv", &c));
}

static void test_write(void **state) {
    (void)state;
    static const char *const field[] = {"plain", "a,b", "say \"x\"", "two\r\nlines", "", " spaced ", "\xc3\xbc"};
    lb_str b = {0};
    for (int i = 0; i < 7; i++) lb_csv_field(&b, field[i], i == 6);
    lb_csv_field(&b, "", true); /* a row of one empty field is not a blank line */
    lb_csv_field(&b, "", false);
    lb_csv_field(&b, "", true);
    assert_ok(lb_str_check(&b));
    assert_string_equal(b.s, "plain,\"a,b\",\"say \"\"x\"\"\",\"two\r\nlines\",, spaced ,\xc3\xbc\n\"\"\n,\n");
    lb_str_free(&b);
    lb_csv_field(&b, "\xef\xbb\xbfx", true); /* would be taken for a byte order mark */
    assert_string_equal(b.s, "\"\xef\xbb\xbfx\"\n");
    lb_str_free(&b);
}

static void test_damage(void **state) {
    (void)state;
    static const char text[] = "name,\"b \"\"c\"\"\"\r\n\"x\ny\",1\n,2\n\nlast,\"\"\n";
    memfile m = memfile_make(text, sizeof text - 1);
    assert_ok(probe_csv(m.path));
    assert_in_range(sweep_prefixes(probe_csv, m.path, LB_E_FORMAT, LB_E_FORMAT), 5, 30);
    assert_in_range(sweep_bytes(probe_csv, m.path, 0, sizeof text, LB_E_FORMAT, LB_E_FORMAT), 20, 200);
    assert_true(sweep_allocations(probe_csv, m.path) > 5);
    memfile_close(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_read), cmocka_unit_test(test_refusals),
                                       cmocka_unit_test(test_write), cmocka_unit_test(test_damage)};
    return cmocka_run_group_tests_name("io/csv", tests, set_up, tear_down);
}
