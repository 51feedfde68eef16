/* What computes a site's y = mult q(T x) Wᵀ, however W stands: a row of functions for each kind of weights. A new kind
 * is one file, and one line in lb_linop_kind_of. */
#ifndef LB_MODEL_LINOP_H
#define LB_MODEL_LINOP_H

#include "model/exec.h"

/* An input as the products of one kind read it. */
typedef struct lb_linop_input {
    lb_cmat x;            /* transformed and quantized, where it is to be */
    const uint16_t *half; /* x rounded to bfloat16; NULL: not by this kind */
} lb_linop_input;
/* Where it is made. */
typedef struct lb_linop_room {
    float *quantized; /* (rows, cols); or transformed alone */
    uint16_t *half;   /* (rows, cols); NULL where nothing is rounded */
} lb_linop_room;

typedef struct lb_linop_kind {
    const char *name;
    bool accumulates; /* += costs no more than = */
    /* x (rows together) made ready. */
    void (*prepare)(lb_cmat x, const lb_linop_room *room, lb_linop_input *out);
    /* y = mult x Wᵀ, or +=, rows of y together. */
    lb_status (*apply)(const lb_linop *o, const lb_linop_input *x, float mult, bool add, lb_mat y);
} lb_linop_kind;
extern const lb_linop_kind lb_linop_f32, lb_linop_bf16;
const lb_linop_kind *lb_linop_kind_of(const lb_linop *o);

/* May two sites that read one value share what lb_linop_prepare made? */
bool lb_linop_share(const lb_linop *a, const lb_linop *b);
/* x as o reads it. spoil: nobody reads x later, so it may be changed where it stands. */
void lb_linop_prepare(const lb_linop *o, lb_mat x, bool spoil, const lb_linop_room *room, lb_linop_input *out);
LB_NODISCARD lb_status lb_linop_apply(const lb_linop *o, const lb_linop_input *x, float mult, bool add, lb_mat y);
/* What its products read before any quantizer, and so what W was made for: rows of y = T x; y may be x. */
void lb_linop_transformed(const lb_linop *o, lb_cmat x, lb_mat y);
/* y = x W[first, first + n)ᵀ in float32, x as lb_linop_transformed has it: the head goes by rows of the vocabulary.
 * buffer: as for lb_rows_get. */
LB_NODISCARD lb_status lb_linop_apply_rows(const lb_linop *o, int64_t first, int64_t n, lb_cmat x, float *buffer,
                                           lb_mat y);

#endif
