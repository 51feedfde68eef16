/* The map of who carries H: of the original model's inputs where a cell knows them, and nothing where none does. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/plot_kit.h"
#include "support/support.h"
#include "support/synthetic_results.h"

static lb_plot_list list;

static bool listed(void) {
    for (int64_t i = 0; i < list.n; i++)
        if (strcmp(list.at[i].name, "token-map") == 0) return true;
    return false;
}

/* Layer k of the cells from `first` on: in 2^-k of the tokens half of either H. */
static void know(lb_results *r, int64_t first, bool own, bool original) {
    for (int64_t i = first; i < r->n; i++)
        for (int64_t k = 0; k < r->record[i].layers; k++) {
            lb_layer_row *l = &r->record[i].layer[k];
            double share = 1.0 / (double)(1 << (k % 9));
            if (own) l->own_carried = (lb_carried){0.5, 0.5, share};
            if (original) l->original_carried = (lb_carried){0.5, 0.5, share / 2};
        }
}

static void expect(lb_results *r, const char *row, const char *inputs) {
    char *dat = plot_text(plots_made(r, &list), "token-map", "dat");
    assert_true(listed());
    if (!strstr(dat, row)) fail_msg("no '%s' in\n%s", row, dat);
    lb_free(dat);
    for (int64_t i = 0; i < list.n; i++)
        if (strcmp(list.at[i].name, "token-map") == 0) assert_non_null(strstr(list.at[i].caption, inputs));
}

static void map(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    (void)plots_made(r, &list);
    assert_false(listed());
    know(r, 2, true, false); /* some cell does */
    expect(r, "0 1 0.5 ", "inputs that layers were solved on");
    know(r, 3, false, true);
    expect(r, "0 1 0.25 ", "of the original model's inputs");
    synthetic_results_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(map)};
    return cmocka_run_group_tests_name("map of tokens", tests, NULL, NULL);
}
