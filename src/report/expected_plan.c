/* A list of expected values beside the cells that a config makes, before they run: what would not be compared is known
 * now. */
#include <string.h>

#include "report/beside.h"

/* Keys by which a row may choose a cell, beside the options of its method. */
static const char *const common[] = {"seed",  "propagate", "true_sequential", "label",
                                     "model", "compute",   "model_sha256",    "token_weight"};

/* Which of the cells' methods and options the row's own are meant to be; *why stays NULL: there are such. */
static lb_status blame_words(lb_arena *a, const lb_results *r, const lb_expectation *e, const char **why) {
    const char *method[64], *key[256];
    size_t methods = 0, keys = 0;
    const char *want = e->text[F_METHOD];
    bool found = false;
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++) key[keys++] = common[i];
    for (int64_t i = 0; i < r->n; i++) {
        const lb_record *c = &r->record[i];
        if (methods < 64) method[methods++] = c->method;
        if (strcmp(c->method, want) != 0) continue;
        found = true;
        for (int64_t k = 0; k < c->options.n && keys < 256; k++) key[keys++] = c->options.at[k].key;
        for (int64_t k = 0; k < c->varied.n && keys < 256; k++) key[keys++] = c->varied.at[k].key;
    }
    if (!found) {
        const char *near = lb_str_nearest(want, method, methods);
        *why = near ? lb_arena_printf(a, "no cell has the method '%s': did you mean '%s'?", want, near)
                    : lb_arena_printf(a, "no cell has the method '%s'", want);
        return *why ? LB_OK : LB_E_NOMEM;
    }
    for (const char *p = e->text[F_OPTIONS]; *p; p += strcspn(p, ";"), p += strspn(p, "; ")) {
        bool known = false;
        const char *name = lb_arena_printf(a, "%.*s", (int)strcspn(p, "=; "), p);
        if (!name) return LB_E_NOMEM;
        for (size_t k = 0; k < keys && !known; k++) known = strcmp(key[k], name) == 0;
        if (known || !*name) continue;
        const char *near = lb_str_nearest(name, key, keys);
        *why = near ? lb_arena_printf(a, "%s has no option '%s': did you mean '%s'?", want, name, near)
                    : lb_arena_printf(a, "%s has no option '%s'", want, name);
        return *why ? LB_OK : LB_E_NOMEM;
    }
    return LB_OK;
}

static lb_status blame_eval(lb_arena *a, const lb_record *c, const lb_expectation *e, const char **why) {
    const lb_eval_row *row;
    const char *name[64];
    size_t n = 0;
    bool there = false;
    LB_TRY(lb_expected_eval(a, c, e, &row, why));
    if (row) *why = NULL;
    if (row) return LB_OK;
    for (int64_t i = 0; i < c->evals && n < 64; i++) {
        there = there || strcmp(c->eval[i].name, e->text[F_EVAL]) == 0;
        name[n++] = c->eval[i].name;
    }
    if (there || n == 0) return LB_OK;
    const char *near = lb_str_nearest(e->text[F_EVAL], name, n);
    *why = near ? lb_arena_printf(a, "no evaluation is called '%s': did you mean '%s'?", e->text[F_EVAL], near)
                : lb_arena_printf(a, "no evaluation is called '%s': the first is '%s'", e->text[F_EVAL], name[0]);
    return *why ? LB_OK : LB_E_NOMEM;
}

/* Of a published number the first of its cells; neither cell nor `why`: it is meant to be shown only, as another
 * model's, or one that nobody compares with. */
static lb_status published_cell(lb_arena *a, const lb_results *r, const lb_expectation *e, const lb_record **cell,
                                const char **why) {
    const lb_record **all;
    int64_t n;
    bool of_model;
    *cell = NULL, *why = NULL;
    LB_TRY(lb_beside_of_model(a, r, e, &of_model));
    if (!of_model || lb_beside_never(e) || !lb_beside_has_method(e->text[F_METHOD])) return LB_OK;
    LB_TRY(lb_expected_cells(a, r, e, &all, &n, why));
    if (!n) return LB_OK;
    *cell = all[0];
    if (!lb_beside_draws(e->text[F_METHOD]) || n >= LB_VERDICT_SEEDS) return LB_OK;
    *why = lb_arena_printf(a, "%s needs %d seeds, not %lld", e->text[F_METHOD], LB_VERDICT_SEEDS, (long long)n);
    return *why ? LB_OK : LB_E_NOMEM;
}

/* Why a row is not going to be compared; NULL: it is, if its cell succeeds. */
static lb_status why_not(lb_arena *a, const lb_results *r, const lb_expectation *e, const char **why) {
    const lb_record *c;
    if (lb_expected_published(e))
        LB_TRY(published_cell(a, r, e, &c, why));
    else
        LB_TRY(lb_expected_cell(a, r, e, &c, why));
    if (!c && !*why) return LB_OK;
    if (c) return *why || lb_expected_of_cell(e->text[F_METRIC]) ? LB_OK : blame_eval(a, c, e, why);
    const char *words = NULL;
    LB_TRY(blame_words(a, r, e, &words));
    if (words) *why = words;
    return LB_OK;
}
static lb_status preview(lb_arena *a, const lb_results *planned, const char *path, lb_log *log) {
    enum { MOST = 5 }; /* that are named */
    lb_expectation *e;
    size_t n, left = 0;
    LB_TRY(lb_expected_read(a, path, &e, &n));
    for (size_t i = 0; i < n; i++) {
        const char *why = NULL;
        LB_TRY(why_not(a, planned, &e[i], &why));
        if (why && left++ < MOST) lb_warn(log, "%s:%d: will not be compared: %s", path, e[i].line, why);
    }
    if (left > MOST) lb_warn(log, "%s: %zu more of %zu rows will not be compared", path, left - MOST, n);
    return LB_OK;
}

lb_status lb_report_expected_preview(const lb_results *planned, const char *expected_csv, lb_log *log) {
    lb_arena *a;
    LB_TRY(lb_arena_new(0, &a));
    lb_status st = preview(a, planned, expected_csv, log);
    lb_arena_free(a);
    return st;
}
