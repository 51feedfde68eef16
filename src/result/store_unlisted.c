/* A results folder is everything that was computed in it: results that are not of the sweep that its index lists, and
 * several folders as one. Nothing in them is trusted. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "io/h5.h"
#include "result/store_folder.h"

static const char ENDING[] = ".h5";

/* Called with the name of each finished result, without its ending, that is not in `listed`. */
typedef lb_status unlisted_visit(void *user, const char *stem);

static lb_status visit_unlisted(const char *dir, const lb_index *listed, unlisted_visit *visit, void *user) {
    char **name = NULL;
    size_t n = 0;
    lb_status st = lb_fs_list(dir, ENDING, &name, &n);
    for (size_t i = 0; i < n && st == LB_OK; i++) {
        char *path = lb_fs_join(dir, name[i]);
        if (!path) st = LB_E_NOMEM;
        /* Behind a link are results of another folder. */
        bool ours = path && !lb_fs_is_link(path) && lb_h5_is_sealed(path);
        lb_free(path);
        name[i][strlen(name[i]) - strlen(ENDING)] = 0;
        if (ours && !lb_index_get(listed, name[i])) st = visit(user, name[i]);
    }
    lb_fs_list_free(name, n);
    return st;
}

static lb_status count_one(void *user, const char *stem) {
    (void)stem;
    ++*(int64_t *)user;
    return LB_OK;
}

lb_status lb_store_count_unlisted(const char *dir, const lb_index *listed, int64_t *n) {
    *n = 0;
    lb_status st = visit_unlisted(dir, listed, count_one, n);
    if (st != LB_E_IO) return st;
    lb_error_clear(); /* a folder that may be entered but not listed */
    return LB_OK;
}

const char *lb_store_folder_name(lb_arena *a, const char *dir) {
    char real[PATH_MAX];
    const char *at = realpath(dir, real) ? real : dir;
    return lb_arena_strdup(a, strcmp(at, "/") == 0 ? at : lb_fs_basename(at));
}

/* ---- what the index does not list ---- */

typedef struct stems {
    lb_arena *arena;
    const char **at, **path; /* "DIR/STEM.h5" */
    const char *dir;
    int64_t n, most;
} stems;

static lb_status keep_stem(void *user, const char *stem) {
    stems *s = user;
    if (s->n == s->most) return LB_OK; /* one more since they were counted */
    s->at[s->n] = lb_arena_strdup(s->arena, stem);
    s->path[s->n] = lb_arena_printf(s->arena, "%s%s%s%s", s->dir, lb_str_ends(s->dir, "/") ? "" : "/", stem, ENDING);
    if (!s->at[s->n] || !s->path[s->n]) return LB_E_NOMEM;
    s->n++;
    return LB_OK;
}

static lb_status list_stems(const lb_results *r, stems *out) {
    lb_index listed = {0};
    lb_index_slot *slot;
    bool fresh;
    lb_status st = LB_OK;
    *out = (stems){.arena = r->arena, .dir = r->dir};
    for (int64_t i = 0; i < r->n && st == LB_OK; i++)
        st = lb_index_put(&listed, r->record[i].stem, (size_t)i, &slot, &fresh);
    if (st == LB_OK) st = visit_unlisted(r->dir, &listed, count_one, &out->most);
    if (st == LB_OK && r->n + out->most > LB_CELLS_MOST)
        st = lb_fail(LB_E_FORMAT, "%s: more than %d results", r->dir, LB_CELLS_MOST);
    if (st == LB_OK) {
        out->at = LB_NEW(r->arena, const char *, out->most + 1);
        out->path = LB_NEW(r->arena, const char *, out->most + 1);
        st = out->at && out->path ? visit_unlisted(r->dir, &listed, keep_stem, out) : LB_E_NOMEM;
    }
    lb_index_free(&listed);
    return st;
}

static lb_status add_notice(lb_results *r, const char *text) {
    const char **all = LB_NEW(r->arena, const char *, r->notices + 1);
    char *copy = text ? lb_arena_strdup(r->arena, text) : NULL;
    if (!all || !copy) return LB_E_NOMEM;
    if (r->notices) memcpy(all, r->notice, (size_t)r->notices * sizeof *all);
    all[r->notices++] = copy;
    r->notice = all;
    return LB_OK;
}

