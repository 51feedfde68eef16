/* Activations, element by element, in float32: the vector kernels' exponential and plain loops around it. */
#ifndef LB_MATH_ACTIVATION_H
#define LB_MATH_ACTIVATION_H

#include <stdint.h>

typedef enum lb_act { LB_ACT_SILU, LB_ACT_RELU, LB_ACT_GELU, LB_ACT_GELU_TANH, LB_ACT_SIGMOID, LB_ACTS } lb_act;

/* y[i] = f(x[i]), y may be x; within 1e-6 |f| + 1e-8 |x|. NaN stays. */
void lb_act_apply(lb_act f, float *y, const float *x, int64_t n);
/* y[i] = f'(x[i]), y may be x; 0 where relu turns. Within 2e-6 of f' absolutely. NaN stays. */
void lb_act_slope(lb_act f, float *y, const float *x, int64_t n);
/* y[i] = cap tanh(y[i] / cap), within 1e-6 relative. */
void lb_act_cap(float *y, float cap, int64_t n);

#endif
