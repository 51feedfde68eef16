/* Can a layer be stored as its storage says, and come back the same? What a method returns is looked at here, value by
 * value, before it is packed. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "math/half.h"
#include "quant/compressed.h"
#include "quant/grid.h"

#define PIECE (1 << 16) /* values */

static int64_t pieces_of(int64_t n) { return (n - 1) / PIECE + 1; }

static uint32_t bits_of(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}
static bool same_bits(float a, float b) { return bits_of(a) == bits_of(b); }

/* Where scale or zero number i belongs: "row 3, group 2". */
static const char *place(const lb_compressed *c, int64_t i, char out[64]) {
    const lb_storage *s = &c->storage;
    int64_t groups = lb_storage_groups_per_row(s, c->cols);
    if (s->kind == LB_GRID_CODEBOOK)
        snprintf(out, 64, "block %lld", (long long)i);
    else if (s->group == LB_GROUP_TENSOR)
        snprintf(out, 64, "the matrix");
    else if (s->group == LB_GROUP_ROW)
        snprintf(out, 64, "row %lld", (long long)i);
    else
        snprintf(out, 64, "row %lld, group %lld", (long long)(i / groups), (long long)(i % groups));
    return out;
}

static lb_status check_scale(const lb_compressed *c, int64_t i) {
    float v = c->scale[i];
    lb_scale_type t = c->storage.scale_type;
    char at[64];
    if (!isfinite(v)) return lb_fail(LB_E_NUMERIC, "scale %g at %s: must be finite", (double)v, place(c, i, at));
    if (t == LB_SCALE_F32) return LB_OK;
    float kept = t == LB_SCALE_F16 ? lb_f16_to_f32(lb_f32_to_f16(v)) : lb_bf16_to_f32(lb_f32_to_bf16(v));
    if (same_bits(v, kept)) return LB_OK;
    return lb_fail(LB_E_ARG, "scale %.9g at %s: must be a %s, as which it would be %.9g", (double)v, place(c, i, at),
                   t == LB_SCALE_F16 ? "float16" : "bfloat16", (double)kept);
}

static lb_status check_zero(const lb_compressed *c, int64_t i) {
    float v = c->zero[i], top = (float)((1 << c->storage.bits) - 1);
    char at[64];
    if (v >= 0 && v <= top && v == (float)(int)v) return LB_OK; /* NaN fails the first */
    return lb_fail(isfinite(v) ? LB_E_ARG : LB_E_NUMERIC, "zero %.9g at %s: must be a whole number in [0, %g]",
                   (double)v, place(c, i, at), (double)top);
}

static lb_status check_dense(const lb_compressed *c, int64_t i) {
    float v = c->dense[i];
    if (isfinite(c->storage.bits == 16 ? lb_f16_to_f32(lb_f32_to_f16(v)) : v)) return LB_OK;
    return lb_fail(LB_E_NUMERIC, "weight %g at row %lld, column %lld: must be finite as a float of %d bits", (double)v,
                   (long long)(i / c->cols), (long long)(i % c->cols), c->storage.bits);
}

/* One part, in pieces over a team. */
typedef struct part {
    const lb_compressed *c;
    int64_t n;
    lb_status (*each)(const lb_compressed *c, int64_t i);
} part;

static lb_status part_piece(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const part *p = ctx;
    int64_t end = (piece + 1) * PIECE < p->n ? (piece + 1) * PIECE : p->n;
    for (int64_t i = piece * PIECE; i < end; i++) LB_TRY(p->each(p->c, i));
    return LB_OK;
}

static lb_status check_each(const lb_compressed *c, int64_t n, lb_status (*each)(const lb_compressed *, int64_t),
                            lb_team *team) {
    part p = {c, n, each};
    return lb_parallel_for(team, pieces_of(n), part_piece, &p);
}

static lb_status codes_piece(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const lb_compressed *c = ctx;
    int64_t n = c->rows * c->cols, end = (piece + 1) * PIECE < n ? (piece + 1) * PIECE : n;
    int bits = c->storage.bits;
    uint8_t any = 0;
    for (int64_t i = piece * PIECE; i < end; i++) any |= c->codes[i];
    for (int64_t i = piece * PIECE; any >> bits && i < end; i++)
        if (c->codes[i] >> bits)
            return lb_fail(LB_E_ARG, "code %d at row %lld, column %lld does not fit in %d bits", c->codes[i],
                           (long long)(i / c->cols), (long long)(i % c->cols), bits);
    return LB_OK;
}

lb_status lb_order_check(const int32_t *order, int64_t cols, lb_status code) {
    int32_t *position = lb_alloc((size_t)cols, sizeof *position); /* + 1, of each column */
    if (!position) return LB_E_NOMEM;
    lb_status st = LB_OK;
    for (int64_t p = 0; p < cols && st == LB_OK; p++) {
        int32_t col = order[p];
        if (col < 0 || col >= cols)
            st = lb_fail(code, "order[%lld] = %d: the layer has %lld columns", (long long)p, col, (long long)cols);
        else if (position[col])
            st = lb_fail(code, "order[%lld] = %d: that column is at position %d already", (long long)p, col,
                         position[col] - 1);
        else
            position[col] = (int32_t)p + 1;
    }
    lb_free(position);
    return st;
}