/* The model of one of the first `listed` records with the same weights; else what the file's own config called it. */
static void name_model(const lb_results *r, int64_t listed, lb_record *c) {
    const char *hash = lb_pairs_get(&c->provenance, "model_sha256");
    for (int64_t i = 0; hash && i < listed; i++) {
        const lb_record *o = &r->record[i];
        const char *other = lb_pairs_get(&o->provenance, "model_sha256");
        if (!other || strcmp(other, hash) != 0) continue;
        c->model = o->model, c->model_note = o->model_note;
        return;
    }
    const char *name = lb_pairs_get(&c->provenance, "model");
    c->model = name && name[0] ? name : "unknown model";
    c->model_note = "";
}

static lb_status read_one(lb_h5_reader *ahead, const char *path, const char *stem, lb_arena *a, lb_record *c) {
    LB_TRY(lb_store_read_ahead(ahead, path, a, c));
    if (strcmp(c->stem, stem) != 0 || !lb_store_is_file_name(stem))
        return lb_fail(LB_E_FORMAT, "%s is damaged: stem '%s': its name says another", path, c->stem);
    return lb_store_note_version(a, c);
}

static lb_status append_unlisted(lb_results *r, const stems *s, lb_h5_reader *ahead) {
    int64_t listed = r->n;
    const char *folder = lb_store_folder_name(r->arena, r->dir);
    lb_record *all = LB_NEW(r->arena, lb_record, r->n + s->n + 1);
    if (!all || !folder) return LB_E_NOMEM;
    if (r->n) memcpy(all, r->record, (size_t)r->n * sizeof *all);
    r->record = all;
    for (int64_t i = 0; i < s->n; i++) {
        LB_TRY(lb_interrupt_check());
        lb_record *c = &all[r->n];
        lb_status st = read_one(ahead, s->path[i], s->at[i], r->arena, c);
        if (st == LB_E_NOMEM || st == LB_E_INTERRUPTED) return st;
        if (st != LB_OK) {
            LB_TRY(lb_starved_check());
            LB_TRY(add_notice(r, lb_error()));
            lb_error_clear();
            continue;
        }
        name_model(r, listed, c);
        c->folder = folder;
        c->message = "";
        c->unlisted = true;
        r->n++;
    }
    return LB_OK;
}

lb_status lb_store_read_unlisted(lb_results *r) {
    stems s;
    lb_h5_reader *ahead = NULL;
    LB_TRY(list_stems(r, &s));
    if (s.n == 0) return LB_OK;
    LB_TRY(lb_h5_reader_new(s.path, (size_t)s.n, &ahead));
    lb_status st = append_unlisted(r, &s, ahead);
    lb_h5_reader_free(ahead);
    return st;
}

/* ---- several folders ---- */

/* What a record's folder is called among several: its name, or, where two have one, what was typed. */
static lb_status name_folders(lb_arena *a, const char *const *dir, int64_t n, const char **out) {
    const char **name = LB_NEW(a, const char *, n);
    if (!name) return LB_E_NOMEM;
    for (int64_t k = 0; k < n; k++) {
        name[k] = lb_store_folder_name(a, dir[k]);
        if (!name[k]) return LB_E_NOMEM;
    }
    for (int64_t k = 0; k < n; k++) {
        bool twin = false;
        for (int64_t j = 0; j < n; j++) twin = twin || (j != k && strcmp(name[j], name[k]) == 0);
        out[k] = twin ? lb_arena_strdup(a, dir[k]) : name[k];
        if (!out[k]) return LB_E_NOMEM;
    }
    return LB_OK;
}

/* Appends the records of part k that no part before it has. keys: of what is there, with their parts. */
static lb_status append_part(lb_results *out, const lb_results *part, size_t k, const char *folder, bool models,
                             lb_index *keys) {
    for (int64_t i = 0; i < part->n; i++) {
        lb_record c = part->record[i];
        lb_index_slot *slot;
        bool fresh = true;
        if (c.key[0]) LB_TRY(lb_index_put(keys, c.key, k, &slot, &fresh));
        if (!fresh && slot->value != k) continue;
        if (models && !c.model) c.model = part->model_name, c.model_note = part->model_note;
        c.folder = folder;
        c.source = part;
        out->record[out->n++] = c;
    }
    for (int64_t i = 0; i < part->notices; i++) out->notice[out->notices++] = part->notice[i];
    out->unlisted += part->unlisted;
    return LB_OK;
}

