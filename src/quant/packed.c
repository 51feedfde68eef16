#include <string.h>

#include "base/mem.h"
#include "base/profile.h"
#include "quant/format.h"

struct lb_packed {
    lb_compressed c;   /* its codes are NULL, unless they are floats */
    uint8_t *bits;     /* the codes as they are stored */
    int64_t row_bytes; /* of them; 0: rows follow without a gap, which may be inside a byte */
};

lb_status lb_packed_new(lb_arena *a, const lb_storage *s, int64_t rows, int64_t cols, const uint8_t *bytes, int64_t n,
                        lb_packed **out) {
    lb_part part[LB_MOST_PARTS];
    lb_packed *k = LB_NEW(a, lb_packed, 1);
    if (!k) return LB_E_NOMEM;
    *out = k;
    if (lb_storage_dense(s)) return lb_compressed_unpack(a, s, rows, cols, NULL, bytes, n, &k->c);
    LB_TRY(lb_compressed_unpack_grids(a, s, rows, cols, NULL, bytes, n, &k->c));
    lb_storage_parts(s, rows, cols, part);
    if (part[0].form == LB_FORM_ROWS) k->row_bytes = lb_packed_row_bytes(cols, part[0].width);
    int64_t codes = lb_part_bytes(&part[0]);
    if (!(k->bits = LB_NEW_UNSET(a, uint8_t, codes))) return LB_E_NOMEM;
    memcpy(k->bits, bytes, (size_t)codes);
    return LB_OK;
}

/* Rows [row, row + rows) begin at out + *skip: a stream may begin them inside a byte, and eight codes fill whole ones.
 */
static lb_status read_codes(const lb_packed *k, int64_t row, int64_t rows, uint8_t *out, int64_t *skip) {
    int64_t cols = k->c.cols, first = row * cols;
    int bits = k->c.storage.bits;
    *skip = 0;
    if (k->row_bytes) return lb_unpack_codes(k->bits + row * k->row_bytes, rows * k->row_bytes, rows, cols, bits, out);
    *skip = first % 8;
    lb_unpack_stream(k->bits + first / 8 * bits, rows * cols + *skip, bits, out);
    return LB_OK;
}

lb_status lb_packed_read(const void *packed, int64_t row, int64_t rows, float *out) {
    const lb_packed *k = packed;
    int64_t cols = k->c.cols;
    if (lb_storage_dense(&k->c.storage)) {
        memcpy(out, k->c.dense + row * cols, (size_t)(rows * cols) * sizeof *out);
        return LB_OK;
    }
    int64_t skip = 0;
    uint8_t *codes = lb_alloc((size_t)(rows * cols) + 7, 1);
    if (!codes) return LB_E_NOMEM;
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_DECODE);
    lb_status st = read_codes(k, row, rows, codes, &skip);
    if (st == LB_OK) lb_compressed_dequantize_rows(&k->c, codes + skip, row, lb_mat_of(out, rows, cols));
    lb_scope_end(&scope, 2 * (double)(rows * cols),
                 (double)(rows * cols * k->c.storage.bits) / 8 + 6 * (double)(rows * cols));
    lb_free(codes);
    return st;
}
