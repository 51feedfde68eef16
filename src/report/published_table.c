/* Ours beside the published numbers of an experiment. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/beside.h"

#define DASH "\xe2\x80\x93"
#define PM   "\xc2\xb1"

enum {
    T_NUMBER,
    T_MODEL,
    T_CELL,
    T_PROTOCOL,
    T_METRIC,
    T_OURS,
    T_HALF,
    T_PUBLISHED,
    T_DIFF,
    T_VERDICT,
    T_SHORT,
    T_SPREAD,
    T_SEEDS,
    T_LOW,
    T_HIGH,
    T_VALUES,
    T_WHAT,
    T_SOURCE,
    T_PLACE,
    T_TRUST,
    T_COLUMNS
};

static const lb_table_column column[T_COLUMNS] = {
    [T_NUMBER] = {.head = "#", .name = "row", .right = true, .key = true},
    [T_MODEL] = {.head = "model", .name = "model"},
    [T_CELL] = {.head = "cell", .name = "cell"},
    [T_PROTOCOL] = {.head = "protocol", .name = "protocol", .priority = 1},
    [T_METRIC] = {.head = NULL, .name = "metric"},
    [T_OURS] = {.head = "ours", .name = "ours", .right = true},
    [T_HALF] = {.head = NULL, .name = "ours_half"},
    [T_PUBLISHED] = {.head = "published", .name = "published", .right = true},
    [T_DIFF] = {.head = "difference", .name = "difference", .right = true},
    [T_VERDICT] = {.head = "verdict", .name = "verdict"},
    [T_SHORT] = {.head = "source", .priority = 2, .panel = 1},
    [T_SPREAD] = {.head = "spread", .right = true, .priority = 3, .panel = 1},
    [T_SEEDS] = {.head = "seeds", .name = "seeds", .right = true, .priority = 4, .panel = 1},
    [T_LOW] = {.head = NULL, .name = "spread_low"},
    [T_HIGH] = {.head = NULL, .name = "spread_high"},
    [T_VALUES] = {.head = NULL, .name = "spread_values"},
    [T_WHAT] = {.head = "evaluation", .name = "evaluation", .priority = 5, .panel = 1},
    [T_SOURCE] = {.head = NULL, .name = "source"},
    [T_PLACE] = {.head = NULL, .name = "place"},
    [T_TRUST] = {.head = NULL, .name = "trust"},
};

/* As its paper calls it: "GPTQ 4b g128", "Wanda 2:4", "fp". */
static void name_published(const lb_published *x, lb_str *out) {
    bool bits = x->bits[strspn(x->bits, "0123456789.")] == 0, group = x->group[strspn(x->group, "0123456789")] == 0;
    lb_str_add(out, "%s", x->method_name);
    if (x->method->quantize[0] && strstr(x->method->quantize, "method: none")) return;
    lb_str_add(out, " %s%s", x->bits, bits ? "b" : "");
    if (strcmp(x->group, "-") != 0) lb_str_add(out, " %s%s", group ? "g" : "", x->group);
}

/* "gptq", "bits=4;group=row;act_order=false;model=m" as "gptq 4b row"; a setting of the literature is its value. */
static void name_row(const lb_expectation *e, lb_str *out) {
    lb_str_add(out, "%s", e->text[F_METHOD]);
    for (const char *p = e->text[F_OPTIONS]; *p; p += strcspn(p, ";"), p += strspn(p, "; ")) {
        size_t key = strcspn(p, "=;");
        const char *value = p + key + (p[key] == '=');
        int room = (int)strcspn(value, ";");
        bool digits = room > 0 && (int)strspn(value, "0123456789") >= room;
        if (!strncmp(p, "model", 5) || (room == 5 && !strncmp(value, "false", 5))) continue;
        if (key == 4 && !strncmp(p, "bits", 4))
            lb_str_add(out, " %.*sb", room, value);
        else if (key == 5 && !strncmp(p, "group", 5))
            lb_str_add(out, " %s%.*s", digits ? "g" : "", room, value);
        else if (room == 4 && !strncmp(value, "true", 4))
            lb_str_add(out, " %.*s", (int)key, p);
        else if (key == 7 && !strncmp(p, "setting", 7))
            lb_str_add(out, " %.*s", room, value);
        else
            lb_str_add(out, " %.*s", (int)strcspn(p, ";"), p);
    }
}

static void put_cell(lb_table *t, const lb_expectation *e, const lb_published *x) {
    lb_str s = {0};
    if (x)
        name_published(x, &s);
    else
        name_row(e, &s);
    lb_expected_put_cell(t, T_CELL, e, &s);
}

