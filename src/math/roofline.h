/* What this machine can do, measured here and now: the yardstick for rates. */
#ifndef LB_MATH_ROOFLINE_H
#define LB_MATH_ROOFLINE_H

#include "base/team.h"

typedef struct lb_roofline {
    double flops_f32, flops_f64; /* a second, of plain matrix products, all threads together, each on its own */
    double flops_bf16;           /* only where lb_roofline_bf16 was asked */
    double bytes;                /* a second, of reading two long arrays and writing a third */
} lb_roofline;
/* About `seconds` for each of the three. LB_E_NOMEM. */
LB_NODISCARD lb_status lb_roofline_measure(lb_team *team, double seconds, lb_roofline *out);
/* The first of them alone. */
LB_NODISCARD lb_status lb_roofline_f32(lb_team *team, double seconds, double *flops);
/* Of elementwise work as compilers leave it, a rounding or a comparison at a time: `steps` a second, all threads. */
LB_NODISCARD lb_status lb_roofline_steps(lb_team *team, double seconds, double *steps);
/* Of products in bfloat16; LB_E_UNSUPPORTED as lb_bf16_check. */
LB_NODISCARD lb_status lb_roofline_bf16(lb_team *team, double seconds, double *flops);

#endif
