/* What a task measured, in a result's file: attributes and datasets of /eval/i, only there where it is one. */
#ifndef LB_RESULT_STORE_TASK_H
#define LB_RESULT_STORE_TASK_H

#include "io/h5.h"
#include "result/record.h"

LB_NODISCARD lb_status lb_task_put(lb_h5 *h, const char *group, const lb_eval_row *e);
/* After the protocol, the windows and has_paired are there. */
LB_NODISCARD lb_status lb_task_get(lb_h5 *h, lb_arena *a, const char *group, lb_eval_row *e);
/* LB_E_FORMAT after `where`: numbers that cannot be true. */
LB_NODISCARD lb_status lb_task_check(const char *where, const lb_eval_row *e);

#endif
