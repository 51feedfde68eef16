/* cells.csv: one tidy row a cell and evaluation, every number as it is. The columns are explained in docs/report.md. */
#include <math.h>
#include <string.h>

#include "io/csv.h"
#include "report/parts.h"

typedef struct row {
    lb_str *out;
    bool header; /* names instead of values */
} row;

static void field(row *r, const char *name, const char *value) {
    lb_csv_field(r->out, r->header ? name : value, false);
}

/* A spreadsheet takes a text that begins so for a formula, and some formulas start programs. */
static bool is_formula(const char *s) {
    double number;
    return *s && strchr("=@+-\t\r", *s) && lb_parse_f64(s, &number) != LB_OK;
}

static void text(row *r, const char *name, const char *value) {
    lb_str safe = {0};
    bool formula = value && is_formula(value);
    if (formula) lb_str_add(&safe, "'%s", value);
    if (safe.failed) r->out->failed = true;
    field(r, name, formula && safe.s ? safe.s : value ? value : "");
    lb_str_free(&safe);
}

static void num(row *r, const char *name, double v) { field(r, name, lb_num_exact(v).s); }
static void count(row *r, const char *name, bool known, int64_t v) { field(r, name, known ? lb_num_int(v).s : ""); }

/* The comma after the last field becomes the end of the line. */
static void end(row *r) {
    if (!r->out->failed && r->out->len) r->out->s[r->out->len - 1] = '\n';
}

static void identity(row *r, const lb_report_view *v, const lb_record *c) {
    static const char *const state[] = {"done", "failed", "refused"};
    char group[32];
    text(r, "experiment", v->r->name);
    text(r, "model", c->model ? c->model : v->r->model_name);
    text(r, "cell", c->stem);
    text(r, "label", c->label);
    text(r, "state", state[c->state]);
    text(r, "message", c->message);
    text(r, "method", c->method);
    /* What a cell without a result was asked for is known, what it would have stored is not. */
    bool done = c->state == LB_CELL_DONE, quantized = c->bits > 0 && (c->size.quantized.weights > 0 || !done);
    count(r, "bits", quantized, c->bits);
    text(r, "group", done ? lb_report_group_text(c, group) : lb_report_pair(&c->options, "group"));
    text(r, "storage", quantized && done ? c->storage : "");
    text(r, "propagate", c->propagate);
    text(r, "true_sequential", c->true_sequential ? "true" : "false");
    count(r, "seed", true, (int64_t)c->seed);
}

static void sizes(row *r, const lb_record *c) {
    const lb_model_size *s = &c->size;
    bool done = c->state == LB_CELL_DONE;
    num(r, "bits_per_weight", lb_size_bits(&c->size.quantized));
    count(r, "quantized_weights", done, s->quantized.weights);
    count(r, "quantized_bytes", done, s->quantized.total);
    count(r, "model_bytes_rest_stored", done, s->total_as_stored);
    count(r, "model_bytes_rest_fp16", done, s->total_as_fp16);
    count(r, "original_bytes_fp16", done, s->original_fp16);
    num(r, "ratio_fp16", lb_ratio_fp16(s));
}

static void evaluation(row *r, const lb_record *c, const lb_eval_row *e) {
    static const lb_eval_row none = {.name = NULL};
    bool have = e != NULL;
    if (!have) e = &none;
    bool kl = have && e->eval.has_kl, delta = have && e->has_paired;
    text(r, "evaluation", e->name);
    text(r, "protocol", e->eval.protocol.id);
    text(r, "bos", e->bos);
    text(r, "text_sha256", e->text_hash);
    count(r, "text_tokens", have, e->text_tokens);
    const char *compute = lb_report_pair(&c->provenance, "compute");
    text(r, "compute", !have ? "" : compute ? compute : "float32"); /* older results were all in float32 */
    count(r, "windows", have, e->eval.windows);
    count(r, "windows_all", have, e->eval.windows_all);
    count(r, "tokens_scored", have, e->eval.scored);
    num(r, "mean_nll", have ? e->eval.mean_nll : NAN);
    num(r, "ppl", have ? e->eval.ppl : NAN);
    num(r, "ppl_se", have ? e->eval.ppl_se : NAN);
    num(r, "delta_ln_ppl", delta ? e->paired.delta : NAN);
    num(r, "delta_low", delta ? e->paired.low : NAN);
    num(r, "delta_high", delta ? e->paired.high : NAN);
    num(r, "kl_mean", kl ? e->eval.kl_mean : NAN);
    num(r, "kl_median", kl ? e->eval.kl_median : NAN);
    num(r, "kl_p99", kl ? e->eval.kl_p99 : NAN);
    num(r, "top1", kl ? e->eval.top1 : NAN);
}

