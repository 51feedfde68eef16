/* Writing results: one HDF5 file a cell, the sweep's index, the journal. docs/results.md is the specification. */
#include "result/store.h"

#include <math.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "io/json.h"
#include "result/bundle.h"
#include "result/figures.h"
#include "result/store_fields.h"
#include "result/store_task.h"
#include "result/store_told.h"

static lb_status put_pairs(lb_h5 *h, const char *group, const lb_pairs *p) {
    if (p->n == 0) return LB_OK;
    static const lb_field rows[] = {{"key", LB_FIELD_STR, offsetof(lb_pair, key), 0},
                                    {"value", LB_FIELD_STR, offsetof(lb_pair, value), 0}};
    return lb_fields_put_columns(h, group, (lb_fields){rows, 2}, p->at, sizeof *p->at, p->n);
}

/* What a reader of the file wants first, derived from the sums: nothing reads it back. */
static lb_status put_derived(lb_h5 *h, const lb_record *r) {
    static const char *const name[] = {"weight_mse",          "weight_rel",    "output_mse_original",
                                       "output_rel_original", "sqnr_original", "output_mse_own",
                                       "output_rel_own",      "sqnr_own",      "ratio_to_rtn"};
    enum { COLUMNS = sizeof name / sizeof name[0] };
    double *v = lb_alloc((size_t)r->layers, sizeof *v);
    if (!v) return LB_E_NOMEM;
    lb_status st = LB_OK;
    for (int c = 0; c < COLUMNS && st == LB_OK; c++) {
        for (int64_t i = 0; i < r->layers; i++) {
            const lb_layer_row *l = &r->layer[i];
            const double value[COLUMNS] = {
                lb_weight_mse(&l->original),
                lb_weight_rel(&l->original),
                lb_output_mse(&l->original),
                lb_output_rel(&l->original),
                lb_sqnr_db(lb_output_rel(&l->original)),
                lb_output_mse(&l->own),
                lb_output_rel(&l->own),
                lb_sqnr_db(lb_output_rel(&l->own)),
                lb_layer_ratio(l),
            };
            v[i] = value[c];
        }
        char path[64];
        snprintf(path, sizeof path, "/layers/derived/%s", name[c]);
        st = lb_h5_put_f64(h, path, v, 1, &r->layers);
    }
    lb_free(v);
    return st;
}

static lb_status put_layers(lb_h5 *h, const lb_record *r) {
    if (r->layers == 0) return LB_OK;
    LB_TRY(lb_fields_put_columns(h, "/layers", lb_layer_fields, r->layer, sizeof *r->layer, r->layers));
    LB_TRY(lb_told_put(h, r));
    static const lb_field seconds = {"layer_seconds", LB_FIELD_F64, offsetof(lb_layer_row, seconds), 0};
    LB_TRY(lb_fields_put_columns(h, "/host", (lb_fields){&seconds, 1}, r->layer, sizeof *r->layer, r->layers));
    return put_derived(h, r);
}

static lb_status put_evals(lb_h5 *h, const lb_record *r) {
    for (int64_t i = 0; i < r->evals; i++) {
        const lb_eval_row *e = &r->eval[i];
        char group[32], path[64];
        snprintf(group, sizeof group, "/eval/%lld", (long long)i);
        snprintf(path, sizeof path, "%s/window_nll", group);
        LB_TRY(lb_h5_put_f64(h, path, e->eval.window_nll, 1, &e->eval.windows));
        if (e->eval.has_kl) {
            snprintf(path, sizeof path, "%s/window_kl", group);
            LB_TRY(lb_h5_put_f64(h, path, e->eval.window_kl, 1, &e->eval.windows));
            snprintf(path, sizeof path, "%s/window_agree", group);
            LB_TRY(lb_h5_put_f64(h, path, e->eval.window_agree, 1, &e->eval.windows));
        }
        LB_TRY(lb_fields_put_attrs(h, group, lb_eval_fields, e));
        LB_TRY(lb_task_put(h, group, e));
        if (!e->eval.speculative) continue;
        snprintf(path, sizeof path, "%s/window_accept", group);
        LB_TRY(lb_h5_put_f64(h, path, e->eval.window_accept, 1, &e->eval.windows));
        LB_TRY(lb_fields_put_attrs(h, group, lb_accept_fields, e));
    }
    return LB_OK;
}

