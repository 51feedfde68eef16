/* Our numbers beside those that a paper or another program gives: ours | expected | difference | within tolerance.
 * What cannot be compared (cell not run, other protocol, other windows) says why, and never counts as within. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/expected.h"

typedef struct answer {
    double ours;
    const char *why; /* NULL: `ours` is there */
} answer;

/* ---- which cell ---- */

static bool same_value(const char *x, const char *y) {
    if (strcmp(x, y) == 0) return true;
    char *ex, *ey;
    double dx = strtod(x, &ex), dy = strtod(y, &ey);
    return ex != x && ey != y && !*ex && !*ey && dx == dy;
}

/* As its resolved config has it, or else its default. */
static bool token_weight_is(const lb_record *c, const char *value) {
    lb_str own = {0};
    bool has = lb_report_config_value(c, "token_weight", &own);
    bool same = has ? own.s && same_value(own.s, value) : same_value("none", value);
    lb_str_free(&own);
    return same;
}

/* An option of the method, or what a cell has besides. */
static bool has_option(const lb_results *r, const lb_record *c, const char *key, const char *value) {
    char text[32];
    const char *v = lb_report_pair(&c->options, key);
    if (!v) v = lb_report_pair(&c->varied, key);
    if (v) return same_value(v, value);
    if (strcmp(key, "propagate") == 0) return c->propagate && same_value(c->propagate, value);
    if (strcmp(key, "true_sequential") == 0) return same_value(c->true_sequential ? "true" : "false", value);
    if (strcmp(key, "token_weight") == 0) return token_weight_is(c, value);
    if (strcmp(key, "model") == 0) return same_value(c->model ? c->model : r->model_name, value);
    if (strcmp(key, "compute") == 0) return same_value(lb_report_compute(c), value);
    if (strcmp(key, "label") == 0) return c->label && same_value(c->label, value);
    if (strcmp(key, "seed") == 0)
        snprintf(text, sizeof text, "%llu", (unsigned long long)c->seed);
    else
        return false;
    return same_value(text, value);
}

/* The SHA-256 of the cell's model, or how it begins. */
static bool has_weights(const lb_record *c, const char *value) {
    const char *hash = lb_report_pair(&c->provenance, "model_sha256");
    return hash && strlen(value) >= LB_EXPECTED_HASH && strncmp(hash, value, strlen(value)) == 0;
}

typedef enum match { MATCHES_NOT, OTHER_WEIGHTS, MATCHES } match;

/* "key=value;key=value" */
static lb_status matches(lb_arena *a, const lb_results *r, const lb_record *c, const lb_expectation *e, match *out) {
    bool cell = c->method && strcmp(c->method, e->text[F_METHOD]) == 0, weights = true;
    char *text = lb_arena_strdup(a, e->text[F_OPTIONS]);
    if (!text) return LB_E_NOMEM;
    for (char *next, *p = text; p && cell; p = next) {
        next = strchr(p, ';');
        if (next) *next++ = 0;
        p += strspn(p, " ");
        char *eq = strchr(p, '=');
        if (!eq) continue; /* the end: reading the file saw to the rest */
        *eq = 0;
        if (strcmp(p, "model_sha256") == 0)
            weights = weights && has_weights(c, eq + 1);
        else
            cell = has_option(r, c, p, eq + 1);
    }
    *out = !cell ? MATCHES_NOT : weights ? MATCHES : OTHER_WEIGHTS;
    return LB_OK;
}

static const char *why_absent(lb_cell_state state) {
    return state == LB_CELL_FAILED    ? "the cell failed"
           : state == LB_CELL_REFUSED ? "the cell was refused"
           : state == LB_CELL_PENDING ? "the cell has not run"
                                      : "the cell's file is missing";
}

lb_status lb_expected_cells(lb_arena *a, const lb_results *r, const lb_expectation *e, const lb_record ***cell,
                            int64_t *n, const char **why) {
    const lb_record *absent = NULL, *other = NULL;
    *cell = LB_NEW(a, const lb_record *, r->n + 1), *n = 0, *why = NULL;
    if (!*cell) return LB_E_NOMEM;
    for (int64_t i = 0; i < r->n; i++) {
        match is;
        LB_TRY(matches(a, r, &r->record[i], e, &is));
        if (is == OTHER_WEIGHTS) other = &r->record[i];
        if (is != MATCHES) continue;
        if (r->record[i].state == LB_CELL_DONE)
            (*cell)[(*n)++] = &r->record[i];
        else
            absent = &r->record[i];
    }
    if (*n) return LB_OK;
    if (absent)
        *why = why_absent(absent->state);
    else if (other)
        *why = lb_report_pair(&other->provenance, "model_sha256") ? "the model has other weights"
                                                                  : "the model's weights are not known";
    else
        *why = "no such cell";
    return LB_OK;
}

