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

/* From now on gradients have a second part, by which experts come to share the tokens: coefficient times the sum, over
 * the steps that have experts, of experts / top * sum over experts of (its share of the tokens * its mean probability),
 * which is 1 where all are alike. Shares have no gradient. The losses are what they were. source  Fedus et al. 2021
 * (arXiv:2101.03961) eq. 4 to 6 */
void lb_backward_balance(lb_backward *b, double coefficient);
/* The mean of that over those steps, as the last call found it; 0: no step has experts. */
double lb_backward_balanced(const lb_backward *b);

/* The same for a section of a block alone (exec.h; LB_WHOLE_BLOCK: all of it), one sequence of `length` tokens. */
typedef struct lb_section_backward lb_section_backward;
LB_NODISCARD lb_status lb_section_backward_new(lb_arena *a, const lb_net *n, int64_t block, int32_t section,
                                               int64_t length, lb_section_backward **out);
/* x (length, dim) as it enters, dy: d loss / d what leaves. The gradients of g that are wanted are added to what is
 * there; dx (d NULL: not wanted): d loss / d x, overwritten. The block's sites are in memory; of a site that is another
 * one's that one's gradient is added to. g NULL: dx alone. */
LB_NODISCARD lb_status lb_section_gradients(lb_section_backward *b, const lb_weights *w, lb_cmat x, lb_cmat dy,
                                            lb_team *team, const lb_grads *g, lb_mat dx);

#endif
