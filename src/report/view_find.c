/* Rows and cells by what a user calls them. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

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
        for (int64_t k = 0; k < row->cells; k++) /* a seed that is alone, too: its row has no seed in its label */
            if (row->cells > 1 || strcmp(row->cell[k]->label, row->label) != 0)
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
    return n == strcspn(name, " ") && strncasecmp(label, name, n) == 0;
}

/* The name and more words: 'gptq 2b row on wiki' or 'm: gptq 2b row' of 'gptq 2b row'. */
static bool has_words(const char *label, const char *name) {
    size_t n = strlen(name);
    for (const char *at = label; n && (at = strcasestr(at, name)); at++)
        if ((at == label || at[-1] == ' ') && (at[n] == 0 || at[n] == ' ')) return true;
    return false;
}

/* The row stands for its seeds. */
static bool is_seed_of_row(const named *x) { return x->cell && x->row && strcmp(x->label, x->row->label) != 0; }

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

/* The method that a name's first word was meant to be, as the labels have it; NULL: none is near. */
static lb_status nearest_kind(const lb_report_view *v, const named *at, int64_t n, const char *name, const char **out) {
    const char **kind = LB_NEW(v->arena, const char *, n + 1);
    const char *word = lb_arena_printf(v->arena, "%.*s", (int)strcspn(name, " "), name);
    if (!kind || !word) return LB_E_NOMEM;
    for (int64_t i = 0; i < n; i++) {
        kind[i] = lb_arena_printf(v->arena, "%.*s", (int)strcspn(at[i].label, " "), at[i].label);
        if (!kind[i]) return LB_E_NOMEM;
    }
    *out = lb_str_nearest(word, kind, (size_t)n);
    return LB_OK;
}

/* The label that was meant: in letters of another case, or near, of the same method. Another method's label is no
 * correction, unless the method is what was misspelt. */
static lb_status nearest(const lb_report_view *v, const named *at, int64_t n, const char *name, const named **out) {
    const char **label = LB_NEW(v->arena, const char *, n + 1), *kind = name;
    size_t of = 0;
    bool known = false;
    *out = NULL;
    if (!label) return LB_E_NOMEM;
    for (int64_t i = 0; i < n; i++) {
        if (!*out && strcasecmp(at[i].label, name) == 0) *out = &at[i];
        known = known || same_kind(at[i].label, name);
    }
    if (!known) LB_TRY(nearest_kind(v, at, n, name, &kind));
    for (int64_t i = 0; i < n && kind; i++)
        if (same_kind(at[i].label, kind)) label[of++] = at[i].label;
    const char *near = *out ? NULL : lb_str_nearest(name, label, of);
    for (int64_t i = 0; near && i < n && !*out; i++)
        if (at[i].label == near) *out = &at[i];
    return LB_OK;
}

typedef bool is_like(const char *label, const char *name);

static bool is_listed(const named *x, const char *name, is_like *like) {
    return !is_seed_of_row(x) && (!like || like(x->label, name));
}

static int64_t count_listed(const named *at, int64_t n, const char *name, is_like *like) {
    int64_t rows = 0;
    for (int64_t i = 0; i < n; i++) rows += is_listed(&at[i], name, like);
    return rows;
}

/* "there is 'gptq 2b row' (3 seeds), 'gptq 3b row'"; like NULL: all rows. */
static void list(lb_str *s, const named *at, int64_t n, const char *name, is_like *like) {
    enum { MOST = 8 };
    int64_t shown = 0, rows = count_listed(at, n, name, like);
    lb_str_add(s, "there is ");
    for (int64_t i = 0; i < n && shown < MOST; i++) {
        if (!is_listed(&at[i], name, like)) continue;
        if (shown++) lb_str_add(s, ", ");
        add_name(s, &at[i]);
    }
    if (rows > shown) lb_str_add(s, " and %lld more", (long long)(rows - shown));
}

/* The folder; of several, what their experiments are called. */
static const char *place_of(const lb_report_view *v) {
    return v->r->n && v->r->record[0].source ? v->r->name : v->r->dir;
}

static lb_status none_called(const lb_report_view *v, const named *at, int64_t n, const char *name) {
    const named *near;
    lb_str text = {0};
    LB_TRY(nearest(v, at, n, name, &near));
    bool other_case = near && strcasecmp(near->label, name) == 0;
    if (!other_case && count_listed(at, n, name, has_words)) {
        list(&text, at, n, name, has_words);
    } else if (near) {
        lb_str_add(&text, "did you mean ");
        add_name(&text, near);
        lb_str_add(&text, "?");
    } else if (count_listed(at, n, name, same_kind)) {
        lb_str_add(&text, "of %.*s ", (int)strcspn(name, " "), name);
        list(&text, at, n, name, same_kind);
    } else {
        list(&text, at, n, name, NULL);
    }
    lb_status st = lb_str_check(&text);
    if (st == LB_OK) st = lb_fail(LB_E_ARG, "%s has no cell '%s': %s", place_of(v), name, text.s);
    lb_str_free(&text);
    return st;
}

static lb_status two_called(const lb_report_view *v, const named *x, const named *y, const char *name) {
    const lb_record *a = x->cell ? x->cell : x->row->cell[0], *b = y->cell ? y->cell : y->row->cell[0];
    return lb_fail(LB_E_ARG, "%s has several cells '%s': name one by its file: '%s' or '%s'", place_of(v), name,
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
    const lb_report_row *row = NULL;
    const lb_record *cell = NULL;
    int64_t evaluations = 0;
    *alone = false;
    LB_TRY(lb_report_find_row(v, name, &row, &cell));
    if (!row) return not_evaluated(cell ? cell->label : name, cell ? cell->message : NULL);
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
    const lb_report_row *row = NULL;
    const lb_record *cell = NULL;
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
