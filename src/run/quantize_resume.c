/* What a cell has finished so far, block by block: the packed layers, their rows and what the method warned of, in
 * <stem>.partial/FIRST.block, a sealed file: a section "NUMBER/packed" with the bytes of each layer and one for each
 * column of the rows. Before them what stages that preserve gave, in BLOCK.stageNUMBER: "hadamard" (inputs), and of
 * each input "NUMBER/scale" and "NUMBER/sign" where it has one. The same bytes give the same numbers again, so a cell
 * that was killed and goes on ends with the same bytes. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "io/sealed.h"
#include "result/store.h"
#include "result/store_fields.h"
#include "run/block_plan.h"
#include "run/quantize.h"

#define KIND         "blocks"
#define KIND_CHANGES "changes"

enum { MOST_TEXT = 1 << 20 }; /* bytes: names of a block's layers, a method's warnings */

/* What is kept beside the columns of a result. */
static const lb_field timing[] = {{"layer_seconds", LB_FIELD_F64, offsetof(lb_layer_row, seconds), 0}};
static const lb_fields timing_fields = {timing, 1};

static char *block_path(const lb_quantize_job *j, int64_t first) {
    lb_str s = {0};
    lb_str_add(&s, "%s/%s.partial/%05lld.block", j->journal_dir, j->cell->stem, (long long)first);
    char *path = s.failed ? NULL : lb_strdup(s.s);
    lb_str_free(&s);
    return path;
}

/* ---- rows ---- */

/* Texts one after another, each with its NUL. */
static lb_status put_texts(lb_sealed *f, const char *name, const char *const *text, int64_t n) {
    lb_str all = {0};
    for (int64_t i = 0; i < n; i++) lb_str_add_bytes(&all, text[i], strlen(text[i]) + 1);
    lb_status st = all.failed ? lb_str_check(&all) : LB_OK;
    if (st == LB_OK) st = lb_sealed_put_all(f, name, LB_SEALED_U8, (int64_t)all.len, NULL, all.s);
    lb_str_free(&all);
    return st;
}

/* Those bytes, with a NUL behind them. */
static lb_status get_texts(lb_sealed *f, lb_arena *a, const char *name, char **text, const char **end) {
    int64_t section = 0, bytes = 0;
    LB_TRY(lb_sealed_find(f, name, LB_SEALED_U8, &section, &bytes));
    if (bytes > MOST_TEXT)
        return lb_fail(LB_E_FORMAT, "%s: %lld bytes of text: at most %d", name, (long long)bytes, MOST_TEXT);
    if (!(*text = lb_arena_get(a, (size_t)bytes + 1, 1))) return LB_E_NOMEM;
    *end = *text + bytes;
    return lb_sealed_get(f, section, 0, bytes, NULL, *text);
}

static lb_status put_names(lb_sealed *f, const lb_field *x, const lb_layer_row *rows, int64_t n) {
    const char **text = lb_alloc((size_t)n, sizeof *text);
    if (!text) return LB_E_NOMEM;
    for (int64_t i = 0; i < n; i++) text[i] = lb_field_text(x, &rows[i]);
    lb_status st = put_texts(f, x->name, text, n);
    lb_free(text);
    return st;
}

static lb_status get_names(lb_sealed *f, lb_arena *keep, const lb_field *x, lb_layer_row *rows, int64_t n) {
    char *s = NULL;
    const char *end = NULL;
    LB_TRY(get_texts(f, keep, x->name, &s, &end));
    for (int64_t i = 0; i < n; i++) {
        if (s >= end)
            return lb_fail(LB_E_FORMAT, "%s has %lld texts, expected %lld", x->name, (long long)i, (long long)n);
        LB_TRY(lb_field_set_text(x, &rows[i], "layers", s));
        s += strlen(s) + 1;
    }
    return LB_OK;
}

/* A column: whole numbers, or real ones. */
typedef union column {
    double real;
    int64_t whole;
} column;

static lb_status put_numbers(lb_sealed *f, const lb_field *x, const lb_layer_row *rows, int64_t n) {
    column *v = lb_alloc((size_t)n, sizeof *v);
    bool real = lb_field_is_real(x);
    if (!v) return LB_E_NOMEM;
    for (int64_t i = 0; i < n; i++)
        if (real)
            memcpy(&v[i].real, (const char *)&rows[i] + x->offset, sizeof v->real);
        else
            v[i].whole = lb_field_int(x, &rows[i]);
    lb_status st = lb_sealed_put_all(f, x->name, real ? LB_SEALED_F64 : LB_SEALED_I64, n, NULL, v);
    lb_free(v);
    return st;
}

