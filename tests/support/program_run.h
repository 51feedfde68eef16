/* A program of tests/support/programs.h on the executor. */
#ifndef LB_TESTS_PROGRAM_RUN_H
#define LB_TESTS_PROGRAM_RUN_H

#include "base/team.h"
#include "model/exec_impl.h"
#include "model/weights.h"
#include "support/programs.h"

typedef struct program_run {
    const lb_test_program *c;
    const lb_net *n;
    lb_weights w;
    const int32_t *token;
    int64_t T, panel;
    lb_team *team;
} program_run;

/* With the case's tokens, in panels of 7 rows, without a team. */
program_run program_open(const lb_test_program *c);
/* In the case's arena. */
lb_mat program_room(const program_run *x, int64_t rows, int64_t cols);
/* Tokens drawn anew: `most`, or as many as the model knows positions. */
void program_lengthen(program_run *x, int64_t most);
/* What the head reads, with these weights; by an executor that is there already. */
lb_mat program_states(const program_run *x, const lb_weights *w);
lb_mat program_states_by(const program_run *x, const lb_weights *w, lb_exec *e);
/* The states have the same bytes without a team and with one of 1 to 3 threads. */
void program_same_bytes(program_run *x, const lb_weights *w);

#endif
