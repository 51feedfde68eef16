/* A task's results in a file: what is written comes back, and numbers that its items contradict are damage. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "result/store.h"
#include "result/store_task.h"
#include "support/synthetic_results.h"

enum { ITEMS = 6, CHOICES = 14 };

static uint8_t right[ITEMS] = {1, 0, 1, 1, 0, 1}, norm[ITEMS] = {0, 0, 1, 1, 0, 1};
static int64_t first[ITEMS + 1] = {0, 2, 5, 7, 9, 12, 14};
static double choice_nll[CHOICES], window_nll[ITEMS];

static lb_eval_row row_of(const char *protocol) {
    lb_eval_row e = {.name = "items",
                     .text_hash = "0",
                     .text_path = "items.jsonl",
                     .bos = "never",
                     .text_tokens = 900,
                     .has_paired = true,
                     .paired = {0.25, 0.125, 0.5, ITEMS, 2},
                     .mcnemar = {3, 1, 0.625}};
    assert_ok(lb_protocol_parse(protocol, &e.eval.protocol));
    for (int i = 0; i < CHOICES; i++) choice_nll[i] = 3.0 + i / 4.0;
    for (int i = 0; i < ITEMS; i++) window_nll[i] = choice_nll[first[i]];
    e.eval.windows = e.eval.task.items = ITEMS;
    e.eval.windows_all = 9;
    e.eval.scored = 20;
    e.eval.window_nll = window_nll;
    e.eval.mean_nll = 4.5;
    e.eval.task.right = right;
    if (e.eval.protocol.rule == LB_RULE_LAMB) {
        e.eval.ppl = 90.0, e.eval.ppl_se = 4.0;
        e.variant = "normalized";
    } else {
        e.eval.ppl = e.eval.ppl_se = NAN;
        e.eval.task.first = first;
        e.eval.task.choice_nll = choice_nll;
        if (lb_question_has_norm(e.eval.protocol.question)) {
            e.eval.task.right_norm = norm;
            e.mcnemar_norm = (lb_mcnemar){2, 2, 1.0};
        }
    }
    lb_task_count(&e.eval.task);
    return e;
}

/* In the place of another evaluation of a record that no model made. */
static void written_and_read(const lb_eval_row *e, lb_arena *a, lb_eval_row *out) {
    lb_results *r = synthetic_results_new(SYNTHETIC_SINGLE, "x");
    lb_record c = r->record[1], back;
    const char *dir = lb_test_tmpdir();
    char *path = lb_arena_printf(a, "%s/%s.h5", dir, c.stem);
    lb_eval_row eval[2] = {c.eval[0], *e};
    c.eval = eval;
    c.evals = 2;
    assert_ok(lb_store_write(dir, &c));
    assert_ok(lb_store_read(path, a, &back));
    assert_int_equal(back.evals, 2);
    assert_int_equal(back.eval[0].eval.task.items, 0);
    *out = back.eval[1];
    synthetic_results_free(r);
}

static void same_number(double x, double y) {
    if (!(x == y || (isnan(x) && isnan(y)))) fail_msg("%.17g, expected %.17g", x, y);
}

static void what_is_written_comes_back(void **state) {
    static const char *const protocol[] = {"LAMB", "MC-piqa", "MC-boolq"};
    (void)state;
    for (int k = 0; k < 3; k++) {
        lb_arena *a;
        lb_eval_row e = row_of(protocol[k]), back;
        assert_ok(lb_arena_new(0, &a));
        written_and_read(&e, a, &back);
        const lb_task_result *x = &e.eval.task, *y = &back.eval.task;
        assert_string_equal(back.eval.protocol.id, protocol[k]);
        assert_string_equal(back.variant, e.variant ? e.variant : "");
        assert_int_equal(y->items, ITEMS);
        same_number(y->acc, 4.0 / 6), same_number(y->acc_se, x->acc_se);
        same_number(y->acc_norm, k == 1 ? 0.5 : NAN), same_number(y->acc_norm_se, x->acc_norm_se);
        assert_memory_equal(y->right, right, ITEMS);
        assert_int_equal(y->right_norm != NULL, k == 1);
        if (k == 1) assert_memory_equal(y->right_norm, norm, ITEMS);
        assert_int_equal(y->first != NULL, k > 0);
        if (k > 0) assert_memory_equal(y->first, first, sizeof first);
        if (k > 0) assert_memory_equal(y->choice_nll, choice_nll, sizeof choice_nll);
        assert_memory_equal(&back.mcnemar, &e.mcnemar, sizeof e.mcnemar);
        assert_memory_equal(&back.mcnemar_norm, &e.mcnemar_norm, sizeof e.mcnemar_norm);
        same_number(back.eval.ppl, e.eval.ppl);
        lb_arena_free(a);
    }
}

static void change(lb_eval_row *e, int what) {
    static uint8_t other[ITEMS] = {1, 1, 1, 1, 1, 1};
    static double worse[CHOICES];
    memcpy(worse, choice_nll, sizeof worse);
    worse[3] = INFINITY;
    lb_task_result *t = &e->eval.task;
    if (what == 0) t->acc = 0.5;
    if (what == 1) t->acc_se = NAN;
    if (what == 2) t->acc_norm = 1;
    if (what == 3) t->right = other;
    if (what == 4) t->right_norm = other;
    if (what == 5) t->choice_nll = worse;
    if (what == 6) e->mcnemar.worse = ITEMS;
    if (what == 7) e->mcnemar.p = 1.5;
    if (what == 8) e->mcnemar_norm.better = -1;
}

static void what_items_contradict_is_damage(void **state) {
    (void)state;
    lb_eval_row e = row_of("MC-arc");
    assert_ok(lb_task_check("/eval/0", &e));
    for (int what = 0; what < 9; what++) {
        lb_eval_row x = row_of("MC-arc");
        change(&x, what);
        if (lb_task_check("/eval/0", &x) != LB_E_FORMAT) fail_msg("change %d was not noticed", what);
        assert_error_has("/eval/0");
    }
}

static void accuracies(void **state) {
    (void)state;
    lb_task_result t = {.items = 1, .right = right};
    lb_task_count(&t);
    same_number(t.acc, 1), same_number(t.acc_se, NAN), same_number(t.acc_norm, NAN);
    t = (lb_task_result){.items = ITEMS, .right = right, .right_norm = norm};
    lb_task_count(&t);
    assert_float_equal(t.acc_se, sqrt(4.0 / 6 * (2.0 / 6) / 5), 1e-15); /* the sample formula */
    assert_float_equal(t.acc_norm_se, sqrt(0.25 / 5), 1e-15);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_comes_back),
        cmocka_unit_test(what_items_contradict_is_damage),
        cmocka_unit_test(accuracies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
