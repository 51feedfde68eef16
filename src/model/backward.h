/* Loss and gradients of a batch of equal-length sequences with respect to every weight, for training. Work is split
 * over row panels, heads and output tiles that depend on shapes only, so gradients are the same bytes at any thread
 * count. */
#ifndef LB_MODEL_BACKWARD_H
#define LB_MODEL_BACKWARD_H

#include "base/team.h"
#include "model/forward.h"

/* Mirrors lb_weights; a NULL pointer means the gradient is not wanted. Overwritten. A tied embedding gets both parts'
 * sum in embed. */
typedef struct lb_block_grad {
    lb_mat w[LB_LINEARS];
    float *attn_norm, *mlp_norm;
} lb_block_grad;
typedef struct lb_grads {
    lb_mat embed, head;
    float *final_norm;
    lb_block_grad *blocks;
} lb_grads;

typedef struct lb_backward lb_backward; /* buffers for (batch, length) */
LB_NODISCARD lb_status lb_backward_new(lb_arena *a, const lb_arch *arch, int64_t batch, int64_t length,
                                       lb_backward **out);

/* teacher: weights of the original model, needed if kl_weight > 0 (else NULL). tokens (batch, length). loss = mean over
 * the batch * (length - 1) predicted tokens of (1 - kl_weight) * CE + kl_weight * KL(teacher || model), nats.
 * next_token and kl (may be NULL): the two means; kl is 0
 * unless kl_weight > 0. g NULL: the loss alone. source  Shazeer 2020 (SwiGLU), Dao et al. 2022 (attention), straight
 * through an activation quantizer: Bengio et al. 2013 (arXiv:1308.3432). */
LB_NODISCARD lb_status lb_loss_gradients(lb_backward *b, const lb_arch *arch, const lb_weights *w,
                                         const lb_weights *teacher, double kl_weight, const int32_t *tokens,
                                         lb_team *team, const lb_grads *g, double *loss, double *next_token,
                                         double *kl);

#endif
