/* Rows and cells by what a user calls them. */
#include <stdio.h>
#include <string.h>

#include "report/view.h"

/* What has a name: a row, a cell of one over several seeds, or a cell without a result. */
typedef struct named {
    const char *label, *stem;
    const lb_report_row *row;
    const lb_record *cell; /* NULL: the row has several */
} named;

static void put(named *at, int64_t *n, const char *label, const lb_report_row *row, const lb_record *cell) {
    const char *stem = cell && cell->stem ? cell->stem : "";
    at[(*n)++] = (named){label ? label : "", stem, row, cell};
}

static lb_status names_of(const lb_report_view *v, named **out, int64_t *n) {
    int64_t count = 0;
    named *at = LB_NEW(v->arena, named, v->rows + v->r->n + 1);
    if (!at) return LB_E_NOMEM;
    for (int64_t i = 0; i < v->rows; i++) {
        const lb_report_row *row = &v->row[i];
        put(at, &count, row->label, row, row->cells == 1 ? row->cell[0] : NULL);
        for (int64_t k = 0; row->cells > 1 && k < row->cells; k++)
            put(at, &count, row->cell[k]->label, row, row->cell[k]);
    }
    for (int64_t i = 0; i < v->absents; i++) put(at, &count, v->absent[i]->label, NULL, v->absent[i]);
    *out = at, *n = count;
    return LB_OK;
}

static bool is_called(const named *x, const char *name) {
    bool by_row = x->row && !x->cell && strcmp(x->row->short_name, name) == 0;
    return by_row || strcmp(x->label, name) == 0 || (x->stem[0] && strcmp(x->stem, name) == 0);
}

/* Of the same method: the first word is the same. */
static bool same_kind(const char *label, const char *name) {
    size_t n = strcspn(label, " ");
    return n == strcspn(name, " ") && memcmp(label, name, n) == 0;
}

/* " (3 seeds)" */
static const char *seeds_text(const named *x, char out[32]) {
    out[0] = 0;
    if (x->row && !x->cell) snprintf(out, 32, " (%lld seeds)", (long long)x->row->cells);
    return out;
}

static void add_name(lb_str *s, const named *x) {
    char seeds[32];
    lb_str_add(s, "'%s'%s", x->label, seeds_text(x, seeds));
}

/* The label that was meant: one of the same method before any other. */
static lb_status nearest(const lb_report_view *v, const named *at, int64_t n, const char *name, const named **out) {
    const char **label = LB_NEW(v->arena, const char *, n + 1);
    *out = NULL;
    if (!label) return LB_E_NOMEM;
    for (int any = 0; any < 2; any++) {
        size_t of = 0;
        for (int64_t i = 0; i < n; i++)
            if (any || same_kind(at[i].label, name)) label[of++] = at[i].label;
        const char *near = lb_str_nearest(name, label, of);
        for (int64_t i = 0; near && i < n && !*out; i++)
            if (at[i].label == near) *out = &at[i];
        if (*out || of) return LB_OK; /* another method's label is no correction of one of this method */
    }
    return LB_OK;
}

/* "of gptq: 'gptq 2b row' (3 seeds), 'gptq 3b row'", or of every method. */
static void list(lb_str *s, const named *at, int64_t n, const char *name) {
    enum { MOST = 8 };
    int64_t kind = 0, shown = 0, rows = 0;
    for (int64_t i = 0; i < n; i++) kind += same_kind(at[i].label, name);
    if (kind)
        lb_str_add(s, "of %.*s there is ", (int)strcspn(name, " "), name);
    else
        lb_str_add(s, "there is ");
    for (int64_t i = 0; i < n; i++) {
        if (kind && !same_kind(at[i].label, name)) continue;
        if (at[i].cell && at[i].row && at[i].row->cells > 1) continue; /* its row stands for it */
        rows++;
        if (shown == MOST) continue;
        if (shown++) lb_str_add(s, ", ");
        add_name(s, &at[i]);
    }
    if (rows > shown) lb_str_add(s, " and %lld more", (long long)(rows - shown));
}