/* "a, b": each text once. */
static const char *list_text(lb_arena *a, const char *list, const char *text) {
    size_t n = strlen(text);
    for (const char *p = list; *p; p += strcspn(p, ","), p += strspn(p, ", "))
        if (strncmp(p, text, n) == 0 && (p[n] == 0 || p[n] == ',')) return list;
    return list[0] ? lb_arena_printf(a, "%s, %s", list, text) : text;
}

static lb_status merge(const lb_results *part, int64_t n, const char *const *folder, lb_results *out) {
    int64_t records = 0, notices = 0;
    bool models = false;
    out->name = out->model_name = "";
    for (int64_t k = 0; k < n; k++) {
        records += part[k].n, notices += part[k].notices;
        models = models || strcmp(part[k].model_name, part[0].model_name) != 0;
        out->name = list_text(out->arena, out->name, part[k].name);
        if (out->name) out->model_name = list_text(out->arena, out->model_name, part[k].model_name);
        if (!out->name || !out->model_name) return LB_E_NOMEM;
    }
    if (records > LB_CELLS_MOST)
        return lb_fail(LB_E_ARG, "%lld results in %lld folders: at most %d", (long long)records, (long long)n,
                       LB_CELLS_MOST);
    out->model_note = models ? "" : part[0].model_note;
    out->record = LB_NEW(out->arena, lb_record, records + 1);
    const char **notice = LB_NEW(out->arena, const char *, out->notices + notices + 1);
    if (!out->record || !notice) return LB_E_NOMEM;
    for (int64_t i = 0; i < out->notices; i++) notice[i] = out->notice[i];
    out->notice = notice;
    lb_index keys = {0};
    lb_status st = LB_OK;
    for (int64_t k = 0; k < n && st == LB_OK; k++) st = append_part(out, &part[k], (size_t)k, folder[k], models, &keys);
    lb_index_free(&keys);
    return st;
}

/* An index that cannot be read takes its folder along and no other; a folder that is none was mistyped. */
static bool is_damage(const char *dir, lb_status st) {
    char *index = st == LB_E_IO ? lb_fs_join(dir, "sweep.json") : NULL;
    bool there = index && lb_fs_there(index);
    lb_free(index);
    return st == LB_E_FORMAT || st == LB_E_UNSUPPORTED || there;
}

static lb_status read_several(const char *const *dir, int64_t n, bool all, lb_results *out) {
    lb_arena *a = out->arena;
    lb_results *part = LB_NEW(a, lb_results, n);
    const char **folder = LB_NEW(a, const char *, n), **read = LB_NEW(a, const char *, n);
    int64_t parts = 0;
    if (!part || !folder || !read) return LB_E_NOMEM;
    for (int64_t k = 0; k < n; k++) {
        lb_status st = lb_store_read_folder(a, dir[k], all, &part[parts]);
        if (st == LB_OK) {
            read[parts++] = dir[k];
            continue;
        }
        if (!is_damage(dir[k], st) || (k + 1 == n && !parts)) return st;
        LB_TRY(lb_starved_check());
        LB_TRY(add_notice(out, lb_arena_printf(a, "%s is left out: %s", dir[k], lb_error())));
        lb_error_clear();
        out->unread++;
    }
    out->dir = part[0].dir;
    LB_TRY(name_folders(a, read, parts, folder));
    return merge(part, parts, folder, out);
}

lb_status lb_store_read_several(const char *const *dir, int64_t n, bool all, lb_results **out) {
    lb_arena *a = NULL;
    if (n < 1) return lb_fail(LB_E_ARG, "no results folder");
    LB_TRY(lb_arena_new(0, &a));
    lb_results *r = LB_NEW(a, lb_results, 1);
    if (r) r->arena = a;
    lb_status st = r ? read_several(dir, n, all, r) : LB_E_NOMEM;
    if (st != LB_OK) {
        lb_arena_free(a);
        return st;
    }
    *out = r;
    return LB_OK;
}