static lb_status put_continuation(lb_h5 *h, const lb_record *r) {
    const lb_continuation *c = &r->continuation;
    if (!c->prompt) return LB_OK;
    LB_TRY(lb_h5_put_strs(h, "/generation/prompt", &c->prompt, 1));
    LB_TRY(lb_h5_put_strs(h, "/generation/text", &c->text, 1));
    if (c->tokens > 0) LB_TRY(lb_h5_put_i64(h, "/generation/token", c->token, 1, &c->tokens));
    LB_TRY(lb_fields_put_attrs(h, "/generation", lb_continuation_fields, r));
    return lb_fields_put_attrs(h, "/host", lb_speed_fields, r);
}

static lb_status put_validation(lb_h5 *h, const lb_curve *c) {
    if (c->validations == 0) return LB_OK;
    LB_TRY(lb_h5_attr_i64(h, "/", "n_validation", c->validations));
    LB_TRY(lb_h5_put_i64(h, "/training/validation_step", c->validation_step, 1, &c->validations));
    return lb_h5_put_f64(h, "/training/validation_loss", c->validation_loss, 1, &c->validations);
}

static lb_status put_curve(lb_h5 *h, const lb_curve *c) {
    if (c->n == 0) return LB_OK;
    LB_TRY(lb_h5_put_i64(h, "/training/step", c->step, 1, &c->n));
    LB_TRY(lb_h5_put_f64(h, "/training/loss", c->total, 1, &c->n));
    LB_TRY(lb_h5_put_f64(h, "/training/next_token", c->next_token, 1, &c->n));
    LB_TRY(lb_h5_put_f64(h, "/training/kl", c->kl, 1, &c->n));
    LB_TRY(lb_h5_put_f64(h, "/training/learning_rate", c->lr, 1, &c->n));
    return lb_h5_put_f64(h, "/training/grad_norm", c->grad_norm, 1, &c->n);
}

static lb_status put_host(lb_h5 *h, const lb_record *r) {
    LB_TRY(put_pairs(h, "/host/about", &r->host));
    if (r->stages > 0) {
        LB_TRY(lb_h5_put_strs(h, "/host/stage", r->stage, r->stages));
        LB_TRY(lb_h5_put_f64(h, "/host/stage_seconds", r->stage_s, 1, &r->stages));
    }
    return LB_OK;
}

static lb_status put_record(lb_h5 *h, const lb_record *r) {
    static const char *const counts[] = {"n_options",  "n_varied", "n_layers",     "n_evals", "n_training",
                                         "n_warnings", "n_cites",  "n_provenance", "n_host",  "n_stages"};
    const int64_t count[] = {r->options.n, r->varied.n, r->layers,       r->evals,  r->curve.n,
                             r->warnings,  r->cites,    r->provenance.n, r->host.n, r->stages};
    LB_TRY(lb_h5_put_strs(h, "/config", &r->config, 1));
    LB_TRY(lb_h5_attr_str(h, "/", "format", LB_RESULT_FORMAT));
    LB_TRY(lb_h5_attr_i64(h, "/", "format_version", r->bundle ? LB_RESULT_KEEPS : LB_RESULT_VERSION));
    LB_TRY(lb_fields_put_attrs(h, "/", lb_record_fields, r));
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) LB_TRY(lb_h5_attr_i64(h, "/", counts[i], count[i]));
    LB_TRY(put_pairs(h, "/options", &r->options));
    LB_TRY(put_pairs(h, "/varied", &r->varied));
    LB_TRY(put_pairs(h, "/provenance", &r->provenance));
    LB_TRY(put_host(h, r));
    LB_TRY(put_layers(h, r));
    LB_TRY(put_evals(h, r));
    LB_TRY(put_curve(h, &r->curve));
    LB_TRY(put_validation(h, &r->curve));
    LB_TRY(lb_fields_put_attrs(h, "/size", lb_size_fields, &r->size));
    LB_TRY(lb_fields_put_attrs(h, "/host", lb_host_fields, r));
    LB_TRY(put_continuation(h, r));
    if (r->warnings > 0) LB_TRY(lb_h5_put_strs(h, "/warnings", (const char *const *)r->warning, r->warnings));
    if (r->cites > 0) LB_TRY(lb_h5_put_strs(h, "/cite", (const char *const *)r->cite, r->cites));
    return r->bundle ? lb_bundle_write(h, r->bundle) : LB_OK;
}

