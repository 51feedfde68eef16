/* A block as its inputs, which methods of block scope work on, and what stages that preserve make of them: known before
 * anything runs. */
#ifndef LB_RUN_BLOCK_PLAN_H
#define LB_RUN_BLOCK_PLAN_H

#include "model/fold.h"
#include "quant/block.h"
#include "run/sweep.h"

/* A value that sites of the block read: an input of the net, or several that a fold takes together. */
typedef struct lb_read {
    lb_block_input in; /* without statistics; options those of the whole cell */
    lb_fold fold;
    const int32_t *input; /* (inputs) in net.input: the first stands for them */
    int32_t inputs;
    const lb_layer_plan *reader; /* the first layer to quantize that reads it; NULL: there is none */
    lb_storage kept;             /* of T as the stages so far left it: its t_ fields */
} lb_read;
/* Those of a block, in program order; apart: each input by itself, and nothing can be folded. LB_E_UNSUPPORTED: rules
 * give readers of one value different options of a stage that preserves. */
LB_NODISCARD lb_status lb_block_reads(lb_arena *a, const lb_net *n, const lb_cell *c, int64_t block, bool apart,
                                      lb_read **out, int32_t *reads);
/* The value as a preserving stage is shown it, before it runs and when it does: r->kept is what the stages before left.
 */
lb_block_input lb_block_read_seen(const lb_cell *c, size_t stage, const lb_read *r);
/* What a preserving stage is going to make of the value: folded, or with what is stored, which joins r->kept. Nothing
 * where no layer to quantize reads it. */
LB_NODISCARD lb_status lb_block_read_stage(const lb_cell *c, size_t stage, lb_read *r, lb_storage *own, bool *fold);
/* The options of a stage at an input. */
const void *lb_block_read_opts(const lb_cell *c, size_t stage, const lb_read *r);
/* What a stage needs, of all layers to quantize. */
uint32_t lb_block_stage_needs(const lb_cell *c, size_t stage);
/* Of the cell's layers, which are planned: T in their storages, sizes; cell->changed. */
LB_NODISCARD lb_status lb_plan_preserving(lb_arena *a, const lb_net *n, lb_cell *c);

#endif
