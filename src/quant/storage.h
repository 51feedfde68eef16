/* The storage format of one compressed linear layer: what is kept, and so the exact size before anything runs.
 * uniform   codes packed little-endian, each row padded to 32 bits; scales as scale_type; zeros `bits` bits each, one
 *           packed run over the layer, none if symmetric; an order takes 16 bits a column (32 above 65,536)
 * codebook  codes packed without a gap over the whole matrix; absmax as scale_type, or with double_quant one byte each,
 *           a float32 for every 256 of them and the mean; the 16 values as float32, once a layer. The dynamic 8-bit map
 *           of double_quant is a number format, like float16, and takes nothing.
 * float     16 or 32 bits a weight
 * Each section starts at a full byte. bits per weight = 8 * bytes / weights. lb_compressed_pack writes just that. */
#ifndef LB_QUANT_STORAGE_H
#define LB_QUANT_STORAGE_H

#include "quant/options.h"

typedef enum lb_grid_kind { LB_GRID_UNIFORM, LB_GRID_CODEBOOK, LB_GRID_FLOAT } lb_grid_kind;
typedef enum lb_scale_type { LB_SCALE_F32, LB_SCALE_F16, LB_SCALE_BF16 } lb_scale_type;
typedef enum lb_codebook_id { LB_BOOK_NF4, LB_BOOK_FP4 } lb_codebook_id;

#define LB_CODEBOOK_VALUES    16
#define LB_DOUBLE_QUANT_BLOCK 256

typedef struct lb_storage {
    lb_grid_kind kind;
    int bits;       /* 2..8; LB_GRID_FLOAT: 16 or 32 */
    int64_t group;  /* uniform: LB_GROUP_TENSOR, LB_GROUP_ROW or columns; codebook: weights a block, row-major over the
                       matrix */
    bool symmetric; /* uniform: no zeros are stored */
    lb_scale_type scale_type; /* rounded before the codes are computed */
    lb_codebook_id book;      /* codebook */
    bool double_quant;        /* codebook: absmax values as 8-bit codes in blocks of 256, their mean as one float32 */
    bool order;               /* uniform: a column order is stored (act-order without static groups) */
} lb_storage;

typedef struct lb_size {
    int64_t weights, codes, scales, zeros, codebook, order, padding, total;
} lb_size; /* bytes, but weights: a count. codes: without the rows' padding */

/* Scales a layer has: groups in a row (the last may be shorter) x rows, 1 for per tensor, blocks for a codebook. */
int64_t lb_storage_groups_per_row(const lb_storage *s, int64_t cols); /* uniform, >= 1 */
int64_t lb_storage_scales(const lb_storage *s, int64_t rows, int64_t cols);
bool lb_storage_ragged(const lb_storage *s, int64_t cols); /* the group does not divide the width */
LB_NODISCARD lb_status lb_storage_size(const lb_storage *s, int64_t rows, int64_t cols, lb_size *out);
/* The same bytes in the same places? Fields that the kind does not use are not looked at. */
bool lb_storage_same(const lb_storage *a, const lb_storage *b);
int64_t lb_scale_bytes(lb_scale_type t);
int64_t lb_order_bytes(int64_t cols); /* of one column in a stored order */
void lb_size_add(lb_size *sum, const lb_size *one);
float lb_scale_round(
    lb_scale_type t,
    float scale); /* to the nearest value the type holds; a positive scale never becomes 0 or infinite */
/* Short text for tables: "int3 g64 asym", "nf4 b64 dq", "f32". */
void lb_storage_text(const lb_storage *s, lb_str *out);

#endif
