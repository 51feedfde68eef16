/* What papers print of the models and protocols of an experiment, side by side, with ours. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/beside.h"

enum { L_MODEL, L_PROTOCOL, L_METHOD, L_BITS, L_GROUP, L_OURS, L_SEEDS, L_PUBLISHED, L_VALUES, L_COLUMNS };

static const lb_table_column column[L_COLUMNS] = {
    [L_MODEL] = {.head = "model", .name = "model"},
    [L_PROTOCOL] = {.head = "protocol", .name = "protocol"},
    [L_METHOD] = {.head = "method", .name = "method", .key = true},
    [L_BITS] = {.head = "bits", .name = "bits", .key = true},
    [L_GROUP] = {.head = "group", .name = "group", .key = true},
    [L_OURS] = {.head = "ours", .name = "ours", .right = true},
    [L_SEEDS] = {.head = "seeds", .name = "seeds", .right = true},
    [L_PUBLISHED] = {.head = "published", .name = "published"},
    [L_VALUES] = {.head = NULL, .name = "published_values"},
};

/* Does a row of the list name this model, by this protocol? */
static lb_status is_asked(lb_arena *a, const lb_expectation *e, size_t n, const lb_published_cell *c, bool *yes) {
    *yes = false;
    for (size_t i = 0; i < n && !*yes; i++) {
        const char *model;
        if (!lb_expected_published(&e[i]) || strcmp(e[i].text[F_PROTOCOL], c->protocol) != 0 ||
            strcmp(e[i].text[F_EVAL], c->evaluation) != 0)
            continue;
        LB_TRY(lb_expected_option(a, &e[i], "model", &model));
        *yes = model && strcmp(model, c->model) == 0;
    }
    return LB_OK;
}

/* "36.85 SparseGPT T1; 37.07 Thanos T1 (quoted)" of row `first` and all of the same cell after it. */
static int64_t list_values(const lb_papers *p, size_t first, bool *done, lb_str *out) {
    int64_t n = 0;
    for (size_t i = first; i < p->rows; i++) {
        const lb_published *x = &p->row[i];
        if (i > first && !lb_published_same_cell(&p->row[first], x)) continue;
        done[i] = true;
        lb_str_add(out, "%s%s %s %s", n++ ? "; " : "", x->text, x->paper, x->table);
        if (x->trust != LB_TRUST_PRIMARY) lb_str_add(out, " (%s)", lb_trust_names[x->trust]);
    }
    return n;
}

static lb_status put_row(lb_table *t, const lb_results *r, const lb_papers *p, const lb_published *x,
                         const lb_published_cell *c, const char *published, int64_t values) {
    const lb_expectation e = {.text = {[F_METHOD] = c->method,
                                       [F_OPTIONS] = c->options,
                                       [F_EVAL] = c->evaluation,
                                       [F_PROTOCOL] = c->protocol,
                                       [F_WINDOWS] = "",
                                       [F_METRIC] = c->metric,
                                       [F_PLACE] = x->table},
                              .expected = x->value,
                              .half_unit = x->half_unit,
                              .trust = x->trust};
    lb_beside b;
    LB_TRY(lb_beside_of(t->arena, r, p, &e, x, &b));
    lb_table_row(t);
    lb_table_set(t, L_MODEL, x->model->name, x->model->name);
    lb_table_set(t, L_PROTOCOL, c->protocol, c->protocol);
    lb_table_set(t, L_METHOD, x->method_name, x->method_name);
    lb_table_set(t, L_BITS, x->bits, x->bits);
    lb_table_set(t, L_GROUP, x->group, x->group);
    if (b.seeds) {
        lb_table_set(t, L_OURS,
                     lb_num_fixed(b.verdict.mean, lb_beside_decimals(isnan(x->half_unit) ? 0.005 : x->half_unit)).s,
                     lb_num_exact(b.verdict.mean).s);
        lb_table_set(t, L_SEEDS, lb_num_int(b.seeds).s, lb_num_int(b.seeds).s);
    }
    lb_table_set(t, L_PUBLISHED, published, published);
    lb_table_set(t, L_VALUES, NULL, lb_num_int(values).s);
    return LB_OK;
}

static lb_status put_all(lb_table *t, const lb_results *r, const lb_papers *p, const lb_expectation *e, size_t n) {
    lb_arena *a = t->arena;
    bool *done = LB_NEW(a, bool, p->rows + 1);
    if (!done) return LB_E_NOMEM;
    for (size_t i = 0; i < p->rows; i++) {
        lb_published_cell c;
        bool asked;
        lb_str list = {0};
        if (done[i]) continue;
        LB_TRY(lb_published_cell_of(a, &p->row[i], &c));
        LB_TRY(is_asked(a, e, n, &c, &asked));
        if (!asked || !lb_beside_has_model(r, c.model)) continue;
        int64_t values = list_values(p, i, done, &list);
        lb_status st = lb_str_check(&list);
        if (st == LB_OK) st = put_row(t, r, p, &p->row[i], &c, list.s, values);
        lb_str_free(&list);
        LB_TRY(st);
    }
    return LB_OK;
}

static lb_status make(lb_arena *a, const lb_results *r, const char *path, const lb_papers *p, lb_table_format f,
                      lb_str *out) {
    lb_expectation *e;
    size_t n;
    lb_table *t;
    LB_TRY(lb_expected_read(a, path, &e, &n));
    char *title = lb_arena_printf(a, "%s: what is published", r->model_name);
    if (!title) return LB_E_NOMEM;
    LB_TRY(lb_table_new(a, "literature", title, column, L_COLUMNS, &t));
    LB_TRY(put_all(t, r, p, e, n));
    return t->rows ? lb_table_render(t, f, out) : LB_OK;
}

lb_status lb_report_literature_table(const lb_results *r, const char *expected_csv, const lb_papers *papers,
                                     lb_table_format f, lb_str *out) {
    lb_arena *a;
    if (!papers) return LB_OK;
    LB_TRY(lb_arena_new(0, &a));
    lb_status st = make(a, r, expected_csv, papers, f, out);
    lb_arena_free(a);
    return st;
}
