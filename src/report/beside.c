#include "report/beside.h"

#include <math.h>
#include <string.h>

#include "quant/method.h"
#include "report/alike.h"

/* ---- the row among the published ones ---- */

static lb_status is_row(lb_arena *a, const lb_published *x, const lb_expectation *e, bool *yes) {
    lb_published_cell c;
    *yes = false;
    size_t n = strlen(x->paper);
    const char *source = e->text[F_SOURCE];
    if (strcmp(x->text, e->text[F_EXPECTED]) != 0 || strcmp(x->table, e->text[F_PLACE]) != 0 ||
        strncmp(source, x->paper, n) != 0 || strncmp(source + n, " (", 2) != 0)
        return LB_OK;
    LB_TRY(lb_published_cell_of(a, x, &c));
    *yes = strcmp(c.method, e->text[F_METHOD]) == 0 && strcmp(c.options, e->text[F_OPTIONS]) == 0 &&
           strcmp(c.protocol, e->text[F_PROTOCOL]) == 0;
    return LB_OK;
}

lb_status lb_published_row(lb_arena *a, const lb_papers *p, const lb_expectation *e, const lb_published **out) {
    *out = NULL;
    for (size_t i = 0; p && i < p->rows && !*out; i++) {
        bool yes;
        LB_TRY(is_row(a, &p->row[i], e, &yes));
        if (yes) *out = &p->row[i];
    }
    return LB_OK;
}

/* The row's own value is one of them, whatever else is known. */
static void find_spread(const lb_papers *p, const lb_published *x, lb_beside *out) {
    out->low = out->value - out->half_unit, out->high = out->value + out->half_unit, out->values = 1;
    for (size_t i = 0; p && x && i < p->rows; i++) {
        const lb_published *y = &p->row[i];
        if (y == x || !lb_published_counts(y) || !lb_published_same_cell(x, y)) continue;
        out->low = fmin(out->low, y->value - y->half_unit);
        out->high = fmax(out->high, y->value + y->half_unit);
        out->values++;
    }
}

/* ---- the cells ---- */

/* So many stages of a method's name, "rtn+act", are methods for which `is` holds; *of: stages in all. */
static size_t count_stages(const char *name, bool (*is)(const lb_method *m), size_t *of) {
    size_t found = 0;
    *of = 0;
    for (const char *p = name; *p; p += strcspn(p, "+"), p += *p == '+', ++*of) {
        size_t n = strcspn(p, "+");
        const lb_method *m;
        for (size_t i = 0; (m = lb_method_at(i)); i++)
            found += strlen(m->name) == n && strncmp(m->name, p, n) == 0 && is(m);
    }
    return found;
}

static bool draws(const lb_method *m) { return (m->needs & (LB_NEEDS_CALIBRATION | LB_NEEDS_TRAINER)) != 0; }
static bool is_any(const lb_method *m) { return m != NULL; }

bool lb_beside_has_method(const char *name) {
    size_t of;
    return count_stages(name, is_any, &of) == of;
}

bool lb_beside_draws(const char *name) {
    size_t of;
    return count_stages(name, draws, &of) > 0;
}

lb_status lb_beside_of_model(lb_arena *a, const lb_results *r, const lb_expectation *e, bool *yes) {
    const char *model;
    LB_TRY(lb_expected_option(a, e, "model", &model));
    *yes = !model || lb_beside_has_model(r, model);
    return LB_OK;
}

bool lb_beside_has_model(const lb_results *r, const char *name) {
    for (int64_t i = 0; i < r->n; i++)
        if (strcmp(r->record[i].model ? r->record[i].model : r->model_name, name) == 0) return true;
    return false;
}

/* The published numbers of LAMBADA are of the normalized text, encoded without a BOS. */
static lb_status not_as_lambada(lb_arena *a, const lb_eval_row *x, const char **why) {
    if (x->variant && strcmp(x->variant, "normalized") != 0)
        *why = lb_arena_printf(a, "the text's variant is %s, not normalized", x->variant);
    else if (x->bos && strcmp(x->bos, "never") != 0 && strcmp(x->bos, "auto: none") != 0)
        *why = lb_arena_strdup(a, "with BOS");
    else
        return LB_OK;
    return *why ? LB_OK : LB_E_NOMEM;
}

/* Why an evaluation, though of the text and the protocol, is no measurement of the published quantity; NULL: it is. */
static lb_status not_whole(lb_arena *a, const lb_eval_row *x, const char **why) {
    *why = NULL;
    if (!x) return LB_OK;
    if (x->eval.windows != x->eval.windows_all)
        *why = lb_arena_printf(a, "%lld of %lld windows", (long long)x->eval.windows, (long long)x->eval.windows_all);
    else if (x->bf16)
        *why = lb_arena_strdup(a, "products in bfloat16");
    else if (x->eval.protocol.rule == LB_RULE_LAMB)
        return not_as_lambada(a, x, why);
    else if (x->bos && strcmp(x->bos, "never") == 0)
        *why = lb_arena_strdup(a, "without BOS");
    else
        return LB_OK;
    return *why ? LB_OK : LB_E_NOMEM;
}

/* A look at fewer samples than the paper drew is no measurement of its number either. */
static lb_status drawn_less(lb_arena *a, const lb_record *c, const lb_published *x, const char **why) {
    int64_t samples;
    if (!x || !lb_beside_draws(c->method)) return LB_OK;
    const lb_published_draw *d = lb_published_draw_of(x);
    const char *ours = lb_report_known(c, "calibration_samples");
    if (lb_parse_i64(ours, &samples) != LB_OK || samples >= d->samples) return LB_OK;
    *why = lb_arena_printf(a, "%lld of %d calibration samples", (long long)samples, d->samples);
    return *why ? LB_OK : LB_E_NOMEM;
}

