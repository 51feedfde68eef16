/* How one compressed linear layer is stored: a number format (quant/format.h) and its parameters, and so the exact size
 * before anything runs. What a format keeps and in which bytes, its row says; whatever the format
 *   codes   packed little-endian
 *   scales  as scale_type, where a format leaves the choice
 *   order   16 bits a column (32 above 65,536)
 *   mask    one bit a weight, each row from a full byte; codes of weights that are not kept are not stored
 *   pair    A (rank, cols), then B (rows, rank), as rank_type
 *   T       of the input (quant/transform.h): a scale a column as t_scale_type, then one bit a column for its sign
 *   act     of a static range of inputs: scale as float32, zero in one byte unless symmetric
 * and each section starts at a full byte. bits per weight = 8 * bytes / weights. lb_layer_pack writes just that.
 */
#ifndef LB_QUANT_STORAGE_H
#define LB_QUANT_STORAGE_H

#include "math/actquant.h"
#include "quant/options.h"

typedef struct lb_format lb_format;
/* The first three are a choice; E8M0, powers of two from 2^-127 to 2^127, belongs to formats that have no other. */
typedef enum lb_scale_type { LB_SCALE_F32, LB_SCALE_F16, LB_SCALE_BF16, LB_SCALE_E8M0 } lb_scale_type;

#define LB_DOUBLE_QUANT_BLOCK 256

/* Fields that a format has no use for are not looked at. */
typedef struct lb_storage {
    const lb_format *format;
    int bits;                 /* a code, or a weight that has none */
    int64_t group;            /* weights that share a scale: LB_GROUP_TENSOR, LB_GROUP_ROW or columns of a row; or a run
                                 over the whole matrix, row-major */
    bool symmetric;           /* no zeros are stored */
    lb_scale_type scale_type; /* rounded before the codes are computed */
    bool double_quant;        /* scales as 8-bit codes in blocks of 256, their mean as one float32 */
    bool order;               /* a column order is stored (act-order without static groups) */
    int64_t mask_of;   /* a mask: of each run of mask_of columns of a row, mask_keep are kept, of a shorter last */
    int64_t mask_keep; /* one at most as many. 0: every weight is */
    int64_t rank;      /* of the pair of matrices whose product is added; 0: none */
    lb_scale_type rank_type; /* of their numbers */
    bool t_scale;            /* the change of the input: a scale a column, */
    lb_scale_type t_scale_type;
    int64_t t_hadamard; /* runs of so many columns, 0: none, */
    bool t_sign;        /* and signs before them */
    lb_actquant act; /* of the input after that; scale and zero of a static range are the layer's, not looked at here */
} lb_storage;

typedef struct lb_size {
    int64_t weights, codes, scales, zeros, codebook, order, padding, total, mask, low_rank, transform, act;
} lb_size; /* bytes, but weights: a count of all, kept or not. codes: without the rows' padding */

/* Scales a layer has: groups in a row (the last may be shorter) x rows, 1 for per tensor, blocks of a run. */
int64_t lb_storage_groups_per_row(const lb_storage *s, int64_t cols); /* >= 1 */
int64_t lb_storage_scales(const lb_storage *s, int64_t rows, int64_t cols);
float lb_storage_zero(const lb_storage *s);                 /* of every block where none are stored; of one bit 1/2 */
bool lb_storage_ragged(const lb_storage *s, int64_t cols);  /* the group does not divide the width */
bool lb_storage_wider(const lb_storage *s, int64_t cols);   /* the group that was asked for is wider than a row */
bool lb_storage_dense(const lb_storage *s);                 /* floats, no codes */
bool lb_storage_plain(const lb_storage *s);                 /* floats and nothing else: not compressed */
int64_t lb_storage_kept(const lb_storage *s, int64_t cols); /* weights of a row that are stored */
lb_storage lb_storage_base(const lb_storage *s); /* codes alone: what round-to-nearest, the yardstick, would store */
bool lb_storage_transforms(const lb_storage *s); /* some part of T is stored */
void lb_storage_take_transform(lb_storage *s, const lb_storage *from); /* T as `from` stores it, or none */
/* For methods that go on from a layer so far by rounding what it keeps: these codes under its mask. LB_E_UNSUPPORTED if
 * it holds no floats to round. T is no method's business: whatever a stage says, that of the layer so far stays. */
LB_NODISCARD lb_status lb_storage_round(const lb_storage *so_far, const lb_storage *codes, lb_storage *out);
LB_NODISCARD lb_status lb_storage_size(const lb_storage *s, int64_t rows, int64_t cols, lb_size *out);
/* The same bytes in the same places? */
bool lb_storage_same(const lb_storage *a, const lb_storage *b);
int64_t lb_scale_bytes(lb_scale_type t);
int64_t lb_order_bytes(int64_t cols); /* of one column in a stored order */
void lb_size_add(lb_size *sum, const lb_size *one);
/* To the nearest value that the type holds. Both saturate: what is beyond the type's largest becomes that, and the
 * weights of its block something else. What a layer keeps goes through the two below, which refuse it. */
float lb_scale_round(lb_scale_type t, float scale); /* a positive scale never becomes 0 or infinite */
float lb_number_round(lb_scale_type t, float v);    /* of either sign; may become 0 */
/* The same, and LB_E_NUMERIC with `what`, value and the type's largest for what has no place in it. */
LB_NODISCARD lb_status lb_scale_store(lb_scale_type t, float scale, float *out);
LB_NODISCARD lb_status lb_number_store(lb_scale_type t, const char *what, float v, float *out);
/* Short text for tables: "int3 g64 asym", "nf4 b64 dq", "f32". */
void lb_storage_text(const lb_storage *s, lb_str *out);

#endif
