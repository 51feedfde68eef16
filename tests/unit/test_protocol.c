/* Protocols' names, and which tokens of a text each scores. */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "result/quality.h"

static lb_protocol parsed(const char *id) {
    lb_protocol p;
    assert_ok(lb_protocol_parse(id, &p));
    assert_string_equal(p.id, id);
    return p;
}

static void names_and_sizes(void **state) {
    (void)state;
    static const struct {
        const char *id;
        lb_protocol_rule rule;
        int64_t n, stride;
    } known[] = {{"W2-2048", LB_RULE_W2, 2048, 2048},
                 {"W2-2", LB_RULE_W2, 2, 2},
                 {"LCPP-512", LB_RULE_LCPP, 512, 512},
                 {"SQ-512", LB_RULE_SQ, 512, 512},
                 {"HF-1024/512", LB_RULE_HF, 1024, 512},
                 {"HF-2/1", LB_RULE_HF, 2, 1},
                 {"HF-64/64", LB_RULE_HF, 64, 64},
                 {"PTB-old", LB_RULE_PTB_OLD, 2048, 2048},
                 {"PTB-old-512", LB_RULE_PTB_OLD, 512, 512},
                 {"PTB-new", LB_RULE_PTB_NEW, 2048, 2048},
                 {"PTB-new-20", LB_RULE_PTB_NEW, 20, 20},
                 {"C4-old", LB_RULE_C4_OLD, 2048, 2048},
                 {"C4-old-64", LB_RULE_C4_OLD, 64, 64},
                 {"C4-new", LB_RULE_C4_NEW, 2048, 2048},
                 {"C4-new-1048576", LB_RULE_C4_NEW, 1048576, 1048576}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const lb_protocol p = parsed(known[i].id);
        assert_int_equal(p.rule, known[i].rule);
        assert_int_equal(p.n, known[i].n);
        assert_int_equal(p.stride, known[i].stride);
    }
}

/* One protocol has one name; nothing is guessed. */
static void other_spellings_are_refused(void **state) {
    (void)state;
    static const char *const wrong[][2] = {
        {"", "is not known: expected one of W2-n, LCPP-n, SQ-n, HF-n/s, PTB-old, PTB-new, C4-old, C4-new"},
        {"w2-2048", "is not known"},
        {"PTB", "is not known"},
        {"PTB-older", "is not known"},
        {"C4-4096", "is not known"},
        {"W2-", "a whole number in [2, 1048576]"},
        {"W2-1", "a whole number in [2, 1048576]"},
        {"LCPP-3", "a whole number in [4, 1048576]"},
        {"W2-0512", "a whole number"},
        {"W2-+512", "a whole number"},
        {"W2-1048577", "a whole number"},
        {"W2- 64", "a whole number"},
        {"W2-64 ", "a whole number"},
        {"W2-64x", "a whole number"},
        {"W2--64", "a whole number"},
        {"W2-1e3", "a whole number"},
        {"W2", "is not known"},
        {"W2-99999999999999999999", "a whole number"},
        {"W2-512/256", "a whole number"},
        {"PTB-old-", "a whole number"},
        {"PTB-old-512/512", "a whole number"},
        {"PTB-old-2048", "is called PTB-old: one protocol has one name"},
        {"C4-new-2048", "is called C4-new"},
        {"HF-1024", "a stride in [1, 1024] must follow the window"},
        {"HF-1024/", "a stride in [1, 1024]"},
        {"HF-1024/0", "a stride in [1, 1024]"},
        {"HF-1024/1025", "a stride in [1, 1024]"},
        {"HF-1024/512/2", "a stride in [1, 1024]"},
        {"HF-/512", "a whole number"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        lb_protocol p;
        assert_status(LB_E_CONFIG, lb_protocol_parse(wrong[i][0], &p));
        assert_error_has(wrong[i][1]);
    }
}

static void every_form_says_what_it_is(void **state) {
    (void)state;
    for (const lb_protocol_form *f = lb_protocol_forms; f->form; f++) {
        char id[32];
        lb_protocol p;
        snprintf(id, sizeof id, "%.*s", (int)strcspn(f->example, ", "), f->example);
        assert_ok(lb_protocol_parse(id, &p));
        assert_int_equal(p.rule, f->rule);
        assert_ptr_equal(lb_protocol_form_of(f->rule), f);
        assert_true(strlen(f->text) > 40);
        assert_int_equal(lb_protocol_is_task(&p), f->least == 0);
    }
}

/* How rows are put together. */
static void rows(void **state) {
    (void)state;
    static const struct {
        const char *id, *join;
        int64_t first, draws;
        bool needed;
    } of[] = {{"W2-64", "\n\n", 0, 0, false},   {"SQ-64", "\n\n", 0, 0, false},  {"HF-64/32", "\n\n", 0, 0, false},
              {"PTB-old", "\n\n", 0, 0, false}, {"PTB-new", " ", 0, 0, false},   {"C4-new", " ", 1100, 0, true},
              {"C4-old", NULL, 0, 256, true},   {"LCPP-64", "\n\n", 0, 0, false}};
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        const lb_protocol p = parsed(of[i].id);
        const char *join = lb_protocol_join(&p);
        assert_true(of[i].join ? join && strcmp(join, of[i].join) == 0 : !join);
        assert_int_equal(lb_protocol_first(&p), of[i].first);
        assert_int_equal(lb_protocol_draws(&p), of[i].draws);
        assert_int_equal(lb_protocol_needs_rows(&p), of[i].needed);
    }
}

