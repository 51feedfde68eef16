/* What papers print of the models and protocols of an experiment, side by side, with ours. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/beside.h"

enum { L_MODEL, L_PROTOCOL, L_METHOD, L_BITS, L_GROUP, L_OURS, L_SEEDS, L_PUBLISHED, L_SOURCE, L_VALUES, L_COLUMNS };

static const lb_table_column column[L_COLUMNS] = {
    [L_MODEL] = {.head = "model", .name = "model"},
    [L_PROTOCOL] = {.head = "protocol", .name = "protocol"},
    [L_METHOD] = {.head = "method", .name = "method", .key = true},
    [L_BITS] = {.head = "bits", .name = "bits", .key = true},
    [L_GROUP] = {.head = "group", .name = "group", .key = true},
    [L_OURS] = {.head = "ours", .name = "ours", .right = true},
    [L_SEEDS] = {.head = "seeds", .name = "seeds", .right = true},
    [L_PUBLISHED] = {.head = "published", .name = "published"},
    [L_SOURCE] = {.head = "source"}, /* of LaTeX, whose rows have a value each: lists of them do not fit a page */
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

/* "SparseGPT T1", "Thanos T1 (quoted)" */
static void name_source(const lb_published *x, lb_str *out) {
    lb_str_add(out, "%s %s", x->paper, x->table);
    if (x->trust != LB_TRUST_PRIMARY) lb_str_add(out, " (%s)", lb_trust_names[x->trust]);
}

/* What was published of one cell: row `first` and all of the same cell after it. */
typedef struct values {
    const lb_published **at; /* (n) */
    int64_t n;
} values;

static lb_status values_of(lb_arena *a, const lb_papers *p, size_t first, bool *done, values *out) {
    *out = (values){.at = LB_NEW(a, const lb_published *, p->rows - first)};
    if (!out->at) return LB_E_NOMEM;
    for (size_t i = first; i < p->rows; i++) {
        if (i > first && !lb_published_same_cell(&p->row[first], &p->row[i])) continue;
        done[i] = true;
        out->at[out->n++] = &p->row[i];
    }
    return LB_OK;
}

/* "36.85 SparseGPT T1; 37.07 Thanos T1 (quoted)" */
static void put_list(lb_table *t, const values *v) {
    lb_str list = {0};
    for (int64_t i = 0; i < v->n; i++) {
        lb_str_add(&list, "%s%s ", i ? "; " : "", v->at[i]->text);
        name_source(v->at[i], &list);
    }
    if (list.failed) t->failed = true;
    lb_table_set(t, L_PUBLISHED, list.s, list.s);
    lb_table_set(t, L_VALUES, NULL, lb_num_int(v->n).s);
    lb_str_free(&list);
}

static void put_value(lb_table *t, const lb_published *x) {
    lb_str source = {0};
    name_source(x, &source);
    if (source.failed) t->failed = true;
    lb_table_set(t, L_PUBLISHED, x->text, NULL);
    lb_table_set(t, L_SOURCE, source.s, NULL);
    lb_str_free(&source);
}

static void put_cell(lb_table *t, const lb_published *x, const lb_published_cell *c, const lb_beside *b) {
    lb_table_row(t);
    lb_table_set(t, L_MODEL, x->model->name, x->model->name);
    lb_table_set(t, L_PROTOCOL, c->protocol, c->protocol);
    lb_table_set(t, L_METHOD, x->method_name, x->method_name);
    lb_table_set(t, L_BITS, x->bits, x->bits);
    lb_table_set(t, L_GROUP, x->group, x->group);
    if (!b->seeds) return;
    lb_table_set(t, L_OURS,
                 lb_num_fixed(b->verdict.mean, lb_beside_decimals(isnan(x->half_unit) ? 0.005 : x->half_unit)).s,
                 lb_num_exact(b->verdict.mean).s);
    lb_table_set(t, L_SEEDS, lb_num_int(b->seeds).s, lb_num_int(b->seeds).s);
}

