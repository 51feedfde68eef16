#include "report/columns.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/significance.h"

#define DASH "\xe2\x80\x93"

/* ---- values of a row ---- */

const lb_fact lb_row_facts[] = {
    {"seeds", "count", "seeds that the row is a mean of", LB_FACT_COUNT, true, NULL},
    {"ln_ppl_sd_seeds", "1", "over seeds, standard deviation of ln PPL", LB_FACT_NUMBER, true, NULL},
    {"ppl_mean_seeds", "1", "over seeds, arithmetic mean of the perplexities", LB_FACT_NUMBER, true, NULL},
    {"ppl_sd_seeds", "1", "over seeds, standard deviation of the perplexities", LB_FACT_NUMBER, true, NULL},
    {.name = NULL},
};

static bool is_of_rows(const char *name) {
    for (const lb_fact *f = lb_row_facts; f->name; f++)
        if (strcmp(name, f->name) == 0) return true;
    return false;
}

/* Of an alias the fact that it stands for. */
static const char *full_name(const char *name) {
    const lb_fact *f = lb_fact_find(name);
    if (strcmp(name, "mib") == 0) return "model_bytes_rest_fp16";
    for (const lb_fact *g = lb_facts; f && g->name; g++)
        if (strcmp(g->name, name) == 0) return name;
    for (const lb_fact *g = lb_facts; f && g->name; g++)
        if (g->get == f->get) return g->name;
    return name;
}

static bool of_quality(const lb_report_quality *q, const char *name, double *out) {
    const struct {
        const char *name;
        bool known;
        double x;
    } of[] = {
        {"ppl", true, q->ppl},
        {"ppl_se", true, q->se},
        {"mean_nll", true, q->mean_nll},
        {"delta_ln_ppl", q->has_delta, q->delta.delta},
        {"delta_low", q->has_delta, q->delta.low},
        {"delta_high", q->has_delta, q->delta.high},
        {"kl_mean", q->has_kl, q->kl},
        {"kl_median", q->has_kl, q->kl_median},
        {"kl_p99", q->has_kl, q->kl_p99},
        {"top1", q->has_kl, q->top1},
        {"accept", true, q->accept},
        {"speedup", true, q->speedup},
        {"acc", q->task.has, q->task.acc},
        {"acc_se", q->task.has, q->task.acc_se},
        {"acc_norm", q->task.has, q->task.acc_norm},
        {"acc_norm_se", q->task.has, q->task.acc_norm_se},
        {"delta_acc", q->task.has_delta, q->task.delta},
        {"delta_acc_norm", q->task.has_delta, q->task.delta_norm},
        {"mcnemar_p", q->task.has_delta, q->task.p},
        {"mcnemar_p_norm", q->task.has_delta, q->task.p_norm},
        {"seeds", true, (double)q->seeds},
        {"ln_ppl_sd_seeds", true, q->sd},
        {"ppl_mean_seeds", true, q->ppl_mean},
        {"ppl_sd_seeds", true, q->ppl_sd},
    };
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        if (strcmp(name, of[i].name) != 0) continue;
        *out = q->seeds && of[i].known ? of[i].x : NAN;
        return true;
    }
    return false;
}

static lb_status number_value(lb_arena *a, double x, lb_fact_value *out) {
    const char *text = lb_arena_strdup(a, lb_num_exact(x).s);
    if (!text) return LB_E_NOMEM;
    *out = (lb_fact_value){.known = text[0] != 0, .number = x, .text = text};
    return LB_OK;
}

static lb_status text_value(const char *text, lb_fact_value *out) {
    *out = (lb_fact_value){.known = text[0] != 0, .number = NAN, .text = text};
    return LB_OK;
}

/* Seeds are numbers without a mean. */
static bool has_mean(const char *name) {
    const lb_fact *f = lb_fact_find(name);
    return f && (f->kind == LB_FACT_NUMBER || (f->kind == LB_FACT_COUNT && f->unit[0]));
}

