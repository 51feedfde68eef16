#include <string.h>

#include "base/mem.h"
#include "base/profile.h"
#include "quant/compressed.h"

struct lb_packed {
    lb_compressed c; /* its codes are NULL, unless they are floats */
    uint8_t *bits;   /* (rows, row_bytes) */
    int64_t row_bytes;
};

/* NULL stays NULL; *ok becomes false without memory. */
static void *copy(lb_arena *a, const void *p, size_t n, size_t size, bool *ok) {
    void *to = p ? lb_arena_get(a, n, size) : NULL;
    if (to) memcpy(to, p, n * size);
    if (p && !to) *ok = false;
    return to;
}

lb_status lb_packed_new(lb_arena *a, const lb_compressed *c, lb_packed **out) {
    lb_packed *k = LB_NEW(a, lb_packed, 1);
    bool ok = true;
    if (!k) return LB_E_NOMEM;
    k->c = *c;
    k->c.codes = k->c.dq_code = NULL; /* scales are dequantized already */
    k->c.dq_scale = NULL;
    *out = k;
    if (c->storage.kind == LB_GRID_FLOAT) {
        k->c.dense = copy(a, c->dense, (size_t)c->rows * (size_t)c->cols, sizeof(float), &ok);
        return ok ? LB_OK : LB_E_NOMEM;
    }
    size_t scales = (size_t)lb_storage_scales(&c->storage, c->rows, c->cols);
    k->c.scale = copy(a, c->scale, scales, sizeof(float), &ok);
    k->c.zero = copy(a, c->zero, scales, sizeof(float), &ok);
    k->c.order = copy(a, c->order, (size_t)c->cols, sizeof(int32_t), &ok);
    k->row_bytes = lb_packed_row_bytes(c->cols, c->storage.bits);
    k->bits = lb_arena_get(a, (size_t)c->rows, (size_t)k->row_bytes);
    if (!ok || !k->bits) return LB_E_NOMEM;
    return lb_pack_codes(c->codes, c->rows, c->cols, c->storage.bits, k->bits, c->rows * k->row_bytes);
}

lb_status lb_packed_read(const void *packed, int64_t row, int64_t rows, float *out) {
    const lb_packed *k = packed;
    int64_t cols = k->c.cols;
    if (k->c.storage.kind == LB_GRID_FLOAT) {
        memcpy(out, k->c.dense + row * cols, (size_t)(rows * cols) * sizeof *out);
        return LB_OK;
    }
    uint8_t *codes = lb_alloc((size_t)rows, (size_t)cols);
    if (!codes) return LB_E_NOMEM;
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_DECODE);
    lb_status st =
        lb_unpack_codes(k->bits + row * k->row_bytes, rows * k->row_bytes, rows, cols, k->c.storage.bits, codes);
    if (st == LB_OK) lb_compressed_dequantize_rows(&k->c, codes, row, lb_mat_of(out, rows, cols));
    lb_scope_end(&scope, 2 * (double)(rows * cols), (double)(rows * k->row_bytes + 6 * rows * cols));
    lb_free(codes);
    return st;
}
