/* Every statistic, in the order in which they are collected and kept. */
#include "eval/collectors/collectors.h"

const lb_collector *const lb_collectors[] = {&lb_collect_hessian,
                                             &lb_collect_absmax,
                                             &lb_collect_mean,
                                             &lb_collect_range,
                                             &lb_collect_rows,
                                             &lb_collect_tokens,
                                             &lb_collect_hessian_norm,
                                             &lb_collect_hessian_clip,
                                             &lb_collect_hessian_attention,
                                             NULL};