static void windows_without_overlap(void **state) {
    (void)state;
    static const char *const id[] = {"W2-16", "SQ-16", "PTB-old-16", "PTB-new-16", "C4-old-16", "C4-new-16", "LCPP-16"};
    for (size_t i = 0; i < sizeof id / sizeof id[0]; i++) {
        const lb_protocol p = parsed(id[i]);
        assert_int_equal(lb_protocol_windows(&p, 0), 0);
        assert_int_equal(lb_protocol_windows(&p, 15), 0);
        assert_int_equal(lb_protocol_windows(&p, 16), 1);
        assert_int_equal(lb_protocol_windows(&p, 17), 1);
        assert_int_equal(lb_protocol_windows(&p, 53), 3);
        assert_int_equal(lb_protocol_windows(&p, 16 * 300 + 5), strcmp(id[i], "C4-new-16") == 0 ? 256 : 300);
        const lb_window w = lb_protocol_window(&p, 53, 2);
        assert_int_equal(w.start, 32);
        assert_int_equal(w.n, 16);
        assert_int_equal(w.from, p.rule == LB_RULE_LCPP ? 8 : 0);
    }
}

/* Every token but the first once, in order; a window but the last has n tokens and each advances by the stride. */
static void check_strided(const lb_protocol *p, int64_t tokens) {
    int64_t next = 1, windows = lb_protocol_windows(p, tokens);
    bool apart = p->n == p->stride; /* the first token of each then has nothing before it */
    for (int64_t i = 0; i < windows; i++) {
        const lb_window w = lb_protocol_window(p, tokens, i);
        assert_int_equal(w.start, i * p->stride);
        assert_true(w.start + w.n <= tokens && w.n >= 2 && w.n <= p->n && w.from >= 0);
        assert_true(w.n == p->n || i + 1 == windows);
        if (apart && i > 0) next++;
        assert_int_equal(w.start + w.from + 1, next);
        assert_true(w.n - 1 > w.from);
        next = w.start + w.n;
    }
    assert_true(next == tokens || (apart && next + 1 == tokens));
}

static void windows_that_advance_by_less(void **state) {
    (void)state;
    static const char *const id[] = {"HF-8/3", "HF-8/7", "HF-8/1", "HF-8/8", "HF-2/1", "HF-2/2"};
    for (size_t i = 0; i < sizeof id / sizeof id[0]; i++) {
        const lb_protocol p = parsed(id[i]);
        assert_int_equal(lb_protocol_windows(&p, 0), 0);
        assert_int_equal(lb_protocol_windows(&p, 1), 0);
        for (int64_t tokens = 2; tokens < 60; tokens++) check_strided(&p, tokens);
    }
    const lb_protocol p = parsed("HF-1024/512");
    assert_int_equal(lb_protocol_windows(&p, 1023), 1);
    assert_int_equal(lb_protocol_windows(&p, 1024), 1);
    assert_int_equal(lb_protocol_windows(&p, 1025), 2);
    assert_int_equal(lb_protocol_windows(&p, 1024 + 512), 2);
    assert_int_equal(lb_protocol_windows(&p, 1024 + 513), 3);
    const lb_window w = lb_protocol_window(&p, 1025, 1);
    assert_int_equal(w.start, 512);
    assert_int_equal(w.n, 513);
    assert_int_equal(w.from, 511);
    /* Without overlap the windows are W2's, and one more where a tail of two tokens or more is left. */
    const lb_protocol whole = parsed("HF-16/16"), w2 = parsed("W2-16");
    for (int64_t tokens = 16; tokens < 80; tokens++) {
        int64_t tail = tokens % 16 >= 2;
        assert_int_equal(lb_protocol_windows(&whole, tokens), lb_protocol_windows(&w2, tokens) + tail);
        for (int64_t i = 0; i < lb_protocol_windows(&w2, tokens); i++) {
            const lb_window a = lb_protocol_window(&whole, tokens, i), b = lb_protocol_window(&w2, tokens, i);
            assert_memory_equal(&a, &b, sizeof a);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_sizes),
        cmocka_unit_test(other_spellings_are_refused),
        cmocka_unit_test(every_form_says_what_it_is),
        cmocka_unit_test(rows),
        cmocka_unit_test(windows_without_overlap),
        cmocka_unit_test(windows_that_advance_by_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
