/* Reading results back: nothing in a file is trusted. */
#include <math.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "io/json.h"
#include "run/provenance.h"
#include "run/store.h"
#include "run/store_fields.h"

enum { MAX_ROWS = 10000000 };

static lb_status get_count(lb_h5 *h, const char *name, int64_t *n) {
    LB_TRY(lb_h5_get_attr_i64(h, "/", name, n));
    if (*n < 0 || *n > MAX_ROWS)
        return lb_fail(LB_E_FORMAT, "attribute %s = %lld: must be in [0, %d]", name, (long long)*n, MAX_ROWS);
    return LB_OK;
}

static lb_status get_pairs(lb_h5 *h, lb_arena *a, const char *group, const char *count, lb_pairs *p) {
    static const lb_field rows[] = {{"key", LB_FIELD_STR, offsetof(lb_pair, key), 0},
                                    {"value", LB_FIELD_STR, offsetof(lb_pair, value), 0}};
    LB_TRY(get_count(h, count, &p->n));
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
    LB_TRY(get_count(h, count, n));
    if (*n == 0) return LB_OK;
    int64_t have = 0;
    LB_TRY(lb_h5_get_strs(h, a, path, out, &have));
    if (have == *n) return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s has %lld values, expected %lld", path, (long long)have, (long long)*n);
}

static lb_status get_layers(lb_h5 *h, lb_arena *a, lb_record *r) {
    LB_TRY(get_count(h, "n_layers", &r->layers));
    if (r->layers == 0) return LB_OK;
    r->layer = LB_NEW(a, lb_layer_row, r->layers);
    if (!r->layer) return LB_E_NOMEM;
    LB_TRY(lb_fields_get_columns(h, a, "/layers", lb_layer_fields, r->layer, sizeof *r->layer, r->layers));
    static const lb_field seconds = {"layer_seconds", LB_FIELD_F64, offsetof(lb_layer_row, seconds), 0};
    LB_TRY(lb_fields_get_columns(h, a, "/host", (lb_fields){&seconds, 1}, r->layer, sizeof *r->layer, r->layers));
    for (int64_t i = 0; i < r->layers; i++) {
        lb_layer_row *l = &r->layer[i];
        if (l->rows <= 0 || l->cols <= 0)
            return lb_fail(LB_E_FORMAT, "/layers: layer %s is (%lld, %lld)", l->name, (long long)l->rows,
                           (long long)l->cols);
        lb_layer_error *each[] = {&l->own, &l->original, &l->rtn_own, &l->rtn_original};
        for (size_t k = 0; k < 4; k++) each[k]->rows = l->rows, each[k]->cols = l->cols;
    }
    return LB_OK;
}

static lb_status get_evals(lb_h5 *h, lb_arena *a, lb_record *r) {
    LB_TRY(get_count(h, "n_evals", &r->evals));
    if (r->evals == 0) return LB_OK;
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
        if (!isfinite(e->eval.mean_nll) || !isfinite(e->eval.ppl) || isinf(e->eval.ppl_se))
            return lb_fail(LB_E_FORMAT, "%s: perplexity %g +- %g: not a number that this program writes", group,
                           e->eval.ppl, e->eval.ppl_se);
        snprintf(path, sizeof path, "%s/window_nll", group);
        LB_TRY(get_f64s(h, a, path, e->eval.windows, &e->eval.window_nll));
        if (!e->eval.has_kl) continue;
        snprintf(path, sizeof path, "%s/window_kl", group);
        LB_TRY(get_f64s(h, a, path, e->eval.windows, &e->eval.window_kl));
        snprintf(path, sizeof path, "%s/window_agree", group);
        LB_TRY(get_f64s(h, a, path, e->eval.windows, &e->eval.window_agree));
    }
    return LB_OK;
}

