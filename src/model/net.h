/* A program made concrete for one architecture: every step of every block with its numbers, sites, parameters and
 * values found. Interpreters (forward, backward), loaders and the harness read this; nobody counts layers by hand.
 *
 * A site is a linear layer, or a table of embeddings, as the family cuts it. Its id is its place in lb_net.site: what
 * comes before the blocks, then block by block in program order (experts in order), then what comes after. Every write
 * of a step makes a new value; sites whose block, expert and value are equal read one input. */
#ifndef LB_MODEL_NET_H
#define LB_MODEL_NET_H

#include "model/program.h"

/* Of a parameter or a site's weight: (rows, cols); a vector has one row. */
typedef struct lb_net_shape {
    int64_t rows, cols; /* rows 0: there is none */
    bool bias;
    int64_t back; /* so many blocks back is the one whose weights (and bias) these are; 0: its own */
} lb_net_shape;
/* By the name that a program uses, block and expert (-1: none). */
typedef struct lb_net_shapes {
    lb_status (*get)(const void *ctx, const char *name, int64_t block, int64_t expert, lb_net_shape *out);
    const void *ctx;
} lb_net_shapes;

#define LB_SITE_NAME 48
typedef struct lb_site {
    char name[LB_SITE_NAME]; /* "3.q", "3.expert.5.down", "head" */
    const char *role;        /* "q", "down", "head": as in the program */
    int32_t block, expert;   /* -1: outside the blocks; no expert's */
    int32_t input;           /* in lb_net.input; -1: a table, which nothing is multiplied by */
    int32_t bias;            /* in lb_net.vector; -1: none */
    int32_t same_as;         /* the site whose weights these are; -1: its own. A tied head: the embedding; a block that
                                shares another's: that one's, whose bias is its own too */
    bool routes;             /* what it gives says how much others count: a router; a layer of one output */
    int64_t rows, cols;      /* (out, in) */
} lb_site;
/* What sites read: a value of a block (or of an expert of it). */
typedef struct lb_net_input {
    int32_t block, expert, value;
    int32_t first, sites; /* lb_net.reader[first ...]: the sites that read it, in program order */
    int64_t cols;
} lb_net_input;
/* A parameter that is no matrix: a norm's weight, a bias. */
typedef struct lb_vector {
    char name[LB_SITE_NAME]; /* "3.attn_norm", "3.q.bias" */
    const char *role;        /* "attn_norm", "q" */
    bool bias;
    int32_t block, expert;
    int32_t same_as; /* the vector whose numbers these are; -1: its own */
    int64_t n;
} lb_vector;

/* Where a value lives while a sequence of T rows runs. */
typedef enum lb_room {
    LB_ROOM_X,    /* the residual stream, (T, dim), which the caller owns */
    LB_ROOM_ROWS, /* T rows: it lives on from one run to the next */
    LB_ROOM_PANEL /* the rows of a panel */
} lb_room;
typedef struct lb_value {
    const char *name;
    int64_t cols;
    int32_t born, last; /* the step that writes it (-1: it enters the part) and the last that reads it
                           (lb_net_part.steps: it leaves the part) */
    int32_t input;      /* of the sites that read it; -1: none */
    lb_room room;
    int32_t buffer; /* in lb_net_part.buffer; not for LB_ROOM_X */
} lb_value;

struct lb_net_part;
typedef struct lb_net_step {
    const lb_op *op;
    const char *text;
    double arg[LB_STEP_ARGS];
    int32_t src[LB_STEP_OPERANDS]; /* values, by operand; -1: the operand is something else */
    int32_t dst[LB_STEP_RESULTS];  /* values */
    int32_t into;                  /* += : the value that the result is added to, in its place; else -1 */
    int32_t results;
    int32_t site;                      /* of linear, head, experts (its router); embed: its table; else -1 */
    int32_t weight, bias;              /* of norm, in lb_net.vector; -1: none */
    bool token;                        /* embed: by token, else by position */
    int64_t head_dim, heads, kv_heads; /* of attend, rope, split: as the operands' widths say (rope: heads alone) */
    int32_t rope;                      /* of rope, in lb_net.rope; else -1 */
    const struct lb_net_part *expert;  /* of experts: (n_experts) */
    int64_t n_experts;
} lb_net_step;

/* Consecutive steps that may go panel by panel (LB_BY_ROW), or one step that needs all rows. */
typedef struct lb_run {
    int32_t first, steps;
    lb_reach reach;
} lb_run;
/* Steps of a block that nothing but x enters and leaves: attention, then the MLP; all of a block that has them side by
 * side. Each has a site, and steps without one that could go to either of two go to the first. */
