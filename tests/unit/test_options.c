/* Option tables: parsing, messages, canonical text, descriptions. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "quant/options.h"
#include "support/quant_kit.h"

typedef struct opts {
    int64_t bits, group, whole;
    double damp, positive;
    bool sym;
    int kind;
    const char *note;
} opts;

static const char *const kinds[] = {"a", "b", "c", NULL};
static const char *const only_row[] = {"row", NULL};
static const lb_option table[] = {
    {"bits", LB_OPT_INT, "4", 2, 8, NULL, "bits", offsetof(opts, bits)},
    {"group", LB_OPT_GROUP, "row", 8, 1024, NULL, "group", offsetof(opts, group)},
    {"whole", LB_OPT_GROUP, "row", 8, 1024, only_row, "group", offsetof(opts, whole)},
    {"percdamp", LB_OPT_FLOAT, "0.01", 0, 1, NULL, "damp", offsetof(opts, damp)},
    {"rate", LB_OPT_FLOAT, NULL, 0, INFINITY, NULL, "rate", offsetof(opts, positive)},
    {"symmetric", LB_OPT_BOOL, "false", 0, 0, NULL, "sym", offsetof(opts, sym)},
    {"kind", LB_OPT_CHOICE, "b", 0, 0, kinds, "kind", offsetof(opts, kind)},
    {"note", LB_OPT_STR, "", 0, 0, NULL, "note", offsetof(opts, note)},
};
static const lb_options all = {table, sizeof table / sizeof table[0], sizeof(opts)};

/* Field by field: what stands between the fields is nobody's. */
static void same_opts(const opts *a, const opts *b) {
    assert_true(a->bits == b->bits && a->group == b->group && a->whole == b->whole);
    assert_true(a->damp == b->damp && a->positive == b->positive);
    assert_true(a->sym == b->sym && a->kind == b->kind);
    assert_string_equal(a->note, b->note);
}

static lb_arena *arena;
static int setup(void **state) {
    (void)state;
    return lb_arena_new(0, &arena) != LB_OK;
}
static int teardown(void **state) {
    (void)state;
    lb_arena_free(arena);
    return 0;
}

static void defaults(void **state) {
    (void)state;
    opts o;
    memset(&o, 0xff, sizeof o);
    assert_int_equal(lb_options_defaults(&all, arena, &o), LB_OK);
    assert_int_equal(o.bits, 4);
    assert_int_equal(o.group, LB_GROUP_ROW);
    assert_true(o.damp == 0.01 && !o.sym);
    assert_int_equal(o.kind, 1);
    assert_string_equal(o.note, "");
}

static void messages(void **state) {
    (void)state;
    static const struct {
        const char *name, *text, *message;
    } bad[] = {
        {"bits", "9", "bits = 9: must be in [2, 8] (method gptq)"},
        {"bits", "1", "bits = 1: must be in [2, 8] (method gptq)"},
        {"bits", "4.5", "bits = 4.5: must be an integer in [2, 8] (method gptq)"},
        {"bits", "", "bits = : must be an integer in [2, 8] (method gptq)"},
        {"bits", "99999999999999999999", "bits = 99999999999999999999: must be an integer in [2, 8] (method gptq)"},
        {"group", "7", "group = 7: must be row, tensor, or a number of columns in [8, 1024] (method gptq)"},
        {"group", "-1", "group = -1: must be row, tensor, or a number of columns in [8, 1024] (method gptq)"},
        {"group", "0", "group = 0: must be row, tensor, or a number of columns in [8, 1024] (method gptq)"},
        {"whole", "tensor", "whole = tensor: must be row, or a number of columns in [8, 1024] (method gptq)"},
        {"percdamp", "1.5", "percdamp = 1.5: must be in [0, 1] (method gptq)"},
        {"percdamp", "nan", "percdamp = nan: must be a number in [0, 1] (method gptq)"},
        {"rate", "-1", "rate = -1: must be at least 0 (method gptq)"},
        {"rate", "fast", "rate = fast: must be a number of at least 0 (method gptq)"},
        {"percdamp", ".nan", "percdamp = .nan: must be a number in [0, 1] (method gptq)"},
        {"rate", ".inf", "rate = .inf: must be a number of at least 0 (method gptq)"},
        {"symmetric", "yes", "symmetric = yes: must be true or false (method gptq)"},
        {"symmetric", "maybe", "symmetric = maybe: must be true or false (method gptq)"},
        {"kind", "d", "kind = d: must be a, b or c (method gptq)"},
        {"gruop", "8", "unknown key 'gruop' (method gptq): did you mean 'group'?"},
        {"zzzzzzzz", "8",
         "unknown key 'zzzzzzzz' (method gptq): expected one of bits, group, whole, percdamp, rate, symmetric, kind, "
         "note"},
    };
    opts o, before;
    assert_int_equal(lb_options_defaults(&all, arena, &o), LB_OK);
    before = o;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(lb_options_set(&all, arena, &o, bad[i].name, bad[i].text, "method gptq"), LB_E_CONFIG);
        assert_string_equal(lb_error(), bad[i].message);
    }
    same_opts(&o, &before);
}