static lb_status get_numbers(lb_sealed *f, const lb_field *x, lb_layer_row *rows, int64_t n) {
    column *v = lb_alloc((size_t)n, sizeof *v);
    bool real = lb_field_is_real(x);
    if (!v) return LB_E_NOMEM;
    lb_status st = lb_sealed_get_all(f, x->name, real ? LB_SEALED_F64 : LB_SEALED_I64, n, NULL, v);
    for (int64_t i = 0; i < n && st == LB_OK; i++)
        if (real)
            memcpy((char *)&rows[i] + x->offset, &v[i].real, sizeof v->real);
        else
            st = lb_field_set_int(x, &rows[i], "layers", v[i].whole);
    lb_free(v);
    return st;
}

static lb_status put_rows(lb_sealed *f, lb_fields fields, const lb_layer_row *rows, int64_t n) {
    for (size_t i = 0; i < fields.n; i++)
        LB_TRY(lb_field_is_text(&fields.at[i]) ? put_names(f, &fields.at[i], rows, n)
                                               : put_numbers(f, &fields.at[i], rows, n));
    return LB_OK;
}

static lb_status get_rows(lb_sealed *f, lb_arena *keep, lb_fields fields, lb_layer_row *rows, int64_t n) {
    for (size_t i = 0; i < fields.n; i++)
        LB_TRY(lb_field_is_text(&fields.at[i]) ? get_names(f, keep, &fields.at[i], rows, n)
                                               : get_numbers(f, &fields.at[i], rows, n));
    return LB_OK;
}

/* Diagnostics by row and place, NaN where one was not told. */
static lb_status put_told(lb_sealed *f, const lb_diagnostics *d, const lb_layer_row *rows, int64_t n) {
    double *v = lb_alloc((size_t)n * d->n + 1, sizeof *v);
    if (!v) return LB_E_NOMEM;
    for (size_t i = 0; i < (size_t)n * d->n; i++) {
        const lb_told *t = &rows[i / d->n].told;
        v[i] = lb_is_told(t, i % d->n) ? t->value[i % d->n] : NAN;
    }
    lb_status st = lb_sealed_put_all(f, "told", LB_SEALED_F64, n * (int64_t)d->n, NULL, v);
    lb_free(v);
    return st;
}

static lb_status get_told(lb_sealed *f, const lb_diagnostics *d, lb_layer_row *rows, int64_t n) {
    double *v = lb_alloc((size_t)n * d->n + 1, sizeof *v);
    if (!v) return LB_E_NOMEM;
    lb_status st = lb_sealed_get_all(f, "told", LB_SEALED_F64, n * (int64_t)d->n, NULL, v);
    for (size_t i = 0; i < (size_t)n * d->n && st == LB_OK; i++)
        if (!isnan(v[i])) lb_tell(&rows[i / d->n].told, i % d->n, v[i]);
    lb_free(v);
    for (int64_t i = 0; i < n && st == LB_OK; i++) {
        st = lb_told_check(&rows[i].told, d, LB_E_FORMAT);
        if (st != LB_OK) st = lb_fail_in(st, "layer %s", rows[i].name);
    }
    return st;
}

/* ---- layers ---- */

static lb_status put_layer(lb_sealed *f, lb_team *team, int64_t i, int64_t bytes, const lb_stored *s) {
    char packed[48];
    snprintf(packed, sizeof packed, "%lld/packed", (long long)i);
    return lb_sealed_put_all(f, packed, LB_SEALED_U8, bytes, team, s->bytes);
}

static lb_status get_layer(lb_sealed *f, lb_team *team, lb_arena *a, int64_t i, int64_t bytes, lb_stored *s) {
    char packed[48];
    snprintf(packed, sizeof packed, "%lld/packed", (long long)i);
    *s = (lb_stored){.bytes = LB_NEW_UNSET(a, uint8_t, bytes)};
    if (!s->bytes) return LB_E_NOMEM;
    return lb_sealed_get_all(f, packed, LB_SEALED_U8, bytes, team, s->bytes);
}

