/* What a block-scope method calls: the calibration's sequences through the block at hand, there and back
 * (quant/block.h). */
#ifndef LB_EVAL_BLOCK_H
#define LB_EVAL_BLOCK_H

#include "eval/calibrate.h"
#include "quant/block.h"

/* Fills in forward, backward, impl, sections, sequences, length, start and dim of `in`, whose sites are
 * layers of the stream's current block, found by name; w: the model as it is now. All of it is in the arena and holds
 * until the stream moves or w changes. A call runs one sequence on all threads, same bytes at any number of them.
 *   memory  the block, where its weights are not in memory; a sequence's run; from the first call on, what a pass back
 *           keeps of a sequence, for each section asked for; and what enters a section other than the first, of all
 *           sequences, of one section at a time: as much as the stream itself has */
LB_NODISCARD lb_status lb_block_connect(lb_arena *a, const lb_net *n, const lb_stream *s, const lb_weights *w,
                                        lb_team *team, lb_block_in *in);

#endif
