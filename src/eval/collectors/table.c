/* Every statistic, in the order in which they are collected and kept. */
#include "eval/collectors/collectors.h"

const lb_collector *const lb_collectors[] = {&lb_collect_hessian, &lb_collect_absmax, &lb_collect_mean,
                                             &lb_collect_range,   &lb_collect_rows,   NULL};
