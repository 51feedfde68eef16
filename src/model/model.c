/* Opening a model: architecture, tensors matched by name and shape, numbers to float32 over the team. */
#include "model/model.h"

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
    bool hf;
    const char *says; /* who tells the shapes: "the config", "the header" */
    lb_numbers numbers;
    files *f;
    lb_placed *slot; /* where the net's tensors lie */
} source;

enum { PIECE = 1 << 20 }; /* weights converted at a time */

static lb_status describe_slots(const source *s) {
    lb_model *m = s->m;
    if (!(m->tensor = LB_NEW(m->arena, lb_model_tensor, m->n_tensors))) return LB_E_NOMEM;
    for (int32_t i = 0; i < m->net->slots; i++) {
        const lb_placed *x = &s->slot[i];
        lb_model_tensor *d = &m->tensor[i];
        snprintf(d->name, sizeof d->name, "%s", lb_slot_name(m->net, i));
        d->source_name = x->t->name;
        d->type = lb_dtype_name(x->t->type);
        d->rows = x->rows;
        d->cols = x->cols;
        d->stored_bytes = (int64_t)((double)x->t->bytes / (double)lb_tensor_count(x->t) * (double)(x->rows * x->cols));
    }
    return LB_OK;
}

/* "Q4_1 (210 tensors), Q8_0 (1), F32 (61)", most frequent first but F32 last. */
static lb_status describe_types(const source *s) {
    int64_t count[LB_DTYPES] = {0};
    lb_str text = {0};
    for (int64_t i = 0; i < s->m->n_tensors; i++) {
        const lb_tensor *t = s->slot[i].t;
        count[t->type] += s->slot[i].first == 0; /* once, where several layers lie in one */
        s->m->stored_quantized |= t->type >= LB_Q4_0 && t->type <= LB_Q8_0;
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
    int64_t n = s->hf ? lb_safetensors_count(s->f->safetensors) : lb_gguf_tensor_count(s->f->gguf);
    int64_t blocks = s->numbers.blocks;
    if (s->hf && blocks > 0) {
        LB_TRY(lb_family_file_block(m->family, &s->numbers, blocks - 1, &blocks));
        blocks++;
    }
    if (n < blocks) /* before any memory is taken for them */
        return lb_fail(LB_E_FORMAT, "%s: %lld tensors are too few for the %lld blocks that %s says", m->path,
                       (long long)n, (long long)blocks, s->says);
    lb_status st = lb_family_net(m->arena, m->family, &s->numbers, &m->net);
    if (st != LB_OK) return lb_fail_in(st, "%s", m->path);
    LB_TRY(lb_weights_new(m->arena, m->net, &m->weights));
    m->n_tensors = m->net->slots;
    const lb_tensor **t = LB_NEW(m->arena, const lb_tensor *, n + 1);
    if (!t || !(s->slot = LB_NEW(m->arena, lb_placed, m->n_tensors))) return LB_E_NOMEM;
    for (int64_t i = 0; i < n; i++)
        t[i] = s->hf ? lb_safetensors_tensor(s->f->safetensors, i) : lb_gguf_tensor(s->f->gguf, i);
    const lb_tensor_files all = {m->path, s->says, s->hf, t, n};
    LB_TRY(lb_family_match(m->arena, m->family, m->net, &all, s->slot));
    m->left_out = lb_family_left_out(m->family, m->net->numbers, &all);
    LB_TRY(describe_slots(s));
    return describe_types(s);
}

/* ---- numbers ---- */

static lb_status not_finite(const char *path, const lb_placed *s, int64_t row, int64_t col) {
    int64_t r = s->transposed ? col : s->first + row, c = s->transposed ? s->first + row : col;
    return lb_fail(LB_E_NUMERIC, "%s: tensor %s: NaN or infinite at row %lld, column %lld", path, s->t->name,
                   (long long)r, (long long)c);
}

/* Rows of a matrix that is stored (in, out). */
static lb_status read_turned(const lb_placed *s, int64_t row, int64_t rows, float *out) {
    enum { MOST = 512 };
    float part[MOST];
    int64_t width = s->t->shape[1];
    for (int64_t c = 0; c < s->cols; c++)
        for (int64_t r = 0; r < rows; r += MOST) {
            int64_t n = rows - r < MOST ? rows - r : MOST;
            LB_TRY(lb_tensor_read_f32(s->t, c * width + s->first + row + r, n, part));
            for (int64_t i = 0; i < n; i++) out[(r + i) * s->cols + c] = part[i];
        }
    return LB_OK;
}

/* Rows [row, row + rows) as floats, every one finite. forget: their pages are then given back. */
static lb_status read_rows(const char *path, const lb_placed *s, bool forget, int64_t row, int64_t rows, float *out) {
    int64_t elements, bytes, first = (s->first + row) * s->cols, n = rows * s->cols;
    if (s->transposed)
        LB_TRY(read_turned(s, row, rows, out));
    else
        LB_TRY(lb_tensor_read_f32(s->t, first, n, out));
    lb_dtype_block(s->t->type, &elements, &bytes);
    if (forget && !s->transposed)
        lb_map_forget((const char *)s->t->data + first / elements * bytes, (size_t)(n / elements * bytes));
    int64_t bad = lb_mat_first_bad(lb_cmat_of(out, 1, n));
    return bad < 0 ? LB_OK : not_finite(path, s, row + bad / s->cols, bad % s->cols);
}

/* Rows of one tensor of ours; out is where they go, or NULL: only `mapped` is looked through. */
typedef struct piece {
    const lb_placed *s;
    int64_t row, rows;
    float *out;
    const float *mapped;
} piece;
typedef struct conversion {
    const lb_model *m;
    piece *piece;
} conversion;

static lb_status convert_piece(void *ctx, int64_t i, int worker) {
    (void)worker;
    const conversion *c = ctx;
    const piece *p = &c->piece[i];
    if (p->out) return read_rows(c->m->path, p->s, true, p->row, p->rows, p->out);
    int64_t bad = lb_mat_first_bad(lb_cmat_of(p->mapped, 1, p->rows * p->s->cols));
    return bad < 0 ? LB_OK : not_finite(c->m->path, p->s, p->row + bad / p->s->cols, bad % p->s->cols);
}

/* A mapped matrix as a source of rows. */
typedef struct mapped {
    const char *path;
    const lb_placed *s;
    bool forget; /* its pages, once read */
} mapped;

static lb_status read_mapped(const void *ctx, int64_t row, int64_t rows, float *out) {
    const mapped *x = ctx;
    return read_rows(x->path, x->s, x->forget, row, rows, out);
}

/* The numbers as they lie in the file, if that is how they are wanted. */
static const float *in_place(const lb_placed *s) {
    if (s->t->type != LB_F32 || s->transposed || (uintptr_t)s->t->data % sizeof(float) != 0) return NULL;
    return (const float *)s->t->data + s->first * s->cols;
}

/* Converted matrices are read when their turn comes: true for those. */
static bool streamed(const source *s, int32_t slot, lb_model_parts parts) {
    const lb_net *n = s->m->net;
    const lb_placed *x = &s->slot[slot];
    return parts == LB_STREAM && !x->vector && !in_place(x) && !lb_net_between(n, n->slot[slot].site);
}

static lb_status set_sources(const source *s, lb_model_parts parts) {
    mapped *x = LB_NEW(s->m->arena, mapped, s->m->n_tensors);
    if (!x) return LB_E_NOMEM;
    for (int32_t i = 0; i < s->m->net->slots; i++) {
        x[i] = (mapped){s->m->path, &s->slot[i], streamed(s, i, parts)};
        if (!s->slot[i].vector) lb_slot_set_source(s->m->net, &s->m->weights, i, (lb_rows_source){read_mapped, &x[i]});
    }
    return LB_OK;
}

static int64_t piece_rows(const lb_placed *s) { return s->cols < PIECE ? PIECE / s->cols : 1; }

/* Float32 that lies aligned in the file is used where it is; everything else is converted into the arena. */
static lb_status load_weights(const source *s, lb_model_parts parts, lb_team *team) {
    lb_model *m = s->m;
    int64_t n = 0;
    LB_TRY(set_sources(s, parts));
    for (int32_t i = 0; i < m->net->slots; i++)
        if (!streamed(s, i, parts)) n += (s->slot[i].rows - 1) / piece_rows(&s->slot[i]) + 1;
    conversion c = {.m = m, .piece = LB_NEW(m->arena, piece, n)};
    if (!c.piece) return LB_E_NOMEM;
    n = 0;
    for (int32_t i = 0; i < m->net->slots; i++) {
        const lb_placed *x = &s->slot[i];
        if (streamed(s, i, parts)) continue;
        const float *there = in_place(x);
        float *out = there ? NULL : LB_NEW(m->arena, float, x->rows * x->cols);
        if (!there && !out) return LB_E_NOMEM;
        lb_slot_set(m->net, &m->weights, i, there ? there : out);
        for (int64_t row = 0, step = piece_rows(x); row < x->rows; row += step, n++)
            c.piece[n] = (piece){.s = x,
                                 .row = row,
                                 .rows = x->rows - row < step ? x->rows - row : step,
                                 .out = out ? out + row * x->cols : NULL,
                                 .mapped = there ? there + row * x->cols : NULL};
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
    LB_TRY(lb_numbers_from_gguf(m->arena, s->f->gguf, &m->family, &s->numbers));
    m->no_tokenizer = "the file has no key tokenizer.ggml.model";
    if (lb_gguf_has(s->f->gguf, key)) LB_TRY(keep_reason(m, lb_tokenizer_from_gguf(s->f->gguf, &m->tokenizer)));
    return lb_hash_file(m->path, m->hash);
}

static lb_status open_tokenizer(lb_model *m) {
    bool there;
    LB_TRY(lb_folder_has_tokenizer(m->path, &there));
    if (there) return keep_reason(m, lb_tokenizer_from_dir(m->path, &m->tokenizer));
    return lb_folder_no_tokenizer(m->arena, m->path, &m->no_tokenizer);
}

static lb_status open_folder(lb_model *m, source *s) {
    snprintf(m->format, sizeof m->format, "safetensors");
    s->says = "the config";
    s->hf = true;
    LB_TRY(lb_folder_check(m->path));
    char *config = lb_fs_join(m->path, "config.json");
    lb_status st = config ? lb_numbers_from_config(m->arena, config, &m->family, &s->numbers) : LB_E_NOMEM;
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
    LB_TRY(match_tensors(&s));
    if (m->tokenizer) lb_tokenizer_set_rows(m->tokenizer, m->net->vocab);
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