static lb_status none_called(const lb_report_view *v, const named *at, int64_t n, const char *name) {
    const named *near;
    lb_str text = {0};
    LB_TRY(nearest(v, at, n, name, &near));
    if (near) {
        lb_str_add(&text, "did you mean ");
        add_name(&text, near);
        lb_str_add(&text, "?");
    } else {
        list(&text, at, n, name);
    }
    lb_status st = lb_str_check(&text);
    if (st == LB_OK) st = lb_fail(LB_E_ARG, "%s has no cell '%s': %s", v->r->dir, name, text.s);
    lb_str_free(&text);
    return st;
}

static lb_status two_called(const lb_report_view *v, const named *x, const named *y, const char *name) {
    const lb_record *a = x->cell ? x->cell : x->row->cell[0], *b = y->cell ? y->cell : y->row->cell[0];
    return lb_fail(LB_E_ARG, "%s has several cells '%s': name one by its file: '%s' or '%s'", v->r->dir, name,
                   a->stem ? a->stem : "", b->stem ? b->stem : "");
}

lb_status lb_report_find_row(const lb_report_view *v, const char *name, const lb_report_row **row,
                             const lb_record **cell) {
    named *at;
    const named *found = NULL;
    int64_t n;
    LB_TRY(names_of(v, &at, &n));
    for (int64_t i = 0; i < n; i++) {
        if (!is_called(&at[i], name) || (found && found->row && found->row == at[i].row)) continue;
        if (found) return two_called(v, found, &at[i], name);
        found = &at[i];
    }
    if (!found) return none_called(v, at, n, name);
    *row = found->row, *cell = found->cell;
    return LB_OK;
}

static lb_status not_evaluated(const char *label, const char *message) {
    return lb_fail(LB_E_ARG, "cell '%s' has no evaluation to compare with: %s", label,
                   message && message[0] ? message : "the config has none");
}

lb_status lb_report_find_side(const lb_report_view *v, const char *name, lb_report_row *out, bool *alone) {
    const lb_report_row *row;
    const lb_record *cell;
    int64_t evaluations = 0;
    *alone = false;
    LB_TRY(lb_report_find_row(v, name, &row, &cell));
    if (!row) return not_evaluated(cell->label, cell->message);
    *out = *row;
    if (cell && row->cells > 1) {
        const lb_record **one = LB_NEW(v->arena, const lb_record *, 1);
        if (!one) return LB_E_NOMEM;
        *one = cell;
        out->cell = one, out->cells = 1, out->label = cell->label;
        *alone = true;
    }
    for (int64_t k = 0; k < out->cells; k++) evaluations += out->cell[k]->evals;
    return evaluations ? LB_OK : not_evaluated(out->label, out->cell[0]->message);
}

static lb_status several_cells(const lb_report_row *row, const char *name) {
    enum { MOST = 8 };
    lb_str text = {0};
    for (int64_t i = 0; i < row->cells && i < MOST; i++)
        lb_str_add(&text, "%s'%s'", i ? ", " : "", row->cell[i]->label);
    if (row->cells > MOST) lb_str_add(&text, ", ...");
    lb_status st = lb_str_check(&text);
    if (st == LB_OK)
        st = lb_fail(LB_E_ARG, "'%s' is %lld cells, one a seed: name one: %s", name, (long long)row->cells, text.s);
    lb_str_free(&text);
    return st;
}

lb_status lb_report_find_cell(const lb_results *r, const char *name, int64_t *out) {
    const lb_report_row *row;
    const lb_record *cell;
    lb_report_view v;
    lb_arena *a;
    LB_TRY(lb_arena_new(0, &a));
    lb_status st = lb_report_view_make(a, r, NULL, &v);
    if (st == LB_OK) st = lb_report_find_row(&v, name, &row, &cell);
    if (st == LB_OK && !cell) st = several_cells(row, name);
    if (st == LB_OK) *out = cell - r->record;
    lb_arena_free(a);
    return st;
}