static lb_status get_curve(lb_h5 *h, lb_arena *a, lb_curve *c) {
    LB_TRY(get_count(h, "n_training", &c->n));
    c->cap = c->n;
    if (c->n == 0) return LB_OK;
    int64_t have = 0;
    LB_TRY(lb_h5_get_i64(h, a, "/training/step", &c->step, &have));
    if (have != c->n)
        return lb_fail(LB_E_FORMAT, "/training/step has %lld values, expected %lld", (long long)have, (long long)c->n);
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
    if (version != LB_RESULT_VERSION)
        return lb_fail(LB_E_UNSUPPORTED, "format_version %lld: this program reads version %d", (long long)version,
                       LB_RESULT_VERSION);
    return LB_OK;
}

static lb_status get_record(lb_h5 *h, lb_arena *a, lb_record *r) {
    LB_TRY(check_format(h, a));
    LB_TRY(lb_fields_get_attrs(h, a, "/", lb_record_fields, r));
    if (strlen(r->key) != LB_HASH_HEX - 1) return lb_fail(LB_E_FORMAT, "key '%s': must be 64 hex digits", r->key);
    char **config = NULL;
    int64_t one = 0;
    LB_TRY(lb_h5_get_strs(h, a, "/config", &config, &one));
    if (one != 1) return lb_fail(LB_E_FORMAT, "/config has %lld values, expected 1", (long long)one);
    r->config = config[0];
    LB_TRY(get_pairs(h, a, "/options", "n_options", &r->options));
    LB_TRY(get_pairs(h, a, "/varied", "n_varied", &r->varied));
    LB_TRY(get_pairs(h, a, "/provenance", "n_provenance", &r->provenance));
    LB_TRY(get_pairs(h, a, "/host/about", "n_host", &r->host));
    LB_TRY(get_layers(h, a, r));
    LB_TRY(get_evals(h, a, r));
    LB_TRY(get_curve(h, a, &r->curve));
    LB_TRY(lb_fields_get_attrs(h, a, "/size", lb_size_fields, &r->size));
    LB_TRY(lb_fields_get_attrs(h, a, "/host", lb_host_fields, r));
    char **stage = NULL;
    LB_TRY(get_texts(h, a, "/host/stage", "n_stages", &stage, &r->stages));
    r->stage = (const char **)stage;
    if (r->stages > 0) LB_TRY(get_f64s(h, a, "/host/stage_seconds", r->stages, &r->stage_s));
    LB_TRY(get_texts(h, a, "/warnings", "n_warnings", &r->warning, &r->warnings));
    return get_texts(h, a, "/cite", "n_cites", &r->cite, &r->cites);
}

lb_status lb_store_read(const char *path, lb_arena *a, lb_record *out) {
    lb_h5 *h = NULL;
    LB_TRY(lb_h5_open(path, &h));
    *out = (lb_record){.state = LB_CELL_DONE};
    lb_status st = get_record(h, a, out);
    lb_h5_abandon(h);
    /* A file that says impossible things is damaged, whichever check noticed. */
    if (st == LB_E_CONFIG) st = LB_E_FORMAT;
    return st == LB_OK || strstr(lb_error(), path) ? st : lb_fail_in(st, "%s", path);
}

lb_status lb_store_read_key(const char *path, char key[65]) {
    lb_h5 *h = NULL;
    LB_TRY(lb_h5_open(path, &h));
    lb_arena *a = NULL;
    char *k = NULL;
    lb_status st = lb_arena_new(4096, &a);
    if (st == LB_OK) st = check_format(h, a);
    if (st == LB_OK) st = lb_h5_get_attr_str(h, a, "/", "key", &k);
    if (st == LB_OK && strlen(k) != 64) st = lb_fail(LB_E_FORMAT, "key '%s': must be 64 hex digits", k);
    if (st == LB_OK) memcpy(key, k, 65);
    lb_arena_free(a);
    lb_h5_abandon(h);
    return st == LB_OK || strstr(lb_error(), path) ? st : lb_fail_in(st, "%s", path);
}

/* The index. */
typedef struct index_reader {
    const char *path, *dir;
    lb_results *out;
} index_reader;

