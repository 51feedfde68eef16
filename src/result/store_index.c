/* Reading a results folder by its index, sweep.json: nothing in it is trusted. */
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/index.h"
#include "io/h5.h"
#include "io/json.h"
#include "result/provenance.h"
#include "result/store_fields.h"
#include "result/store_folder.h"

typedef struct index_reader {
    const char *path, *dir;
    lb_results *out;
    lb_h5_reader *ahead;
    const json_t *models; /* NULL: there is one alone */
    lb_index seen;        /* the stems, which belong to the JSON */
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

/* Of a cell without a file the index is all there is. */
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

static lb_status file_of(const index_reader *x, const char *stem, const char **out) {
    *out = lb_arena_printf(x->out->arena, "%s%s%s.h5", x->dir, lb_str_ends(x->dir, "/") ? "" : "/", stem);
    return *out ? LB_OK : LB_E_NOMEM;
}

lb_status lb_store_note_version(lb_arena *a, lb_record *r) {
    const char *rev = lb_pairs_get(&r->provenance, "revision"), *now = lb_provenance_revision();
    if (!rev || strcmp(rev, now) == 0) return LB_OK;
    const char *w = lb_arena_printf(a, "made by another code version (%s; this is %s)", rev, now);
    return w ? add_warning(a, r, w) : LB_E_NOMEM;
}

/* A file that is gone, or is not the one that was written, takes its own row along and no other: what the index knows
 * of the cell stays. */
static lb_status missing_record(const index_reader *x, const json_t *o, const char *why, lb_record *r) {
    LB_TRY(bare_record(x, o, r));
    r->state = LB_CELL_MISSING;
    r->message = why;
    return why ? LB_OK : LB_E_NOMEM;
}

static lb_status done_record(const index_reader *x, const json_t *o, const char *stem, lb_record *r) {
    const char *want = NULL;
    const char *path;
    char have[LB_HASH_HEX];
    LB_TRY(lb_json_str(x->path, o, "sha256", &want));
    if (!lb_hash_is_hex(want)) return lb_fail(LB_E_FORMAT, "%s: sha256 of %s: must be 64 hex digits", x->path, stem);
    LB_TRY(file_of(x, stem, &path));
    if (!lb_fs_there(path)) return missing_record(x, o, "its file is gone: run the config again", r);
    LB_TRY(lb_h5_hash(path, have));
    if (strcmp(have, want) != 0)
        return missing_record(x, o, "its file is damaged (another SHA-256 than the index has): run the config again",
                              r);
    LB_TRY(lb_store_read_ahead(x->ahead, path, x->out->arena, r));
    if (strcmp(r->stem, stem) != 0)
        return lb_fail(LB_E_FORMAT, "%s is damaged: stem '%s': the index says '%s'", path, r->stem, stem);
    return lb_store_note_version(x->out->arena, r);
}

bool lb_store_is_file_name(const char *s) {
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

static lb_status read_state(const index_reader *x, const json_t *o, const char *stem, lb_record *r) {
    const char *state = NULL;
    LB_TRY(lb_json_str(x->path, o, "state", &state));
    if (strcmp(state, "done") == 0) return done_record(x, o, stem, r);
    bool refused = strcmp(state, "refused") == 0;
    if (!refused && strcmp(state, "failed") != 0)
        return lb_fail(LB_E_FORMAT, "%s: state '%s': must be done, failed or refused", x->path, state);
    LB_TRY(bare_record(x, o, r));
    r->state = refused ? LB_CELL_REFUSED : LB_CELL_FAILED;
    return LB_OK;
}

static lb_status read_cell(const index_reader *x, const json_t *o, bool pending, lb_record *r) {
    const char *stem = NULL, *label = NULL, *message = "";
    LB_TRY(text_member(x, o, "stem", &stem));
    LB_TRY(text_member(x, o, "label", &label));
    if (!lb_store_is_file_name(stem)) return lb_fail(LB_E_FORMAT, "%s: stem '%s': must be a plain name", x->path, stem);
    if (pending) {
        LB_TRY(bare_record(x, o, r));
        r->state = LB_CELL_PENDING;
    } else {
        LB_TRY(text_member(x, o, "message", &message));
        LB_TRY(read_state(x, o, stem, r));
    }
    r->stem = stem;
    r->label = label;
    if (r->state != LB_CELL_MISSING) r->message = message;
    return x->models ? model_of(x, o, r) : LB_OK;
}

/* The cells of the sweep in its order: those that ran or were refused, and, each at its place, those that wait. */
typedef struct sweep_order {
    const json_t **cell;
    bool *pending;
    size_t n;
} sweep_order;

static lb_status order_cells(const index_reader *x, const json_t *root, sweep_order *out) {
    const json_t *cells = json_object_get(root, "cells"), *pending = json_object_get(root, "pending");
    if (!json_is_array(cells)) return lb_fail(LB_E_FORMAT, "%s: 'cells' must be a list", x->path);
    if (pending && !json_is_array(pending)) return lb_fail(LB_E_FORMAT, "%s: 'pending' must be a list", x->path);
    size_t n = json_array_size(cells) + json_array_size(pending), next = 0;
    if (n > LB_CELLS_MOST) return lb_fail(LB_E_FORMAT, "%s: %zu cells: at most %d", x->path, n, LB_CELLS_MOST);
    *out = (sweep_order){LB_NEW(x->out->arena, const json_t *, n + 1), LB_NEW(x->out->arena, bool, n + 1), n};
    if (!out->cell || !out->pending) return LB_E_NOMEM;
    for (size_t i = 0; i < json_array_size(pending); i++) {
        const json_t *o = json_array_get(pending, i);
        int64_t at = 0;
        LB_TRY(lb_json_int(x->path, o, "at", &at));
        if (at < 0 || (size_t)at >= n || out->pending[at])
            return lb_fail(LB_E_FORMAT, "%s: pending cell %zu: at = %lld: must be a place of its own in [0, %zu)",
                           x->path, i, (long long)at, n);
        out->cell[at] = o;
        out->pending[at] = true;
    }
    for (size_t i = 0; i < n; i++)
        if (!out->pending[i]) out->cell[i] = json_array_get(cells, next++);
    return LB_OK;
}

/* A cell that is listed often would be read and kept as often. */
static lb_status refuse_twins(const index_reader *x, const sweep_order *s, lb_index *seen) {
    lb_index_slot *slot;
    bool fresh = true;
    for (size_t i = 0; i < s->n; i++) {
        const char *stem = json_string_value(json_object_get(s->cell[i], "stem"));
        if (!stem) continue; /* said when the cell is read */
        LB_TRY(lb_index_put(seen, stem, i, &slot, &fresh));
        if (!fresh)
            return lb_fail(LB_E_FORMAT, "%s is damaged: cells %zu and %zu have one stem, '%s'", x->path, slot->value, i,
                           stem);
    }
    return LB_OK;
}

/* The files of finished cells in the order in which they are going to be read, as far as the index makes sense. */
static lb_status read_ahead(index_reader *x, const sweep_order *s) {
    size_t files = 0;
    const char **path = LB_NEW(x->out->arena, const char *, s->n + 1);
    if (!path) return LB_E_NOMEM;
    for (size_t i = 0; i < s->n; i++) {
        const char *stem = json_string_value(json_object_get(s->cell[i], "stem"));
        const char *state = json_string_value(json_object_get(s->cell[i], "state"));
        if (s->pending[i]) continue;
        if (!stem || !state || !lb_store_is_file_name(stem)) break;
        if (strcmp(state, "done") != 0) continue;
        LB_TRY(file_of(x, stem, &path[files]));
        files += lb_fs_there(path[files]);
    }
    return files ? lb_h5_reader_new(path, files, &x->ahead) : LB_OK;
}

static lb_status read_cells(index_reader *x, const sweep_order *s) {
    lb_results *out = x->out;
    LB_TRY(lb_store_count_unlisted(x->dir, &x->seen, &out->unlisted));
    LB_TRY(read_ahead(x, s));
    out->record = LB_NEW(out->arena, lb_record, s->n + 1);
    const char *folder = lb_store_folder_name(out->arena, x->dir);
    if (!out->record || !folder) return LB_E_NOMEM;
    for (size_t i = 0; i < s->n; i++) {
        LB_TRY(lb_interrupt_check());
        LB_TRY(read_cell(x, s->cell[i], s->pending[i], &out->record[i]));
        out->record[i].folder = folder;
        out->n++;
    }
    return LB_OK;
}

static lb_status read_index(index_reader *x, const json_t *root) {
    const char *format = NULL;
    int64_t version = 0;
    sweep_order s = {0};
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
    LB_TRY(order_cells(x, root, &s));
    LB_TRY(refuse_twins(x, &s, &x->seen));
    return read_cells(x, &s);
}

/* Results without the index that listed them. *lost: there are none, or there is an index. */
static lb_status without_index(const char *dir, const char *path, bool all, lb_results *r, bool *lost) {
    const lb_index none = {0};
    *lost = false;
    if (lb_fs_there(path)) return LB_OK;
    LB_TRY(lb_store_count_unlisted(dir, &none, &r->unlisted));
    if (r->unlisted == 0) return LB_OK;
    if (!all)
        return lb_fail(LB_E_FORMAT,
                       "%s: %lld results are there, but their index is gone (sweep.json): report --all shows them, and "
                       "the run of their config writes it again",
                       dir, (long long)r->unlisted);
    *lost = true;
    r->name = lb_store_folder_name(r->arena, dir);
    r->model_name = r->model_note = "";
    return r->name ? LB_OK : LB_E_NOMEM;
}

static lb_status read_folder(lb_arena *a, const char *dir, bool all, lb_results *r) {
    json_t *root = NULL;
    char *path = lb_fs_join(dir, "sweep.json");
    bool lost = false;
    *r = (lb_results){.arena = a, .dir = lb_arena_strdup(a, dir)};
    lb_status st = r->dir && path ? without_index(dir, path, all, r, &lost) : LB_E_NOMEM;
    if (lost || st != LB_OK) {
        lb_free(path);
        return st;
    }
    if (st == LB_OK) {
        st = lb_json_read(path, &root);
        if (st == LB_E_IO) st = lb_fail_in(st, "%s is no results folder", dir);
    }
    if (st == LB_OK) st = lb_json_strict(path, root);
    index_reader x = {.path = path, .dir = dir, .out = r};
    if (st == LB_OK) st = read_index(&x, root);
    lb_h5_reader_free(x.ahead);
    lb_index_free(&x.seen);
    json_decref(root);
    lb_free(path);
    return st;
}

lb_status lb_store_read_folder(lb_arena *a, const char *dir, bool all, lb_results *r) {
    LB_TRY(read_folder(a, dir, all, r));
    if (!all) return LB_OK;
    LB_TRY(lb_store_read_unlisted(r));
    if (!r->model_name[0] && r->n) r->model_name = r->record[0].model;
    return LB_OK;
}

static lb_status read_one_folder(const char *dir, bool all, lb_results **out) {
    lb_arena *a = NULL;
    LB_TRY(lb_arena_new(0, &a));
    lb_results *r = LB_NEW(a, lb_results, 1);
    lb_status st = r ? lb_store_read_folder(a, dir, all, r) : LB_E_NOMEM;
    if (st != LB_OK) {
        lb_arena_free(a);
        return st;
    }
    *out = r;
    return LB_OK;
}

lb_status lb_store_read_results(const char *dir, lb_results **out) { return read_one_folder(dir, false, out); }
lb_status lb_store_read_all(const char *dir, lb_results **out) { return read_one_folder(dir, true, out); }

void lb_results_free(lb_results *r) {
    if (r) lb_arena_free(r->arena);
}
