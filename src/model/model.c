/* Opening a model: architecture, tensors matched by name and shape, numbers to float32 over the team. */
#include "model/model.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/str.h"
#include "model/model_file.h"
#include "model/weights.h"

typedef struct files {
    lb_gguf *gguf;
    lb_safetensors *safetensors;
} files;

/* What matching works on, for either format. */
typedef struct source {
    lb_model *m;
    const lb_family *family;
    bool hf;
    const char *says; /* who tells the shapes: "the config", "the header" */
    files *f;
    int64_t n;              /* tensors in the files */
    const lb_tensor **slot; /* ours, by slot */
} source;

enum { PIECE = 1 << 20 }; /* weights converted at a time: a multiple of every type's block */

static const lb_tensor *source_tensor(const source *s, int64_t i) {
    return s->hf ? lb_safetensors_tensor(s->f->safetensors, i) : lb_gguf_tensor(s->f->gguf, i);
}

static const char *source_name(const source *s, const lb_tensor_map *map) { return s->hf ? map->hf : map->gguf; }

/* The 1-D or 2-D shape that slot's tensor must have. */
static lb_status check_shape(const source *s, const lb_tensor *t, int32_t slot) {
    int64_t rows, cols;
    lb_slot_shape(s->m->net, slot, &rows, &cols);
    bool vector = s->m->net->slot[slot].vector >= 0;
    bool same =
        vector ? t->ndim == 1 && t->shape[0] == cols : t->ndim == 2 && t->shape[0] == rows && t->shape[1] == cols;
    if (!same) {
        lb_tensor want = {.ndim = vector ? 1 : 2, .shape = {vector ? cols : rows, cols}};
        char has[96], needs[96];
        lb_tensor_shape_text(t, has);
        lb_tensor_shape_text(&want, needs);
        return lb_fail(LB_E_FORMAT, "%s: tensor %s is %s, %s says %s", s->m->path, t->name, has, s->says, needs);
    }
    if (t->type == LB_I32 || t->type == LB_I64)
        return lb_fail(LB_E_UNSUPPORTED, "%s: tensor %s is %s: weights must be floating-point or quantized", s->m->path,
                       t->name, lb_dtype_name(t->type));
    return LB_OK;
}

static bool same_bytes(const lb_tensor *a, const lb_tensor *b) {
    return b && a->type == b->type && a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0;
}

/* A tensor that no slot wants: harmless, or an error. */
static lb_status extra_tensor(const source *s, const lb_tensor *t) {
    int64_t block;
    for (const char *const *h = s->family->harmless; *h; h++)
        if (lb_map_match(*h, t->name, &block)) return LB_OK;
    const lb_net *n = s->m->net;
    const char *head = lb_family_tensor(s->family, n->site[n->head].role, false)->hf;
    if (s->hf && n->site[n->head].same_as >= 0 && strcmp(t->name, head) == 0) {
        const char *embed = lb_family_tensor(s->family, n->site[n->embed].role, false)->hf;
        if (same_bytes(t, lb_safetensors_find(s->f->safetensors, embed))) return LB_OK;
        return lb_fail(LB_E_FORMAT, "%s: tensor %s differs from the embedding, the config says they are tied",
                       s->m->path, t->name);
    }
    if (!s->hf && strcmp(t->name, LB_ROPE_FACTORS) == 0) return LB_OK; /* read with the architecture */
    return lb_fail(LB_E_UNSUPPORTED, "%s: tensor %s: the %s family has no such tensor", s->m->path, t->name,
                   s->family->name);
}

static lb_status take_tensor(const source *s, const lb_tensor *t) {
    const lb_net *n = s->m->net;
    for (const lb_tensor_map *map = s->family->tensor; map->ours; map++) {
        int64_t block;
        char ours[LB_SITE_NAME];
        if (!lb_map_match(source_name(s, map), t->name, &block)) continue;
        if (block >= n->blocks)
            return lb_fail(LB_E_FORMAT, "%s: tensor %s: %s says %lld blocks", s->m->path, t->name, s->says,
                           (long long)n->blocks);
        lb_map_name(map->ours, block, ours, sizeof ours);
        int32_t slot = lb_slot_find(n, ours);
        if (slot < 0) break;    /* a head that is the embedding */
        assert(!s->slot[slot]); /* names are unique in a file, and each slot has one spelling */
        LB_TRY(check_shape(s, t, slot));
        s->slot[slot] = t;
        return LB_OK;
    }
    return extra_tensor(s, t);
}