static lb_status text_member(const index_reader *x, const json_t *o, const char *key, const char **out) {
    const char *s = NULL;
    LB_TRY(lb_json_str(x->path, o, key, &s));
    *out = lb_arena_strdup(x->out->arena, s);
    return *out ? LB_OK : LB_E_NOMEM;
}

static lb_status pairs_member(const index_reader *x, const json_t *o, const char *key, lb_pairs *p) {
    const json_t *list = json_object_get(o, key);
    if (!json_is_array(list)) return lb_fail(LB_E_FORMAT, "%s: '%s' must be a list of pairs", x->path, key);
    p->n = (int64_t)json_array_size(list);
    if (p->n == 0) return LB_OK;
    p->at = LB_NEW(x->out->arena, lb_pair, p->n);
    if (!p->at) return LB_E_NOMEM;
    for (int64_t i = 0; i < p->n; i++) {
        const json_t *pair = json_array_get(list, (size_t)i);
        const char *k = json_string_value(json_array_get(pair, 0)), *v = json_string_value(json_array_get(pair, 1));
        if (!k || !v) return lb_fail(LB_E_FORMAT, "%s: '%s' must be a list of pairs of texts", x->path, key);
        p->at[i] = (lb_pair){lb_arena_strdup(x->out->arena, k), lb_arena_strdup(x->out->arena, v)};
        if (!p->at[i].key || !p->at[i].value) return LB_E_NOMEM;
    }
    return LB_OK;
}

/* A failed or refused cell has no file: the index is all there is. */
static lb_status bare_record(const index_reader *x, const json_t *o, lb_record *r) {
    int64_t bits = 0, seed = 0;
    LB_TRY(text_member(x, o, "method", &r->method));
    LB_TRY(lb_json_int(x->path, o, "bits", &bits));
    LB_TRY(lb_json_int(x->path, o, "group", &r->group));
    LB_TRY(lb_json_int(x->path, o, "seed", &seed));
    r->bits = (int)bits;
    r->seed = (uint64_t)seed;
    LB_TRY(pairs_member(x, o, "options", &r->options));
    LB_TRY(pairs_member(x, o, "varied", &r->varied));
    r->key = r->storage = r->propagate = r->config = "";
    return LB_OK;
}

static lb_status add_warning(lb_arena *a, lb_record *r, const char *text) {
    char **w = LB_NEW(a, char *, r->warnings + 1);
    char *copy = lb_arena_strdup(a, text);
    if (!w || !copy) return LB_E_NOMEM;
    if (r->warnings) memcpy(w, r->warning, (size_t)r->warnings * sizeof *w);
    w[r->warnings++] = copy;
    r->warning = w;
    return LB_OK;
}

static lb_status check_hash(const char *path, const char *want) {
    char have[LB_HASH_HEX];
    LB_TRY(lb_hash_file(path, have));
    if (strcmp(have, want) == 0) return LB_OK;
    return lb_fail(LB_E_FORMAT,
                   "%s: SHA-256 %s, the index says %s: the file was changed or damaged; run the cell again", path, have,
                   want);
}

static lb_status done_record(const index_reader *x, const json_t *o, const char *stem, lb_record *r) {
    const char *want = NULL;
    LB_TRY(lb_json_str(x->path, o, "sha256", &want));
    char *name = lb_arena_printf(x->out->arena, "%s.h5", stem);
    char *joined = name ? lb_fs_join(x->dir, name) : NULL;
    if (!joined) return LB_E_NOMEM;
    lb_status st = check_hash(joined, want);
    if (st == LB_OK) st = lb_store_read(joined, x->out->arena, r);
    if (st == LB_OK && strcmp(r->stem, stem) != 0)
        st = lb_fail(LB_E_FORMAT, "%s: stem '%s': the index says '%s'", joined, r->stem, stem);
    lb_free(joined);
    LB_TRY(st);
    const char *rev = lb_pairs_get(&r->provenance, "revision"), *now = lb_provenance_revision();
    if (!rev || strcmp(rev, now) == 0) return LB_OK;
    const char *w = lb_arena_printf(x->out->arena, "made by another code version (%s; this is %s)", rev, now);
    return w ? add_warning(x->out->arena, r, w) : LB_E_NOMEM;
}

