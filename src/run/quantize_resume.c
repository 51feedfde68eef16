/* What a cell has finished so far, block by block: the packed layers and their rows, in <stem>.partial/FIRST.h5. The
 * packed bytes give the same numbers again, so a cell that was killed and goes on ends with the same bytes. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "run/quantize.h"
#include "run/store_fields.h"

static char *block_path(const lb_quantize_job *j, int64_t first) {
    lb_str s = {0};
    lb_str_add(&s, "%s/%s.partial/%05lld.h5", j->journal_dir, j->cell->stem, (long long)first);
    char *path = s.failed ? NULL : lb_strdup(s.s);
    lb_str_free(&s);
    return path;
}

static void layer_path(int64_t i, char out[64]) { snprintf(out, 64, "/packed/%lld", (long long)i); }

/* Bytes as whole 64-bit words. */
static lb_status put_layer(lb_h5 *h, int64_t i, int64_t bytes, const lb_stored *s) {
    char path[64];
    layer_path(i, path);
    int64_t words = (bytes + 7) / 8;
    int64_t *buffer = lb_alloc((size_t)words + 1, sizeof *buffer);
    if (!buffer) return LB_E_NOMEM;
    memcpy(buffer, s->bytes, (size_t)bytes);
    lb_status st = lb_h5_put_i64(h, path, buffer, 1, &words);
    lb_free(buffer);
    LB_TRY(st);
    LB_TRY(lb_h5_attr_i64(h, path, "act_bits", s->act.bits));
    return lb_h5_attr_i64(h, path, "act_symmetric", s->act.symmetric);
}

static lb_status put_block(lb_h5 *h, const lb_quantize_job *j, int64_t first, int64_t n, const lb_stored *s) {
    static const lb_field seconds = {"layer_seconds", LB_FIELD_F64, offsetof(lb_layer_row, seconds), 0};
    LB_TRY(lb_h5_attr_str(h, "/", "key", j->cell->key));
    LB_TRY(lb_fields_put_columns(h, "/layers", lb_layer_fields, &j->row[first], sizeof *j->row, n));
    LB_TRY(lb_fields_put_columns(h, "/host", (lb_fields){&seconds, 1}, &j->row[first], sizeof *j->row, n));
    for (int64_t i = 0; i < n; i++)
        if (j->cell->layer[first + i].quantize) LB_TRY(put_layer(h, i, j->cell->layer[first + i].size.total, &s[i]));
    return LB_OK;
}

lb_status lb_partial_save(const lb_quantize_job *j, int64_t first, int64_t n, const lb_stored *s) {
    char *path = block_path(j, first), *dir = path ? lb_fs_dirname(path) : NULL;
    lb_fs_tmp tmp = {0};
    lb_h5 *h = NULL;
    lb_status st = dir ? lb_fs_own_folder(dir) : LB_E_NOMEM;
    if (st == LB_OK) st = lb_fs_tmp_begin(path, &tmp);
    if (st == LB_OK) st = lb_h5_create(tmp.tmp, &h);
    if (st == LB_OK) st = put_block(h, j, first, n, s);
    if (st == LB_OK) {
        st = lb_h5_close(h);
        h = NULL;
    }
    if (st == LB_OK) st = lb_fs_tmp_commit(&tmp);
    lb_h5_abandon(h);
    lb_fs_tmp_abort(&tmp);
    if (st != LB_OK && path) st = lb_fail_in(st, "keeping finished blocks in %s", path);
    lb_free(path);
    lb_free(dir);
    return st;
}

