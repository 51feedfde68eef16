/* AdamW with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2), as torch.optim.AdamW computes it, float32
 * state. */
#ifndef LB_MATH_ADAMW_H
#define LB_MATH_ADAMW_H

#include "math/mat.h"

typedef struct lb_adamw {
    double lr, beta1, beta2, eps, weight_decay;
} lb_adamw;
/* step counts from 1; m, v (n) start at zero; w is updated in place. */
void lb_adamw_step(const lb_adamw *o, int64_t step, float *w, const float *grad, float *m, float *v, int64_t n);
/* Linear warm-up over `warmup` steps, then cosine from lr to lr * floor_part over the rest. step from 0. */
double lb_lr_cosine(double lr, int64_t step, int64_t warmup, int64_t steps, double floor_part);
/* The norm over all arrays (float64, fixed order). */
double lb_grad_norm(const float *const *grad, const int64_t *n, int64_t arrays);

#endif
