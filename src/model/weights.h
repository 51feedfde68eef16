/* Matrices that are not in memory as float32, brought there when their turn comes. Whoever computes with a block asks
 * lb_block_load first; where all is resident that costs nothing. */
#ifndef LB_MODEL_WEIGHTS_H
#define LB_MODEL_WEIGHTS_H

#include "base/team.h"
#include "model/arch.h"

/* Is every matrix in memory? */
bool lb_weights_resident(const lb_arch *a, const lb_weights *w);
/* Floats that lb_block_load needs for this block: 0 if it is resident. */
int64_t lb_block_floats(const lb_block *b);
/* out: the block with all its matrices, those that are not in memory read into buffer (lb_block_floats of them; NULL if
 * 0), row panels over the team. Errors: the source's own (a NaN, a file). */
LB_NODISCARD lb_status lb_block_load(const lb_block *b, float *buffer, lb_team *team, lb_block *out);
/* For products in bfloat16: bytes that a block's rounded matrices take; and out: the block `loaded` with them, made in
 * `room` (so many bytes, 64-byte aligned), matrices over the team. */
LB_NODISCARD lb_status lb_block_half_bytes(const lb_block *b, lb_bf16 *c, size_t *bytes);
LB_NODISCARD lb_status lb_block_round(const lb_block *loaded, lb_bf16 *c, void *room, lb_team *team, lb_block *out);
/* The most that any block needs. */
int64_t lb_weights_block_floats(const lb_arch *a, const lb_weights *w);
/* Rows [row, row + rows) of a matrix: a view if W is in memory, else read into buffer (rows * W.cols). */
LB_NODISCARD lb_status lb_rows_get(lb_cmat W, const lb_rows_source *from, int64_t row, int64_t rows, float *buffer,
                                   lb_cmat *out);
/* All of a matrix, a view or in the arena. */
LB_NODISCARD lb_status lb_matrix_get(lb_cmat W, const lb_rows_source *from, lb_arena *a, lb_team *team, lb_cmat *out);

#endif