/* Scales are what their own codes give. */
static lb_status check_double_quant(const lb_compressed *c, int64_t scales) {
    char at[64];
    float expanded[LB_DOUBLE_QUANT_BLOCK];
    if (!isfinite(c->dq_mean)) return lb_fail(LB_E_NUMERIC, "dq_mean = %g: must be finite", (double)c->dq_mean);
    for (int64_t i = 0; i < scales; i += LB_DOUBLE_QUANT_BLOCK) {
        const float *scale = &c->dq_scale[i / LB_DOUBLE_QUANT_BLOCK];
        int64_t n = i + LB_DOUBLE_QUANT_BLOCK < scales ? LB_DOUBLE_QUANT_BLOCK : scales - i;
        if (!isfinite(*scale))
            return lb_fail(LB_E_NUMERIC, "dq_scale[%lld] = %g: must be finite", (long long)(i / LB_DOUBLE_QUANT_BLOCK),
                           (double)*scale);
        lb_double_quant_expand(c->dq_code + i, scale, c->dq_mean, n, expanded);
        for (int64_t k = 0; k < n; k++)
            if (!same_bits(expanded[k], c->scale[i + k]))
                return lb_fail(LB_E_ARG, "scale %.9g at %s: dq_code, dq_scale and dq_mean give %.9g",
                               (double)c->scale[i + k], place(c, i + k, at), (double)expanded[k]);
    }
    return LB_OK;
}

/* Arrays that are missing, or that the bytes have no place for. */
static lb_status check_parts(const lb_compressed *c) {
    const lb_storage *s = &c->storage;
    bool uniform = s->kind == LB_GRID_UNIFORM, floats = s->kind == LB_GRID_FLOAT;
    bool twice = s->kind == LB_GRID_CODEBOOK && s->double_quant;
    const struct {
        const char *name;
        bool there, stored;
    } parts[] = {{"codes", c->codes, !floats},
                 {"scale", c->scale, !floats},
                 {"zero", c->zero, uniform && !s->symmetric},
                 {"order", c->order, uniform && s->order},
                 {"dq_code", c->dq_code, twice},
                 {"dq_scale", c->dq_scale, twice},
                 {"dense", c->dense, floats}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].there == parts[i].stored) continue;
        lb_str text = {0};
        lb_storage_text(s, &text);
        lb_status st = lb_str_check(&text);
        if (st == LB_OK)
            st = lb_fail(LB_E_ARG, "%s is %s: %s %s it", parts[i].name, parts[i].there ? "there" : "missing", text.s,
                         parts[i].stored ? "stores" : "does not store");
        lb_str_free(&text);
        return st;
    }
    return LB_OK;
}

/* What is told beside the weights. */
static lb_status check_remarks(const lb_compressed *c) {
    bool dead = c->flags & LB_FLAG_DEAD_COLUMNS;
    if (c->flags & ~(uint32_t)LB_FLAGS_OF_LAYERS)
        return lb_fail(LB_E_ARG, "flags 0x%x: a method may set 0x%x", (unsigned)c->flags, LB_FLAGS_OF_LAYERS);
    if (!isfinite(c->damp) || c->damp < 0)
        return lb_fail(LB_E_ARG, "damp = %g: must be finite and not negative", c->damp);
    if (c->dead_columns < 0 || c->dead_columns > c->cols)
        return lb_fail(LB_E_ARG, "dead_columns = %lld: must be in [0, %lld]", (long long)c->dead_columns,
                       (long long)c->cols);
    if (dead != (c->dead_columns > 0))
        return lb_fail(LB_E_ARG, "dead_columns = %lld, and their flag is %s", (long long)c->dead_columns,
                       dead ? "set" : "not set");
    if (c->act.bits != 0 && (c->act.bits < 2 || c->act.bits > 8))
        return lb_fail(LB_E_ARG, "act.bits = %d: must be 0 or in [2, 8]", c->act.bits);
    return LB_OK;
}

lb_status lb_compressed_check(const lb_compressed *c, lb_team *team) {
    lb_size z;
    LB_TRY(lb_compressed_size(c, &z));
    LB_TRY(check_parts(c));
    LB_TRY(check_remarks(c));
    if (c->storage.kind == LB_GRID_FLOAT) return check_each(c, z.weights, check_dense, team);
    int64_t scales = lb_storage_scales(&c->storage, c->rows, c->cols);
    LB_TRY(lb_parallel_for(team, pieces_of(z.weights), codes_piece, (void *)(uintptr_t)c));
    LB_TRY(check_each(c, scales, check_scale, team));
    if (c->zero) LB_TRY(check_each(c, scales, check_zero, team));
    if (c->dq_code) LB_TRY(check_double_quant(c, scales));
    return c->order ? lb_order_check(c->order, c->cols, LB_E_ARG) : LB_OK;
}
