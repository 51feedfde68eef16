/* Fake quantization for training: a matrix rounded to a uniform grid and back before every forward pass, on exactly the
 * grid that its final codes will be on.
 * minmax  each scale and zero is fitted to its weights anew; every gradient passes straight through (Bengio et al.
 * 2013, arXiv:1308.3432) learned scales are trained (LSQ, Esser et al. 2020, arXiv:1902.08153, eq. 1-4): zeros stay
 * where a clip search put them at the start, and weights beyond the grid get no gradient. The gradient of a scale s
 * over n weights is scaled by 1/sqrt(n Qp), Qp = 2^(bits-1) - 1, and is that of u, where s = (s0 / rms of the weights)
 * u: an optimizer with steps of one size (Adam) then changes scales and weights by like fractions, at 2 bits and at 8.
 * A scale never falls below a thousandth of its first value. */
#ifndef LB_QUANT_FAKEQUANT_H
#define LB_QUANT_FAKEQUANT_H

#include "quant/grid.h"

typedef enum lb_range { LB_RANGE_MINMAX, LB_RANGE_LEARNED } lb_range;

typedef struct lb_fakequant {
    lb_storage storage; /* of a format with LB_HAS_GRID */
    lb_range range;
    int64_t rows, cols;
    int64_t groups, scales; /* groups in a row; scales in all: rows * groups, or 1 for the tensor */
    float *scale, *zero;    /* (scales); zero also where none is stored */
    /* learned: */
    float *u, *du, *unit, *floor; /* (scales) scale = rounded unit * u, u >= floor */
    double *part;                 /* (rows, groups) each row's part of ds */
} lb_fakequant;

/* W (rows, cols): the first weights, which learned scales are fitted to; contiguous. Arrays from the arena. */
LB_NODISCARD lb_status lb_fakequant_new(lb_arena *a, const lb_storage *s, lb_range range, lb_cmat W, lb_fakequant *out);
/* What comes before the rows of one pass: the one scale of a tensor, or learned scales from u. */
LB_NODISCARD lb_status lb_fakequant_begin(lb_fakequant *f, const float *w);
/* Rows [r0, r0 + n) of w into out (both (rows, cols)), fitting their scales first if they are min-max of a row or
 * group. Different rows from different threads. LB_E_NUMERIC: a weight is not finite. */
LB_NODISCARD lb_status lb_fakequant_rows(lb_fakequant *f, const float *w, int64_t r0, int64_t n, float *out);
/* Learned: grad, with respect to the rounded rows, becomes that of w; their parts of du are kept. */
void lb_fakequant_grad_rows(lb_fakequant *f, const float *w, int64_t r0, int64_t n, float *grad);
/* Learned: du from the rows' parts, in order. */
void lb_fakequant_grad_end(lb_fakequant *f);
/* The codes of w, as lb_fakequant_begin and _rows rounded it. */
LB_NODISCARD lb_status lb_fakequant_codes(lb_arena *a, lb_fakequant *f, const float *w, lb_layer *out);

#endif
