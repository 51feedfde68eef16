/* Weights by site: making them, changing them, and matrices that are not in memory as float32, brought there when their
 * turn comes. Whoever computes with a block asks lb_block_load first; where all is resident that costs nothing. */
#ifndef LB_MODEL_WEIGHTS_H
#define LB_MODEL_WEIGHTS_H

#include "base/team.h"
#include "model/exec.h"

/* Every matrix with its shape, nothing in memory. */
LB_NODISCARD lb_status lb_weights_new(lb_arena *a, const lb_net *n, lb_weights *out);
/* A copy of the structs (not of the numbers) whose pointers may be changed. */
LB_NODISCARD lb_status lb_weights_clone(lb_arena *a, const lb_net *n, const lb_weights *w, lb_weights *out);
/* The site's, and those of all whose weights it is. */
void lb_weights_put(const lb_net *n, lb_weights *w, int32_t site, lb_linop op);
/* A tensor's numbers, (rows, cols) without gaps; NULL: none in memory. Sites that share them follow. */
void lb_slot_set(const lb_net *n, lb_weights *w, int32_t slot, const float *data);
const float *lb_slot_get(const lb_net *n, const lb_weights *w, int32_t slot);
/* Where a matrix's rows come from while its numbers are not in memory. */
void lb_slot_set_source(const lb_net *n, lb_weights *w, int32_t slot, lb_rows_source from);

/* Is every matrix in memory? */
bool lb_weights_resident(const lb_net *n, const lb_weights *w);
/* Floats that lb_block_load needs for this block: 0 if it is resident. */
int64_t lb_block_floats(const lb_net *n, const lb_weights *w, int64_t block);
/* The most that any block needs. */
int64_t lb_weights_block_floats(const lb_net *n, const lb_weights *w);
/* The block's sites and vectors into `out`, which has lists of its own (lb_weights_clone): all its matrices, those that
 * are not in memory read into buffer (lb_block_floats of them; NULL if 0), row panels over the team. Errors: the
 * source's own (a NaN, a file). */
LB_NODISCARD lb_status lb_block_load(const lb_net *n, const lb_weights *w, int64_t block, float *buffer, lb_team *team,
                                     lb_weights *out);
/* w with every block in memory, in the arena where it is not already. */
LB_NODISCARD lb_status lb_weights_hold(lb_arena *a, const lb_net *n, const lb_weights *w, lb_team *team,
                                       lb_weights *out);
/* For products in bfloat16: bytes that a block's rounded matrices take; and the matrices of a block that is loaded, or
 * in memory, rounded into `room` (so many bytes, 64-byte aligned), matrices over the team. */
LB_NODISCARD lb_status lb_block_half_bytes(const lb_net *n, int64_t block, lb_bf16 *c, size_t *bytes);
LB_NODISCARD lb_status lb_block_round(const lb_net *n, int64_t block, lb_bf16 *c, void *room, lb_team *team,
                                      lb_weights *loaded);
/* Rows [row, row + rows) of a matrix: a view if W is in memory, else read into buffer (rows * W.cols). */
LB_NODISCARD lb_status lb_rows_get(lb_cmat W, const lb_rows_source *from, int64_t row, int64_t rows, float *buffer,
                                   lb_cmat *out);
/* All of a matrix, a view or in the arena. */
LB_NODISCARD lb_status lb_matrix_get(const lb_linop *op, lb_arena *a, lb_team *team, lb_cmat *out);

#endif