const lb_tensor_map *lb_slot_map(const lb_family *f, const lb_net *n, int32_t slot) {
    const lb_net_slot *s = &n->slot[slot];
    if (s->site >= 0) return lb_family_tensor(f, n->site[s->site].role, n->site[s->site].block >= 0);
    return lb_family_tensor(f, n->vector[s->vector].role, n->vector[s->vector].block >= 0);
}

static lb_status describe_slots(const source *s) {
    lb_model *m = s->m;
    if (!(m->tensor = LB_NEW(m->arena, lb_model_tensor, m->n_tensors))) return LB_E_NOMEM;
    for (int32_t i = 0; i < m->net->slots; i++) {
        const lb_net_slot *slot = &m->net->slot[i];
        const lb_tensor *t = s->slot[i];
        if (!t) {
            char name[256];
            int64_t block = slot->site >= 0 ? m->net->site[slot->site].block : m->net->vector[slot->vector].block;
            lb_map_name(source_name(s, lb_slot_map(s->family, m->net, i)), block, name, sizeof name);
            return lb_fail(LB_E_FORMAT, "%s: tensor %s is missing", m->path, name);
        }
        lb_model_tensor *d = &m->tensor[i];
        snprintf(d->name, sizeof d->name, "%s", lb_slot_name(m->net, i));
        d->source_name = t->name;
        d->type = lb_dtype_name(t->type);
        d->rows = t->ndim == 2 ? t->shape[0] : 1;
        d->cols = t->shape[t->ndim - 1];
        d->stored_bytes = (int64_t)t->bytes;
    }
    return LB_OK;
}

/* "Q4_1 (210 tensors), Q8_0 (1), F32 (61)", most frequent first but F32 last. */
static lb_status describe_types(const source *s) {
    int64_t count[LB_DTYPES] = {0};
    lb_str text = {0};
    for (int64_t i = 0; i < s->m->n_tensors; i++) {
        count[s->slot[i]->type]++;
        s->m->stored_quantized |= s->slot[i]->type >= LB_Q4_0 && s->slot[i]->type <= LB_Q8_0;
    }
    for (;;) {
        int best = -1;
        for (int t = 0; t < LB_DTYPES; t++)
            if (count[t] && (best < 0 || best == LB_F32 || (t != LB_F32 && count[t] > count[best]))) best = t;
        if (best < 0) break;
        lb_str_add(&text, "%s%s (%lld%s)", text.len ? ", " : "", lb_dtype_name((lb_dtype)best), (long long)count[best],
                   text.len           ? ""
                   : count[best] == 1 ? " tensor"
                                      : " tensors");
        count[best] = 0;
    }
    lb_status st = lb_str_check(&text);
    if (st == LB_OK && !(s->m->stored = lb_arena_strdup(s->m->arena, text.s))) st = LB_E_NOMEM;
    lb_str_free(&text);
    return st;
}

static lb_status match_tensors(source *s) {
    lb_model *m = s->m;
    s->n = s->hf ? lb_safetensors_count(s->f->safetensors) : lb_gguf_tensor_count(s->f->gguf);
    if (s->n < m->arch.layers) /* before any memory is taken for them */
        return lb_fail(LB_E_FORMAT, "%s: %lld tensors are too few for the %lld blocks that %s says", m->path,
                       (long long)s->n, (long long)m->arch.layers, s->says);
    LB_TRY(lb_arch_net(m->arena, &m->arch, &m->net));
    LB_TRY(lb_weights_new(m->arena, m->net, &m->weights));
    m->n_tensors = m->net->slots;
    if (!(s->slot = LB_NEW(m->arena, const lb_tensor *, m->n_tensors))) return LB_E_NOMEM;
    for (int64_t i = 0; i < s->n; i++) LB_TRY(take_tensor(s, source_tensor(s, i)));
    LB_TRY(describe_slots(s));
    return describe_types(s);
}

/* A run of one tensor's weights; out is where they go, or the mapped numbers themselves. */
typedef struct piece {
    const lb_tensor *t;
    int64_t first, n;
    float *out;
    const float *mapped;
} piece;
typedef struct conversion {
    const lb_model *m;
    piece *piece;
} conversion;

static lb_status not_finite(const char *path, const lb_tensor *t, int64_t at) {
    int64_t cols = t->shape[t->ndim - 1];
    return lb_fail(LB_E_NUMERIC, "%s: tensor %s: NaN or infinite at row %lld, column %lld", path, t->name,
                   (long long)(at / cols), (long long)(at % cols));
}

