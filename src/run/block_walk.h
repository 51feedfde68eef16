/* A block as a method of block scope is given it: inputs with their statistics, sites with their matrices, and the way
 * through its sections and back (eval/block.h). */
#ifndef LB_RUN_BLOCK_WALK_H
#define LB_RUN_BLOCK_WALK_H

#include "run/block_plan.h"
#include "run/quantize.h"

typedef struct lb_block_walk {
    lb_block_in in; /* what the method sees */
    lb_quantize_job *j;
    size_t stage;
    lb_arena *arena; /* for all of it, and what the method returns */
    const lb_net *net;
    int64_t first; /* of the cell's layers */
    lb_read *read; /* (in.inputs) kept: by the preserving stages before */
    lb_block_input *input;
    lb_stats *stats, *given; /* (in.inputs) all that were collected; what the method sees of them */
    lb_stream *stream;
    const lb_weights *now;
    lb_weights loaded; /* the block in memory */
    float *buffer;
} lb_block_walk;

/* now: the model that the block is seen in. stream: the calibration's sequences, at the block; or NULL. End it also
 * after a failure. */
LB_NODISCARD lb_status lb_block_walk_begin(lb_quantize_job *j, size_t stage, int64_t block, lb_stream *stream,
                                           const lb_weights *now, lb_arena *a, lb_log *log, lb_block_walk *x);
void lb_block_walk_end(lb_block_walk *x);
/* The statistics that the method needs: of the stream, which may move on in the same pass; or of the original model. */
LB_NODISCARD lb_status lb_block_walk_collect(lb_block_walk *x, bool advance);
LB_NODISCARD lb_status lb_block_walk_original(lb_block_walk *x);
/* The method itself. */
LB_NODISCARD lb_status lb_block_walk_call(lb_block_walk *x, lb_block_out *out);

#endif
