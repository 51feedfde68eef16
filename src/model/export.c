/* Writing a model as a Hugging Face folder: made beside the target under a temporary name, then renamed. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "io/safetensors.h"
#include "model/model_file.h"
#include "model/weights.h"

const char *const lb_export_names[] = {"f32", "f16", "bf16", NULL};
const lb_dtype lb_export_types[] = {LB_F32, LB_F16, LB_BF16};

/* ---- tensors ---- */

static const float *ordered(lb_arena *a, lb_cmat W, const int64_t *order) {
    float *out = lb_arena_get(a, (size_t)W.rows, (size_t)W.cols * sizeof *out);
    for (int64_t r = 0; out && r < W.rows; r++)
        memcpy(out + r * W.cols, W.d + order[r] * W.ld, (size_t)W.cols * sizeof *out);
    return out;
}

static const float *contiguous(lb_arena *a, lb_cmat W) {
    if (W.ld == W.cols) return W.d;
    float *out = lb_arena_get(a, (size_t)W.rows, (size_t)W.cols * sizeof *out);
    for (int64_t r = 0; out && r < W.rows; r++) memcpy(out + r * W.cols, W.d + r * W.ld, (size_t)W.cols * sizeof *out);
    return out;
}

static const float *transposed(lb_arena *a, lb_cmat W) {
    float *out = lb_arena_get(a, (size_t)W.rows, (size_t)W.cols * sizeof *out);
    for (int64_t r = 0; out && r < W.rows; r++)
        for (int64_t c = 0; c < W.cols; c++) out[c * W.rows + r] = W.d[r * W.ld + c];
    return out;
}

/* For inputs as they are. */
static lb_status untransformed(lb_arena *a, const lb_transform *T, lb_cmat *W) {
    if (!lb_transform_any(T)) return LB_OK;
    float *out = lb_arena_get(a, (size_t)W->rows, (size_t)W->cols * sizeof *out);
    if (!out) return LB_E_NOMEM;
    for (int64_t r = 0; r < W->rows; r++) memcpy(out + r * W->cols, W->d + r * W->ld, (size_t)W->cols * sizeof *out);
    lb_transform_weights_back(T, lb_mat_of(out, W->rows, W->cols));
    *W = lb_cmat_of(out, W->rows, W->cols);
    return LB_OK;
}

/* What the matrices are written from: one at a time, in memory that the next one takes over. */
typedef struct writer {
    const lb_model *m;
    const lb_weights *w;
    const lb_net *to; /* as which the folder is read */
    bool own_head;    /* the head is the embedding's no more */
    lb_arena *now;
    lb_arena_mark start;
} writer;
typedef struct matrix {
    writer *x;
    int32_t site;
    bool transposed;
} matrix;

/* Its weights, in the folder's order of rows. */
static lb_status site_now(const writer *x, int32_t site, lb_cmat *W) {
    const lb_linop *op = &x->w->site[site];
    const int64_t *order;
    LB_TRY(lb_matrix_get(op, x->now, NULL, W));
    LB_TRY(untransformed(x->now, &op->T, W));
    LB_TRY(lb_export_order(x->now, x->m->net, x->to, site, &order));
    if (!order) return LB_OK;
    const float *own = ordered(x->now, *W, order);
    *W = lb_cmat_of(own, W->rows, W->cols);
    return own ? LB_OK : LB_E_NOMEM;
}

static lb_status read_matrix(void *ctx, const float **data) {
    const matrix *s = ctx;
    lb_arena *a = s->x->now;
    lb_cmat W;
    lb_arena_restore(a, s->x->start);
    LB_TRY(site_now(s->x, s->site, &W));
    *data = s->transposed ? transposed(a, W) : contiguous(a, W);
    return *data ? LB_OK : LB_E_NOMEM;
}

/* Matrices that are stored together, those of a block: experts in a stack, layers that are fused. */
typedef struct joint {
    writer *x;
    int32_t first, end; /* the slots among which they are */
    lb_tensor_place place;
    int64_t matrices, cols;
} joint;