/* Bytes that a layer of this storage can have been packed into. */
static lb_status check_packed(const lb_layer_plan *l, lb_team *team, lb_arena *scratch, const lb_stored *s) {
    lb_layer c;
    lb_arena_mark start = lb_arena_save(scratch);
    LB_TRY(lb_layer_unpack(scratch, &l->storage, l->rows, l->cols, team, s->bytes, l->size.total, &c));
    lb_status st = lb_layer_check(&c, team);
    lb_arena_restore(scratch, start);
    return st == LB_OK || st == LB_E_NOMEM ? st : lb_fail_in(LB_E_FORMAT, "layer %s", l->name);
}

/* Errors that were measured, of outputs too (`output`) or of weights alone. */
static lb_status check_measured(const char *name, const lb_layer_error *e, bool output) {
    bool weights = isfinite(e->weight_err) && e->weight_err >= 0 && isfinite(e->weight_energy) && e->weight_energy >= 0;
    bool outputs = output ? isfinite(e->output_err) && isfinite(e->output_energy)
                          : isnan(e->output_err) && isnan(e->output_energy);
    if (weights && outputs) return LB_OK;
    return lb_fail(LB_E_FORMAT, "layer %s: errors %g of %g and %g of %g: no sums of squares%s", name, e->weight_err,
                   e->weight_energy, e->output_err, e->output_energy, output ? "" : ", or outputs that have none");
}

static lb_status check_numbers(const lb_quantize_job *j, const lb_layer_plan *l, const lb_layer_row *r) {
    bool own = l->needs & LB_NEEDS_HESSIAN, original = lb_plan_layer_needs(j->plan, j->cell, l) & LB_NEEDS_HESSIAN;
    LB_TRY(check_measured(r->name, &r->own, own));
    LB_TRY(check_measured(r->name, &r->rtn_own, own));
    LB_TRY(check_measured(r->name, &r->original, original));
    LB_TRY(check_measured(r->name, &r->rtn_original, original));
    if (isfinite(r->seconds) && r->seconds >= 0) return LB_OK;
    return lb_fail(LB_E_FORMAT, "layer %s: %g seconds: must be finite and not negative", r->name, r->seconds);
}

/* A row that says of the layer what the plan says of it. */
static lb_status check_row(const lb_quantize_job *j, const lb_layer_plan *l, const lb_layer_row *r) {
    if (strcmp(r->name, l->name) != 0 || r->rows != l->rows || r->cols != l->cols || r->block != l->block ||
        strcmp(r->type, l->type) != 0 || r->quantized != l->quantize)
        return lb_fail(LB_E_FORMAT, "layer '%s': expected %s", r->name, l->name);
    LB_TRY(lb_store_check_layer(r));
    if (l->quantize && (r->bits != l->storage.bits || r->group != l->storage.group || r->size.total != l->size.total))
        return lb_fail(LB_E_FORMAT, "layer %s: not stored as the plan says", l->name);
    return l->quantize ? check_numbers(j, l, r) : LB_OK;
}

static lb_status put_block(lb_sealed *f, const lb_quantize_job *j, int64_t first, int64_t n, const lb_stored *s,
                           const lb_keeper *said) {
    LB_TRY(put_texts(f, "warnings", (const char *const *)said->warning, said->n));
    LB_TRY(put_rows(f, lb_layer_fields, &j->row[first], n));
    LB_TRY(put_rows(f, timing_fields, &j->row[first], n));
    LB_TRY(put_told(f, &j->cell->method->diagnostics, &j->row[first], n));
    for (int64_t i = 0; i < n; i++) {
        const lb_layer_plan *l = &j->cell->layer[first + i];
        if (l->quantize && l->same_as < 0) LB_TRY(put_layer(f, j->plan->team, i, l->size.total, &s[i]));
    }
    return lb_sealed_commit(f);
}

lb_status lb_partial_save(const lb_quantize_job *j, int64_t first, int64_t n, const lb_stored *s,
                          const lb_keeper *said) {
    char *path = block_path(j, first), *dir = path ? lb_fs_dirname(path) : NULL;
    lb_sealed *f = NULL;
    lb_status st = dir ? lb_fs_own_folder(dir) : LB_E_NOMEM;
    if (st == LB_OK) st = lb_sealed_create(path, KIND, j->cell->layers_key, &f);
    if (st == LB_OK) st = put_block(f, j, first, n, s, said);
    lb_sealed_close(f);
    if (st != LB_OK && path) st = lb_fail_in(st, "keeping finished blocks in %s", path);
    lb_free(path);
    lb_free(dir);
    return st;
}