lb_status lb_expected_cell(lb_arena *a, const lb_results *r, const lb_expectation *e, const lb_record **cell,
                           const char **why) {
    const lb_record **all;
    int64_t n;
    *cell = NULL;
    LB_TRY(lb_expected_cells(a, r, e, &all, &n, why));
    if (n == 1) *cell = all[0];
    if (n > 1 && !(*why = lb_arena_printf(a, "%lld cells match", (long long)n))) return LB_E_NOMEM;
    return LB_OK;
}

/* ---- which number ---- */

static const char *after(const char *text, const char *prefix) {
    size_t n = strlen(prefix);
    return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

static bool layer_metric(const lb_record *c, const char *metric, answer *out) {
    static const struct {
        const char *prefix;
        double (*of)(const lb_layer_error *);
        bool original;
    } known[] = {{"output_mse:", lb_output_mse, false},
                 {"output_mse_original:", lb_output_mse, true},
                 {"output_rel:", lb_output_rel, false},
                 {"output_rel_original:", lb_output_rel, true},
                 {"weight_mse:", lb_weight_mse, false}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const char *name = after(metric, known[i].prefix);
        if (!name) continue;
        out->why = "no such layer";
        for (int64_t l = 0; l < c->layers; l++) {
            if (strcmp(c->layer[l].name, name) != 0) continue;
            out->ours = known[i].of(known[i].original ? &c->layer[l].original : &c->layer[l].own);
            out->why = isnan(out->ours) ? "not measured" : NULL;
        }
        return true;
    }
    return false;
}

static bool cell_metric(const lb_record *c, const char *metric, answer *out) {
    if (layer_metric(c, metric, out)) return true;
    if (strcmp(metric, "bits_per_weight") == 0)
        out->ours = lb_size_bits(&c->size.quantized);
    else if (strcmp(metric, "quantized_bytes") == 0)
        out->ours = (double)c->size.quantized.total;
    else if (strcmp(metric, "model_bytes_fp16") == 0)
        out->ours = (double)c->size.total_as_fp16;
    else if (strcmp(metric, "model_file_bytes") == 0)
        out->ours = lb_model_file_bytes(c);
    else
        return false;
    bool file = strcmp(metric, "model_file_bytes") == 0;
    out->why = !isnan(out->ours) ? NULL : file ? "the file keeps no whole model" : "nothing is quantized";
    return true;
}

static bool eval_metric(const lb_eval_row *e, const char *metric, answer *out) {
    const char *window = after(metric, "window_nll:");
    out->why = NULL;
    if (window) {
        int64_t w;
        if (lb_parse_i64(window, &w) != LB_OK || w < 0) return false;
        if (w >= e->eval.windows || !e->eval.window_nll)
            out->why = "no such window";
        else
            out->ours = e->eval.window_nll[w];
        return true;
    }
    const struct {
        const char *name;
        double value;
        bool have;
    } known[] = {{"ppl", e->eval.ppl, e->eval.protocol.rule != LB_RULE_CHOICE},
                 {"ppl_se", e->eval.ppl_se, e->eval.protocol.rule != LB_RULE_CHOICE},
                 {"mean_nll", e->eval.mean_nll, true},
                 {"tokens", (double)e->text_tokens, true},
                 {"windows_all", (double)e->eval.windows_all, true},
                 {"tokens_scored", (double)e->eval.scored, true},
                 {"acc_percent", 100 * e->eval.task.acc, e->eval.task.items > 0},
                 {"acc_norm_percent", 100 * e->eval.task.acc_norm, e->eval.task.right_norm != NULL},
                 {"kl_mean", e->eval.kl_mean, e->eval.has_kl},
                 {"top1", e->eval.top1, e->eval.has_kl},
                 {"accept", e->eval.accept, e->eval.speculative > 0},
                 {"delta_ln_ppl", e->paired.delta, e->has_paired}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].name, metric) != 0) continue;
        out->ours = known[i].value;
        out->why = known[i].have ? NULL : "not measured";
        return true;
    }
    return false;
}

bool lb_expected_of_cell(const char *metric) {
    static const lb_record nothing = {.method = ""};
    answer probe = {NAN, NULL};
    return cell_metric(&nothing, metric, &probe);
}

bool lb_expected_is_metric(const char *metric) {
    static const lb_eval_row nothing = {.name = ""};
    answer probe = {NAN, NULL};
    return lb_expected_of_cell(metric) || eval_metric(&nothing, metric, &probe);
}

