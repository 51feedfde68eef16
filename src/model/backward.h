/* Loss and gradients of a batch of equal-length sequences with respect to every weight of a net, for training. Work is
 * split over row panels, heads and output tiles that depend on shapes only, so gradients are the same bytes at any
 * thread count. */
#ifndef LB_MODEL_BACKWARD_H
#define LB_MODEL_BACKWARD_H

#include "base/team.h"
#include "model/exec.h"

/* By site and vector; a NULL pointer means the gradient is not wanted. Overwritten. Of a site that is another one's
 * nothing is read: the other's gets all parts' sum (a tied embedding, the head's too). */
typedef struct lb_grads {
    lb_mat *site;   /* (net.sites) */
    float **vector; /* (net.vectors) */
} lb_grads;
LB_NODISCARD lb_status lb_grads_new(lb_arena *a, const lb_net *n, lb_grads *out); /* none wanted */

typedef struct lb_backward lb_backward; /* buffers for (batch, length) */
LB_NODISCARD lb_status lb_backward_new(lb_arena *a, const lb_net *n, int64_t batch, int64_t length, lb_backward **out);

/* teacher: weights of the original model, needed if kl_weight > 0 (else NULL). tokens (batch, length). loss = mean over
 * the batch * (length - 1) predicted tokens of (1 - kl_weight) * CE + kl_weight * KL(teacher || model), nats.
 * next_token and kl (may be NULL): the two means; kl is 0
 * unless kl_weight > 0. g NULL: the loss alone. All sites are in memory. source  Shazeer 2020 (SwiGLU), Dao et al. 2022
 * (attention), straight through an activation quantizer: Bengio et al. 2013 (arXiv:1308.3432). */
LB_NODISCARD lb_status lb_loss_gradients(lb_backward *b, const lb_weights *w, const lb_weights *teacher,
                                         double kl_weight, const int32_t *tokens, lb_team *team, const lb_grads *g,
                                         double *loss, double *next_token, double *kl);

#endif
