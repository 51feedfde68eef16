/* The figure of a held-out text's loss while training: what is in it, and when there is none. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "support/expected_output.h"
#include "support/plot_kit.h"
#include "support/support.h"
#include "support/synthetic_results.h"

static lb_plot_list list;

static const lb_plot_entry *entry(const char *name) {
    for (int64_t i = 0; i < list.n; i++)
        if (strcmp(list.at[i].name, name) == 0) return &list.at[i];
    return NULL;
}

/* At 0, 40, 80 and the end; NaN: not measured. */
static void validate(lb_results *r, lb_record *c, double first, double last) {
    enum { POINTS = 4 };
    lb_curve *v = &c->curve;
    v->validation_step = LB_NEW(r->arena, int64_t, POINTS);
    v->validation_loss = LB_NEW(r->arena, double, POINTS);
    assert_true(v->validation_step && v->validation_loss);
    for (int i = 0; i < POINTS; i++) {
        v->validation_step[i] = i < POINTS - 1 ? 40 * i : 120;
        v->validation_loss[i] = first + (last - first) * i / (POINTS - 1);
    }
    v->validations = POINTS;
}

static void both_losses(void **state) {
    (void)state;
    static const char *const leaf[] = {"training-validation.gp", "training-validation.dat"};
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "r");
    int trained = 0;
    for (int64_t i = 0; i < r->n; i++) {
        lb_record *c = &r->record[i];
        if (!c->curve.n) continue;
        validate(r, c, 6 - trained, 2.5 - 0.25 * trained);
        /* One with a gap; one of KL alone, whose training has no such loss. */
        if (trained == 0) c->curve.validation_loss[1] = NAN;
        for (int64_t k = 0; trained == 2 && k < c->curve.n; k++) c->curve.next_token[k] = 0;
        trained++;
    }
    assert_int_equal(trained, 3);
    const char *dir = plots_made(r, &list);
    for (int i = 0; i < 2; i++) {
        char file[64], *text = plot_text(dir, leaf[i], NULL);
        snprintf(file, sizeof file, "report/%s", leaf[i]);
        expect_output(file, text);
        lb_free(text);
    }
    const lb_plot_entry *e = entry("training-validation");
    assert_non_null(e);
    assert_string_equal(e->caption,
                        "tiny_model: next-token loss of a text that was not trained on, at the weights as they are "
                        "quantized then (markers), and of the batches that were (thin lines, mean over 3 steps), the "
                        "first seed of each row.");
    synthetic_results_free(r);
}

/* None without a point that was measured; the other curves are what they are without. */
static void nothing_measured(void **state) {
    (void)state;
    for (int with = 0; with < 2; with++) {
        lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "r");
        for (int64_t i = 0; with && i < r->n; i++)
            if (r->record[i].curve.n) validate(r, &r->record[i], NAN, NAN);
        const char *dir = plots_made(r, &list);
        char *text = plot_text(dir, "training-loss", "dat");
        assert_null(entry("training-validation"));
        expect_output("report/training-loss.dat", text);
        lb_free(text);
        synthetic_results_free(r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_losses), cmocka_unit_test(nothing_measured)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