static lb_status get_block(lb_sealed *f, const lb_quantize_job *j, int64_t first, int64_t n, lb_arena *a,
                           lb_layer_row *rows, lb_stored *s) {
    lb_warnings said = {0};
    LB_TRY(get_rows(f, j->keep, lb_layer_fields, rows, n));
    LB_TRY(get_rows(f, j->keep, timing_fields, rows, n));
    LB_TRY(get_told(f, &j->cell->method->diagnostics, rows, n));
    for (int64_t i = 0; i < n; i++) {
        const lb_layer_plan *l = &j->cell->layer[first + i];
        lb_layer_error *each[] = {&rows[i].own, &rows[i].original, &rows[i].rtn_own, &rows[i].rtn_original};
        LB_TRY(check_row(j, l, &rows[i]));
        for (size_t k = 0; k < 4; k++) each[k]->rows = l->rows, each[k]->cols = l->cols;
        rows[i].same_as = l->same_as < 0 ? "" : j->cell->layer[l->same_as].name;
        if (!l->quantize || l->same_as >= 0) continue;
        LB_TRY(get_layer(f, j->plan->team, a, i, l->size.total, &s[i]));
        LB_TRY(check_packed(l, j->plan->team, j->scratch, &s[i]));
    }
    LB_TRY(get_texts(f, a, "warnings", &said.text, &said.end));
    lb_partial_warn(j->log, &said);
    return LB_OK;
}

lb_status lb_partial_load(lb_quantize_job *j, int64_t first, int64_t n, lb_arena *a, lb_stored *s, bool *found) {
    *found = false;
    char *path = block_path(j, first);
    if (!path) return LB_E_NOMEM;
    lb_sealed *f = NULL;
    lb_layer_row *rows = LB_NEW(a, lb_layer_row, n + 1);
    lb_status st = rows ? LB_OK : LB_E_NOMEM;
    bool there = lb_fs_exists(path);
    if (st == LB_OK && there) st = lb_sealed_open(path, KIND, j->cell->layers_key, &f);
    if (st == LB_OK && there) st = get_block(f, j, first, n, a, rows, s);
    if (st == LB_OK && there) {
        memcpy(&j->row[first], rows, (size_t)n * sizeof *rows);
        *found = true;
    }
    if (st == LB_E_FORMAT || st == LB_E_IO) {
        lb_warn(j->aside, "%s: its layers are computed again", lb_error());
        memset(s, 0, (size_t)n * sizeof *s);
        st = LB_OK;
    }
    lb_sealed_close(f);
    lb_free(path);
    return st;
}

/* ---- changes of inputs ---- */

static char *stage_path(const lb_quantize_job *j, size_t stage, int64_t block) {
    lb_str s = {0};
    lb_str_add(&s, "%s/%s.partial/%05lld.stage%zu", j->journal_dir, j->cell->stem, (long long)block, stage);
    char *path = s.failed ? NULL : lb_strdup(s.s);
    lb_str_free(&s);
    return path;
}

enum { MOST_NAME = 48 };

static lb_status put_change(lb_sealed *f, int32_t i, int64_t cols, const lb_transform *T) {
    char name[MOST_NAME];
    snprintf(name, sizeof name, "%d/scale", (int)i);
    if (T->scale) LB_TRY(lb_sealed_put_all(f, name, LB_SEALED_F32, cols, NULL, T->scale));
    snprintf(name, sizeof name, "%d/sign", (int)i);
    if (!T->sign) return LB_OK;
    return lb_sealed_put_all(f, name, LB_SEALED_U8, lb_transform_sign_bytes(cols), NULL, T->sign);
}

