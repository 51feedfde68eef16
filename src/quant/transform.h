/* A linear change T of a layer's input that its weights undo: y = W x = (W T^-1) (T x).
 *   T x = Had (sign o (scale o x)),   W T^-1 = Had (sign o W) / scale by rows: Had is symmetric and its own inverse
 * Had: the normalised Walsh-Hadamard matrix H_n / sqrt(n), H_2n = [H_n H_n; H_n -H_n], H_1 = 1 (Sylvester), on each run
 * of n columns. A scale a channel is SmoothQuant's (Xiao et al. 2023, arXiv:2211.10438, eq. 3), signs and Hadamard
 * QuIP#'s and QuaRot's (arXiv:2402.04396, arXiv:2404.00456). Float32, one order of operations. */
#ifndef LB_QUANT_TRANSFORM_H
#define LB_QUANT_TRANSFORM_H

#include "base/team.h"
#include "math/mat.h"

typedef struct lb_transform {
    const float *scale;  /* (cols), finite, not 0; NULL: none */
    int64_t hadamard;    /* 0: none; else a power of two that divides cols: columns of a run */
    const uint8_t *sign; /* (ceil(cols / 8)) bit c % 8 of byte c / 8 set: column c is negated; NULL: none */
} lb_transform;

bool lb_transform_any(const lb_transform *t);
/* The same change, number for number, of `cols` columns? */
bool lb_transform_same(const lb_transform *a, const lb_transform *b, int64_t cols);
/* Rows of y = T x; y may be x. */
void lb_transform_input(const lb_transform *t, lb_cmat x, lb_mat y);
/* W := W T^-1, rows in place: the matrix for inputs T x. */
void lb_transform_weights(const lb_transform *t, lb_mat W);
/* W := W T: from a matrix for inputs T x to the one for x. */
void lb_transform_weights_back(const lb_transform *t, lb_mat W);
/* H := T H T', in place, in float64, exactly symmetric: of X'X, that of the rows T x. H full and symmetric. */
LB_NODISCARD lb_status lb_transform_hessian(const lb_transform *t, lb_dmat H, lb_team *team);

/* Columns of a run can be so many? */
static inline bool lb_transform_hadamard_fits(int64_t n, int64_t cols) {
    return n == 0 || (n >= 2 && (n & (n - 1)) == 0 && cols % n == 0);
}
static inline int64_t lb_transform_sign_bytes(int64_t cols) { return (cols + 7) / 8; }

#endif