static lb_status read_joint(void *ctx, const float **data) {
    const joint *s = ctx;
    const lb_net *net = s->x->m->net;
    lb_arena *a = s->x->now;
    lb_arena_restore(a, s->x->start);
    int64_t left = s->matrices * s->place.rows;
    float *all = LB_NEW_UNSET(a, float, left * s->cols);
    if (!all) return LB_E_NOMEM;
    const lb_arena_mark mark = lb_arena_save(a);
    for (int32_t i = s->first; i < s->end; i++) {
        lb_tensor_place p;
        lb_cmat W;
        LB_TRY(lb_family_tensor_place(s->x->m->family, net, i, &p));
        if (net->slot[i].site < 0 || strcmp(p.name, s->place.name) != 0) continue;
        lb_arena_restore(a, mark);
        LB_TRY(site_now(s->x, net->slot[i].site, &W));
        float *to = all + (p.matrix * s->place.rows + p.first) * s->cols;
        for (int64_t r = 0; r < W.rows; r++) memcpy(to + r * W.cols, W.d + r * W.ld, (size_t)W.cols * sizeof *to);
        left -= W.rows;
    }
    *data = all;
    if (left == 0) return LB_OK;
    return lb_fail(LB_E_UNSUPPORTED, "the %s family: layers of the model do not fill %s", s->x->m->family->name,
                   s->place.name);
}

static lb_status joint_out(writer *x, int32_t slot, const lb_tensor_place *p, lb_arena *a, lb_tensor_out *out) {
    const lb_net *net = x->m->net;
    const lb_site *s = &net->site[net->slot[slot].site];
    joint *j = LB_NEW(a, joint, 1);
    if (!j) return LB_E_NOMEM;
    if (p->transposed || s->block < 0)
        return lb_fail(LB_E_UNSUPPORTED, "the %s family: %s is a part of %s, which cannot be written",
                       x->m->family->name, lb_slot_name(net, slot), p->name);
    *j = (joint){.x = x,
                 .first = net->span[s->block].slot,
                 .end = net->span[s->block + 1].slot,
                 .place = *p,
                 .matrices = p->stacked ? p->stacked : 1,
                 .cols = s->cols};
    *out = (lb_tensor_out){.name = lb_arena_strdup(a, p->name), .ndim = 2, .read = read_joint, .ctx = j};
    if (p->stacked) out->shape[0] = p->stacked;
    out->ndim += p->stacked > 0;
    out->shape[out->ndim - 2] = p->rows;
    out->shape[out->ndim - 1] = s->cols;
    return out->name ? LB_OK : LB_E_NOMEM;
}

/* Of what is stored together only the first part is listed. */
static lb_status matrix_out(writer *x, int32_t slot, lb_arena *a, lb_tensor_out *out, int64_t *n) {
    const lb_net *net = x->m->net;
    int32_t site = net->slot[slot].site;
    const lb_site *s = &net->site[site];
    lb_tensor_place p;
    LB_TRY(lb_family_tensor_place(x->m->family, net, slot, &p));
    bool listed = p.matrix == 0 && p.first == 0;
    *n += listed;
    if (!listed) return LB_OK;
    if (p.stacked || p.rows != s->rows) return joint_out(x, slot, &p, a, out);
    matrix *m = LB_NEW(a, matrix, 1);
    if (!m) return LB_E_NOMEM;
    *m = (matrix){.x = x, .site = site, .transposed = p.transposed};
    *out = (lb_tensor_out){.name = lb_arena_strdup(a, p.name),
                           .ndim = 2,
                           .shape = {m->transposed ? s->cols : s->rows, m->transposed ? s->rows : s->cols},
                           .read = read_matrix,
                           .ctx = m};
    return out->name ? LB_OK : LB_E_NOMEM;
}

/* The site whose bias it is; -1: it is none. */
static int32_t biased(const lb_net *n, int32_t vector) {
    int32_t site = n->sites - 1;
    while (site >= 0 && n->site[site].bias != vector) site--;
    return site;
}

/* Its numbers as the folder has them: a norm's without the 1 that the program adds, a bias in its site's order. */
static lb_status vector_numbers(const writer *x, int32_t vector, lb_arena *a, const float **out) {
    const lb_net *net = x->m->net;
    const float *w = *out = x->w->vector[vector];
    int64_t n = net->vector[vector].n;
    const int64_t *order = NULL;
    int32_t site = net->vector[vector].bias ? biased(net, vector) : -1;
    double more = lb_export_added(net, x->to, vector);
    if (site >= 0) LB_TRY(lb_export_order(a, net, x->to, site, &order));
    if (!order && more == 0.0) return LB_OK;
    float *own = LB_NEW(a, float, n);
    if (!own) return LB_E_NOMEM;
    for (int64_t i = 0; i < n; i++) own[i] = order ? w[order[i]] : (float)((double)w[i] + more);
    *out = own;
    return LB_OK;
}

