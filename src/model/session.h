/* A sequence that grows: keys and values of the tokens so far are kept, so that a new token costs one row and not the
 * whole sequence again. The first feed gives the bytes of exec.h's passes; later ones the same numbers but for rounding
 * (rows by themselves, keys without tiles). Same bytes at any number of threads. */
#ifndef LB_MODEL_SESSION_H
#define LB_MODEL_SESSION_H

#include "model/exec.h"

typedef struct lb_session lb_session;
/* For up to most_tokens of them. Memory: the kept heads, 4 bytes a number, and a run of as many rows.
 * errors  LB_E_CONFIG most_tokens is beyond the model's context */
LB_NODISCARD lb_status lb_session_new(lb_arena *a, const lb_net *n, int64_t most_tokens, lb_team *team,
                                      lb_session **out);
/* The next n tokens; h: what the head reads (n, cols of the head), or its last row alone where h.rows is 1. Blocks that
 * are not in memory are read, one after another, each time (lb_weights_hold brings all). After a failure the session is
 * as it was before.
 * errors  LB_E_ARG more tokens than there is room for, or one out of range; LB_E_UNSUPPORTED rotary angles that depend
 *         on the length of the sequence, where the kept keys would have to turn again */
LB_NODISCARD lb_status lb_session_feed(lb_session *s, const lb_weights *w, const int32_t *token, int64_t n, lb_mat h);
/* How far a sequence of so many tokens may grow: to the model's context, or to where its angles would change. */
int64_t lb_session_reach(const lb_net *n, int64_t tokens);
int64_t lb_session_length(const lb_session *s);
void lb_session_cut(lb_session *s, int64_t tokens); /* forget what is behind so many */

#endif