typedef struct ours {
    double *value;
    int64_t n;
    const char *why;      /* NULL: they are there */
    lb_verdict_kind kind; /* with a `why`: NOT_RUN or SHOWN */
} ours;

/* The values of the seeds of one row. */
static lb_status find_ours(lb_arena *a, const lb_results *r, const lb_expectation *e, const lb_published *x,
                           ours *out) {
    const lb_record **cell;
    const lb_eval_row *eval;
    int64_t n;
    *out = (ours){.kind = LB_VERDICT_NOT_RUN};
    LB_TRY(lb_expected_cells(a, r, e, &cell, &n, &out->why));
    if (out->why) return LB_OK;
    if (!(out->value = LB_NEW(a, double, n))) return LB_E_NOMEM;
    for (int64_t i = 0; i < n; i++) {
        out->kind = LB_VERDICT_NOT_RUN;
        if (i && !lb_report_same_but_seed(cell[0], cell[i])) {
            out->why = lb_arena_printf(a, "%lld cells match, not only seeds of one", (long long)n);
            return out->why ? LB_OK : LB_E_NOMEM;
        }
        LB_TRY(lb_expected_value(a, cell[i], e, &eval, &out->value[i], &out->why));
        if (!out->why && isnan(out->value[i])) out->why = "not measured";
        if (out->why) return LB_OK;
        LB_TRY(not_whole(a, eval, &out->why));
        if (!out->why) LB_TRY(drawn_less(a, cell[i], x, &out->why));
        out->kind = LB_VERDICT_SHOWN;
        if (out->why) return LB_OK;
    }
    out->n = n;
    return LB_OK;
}

const char *lb_beside_never(const lb_expectation *e) {
    lb_protocol p;
    return isnan(e->expected)                                    ? "nan"
           : e->trust == LB_TRUST_SUSPECT                        ? "suspect"
           : e->trust == LB_TRUST_USER                           ? "a user's"
           : lb_protocol_parse(e->text[F_PROTOCOL], &p) != LB_OK ? "its protocol is not here"
                                                                 : NULL;
}

static lb_status judge(lb_arena *a, const lb_expectation *e, const ours *o, lb_beside *out) {
    const char *method = e->text[F_METHOD], *never = lb_beside_never(e);
    out->seeds = o->n;
    lb_verdict_case c = {.value = e->expected,
                         .half_unit = e->half_unit,
                         .low = out->low,
                         .high = out->high,
                         .tolerance = e->relative ? e->tolerance * fabs(e->expected) : e->tolerance,
                         .exact = strcmp(method, "none") == 0 || strcmp(method, "rtn") == 0,
                         .draws = lb_beside_draws(method),
                         .ours = o->value,
                         .seeds = o->n};
    out->verdict = lb_verdict_of(&c);
    if (never) {
        out->verdict.kind = LB_VERDICT_SHOWN;
        out->why = never;
    } else if (out->verdict.kind == LB_VERDICT_SEEDS_FEW) {
        out->why = lb_arena_printf(a, "%d seeds needed", LB_VERDICT_SEEDS);
        if (!out->why) return LB_E_NOMEM;
    }
    return LB_OK;
}

lb_status lb_beside_of(lb_arena *a, const lb_results *r, const lb_papers *p, const lb_expectation *e,
                       const lb_published *x, lb_beside *out) {
    ours o;
    *out = (lb_beside){.value = e->expected, .half_unit = e->half_unit, .low = NAN, .high = NAN};
    out->verdict = (lb_verdict){LB_VERDICT_NOT_RUN, NAN, NAN};
    const char *never = lb_beside_never(e);
    if (!never) find_spread(p, x, out);
    LB_TRY(find_ours(a, r, e, x, &o));
    if (o.n) return judge(a, e, &o, out);
    out->why = o.why;
    out->verdict.kind = o.kind;
    if (!lb_beside_has_method(e->text[F_METHOD])) {
        out->verdict.kind = LB_VERDICT_LITERATURE;
        out->why = NULL;
    } else if (never) {
        out->verdict.kind = LB_VERDICT_SHOWN;
        out->why = never;
    }
    return LB_OK;
}

lb_status lb_beside_text(lb_arena *a, const lb_beside *b, const char **out) {
    switch (b->verdict.kind) {
    case LB_VERDICT_DIGIT:
        *out = "agrees to the last digit";
        break;
    case LB_VERDICT_SPREAD:
        *out = b->values > 1 ? lb_arena_printf(a, "within the literature's spread (%lld values)", (long long)b->values)
                             : "agrees with the one value";
        break;
    case LB_VERDICT_TOLERANCE:
        *out = "within the tolerance";
        break;
    case LB_VERDICT_DIFFERS:
        *out = "DIFFERS";
        break;
    case LB_VERDICT_SEEDS_FEW:
        *out = lb_arena_printf(a, "shown: %s", b->why);
        break;
    case LB_VERDICT_SHOWN:
        *out = lb_arena_printf(a, "shown, never compared (%s)", b->why);
        break;
    case LB_VERDICT_LITERATURE:
        *out = "literature";
        break;
    case LB_VERDICT_NOT_RUN:
        *out = b->why;
        break;
    }
    return *out ? LB_OK : LB_E_NOMEM;
}

int lb_beside_decimals(double half_unit) {
    int printed = (int)lround(-log10(2 * half_unit)), more = printed < 0 ? 0 : printed + 1;
    return more > 8 ? 8 : more;
}
