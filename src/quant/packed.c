#include <string.h>

#include "base/mem.h"
#include "base/profile.h"
#include "quant/format.h"

struct lb_packed {
    lb_layer c;         /* its codes and floats are NULL, unless they are floats under a mask */
    uint8_t *bits;      /* codes or floats as they are stored */
    int64_t kept;       /* of them in a row */
    int64_t row_bytes;  /* of those; 0: rows follow without a gap, which may be inside a byte */
    lb_scale_type type; /* of floats */
};

lb_status lb_packed_new(lb_arena *a, const lb_storage *s, int64_t rows, int64_t cols, const uint8_t *bytes, int64_t n,
                        lb_packed **out) {
    lb_part part[LB_MOST_PARTS];
    lb_packed *k = LB_NEW(a, lb_packed, 1);
    if (!k) return LB_E_NOMEM;
    *out = k;
    if (lb_storage_dense(s) && s->mask_of > 0) return lb_layer_unpack(a, s, rows, cols, NULL, bytes, n, &k->c);
    LB_TRY(lb_layer_unpack_grids(a, s, rows, cols, NULL, bytes, n, &k->c));
    lb_storage_parts(s, rows, cols, part);
    k->kept = lb_storage_kept(s, cols);
    k->type = part[0].type;
    if (part[0].form == LB_FORM_ROWS) k->row_bytes = lb_packed_row_bytes(k->kept, part[0].width);
    int64_t codes = lb_part_bytes(&part[0]);
    if (!(k->bits = LB_NEW_UNSET(a, uint8_t, codes))) return LB_E_NOMEM;
    memcpy(k->bits, bytes, (size_t)codes);
    return LB_OK;
}

const lb_transform *lb_packed_transform(const lb_packed *packed) { return &packed->c.T; }
lb_actquant lb_packed_act(const lb_packed *packed) { return lb_layer_act(&packed->c); }

/* Rows [row, row + rows) begin at out + *skip: a stream may begin them inside a byte, and eight codes fill whole ones.
 */
static lb_status read_codes(const lb_packed *k, int64_t row, int64_t rows, uint8_t *out, int64_t *skip) {
    int64_t cols = k->kept, first = row * cols;
    int bits = k->c.storage.bits;
    *skip = 0;
    if (k->row_bytes) return lb_unpack_codes(k->bits + row * k->row_bytes, rows * k->row_bytes, rows, cols, bits, out);
    *skip = first % 8;
    lb_unpack_stream(k->bits + first / 8 * bits, rows * cols + *skip, bits, out);
    return LB_OK;
}

/* The kept codes to their columns, from the last to the first, in place. */
static void spread(const lb_packed *k, int64_t row, int64_t rows, uint8_t *codes, int64_t skip) {
    int64_t cols = k->c.cols, from = rows * k->kept;
    memmove(codes, codes + skip, (size_t)from); /* now none is written over before it is read */
    for (int64_t r = rows - 1; r >= 0; r--)
        for (int64_t c = cols - 1; c >= 0; c--) {
            bool kept = lb_mask_keeps(k->c.mask + (row + r) * lb_mask_row_bytes(cols), c);
            codes[r * cols + c] = kept ? codes[--from] : 0;
        }
}

lb_status lb_packed_read(const void *packed, int64_t row, int64_t rows, float *out) {
    const lb_packed *k = packed;
    int64_t cols = k->c.cols;
    if (lb_storage_dense(&k->c.storage)) {
        if (k->c.dense)
            memcpy(out, k->c.dense + row * cols, (size_t)(rows * cols) * sizeof *out);
        else
            lb_unpack_floats(k->bits + row * cols * lb_scale_bytes(k->type), out, rows * cols, k->type);
        lb_layer_finish_rows(&k->c, row, lb_mat_of(out, rows, cols));
        return LB_OK;
    }
    int64_t skip = 0;
    uint8_t *codes = lb_alloc((size_t)(rows * cols) + 7, 1);
    if (!codes) return LB_E_NOMEM;
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_DECODE);
    lb_status st = read_codes(k, row, rows, codes, &skip);
    if (st == LB_OK) {
        if (k->c.mask) spread(k, row, rows, codes, skip);
        lb_layer_dequantize_rows(&k->c, codes + (k->c.mask ? 0 : skip), row, lb_mat_of(out, rows, cols));
    }
    lb_scope_end(&scope, 2 * (double)(rows * cols),
                 (double)(rows * cols * k->c.storage.bits) / 8 + 6 * (double)(rows * cols));
    lb_free(codes);
    return st;
}
