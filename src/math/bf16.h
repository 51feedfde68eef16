/* Products in bfloat16 through oneDNN, which a build may lack: y = x Wᵀ, both rounded to bfloat16 (to nearest, half to
 * even), products exact and summed in float32, y float32. For the forward pass of evaluations; see `compute` in
 * docs/config.md. A call runs on the thread that makes it and starts no other, so work is split over the team as with
 * lb_sgemm, and the bytes of y depend on the shapes, on oneDNN and on the processor alone.
 * errors  LB_E_UNSUPPORTED: built without oneDNN, or a processor that it has no bfloat16 for; LB_E_NOMEM */
#ifndef LB_MATH_BF16_H
#define LB_MATH_BF16_H

#include "base/status.h"
#include "math/mat.h"

/* How products of a forward pass are made. */
typedef enum lb_compute { LB_COMPUTE_F32, LB_COMPUTE_BF16 } lb_compute;

/* Can this build, on this processor? The message says what is missing. */
LB_NODISCARD lb_status lb_bf16_check(void);
const char *lb_bf16_version(void); /* oneDNN's, "2.6.3"; "" in a build without it */
const char *lb_bf16_isa(void);     /* the instructions oneDNN uses here, "avx512_core_bf16"; "" without it */
bool lb_bf16_native(void);         /* the processor multiplies in bfloat16 itself; else it is emulated, and slow */

/* What products share: oneDNN's primitives, made once for each shape. Any thread may use it. */
typedef struct lb_bf16 lb_bf16;
LB_NODISCARD lb_status lb_bf16_new(lb_bf16 **out);
void lb_bf16_free(lb_bf16 *c); /* NULL is fine */

/* W (rows, cols) rounded, in oneDNN's own order; a view. d NULL: none. */
typedef struct lb_bf16_mat {
    lb_bf16 *c;
    int64_t rows, cols;
    const void *d;
} lb_bf16_mat;
/* Bytes that W (rows, cols) takes, a multiple of 64. */
LB_NODISCARD lb_status lb_bf16_bytes(lb_bf16 *c, int64_t rows, int64_t cols, size_t *bytes);
/* Rounds W, whose rows lie together, into `to` (so many bytes, 64-byte aligned). */
LB_NODISCARD lb_status lb_bf16_pack(lb_bf16 *c, lb_cmat W, void *to, lb_bf16_mat *out);
/* x rounded, its rows together: out (x.rows, x.cols). In a build without oneDNN too. */
void lb_bf16_round(lb_cmat x, uint16_t *out);
/* y (m, W.rows) = x Wᵀ, or += with `add`: x (m, W.cols) rounded already, as by lb_bf16_round; rows of y lie
 * together. |error| <= (cols + 2) 2^-23 sum |x w|, products below 2^-126 flushed to zero. */
LB_NODISCARD lb_status lb_bf16_matmul(const lb_bf16_mat *W, const uint16_t *x, int64_t m, bool add, lb_mat y);

#endif
