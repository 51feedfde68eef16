/* Reading a result back: nothing in a file is trusted. */
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "result/bundle.h"
#include "result/store.h"
#include "result/store_fields.h"
#include "result/store_task.h"
#include "result/store_told.h"

enum { MAX_ROWS = 10000000, MAX_EVALS = 10000 };

/* The number of rows of some list. first: one of its columns, which has as many; NULL: whoever reads it compares.
 * Memory is asked for only after that. */
static lb_status get_count(lb_h5 *h, const char *name, const char *first, int64_t *n) {
    int ndim = 0;
    int64_t shape[4] = {0};
    LB_TRY(lb_h5_get_attr_i64(h, "/", name, n));
    if (*n < 0 || *n > MAX_ROWS)
        return lb_fail(LB_E_FORMAT, "attribute %s = %lld: must be in [0, %d]", name, (long long)*n, MAX_ROWS);
    if (*n == 0 || !first) return LB_OK;
    LB_TRY(lb_h5_shape(h, first, &ndim, shape));
    if (ndim == 1 && shape[0] == *n) return LB_OK;
    return lb_fail(LB_E_FORMAT, "attribute %s = %lld: %s has %lld values", name, (long long)*n, first,
                   (long long)shape[0]);
}

static lb_status get_pairs(lb_h5 *h, lb_arena *a, const char *group, const char *count, lb_pairs *p) {
    static const lb_field rows[] = {{"key", LB_FIELD_STR, offsetof(lb_pair, key), 0},
                                    {"value", LB_FIELD_STR, offsetof(lb_pair, value), 0}};
    char first[64];
    snprintf(first, sizeof first, "%s/key", group);
    LB_TRY(get_count(h, count, first, &p->n));
    if (p->n == 0) return LB_OK;
    p->at = LB_NEW(a, lb_pair, p->n);
    if (!p->at) return LB_E_NOMEM;
    return lb_fields_get_columns(h, a, group, (lb_fields){rows, 2}, p->at, sizeof *p->at, p->n);
}

static lb_status get_f64s(lb_h5 *h, lb_arena *a, const char *path, int64_t n, double **out) {
    int64_t have = 0;
    LB_TRY(lb_h5_get_f64(h, a, path, out, &have));
    if (have == n) return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s has %lld values, expected %lld", path, (long long)have, (long long)n);
}

static lb_status get_texts(lb_h5 *h, lb_arena *a, const char *path, const char *count, char ***out, int64_t *n) {
    LB_TRY(get_count(h, count, path, n));
    if (*n == 0) return LB_OK;
    int64_t have = 0;
    LB_TRY(lb_h5_get_strs(h, a, path, out, &have));
    if (have == *n) return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s has %lld values, expected %lld", path, (long long)have, (long long)*n);
}

static lb_status get_layers(lb_h5 *h, lb_arena *a, lb_record *r) {
    LB_TRY(get_count(h, "n_layers", "/layers/name", &r->layers));
    if (r->layers == 0) return LB_OK;
    r->layer = LB_NEW(a, lb_layer_row, r->layers);
    if (!r->layer) return LB_E_NOMEM;
    LB_TRY(lb_fields_get_columns(h, a, "/layers", lb_layer_fields, r->layer, sizeof *r->layer, r->layers));
    static const lb_field seconds = {"layer_seconds", LB_FIELD_F64, offsetof(lb_layer_row, seconds), 0};
    LB_TRY(lb_fields_get_columns(h, a, "/host", (lb_fields){&seconds, 1}, r->layer, sizeof *r->layer, r->layers));
    LB_TRY(lb_told_get(h, a, r));
    for (int64_t i = 0; i < r->layers; i++) {
        lb_layer_row *l = &r->layer[i];
        lb_layer_error *each[] = {&l->own, &l->original, &l->rtn_own, &l->rtn_original};
        for (size_t k = 0; k < 4; k++) each[k]->rows = l->rows, each[k]->cols = l->cols;
    }
    return LB_OK;
}