static void put_ours(lb_table *t, const lb_beside *b) {
    int decimals = lb_beside_decimals(b->half_unit);
    double mean = b->verdict.mean, half = b->verdict.half;
    if (!b->seeds) return;
    char shown[128];
    if (isnan(half))
        snprintf(shown, sizeof shown, "%s", lb_num_fixed(mean, decimals).s);
    else
        snprintf(shown, sizeof shown, "%s " PM " %s", lb_num_fixed(mean, decimals).s, lb_num_fixed(half, decimals).s);
    lb_table_set(t, T_OURS, shown, lb_num_exact(mean).s);
    lb_table_set(t, T_HALF, NULL, lb_num_exact(half).s);
    lb_table_set(t, T_SEEDS, lb_num_int(b->seeds).s, lb_num_int(b->seeds).s);
    bool never = b->verdict.kind == LB_VERDICT_SHOWN;
    if (!never && isfinite(b->value))
        lb_table_set(t, T_DIFF, lb_num_signed(mean - b->value, decimals).s, lb_num_exact(mean - b->value).s);
}

static void put_spread(lb_table *t, const lb_beside *b) {
    if (!b->values) return;
    int decimals = lb_beside_decimals(b->half_unit);
    if (b->values > 1) {
        char shown[128];
        snprintf(shown, sizeof shown, "%s" DASH "%s", lb_num_fixed(b->low, decimals).s,
                 lb_num_fixed(b->high, decimals).s);
        lb_table_set(t, T_SPREAD, shown, lb_num_exact(b->low).s); /* what a page sorts by */
    }
    lb_table_set(t, T_LOW, NULL, lb_num_exact(b->low).s);
    lb_table_set(t, T_HIGH, NULL, lb_num_exact(b->high).s);
    lb_table_set(t, T_VALUES, NULL, lb_num_int(b->values).s);
}

typedef struct sums {
    int64_t rows, agree, differ, literature, left_out;
    const lb_expectation *first; /* of the rows */
    bool one_source, one_text;   /* all rows have that one's: said once, below the table; the text with its protocol */
    lb_str others;               /* models of what is left out */
} sums;

static bool same_source(const lb_expectation *x, const lb_expectation *y) {
    return strcmp(x->text[F_SOURCE], y->text[F_SOURCE]) == 0 && strcmp(x->text[F_PLACE], y->text[F_PLACE]) == 0;
}

static void count(sums *s, lb_verdict_kind kind) {
    s->rows++;
    s->agree += kind == LB_VERDICT_DIGIT || kind == LB_VERDICT_SPREAD || kind == LB_VERDICT_TOLERANCE;
    s->differ += kind == LB_VERDICT_DIFFERS;
    s->literature += kind == LB_VERDICT_LITERATURE;
}

static lb_status put_row(lb_table *t, const lb_results *r, const lb_papers *p, const lb_expectation *e, sums *sum) {
    const lb_published *x;
    const char *verdict;
    lb_beside b;
    LB_TRY(lb_published_row(t->arena, p, e, &x));
    LB_TRY(lb_beside_of(t->arena, r, p, e, x, &b));
    LB_TRY(lb_beside_text(t->arena, &b, &verdict));
    count(sum, b.verdict.kind);
    lb_table_row(t);
    lb_table_setf(t, T_NUMBER, "%zu", t->rows);
    if (r->n && r->record[0].model) {
        const char *model;
        LB_TRY(lb_expected_option(t->arena, e, "model", &model));
        lb_table_set(t, T_MODEL, model, model);
    }
    put_cell(t, e, x);
    lb_table_set(t, T_PROTOCOL, sum->one_text ? NULL : e->text[F_PROTOCOL], e->text[F_PROTOCOL]);
    lb_table_set(t, T_METRIC, NULL, e->text[F_METRIC]);
    put_ours(t, &b);
    put_spread(t, &b);
    lb_table_set(t, T_PUBLISHED, e->text[F_EXPECTED], e->text[F_EXPECTED]);
    lb_table_set(t, T_VERDICT, verdict, verdict);
    lb_table_set(t, T_WHAT, sum->one_text ? NULL : e->text[F_EVAL], e->text[F_EVAL]);
    if (!sum->one_source) lb_table_setf(t, T_SHORT, "%s %s", x ? x->paper : e->text[F_SOURCE], e->text[F_PLACE]);
    lb_table_set(t, T_SOURCE, NULL, e->text[F_SOURCE]);
    lb_table_set(t, T_PLACE, NULL, e->text[F_PLACE]);
    lb_table_set(t, T_TRUST, NULL, lb_trust_names[e->trust]);
    return LB_OK;
}

