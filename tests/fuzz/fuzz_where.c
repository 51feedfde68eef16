/* Expressions of `lowbit report --where`, over results that have every kind of value. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/select.h"
#include "support/status_name.h"
#include "support/synthetic_results.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static lb_results *r;
    if (!r) r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    lb_arena *a;
    lb_select *s;
    lb_results out;
    if (lb_arena_new(0, &a) != LB_OK) abort();
    char *text = LB_NEW(a, char, size + 1);
    if (!text) abort();
    if (size) memcpy(text, data, size);
    lb_status st = lb_select_parse(a, text, &s);
    if (st == LB_OK) st = lb_select_apply(a, r, s, &out);
    if (st == LB_OK ? out.n > r->n : st != LB_E_ARG || !*lb_error()) {
        fprintf(stderr, "%s: %s\n", status_name(st), lb_error());
        abort();
    }
    lb_arena_free(a);
    return 0;
}
