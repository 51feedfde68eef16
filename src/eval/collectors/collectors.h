#ifndef LB_EVAL_COLLECTORS_COLLECTORS_H
#define LB_EVAL_COLLECTORS_COLLECTORS_H

#include "eval/collect.h"

extern const lb_collector lb_collect_hessian, lb_collect_absmax, lb_collect_mean, lb_collect_range, lb_collect_rows;

#endif