/* A model, once. */
static void leave_out(sums *s, const char *model) {
    s->left_out++;
    size_t n = strlen(model);
    for (const char *p = s->others.s; p && (p = strstr(p, model)); p += n)
        if (p[-1] == ' ' && (!p[n] || p[n] == ',')) return;
    lb_str_add(&s->others, "%s %s", s->others.len ? "," : ":", model);
}

/* Which published rows are of a model that ran; what these have in common, and which models the others are of. */
static lb_status split(lb_arena *a, const lb_results *r, const lb_expectation *e, size_t n, bool *shown, sums *s) {
    for (size_t i = 0; i < n; i++) {
        const char *model;
        if (!lb_expected_published(&e[i])) continue;
        LB_TRY(lb_beside_of_model(a, r, &e[i], &shown[i]));
        if (shown[i]) {
            if (!s->first) s->first = &e[i];
            s->one_source = s->one_source && same_source(s->first, &e[i]);
            s->one_text = s->one_text && strcmp(s->first->text[F_EVAL], e[i].text[F_EVAL]) == 0 &&
                          strcmp(s->first->text[F_PROTOCOL], e[i].text[F_PROTOCOL]) == 0;
            continue;
        }
        LB_TRY(lb_expected_option(a, &e[i], "model", &model));
        if (model) leave_out(s, model);
    }
    return lb_str_check(&s->others);
}

static lb_status finish(const lb_table *t, const sums *s, lb_table_format f, lb_str *out) {
    lb_str text = {0};
    bool words = f != LB_TABLE_CSV;
    if (words && s->rows)
        lb_str_add(
            &text,
            "Published numbers: %lld; agree %lld, differ %lld, literature (the method is not here) %lld, without a "
            "verdict %lld. " PM " is half of the 95 %% interval of one more seed. Spread: from the least to the "
            "largest number published of the cell, with half a unit of the last digit.",
            (long long)s->rows, (long long)s->agree, (long long)s->differ, (long long)s->literature,
            (long long)(s->rows - s->agree - s->differ - s->literature));
    if (words && s->rows && s->one_text)
        lb_str_add(&text, " Evaluation: %s, %s.", s->first->text[F_EVAL], s->first->text[F_PROTOCOL]);
    if (words && s->rows && s->one_source)
        lb_str_add(&text, " Source: %s, %s.", s->first->text[F_SOURCE], s->first->text[F_PLACE]);
    if (words && s->left_out)
        lb_str_add(&text, "%s of models that did not run: %lld%s.", text.len ? " Numbers" : "Published numbers",
                   (long long)s->left_out, s->others.s ? s->others.s : "");
    lb_status st = s->rows || f == LB_TABLE_CSV ? lb_table_render(t, f, out) : LB_OK;
    if (st == LB_OK) st = lb_str_check(&text);
    if (st == LB_OK && text.len) lb_markup_paragraph(out, f, text.s);
    lb_str_free(&text);
    LB_TRY(st);
    return lb_str_check(out);
}

static lb_status make(lb_arena *a, const lb_results *r, const char *path, const lb_report_options *o, lb_table_format f,
                      lb_str *out, int64_t *differs) {
    const lb_papers *p = o ? o->papers : NULL;
    lb_expectation *e;
    size_t n;
    sums sum = {.one_source = true, .one_text = true};
    lb_table *t;
    *differs = 0;
    LB_TRY(lb_expected_read(a, path, &e, &n));
    bool *shown = LB_NEW(a, bool, n + 1);
    if (!shown) return LB_E_NOMEM;
    char *title = lb_arena_printf(a, "%s: ours and published numbers", r->model_name);
    if (!title) return LB_E_NOMEM;
    LB_TRY(lb_table_new(a, "published", title, column, T_COLUMNS, &t));
    t->wide = o && o->wide;
    lb_status st = split(a, r, e, n, shown, &sum);
    for (size_t i = 0; i < n && st == LB_OK; i++)
        if (shown[i]) st = put_row(t, r, p, &e[i], &sum);
    *differs = sum.differ;
    if (st == LB_OK && (sum.rows || sum.left_out)) st = finish(t, &sum, f, out);
    lb_str_free(&sum.others);
    return st;
}

lb_status lb_report_published_table(const lb_results *r, const char *expected_csv, const lb_report_options *o,
                                    lb_table_format f, lb_str *out, int64_t *differs) {
    lb_arena *a;
    LB_TRY(lb_arena_new(0, &a));
    lb_status st = make(a, r, expected_csv, o, f, out, differs);
    lb_arena_free(a);
    return st;
}
