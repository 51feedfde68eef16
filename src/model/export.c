/* Writing a model as a Hugging Face folder: made beside the target under a temporary name, then renamed. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "model/model_file.h"
#include "model/weights.h"

const char *const lb_export_names[] = {"f32", "f16", "bf16", NULL};
const lb_dtype lb_export_types[] = {LB_F32, LB_F16, LB_BF16};

/* ---- tensors ---- */

/* Rows of q or k from (2i, 2i + 1) to (i, i + d/2) within each head, so that rotating halves gives what rotating pairs
 * gave. */
static const float *pairs_to_halves(lb_arena *a, lb_cmat W, int64_t head_dim) {
    float *out = lb_arena_get(a, (size_t)W.rows, (size_t)W.cols * sizeof *out);
    if (!out) return NULL;
    int64_t half = head_dim / 2;
    for (int64_t r = 0; r < W.rows; r++) {
        int64_t head = r / head_dim * head_dim, i = r % head_dim;
        int64_t from = head + (i < half ? 2 * i : 2 * (i - half) + 1);
        memcpy(out + r * W.cols, W.d + from * W.ld, (size_t)W.cols * sizeof *out);
    }
    return out;
}

static const float *contiguous(lb_arena *a, lb_cmat W) {
    if (W.ld == W.cols) return W.d;
    float *out = lb_arena_get(a, (size_t)W.rows, (size_t)W.cols * sizeof *out);
    for (int64_t r = 0; out && r < W.rows; r++) memcpy(out + r * W.cols, W.d + r * W.ld, (size_t)W.cols * sizeof *out);
    return out;
}

/* What the matrices are written from: one at a time, in memory that the next one takes over. */
typedef struct writer {
    const lb_arch *arch;
    const lb_net *net;
    const lb_weights *w;
    lb_arena *now;
    lb_arena_mark start;
} writer;
typedef struct matrix {
    writer *x;
    int32_t site;
    bool turned; /* rotary positions turn it, and its rows are in the other order */
} matrix;

static lb_status read_matrix(void *ctx, const float **data) {
    const matrix *s = ctx;
    lb_arena *a = s->x->now;
    lb_cmat W;
    lb_arena_restore(a, s->x->start);
    LB_TRY(lb_matrix_get(&s->x->w->site[s->site], a, NULL, &W));
    *data = s->turned ? pairs_to_halves(a, W, s->x->arch->head_dim) : contiguous(a, W);
    return *data ? LB_OK : LB_E_NOMEM;
}

static lb_status matrix_out(writer *x, int32_t site, lb_arena *a, lb_tensor_out *out) {
    const lb_site *s = &x->net->site[site];
    const lb_family *f = lb_family_of(x->arch);
    const lb_tensor_map *row = lb_family_tensor(f, s->role, s->block >= 0);
    matrix *m = LB_NEW(a, matrix, 1);
    char name[256];
    if (!m) return LB_E_NOMEM;
    *m = (matrix){x, site, row->turned && x->arch->rope != f->hf_rope};
    lb_map_name(row->hf, s->block, name, sizeof name);
    *out = (lb_tensor_out){
        .name = lb_arena_strdup(a, name), .ndim = 2, .shape = {s->rows, s->cols}, .read = read_matrix, .ctx = m};
    return out->name ? LB_OK : LB_E_NOMEM;
}

static lb_status vector_out(const writer *x, int32_t vector, lb_arena *a, lb_tensor_out *out) {
    const lb_vector *v = &x->net->vector[vector];
    char name[256];
    lb_map_name(lb_family_tensor(lb_family_of(x->arch), v->role, v->block >= 0)->hf, v->block, name, sizeof name);
    *out = (lb_tensor_out){.name = lb_arena_strdup(a, name), .ndim = 1, .shape = {v->n}, .data = x->w->vector[vector]};
    return out->name ? LB_OK : LB_E_NOMEM;
}

/* Every tensor as it is to be written; and the head, where it is the embedding's no more. */
static lb_status list_tensors(writer *x, lb_arena *a, lb_tensor_out *t, int64_t *n) {
    const lb_net *net = x->net;
    for (*n = 0; *n < net->slots; ++*n) {
        const lb_net_slot *s = &net->slot[*n];
        LB_TRY(s->site >= 0 ? matrix_out(x, s->site, a, &t[*n]) : vector_out(x, s->vector, a, &t[*n]));
    }
    if (net->site[net->head].same_as < 0 || x->arch->tied) return LB_OK;
    return matrix_out(x, net->head, a, &t[(*n)++]);
}

static lb_status write_weights(const lb_arch *a, const lb_net *net, const lb_weights *w, lb_dtype dtype,
                               const char *path) {
    static const char *const metadata[] = {"format", "pt", NULL}; /* transformers insists on it */
    writer x = {.arch = a, .net = net, .w = w};
    lb_arena *names;
    LB_TRY(lb_arena_new(0, &names));
    lb_status st = lb_arena_new(0, &x.now);
    int64_t n = 0;
    lb_tensor_out *t = st == LB_OK ? LB_NEW(names, lb_tensor_out, net->slots + 1) : NULL;
    if (st == LB_OK && !t) st = LB_E_NOMEM;
    if (st == LB_OK) x.start = lb_arena_save(x.now);
    if (st == LB_OK) st = list_tensors(&x, names, t, &n);
    if (st == LB_OK) st = lb_safetensors_write(path, dtype, t, n, metadata);
    lb_arena_free(x.now);
    lb_arena_free(names);
    return st;
}

/* ---- config files ---- */

static int add_text(const char *p, size_t n, void *b) {
    lb_str_add_bytes(b, p, n);
    return ((lb_str *)b)->failed ? -1 : 0;
}