static lb_status vector_out(const writer *x, int32_t slot, int32_t vector, lb_arena *a, lb_tensor_out *out) {
    const lb_net *net = x->m->net;
    const lb_vector *v = &net->vector[vector];
    const lb_tensor_row *row = lb_family_row(x->m->family, v->role, v->block >= 0, v->expert >= 0);
    lb_tensor_place p;
    const float *data;
    int64_t runs = 0;
    LB_TRY(lb_family_tensor_place(x->m->family, net, slot, &p));
    LB_TRY(vector_numbers(x, vector, a, &data));
    if (!v->bias) LB_TRY(lb_family_runs(row, net->numbers, v->block, &runs));
    *out = (lb_tensor_out){.name = lb_arena_strdup(a, p.name), .ndim = 1, .shape = {v->n}, .data = data};
    if (runs > 0) {
        out->ndim = 2;
        out->shape[0] = runs;
        out->shape[1] = v->n / runs;
    }
    return out->name ? LB_OK : LB_E_NOMEM;
}

static lb_status head_out(writer *x, lb_arena *a, lb_tensor_out *out) {
    const lb_net *net = x->m->net;
    const lb_site *s = &net->site[net->head];
    matrix *m = LB_NEW(a, matrix, 1);
    const char *name = lb_family_row(x->m->family, s->role, false, false)->hf;
    if (!m) return LB_E_NOMEM;
    *m = (matrix){.x = x, .site = net->head};
    *out = (lb_tensor_out){.name = lb_arena_printf(a, "%.*s", (int)strcspn(name, "|"), name),
                           .ndim = 2,
                           .shape = {s->rows, s->cols},
                           .read = read_matrix,
                           .ctx = m};
    return out->name ? LB_OK : LB_E_NOMEM;
}

/* Every tensor as it is to be written; and the head, where it is the embedding's no more. */
static lb_status list_tensors(writer *x, lb_arena *a, lb_tensor_out *t, int64_t *n) {
    const lb_net *net = x->m->net;
    *n = 0;
    for (int32_t i = 0; i < net->slots; i++) {
        const lb_net_slot *s = &net->slot[i];
        if (s->site >= 0) {
            LB_TRY(matrix_out(x, i, a, &t[*n], n));
            continue;
        }
        LB_TRY(vector_out(x, i, s->vector, a, &t[(*n)++]));
    }
    return net->site[net->head].same_as >= 0 && x->own_head ? head_out(x, a, &t[(*n)++]) : LB_OK;
}

static lb_status write_weights(writer *x, lb_dtype dtype, const char *dir, lb_arena *names) {
    static const char *const metadata[] = {"format", "pt", NULL}; /* transformers insists on it */
    lb_tensor_out *t = LB_NEW(names, lb_tensor_out, x->m->net->slots + 1);
    const char *path = lb_arena_printf(names, "%s/model.safetensors", dir);
    int64_t n = 0;
    if (!t || !path) return LB_E_NOMEM;
    LB_TRY(lb_export_net(names, x->m, dir, &x->to));
    LB_TRY(list_tensors(x, names, t, &n));
    LB_TRY(lb_arena_new(0, &x->now));
    x->start = lb_arena_save(x->now);
    lb_status st = lb_safetensors_write(path, dtype, t, n, metadata);
    lb_arena_free(x->now);
    return st;
}

/* ---- the folder ---- */

/* Files of a tokenizer, of all kinds. */
static const char *const tokenizer_files[] = {
    "tokenizer.json", "tokenizer_config.json",   "tokenizer.model",  "vocab.json",
    "merges.txt",     "special_tokens_map.json", "added_tokens.json"};
enum { TOKENIZER_FILES = sizeof tokenizer_files / sizeof tokenizer_files[0] };

bool lb_model_export_file(const char *name, bool folder) {
    static const char *const made[] = {"config.json", "generation_config.json", "model.safetensors"};
    bool ours = false;
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) ours = ours || strcmp(name, made[i]) == 0;
    for (size_t i = 0; i < TOKENIZER_FILES; i++) ours = ours || strcmp(name, tokenizer_files[i]) == 0;
    return ours && !folder;
}

static lb_status copy_file(const char *from, const char *to) {
    char *bytes = NULL;
    size_t n;
    LB_TRY(lb_fs_read(from, &bytes, &n));
    lb_status st = lb_fs_write_atomic(to, bytes, n);
    lb_free(bytes);
    return st;
}

