/* Do two sets of weights compute the same? Found out block by block on one sequence of tokens. */
#ifndef LB_EVAL_OUTPUTS_H
#define LB_EVAL_OUTPUTS_H

#include "base/team.h"
#include "model/exec.h"

typedef struct lb_outputs lb_outputs; /* the sequence, entering the next block */
/* Tokens drawn from the seed, as they enter the first block with weights w. Everything from the arena. */
LB_NODISCARD lb_status lb_outputs_new(lb_arena *a, const lb_net *n, const lb_weights *w, uint64_t seed, lb_team *team,
                                      lb_outputs **out);
/* Through the next block with either; it goes on with the first. *apart: |y' - y| as a share of |y - x|, what the block
 * adds to x as it enters, and of what float32 can hold beside x. LB_E_NUMERIC: not finite. */
LB_NODISCARD lb_status lb_outputs_block(lb_outputs *o, const lb_weights *was, const lb_weights *now, double *apart);
/* Logits of the whole model for tokens drawn from the seed, all weights in memory. *apart: the furthest that one lies
 * from its old value, in standard deviations of its token's logits. LB_E_NUMERIC: not finite. */
LB_NODISCARD lb_status lb_outputs_logits(const lb_net *n, const lb_weights *was, const lb_weights *now, uint64_t seed,
                                         lb_team *team, double *apart);

#endif