/* Takes over o, which may be NULL: out of memory. */
static lb_status write_json(const char *dir, const char *name, json_t *o) {
    lb_str text = {0};
    lb_status st = LB_OK;
    if (!o || json_dump_callback(o, add_text, &text, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) != 0)
        st = lb_fail(LB_E_NOMEM, "%s/%s: out of memory", dir, name);
    lb_str_add(&text, "\n");
    if (st == LB_OK) st = lb_str_check(&text);
    char *path = st == LB_OK ? lb_fs_join(dir, name) : NULL;
    if (st == LB_OK) st = path ? lb_fs_write_atomic(path, text.s, text.len) : LB_E_NOMEM;
    lb_free(path);
    lb_str_free(&text);
    json_decref(o);
    return st;
}

static json_t *token_id(const lb_model *m, int32_t id) {
    return m->tokenizer && id >= 0 ? json_integer(id) : json_null();
}

/* rope_scaling, as transformers 4 reads it. */
static json_t *scaling_json(const lb_rope_scaling *s) {
    const char *type = lb_rope_type_name[s->type];
    if (s->type == LB_ROPE_DEFAULT) return json_pack("{s:s}", "rope_type", type);
    if (s->type == LB_ROPE_LINEAR) return json_pack("{s:s, s:f}", "rope_type", type, "factor", s->factor);
    return json_pack("{s:s, s:f, s:f, s:f, s:I}", "rope_type", type, "factor", s->factor, "low_freq_factor", s->low,
                     "high_freq_factor", s->high, "original_max_position_embeddings", (json_int_t)s->original);
}

static lb_status write_config(const lb_model *m, const lb_arch *a, lb_dtype dtype, const char *dir) {
    const lb_family *f = lb_family_of(a);
    const char *type = dtype == LB_F16 ? "float16" : dtype == LB_BF16 ? "bfloat16" : "float32";
    int32_t bos = m->tokenizer ? lb_tokenizer_bos(m->tokenizer) : -1;
    int32_t eos = m->tokenizer ? lb_tokenizer_eos(m->tokenizer) : -1;
    json_t *o =
        json_pack("{s:[s], s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "architectures", f->hf_class, "model_type",
                  f->hf_type, "hidden_size", (json_int_t)a->dim, "intermediate_size", (json_int_t)a->hidden,
                  "num_hidden_layers", (json_int_t)a->layers, "num_attention_heads", (json_int_t)a->heads,
                  "num_key_value_heads", (json_int_t)a->kv_heads, "head_dim", (json_int_t)a->head_dim, "vocab_size",
                  (json_int_t)a->vocab, "max_position_embeddings", (json_int_t)a->context);
    /* Rotary positions in both places: where transformers before and after version 5 look. */
    json_t *scaling = scaling_json(&a->scaling), *rope = scaling ? json_copy(scaling) : NULL;
    json_t *more = json_pack("{s:f, s:f, s:o, s:b, s:b, s:b, s:s, s:s, s:o, s:o}", "rms_norm_eps", a->norm_eps,
                             "rope_theta", a->rope_base, "rope_parameters", rope, "tie_word_embeddings", (int)a->tied,
                             "attention_bias", 0, "mlp_bias", 0, "hidden_act", "silu", "torch_dtype", type,
                             "bos_token_id", token_id(m, bos), "eos_token_id", token_id(m, eos));
    bool whole = o && more && json_object_set_new(rope, "rope_theta", json_real(a->rope_base)) == 0 &&
                 json_object_update(o, more) == 0 &&
                 (a->scaling.type == LB_ROPE_DEFAULT || json_object_set(o, "rope_scaling", scaling) == 0);
    json_decref(scaling);
    json_decref(more);
    if (!whole) {
        json_decref(o);
        return lb_fail(LB_E_NOMEM, "%s/config.json: out of memory", dir);
    }
    LB_TRY(write_json(dir, "config.json", o));
    json_t *g = json_pack("{s:b}", "_from_model_config", 1);
    if (g && m->tokenizer && bos >= 0) json_object_set_new(g, "bos_token_id", json_integer(bos));
    if (g && m->tokenizer && eos >= 0) json_object_set_new(g, "eos_token_id", json_integer(eos));
    return write_json(dir, "generation_config.json", g);
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
static lb_status fill_folder(const lb_model *m, const lb_arch *a, const lb_weights *w, lb_dtype dtype, const char *dir,
                             lb_str *copied) {
    char *weights = lb_fs_join(dir, "model.safetensors");
    if (!weights) return LB_E_NOMEM;
    lb_status st = write_weights(a, m->net, w, dtype, weights);
    lb_free(weights);
    LB_TRY(st);
    LB_TRY(write_config(m, a, dtype, dir));
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
    if (!m->tokenizer && copied)
        lb_warn(log, "%s: the model's tokenizer was not read: %s copied as found", name, copied);
    if (!m->tokenizer && !copied) lb_warn(log, "%s: the model has no tokenizer to write", name);
}

lb_status lb_model_write(const lb_model *m, const lb_weights *w, lb_dtype dtype, const lb_fs_folder *to, lb_log *log) {
    if (dtype != LB_F32 && dtype != LB_F16 && dtype != LB_BF16)
        return lb_fail(LB_E_ARG, "%s: type %s: must be F32, F16 or BF16", to->path, lb_dtype_name(dtype));
    lb_arch a = m->arch;
    const lb_linop *embed = &w->site[m->net->embed], *head = &w->site[m->net->head];
    if (head->W.d != embed->W.d || head->from.ctx != embed->from.ctx)
        a.tied = false; /* a cell may have quantized one and not the other */
    lb_str copied = {0};
    lb_status st = fill_folder(m, &a, w, dtype, to->tmp, &copied);
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
