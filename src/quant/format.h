/* Number formats: how the numbers of a matrix become codes, and what a block of them carries. A format is one const
 * struct in a file of quant/formats/ and one line in its table; everything else (rounding, solvers, sizes, packing,
 * checks, tables) goes through the row. Nobody outside formats/ asks which format it is. docs/formats.md shows how to
 * add one. */
#ifndef LB_QUANT_FORMAT_H
#define LB_QUANT_FORMAT_H

#include "quant/layer.h"

/* How blocks lie: weights that share a scale (and a zero). */
typedef enum lb_shape {
    LB_SHAPE_ROWS, /* runs of columns of a row, a row, or the matrix, as the storage's group says; in stored order */
    LB_SHAPE_FLAT, /* runs of `group` weights, row-major over the matrix: they go on over row ends */
    LB_SHAPE_DENSE /* no blocks and no codes: the weights as floats */
} lb_shape;

/* What of a storage means something to a format, and what it can do. */
enum {
    LB_HAS_SYMMETRIC = 1u << 0,
    LB_HAS_SCALE_TYPE = 1u << 1,
    LB_HAS_DOUBLE_QUANT = 1u << 2,
    LB_HAS_CLIP_SEARCH = 1u << 3, /* fit can shrink a range to the least error */
    LB_HAS_GRID = 1u << 4         /* codes are lb_grid_code's and values lb_grid_value's: it can be trained on */
};

/* The arrays of lb_layer. */
typedef enum lb_slot {
    LB_SLOT_CODES,
    LB_SLOT_SCALE,
    LB_SLOT_ZERO,
    LB_SLOT_ORDER,
    LB_SLOT_DQ_CODE,
    LB_SLOT_DQ_SCALE,
    LB_SLOT_DENSE,
    LB_SLOT_MASK,
    LB_SLOT_A,
    LB_SLOT_B,
    LB_SLOT_T_SCALE,
    LB_SLOT_T_SIGN,
    LB_SLOT_DQ_MEAN, /* from here on: one value, always there */
    LB_SLOT_ACT_SCALE,
    LB_SLOT_ACT_ZERO,
    LB_SLOTS,
    LB_SLOT_FIXED = LB_SLOTS /* the same for every layer (a codebook): written, not read back */
} lb_slot;

/* How values become bytes, little-endian, and are read back. */
typedef enum lb_form {
    LB_FORM_ROWS,    /* codes of `width` bits, each row padded to 32 bits; `n` rows of `cols` */
    LB_FORM_STREAM,  /* codes of `width` bits without a gap */
    LB_FORM_WHOLE,   /* floats that are whole numbers below 2^width, as such a stream */
    LB_FORM_FLOATS,  /* floats as `type` */
    LB_FORM_BYTES,   /* bytes */
    LB_FORM_COLUMNS, /* column numbers of lb_order_bytes */
    LB_FORM_NONE     /* no bytes: the format makes it of the other parts (expand) */
} lb_form;

/* One array that a layer has, and its section of the packed bytes. */
typedef struct lb_part {
    lb_slot slot;
    lb_form form;
    int64_t n, cols;
    int width;
    lb_scale_type type;
    size_t counted;     /* offset in lb_size */
    const float *fixed; /* LB_SLOT_FIXED */
} lb_part;
enum { LB_MOST_PARTS = 16 };

/* For solvers: n weights, each of a block of its own, scale[i] and zero[i]. err = (w - its value) / d, float64. Returns
 * whether every w is finite. (Arguments in an order that leaves most of them in registers on the way to a kernel.) */
typedef bool lb_encode_column(uint8_t *code, double *err, const double *w, const float *scale, const float *zero,
                              double d, int64_t n, const lb_storage *s);