/* "0, 1, 2": each value once. */
static lb_status every_value(lb_arena *a, const lb_fact_value *of, int64_t n, lb_fact_value *out) {
    lb_str s = {0};
    for (int64_t i = 0; i < n; i++) {
        bool earlier = false;
        for (int64_t k = 0; k < i; k++) earlier |= strcmp(of[k].text, of[i].text) == 0;
        if (!earlier) lb_str_add(&s, "%s%s", i ? ", " : "", of[i].known ? of[i].text : DASH);
    }
    lb_status st = lb_str_check(&s);
    const char *text = st == LB_OK ? lb_arena_strdup(a, s.s ? s.s : "") : NULL;
    lb_str_free(&s);
    LB_TRY(st);
    return text ? text_value(text, out) : LB_E_NOMEM;
}

static lb_status of_cells(const lb_report_view *v, const lb_report_row *row, const lb_report_block *b, const char *name,
                          lb_fact_value *out) {
    lb_fact_value *of = LB_NEW(v->arena, lb_fact_value, row->cells);
    bool same = true, numbers = has_mean(name);
    double mean = 0;
    if (!of) return LB_E_NOMEM;
    for (int64_t i = 0; i < row->cells; i++) {
        const lb_eval_row *e = b ? lb_report_eval(row->cell[i], b) : NULL;
        LB_TRY(lb_fact_of(v->arena, v->whole, row->cell[i], e, name, &of[i]));
        same = same && strcmp(of[i].text, of[0].text) == 0;
        numbers = numbers && !isnan(of[i].number);
        mean += of[i].number / (double)row->cells;
    }
    if (same) {
        *out = of[0];
        return LB_OK;
    }
    return numbers ? number_value(v->arena, mean, out) : every_value(v->arena, of, row->cells, out);
}

lb_status lb_report_row_fact(const lb_report_view *v, const lb_report_row *row, const lb_report_block *b,
                             const char *name, lb_fact_value *out) {
    lb_report_quality q = {.sd = NAN};
    double x;
    name = full_name(name);
    if (strcmp(name, "label") == 0) return text_value(row->label, out);
    if (b && of_quality(&q, name, &x)) {
        LB_TRY(lb_report_quality_of(v, row, b, &q));
        LB_TRY(lb_report_to_reference(v, b, row, &q));
        of_quality(&q, name, &x);
        return number_value(v->arena, x, out);
    }
    if (is_of_rows(name)) return number_value(v->arena, name[0] == 's' ? (double)row->cells : NAN, out);
    return of_cells(v, row, b, name, out);
}

lb_status lb_report_put_rules(const lb_report_view *v, const lb_report_row *row, size_t column, lb_table *t) {
    lb_fact_value rules;
    LB_TRY(of_cells(v, row, NULL, "rules", &rules));
    if (rules.text[0]) lb_table_set(t, column, NULL, rules.text);
    return LB_OK;
}

/* ---- names ---- */

static bool is_known(const char *name) { return lb_fact_find(name) || is_of_rows(name); }

lb_status lb_report_fact_name(lb_arena *a, const lb_results *r, const char *name, const char **out) {
    static const lb_record nothing = {.method = "", .label = "", .config = ""};
    lb_fact_value none;
    char *lower = lb_arena_strdup(a, name);
    if (!lower) return LB_E_NOMEM;
    for (char *p = lower; *p; p++) *p = (char)tolower((unsigned char)*p);
    *out = !is_known(name) && is_known(lower) ? lower : name;
    if (is_known(*out)) return LB_OK;
    return lb_fact_of(a, r, r->n ? &r->record[0] : &nothing, NULL, name, &none);
}

/* ---- columns ---- */

struct lb_pick {
    size_t text, exact;
    lb_table_column column;
};

static bool is_number(const char *name) {
    const lb_fact *f = lb_fact_find(name);
    return is_of_rows(name) || (f && (f->kind == LB_FACT_NUMBER || f->kind == LB_FACT_COUNT));
}

