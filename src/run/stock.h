/* What of a sweep lies finished in its results folder: what a run keeps, and a check leaves out of its estimate. */
#ifndef LB_RUN_STOCK_H
#define LB_RUN_STOCK_H

#include "run/plan.h"

typedef enum lb_finished {
    LB_FINISHED_NO,
    LB_FINISHED_YES,
    LB_FINISHED_STALE,        /* by another code version or kernel, and such results are not to count */
    LB_FINISHED_DAMAGED,      /* the record's message says how */
    LB_FINISHED_NOT_EXPORTED, /* the config asks for a model's folder that is not there */
    LB_FINISHED_NOT_KEPT      /* the config asks for layers that its file does not keep */
} lb_finished;

/* Of each cell of the plan, which are all NO where it is refused; the records of what is there, from the arena.
 * keep_stale: results of another code version are YES. LB_E_IO: a file is there and cannot be read. */
LB_NODISCARD lb_status lb_stock_look(const lb_plan *p, bool keep_stale, lb_arena *a, lb_finished *of_cell,
                                     lb_record *record);

#endif