typedef struct lb_net_section {
    int32_t first, steps;
} lb_net_section;
typedef struct lb_buffer {
    lb_room room;
    int64_t cols;
} lb_buffer;
typedef struct lb_net_part {
    const lb_net_step *step;
    const lb_value *value;
    const lb_run *run;
    const lb_buffer *buffer;
    const lb_net_section *section; /* of a block, one after another */
    int32_t steps, values, runs, buffers, sections;
    int32_t entering;             /* the value `x` that enters (an expert's: n); -1: none does */
    int32_t leaving;              /* the value `x` that leaves (an expert's: y) */
    int64_t row_cols, panel_cols; /* floats a row of all buffers of either room */
} lb_net_part;

/* The numbers that make a table of rotary angles; equal ones share it. */
typedef struct lb_rope_spec {
    int kind; /* LB_ROPE_... of steps/rope.c */
    int64_t dims;
    bool pairs;
    double base, factor, low, high, original, magnitude, fast, slow, context;
    bool untruncated;                         /* yarn's ramp begins and ends between two pairs */
    const double *short_factor, *long_factor; /* (pairs of dims), longrope */
} lb_rope_spec;

/* A tensor of the model: a site's matrix or a vector; the other is -1. */
typedef struct lb_net_slot {
    int32_t site, vector;
} lb_net_slot;

/* Where a block's begin; they end where the next one's do. */
typedef struct lb_net_span {
    int32_t site, input, vector, slot;
} lb_net_span;

typedef struct lb_net {
    const lb_program *program;
    const lb_numbers *numbers;
    int64_t blocks, dim, vocab;
    int64_t context; /* the longest sequence; 0: the architecture names none, or positions grow with it */
    const lb_site *site;
    const lb_net_input *input;
    const lb_vector *vector;
    const lb_rope_spec *rope;
    const int32_t *reader;
    const lb_net_slot *slot; /* every tensor in program order, but those that are another one's */
    int32_t slots;
    int32_t sites, inputs, vectors, ropes;
    lb_net_part before, after; /* after: its last step is the head */
    const lb_net_part *block;  /* (blocks) */
    const lb_net_span *span;   /* (blocks + 1) */
    int32_t embed, head;       /* sites */
    int32_t head_input;        /* the value of `after` that the head reads */
} lb_net;

/* tied: the head's weights are the embedding's. Program and numbers stay the caller's. LB_E_FORMAT names block
 * and step: a value nobody wrote, widths that do not fit, a site without a shape, weights of another block that has
 * none such, or of another shape. */
LB_NODISCARD lb_status lb_net_new(lb_arena *a, const lb_program *p, const lb_numbers *n, const lb_net_shapes *shapes,
                                  bool tied, lb_net **out);
/* Everything that has weights of its own, in program order: a norm's weight and bias, a site and its bias, a block's
 * after the block before it, an expert's after its router. */
typedef struct lb_net_param {
    int32_t site, vector; /* one of them -1 */
} lb_net_param;
LB_NODISCARD lb_status lb_net_params(lb_arena *a, const lb_net *n, lb_net_param **out, int32_t *count);
/* -1: none of that name ("3.q"). */
int32_t lb_net_find(const lb_net *n, const char *name);
/* The site of that role in a block; -1: it has none. */
int32_t lb_net_site(const lb_net *n, int64_t block, const char *role);
/* Those of a block: [*first, *first + returned). */
int32_t lb_net_block(const lb_net *n, int64_t block, int32_t *first);
/* The inputs that they read, likewise, in program order. */
int32_t lb_net_inputs(const lb_net *n, int64_t block, int32_t *first);
/* The vector of that role; -1: there is none. */
int32_t lb_net_vector(const lb_net *n, int64_t block, int64_t expert, const char *role, bool bias);
/* The step of its block that a site of the block is read by; of an expert's, the experts' one. */
int32_t lb_net_step_of(const lb_net *n, int32_t site);
/* The section of its block in which an input is read. */
int32_t lb_net_section_of(const lb_net *n, int32_t input);
/* Is it a linear layer outside the blocks that is not the head: one that a pass multiplies by as a whole, so that its
 * weights are in memory whatever becomes of the others? */
bool lb_net_between(const lb_net *n, int32_t site);
/* The site whose weights these are: itself, unless it is another one's. */
int32_t lb_net_owner(const lb_net *n, int32_t site);
/* Layers of blocks that are another block's. */
int32_t lb_net_shared(const lb_net *n);
int32_t lb_net_vector_owner(const lb_net *n, int32_t vector); /* likewise */

/* Tensors. -1: none of that name ("3.attn_norm"). */
int32_t lb_slot_find(const lb_net *n, const char *name);
const char *lb_slot_name(const lb_net *n, int32_t slot);
/* (rows, cols); a vector has one row. */
void lb_slot_shape(const lb_net *n, int32_t slot, int64_t *rows, int64_t *cols);

#endif
