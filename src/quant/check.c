/* Can a layer be stored as its storage says, and come back the same? What a method returns is looked at here, value by
 * value, before it is packed. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "math/half.h"
#include "quant/format.h"

#define PIECE (1 << 16) /* values */

static int64_t pieces_of(int64_t n) { return (n - 1) / PIECE + 1; }

static bool same_bits(float a, float b) { return lb_f32_bits(a) == lb_f32_bits(b); }

static const char *place(const lb_layer *c, int64_t i, char out[64]) {
    return lb_block_place(&c->storage, c->cols, i, out);
}

/* A number of each block, as its type holds it. */
static lb_status check_number(const lb_layer *c, const char *what, float v, int64_t i, lb_scale_type t) {
    char at[64];
    if (!isfinite(v)) return lb_fail(LB_E_NUMERIC, "%s %g at %s: must be finite", what, (double)v, place(c, i, at));
    float kept = lb_number_kept(t, v);
    if (same_bits(v, kept)) return LB_OK;
    return lb_fail(LB_E_ARG, "%s %.9g at %s: must be a %s, as which it would be %.9g", what, (double)v, place(c, i, at),
                   lb_scale_type_name(t), (double)kept);
}

static lb_status check_scale(const lb_layer *c, int64_t i, lb_scale_type t) {
    return check_number(c, "scale", c->scale[i], i, t);
}

static lb_status check_real_zero(const lb_layer *c, int64_t i, lb_scale_type t) {
    return check_number(c, "zero", c->zero[i], i, t);
}

static lb_status check_whole_zero(const lb_layer *c, int64_t i, lb_scale_type t) {
    (void)t;
    float v = c->zero[i], top = (float)((1 << c->storage.bits) - 1);
    char at[64];
    if (v >= 0 && v <= top && v == (float)(int)v) return LB_OK; /* NaN fails the first */
    return lb_fail(isfinite(v) ? LB_E_ARG : LB_E_NUMERIC, "zero %.9g at %s: must be a whole number in [0, %g]",
                   (double)v, place(c, i, at), (double)top);
}

static lb_status check_dense(const lb_layer *c, int64_t i, lb_scale_type t) {
    float v = c->dense[i], kept = lb_number_kept(t, v);
    if (isfinite(kept) && (!c->storage.format->rounds || same_bits(v, kept))) return LB_OK;
    if (isfinite(kept))
        return lb_fail(LB_E_ARG, "weight %.9g at row %lld, column %lld: must be a %s, as which it would be %.9g",
                       (double)v, (long long)(i / c->cols), (long long)(i % c->cols), lb_scale_type_name(t),
                       (double)kept);
    if (!isfinite(v))
        return lb_fail(LB_E_NUMERIC, "weight %g at row %lld, column %lld: must be finite", (double)v,
                       (long long)(i / c->cols), (long long)(i % c->cols));
    return lb_fail(LB_E_NUMERIC, "weight %g at row %lld, column %lld: must be at %s%g, the largest %s", (double)v,
                   (long long)(i / c->cols), (long long)(i % c->cols), v < 0 ? "least -" : "most ",
                   (double)lb_scale_type_largest(t), lb_scale_type_name(t));
}

/* One part, in pieces over a team. */
typedef struct values {
    const lb_layer *c;
    int64_t n;
    lb_scale_type type;
    lb_status (*each)(const lb_layer *c, int64_t i, lb_scale_type t);
} values;

static lb_status part_piece(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const values *p = ctx;
    int64_t end = (piece + 1) * PIECE < p->n ? (piece + 1) * PIECE : p->n;
    for (int64_t i = piece * PIECE; i < end; i++) LB_TRY(p->each(p->c, i, p->type));
    return LB_OK;
}

static lb_status check_each(const lb_layer *c, const lb_part *part,
                            lb_status (*each)(const lb_layer *, int64_t, lb_scale_type), lb_team *team) {
    values p = {c, part->n, part->type, each};
    return lb_parallel_for(team, pieces_of(part->n), part_piece, &p);
}