lb_status lb_expected_eval(lb_arena *a, const lb_record *c, const lb_expectation *e, const lb_eval_row **out,
                           const char **why) {
    *out = NULL;
    *why = "not evaluated on this text";
    for (int64_t i = 0; i < c->evals; i++) {
        const lb_eval_row *x = &c->eval[i];
        if (strcmp(x->name, e->text[F_EVAL]) != 0) continue;
        if (strcmp(x->eval.protocol.id, e->text[F_PROTOCOL]) != 0) {
            *why = lb_arena_printf(a, "other protocol: %s", x->eval.protocol.id);
        } else if (e->text[F_WINDOWS][0] && x->eval.windows >= 0 &&
                   !same_value(e->text[F_WINDOWS], lb_num_int(x->eval.windows).s)) {
            *why = lb_arena_printf(a, "ours has %lld windows", (long long)x->eval.windows);
        } else {
            *out = x;
            return LB_OK;
        }
        if (!*why) return LB_E_NOMEM;
    }
    return LB_OK;
}

lb_status lb_expected_value(lb_arena *a, const lb_record *c, const lb_expectation *e, const lb_eval_row **eval,
                            double *value, const char **why) {
    answer x = {NAN, NULL};
    *eval = NULL, *value = NAN, *why = NULL;
    if (!cell_metric(c, e->text[F_METRIC], &x)) {
        LB_TRY(lb_expected_eval(a, c, e, eval, why));
        if (!*eval) return LB_OK;
        eval_metric(*eval, e->text[F_METRIC], &x);
    }
    *value = x.ours, *why = x.why;
    return LB_OK;
}

static lb_status answer_of(lb_arena *a, const lb_results *r, const lb_expectation *e, answer *out) {
    const lb_record *c;
    const lb_eval_row *eval;
    *out = (answer){NAN, NULL};
    LB_TRY(lb_expected_cell(a, r, e, &c, &out->why));
    return c ? lb_expected_value(a, c, e, &eval, &out->ours, &out->why) : LB_OK;
}

/* ---- the table ---- */

enum { T_NUMBER, T_CELL, T_METRIC, T_OURS, T_EXPECTED, T_DIFF, T_WITHIN, T_TOL, T_WHAT, T_SOURCE, T_COLUMNS };

static const lb_table_column column[T_COLUMNS] = {
    [T_NUMBER] = {.head = "#", .name = "row", .right = true, .key = true},
    [T_CELL] = {.head = "cell", .name = "cell"},
    [T_WHAT] = {.head = "evaluation", .name = "evaluation", .panel = 1},
    [T_METRIC] = {.head = "metric", .name = "metric"},
    [T_OURS] = {.head = "ours", .name = "ours", .right = true},
    [T_EXPECTED] = {.head = "expected", .name = "expected", .right = true},
    [T_DIFF] = {.head = "difference", .name = "difference", .right = true},
    [T_WITHIN] = {.head = "within", .name = "within"},
    [T_TOL] = {.head = "tolerance", .name = "tolerance", .right = true},
    [T_SOURCE] = {.head = "source", .name = "source", .panel = 1},
};

static void put_difference(lb_table *t, const lb_expectation *e, double diff) {
    lb_num n = lb_num_sci(diff, 3), shown = n;
    if (n.s[0] && diff > 0) snprintf(shown.s, sizeof shown.s, "+%.40s", n.s);
    lb_table_set(t, T_DIFF, shown.s, lb_num_exact(diff).s);
    lb_table_setf(t, T_TOL, "%s %s", lb_num_exact(e->tolerance).s, e->relative ? "rel." : "abs.");
}

void lb_expected_put_cell(lb_table *t, size_t c, const lb_expectation *e, lb_str *shown) {
    char *exact =
        lb_arena_printf(t->arena, "%s%s%s", e->text[F_METHOD], e->text[F_OPTIONS][0] ? " " : "", e->text[F_OPTIONS]);
    if (!exact || shown->failed)
        t->failed = true;
    else
        lb_table_set(t, c, shown->s, exact);
    lb_str_free(shown);
}