struct lb_format {
    const char *name;    /* in options and tables: "int", "nf4" */
    const char *summary; /* one line */
    lb_shape shape;
    int bits_min, bits_max;
    int64_t group;       /* the only block there is; 0: any */
    bool rounds;         /* DENSE: weights are values of its type, to which a method rounded them. Else they are what
                            is not compressed, and bytes may round them */
    unsigned has;        /* LB_HAS_... */
    const float *values; /* a codebook's, by code; else NULL */
    /* The parts of a layer in the order of their bytes, codes first, without order, mask, pair, T and act. Returns how
     * many. */
    int (*parts)(const lb_storage *s, int64_t rows, int64_t cols, lb_part out[LB_MOST_PARTS]);
    /* NULL, or what else is not to be had of a storage made from options: LB_E_UNSUPPORTED with the reason. */
    lb_status (*accepts)(const lb_storage *s, bool clip_search);
    /* What block x (n) carries. zero: also where none is stored. LB_E_NUMERIC: a value that has no place. */
    lb_status (*fit)(const lb_storage *s, bool clip_search, const float *x, int64_t n, float *scale, float *zero);
    /* Codes of a block's weights, and back: float32, one order of operations. */
    void (*encode)(const lb_storage *s, const float *x, int64_t n, float scale, float zero, uint8_t *code);
    void (*decode)(const lb_storage *s, const uint8_t *code, int64_t n, float scale, float zero, float *x);
    lb_encode_column *encode_column; /* NULL: through encode and decode */
    /* Is it a code of the format? NULL: all of `bits` bits are. */
    bool (*is_code)(uint8_t code);
    /* NULL where there is nothing to do. finish: after every block is encoded (what is stored of the scales).
     * expand: what it makes of the parts that were read back. check: do its parts belong together? */
    void (*finish)(lb_layer *c);
    void (*expand)(lb_layer *c);
    lb_status (*check)(const lb_layer *c);
};

/* Rows that code refers to; the others are found by name. */
extern const lb_format lb_uniform, lb_affine, lb_nf4, lb_fp4, lb_f16, lb_f32, lb_float16, lb_bfloat16;
extern const lb_format *const lb_formats[]; /* formats/table.c, NULL-terminated; those without codes are not there */
const lb_format *lb_format_find(const char *name); /* NULL: none */

/* Can options named bits, group, symmetric, scale_type and mse be as `s` has them? LB_E_UNSUPPORTED with the reason. */
LB_NODISCARD lb_status lb_format_accepts(const lb_storage *s, bool mse);
/* Do blocks end where rows do? Then block g of row r is scale[r * groups + g], whatever the shape. */
bool lb_storage_by_rows(const lb_storage *s, int64_t cols);
lb_encode_column *lb_format_column_encoder(const lb_format *f); /* its own, or the one that serves any: */
bool lb_format_column_by_value(uint8_t *code, double *err, const double *w, const float *scale, const float *zero,
                               double d, int64_t n, const lb_storage *s);

/* Within quant/: all parts, and what follows from one. */
int lb_storage_parts(const lb_storage *s, int64_t rows, int64_t cols, lb_part out[LB_MOST_PARTS]);
int64_t lb_part_bytes(const lb_part *p);
void *lb_part_values(const lb_layer *c, const lb_part *p); /* the layer's array; packing only reads it */
uint8_t lb_f32_to_e8m0(float x);
float lb_e8m0_to_f32(uint8_t code);
float lb_number_kept(lb_scale_type t, float v); /* what the bytes make of it: not saturating */
float lb_scale_type_largest(lb_scale_type t);
const char *lb_scale_type_name(lb_scale_type t); /* "float16" */
/* fit of block `at` of a layer, whose scale and zero it sets. LB_E_NUMERIC names the block. */
LB_NODISCARD lb_status lb_block_fit(lb_layer *c, bool clip_search, int64_t at, const float *x, int64_t n);
/* "row 3, group 2: " before the message of a failure that is about its numbers. */
LB_NODISCARD lb_status lb_block_fail_in(lb_status st, const lb_storage *s, int64_t cols, int64_t i);
/* Where block number i belongs: "row 3, group 2". */
const char *lb_block_place(const lb_storage *s, int64_t cols, int64_t i, char out[64]);

#endif
