/* Running a net forward on one sequence: the steps of each part, run by run, row-wise steps panel by panel. No T x T
 * matrix exists; activations are float32. The rows of a panel depend on shapes, and on whether there is a team, alone;
 * and both give the same bytes (exec_panels.c), so these come out at any number of threads. */
#ifndef LB_MODEL_EXEC_H
#define LB_MODEL_EXEC_H

#include "base/team.h"
#include "math/actquant.h"
#include "math/bf16.h"
#include "math/mat.h"
#include "model/net.h"
#include "quant/transform.h"

/* Where the rows of a matrix come from that is not in memory as float32: a mapped tensor, a compressed layer. read
 * gives rows [row, row + rows) as float32, out (rows, cols); the same numbers whoever asks, from any thread. */
typedef struct lb_rows_source {
    lb_status (*read)(const void *ctx, int64_t row, int64_t rows, float *out);
    const void *ctx;
} lb_rows_source;

/* How a site's weights stand, and what is done to its input: y = q(T x) Wᵀ. W.d NULL: they are not in memory, and
 * `from` gives its rows (model/weights.h brings a block there). */
typedef struct lb_linop {
    lb_cmat W;           /* (out, in) */
    lb_rows_source from; /* of a matrix that is not in memory */
    lb_bf16_mat half;    /* rounded, for products in bfloat16; d NULL: products in float32 */
    lb_transform T;      /* change of the input, which W undoes; arrays never owned */
    lb_actquant act;     /* simulated quantization of what that gives; bits 0: none */
} lb_linop;
/* The numbers of a net, as views (never owned): a cell copies the structs and swaps pointers. */
typedef struct lb_weights {
    lb_linop *site;       /* (net.sites); of a site that is another one's, that one's */
    const float **vector; /* (net.vectors) */
} lb_weights;

typedef struct lb_exec lb_exec;
/* Scratch for one sequence of up to `length` tokens. team NULL: it runs on the calling thread, as callers do that run
 * sequences side by side; else its pieces go over the team. Same bytes. */
LB_NODISCARD lb_status lb_exec_new(lb_arena *a, const lb_net *n, int64_t length, lb_team *team, lb_exec **out);
/* Room for rounded inputs too, from the same arena: for weights whose products are in bfloat16. */
LB_NODISCARD lb_status lb_exec_add_half(lb_arena *a, lb_exec *e);

/* An input of sites, before any T and simulated quantization, copied out: to (T, cols). Of an expert, the rows that
 * were routed to it, in order; or all rows, which then run through it without any share in what the block gives. */
typedef struct lb_tap {
    int32_t input; /* in net.input */
    lb_mat to;
    bool all;
    int64_t rows;   /* out */
    int32_t *token; /* out (T), or NULL: of an expert, the tokens whose rows they are */
} lb_tap;
typedef struct lb_capture {
    lb_tap *tap;
    int32_t taps;
    bool stop; /* leave as soon as all are known: x is then not changed */
    /* out (T), or NULL: the attention that each token receives in the block, softmax weights summed over heads and
     * queries; known in time for all that is captured. Left as it is where the block has no attention. */
    double *received;
} lb_capture;

/* The part before the blocks: x (T, net.dim). LB_E_ARG: a token out of range. */
LB_NODISCARD lb_status lb_exec_embed(lb_exec *e, const lb_weights *w, const int32_t *tokens, int64_t T, lb_mat x);
/* x (T, dim) in place through one block, whose sites are all in memory (or rounded). cap may be NULL. */
LB_NODISCARD lb_status lb_exec_block(lb_exec *e, const lb_weights *w, int64_t block, lb_mat x, lb_capture *cap);
/* The same through one section of it, in net.block[block].section; LB_WHOLE_BLOCK: all. The bytes of the whole block at
 * that place. */
enum { LB_WHOLE_BLOCK = -1 };
LB_NODISCARD lb_status lb_exec_section(lb_exec *e, const lb_weights *w, int64_t block, int32_t section, lb_mat x,
                                       lb_capture *cap);
/* What a site outside the blocks reads, tap->to (T, cols): of those before them from the tokens; of those behind from
 * x, the head among them. The other is not looked at, and neither changes. */
LB_NODISCARD lb_status lb_exec_outside(lb_exec *e, const lb_weights *w, const int32_t *tokens, lb_cmat x, lb_tap *tap);
/* What the head reads: h (T, cols of the head); h may be x where both are equally wide. */
LB_NODISCARD lb_status lb_exec_final(lb_exec *e, const lb_weights *w, lb_mat x, lb_mat h);

#endif