static lb_status codes_piece(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const lb_layer *c = ctx;
    int64_t n = c->rows * c->cols, end = (piece + 1) * PIECE < n ? (piece + 1) * PIECE : n;
    int bits = c->storage.bits;
    uint8_t any = 0;
    for (int64_t i = piece * PIECE; i < end; i++) any |= c->codes[i];
    for (int64_t i = piece * PIECE; any >> bits && i < end; i++)
        if (c->codes[i] >> bits)
            return lb_fail(LB_E_ARG, "code %d at row %lld, column %lld does not fit in %d bits", c->codes[i],
                           (long long)(i / c->cols), (long long)(i % c->cols), bits);
    bool (*is_code)(uint8_t) = c->storage.format->is_code;
    for (int64_t i = piece * PIECE; is_code && i < end; i++)
        if (!is_code(c->codes[i]))
            return lb_fail(LB_E_ARG, "code %d at row %lld, column %lld is no number of format %s", c->codes[i],
                           (long long)(i / c->cols), (long long)(i % c->cols), c->storage.format->name);
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

static lb_status check_run(const lb_layer *c, int64_t r, int64_t start, lb_status code) {
    const uint8_t *row = c->mask + r * lb_mask_row_bytes(c->cols);
    int64_t of = c->storage.mask_of, end = start + of < c->cols ? start + of : c->cols, kept = 0;
    int64_t want = c->storage.mask_keep < end - start ? c->storage.mask_keep : end - start;
    for (int64_t col = start; col < end; col++) kept += lb_mask_keeps(row, col);
    if (kept == want) return LB_OK;
    return lb_fail(code, "mask at row %lld, columns %lld to %lld: keeps %lld, must keep %lld", (long long)r,
                   (long long)start, (long long)end - 1, (long long)kept, (long long)want);
}

lb_status lb_mask_check(const lb_layer *c, lb_status code) {
    int64_t bytes = lb_mask_row_bytes(c->cols);
    for (int64_t r = 0; r < c->rows; r++) {
        for (int64_t start = 0; start < c->cols; start += c->storage.mask_of) LB_TRY(check_run(c, r, start, code));
        if (c->cols % 8 && c->mask[(r + 1) * bytes - 1] >> c->cols % 8)
            return lb_fail(code, "mask at row %lld: keeps columns beyond the last", (long long)r);
    }
    return LB_OK;
}

/* Bytes have no place for what is not kept. */
static lb_status check_masked(const lb_layer *c) {
    LB_TRY(lb_mask_check(c, LB_E_ARG));
    for (int64_t r = 0; r < c->rows; r++)
        for (int64_t col = 0; col < c->cols; col++) {
            if (lb_mask_keeps(c->mask + r * lb_mask_row_bytes(c->cols), col)) continue;
            int64_t i = r * c->cols + col;
            if (c->codes ? c->codes[i] != 0 : lb_f32_bits(c->dense[i]) != 0)
                return lb_fail(LB_E_ARG, "%s %g at row %lld, column %lld is not kept: must be 0",
                               c->codes ? "code" : "weight", c->codes ? (double)c->codes[i] : (double)c->dense[i],
                               (long long)r, (long long)col);
        }
    return LB_OK;
}

static lb_status check_factor(const lb_layer *c, char name, const float *x, int64_t n, int64_t cols) {
    for (int64_t i = 0; i < n; i++) {
        float kept = lb_number_kept(c->storage.rank_type, x[i]);
        if (isfinite(x[i]) && same_bits(x[i], kept)) continue;
        return lb_fail(isfinite(x[i]) ? LB_E_ARG : LB_E_NUMERIC, "%c is %.9g at row %lld, column %lld: must be %s",
                       name, (double)x[i], (long long)(i / cols), (long long)(i % cols),
                       isfinite(x[i]) ? "a number of its type" : "finite");
    }
    return LB_OK;
}

static lb_status check_input_scale(const lb_layer *c, int64_t i, lb_scale_type t) {
    float v = c->T.scale[i], kept = lb_number_kept(t, v);
    if (isfinite(v) && v != 0 && same_bits(v, kept)) return LB_OK;
    return lb_fail(isfinite(v) ? LB_E_ARG : LB_E_NUMERIC, "T.scale %.9g at column %lld: must be %s", (double)v,
                   (long long)i, isfinite(v) && v != 0 ? "a number of its type" : "finite and not 0");
}

static lb_status check_input_signs(const lb_layer *c) {
    if (c->cols % 8 == 0 || c->T.sign[c->cols / 8] >> c->cols % 8 == 0) return LB_OK;
    return lb_fail(LB_E_ARG, "T.sign: negates columns beyond the last, %lld", (long long)c->cols - 1);
}

/* Arrays that are missing, or that the bytes have no place for. */
static lb_status check_parts(const lb_layer *c, const lb_part *part, int n) {
    static const char *const name[] = {
        [LB_SLOT_CODES] = "codes", [LB_SLOT_SCALE] = "scale",     [LB_SLOT_ZERO] = "zero",
        [LB_SLOT_ORDER] = "order", [LB_SLOT_DQ_CODE] = "dq_code", [LB_SLOT_DQ_SCALE] = "dq_scale",
        [LB_SLOT_DENSE] = "dense", [LB_SLOT_MASK] = "mask",       [LB_SLOT_A] = "A",
        [LB_SLOT_B] = "B",         [LB_SLOT_T_SCALE] = "T.scale", [LB_SLOT_T_SIGN] = "T.sign"};
    for (lb_slot slot = 0; slot < LB_SLOT_DQ_MEAN; slot++) {
        bool stored = false, there = lb_part_values(c, &(lb_part){.slot = slot}) != NULL;
        for (int i = 0; i < n; i++) stored = stored || part[i].slot == slot;
        if (there == stored) continue;
        lb_str text = {0};
        lb_storage_text(&c->storage, &text);
        lb_status st = lb_str_check(&text);
        if (st == LB_OK)
            st = lb_fail(LB_E_ARG, "%s is %s: %s %s it", name[slot], there ? "there" : "missing", text.s,
                         stored ? "stores" : "does not store");
        lb_str_free(&text);
        return st;
    }
    return LB_OK;
}

/* What is told beside the weights. */
static lb_status check_remarks(const lb_layer *c) {
    if (c->flags & ~(uint32_t)LB_FLAGS_OF_LAYERS)
        return lb_fail(LB_E_ARG, "flags 0x%x: a method may set 0x%x", (unsigned)c->flags, LB_FLAGS_OF_LAYERS);
    return LB_OK;
}

/* A static range of inputs, or none. */
static lb_status check_act(const lb_layer *c) {
    const lb_actquant act = lb_layer_act(c);
    bool ranged = lb_actquant_is_static(&act);
    float top = ranged && !act.symmetric ? (float)((1 << act.bits) - 1) : 0;
    if (!isfinite(act.scale) || !isfinite(act.zero))
        return lb_fail(LB_E_NUMERIC, "act_scale %g, act_zero %g: must be finite", (double)act.scale, (double)act.zero);
    if (ranged ? !(act.scale > 0) : act.scale != 0)
        return lb_fail(LB_E_ARG, "act_scale %.9g: must be %s", (double)act.scale,
                       ranged ? "positive" : "0, as no range is stored");
    if (act.zero >= 0 && act.zero <= top && act.zero == (float)(int)act.zero) return LB_OK;
    return lb_fail(LB_E_ARG, "act_zero %.9g: must be a whole number in [0, %g]", (double)act.zero, (double)top);
}

static lb_status check_part(const lb_layer *c, const lb_part *p, lb_team *team) {
    int64_t weights = c->rows * c->cols;
    switch (p->slot) {
    case LB_SLOT_CODES:
        return lb_parallel_for(team, pieces_of(weights), codes_piece, (void *)(uintptr_t)c);
    case LB_SLOT_SCALE:
        return check_each(c, p, check_scale, team);
    case LB_SLOT_ZERO:
        return check_each(c, p, p->form == LB_FORM_WHOLE ? check_whole_zero : check_real_zero, team);
    case LB_SLOT_DENSE:
        return check_each(c, &(lb_part){.n = weights, .type = p->type}, check_dense, team);
    case LB_SLOT_MASK:
        return check_masked(c);
    case LB_SLOT_A:
        return check_factor(c, 'A', c->A, p->n, c->cols);
    case LB_SLOT_B:
        return check_factor(c, 'B', c->B, p->n, c->storage.rank);
    case LB_SLOT_T_SCALE:
        return check_each(c, p, check_input_scale, team);
    case LB_SLOT_T_SIGN:
        return check_input_signs(c);
    case LB_SLOT_ORDER:
        return lb_order_check(c->order, c->cols, LB_E_ARG);
    default: /* the format's own check */
        return LB_OK;
    }
}

lb_status lb_layer_check(const lb_layer *c, lb_team *team) {
    lb_size z;
    lb_part part[LB_MOST_PARTS];
    LB_TRY(lb_layer_size(c, &z));
    int n = lb_storage_parts(&c->storage, c->rows, c->cols, part);
    LB_TRY(check_parts(c, part, n));
    LB_TRY(check_remarks(c));
    if (c->T.hadamard != c->storage.t_hadamard)
        return lb_fail(LB_E_ARG, "T.hadamard = %lld: the storage says %lld", (long long)c->T.hadamard,
                       (long long)c->storage.t_hadamard);
    LB_TRY(check_act(c));
    for (int i = 0; i < n; i++) LB_TRY(check_part(c, &part[i], team));
    return c->storage.format->check ? c->storage.format->check(c) : LB_OK;
}