/* asked: as the user wrote it, which heads a column that the table does not have itself. */
static void add_pick(lb_columns *x, lb_table_column *all, const lb_own_column *own, const char *name,
                     const char *asked) {
    struct lb_pick *p = &x->pick[x->picks++];
    const char *full = full_name(name);
    for (const lb_own_column *o = own; o->fact; o++) {
        if (strcmp(o->fact, full) != 0) continue;
        *p = (struct lb_pick){o->text, o->exact, all[o->text]};
        p->column.name = full, p->column.panel = p->column.priority = 0;
        return;
    }
    all[x->n] = (lb_table_column){.head = asked, .name = full, .right = is_number(name)};
    *p = (struct lb_pick){x->n, x->n, all[x->n]};
    x->name[x->n++ - x->own] = name;
}

static bool is_asked(const lb_report_options *o, const char *name) {
    for (int64_t i = 0; i < o->columns; i++)
        if (strcmp(o->column[i], name) == 0) return true;
    return false;
}

/* One table of several models or evaluations says which. */
static void add_whose(const lb_report_view *v, lb_columns *x, lb_table_column *all, const lb_own_column *own) {
    static const char *const whose[] = {"model", "evaluation", "protocol"};
    bool several = false;
    for (int64_t m = 0; m < v->models; m++) several |= v->model[m].blocks > 1;
    for (int i = 0; i < 3; i++)
        if ((i ? several : v->models > 1) && !is_asked(v->options, whose[i])) add_pick(x, all, own, whose[i], whose[i]);
}

/* A table that is cut in pieces repeats what names its rows: without a key column, the first of words. */
static void name_rows(lb_columns *x) {
    for (size_t i = 0; i < x->picks; i++)
        if (x->pick[i].column.key) return;
    for (size_t i = 0; i < x->picks; i++) {
        if (x->pick[i].column.right) continue;
        x->pick[i].column.key = true;
        return;
    }
}

lb_status lb_columns_choose(const lb_report_view *v, const lb_table_column *col, size_t n, const lb_own_column *own,
                            lb_columns *out) {
    const lb_report_options *o = v->options;
    *out = (lb_columns){.all = col, .own = n, .n = n};
    if (!o->columns) return LB_OK;
    size_t most = (size_t)o->columns + 3;
    lb_table_column *all = LB_NEW(v->arena, lb_table_column, n + most);
    out->name = LB_NEW(v->arena, const char *, most);
    out->pick = LB_NEW(v->arena, struct lb_pick, most);
    if (!all || !out->name || !out->pick) return LB_E_NOMEM;
    memcpy(all, col, n * sizeof *all);
    out->all = all;
    add_whose(v, out, all, own);
    for (int64_t i = 0; i < o->columns; i++) {
        const char *name;
        lb_status st = lb_report_fact_name(v->arena, v->whole, o->column[i], &name);
        if (st != LB_OK) return lb_fail_in(st, "--columns");
        add_pick(out, all, own, name, o->column[i]);
    }
    name_rows(out);
    return LB_OK;
}

/* Digests are told apart by their beginning. */
static bool is_digest(const char *name) { return strcmp(name, "key") == 0 || lb_str_ends(name, "sha256"); }

lb_status lb_columns_put(const lb_columns *x, const lb_report_view *v, const lb_report_row *row,
                         const lb_report_block *b, lb_table *t) {
    for (size_t c = x->own; c < x->n; c++) {
        const char *name = x->name[c - x->own];
        const lb_fact *f = lb_fact_find(name);
        lb_fact_value value;
        LB_TRY(lb_report_row_fact(v, row, b, name, &value));
        lb_table_set(t, c, value.text, value.text);
        bool number = f ? f->kind == LB_FACT_NUMBER : is_of_rows(name);
        if (number) lb_table_set(t, c, lb_num_sci(value.number, 4).s, NULL);
        if (is_digest(name) && strlen(value.text) == 64)
            lb_table_set(t, c, lb_arena_printf(v->arena, "%.12s", value.text), NULL);
    }
    return LB_OK;
}