/* Elements [first, first + n) as floats, whole blocks of the type; then the file's pages are given back. */
static lb_status read_once(const lb_tensor *t, int64_t first, int64_t n, float *out) {
    int64_t elements, bytes;
    LB_TRY(lb_tensor_read_f32(t, first, n, out));
    lb_dtype_block(t->type, &elements, &bytes);
    lb_map_forget((const char *)t->data + first / elements * bytes, (size_t)(n / elements * bytes));
    return LB_OK;
}

static lb_status convert_piece(void *ctx, int64_t i, int worker) {
    (void)worker;
    const conversion *c = ctx;
    const piece *p = &c->piece[i];
    if (p->out) LB_TRY(read_once(p->t, p->first, p->n, p->out));
    int64_t bad = lb_mat_first_bad(lb_cmat_of(p->out ? p->out : p->mapped, 1, p->n));
    return bad < 0 ? LB_OK : not_finite(c->m->path, p->t, p->first + bad);
}

/* A mapped matrix as a source of rows. */
typedef struct mapped {
    const char *path;
    const lb_tensor *t;
    bool forget; /* its pages, once read */
} mapped;

static lb_status read_mapped(const void *ctx, int64_t row, int64_t rows, float *out) {
    const mapped *x = ctx;
    int64_t cols = x->t->shape[1];
    LB_TRY((x->forget ? read_once : lb_tensor_read_f32)(x->t, row * cols, rows * cols, out));
    int64_t bad = lb_mat_first_bad(lb_cmat_of(out, rows, cols));
    return bad < 0 ? LB_OK : not_finite(x->path, x->t, row * cols + bad);
}

static bool in_place(const lb_tensor *t) { return t->type == LB_F32 && (uintptr_t)t->data % sizeof(float) == 0; }

/* Converted matrices are read when their turn comes: true for those. */
static bool streamed(const lb_tensor *t, lb_model_parts parts) {
    return parts == LB_STREAM && t->ndim == 2 && !in_place(t);
}

static lb_status set_sources(const source *s, lb_model_parts parts) {
    mapped *x = LB_NEW(s->m->arena, mapped, s->m->n_tensors);
    if (!x) return LB_E_NOMEM;
    for (int32_t i = 0; i < s->m->net->slots; i++) {
        x[i] = (mapped){s->m->path, s->slot[i], streamed(s->slot[i], parts)};
        if (s->m->net->slot[i].site >= 0)
            lb_slot_set_source(s->m->net, &s->m->weights, i, (lb_rows_source){read_mapped, &x[i]});
    }
    return LB_OK;
}

/* Float32 that lies aligned in the file is used where it is; everything else is converted into the arena. */
static lb_status load_weights(const source *s, lb_model_parts parts, lb_team *team) {
    lb_model *m = s->m;
    int64_t n = 0;
    LB_TRY(set_sources(s, parts));
    for (int64_t i = 0; i < m->n_tensors; i++)
        if (!streamed(s->slot[i], parts)) n += (lb_tensor_count(s->slot[i]) + PIECE - 1) / PIECE;
    conversion c = {.m = m, .piece = LB_NEW(m->arena, piece, n)};
    if (!c.piece) return LB_E_NOMEM;
    n = 0;
    for (int32_t i = 0; i < m->net->slots; i++) {
        const lb_tensor *t = s->slot[i];
        if (streamed(t, parts)) continue;
        int64_t count = lb_tensor_count(t);
        float *out = in_place(t) ? NULL : LB_NEW(m->arena, float, count);
        if (!in_place(t) && !out) return LB_E_NOMEM;
        const float *data = in_place(t) ? t->data : out;
        lb_slot_set(m->net, &m->weights, i, data);
        for (int64_t first = 0; first < count; first += PIECE, n++)
            c.piece[n] = (piece){.t = t,
                                 .first = first,
                                 .n = count - first < PIECE ? count - first : PIECE,
                                 .out = out ? out + first : NULL,
                                 .mapped = data + first};
    }
    return lb_parallel_for(team, n, convert_piece, &c);
}

/* A tokenizer that cannot be read is missed only by a text: why is kept. Want of memory and Ctrl-C are no reason. */
static lb_status keep_reason(lb_model *m, lb_status st) {
    if (st == LB_OK || st == LB_E_NOMEM || st == LB_E_INTERRUPTED) return st;
    m->no_tokenizer = lb_arena_strdup(m->arena, lb_error());
    return m->no_tokenizer ? LB_OK : LB_E_NOMEM;
}