static char *path_in(const char *dir, const char *stem, const char *suffix) {
    lb_str s = {0};
    lb_str_add(&s, "%s%s", stem, suffix);
    char *path = s.failed ? NULL : lb_fs_join(dir, s.s);
    lb_str_free(&s);
    return path;
}

lb_status lb_store_write(const char *dir, lb_record *r) {
    char *path = path_in(dir, r->stem, ".h5");
    if (!path) return LB_E_NOMEM;
    lb_fs_tmp tmp = {0};
    lb_h5 *h = NULL;
    lb_status st = lb_fs_tmp_begin(path, &tmp);
    if (st == LB_OK) st = lb_h5_create(tmp.tmp, &h);
    if (st == LB_OK) st = put_record(h, r);
    if (st == LB_OK) {
        st = lb_h5_close(h);
        h = NULL;
    }
    if (st == LB_OK) st = lb_h5_hash(tmp.tmp, r->file_hash);
    if (st == LB_OK) st = lb_fs_bytes(tmp.tmp, &r->file_bytes);
    if (st == LB_OK) st = lb_fs_tmp_commit(&tmp);
    if (st != LB_OK) st = lb_fail_in(st, "writing %s", path);
    lb_h5_abandon(h);
    lb_fs_tmp_abort(&tmp);
    lb_free(path);
    return st;
}

lb_status lb_store_journal(const char *dir, const char *stem, const char *json_line) {
    char *path = path_in(dir, stem, ".journal");
    if (!path) return LB_E_NOMEM;
    lb_status st = lb_fs_append_line(path, json_line);
    lb_free(path);
    return st;
}

static json_t *pairs_json(const lb_pairs *p) {
    json_t *o = json_array();
    for (int64_t i = 0; o && i < p->n; i++) json_array_append_new(o, json_pack("[s, s]", p->at[i].key, p->at[i].value));
    return o;
}

/* What the index knows of every cell; more is put behind it. */
static json_t *identity_json(const lb_record *r) {
    json_t *o =
        json_pack("{s:s, s:i, s:I, s:I, s:o, s:o}", "method", r->method, "bits", r->bits, "group", (json_int_t)r->group,
                  "seed", (json_int_t)r->seed, "options", pairs_json(&r->options), "varied", pairs_json(&r->varied));
    if (o && r->model && json_object_set_new(o, "model", json_string(r->model)) != 0) {
        json_decref(o);
        return NULL;
    }
    return o;
}

/* head, then the cell's identity. */
static lb_status cell_of(const char *dir, json_t *head, const lb_record *r, json_t **out) {
    json_t *rest = head ? identity_json(r) : NULL;
    bool whole = rest && json_object_update(head, rest) == 0;
    json_decref(rest);
    if (!whole) {
        json_decref(head);
        return lb_fail(LB_E_NOMEM, "out of memory: the index of %s", dir);
    }
    *out = head;
    return LB_OK;
}

