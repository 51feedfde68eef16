#include "quant/compressed.h"

#include <assert.h>
#include <string.h>

#include "quant/grid.h"

#define PANEL_ROWS 64 /* a piece of work */

void lb_flags_text(uint32_t flags, lb_str *out) {
    static const char *const name[] = {"dead-columns",  "damp-raised",   "fallback-rtn", "ragged-group",
                                       "not-minimized", "bf16-products", "few-tokens",   "rank-deficient"};
    const char *comma = "";
    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
        if (!(flags & 1u << i)) continue;
        lb_str_add(out, "%s%s", comma, name[i]);
        comma = ",";
    }
}

lb_status lb_compressed_new_grids(lb_arena *a, const lb_storage *s, int64_t rows, int64_t cols, bool order,
                                  lb_compressed *out) {
    lb_size size;
    lb_storage stored = *s;
    stored.order = order;
    LB_TRY(lb_storage_size(&stored, rows, cols, &size));
    lb_compressed c = {.storage = stored, .rows = rows, .cols = cols};
    int64_t scales = lb_storage_scales(s, rows, cols);
    if (s->kind != LB_GRID_FLOAT && !(c.scale = LB_NEW(a, float, scales))) return LB_E_NOMEM;
    if (s->kind == LB_GRID_UNIFORM) {
        if (!s->symmetric && !(c.zero = LB_NEW(a, float, scales))) return LB_E_NOMEM;
        if (order && !(c.order = LB_NEW(a, int32_t, cols))) return LB_E_NOMEM;
        if (lb_storage_ragged(s, cols)) c.flags |= LB_FLAG_RAGGED_GROUP;
    } else if (s->kind == LB_GRID_CODEBOOK && s->double_quant) {
        int64_t outer = (scales - 1) / LB_DOUBLE_QUANT_BLOCK + 1;
        if (!(c.dq_code = LB_NEW(a, uint8_t, scales)) || !(c.dq_scale = LB_NEW(a, float, outer))) return LB_E_NOMEM;
    }
    *out = c;
    return LB_OK;
}

lb_status lb_compressed_new(lb_arena *a, const lb_storage *s, int64_t rows, int64_t cols, bool order,
                            lb_compressed *out) {
    LB_TRY(lb_compressed_new_grids(a, s, rows, cols, order, out));
    if (s->kind == LB_GRID_FLOAT) return (out->dense = LB_NEW(a, float, rows *cols)) ? LB_OK : LB_E_NOMEM;
    return (out->codes = LB_NEW(a, uint8_t, rows * cols)) ? LB_OK : LB_E_NOMEM;
}

static void uniform_rows(const lb_compressed *c, const uint8_t *codes, int64_t row, lb_mat W) {
    const lb_storage *s = &c->storage;
    int64_t group = s->group > 0 ? s->group : c->cols, groups = lb_storage_groups_per_row(s, c->cols);
    float middle = (float)(1 << (s->bits - 1));
    for (int64_t r = 0; r < W.rows; r++) {
        const uint8_t *code = codes + r * c->cols;
        float *w = W.d + r * W.ld;
        for (int64_t g = 0; g < groups; g++) {
            int64_t at = s->group == LB_GROUP_TENSOR ? 0 : (row + r) * groups + g;
            int64_t end = (g + 1) * group < c->cols ? (g + 1) * group : c->cols;
            float scale = c->scale[at], zero = c->zero ? c->zero[at] : middle;
            for (int64_t p = g * group; p < end; p++) {
                int64_t col = c->order ? c->order[p] : p;
                w[col] = lb_grid_value(code[col], scale, zero);
            }
        }
    }
}

static void codebook_rows(const lb_compressed *c, const uint8_t *codes, int64_t row, lb_mat W) {
    const float *book = lb_codebook(c->storage.book);
    int64_t k = row * c->cols; /* running number of the weight: blocks run over row ends */
    for (int64_t r = 0; r < W.rows; r++)
        for (int64_t col = 0; col < c->cols; col++, k++)
            W.d[r * W.ld + col] = book[*codes++] * c->scale[k / c->storage.group];
}

void lb_compressed_dequantize_rows(const lb_compressed *c, const uint8_t *codes, int64_t row, lb_mat W) {
    assert(c->storage.kind != LB_GRID_FLOAT && row >= 0 && row + W.rows <= c->rows && W.cols == c->cols);
    if (c->storage.kind == LB_GRID_UNIFORM)
        uniform_rows(c, codes, row, W);
    else
        codebook_rows(c, codes, row, W);
}

typedef struct dequantizing {
    const lb_compressed *c;
    lb_mat W;
} dequantizing;

static lb_status dequantize_panel(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const dequantizing *d = ctx;
    const lb_compressed *c = d->c;
    int64_t row = piece * PANEL_ROWS, rows = row + PANEL_ROWS < c->rows ? PANEL_ROWS : c->rows - row;
    lb_mat W = lb_mat_part(d->W, row, 0, rows, c->cols);
    if (c->storage.kind != LB_GRID_FLOAT)
        lb_compressed_dequantize_rows(c, c->codes + row * c->cols, row, W);
    else
        for (int64_t r = 0; r < rows; r++)
            memcpy(W.d + r * W.ld, c->dense + (row + r) * c->cols, (size_t)c->cols * sizeof(float));
    return LB_OK;
}

lb_status lb_compressed_dequantize_team(const lb_compressed *c, lb_mat W, lb_team *team) {
    if (W.rows != c->rows || W.cols != c->cols)
        return lb_fail(LB_E_ARG, "dequantize: the layer is (%lld, %lld), the destination (%lld, %lld)",
                       (long long)c->rows, (long long)c->cols, (long long)W.rows, (long long)W.cols);
    dequantizing d = {c, W};
    return lb_parallel_for(team, (c->rows + PANEL_ROWS - 1) / PANEL_ROWS, dequantize_panel, &d);
}

lb_status lb_compressed_dequantize(const lb_compressed *c, lb_mat W) {
    return lb_compressed_dequantize_team(c, W, NULL);
}

lb_status lb_compressed_size(const lb_compressed *c, lb_size *out) {
    return lb_storage_size(&c->storage, c->rows, c->cols, out);
}