static lb_status put_rows(lb_table *t, const lb_results *r, const lb_papers *p, const lb_published_cell *c,
                          const values *v, bool apart) {
    const lb_published *x = v->at[0];
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
    for (int64_t i = 0; i < (apart ? v->n : 1); i++) {
        put_cell(t, x, c, &b);
        if (apart)
            put_value(t, v->at[i]);
        else
            put_list(t, v);
    }
    return LB_OK;
}

static lb_status put_all(lb_table *t, const lb_results *r, const lb_papers *p, const lb_expectation *e, size_t n,
                         bool apart) {
    lb_arena *a = t->arena;
    bool *done = LB_NEW(a, bool, p->rows + 1);
    if (!done) return LB_E_NOMEM;
    for (size_t i = 0; i < p->rows; i++) {
        lb_published_cell c;
        bool asked;
        values v;
        if (done[i]) continue;
        LB_TRY(lb_published_cell_of(a, &p->row[i], &c));
        LB_TRY(is_asked(a, e, n, &c, &asked));
        if (!asked || !lb_beside_has_model(r, c.model)) continue;
        LB_TRY(values_of(a, p, i, done, &v));
        LB_TRY(put_rows(t, r, p, &c, &v, apart));
    }
    return LB_OK;
}

static bool is_one(const lb_table *t, size_t c) {
    for (size_t r = 1; r < t->rows; r++)
        if (strcmp(lb_table_text(t, r, c), lb_table_text(t, 0, c)) != 0) return false;
    return true;
}

/* What tells rows apart is there, the others as far as they fit. A protocol that all have is in the title. */
static lb_status as_paper(lb_table *t, const lb_report_options *o, lb_table_column *col) {
    bool protocol = t->rows && is_one(t, L_PROTOCOL);
    t->paper = true, t->latex = o->latex, t->siunitx = o->siunitx;
    col[L_PROTOCOL].key = !protocol, col[L_MODEL].key = !is_one(t, L_MODEL);
    col[L_PUBLISHED].priority = 1, col[L_OURS].priority = 2, col[L_SOURCE].priority = 3;
    col[L_SEEDS].priority = 4, col[L_PROTOCOL].priority = 5, col[L_MODEL].priority = 6;
    if (!protocol) return LB_OK;
    t->title = lb_arena_printf(t->arena, "%s by %s", t->title, lb_table_text(t, 0, L_PROTOCOL));
    return t->title ? LB_OK : LB_E_NOMEM;
}

static lb_status make(lb_arena *a, const lb_results *r, const char *path, const lb_report_options *o, lb_table_format f,
                      bool paper, lb_str *out) {
    lb_expectation *e;
    size_t n;
    lb_table *t;
    bool latex = f == LB_TABLE_LATEX;
    lb_table_column *col = LB_NEW(a, lb_table_column, L_COLUMNS);
    if (!col) return LB_E_NOMEM;
    memcpy(col, column, sizeof column);
    col[L_PUBLISHED].right = latex;
    LB_TRY(lb_expected_read(a, path, &e, &n));
    char *title = lb_arena_printf(a, "%s: what is published", r->model_name);
    if (!title) return LB_E_NOMEM;
    LB_TRY(lb_table_new(a, "literature", title, col, L_COLUMNS, &t));
    LB_TRY(put_all(t, r, o->papers, e, n, latex));
    if (paper) LB_TRY(as_paper(t, o, col));
    return t->rows ? lb_table_render(t, f, out) : LB_OK;
}

lb_status lb_report_literature_table(const lb_results *r, const char *expected_csv, const lb_report_options *o,
                                     lb_table_format f, bool paper, lb_str *out) {
    lb_arena *a;
    if (!o || !o->papers) return LB_OK;
    LB_TRY(lb_arena_new(0, &a));
    lb_status st = make(a, r, expected_csv, o, f, paper, out);
    lb_arena_free(a);
    return st;
}
