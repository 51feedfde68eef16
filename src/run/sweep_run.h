/* A whole sweep: every cell run, kept or refused; results on disk after each, so that a sweep can be killed at any time
 * and goes on where it stopped. */
#ifndef LB_RUN_SWEEP_RUN_H
#define LB_RUN_SWEEP_RUN_H

#include "run/cell.h"

typedef struct lb_sweep_options {
    bool keep_stale; /* results of another code version count as finished */
    bool again;      /* nothing finished counts: every cell runs */
} lb_sweep_options;

typedef struct lb_sweep_result {
    int64_t done, kept, refused, failed;
    const char *failures; /* "gptq 3b g64, rtn 2b row"; "" */
} lb_sweep_result;

/* All cells of the first plan, then those of the next. A single plan must have been opened with its weights; several
 * are closed, and each is opened when its turn comes and if a cell of it is to run. Takes a lock on the results folder:
 * a second run of the same experiment is LB_E_IO. A failing cell does not stop the others. LB_E_INTERRUPTED leaves
 * finished cells and the index in place. */
LB_NODISCARD lb_status lb_sweep_run(const lb_plans *plans, const lb_sweep_options *o, lb_log *log,
                                    lb_sweep_result *out);

#endif
