/* The thread team: independent pieces, numbered 0..n-1. What a piece is depends on the problem's size, never on
 * the number of threads, and pieces write to places of their own, so results are the same bytes at any count.
 * POSIX threads underneath, which sleep soon when there is nothing to do: a loop waits for threads that work, never for
 * one that has not come yet, so a busy machine slows it no more than its share. BLAS inside a piece is single-threaded.
 * Nested calls run serially. */
#ifndef LB_BASE_TEAM_H
#define LB_BASE_TEAM_H

#include "base/status.h"

typedef struct lb_team lb_team;
LB_NODISCARD lb_status lb_team_new(int threads, lb_team **out); /* 0: as many as the process may run on */
void lb_team_free(lb_team *t);
int lb_team_threads(const lb_team *t); /* at least 1; a NULL team is one thread */

/* piece: 0..n-1; worker: 0..threads-1, for per-worker scratch. After a failure no new piece starts; the failure of
 * the lowest-numbered piece that failed is returned with its message on the calling thread. */
typedef lb_status (*lb_piece)(void *ctx, int64_t piece, int worker);
LB_NODISCARD lb_status lb_parallel_for(lb_team *t, int64_t n, lb_piece f, void *ctx);

/* n chains of `steps` steps: those of a chain run one after another, each on whichever thread is free, which takes the
 * chain that has come least far. So a few long chains more than there are threads keep all threads busy to the end.
 * After a failure the chains below it go on and those above it stop: the failure of the lowest chain is returned. */
typedef lb_status (*lb_chain_step)(void *ctx, int64_t chain, int64_t step, int worker);
LB_NODISCARD lb_status lb_parallel_chains(lb_team *t, int64_t n, int64_t steps, lb_chain_step f, void *ctx);

#endif
