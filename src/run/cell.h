/* Running one cell: quantize, evaluate, record. */
#ifndef LB_RUN_CELL_H
#define LB_RUN_CELL_H

#include "result/store.h"
#include "run/quantize.h"

/* What the cells of a sweep share: the baseline's record and states, and the original model's statistics. */
typedef struct lb_runner {
    lb_plan *plan;
    lb_arena *keep; /* records */
    lb_log *log;
    const char *dir;           /* journal and finished blocks; NULL: none are kept */
    const char *cache;         /* statistics and states */
    const lb_record *baseline; /* NULL: not run, or failed */
    lb_stats_file *stats;      /* open ones, of this key */
    char stats_key[65];
    lb_shared_errors *shared; /* by site, under those statistics, as cells compute them */
} lb_runner;

/* The finished model, for whoever exports it; valid during the call. */
typedef lb_status (*lb_cell_hook)(void *user, const lb_cell *c, const lb_weights *w, lb_log *log);

/* out: state DONE, everything but what only a sweep knows; its bundle is the caller's to close. LB_E_NUMERIC and
 * others: the cell failed. */
LB_NODISCARD lb_status lb_cell_run(lb_runner *r, const lb_cell *c, lb_cell_hook hook, void *user, lb_record *out);
/* Without running: the record of a cell that was refused or failed. */
LB_NODISCARD lb_status lb_cell_bare_record(lb_arena *keep, const lb_cell *c, lb_cell_state state, const char *message,
                                           lb_record *out);
void lb_runner_close(lb_runner *r);
/* Names of what is kept in the cache: an lb_fs_ours. */
bool lb_runner_caches(const char *name, bool folder);

/* The evaluations of a cell (cell_eval.c): w as the model. Rows from r->keep. */
LB_NODISCARD lb_status lb_cell_evaluate(lb_runner *r, const lb_cell *c, const lb_weights *w, lb_log *log,
                                        lb_eval_row **rows);

/* How w continues the plan's prompt (prompt.c). */
LB_NODISCARD lb_status lb_cell_continue(lb_runner *r, const lb_weights *w, lb_continuation *out);

#endif
