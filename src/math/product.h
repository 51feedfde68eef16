/* The product of a layer, y = mult x Wᵀ or y += mult x Wᵀ in float32, x (m, k), W (n, k), y (m, n).
 *
 * The same bytes as lb_sgemm(false, true, mult, x, W, add, y), which also does it unless this processor's kernels do it
 * faster: they read x as it stands and pack W alone, where OpenBLAS packs both and clears y first. An element's sum is
 * cut at the same places as OpenBLAS cuts it (Goto and van de Geijn 2008, 4.2: blocks of k that fit a cache), which the
 * library does not tell: the first product finds the length of its blocks, and each width k is compared with OpenBLAS,
 * bit for bit, before it is first used. Where they differ, OpenBLAS is taken. */
#ifndef LB_MATH_PRODUCT_H
#define LB_MATH_PRODUCT_H

#include "base/team.h"
#include "math/mat.h"

void lb_product(lb_cmat x, lb_cmat W, float mult, bool add, lb_mat y);
/* The same for a row or two, which are as fast as W is read: outputs over the team, each sum in float64. */
LB_NODISCARD lb_status lb_product_few(lb_cmat x, lb_cmat W, float mult, bool add, lb_mat y, lb_team *team);
/* Terms that OpenBLAS adds up at a time; 0: kernels of our own are not used. After lb_blas_init. */
int64_t lb_product_depth(void);

#endif
