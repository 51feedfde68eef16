/* Reading a results folder by its index, sweep.json: nothing in it is trusted. */
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/index.h"
#include "io/h5.h"
#include "io/json.h"
#include "result/provenance.h"
#include "result/store.h"
#include "result/store_fields.h"

enum { MAX_CELLS = 100000 };

typedef struct index_reader {
    const char *path, *dir;
    lb_results *out;
    lb_h5_reader *ahead;
    const json_t *models; /* NULL: there is one alone */
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
    if (bits < 0 || bits > 64)
        return lb_fail(LB_E_FORMAT, "%s: bits = %lld: must be in [0, 64]", x->path, (long long)bits);
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
    LB_TRY(lb_h5_hash(path, have));
    if (strcmp(have, want) == 0) return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s is damaged: SHA-256 %s, the index says %s: run the cell again", path, have, want);
}

static lb_status file_of(const index_reader *x, const char *stem, const char **out) {
    *out = lb_arena_printf(x->out->arena, "%s%s%s.h5", x->dir, lb_str_ends(x->dir, "/") ? "" : "/", stem);
    return *out ? LB_OK : LB_E_NOMEM;
}

static lb_status done_record(const index_reader *x, const json_t *o, const char *stem, lb_record *r) {
    const char *want = NULL;
    const char *path;
    LB_TRY(lb_json_str(x->path, o, "sha256", &want));
    if (!lb_hash_is_hex(want)) return lb_fail(LB_E_FORMAT, "%s: sha256 of %s: must be 64 hex digits", x->path, stem);
    LB_TRY(file_of(x, stem, &path));
    LB_TRY(check_hash(path, want));
    LB_TRY(lb_store_read_ahead(x->ahead, path, x->out->arena, r));
    if (strcmp(r->stem, stem) != 0)
        return lb_fail(LB_E_FORMAT, "%s is damaged: stem '%s': the index says '%s'", path, r->stem, stem);
    const char *rev = lb_pairs_get(&r->provenance, "revision"), *now = lb_provenance_revision();
    if (!rev || strcmp(rev, now) == 0) return LB_OK;
    const char *w = lb_arena_printf(x->out->arena, "made by another code version (%s; this is %s)", rev, now);
    return w ? add_warning(x->out->arena, r, w) : LB_E_NOMEM;
}

/* A name in this folder, and nothing that a program would take for an option or a hidden file. */
static bool is_file_name(const char *s) {
    size_t n = strlen(s);
    if (n < 1 || n > 200 || s[0] == '.' || s[0] == '-') return false;
    for (size_t i = 0; i < n; i++)
        if (s[i] == '/' || (unsigned char)s[i] < 0x20 || s[i] == 0x7f) return false;
    return true;
}

/* The model of a cell, which the list of models must have. */
static lb_status model_of(const index_reader *x, const json_t *o, lb_record *r) {
    LB_TRY(text_member(x, o, "model", &r->model));
    for (size_t i = 0; i < json_array_size(x->models); i++) {
        const json_t *m = json_array_get(x->models, i);
        const char *name = NULL;
        LB_TRY(lb_json_str(x->path, m, "name", &name));
        if (strcmp(name, r->model) == 0) return text_member(x, m, "note", &r->model_note);
    }
    return lb_fail(LB_E_FORMAT, "%s: model '%s' is not in 'models'", x->path, r->model);
}

static lb_status read_cell(const index_reader *x, const json_t *o, lb_record *r) {
    const char *state = NULL, *stem = NULL, *label = NULL, *message = NULL;
    LB_TRY(text_member(x, o, "stem", &stem));
    LB_TRY(text_member(x, o, "label", &label));
    LB_TRY(text_member(x, o, "message", &message));
    LB_TRY(lb_json_str(x->path, o, "state", &state));
    if (!is_file_name(stem)) return lb_fail(LB_E_FORMAT, "%s: stem '%s': must be a plain name", x->path, stem);
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
    return x->models ? model_of(x, o, r) : LB_OK;
}

/* The files of finished cells in the order in which they are going to be read, as far as the index makes sense. */
static lb_status read_ahead(index_reader *x, const json_t *cells) {
    size_t n = json_array_size(cells), files = 0;
    const char **path = LB_NEW(x->out->arena, const char *, n + 1);
    if (!path) return LB_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        const json_t *o = json_array_get(cells, i);
        const char *stem = json_string_value(json_object_get(o, "stem"));
        const char *state = json_string_value(json_object_get(o, "state"));
        if (!stem || !state || !is_file_name(stem)) break;
        if (strcmp(state, "done") == 0) LB_TRY(file_of(x, stem, &path[files++]));
    }
    return files ? lb_h5_reader_new(path, files, &x->ahead) : LB_OK;
}

/* A cell that is listed often would be read and kept as often. */
static lb_status refuse_twins(const index_reader *x, const json_t *cells) {
    lb_index seen = {0};
    lb_index_slot *slot;
    bool fresh = true;
    lb_status st = LB_OK;
    for (size_t i = 0; i < json_array_size(cells) && st == LB_OK; i++) {
        const char *stem = json_string_value(json_object_get(json_array_get(cells, i), "stem"));
        if (!stem) continue; /* said when the cell is read */
        st = lb_index_put(&seen, stem, i, &slot, &fresh);
        if (st == LB_OK && !fresh)
            st = lb_fail(LB_E_FORMAT, "%s is damaged: cells %zu and %zu have one stem, '%s'", x->path, slot->value, i,
                         stem);
    }
    lb_index_free(&seen);
    return st;
}

static lb_status read_index(index_reader *x, const json_t *root) {
    const char *format = NULL;
    int64_t version = 0;
    LB_TRY(lb_json_str(x->path, root, "format", &format));
    LB_TRY(lb_json_int(x->path, root, "format_version", &version));
    if (strcmp(format, "lowbit sweep") != 0 || (version != LB_RESULT_VERSION && version != LB_INDEX_OF_MODELS))
        return lb_fail(LB_E_UNSUPPORTED, "%s: format '%s' version %lld: expected 'lowbit sweep' version %d or %d",
                       x->path, format, (long long)version, LB_RESULT_VERSION, LB_INDEX_OF_MODELS);
    if (version == LB_INDEX_OF_MODELS) {
        x->models = json_object_get(root, "models");
        if (!json_is_array(x->models) || json_array_size(x->models) > LB_MODELS_MOST)
            return lb_fail(LB_E_FORMAT, "%s: 'models' must be a list of at most %d", x->path, LB_MODELS_MOST);
    }
    LB_TRY(text_member(x, root, "name", &x->out->name));
    LB_TRY(text_member(x, root, "model", &x->out->model_name));
    LB_TRY(text_member(x, root, "model_note", &x->out->model_note));
    const json_t *cells = json_object_get(root, "cells");
    if (!json_is_array(cells)) return lb_fail(LB_E_FORMAT, "%s: 'cells' must be a list", x->path);
    size_t n = json_array_size(cells);
    if (n > MAX_CELLS) return lb_fail(LB_E_FORMAT, "%s: %zu cells: at most %d", x->path, n, MAX_CELLS);
    LB_TRY(refuse_twins(x, cells));
    LB_TRY(read_ahead(x, cells));
    x->out->record = LB_NEW(x->out->arena, lb_record, n + 1);
    if (!x->out->record) return LB_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        LB_TRY(lb_interrupt_check());
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
    index_reader x = {.path = path, .dir = dir, .out = r};
    if (st == LB_OK) st = read_index(&x, root);
    lb_h5_reader_free(x.ahead);
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
