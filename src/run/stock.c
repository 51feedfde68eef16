#include "run/stock.h"

#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/index.h"
#include "io/h5.h"
#include "io/json.h"
#include "result/store.h"

typedef struct stock {
    const lb_plan *p;
    lb_arena *arena;
    bool keep_stale;
    lb_index hashes; /* of the index of an earlier run, by stem: places in `hash` */
    const char **hash;
    lb_h5_reader *ahead;
} stock;

/* What the index of an earlier run says of its files: their hashes, by stem. Without one, or with one that cannot be
 * read, nothing is known. Texts from the arena. */
static lb_status read_hashes(stock *x) {
    char *path = lb_fs_join(x->p->dir, "sweep.json");
    json_t *root = NULL;
    if (!path) return LB_E_NOMEM;
    lb_status st = lb_fs_exists(path) ? lb_json_read(path, &root) : LB_OK;
    lb_free(path);
    if (st != LB_OK) return st == LB_E_NOMEM ? st : LB_OK;
    const json_t *cells = json_object_get(root, "cells");
    size_t n = json_array_size(cells);
    x->hash = LB_NEW(x->arena, const char *, n + 1);
    if (!x->hash) st = LB_E_NOMEM;
    for (size_t i = 0; i < n && st == LB_OK; i++) {
        const char *s = json_string_value(json_object_get(json_array_get(cells, i), "stem"));
        const char *h = json_string_value(json_object_get(json_array_get(cells, i), "sha256"));
        lb_index_slot *slot;
        bool fresh;
        if (!s || !h || strlen(h) != LB_HASH_HEX - 1) continue;
        const char *stem = lb_arena_strdup(x->arena, s);
        x->hash[i] = lb_arena_strdup(x->arena, h);
        st = stem && x->hash[i] ? lb_index_put(&x->hashes, stem, i, &slot, &fresh) : LB_E_NOMEM;
    }
    json_decref(root);
    return st;
}

static const char *result_path(const lb_plan *p, lb_arena *a, const lb_cell *c) {
    return lb_arena_printf(a, "%s/%s.h5", p->dir, c->stem);
}

/* What a finished file with a cell's name says about the cell. */
static lb_status is_finished(const stock *x, const lb_cell *c, lb_record *r, lb_finished *out) {
    const lb_index_slot *known = lb_index_get(&x->hashes, c->stem);
    const char *indexed = known ? x->hash[known->value] : NULL, *path = result_path(x->p, x->arena, c);
    if (!path) return LB_E_NOMEM;
    if (!lb_fs_exists(path)) return LB_OK;
    char have[LB_HASH_HEX];
    lb_status st = lb_store_read_ahead(x->ahead, path, x->arena, r);
    if (st == LB_OK) st = lb_h5_hash(path, have);
    if (st == LB_OK && indexed && strcmp(have, indexed) != 0)
        st = lb_fail(LB_E_FORMAT, "%s is damaged: SHA-256 %s, the index says %s", path, have, indexed);
    if (st == LB_E_NOMEM || st == LB_E_INTERRUPTED || st == LB_E_IO) return st;
    if (st != LB_OK) {
        LB_TRY(lb_starved_check());
        *out = LB_FINISHED_DAMAGED;
        r->message = lb_arena_strdup(x->arena, lb_error());
        return r->message ? LB_OK : LB_E_NOMEM;
    }
    memcpy(r->file_hash, have, sizeof r->file_hash);
    const char *content = lb_pairs_get(&r->provenance, "content_key");
    if (strcmp(r->key, c->key) == 0)
        *out = LB_FINISHED_YES;
    else if (content && strcmp(content, c->content_key) == 0)
        *out = LB_FINISHED_STALE;
    return LB_OK;
}

/* Where the config asks for exports: is this cell's folder there? */
static lb_status is_exported(const lb_plan *p, const lb_cell *c, bool *yes) {
    lb_str name = {0};
    *yes = true;
    if (p->config->export == LB_EXPORT_NONE) return LB_OK;
    lb_str_add(&name, "%s/%s.model", p->dir, c->stem);
    lb_status st = lb_str_check(&name);
    if (st == LB_OK) *yes = lb_fs_is_dir(name.s) && !lb_fs_is_link(name.s);
    lb_str_free(&name);
    return st;
}

/* LB_FINISHED_YES, or what the config asks for that is not there. */
static lb_status is_whole(const stock *x, const lb_cell *c, const lb_record *r, lb_finished *out) {
    bool exported = false;
    LB_TRY(is_exported(x->p, c, &exported));
    *out = !exported                  ? LB_FINISHED_NOT_EXPORTED
           : x->p->config->keep_model ? (r->keeps_model ? LB_FINISHED_YES : LB_FINISHED_NOT_KEPT)
           : x->p->config->keep_layers && c->method != NULL && !r->keeps ? LB_FINISHED_NOT_KEPT
                                                                         : LB_FINISHED_YES;
    return LB_OK;
}

/* The results that are there, in the order of the cells. */
static lb_status read_ahead(stock *x) {
    const lb_sweep *s = &x->p->sweep;
    const char **path = LB_NEW(x->arena, const char *, s->n + 1);
    size_t n = 0;
    if (!path) return LB_E_NOMEM;
    for (size_t i = 0; i < s->n; i++) {
        if (s->cell[i].refused) continue;
        path[n] = result_path(x->p, x->arena, &s->cell[i]);
        if (!path[n]) return LB_E_NOMEM;
        n += lb_fs_exists(path[n]);
    }
    return lb_h5_reader_new(path, n, &x->ahead);
}

static lb_status look(stock *x, lb_finished *of_cell, lb_record *record) {
    LB_TRY(read_hashes(x));
    LB_TRY(read_ahead(x));
    for (size_t i = 0; i < x->p->sweep.n; i++) {
        const lb_cell *c = &x->p->sweep.cell[i];
        of_cell[i] = LB_FINISHED_NO;
        if (c->refused) continue;
        LB_TRY(lb_interrupt_check());
        LB_TRY(is_finished(x, c, &record[i], &of_cell[i]));
        if (of_cell[i] == LB_FINISHED_YES || (of_cell[i] == LB_FINISHED_STALE && x->keep_stale))
            LB_TRY(is_whole(x, c, &record[i], &of_cell[i]));
    }
    return LB_OK;
}

lb_status lb_stock_look(const lb_plan *p, bool keep_stale, lb_arena *a, lb_finished *of_cell, lb_record *record) {
    stock x = {.p = p, .arena = a, .keep_stale = keep_stale};
    lb_status st = look(&x, of_cell, record);
    lb_h5_reader_free(x.ahead);
    lb_index_free(&x.hashes);
    return st;
}
