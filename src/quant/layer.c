#include "quant/layer.h"

#include <assert.h>
#include <string.h>

#include "math/kernels.h"
#include "quant/format.h"

#define PANEL_ROWS 64 /* a piece of work */

/* Those of the parts whose bit is in `slots`. */
static lb_status new_parts(lb_arena *a, lb_layer *c, unsigned slots) {
    lb_part part[LB_MOST_PARTS];
    for (int i = 0, n = lb_storage_parts(&c->storage, c->rows, c->cols, part); i < n; i++) {
        const lb_part *p = &part[i];
        if (!(slots & 1u << p->slot)) continue;
        bool there = true;
        switch (p->slot) {
        case LB_SLOT_CODES:
            there = (c->codes = LB_NEW(a, uint8_t, c->rows * c->cols)) != NULL;
            break;
        case LB_SLOT_SCALE:
            there = (c->scale = LB_NEW(a, float, p->n)) != NULL;
            break;
        case LB_SLOT_ZERO:
            there = (c->zero = LB_NEW(a, float, p->n)) != NULL;
            break;
        case LB_SLOT_ORDER:
            there = (c->order = LB_NEW(a, int32_t, p->n)) != NULL;
            break;
        case LB_SLOT_DQ_CODE:
            there = (c->dq_code = LB_NEW(a, uint8_t, p->n)) != NULL;
            break;
        case LB_SLOT_DQ_SCALE:
            there = (c->dq_scale = LB_NEW(a, float, p->n)) != NULL;
            break;
        case LB_SLOT_DENSE:
            there = (c->dense = LB_NEW(a, float, c->rows * c->cols)) != NULL;
            break;
        case LB_SLOT_MASK:
            there = (c->mask = LB_NEW(a, uint8_t, p->n)) != NULL;
            break;
        case LB_SLOT_A:
            there = (c->A = LB_NEW(a, float, p->n)) != NULL;
            break;
        case LB_SLOT_B:
            there = (c->B = LB_NEW(a, float, p->n)) != NULL;
            break;
        case LB_SLOT_T_SCALE:
            there = (c->T.scale = LB_NEW(a, float, p->n)) != NULL;
            break;
        case LB_SLOT_T_SIGN:
            there = (c->T.sign = LB_NEW(a, uint8_t, p->n)) != NULL;
            break;
        case LB_SLOT_DQ_MEAN:
        case LB_SLOT_ACT_SCALE:
        case LB_SLOT_ACT_ZERO:
        case LB_SLOT_FIXED:
            break;
        }
        if (!there) return LB_E_NOMEM;
    }
    return LB_OK;
}

#define WEIGHTS (1u << LB_SLOT_CODES | 1u << LB_SLOT_DENSE)

lb_status lb_layer_new_grids(lb_arena *a, const lb_storage *s, int64_t rows, int64_t cols, bool order, lb_layer *out) {
    lb_size size;
    lb_storage stored = *s;
    stored.order = order;
    LB_TRY(lb_storage_size(&stored, rows, cols, &size));
    lb_layer c = {.storage = stored, .rows = rows, .cols = cols, .T.hadamard = s->t_hadamard};
    LB_TRY(new_parts(a, &c, ~WEIGHTS));
    if (lb_storage_ragged(s, cols)) c.flags |= LB_FLAG_RAGGED_GROUP;
    *out = c;
    return LB_OK;
}

lb_status lb_layer_new(lb_arena *a, const lb_storage *s, int64_t rows, int64_t cols, bool order, lb_layer *out) {
    LB_TRY(lb_layer_new_grids(a, s, rows, cols, order, out));
    return new_parts(a, out, WEIGHTS);
}

/* Blocks along rows, whose columns follow each other. */
static void plain_rows(const lb_layer *c, const uint8_t *codes, int64_t row, lb_mat W) {
    const lb_storage *s = &c->storage;
    int64_t group = s->group > 0 ? s->group : c->cols, groups = lb_storage_groups_per_row(s, c->cols);
    float middle = lb_storage_zero(s);
    for (int64_t r = 0; r < W.rows; r++)
        for (int64_t g = 0; g < groups; g++) {
            int64_t at = s->group == LB_GROUP_TENSOR ? 0 : (row + r) * groups + g, start = g * group;
            int64_t n = start + group < c->cols ? group : c->cols - start;
            s->format->decode(s, codes + r * c->cols + start, n, c->scale[at], c->zero ? c->zero[at] : middle,
                              W.d + r * W.ld + start);
        }
}

/* The same with columns in the order that is stored: a few at a time are brought together. */
static void ordered_rows(const lb_layer *c, const uint8_t *codes, int64_t row, lb_mat W) {
    enum { SOME = 64 };
    const lb_storage *s = &c->storage;
    int64_t group = s->group > 0 ? s->group : c->cols, groups = lb_storage_groups_per_row(s, c->cols);
    float middle = lb_storage_zero(s), w[SOME];
    uint8_t code[SOME];
    for (int64_t r = 0; r < W.rows; r++)
        for (int64_t g = 0; g < groups; g++) {
            int64_t at = s->group == LB_GROUP_TENSOR ? 0 : (row + r) * groups + g;
            int64_t end = (g + 1) * group < c->cols ? (g + 1) * group : c->cols;
            for (int64_t p = g * group; p < end; p += SOME) {
                int64_t n = p + SOME < end ? SOME : end - p;
                for (int64_t i = 0; i < n; i++) code[i] = codes[r * c->cols + c->order[p + i]];
                s->format->decode(s, code, n, c->scale[at], c->zero ? c->zero[at] : middle, w);
                for (int64_t i = 0; i < n; i++) W.d[r * W.ld + c->order[p + i]] = w[i];
            }
        }
}

