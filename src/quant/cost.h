/* What a call of a method takes, before anything runs: what `lowbit check` estimates times and memory from. Operations
 * are counted by kind, since their rates differ; the program measures those on the machine at hand. */
#ifndef LB_QUANT_COST_H
#define LB_QUANT_COST_H

#include "quant/storage.h"

/* What is asked about. */
typedef struct lb_cost_of {
    int64_t rows, cols;       /* of the layer */
    const lb_storage *so_far; /* a later stage: of the layer that it goes on from; else NULL */
    bool first;               /* of the layers on one H, which share in->stats->kept */
    bool first_in_block;      /* of the layers to quantize of its block */
    int threads;
    int64_t sequences, length; /* block scope that calls the block: of the calibration; else 0 */
    double weights, rounded;   /* model scope, instead: of the whole network, and those of layers to be quantized */
} lb_cost_of;

typedef struct lb_cost {
    double products; /* floating-point operations of matrix products in float64, over the team */
    double steps;    /* one at a time over the team: a sum, a comparison, a rounding; a power is twenty */
    double serial;   /* of LAPACK in float64, on one thread */
    double scratch;  /* bytes: the most that the call has at any time, beside what it returns and keeps; those of the
                        layers of a block are added up for block scope, which has them together */
    double kept;     /* bytes that it leaves in in->stats->kept */
    double made;     /* bytes of what it returns: lb_method_cost fills it in */
    /* Model scope: tokens that go forward, and those whose gradients come back, through the whole network; of each
     * sequence; and of all that are under way together. Block scope: those of all calls of forward and backward that
     * this layer adds, through the block that it is in, in `forward` and `backward` alone (a call for a section counts
     * as the section's part of the block): what is done once a block is said of the layer that is first_in_block, what
     * is done once an input of the one that is `first`. */
    double forward, backward, length, at_once;
} lb_cost;

/* Steps a weight of fitting a block of this storage and rounding onto it. */
double lb_round_steps(const lb_storage *s, bool clip_search);
/* Bytes that lb_round_floats has while it rounds under the mask of a layer so far; NULL, or one without: none. */
double lb_round_bytes(const lb_storage *s, const lb_cost_of *of);
/* Bytes of a layer as lb_layer_new makes it. */
double lb_layer_bytes(const lb_storage *s, int64_t rows, int64_t cols);

#endif
