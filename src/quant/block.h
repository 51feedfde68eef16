/* What a block-scope method sees of a block, and gives back. One that has LB_PRESERVES gives linear changes T of
 * inputs, undone in the weights that read them: y = W x = (W T^-1) (T x). The harness folds T, where it is a scale,
 * into what makes the input, or keeps it at run time as part of each layer that reads it; either way the model computes
 * what it did, which is checked. One without it compresses: it gives layers. */
#ifndef LB_QUANT_BLOCK_H
#define LB_QUANT_BLOCK_H

#include "quant/method.h"

struct lb_transform;

/* A value that sites of the block read. */
typedef struct lb_block_input {
    const char *name, *role; /* of its first reader: "3.q", "q" */
    int64_t cols;
    const lb_stats *stats; /* of the model as it is now; NULL unless the method needs some, and without `quantize` */
    lb_kept *kept;         /* NULL likewise */
    const int32_t *tied;   /* (cols) in [0, cols): to be folded, channels of one number must have one scale, as of rows
                              of v that several query heads read; NULL: all are free */
    const void *opts;      /* the method's, after rules, at the first layer to quantize that reads it */
    int64_t sequences, length; /* of the calibration, none is longer; 0: the config names no text */
    int32_t section;           /* in which it is read */
    bool foldable;             /* a positive scale a channel can be folded into what makes this value: not behind a
                                  rotation that a stage before keeps */
    bool behind_norm;          /* ... which is a norm */
    bool quantize;             /* some layer to quantize reads it; else a T of it is not used */
} lb_block_input;

typedef struct lb_block_site {
    const char *name, *role; /* "3.q", "q" */
    lb_cmat W;               /* (out, in) the target, of the model as it is now */
    const void *opts;        /* the method's, after rules */
    uint64_t seed;
    lb_storage storage; /* compressing: as spec said; LB_PRESERVES: of the layer in the end, but for T */
    int32_t input;      /* in lb_block_in.input */
    bool quantize;      /* it is to be compressed */
} lb_block_site;

typedef struct lb_block_in {
    int64_t block;
    const lb_block_site *site;
    int32_t sites;
    const lb_block_input *input;
    int32_t inputs;
    int32_t sections;
    int64_t sequences, length, dim; /* of the calibration, none is longer; 0 unless the method needs something of it */
    uint64_t seed;
    lb_arena *scratch; /* freed after the call */
    lb_arena *arena;   /* for what is returned */
    lb_team *team;
    lb_log *log;
    /* With LB_NEEDS_FORWARD. A section is a range of steps between two places where nothing but the residual x is
     * alive; below 0: the whole block. x of the calibration's sequence s as it enters the section (of the model as it
     * is now), through it with these matrices: W (sites), where W[i].d NULL or W NULL: the site's own.
     * y (lb_block_length, dim). Each call uses the team: not from its pieces. */
    lb_status (*forward)(const struct lb_block_in *in, int32_t section, int64_t s, const lb_cmat *W, lb_mat y);
    /* d loss / d W of the section's sites (dW[i].d NULL: not wanted; added to), given d loss / d y. dx may be {0}. */
    lb_status (*backward)(const struct lb_block_in *in, int32_t section, int64_t s, const lb_cmat *W, lb_cmat dy,
                          const lb_mat *dW, lb_mat dx);
    void *impl;
    const int64_t *start; /* (sequences + 1) of their tokens the first of each, and the end; NULL: all have `length` */
} lb_block_in;
/* Tokens of sequence s, and of those before it. */
static inline int64_t lb_block_length(const lb_block_in *in, int64_t s) {
    return in->start ? in->start[s + 1] - in->start[s] : in->length;
}
static inline int64_t lb_block_start(const lb_block_in *in, int64_t s) {
    return in->start ? in->start[s] : s * in->length;
}

/* Arrays that the harness made, all zero. An input with `quantize` whose spec_input said that it is folded may get a
 * scale (1 everywhere, or none: no change); one whose spec_input said what is stored gets just that. */
typedef struct lb_block_out {
    lb_layer *layer;        /* (sites) compressing: a layer for each site with quantize */
    struct lb_transform *T; /* (inputs) LB_PRESERVES: the change of each input, as its spec_input said: a scale alone
                               where that is folded, else with just what is stored. T.scale multiplies x: where a paper
                               has x / s and W s (SmoothQuant, AWQ) it is 1 / s. All zero without `quantize` */
} lb_block_out;

#endif