/* One cell; done cells carry the hash of their file, so that a damaged file is noticed. */
static lb_status cell_json(const char *dir, const lb_record *r, json_t **out) {
    char hash[LB_HASH_HEX];
    memcpy(hash, r->file_hash, sizeof hash);
    if (r->state == LB_CELL_DONE && !hash[0]) {
        char *path = path_in(dir, r->stem, ".h5");
        if (!path) return LB_E_NOMEM;
        lb_status st = lb_h5_hash(path, hash);
        lb_free(path);
        LB_TRY(st);
    }
    json_t *head = json_pack("{s:s, s:s, s:s, s:s, s:s}", "stem", r->stem, "label", r->label, "state",
                             lb_cell_state_text(r->state), "message", r->message ? r->message : "", "sha256", hash);
    return cell_of(dir, head, r, out);
}

/* A cell that has not run, and its place among all. */
static lb_status pending_json(const char *dir, const lb_record *r, int64_t at, json_t **out) {
    json_t *head = json_pack("{s:I, s:s, s:s}", "at", (json_int_t)at, "stem", r->stem, "label", r->label);
    return cell_of(dir, head, r, out);
}

/* The models that records name, each once; NULL: they name none. */
static lb_status models_json(const lb_record *r, int64_t n, json_t **out) {
    *out = NULL;
    for (int64_t i = 0; i < n; i++) {
        bool seen = !r[i].model || (i > 0 && r[i - 1].model && strcmp(r[i - 1].model, r[i].model) == 0);
        for (size_t k = 0; k < json_array_size(*out) && !seen; k++)
            seen = strcmp(json_string_value(json_object_get(json_array_get(*out, k), "name")), r[i].model) == 0;
        if (seen) continue;
        if (!*out) *out = json_array();
        const char *note = r[i].model_note ? r[i].model_note : "";
        if (!*out || json_array_append_new(*out, json_pack("{s:s, s:s}", "name", r[i].model, "note", note)) != 0)
            return lb_fail(LB_E_NOMEM, "out of memory: the index");
    }
    return LB_OK;
}

/* The cells; *pending: those that have not run, NULL where there are none. */
static lb_status cells_json(const char *dir, const lb_record *r, int64_t n, json_t *cells, json_t **pending) {
    for (int64_t i = 0; i < n; i++) {
        json_t *c = NULL, *list = cells;
        bool waits = r[i].state == LB_CELL_PENDING;
        if (waits && !*pending) *pending = json_array();
        if (waits) list = *pending;
        LB_TRY(waits ? pending_json(dir, &r[i], i, &c) : cell_json(dir, &r[i], &c));
        if (json_array_append_new(list, c) != 0) return lb_fail(LB_E_NOMEM, "out of memory: the index of %s", dir);
    }
    return LB_OK;
}

lb_status lb_store_write_index(const char *dir, const char *name, const char *model_name, const char *model_note,
                               const lb_record *r, int64_t n) {
    lb_json_memory_begin();
    json_t *cells = json_array(), *models = NULL, *pending = NULL;
    lb_status st = cells ? LB_OK : lb_fail(LB_E_NOMEM, "out of memory: the index of %s", dir);
    if (st == LB_OK) st = cells_json(dir, r, n, cells, &pending);
    if (st == LB_OK) st = models_json(r, n, &models);
    if (st != LB_OK) {
        json_decref(pending);
        json_decref(models);
        json_decref(cells);
        return st;
    }
    json_t *root = json_pack("{s:s, s:i, s:s, s:s, s:s, s:o*, s:o, s:o*}", "format", "lowbit sweep", "format_version",
                             models ? LB_INDEX_OF_MODELS : LB_RESULT_VERSION, "name", name, "model", model_name,
                             "model_note", model_note, "models", models, "cells", cells, "pending", pending);
    char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_PRESERVE_ORDER) : NULL;
    json_decref(root);
    if (!text) return lb_fail(LB_E_NOMEM, "out of memory: the index of %s", dir);
    char *path = lb_fs_join(dir, "sweep.json");
    st = path ? lb_json_memory_check(path) : LB_E_NOMEM;
    if (st == LB_OK) st = lb_fs_write_atomic(path, text, strlen(text));
    lb_free(path);
    lb_free(text);
    return st;
}