static lb_status open_gguf(lb_model *m, source *s) {
    static const char key[] = "tokenizer.ggml.model";
    snprintf(m->format, sizeof m->format, "gguf");
    s->says = "the header";
    LB_TRY(lb_gguf_open(m->path, &s->f->gguf));
    LB_TRY(lb_arch_from_gguf(s->f->gguf, &m->arch, &s->family));
    m->no_tokenizer = "the file has no key tokenizer.ggml.model";
    if (lb_gguf_has(s->f->gguf, key)) LB_TRY(keep_reason(m, lb_tokenizer_from_gguf(s->f->gguf, &m->tokenizer)));
    return lb_hash_file(m->path, m->hash);
}

static lb_status open_tokenizer(lb_model *m) {
    char *path = lb_fs_join(m->path, "tokenizer.json");
    if (!path) return LB_E_NOMEM;
    bool there = lb_fs_there(path);
    lb_free(path);
    if (there) return keep_reason(m, lb_tokenizer_from_dir(m->path, &m->tokenizer));
    return lb_folder_no_tokenizer(m->arena, m->path, &m->no_tokenizer);
}

static lb_status open_folder(lb_model *m, source *s) {
    snprintf(m->format, sizeof m->format, "safetensors");
    s->says = "the config";
    s->hf = true;
    LB_TRY(lb_folder_check(m->path));
    char *config = lb_fs_join(m->path, "config.json");
    lb_status st = config ? lb_arch_from_config(config, &m->arch, &s->family) : LB_E_NOMEM;
    lb_free(config);
    LB_TRY(st);
    LB_TRY(open_tokenizer(m));
    LB_TRY(lb_safetensors_open(m->path, &s->f->safetensors));
    return lb_folder_hash(m->path, s->f->safetensors, m->hash);
}

/* The last part of the path as it was given, without a trailing slash or the extension; and where the files are. */
static lb_status name_model(lb_model *m, const char *path, bool folder) {
    if (!(m->path = lb_arena_strdup(m->arena, path))) return LB_E_NOMEM;
    size_t n = strlen(m->path);
    while (n > 1 && m->path[n - 1] == '/') m->path[--n] = 0;
    if (!(m->name = lb_arena_strdup(m->arena, lb_fs_basename(m->path)))) return LB_E_NOMEM;
    if (!folder && lb_str_ends(m->name, ".gguf")) m->name[strlen(m->name) - 5] = 0;
    const char *found = m->path;
    if (folder) LB_TRY(lb_folder_find(m->arena, m->path, &found));
    return (m->path = lb_arena_strdup(m->arena, found)) ? LB_OK : LB_E_NOMEM;
}

static lb_status open_into(lb_model *m, const char *path, lb_model_parts parts, lb_team *team) {
    bool folder = lb_fs_is_dir(path);
    LB_TRY(lb_arena_new(0, &m->arena));
    LB_TRY(name_model(m, path, folder));
    if (!folder && (lb_str_ends(path, ".safetensors") || lb_str_ends(path, ".json")))
        return lb_fail(LB_E_ARG, "%s: give the folder that holds config.json and the weights, or a GGUF file", path);
    source s = {.m = m};
    if (!(m->files = s.f = LB_NEW(m->arena, files, 1))) return LB_E_NOMEM;
    LB_TRY(folder ? open_folder(m, &s) : open_gguf(m, &s));
    if (m->tokenizer) lb_tokenizer_set_rows(m->tokenizer, m->arch.vocab);
    LB_TRY(match_tensors(&s));
    return parts == LB_HEADER ? LB_OK : load_weights(&s, parts, team);
}

lb_status lb_model_open(const char *path, lb_model_parts parts, lb_team *team, lb_model **out) {
    *out = NULL;
    lb_model *m = lb_alloc(1, sizeof *m);
    if (!m) return LB_E_NOMEM;
    lb_status st = open_into(m, path, parts, team);
    if (st != LB_OK) {
        lb_error_frame(__FILE__, __LINE__, __func__);
        lb_model_close(m);
        return st;
    }
    *out = m;
    return LB_OK;
}

void lb_model_close(lb_model *m) {
    if (!m) return;
    files *f = m->files;
    if (f && f->gguf) lb_gguf_close(f->gguf);
    if (f && f->safetensors) lb_safetensors_close(f->safetensors);
    if (m->tokenizer) lb_tokenizer_free(m->tokenizer);
    lb_arena_free(m->arena);
    lb_free(m);
}

lb_status lb_model_need_tokenizer(const lb_model *m) {
    if (m->tokenizer) return LB_OK;
    return lb_fail(LB_E_UNSUPPORTED, "%s: no tokenizer was read, so a text cannot become tokens: %s", m->path,
                   m->no_tokenizer ? m->no_tokenizer : "it has none");
}