/* Blocks that run over row ends; k is the running number of the weight. */
static void flat_rows(const lb_layer *c, const uint8_t *codes, int64_t row, lb_mat W) {
    const lb_storage *s = &c->storage;
    int64_t k = row * c->cols;
    for (int64_t r = 0; r < W.rows; r++)
        for (int64_t col = 0, n; col < c->cols; col += n, k += n, codes += n) {
            n = s->group - k % s->group;
            if (n > c->cols - col) n = c->cols - col;
            s->format->decode(s, codes, n, c->scale[k / s->group], 0, W.d + r * W.ld + col);
        }
}

void lb_layer_dequantize_rows(const lb_layer *c, const uint8_t *codes, int64_t row, lb_mat W) {
    assert(!lb_storage_dense(&c->storage) && row >= 0 && row + W.rows <= c->rows && W.cols == c->cols);
    if (c->storage.format->shape == LB_SHAPE_FLAT)
        flat_rows(c, codes, row, W);
    else if (c->order)
        ordered_rows(c, codes, row, W);
    else
        plain_rows(c, codes, row, W);
    lb_layer_finish_rows(c, row, W);
}

void lb_layer_finish_rows(const lb_layer *c, int64_t row, lb_mat W) {
    int64_t rank = c->storage.rank, bytes = lb_mask_row_bytes(c->cols);
    for (int64_t r = 0; r < W.rows; r++) {
        const uint8_t *kept = c->mask ? c->mask + (row + r) * bytes : NULL;
        for (int64_t col = 0; kept && col < c->cols; col++)
            if (!lb_mask_keeps(kept, col)) W.d[r * W.ld + col] = 0;
        for (int64_t k = 0; c->A && k < rank; k++)
            lb_kernels_active()->axpy(W.d + r * W.ld, c->B[(row + r) * rank + k], c->A + k * c->cols, c->cols);
    }
}

static bool keeps(const uint8_t *mask, int64_t cols, int64_t k) {
    return !mask || lb_mask_keeps(mask + k / cols * lb_mask_row_bytes(cols), k % cols);
}

int64_t lb_mask_gather(const uint8_t *mask, int64_t cols, int64_t k, const float *w, int64_t n, float *x) {
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++)
        if (keeps(mask, cols, k + i)) x[kept++] = w[i];
    return kept;
}

void lb_mask_scatter(const uint8_t *mask, int64_t cols, int64_t k, const uint8_t *code, int64_t n, uint8_t *out) {
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) out[i] = keeps(mask, cols, k + i) ? code[kept++] : 0;
}

typedef struct dequantizing {
    const lb_layer *c;
    lb_mat W;
} dequantizing;

static lb_status dequantize_panel(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const dequantizing *d = ctx;
    const lb_layer *c = d->c;
    int64_t row = piece * PANEL_ROWS, rows = row + PANEL_ROWS < c->rows ? PANEL_ROWS : c->rows - row;
    lb_mat W = lb_mat_part(d->W, row, 0, rows, c->cols);
    if (!lb_storage_dense(&c->storage))
        lb_layer_dequantize_rows(c, c->codes + row * c->cols, row, W);
    else
        for (int64_t r = 0; r < rows; r++)
            memcpy(W.d + r * W.ld, c->dense + (row + r) * c->cols, (size_t)c->cols * sizeof(float));
    if (lb_storage_dense(&c->storage)) lb_layer_finish_rows(c, row, W);
    return LB_OK;
}

lb_status lb_layer_dequantize_team(const lb_layer *c, lb_mat W, lb_team *team) {
    if (W.rows != c->rows || W.cols != c->cols)
        return lb_fail(LB_E_ARG, "dequantize: the layer is (%lld, %lld), the destination (%lld, %lld)",
                       (long long)c->rows, (long long)c->cols, (long long)W.rows, (long long)W.cols);
    dequantizing d = {c, W};
    return lb_parallel_for(team, (c->rows + PANEL_ROWS - 1) / PANEL_ROWS, dequantize_panel, &d);
}

lb_status lb_layer_dequantize(const lb_layer *c, lb_mat W) { return lb_layer_dequantize_team(c, W, NULL); }

void lb_layer_take_transform(lb_layer *c, const lb_layer *from) {
    lb_storage_take_transform(&c->storage, &from->storage);
    c->T = from->T;
}

lb_actquant lb_layer_act(const lb_layer *c) {
    lb_actquant act = c->storage.act;
    act.scale = c->act_scale;
    act.zero = c->act_zero;
    return act;
}

lb_status lb_layer_size(const lb_layer *c, lb_size *out) { return lb_storage_size(&c->storage, c->rows, c->cols, out); }