static void errors(row *r, const lb_record *c) {
    lb_model_error own = lb_model_error_of(c, false), original = lb_model_error_of(c, true);
    num(r, "weight_rel_mse", own.weight_rel);
    num(r, "output_rel_mse_original", original.output_rel);
    num(r, "output_vs_rtn_original", original.output_vs_rtn);
    num(r, "output_rel_mse_own", own.output_rel);
    num(r, "output_vs_rtn_own", own.output_vs_rtn);
    bool done = c->state == LB_CELL_DONE;
    text(r, "errors_minimized", !done ? "" : c->flags & LB_FLAG_NOT_MINIMIZED ? "false" : "true");
    lb_str flags = {0};
    lb_flags_text(c->flags, &flags);
    if (flags.failed) r->out->failed = true;
    text(r, "flags", flags.s);
    lb_str_free(&flags);
    num(r, "seconds", done ? c->seconds : NAN);
    count(r, "peak_bytes", done, c->peak_bytes);
    count(r, "warnings", true, c->warnings);
    text(r, "key", c->key);
}

/* Every option that some cell has, in the order of first sight. */
typedef struct names {
    const char **at;
    int64_t n;
} names;

static lb_status option_names(const lb_report_view *v, names *out) {
    int64_t most = 0;
    for (int64_t i = 0; i < v->r->n; i++) most += v->r->record[i].options.n;
    *out = (names){.at = LB_NEW(v->arena, const char *, most + 1)};
    if (!out->at) return LB_E_NOMEM;
    for (int64_t i = 0; i < v->r->n; i++)
        for (int64_t k = 0; k < v->r->record[i].options.n; k++) {
            const char *key = v->r->record[i].options.at[k].key;
            bool known = false;
            for (int64_t x = 0; x < out->n; x++) known |= strcmp(out->at[x], key) == 0;
            if (!known) out->at[out->n++] = key;
        }
    return LB_OK;
}

static lb_status options(row *r, const lb_report_view *v, const names *all, const lb_record *c) {
    for (int64_t i = 0; i < all->n; i++) {
        char *name = lb_arena_printf(v->arena, "option.%s", all->at[i]);
        if (!name) return LB_E_NOMEM;
        text(r, name, lb_report_pair(&c->options, all->at[i]));
    }
    return LB_OK;
}

static lb_status one(row *r, const lb_report_view *v, const names *all, const lb_record *c, const lb_eval_row *e) {
    identity(r, v, c);
    sizes(r, c);
    evaluation(r, c, e);
    errors(r, c);
    LB_TRY(options(r, v, all, c));
    end(r);
    return LB_OK;
}

static lb_status write_all(const lb_report_view *v, lb_str *out) {
    static const lb_record nothing = {.method = ""};
    names all;
    row r = {.out = out, .header = true};
    LB_TRY(option_names(v, &all));
    LB_TRY(one(&r, v, &all, &nothing, NULL));
    r.header = false;
    for (int64_t i = 0; i < v->r->n; i++) {
        const lb_record *c = &v->r->record[i];
        if (!c->evals) LB_TRY(one(&r, v, &all, c, NULL));
        for (int64_t e = 0; e < c->evals; e++) LB_TRY(one(&r, v, &all, c, &c->eval[e]));
    }
    return lb_str_check(out);
}

lb_status lb_report_cells_csv(const lb_results *r, lb_str *out) {
    lb_arena *a;
    LB_TRY(lb_arena_new(0, &a));
    lb_report_view v;
    lb_status st = lb_report_view_make(a, r, NULL, &v);
    if (st == LB_OK) st = write_all(&v, out);
    lb_arena_free(a);
    return st;
}
