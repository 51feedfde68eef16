/* A model whose residual stream stands in another orthonormal basis, drawn at random: it computes the same (Ashkboos et
 * al. 2024, arXiv:2401.15024, theorem 1), but no weight of it is the number that it was, and no channel of the stream
 * is one of the old ones. Weights that lay on a coarse grid lie on none any more.
 *
 * With Q orthogonal and n the weight of the norm in front: what reads the stream becomes W diag(n) Q and the norm's
 * weight 1, what adds to it QᵀW and Qᵀb, and a row of the embedding e becomes e Q.
 *
 * Q may also be a block diagonal of smaller orthonormal matrices: of blocks of 2 each channel is mixed with one other,
 * so that no weight stays on its grid while large channels stay large. */
#ifndef LB_MODEL_ROTATE_H
#define LB_MODEL_ROTATE_H

#include "base/team.h"
#include "model/exec.h"

/* block: channels in a block of Q, the last one has what is left; 0: all of them in one.
 * Into `out`, all matrices in the arena; w stays, and has all of its own in memory. A head that is the embedding's gets
 * weights of its own. The same seed gives the same numbers at any number of threads.
 * errors  LB_E_ARG: a block that is wider than the stream
 *         LB_E_UNSUPPORTED: something but a root-mean-square norm or a linear layer reads the stream (a layer norm, a
 *         norm of what is added to it, weights that two blocks share): the step is named */
LB_NODISCARD lb_status lb_rotate(lb_arena *a, const lb_net *n, const lb_weights *w, uint64_t seed, int64_t block,
                                 lb_team *team, lb_weights *out);

#endif
