/* Reading programs: what a step may say, and what a mistake in one is called. */
#include "support/support.h"

#include <string.h>

#include "model/steps/reference.h"

static lb_arena *arena;

static int setup(void **state) {
    (void)state;
    return lb_arena_new(0, &arena) == LB_OK ? 0 : -1;
}
static int teardown(void **state) {
    (void)state;
    lb_arena_free(arena);
    return 0;
}

static void steps_are_read(void **state) {
    (void)state;
    lb_steps s;
    assert_ok(lb_steps_parse(
        arena, "f: block",
        " n = norm x n1 kind=ln eps=1e-5 ;\n ?!two q k v = split f by=groups;; x += linear a o mult=0.5", &s));
    assert_int_equal(s.n, 3);
    assert_string_equal(s.at[0].op->name, "norm");
    assert_string_equal(s.at[0].result[0], "n");
    assert_string_equal(s.at[0].operand[1], "n1");
    assert_true(s.at[0].arg[0].literal == 1.0 && s.at[0].arg[1].literal == 1e-5 && s.at[0].arg[2].literal == 0.0);
    assert_false(s.at[0].add);
    assert_string_equal(s.at[1].when, "two");
    assert_true(s.at[1].unless);
    assert_int_equal(s.at[1].results, 3);
    assert_string_equal(s.at[1].arg[0].number, "groups");
    assert_true(s.at[2].add && s.at[2].arg[0].literal == 0.5);
    assert_string_equal(s.at[2].text, "x += linear a o mult=0.5");
}

static void mistakes_are_named(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } wrong[] = {
        {"n = nrom x n1 kind=ln eps=1",
         "f: block: step 'n = nrom x n1 kind=ln eps=1': unknown operation 'nrom': did you mean 'norm'?"},
        {"n = norm x kind=ln eps=1", "norm takes 2 operands, 1 are given"},
        {"n = norm x n1 n2 kind=ln eps=1", "'n2': norm takes 2 operands"},
        {"n = norm x n1 eps=1", "norm needs kind="},
        {"n = norm x n1 kind=2 eps=1", "kind = '2': must be one of the operation's words or the name of a number"},
        {"n = norm x n1 kind=ln eps=1e", "eps = '1e': must be a number or the name of a number"},
        {"n = norm x n1 kind=ln eps=1 epsilon=2", "norm has no argument 'epsilon'"},
        {"n = norm x n1 kind=ln eps=1 eps=2", "'eps' is given twice"},
        {"a b = linear x q", "2 results: linear gives one"},
        {"q k += split x", "2 results: split gives fewer"},
        {"q k v w = split x", "more than 3 results"},
        {"x = embed word embed", "'word': must be token or position"},
        {"?7 x = add y", "'?7': expected ?NUMBER or ?!NUMBER"},
        {"norm x n1", "expected RESULT = OPERATION"},
        {"n =", "expected RESULT = OPERATION"},
        {"n-1 = add x", "'n-1' is no name of a value"},
        {"n = add 1", "'1' is no name"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        lb_steps s;
        assert_status(LB_E_FORMAT, lb_steps_parse(arena, "f: block", wrong[i].text, &s));
        assert_error_has(wrong[i].message);
    }
}

static void numbers_by_block(void **state) {
    (void)state;
    static const double window[] = {0, 6};
    static const lb_number at[] = {{.name = "eps", .all = 1e-5}, {.name = "window", .block = window}};
    static const lb_numbers n = {at, 2, 2};
    lb_steps s;
    double v = 0;
    bool runs = false;
    assert_ok(lb_number_get(&n, "window", 1, &v));
    assert_true(v == 6.0);
    assert_ok(lb_number_get(&n, "eps", -1, &v));
    assert_true(v == 1e-5);
    assert_status(LB_E_FORMAT, lb_number_get(&n, "window", -1, &v));
    assert_error_has("the number 'window' differs by block");
    assert_status(LB_E_FORMAT, lb_number_get(&n, "widow", 0, &v));
    assert_error_has("no number 'widow'");
    assert_ok(lb_steps_parse(arena, "f", "?window a = add b; ?!window a = add b; a = add b mult=window", &s));
    for (int64_t b = 0; b < 2; b++) {
        assert_ok(lb_step_runs(&s.at[0], &n, b, &runs));
        assert_int_equal(runs, b == 1);
        assert_ok(lb_step_runs(&s.at[1], &n, b, &runs));
        assert_int_equal(runs, b == 0);
        assert_ok(lb_step_arg(&s.at[2], 0, &n, b, &v));
        assert_true(v == window[b]);
    }
}

/* A model of one width whose every parameter is the 3 x 3 unit matrix, its norms' weights its first row. */
static lb_status unit(const void *ctx, const char *name, int64_t block, int64_t expert, lb_ref_param *out) {
    static const float one[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    (void)ctx, (void)block, (void)expert;
    *out = (lb_ref_param){.W = lb_cmat_of(one, 3, 3)};
    if (strcmp(name, "wide") == 0) out->W = lb_cmat_of(one, 1, 9);
    if (strcmp(name, "none") == 0) out->W.d = NULL;
    return LB_OK;
}

/* Steps whose shapes do not fit say so with the block and the step, and read nothing outside. */
static void shapes_that_do_not_fit(void **state) {
    (void)state;
    static const struct {
        const char *block, *message;
    } wrong[] = {
        {"y = add z", "block 0: step 'y = add z': reads a value that no step before it gave"},
        {"y += add x", "adds to a value that no step before it gave"},
        {"y = linear x wide", "reads another number of columns"},
        {"y = linear x none", "the layer has no weights"},
        {"a b = split x", "the width is odd"},
        {"q k v = split x by=1", "the width and the groups do not fit the heads"},
        {"a b = split x by=1", "gives three values with by=, two without"},
        {"y = norm x wide kind=rms eps=0", "as long as neither a run nor a row"},
        {"y = norm x none kind=rms eps=0 run=2", "no multiple of run"},
        {"y = rope x dims=7", "does not fit the heads"},
        {"y = experts x router top=4", "top is not within the experts"},
        {"y = experts x router top=1", "an expert's program gives no y as wide as x"},
        {"y = embed position embed offset=3", "a row that the table does not have"},
        {"y = embed token none", "there is no such table"},
        {"y = add x mult=unknown", "no number 'unknown'"},
    };
    static const lb_number at[] = {
        {.name = "heads", .all = 2}, {.name = "kv_heads", .all = 1}, {.name = "head_dim", .all = 3}};
    static const lb_numbers n = {at, 3, 1};
    const lb_ref_params params = {unit, NULL};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const lb_program_text text = {
            .before = "x = embed token embed", .block = wrong[i].block, .expert = "z = add n"};
        lb_program p;
        lb_reference r;
        assert_ok(lb_program_parse(arena, "f", &text, &p));
        assert_status(LB_E_FORMAT, lb_reference_run(arena, &p, &n, &params, (int32_t[]){0, 2}, 2, &r));
        assert_error_has(wrong[i].message);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_read),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(numbers_by_block),
        cmocka_unit_test(shapes_that_do_not_fit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
