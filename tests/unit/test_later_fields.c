/* Real fields that are newer than the first results: nothing is written where nothing is known, and a file without them
 * reads as NaN. */
#include <math.h>
#include <stdio.h>

#include "result/store_fields.h"
#include "support/support.h"

typedef struct row {
    double old, new;
    int64_t count;
} row;
static const lb_field fields_at[] = {{"old", LB_FIELD_F64, offsetof(row, old), 0},
                                     {"new", LB_FIELD_LATER_F64, offsetof(row, new), 0},
                                     {"count", LB_FIELD_LATER, offsetof(row, count), 0}};
static const lb_fields fields = {fields_at, 3};

static const char *file(void) {
    static char path[512];
    if (!path[0]) snprintf(path, sizeof path, "%s/fields.h5", lb_test_tmpdir());
    return path;
}

/* Rows as columns, and the first of them as attributes, to a file and back. has: is there a column, an attribute? */
static void there_and_back(const row *rows, int64_t n, bool column, bool attribute, row *back) {
    lb_arena *a;
    lb_h5 *h;
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_h5_create(file(), &h));
    assert_ok(lb_fields_put_columns(h, "/rows", fields, rows, sizeof *rows, n));
    assert_ok(lb_fields_put_attrs(h, "/", fields, rows));
    assert_ok(lb_h5_close(h));
    assert_ok(lb_h5_open(file(), &h));
    assert_int_equal(lb_h5_has(h, "/rows/new"), column);
    assert_int_equal(lb_h5_has_attr(h, "/", "new"), attribute);
    for (int64_t i = 0; i <= n; i++) back[i].new = 7;
    assert_ok(lb_fields_get_columns(h, a, "/rows", fields, back, sizeof *back, n));
    assert_ok(lb_fields_get_attrs(h, a, "/", fields, &back[n]));
    assert_ok(lb_h5_close(h));
    lb_arena_free(a);
    (void)remove(file());
}

static void same(double a, double b) { assert_true(isnan(a) ? isnan(b) : a == b); }

static void columns(void **state) {
    (void)state;
    static const struct {
        double new[3];
        bool column, attribute;
    } t[] = {{{NAN, NAN, NAN}, false, false},
             {{NAN, 0.25, NAN}, true, false},
             {{0, NAN, NAN}, true, true}, /* nothing measured is not nothing */
             {{1e-300, -1, INFINITY}, true, true}};
    for (size_t k = 0; k < sizeof t / sizeof t[0]; k++) {
        row rows[3] = {{1, t[k].new[0], 0}, {NAN, t[k].new[1], 0}, {3, t[k].new[2], 0}}, back[4];
        there_and_back(rows, 3, t[k].column, t[k].attribute, back);
        for (int i = 0; i < 4; i++) {
            same(rows[i % 3].new, back[i].new);
            same(rows[i % 3].old, back[i].old);
            assert_int_equal(back[i].count, 0);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(columns)};
    return cmocka_run_group_tests_name("fields of later versions", tests, NULL, NULL);
}