/* "rtn", "bits=3;group=64;act_order=true" as "rtn 3b g64 act_order", the way that cells are named elsewhere. */
static void put_cell(lb_table *t, const lb_expectation *e) {
    lb_str s = {0};
    lb_str_add(&s, "%s", e->text[F_METHOD]);
    for (const char *p = e->text[F_OPTIONS]; *p; p += strspn(p, "; ")) {
        const char *eq = strchr(p, '=');
        size_t n = strcspn(p, ";"), key = eq ? (size_t)(eq - p) : n;
        if (key > n) key = n;
        const char *value = p + key + (key < n);
        int room = (int)(n - (size_t)(value - p));
        bool digits = room > 0 && strspn(value, "0123456789") >= (size_t)room;
        if (key == 12 && !strncmp(p, "model_sha256", 12)) { /* long, and the same in all rows of a model */
            p += n;
            continue;
        }
        if (key == 4 && !strncmp(p, "bits", 4))
            lb_str_add(&s, " %.*sb", room, value);
        else if (key == 5 && !strncmp(p, "group", 5))
            lb_str_add(&s, " %s%.*s", digits ? "g" : "", room, value);
        else if (room == 4 && !strncmp(value, "true", 4))
            lb_str_add(&s, " %.*s", (int)key, p);
        else if (room == 5 && !strncmp(value, "false", 5))
            lb_str_add(&s, " no_%.*s", (int)key, p);
        else
            lb_str_add(&s, " %.*s", (int)n, p);
        p += n;
    }
    lb_expected_put_cell(t, T_CELL, e, &s);
}

/* Digits that show a difference at the tolerance. */
static lb_num shown(const lb_expectation *e, double v) {
    if (v == floor(v) && fabs(v) < 1e9) return lb_num_fixed(v, 0);
    double rel = e->relative ? e->tolerance : e->tolerance / fmax(fabs(e->expected), 1e-300);
    int digits = rel > 0 ? (int)ceil(-log10(rel)) + 2 : 8;
    return lb_num_sci(v, digits < 4 ? 4 : digits > 10 ? 10 : digits);
}

static void put_row(lb_table *t, const lb_expectation *e, const answer *x, int64_t *outside, int64_t *compared) {
    lb_table_row(t);
    lb_table_setf(t, T_NUMBER, "%zu", t->rows);
    const char *windows = e->text[F_WINDOWS];
    put_cell(t, e);
    if (e->text[F_EVAL][0])
        lb_table_setf(t, T_WHAT, "%s, %s%s%s", e->text[F_EVAL], e->text[F_PROTOCOL], windows[0] ? ", " : "", windows);
    lb_table_set(t, T_METRIC, e->text[F_METRIC], e->text[F_METRIC]);
    lb_table_set(t, T_EXPECTED, isnan(e->expected) ? "nan" : shown(e, e->expected).s, e->text[F_EXPECTED]);
    lb_table_set(t, T_SOURCE, e->text[F_SOURCE], e->text[F_SOURCE]);
    if (x->why) {
        lb_table_set(t, T_WITHIN, x->why, x->why);
        return;
    }
    lb_table_set(t, T_OURS, shown(e, x->ours).s, lb_num_exact(x->ours).s);
    if (isnan(e->expected)) {
        lb_table_set(t, T_WITHIN, "nan as published", "nan as published");
        return;
    }
    double diff = x->ours - e->expected;
    if (e->relative) diff /= fabs(e->expected);
    bool within = fabs(diff) <= e->tolerance; /* a NaN is outside */
    put_difference(t, e, diff);
    lb_table_set(t, T_WITHIN, within ? "yes" : "NO", within ? "yes" : "no");
    *outside += !within;
    ++*compared;
}

static lb_status make(lb_arena *a, const lb_results *r, const char *path, lb_table_format f, lb_str *out,
                      int64_t *outside) {
    lb_expectation *e = NULL;
    size_t n = 0;
    int64_t compared = 0;
    lb_table *t;
    LB_TRY(lb_expected_read(a, path, &e, &n));
    char *title = lb_arena_printf(a, "%s: ours and what is expected", r->model_name);
    if (!title) return LB_E_NOMEM;
    LB_TRY(lb_table_new(a, "expected", title, column, T_COLUMNS, &t));
    *outside = 0;
    for (size_t i = 0; i < n; i++) {
        answer x;
        if (lb_expected_published(&e[i])) continue;
        LB_TRY(answer_of(a, r, &e[i], &x));
        put_row(t, &e[i], &x, outside, &compared);
    }
    if (n && !t->rows) return LB_OK; /* all of them are published numbers */
    LB_TRY(lb_table_render(t, f, out));
    if (f == LB_TABLE_CSV) return LB_OK;
    char *sum =
        lb_arena_printf(a, "%lld of %zu compared: %lld within tolerance, %lld outside; %lld could not be compared.",
                        (long long)compared, t->rows, (long long)(compared - *outside), (long long)*outside,
                        (long long)t->rows - (long long)compared);
    if (!sum) return LB_E_NOMEM;
    lb_markup_paragraph(out, f, sum);
    return lb_str_check(out);
}

lb_status lb_report_expected_table(const lb_results *r, const char *expected_csv, lb_table_format f, lb_str *out,
                                   int64_t *outside) {
    lb_arena *a;
    LB_TRY(lb_arena_new(0, &a));
    lb_status st = make(a, r, expected_csv, f, out, outside);
    lb_arena_free(a);
    return st;
}