/* A tokenizer of a kind that is not read stays what it is: its files go along, as far as they are there. */
static lb_status copy_tokenizer(const lb_model *m, const char *dir, lb_str *copied) {
    lb_status st = LB_OK;
    if (strcmp(m->format, "safetensors") != 0) return LB_OK;
    for (size_t i = 0; i < TOKENIZER_FILES && st == LB_OK; i++) {
        const char *name = tokenizer_files[i];
        char *from = lb_fs_join(m->path, name), *to = lb_fs_join(dir, name);
        st = from && to ? LB_OK : LB_E_NOMEM;
        if (st == LB_OK && lb_fs_exists(from)) {
            st = copy_file(from, to);
            lb_str_add(copied, "%s%s", copied->len ? ", " : "", name);
        }
        lb_free(from);
        lb_free(to);
    }
    return st == LB_OK ? lb_str_check(copied) : st;
}

/* What cannot be read back must not be published. */
static lb_status write_tokenizer(const lb_tokenizer *t, const char *dir) {
    lb_tokenizer *again = NULL;
    LB_TRY(lb_tokenizer_save(t, dir));
    lb_status st = lb_tokenizer_from_dir(dir, &again);
    lb_tokenizer_free(again);
    return st == LB_OK ? LB_OK : lb_fail_in(st, "the tokenizer as it was written cannot be read");
}

/* A folder of files only: those that lb_model_export_file names. */
static lb_status fill_folder(const lb_model *m, writer *x, lb_dtype dtype, const char *dir, lb_str *copied) {
    bool tied = m->net->site[m->net->head].same_as >= 0 && !x->own_head;
    lb_arena *names;
    LB_TRY(lb_export_config(m, tied, dtype, dir));
    LB_TRY(lb_arena_new(0, &names));
    lb_status st = write_weights(x, dtype, dir, names);
    lb_arena_free(names);
    LB_TRY(st);
    return m->tokenizer ? write_tokenizer(m->tokenizer, dir) : copy_tokenizer(m, dir, copied);
}

/* These stay with a cell's result, which must not depend on the folder that it was run in: hence the last part alone.
 */
static void warn_losses(const lb_model *m, const lb_weights *w, lb_dtype dtype, const char *dir, const char *copied,
                        lb_log *log) {
    const char *name = lb_fs_basename(dir);
    bool act = false;
    for (int32_t i = 0; i < m->net->sites; i++) act = act || w->site[i].act.bits > 0;
    if (act) lb_warn(log, "%s: quantized activations cannot be written: only the weights are", name);
    if (dtype != LB_F32)
        lb_warn(log, "%s: weights are rounded to %s: perplexity will differ from the float32 one", name,
                lb_dtype_name(dtype));
    if (m->left_out)
        lb_warn(log, "%s: the text part alone is written, as a %s model: %lld tensors of other parts are left out",
                name, m->family->name, (long long)m->left_out);
    if (!m->tokenizer && copied)
        lb_warn(log, "%s: the model's tokenizer was not read: %s copied as found", name, copied);
    if (!m->tokenizer && !copied) lb_warn(log, "%s: the model has no tokenizer to write", name);
}

lb_status lb_model_write(const lb_model *m, const lb_weights *w, lb_dtype dtype, const lb_fs_folder *to, lb_log *log) {
    if (dtype != LB_F32 && dtype != LB_F16 && dtype != LB_BF16)
        return lb_fail(LB_E_ARG, "%s: type %s: must be F32, F16 or BF16", to->path, lb_dtype_name(dtype));
    const lb_linop *embed = &w->site[m->net->embed], *head = &w->site[m->net->head];
    /* A cell may have quantized one of embedding and head and not the other. */
    writer x = {.m = m, .w = w, .own_head = head->W.d != embed->W.d || head->from.ctx != embed->from.ctx};
    lb_str copied = {0};
    lb_status st = fill_folder(m, &x, dtype, to->tmp, &copied);
    if (st == LB_OK) warn_losses(m, w, dtype, to->path, copied.s, log);
    lb_str_free(&copied);
    return st;
}

lb_status lb_model_export(const lb_model *m, const lb_weights *w, lb_dtype dtype, const char *dir, lb_log *log) {
    lb_fs_folder f;
    LB_TRY(lb_fs_folder_begin(dir, &f));
    lb_status st = lb_model_write(m, w, dtype, &f, log);
    if (st == LB_OK) st = lb_fs_folder_commit(&f);
    lb_fs_folder_abort(&f);
    return st;
}