static void text_parses_back(void **state) {
    (void)state;
    static const char *const pairs[][3] = {
        /* name, given, canonical */
        {"bits", "8", "8"}, /* both bounds belong to it */
        {"bits", "2", "2"},
        {"bits", "+3", "3"},
        {"group", "128", "128"},
        {"group", "row", "row"},
        {"group", "tensor", "tensor"},
        {"percdamp", "0.1", "0.1"},
        {"percdamp", "1e-3", "0.001"},
        {"rate", "123456.789", "123456.789"},
        {"rate", "0.30000000000000004", "0.30000000000000004"},
        {"symmetric", "True", "true"},
        {"symmetric", "FALSE", "false"},
        {"bits", "0x7", "7"},
        {"group", "0o100", "64"},
        {"kind", "c", "c"},
        {"note", "a b", "a b"},
    };
    opts o, again;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        lb_str text = {0};
        assert_int_equal(lb_options_defaults(&all, arena, &o), LB_OK);
        again = o;
        if (lb_options_set(&all, arena, &o, pairs[i][0], pairs[i][1], "test") != LB_OK) fail_msg("%s", lb_error());
        lb_options_text(lb_options_find(&all, pairs[i][0]), &o, &text);
        assert_string_equal(text.s, pairs[i][2]);
        assert_int_equal(lb_options_set(&all, arena, &again, pairs[i][0], text.s, "test"), LB_OK);
        same_opts(&o, &again);
        lb_str_free(&text);
    }
}

static void descriptions(void **state) {
    (void)state;
    static const char *const want[] = {
        "integer in [2, 8], default 4",
        "row, tensor, or a number of columns in [8, 1024], default row",
        "row, or a number of columns in [8, 1024], default row",
        "number in [0, 1], default 0.01",
        "number of at least 0, required",
        "true or false, default false",
        "a, b or c, default b",
        "text",
    };
    for (size_t i = 0; i < all.n; i++) {
        lb_str text = {0};
        lb_options_describe(&table[i], &text);
        assert_string_equal(text.s, want[i]);
        lb_str_free(&text);
    }
}

static void every_allocation_fails_once(void **state) {
    (void)state;
    for (int64_t nth = 1;; nth++) {
        opts o;
        lb_alloc_fail_at(nth);
        lb_status st = lb_options_set(&all, arena, &o, "gruop", "8", "test");
        bool reached = lb_alloc_count() >= nth;
        if (!reached) {
            assert_int_equal(st, LB_E_CONFIG);
            break;
        }
        assert_int_equal(st, LB_E_NOMEM);
    }
    lb_alloc_fail_at(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(defaults), cmocka_unit_test(messages),
                                       cmocka_unit_test(text_parses_back), cmocka_unit_test(descriptions),
                                       cmocka_unit_test(every_allocation_fails_once)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