static lb_status read_cell(const index_reader *x, const json_t *o, lb_record *r) {
    const char *state = NULL, *stem = NULL, *label = NULL, *message = NULL;
    LB_TRY(text_member(x, o, "stem", &stem));
    LB_TRY(text_member(x, o, "label", &label));
    LB_TRY(text_member(x, o, "message", &message));
    LB_TRY(lb_json_str(x->path, o, "state", &state));
    if (strchr(stem, '/') || stem[0] == '.') return lb_fail(LB_E_FORMAT, "%s: stem '%s'", x->path, stem);
    if (strcmp(state, "done") == 0) {
        LB_TRY(done_record(x, o, stem, r));
    } else {
        bool refused = strcmp(state, "refused") == 0;
        if (!refused && strcmp(state, "failed") != 0)
            return lb_fail(LB_E_FORMAT, "%s: state '%s': must be done, failed or refused", x->path, state);
        LB_TRY(bare_record(x, o, r));
        r->state = refused ? LB_CELL_REFUSED : LB_CELL_FAILED;
    }
    r->stem = stem;
    r->label = label;
    r->message = message;
    return LB_OK;
}

static lb_status read_index(const index_reader *x, const json_t *root) {
    const char *format = NULL;
    int64_t version = 0;
    LB_TRY(lb_json_str(x->path, root, "format", &format));
    LB_TRY(lb_json_int(x->path, root, "format_version", &version));
    if (strcmp(format, "lowbit sweep") != 0 || version != LB_RESULT_VERSION)
        return lb_fail(LB_E_UNSUPPORTED, "%s: format '%s' version %lld: expected 'lowbit sweep' version %d", x->path,
                       format, (long long)version, LB_RESULT_VERSION);
    LB_TRY(text_member(x, root, "name", &x->out->name));
    LB_TRY(text_member(x, root, "model", &x->out->model_name));
    LB_TRY(text_member(x, root, "model_note", &x->out->model_note));
    const json_t *cells = json_object_get(root, "cells");
    if (!json_is_array(cells)) return lb_fail(LB_E_FORMAT, "%s: 'cells' must be a list", x->path);
    size_t n = json_array_size(cells);
    x->out->record = LB_NEW(x->out->arena, lb_record, n + 1);
    if (!x->out->record) return LB_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        LB_TRY(read_cell(x, json_array_get(cells, i), &x->out->record[i]));
        x->out->n++;
    }
    return LB_OK;
}

lb_status lb_store_read_results(const char *dir, lb_results **out) {
    lb_arena *a = NULL;
    LB_TRY(lb_arena_new(0, &a));
    lb_results *r = LB_NEW(a, lb_results, 1);
    char *path = lb_fs_join(dir, "sweep.json");
    json_t *root = NULL;
    lb_status st = r && path ? LB_OK : LB_E_NOMEM;
    if (st == LB_OK) {
        r->arena = a;
        r->dir = lb_arena_strdup(a, dir);
        if (!r->dir) st = LB_E_NOMEM;
    }
    if (st == LB_OK) {
        st = lb_json_read(path, &root);
        if (st == LB_E_IO) st = lb_fail_in(st, "%s is no results folder", dir);
    }
    if (st == LB_OK) st = lb_json_strict(path, root);
    if (st == LB_OK) st = read_index(&(index_reader){path, dir, r}, root);
    json_decref(root);
    lb_free(path);
    if (st != LB_OK) {
        lb_arena_free(a);
        return st;
    }
    *out = r;
    return LB_OK;
}

void lb_results_free(lb_results *r) {
    if (r) lb_arena_free(r->arena);
}
