/* cells.csv: one tidy row a cell and evaluation, every number as it is. The columns are report/facts. */
#include <string.h>

#include "io/csv.h"
#include "report/facts.h"

/* A spreadsheet takes a text that begins so for a formula, and some formulas start programs. */
static bool is_formula(const char *s) {
    double number;
    return *s && strchr("=@+-\t\r", *s) && lb_parse_f64(s, &number) != LB_OK;
}

static lb_status field(lb_arena *a, lb_fact_kind kind, const char *s, lb_str *out) {
    bool formula = kind == LB_FACT_TEXT && is_formula(s);
    const char *safe = formula ? lb_arena_printf(a, "'%s", s) : s;
    if (!safe) return LB_E_NOMEM;
    lb_csv_field(out, safe, false);
    return LB_OK;
}

/* The comma after the last field becomes the end of the line. */
static void end(lb_str *out) {
    if (!out->failed && out->len) out->s[out->len - 1] = '\n';
}

typedef struct sheet {
    lb_arena *arena;
    const lb_results *r;
    const char **option;
    int64_t options;
    lb_str *out;
} sheet;

static lb_status header(const sheet *t) {
    for (const lb_fact *f = lb_facts; f->name; f++) lb_csv_field(t->out, f->name, false);
    for (int64_t i = 0; i < t->options; i++) {
        char *name = lb_arena_printf(t->arena, "option.%s", t->option[i]);
        if (!name) return LB_E_NOMEM;
        lb_csv_field(t->out, name, false);
    }
    end(t->out);
    return LB_OK;
}

static lb_status row(const sheet *t, const lb_record *c, const lb_eval_row *e) {
    lb_arena_mark start = lb_arena_save(t->arena);
    for (const lb_fact *f = lb_facts; f->name; f++) {
        lb_fact_value v;
        LB_TRY(lb_fact_get(t->arena, t->r, c, e, f, &v));
        LB_TRY(field(t->arena, f->kind, v.text, t->out));
    }
    for (int64_t i = 0; i < t->options; i++) {
        const char *value = lb_report_pair(&c->options, t->option[i]);
        LB_TRY(field(t->arena, LB_FACT_TEXT, value ? value : "", t->out));
    }
    end(t->out);
    lb_arena_restore(t->arena, start);
    return LB_OK;
}

static lb_status write_all(lb_arena *a, const lb_results *r, lb_str *out) {
    sheet t = {.arena = a, .r = r, .out = out};
    LB_TRY(lb_fact_options(a, r, &t.option, &t.options));
    LB_TRY(header(&t));
    for (int64_t i = 0; i < r->n; i++) {
        const lb_record *c = &r->record[i];
        if (!c->evals) LB_TRY(row(&t, c, NULL));
        for (int64_t e = 0; e < c->evals; e++) LB_TRY(row(&t, c, &c->eval[e]));
    }
    return lb_str_check(out);
}

lb_status lb_report_cells_csv(const lb_results *r, lb_str *out) {
    lb_arena *a;
    LB_TRY(lb_arena_new(0, &a));
    lb_status st = write_all(a, r, out);
    lb_arena_free(a);
    return st;
}
