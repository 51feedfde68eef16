/* The sentences that a report page begins with follow its numbers. */
#include <math.h>
#include <string.h>

#include "report/parts.h"
#include "support/support.h"
#include "support/synthetic_results.h"

static lb_arena *arena;
static lb_results *r;
static const char *const *item;
static size_t items;

static int setup(void **state) {
    (void)state;
    r = synthetic_results_new(SYNTHETIC_MANY, "results/x");
    return lb_arena_new(0, &arena) == LB_OK ? 0 : -1;
}
static int teardown(void **state) {
    (void)state;
    lb_arena_free(arena);
    synthetic_results_free(r);
    return 0;
}

/* A baseline and cells of one evaluation: the first records, with method, bits, bits a weight, loss and its half
 * interval set. Each window's loss is `loss`, and `wave` more or less from window to window, so that a difference is
 * told or not. */
static void set_cell(int64_t i, const char *label, double bits, double loss, double half, double wave) {
    lb_record *c = &r->record[i];
    lb_eval_row *e = &c->eval[0];
    c->evals = 1;
    c->label = c->stem = label;
    char *method = lb_arena_strdup(arena, label);
    assert_non_null(method);
    c->bits = method[strcspn(method, " ") + 1] - '0';
    for (int64_t l = 0; l < c->layers; l++) c->layer[l].bits = c->bits;
    method[strcspn(method, " ")] = 0;
    c->method = method;
    c->seed = 0;
    c->size.quantized.weights = 800, c->size.quantized.total = (int64_t)lround(bits * 100);
    for (int64_t w = 0; w < e->eval.windows; w++)
        e->eval.window_nll[w] = r->record[0].eval[0].eval.window_nll[w] + loss + (w % 2 ? wave : -wave);
    e->has_paired = true;
    e->paired = (lb_paired){loss, loss - half, loss + half, e->eval.windows, 3};
}

static void look(int64_t cells) {
    lb_report_view *v = LB_NEW(arena, lb_report_view, 1);
    assert_non_null(v);
    r->n = cells;
    r->record[0].evals = 1;
    assert_ok(lb_report_view_make(arena, r, NULL, v));
    assert_ok(lb_report_words(v, &item, &items));
}

static void says(const char *text) {
    lb_str all = {0};
    for (size_t i = 0; i < items; i++) {
        if (strcmp(item[i], text) == 0) {
            lb_str_free(&all);
            return;
        }
        lb_str_add(&all, "\n%s", item[i]);
    }
    fail_msg("not said: %s\nsaid:%s", text, all.s ? all.s : "");
}

static void front(void **state) {
    (void)state;
    set_cell(1, "rtn 3b g32", 3.2, 0.5, 0.01, 0);
    set_cell(2, "gptq 3b g32", 3.2, 0.2, 0.01, 0);
    set_cell(3, "rtn 4b g32", 4.2, 0.1, 0.01, 0);
    set_cell(4, "gptq 4b g32", 4.5, 0.004, 0.001, 0);
    look(5);
    says(
        "Measured bits a weight against loss, nothing beats gptq 3b g32 (3.20 bits, \xce\x94 ln PPL +0.200), rtn 4b "
        "g32 (4.20 "
        "bits, \xce\x94 ln PPL +0.100), gptq 4b g32 (4.50 bits, \xce\x94 ln PPL +0.00400); the other one takes as many "
        "bits or more for as much loss or more.");
    says("With at most 4 bits a weight gptq 3b g32 (3.20 bits, \xce\x94 ln PPL +0.200) loses least.");
    says("With at most 5 bits a weight gptq 4b g32 (4.50 bits, \xce\x94 ln PPL +0.00400) loses least.");
    says("Fewer than three seeds, so that other samples or batches may rank them otherwise: gptq 3b g32, gptq 4b g32.");
    assert_int_equal(items, 4);
    /* The losses change places. */
    set_cell(1, "rtn 3b g32", 3.2, 0.001, 0.0005, 0);
    look(5);
    says("Measured bits a weight against loss, nothing beats rtn 3b g32 (3.20 bits, \xce\x94 ln PPL +0.00100); the "
         "others "
         "take as many bits or more for as much loss or more.");
    says("With at most 4 to 5 bits a weight rtn 3b g32 (3.20 bits, \xce\x94 ln PPL +0.00100) loses least.");
    assert_int_equal(items, 3);
}

