/* Perplexity by protocol (result/quality.h), with what is needed to compare runs: per-window NLL, error bars, KL and
 * agreement to a baseline. */
#ifndef LB_EVAL_PERPLEXITY_H
#define LB_EVAL_PERPLEXITY_H

#include "base/log.h"
#include "base/team.h"
#include "model/corpus.h"
#include "model/exec.h"
#include "result/quality.h"

/* The baseline's final-normed states, kept so that its head can be recomputed: a sealed file, checked as it is read. */
typedef struct lb_states lb_states;
LB_NODISCARD lb_status lb_states_create(const char *path, const char *key, int64_t windows, int64_t n, int64_t dim,
                                        lb_states **out);
/* LB_E_FORMAT: of another key or shape, or damaged. */
LB_NODISCARD lb_status lb_states_open(const char *path, const char *key, int64_t windows, int64_t n, int64_t dim,
                                      lb_states **out);
/* h (n, dim), without gaps: a whole window, scored or not. Different windows from different threads. */
LB_NODISCARD lb_status lb_states_put(lb_states *s, int64_t window, lb_cmat h);
LB_NODISCARD lb_status lb_states_get(lb_states *s, int64_t window, lb_mat h);
/* A value of a window that no state can have; the file counts as damaged. */
LB_NODISCARD lb_status lb_states_refuse(lb_states *s, int64_t window, int64_t row, int64_t col, double value);
bool lb_states_damaged(const lb_states *s); /* lb_states_get did not find what was put: make the file again */
LB_NODISCARD lb_status lb_states_commit(lb_states *s); /* sync, rename into place */
void lb_states_close(lb_states *s);                    /* without commit: removed */

typedef struct lb_eval_request {
    lb_protocol protocol;
    const lb_corpus *corpus;
    int64_t max_windows; /* 0: all */
    lb_compute compute;  /* products of the linears and of the head; everything else is float32 */
    bool hold;           /* bf16: round all weights once and hold them so, instead of each block when its turn comes */
    const lb_weights *base;               /* with base_states: KL and agreement against these; else NULL */
    lb_states *base_states, *save_states; /* each may be NULL */
    int64_t speculative; /* tokens a round: how many of them the baseline takes is measured too; 0: it is not */
} lb_eval_request;

/* Parallel over windows; where they are fewer than the threads, one by one on all threads. LB_E_UNSUPPORTED: bf16 where
 * this build or processor has none. LB_E_CONFIG: text too short for one window, or n beyond the model's context.
 * LB_E_NUMERIC: logits that are NaN or infinite (names window and row), a mean NLL whose exponential overflows: no
 * result holds an infinity. */
LB_NODISCARD lb_status lb_perplexity(const lb_net *n, const lb_weights *w, const lb_eval_request *r, lb_team *team,
                                     lb_arena *arena, lb_log *log, lb_eval *out);

#endif