static lb_status get_layer(lb_h5 *h, lb_arena *a, const lb_layer_plan *l, int64_t i, lb_stored *s) {
    char path[64];
    int64_t *words = NULL, n = 0, bits = 0, symmetric = 0;
    layer_path(i, path);
    LB_TRY(lb_h5_get_i64(h, a, path, &words, &n));
    if (n != (l->size.total + 7) / 8)
        return lb_fail(LB_E_FORMAT, "%s has %lld words, expected %lld", path, (long long)n,
                       (long long)(l->size.total + 7) / 8);
    LB_TRY(lb_h5_get_attr_i64(h, path, "act_bits", &bits));
    LB_TRY(lb_h5_get_attr_i64(h, path, "act_symmetric", &symmetric));
    *s = (lb_stored){.bytes = (uint8_t *)words, .act = {(int)bits, symmetric != 0}};
    return LB_OK;
}

static lb_status get_block(lb_h5 *h, const lb_quantize_job *j, int64_t first, int64_t n, lb_arena *a,
                           lb_layer_row *rows, lb_stored *s) {
    static const lb_field seconds = {"layer_seconds", LB_FIELD_F64, offsetof(lb_layer_row, seconds), 0};
    LB_TRY(lb_fields_get_columns(h, j->keep, "/layers", lb_layer_fields, rows, sizeof *rows, n));
    LB_TRY(lb_fields_get_columns(h, a, "/host", (lb_fields){&seconds, 1}, rows, sizeof *rows, n));
    for (int64_t i = 0; i < n; i++) {
        const lb_layer_plan *l = &j->cell->layer[first + i];
        lb_layer_error *each[] = {&rows[i].own, &rows[i].original, &rows[i].rtn_own, &rows[i].rtn_original};
        if (strcmp(rows[i].name, l->name) != 0 || rows[i].rows != l->rows || rows[i].cols != l->cols)
            return lb_fail(LB_E_FORMAT, "layer '%s': expected %s", rows[i].name, l->name);
        for (size_t k = 0; k < 4; k++) each[k]->rows = l->rows, each[k]->cols = l->cols;
        if (l->quantize) LB_TRY(get_layer(h, a, l, i, &s[i]));
    }
    return LB_OK;
}

lb_status lb_partial_load(lb_quantize_job *j, int64_t first, int64_t n, lb_arena *a, lb_stored *s, bool *found) {
    *found = false;
    char *path = block_path(j, first), *key = NULL;
    if (!path) return LB_E_NOMEM;
    lb_h5 *h = NULL;
    lb_layer_row *rows = LB_NEW(a, lb_layer_row, n + 1);
    lb_status st = rows ? LB_OK : LB_E_NOMEM;
    bool there = lb_fs_exists(path);
    if (st == LB_OK && there) st = lb_h5_open(path, &h);
    if (st == LB_OK && there) st = lb_h5_get_attr_str(h, a, "/", "key", &key);
    /* Of another version of the program or the config: it will be written over. */
    bool mine = st == LB_OK && there && strcmp(key, j->cell->key) == 0;
    if (mine) st = get_block(h, j, first, n, a, rows, s);
    if (mine && st == LB_OK) {
        memcpy(&j->row[first], rows, (size_t)n * sizeof *rows);
        *found = true;
    }
    if (st != LB_OK && st != LB_E_NOMEM) {
        lb_warn(j->log, "%s is damaged, its layers are computed again: %s", path, lb_error());
        memset(s, 0, (size_t)n * sizeof *s);
        st = LB_OK;
    }
    lb_h5_abandon(h);
    lb_free(path);
    return st;
}

/* 00012.h5, and the same with .tmp.PID behind it. */
static bool is_block(const char *name, bool folder) {
    size_t digits = strspn(name, "0123456789");
    return !folder && digits >= 5 && name[digits] == '.';
}

void lb_partial_remove(const char *dir, const char *stem) {
    lb_str folder = {0};
    lb_str_add(&folder, "%s/%s.partial", dir, stem);
    if (!folder.failed) {
        lb_fs_remove_ours(folder.s, is_block);
        if (rmdir(folder.s)) (void)unlink(folder.s); /* a link goes, not what is behind it */
    }
    lb_str_free(&folder);
}