/* Texts are shown by the ends of their paths, where those tell them apart. */
static lb_status shorten_paths(const lb_columns *x, lb_table *t) {
    const char **path = LB_NEW(t->arena, const char *, t->rows + 1);
    if (!path) return LB_E_NOMEM;
    for (size_t i = 0; i < x->picks; i++) {
        const char *name = x->pick[i].column.name;
        if (strcmp(name, "calibration") != 0 && strcmp(name, "training") != 0) continue;
        for (size_t r = 0; r < t->rows; r++) path[r] = t->cell[r * t->cols + x->pick[i].text].text;
        LB_TRY(lb_report_path_ends(t->arena, path, (int64_t)t->rows));
        for (size_t r = 0; r < t->rows; r++) t->cell[r * t->cols + x->pick[i].text].text = path[r];
    }
    return LB_OK;
}

lb_status lb_columns_pick(const lb_columns *x, lb_table *t, lb_table **out) {
    *out = t;
    if (!x->picks) return LB_OK;
    lb_table *p;
    lb_table_column *col = LB_NEW(t->arena, lb_table_column, x->picks);
    if (!col) return LB_E_NOMEM;
    LB_TRY(shorten_paths(x, t));
    for (size_t i = 0; i < x->picks; i++) col[i] = x->pick[i].column;
    LB_TRY(lb_table_new(t->arena, t->id, t->title, col, x->picks, &p));
    for (size_t r = 0; r < t->rows; r++) {
        lb_table_row(p);
        if (t->rule[r]) lb_table_rule(p);
        lb_table_again(p, t->again[r]);
        for (size_t i = 0; i < x->picks; i++) {
            const lb_table_cell *row = &t->cell[r * t->cols];
            const char *exact = row[x->pick[i].exact].exact;
            lb_table_set(p, i, lb_table_text(t, r, x->pick[i].text), exact ? exact : "");
        }
    }
    p->failed = p->failed || t->failed;
    *out = p;
    return LB_OK;
}

/* ---- order ---- */

typedef struct sorted_row {
    const lb_report_row *row;
    lb_fact_value value;
    int64_t at; /* in the sweep */
    bool down;
} sorted_row;

/* Numbers before words, what is not known at the end. */
static int by_value(const void *px, const void *py) {
    const sorted_row *x = px, *y = py;
    int order = 0;
    bool numbers = !isnan(x->value.number) && !isnan(y->value.number);
    if (x->row->baseline != y->row->baseline) return x->row->baseline ? -1 : 1;
    if (x->value.known != y->value.known) return x->value.known ? -1 : 1;
    if (numbers)
        order = (x->value.number > y->value.number) - (x->value.number < y->value.number);
    else if (isnan(x->value.number) != isnan(y->value.number))
        order = isnan(x->value.number) ? 1 : -1;
    else
        order = strcmp(x->value.text, y->value.text);
    if (order) return x->down ? -order : order;
    return (x->at > y->at) - (x->at < y->at);
}

lb_status lb_report_sorted(const lb_report_view *v, const lb_report_block *b, const lb_report_row ***out) {
    const char *by = v->options->sort;
    const lb_report_row **row = LB_NEW(v->arena, const lb_report_row *, v->rows + 1);
    sorted_row *s = LB_NEW(v->arena, sorted_row, v->rows + 1);
    bool down = by && by[0] == '-';
    if (!row || !s) return LB_E_NOMEM;
    if (by) {
        lb_status st = lb_report_fact_name(v->arena, v->whole, by + down, &by);
        if (st != LB_OK) return lb_fail_in(st, "--sort");
    }
    for (int64_t i = 0; i < v->rows; i++) {
        s[i] = (sorted_row){.row = &v->row[i], .at = i, .down = down};
        if (by) LB_TRY(lb_report_row_fact(v, s[i].row, b, by, &s[i].value));
    }
    if (by) qsort(s, (size_t)v->rows, sizeof *s, by_value);
    for (int64_t i = 0; i < v->rows; i++) row[i] = s[i].row;
    *out = row;
    return LB_OK;
}