/* Rows of three seeds may be ranked, and so may what no seed changes. */
static void seeds(void **state) {
    (void)state;
    static const char few[] = "Fewer than three seeds";
    for (int64_t n = 2; n <= 3; n++) {
        set_cell(1, "rtn 3b g32", 3.2, 0.5, 0.01, 0);
        set_cell(2, "nf4 4b g32", 4.2, 0.3, 0.01, 0);
        set_cell(3, "gptq 3b g32", 3.2, 0.2, 0.01, 0);
        for (int64_t k = 1; k < n; k++) {
            r->record[3 + k] = r->record[3];
            r->record[3 + k].seed = (uint64_t)k;
        }
        look(3 + n);
        bool said = false;
        for (size_t i = 0; i < items; i++) said = said || strncmp(item[i], few, strlen(few)) == 0;
        assert_true(said == (n < 3));
    }
    look(3); /* rtn and nf4 alone */
    for (size_t i = 0; i < items; i++) assert_true(strncmp(item[i], few, strlen(few)) != 0);
}

/* A difference whose paired interval holds 0 is none; what has more bits than the budget is not compared. */
static void equals(void **state) {
    (void)state;
    set_cell(1, "rtn 3b g32", 3.2, 0.21, 0.01, 0.4);
    set_cell(2, "gptq 3b g32", 3.2, 0.2, 0.01, 0);
    set_cell(3, "hqq 3b g32", 3.9, 0.3, 0.01, 0);
    set_cell(4, "qat 5b g32", 5.1, 0.19, 0.01, 0.4);
    look(5);
    says("With at most 4 to 5 bits a weight gptq 3b g32 (3.20 bits, \xce\x94 ln PPL +0.200) loses least; not told from "
         "it: "
         "rtn 3b g32.");
    says("With at most 6 bits a weight qat 5b g32 (5.10 bits, \xce\x94 ln PPL +0.190) loses least; not told from it: "
         "gptq 3b g32.");
    set_cell(1, "rtn 3b g32", 3.2, 0.21, 0.01, 0);
    look(5);
    says("With at most 4 to 5 bits a weight gptq 3b g32 (3.20 bits, \xce\x94 ln PPL +0.200) loses least.");
}

static void like_the_baseline(void **state) {
    (void)state;
    set_cell(1, "rtn 8b g32", 8.1, 0.001, 0.01, 0);
    set_cell(2, "gptq 8b g32", 8.1, -0.001, 0.01, 0);
    look(3);
    says("Not told from the baseline: gptq 8b g32, rtn 8b g32.");
    set_cell(1, "rtn 8b g32", 8.1, 0.02, 0.01, 0);
    look(3);
    says("Not told from the baseline: gptq 8b g32.");
    for (int64_t i = 1; i < 8; i++)
        set_cell(i, lb_arena_printf(arena, "c%lld 8b g32", (long long)i), 8 + (double)i / 8, 0, 1, 0);
    look(8);
    says("Not told from the baseline: c1 8b g32, c2 8b g32, c3 8b g32, c4 8b g32 and 3 more.");
}

static void without_a_result(void **state) {
    (void)state;
    set_cell(1, "rtn 3b g32", 3.2, 0.5, 0.01, 0);
    set_cell(2, "gptq 3b g32", 3.2, 0.2, 0.01, 0);
    set_cell(3, "nf4 4b g32", 4.2, 0.2, 0.01, 0);
    r->record[2].state = LB_CELL_FAILED, r->record[2].message = "layer 3";
    r->record[3].state = LB_CELL_REFUSED, r->record[3].message = "bits";
    look(4);
    says("Without a result: gptq 3b g32 (failed), nf4 4b g32 (refused); the reasons are below the table.");
    says("Measured bits a weight against loss, nothing beats rtn 3b g32 (3.20 bits, \xce\x94 ln PPL +0.500).");
    assert_int_equal(items, 2);
    look(1); /* nothing but the baseline */
    assert_int_equal(items, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(front, setup, teardown),
        cmocka_unit_test_setup_teardown(seeds, setup, teardown),
        cmocka_unit_test_setup_teardown(equals, setup, teardown),
        cmocka_unit_test_setup_teardown(like_the_baseline, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_result, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