static lb_status get_evals(lb_h5 *h, lb_arena *a, lb_record *r) {
    LB_TRY(get_count(h, "n_evals", NULL, &r->evals));
    if (r->evals == 0) return LB_OK;
    char last[64];
    snprintf(last, sizeof last, "/eval/%lld", (long long)r->evals - 1);
    if (r->evals > MAX_EVALS || !lb_h5_has(h, last))
        return lb_fail(LB_E_FORMAT, "attribute n_evals = %lld: there is no %s", (long long)r->evals, last);
    r->eval = LB_NEW(a, lb_eval_row, r->evals);
    if (!r->eval) return LB_E_NOMEM;
    for (int64_t i = 0; i < r->evals; i++) {
        lb_eval_row *e = &r->eval[i];
        char group[32], path[64];
        snprintf(group, sizeof group, "/eval/%lld", (long long)i);
        LB_TRY(lb_fields_get_attrs(h, a, group, lb_eval_fields, e));
        const lb_protocol named = e->eval.protocol;
        LB_TRY(lb_protocol_parse(named.id, &e->eval.protocol));
        if (e->eval.windows < 1 || e->eval.windows > e->eval.windows_all)
            return lb_fail(LB_E_FORMAT, "%s: %lld windows of %lld", group, (long long)e->eval.windows,
                           (long long)e->eval.windows_all);
        snprintf(path, sizeof path, "%s/window_nll", group);
        LB_TRY(get_f64s(h, a, path, e->eval.windows, &e->eval.window_nll));
        if (e->eval.speculative) {
            snprintf(path, sizeof path, "%s/window_accept", group);
            LB_TRY(get_f64s(h, a, path, e->eval.windows, &e->eval.window_accept));
            LB_TRY(lb_fields_get_attrs(h, a, group, lb_accept_fields, e));
        }
        LB_TRY(lb_task_get(h, a, group, e));
        if (!e->eval.has_kl) continue;
        snprintf(path, sizeof path, "%s/window_kl", group);
        LB_TRY(get_f64s(h, a, path, e->eval.windows, &e->eval.window_kl));
        snprintf(path, sizeof path, "%s/window_agree", group);
        LB_TRY(get_f64s(h, a, path, e->eval.windows, &e->eval.window_agree));
    }
    return LB_OK;
}

static lb_status get_one_text(lb_h5 *h, lb_arena *a, const char *path, const char **out) {
    char **text = NULL;
    int64_t n = 0;
    LB_TRY(lb_h5_get_strs(h, a, path, &text, &n));
    if (n != 1) return lb_fail(LB_E_FORMAT, "%s has %lld values, expected 1", path, (long long)n);
    *out = text[0];
    return LB_OK;
}

static lb_status get_continuation(lb_h5 *h, lb_arena *a, lb_record *r) {
    lb_continuation *c = &r->continuation;
    int64_t have = 0;
    if (!lb_h5_has(h, "/generation")) return LB_OK;
    LB_TRY(get_one_text(h, a, "/generation/prompt", &c->prompt));
    LB_TRY(get_one_text(h, a, "/generation/text", &c->text));
    LB_TRY(lb_fields_get_attrs(h, a, "/generation", lb_continuation_fields, r));
    LB_TRY(lb_fields_get_attrs(h, a, "/host", lb_speed_fields, r));
    if (c->tokens == 0) return LB_OK;
    LB_TRY(lb_h5_get_i64(h, a, "/generation/token", &c->token, &have));
    if (have == c->tokens) return LB_OK;
    return lb_fail(LB_E_FORMAT, "/generation/token has %lld values, expected %lld", (long long)have,
                   (long long)c->tokens);
}

static lb_status get_steps(lb_h5 *h, lb_arena *a, const char *path, int64_t n, int64_t **out) {
    int64_t have = 0;
    LB_TRY(lb_h5_get_i64(h, a, path, out, &have));
    if (have == n) return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s has %lld values, expected %lld", path, (long long)have, (long long)n);
}

/* Asked for or not: files that have none are older, too. */
static lb_status get_validation(lb_h5 *h, lb_arena *a, lb_curve *c) {
    if (!lb_h5_has_attr(h, "/", "n_validation")) return LB_OK;
    LB_TRY(get_count(h, "n_validation", "/training/validation_step", &c->validations));
    c->validation_cap = c->validations;
    if (c->validations == 0) return LB_OK;
    LB_TRY(get_steps(h, a, "/training/validation_step", c->validations, &c->validation_step));
    return get_f64s(h, a, "/training/validation_loss", c->validations, &c->validation_loss);
}

