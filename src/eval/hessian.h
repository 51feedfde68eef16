/* H = XᵀX / tokens of a layer's input: float32 SYRK over chunks of at most LB_HESSIAN_CHUNK tokens, chunks added in
 * float64 in order, tile by tile (the tiles are the pieces of work). Definition: DESIGN, Numbers; source Frantar et al.
 * 2022 (arXiv:2210.17323) section 3.1. */
#ifndef LB_EVAL_HESSIAN_H
#define LB_EVAL_HESSIAN_H

#include "eval/collect.h"

#define LB_HESSIAN_CHUNK 2048

typedef struct lb_hessian {
    lb_dmat H;
    int64_t tokens, sequences;
} lb_hessian;
LB_NODISCARD lb_status lb_hessian_new(lb_arena *a, int64_t cols, lb_hessian *out);
/* Adds `sequences` sequences whose rows are in X (tokens, cols), one after another. */
LB_NODISCARD lb_status lb_hessian_add(lb_hessian *h, lb_cmat X, int64_t sequences, lb_team *team);
/* The same for n of them at once, which leaves no thread idle between one and the next. h[i] NULL, b[i].X.d NULL: not
 * i. */
LB_NODISCARD lb_status lb_hessians_add(lb_hessian *const *h, const lb_batch *b, int n, lb_team *team);
/* Divides by the tokens and mirrors: afterwards H is full and final. LB_E_NUMERIC if it holds a NaN or infinity (naming
 * the column). */
LB_NODISCARD lb_status lb_hessian_finish(lb_hessian *h, lb_team *team);

/* The upper triangle row by row without gaps, n (n + 1) / 2 numbers: how H is kept in a file. Packing is done in place
 * and leaves no H behind; packed numbers become a full H, whose tokens and sequences the caller knows. */
int64_t lb_hessian_packed_size(int64_t cols);
void lb_hessian_pack(double *H, int64_t cols);
LB_NODISCARD lb_status lb_hessian_unpack(const double *packed, lb_dmat H, lb_team *team);
/* The first of those numbers that no sum of float32 products gives: NaN, beyond float32, below zero on the diagonal;
 * -1: there is none. */
int64_t lb_hessian_first_bad(const double *packed, int64_t cols);

#endif