static lb_status get_change(lb_sealed *f, lb_arena *a, int32_t i, int64_t cols, lb_transform *T) {
    char name[MOST_NAME];
    int64_t section, n;
    snprintf(name, sizeof name, "%d/scale", (int)i);
    if (lb_sealed_find(f, name, LB_SEALED_F32, &section, &n) == LB_OK) {
        float *scale = LB_NEW_UNSET(a, float, cols);
        if (!scale) return LB_E_NOMEM;
        LB_TRY(lb_sealed_get_all(f, name, LB_SEALED_F32, cols, NULL, scale));
        T->scale = scale;
    }
    snprintf(name, sizeof name, "%d/sign", (int)i);
    if (lb_sealed_find(f, name, LB_SEALED_U8, &section, &n) != LB_OK) return LB_OK;
    uint8_t *sign = LB_NEW_UNSET(a, uint8_t, lb_transform_sign_bytes(cols));
    if (!sign) return LB_E_NOMEM;
    LB_TRY(lb_sealed_get_all(f, name, LB_SEALED_U8, lb_transform_sign_bytes(cols), NULL, sign));
    T->sign = sign;
    return LB_OK;
}

static lb_status put_changes(lb_sealed *f, const lb_read *read, int32_t n, const lb_transform *T,
                             const lb_keeper *said) {
    int64_t *run = lb_alloc((size_t)n + 1, sizeof *run);
    if (!run) return LB_E_NOMEM;
    for (int32_t i = 0; i < n; i++) run[i] = read[i].in.quantize ? T[i].hadamard : 0; /* else T is not used */
    lb_status st = lb_sealed_put_all(f, "hadamard", LB_SEALED_I64, n, NULL, run);
    lb_free(run);
    for (int32_t i = 0; i < n && st == LB_OK; i++)
        if (read[i].in.quantize) st = put_change(f, i, read[i].in.cols, &T[i]);
    if (st == LB_OK) st = put_texts(f, "warnings", (const char *const *)said->warning, said->n);
    return st == LB_OK ? lb_sealed_commit(f) : st;
}

lb_status lb_partial_save_changes(const lb_quantize_job *j, size_t stage, int64_t block, const lb_read *read, int32_t n,
                                  const lb_transform *T, const lb_keeper *said) {
    char *path = stage_path(j, stage, block), *dir = path ? lb_fs_dirname(path) : NULL;
    lb_sealed *f = NULL;
    lb_status st = dir ? lb_fs_own_folder(dir) : LB_E_NOMEM;
    if (st == LB_OK) st = lb_sealed_create(path, KIND_CHANGES, j->cell->layers_key, &f);
    if (st == LB_OK) st = put_changes(f, read, n, T, said);
    lb_sealed_close(f);
    if (st != LB_OK && path) st = lb_fail_in(st, "keeping what a stage changes in %s", path);
    lb_free(path);
    lb_free(dir);
    return st;
}

static lb_status get_changes(lb_sealed *f, const lb_read *read, int32_t n, lb_arena *a, lb_transform *T,
                             lb_warnings *said) {
    int64_t *run = lb_alloc((size_t)n + 1, sizeof *run);
    if (!run) return LB_E_NOMEM;
    lb_status st = lb_sealed_get_all(f, "hadamard", LB_SEALED_I64, n, NULL, run);
    for (int32_t i = 0; i < n && st == LB_OK; i++) {
        T[i].hadamard = run[i];
        st = get_change(f, a, i, read[i].in.cols, &T[i]);
    }
    lb_free(run);
    return st == LB_OK ? get_texts(f, a, "warnings", &said->text, &said->end) : st;
}

lb_status lb_partial_load_changes(const lb_quantize_job *j, size_t stage, int64_t block, const lb_read *read, int32_t n,
                                  lb_arena *a, lb_transform *T, lb_warnings *said, bool *found) {
    *found = false;
    char *path = stage_path(j, stage, block);
    if (!path) return LB_E_NOMEM;
    lb_sealed *f = NULL;
    lb_status st = LB_OK;
    bool there = lb_fs_exists(path);
    if (there) st = lb_sealed_open(path, KIND_CHANGES, j->cell->layers_key, &f);
    if (there && st == LB_OK) st = get_changes(f, read, n, a, T, said);
    *found = there && st == LB_OK;
    if (st == LB_E_FORMAT || st == LB_E_IO) {
        lb_warn(j->aside, "%s: the stage works on the block again", lb_error());
        st = LB_OK;
    }
    lb_sealed_close(f);
    lb_free(path);
    return st;
}

void lb_partial_warn(lb_log *log, const lb_warnings *said) {
    for (const char *s = said->text; s < said->end; s += strlen(s) + 1) lb_warn(log, "%s", s);
}

/* 00012.block, and the same with .tmp.PID behind it. */
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