static lb_status get_curve(lb_h5 *h, lb_arena *a, lb_curve *c) {
    LB_TRY(get_validation(h, a, c));
    LB_TRY(get_count(h, "n_training", "/training/step", &c->n));
    c->cap = c->n;
    if (c->n == 0) return LB_OK;
    LB_TRY(get_steps(h, a, "/training/step", c->n, &c->step));
    LB_TRY(get_f64s(h, a, "/training/loss", c->n, &c->total));
    LB_TRY(get_f64s(h, a, "/training/next_token", c->n, &c->next_token));
    LB_TRY(get_f64s(h, a, "/training/kl", c->n, &c->kl));
    LB_TRY(get_f64s(h, a, "/training/learning_rate", c->n, &c->lr));
    return get_f64s(h, a, "/training/grad_norm", c->n, &c->grad_norm);
}

static lb_status check_format(lb_h5 *h, lb_arena *a) {
    char *format = NULL;
    int64_t version = 0;
    LB_TRY(lb_h5_get_attr_str(h, a, "/", "format", &format));
    if (strcmp(format, LB_RESULT_FORMAT) != 0)
        return lb_fail(LB_E_FORMAT, "format '%s': expected '%s'", format, LB_RESULT_FORMAT);
    LB_TRY(lb_h5_get_attr_i64(h, "/", "format_version", &version));
    if (version != LB_RESULT_VERSION && version != LB_RESULT_KEEPS)
        return lb_fail(LB_E_UNSUPPORTED, "format_version %lld: this program reads versions %d and %d",
                       (long long)version, LB_RESULT_VERSION, LB_RESULT_KEEPS);
    if (lb_bundle_is_in(h) != (version == LB_RESULT_KEEPS))
        return lb_fail(LB_E_FORMAT, "format_version %lld: only version %d keeps layers, and always", (long long)version,
                       LB_RESULT_KEEPS);
    return LB_OK;
}

static lb_status get_record(lb_h5 *h, lb_arena *a, lb_record *r) {
    LB_TRY(check_format(h, a));
    LB_TRY(lb_fields_get_attrs(h, a, "/", lb_record_fields, r));
    r->keeps = lb_bundle_is_in(h);
    r->keeps_model = lb_bundle_is_whole(h);
    LB_TRY(get_one_text(h, a, "/config", &r->config));
    LB_TRY(get_pairs(h, a, "/options", "n_options", &r->options));
    LB_TRY(get_pairs(h, a, "/varied", "n_varied", &r->varied));
    LB_TRY(get_pairs(h, a, "/provenance", "n_provenance", &r->provenance));
    LB_TRY(get_pairs(h, a, "/host/about", "n_host", &r->host));
    LB_TRY(get_layers(h, a, r));
    LB_TRY(get_evals(h, a, r));
    const char *compute = lb_pairs_get(&r->provenance, "compute");
    for (int64_t i = 0; i < r->evals; i++) r->eval[i].bf16 = compute && strcmp(compute, "bf16") == 0;
    LB_TRY(get_curve(h, a, &r->curve));
    LB_TRY(lb_fields_get_attrs(h, a, "/size", lb_size_fields, &r->size));
    LB_TRY(lb_fields_get_attrs(h, a, "/host", lb_host_fields, r));
    LB_TRY(get_continuation(h, a, r));
    char **stage = NULL;
    LB_TRY(get_texts(h, a, "/host/stage", "n_stages", &stage, &r->stages));
    r->stage = (const char **)stage;
    if (r->stages > 0) LB_TRY(get_f64s(h, a, "/host/stage_seconds", r->stages, &r->stage_s));
    LB_TRY(get_texts(h, a, "/warnings", "n_warnings", &r->warning, &r->warnings));
    return get_texts(h, a, "/cite", "n_cites", &r->cite, &r->cites);
}

lb_status lb_store_read_open(lb_h5 *h, lb_arena *a, lb_record *out) {
    *out = (lb_record){.state = LB_CELL_DONE};
    lb_status st = get_record(h, a, out);
    if (st == LB_OK) st = lb_store_check(out);
    return st == LB_E_CONFIG ? LB_E_FORMAT : st; /* a protocol that nobody wrote into a config */
}

lb_status lb_store_read_ahead(lb_h5_reader *ahead, const char *path, lb_arena *a, lb_record *out) {
    lb_h5 *h = NULL;
    LB_TRY(lb_h5_open_ahead(ahead, path, &h));
    lb_status st = lb_store_read_open(h, a, out);
    lb_h5_abandon(h);
    LB_TRY(lb_h5_blame(st, path));
    return lb_fs_bytes(path, &out->file_bytes);
}

lb_status lb_store_read(const char *path, lb_arena *a, lb_record *out) {
    return lb_store_read_ahead(NULL, path, a, out);
}
