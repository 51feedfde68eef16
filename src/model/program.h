/* A model as a program: a short list of steps on named values, once for what comes before the blocks, once for a block,
 * once for what comes after, and once for an expert where there are experts.
 *
 *   program  STEP; STEP; ...
 *   step     [?NUMBER | ?!NUMBER] RESULT... (= | +=) OPERATION OPERAND... ARGUMENT=VALUE...
 *
 * ?NUMBER: only in blocks where that number is not zero (?!NUMBER: where it is). += adds to a value. Operands are
 * values, and what an operation says it takes beside them: a parameter (a norm's weight, a table of embeddings) or a
 * site, which is a linear layer. An argument's value is a number, one of the words that the operation knows, or the
 * name of a number of the architecture. `x` runs through all parts; every other value ends with its part. */
#ifndef LB_MODEL_PROGRAM_H
#define LB_MODEL_PROGRAM_H

#include "base/mem.h"
#include "base/team.h"

/* A scalar of an architecture: one for all blocks, or one a block; or a list (the factors of a rotary table). */
typedef struct lb_number {
    const char *name;
    double all;
    const double *block; /* (blocks), or NULL: `all` in each of them */
    const double *list;  /* (listed), or NULL */
    int64_t listed;
    const char *key; /* of the file, whose value (or default) it is; NULL: a rule made it */
} lb_number;
typedef struct lb_numbers {
    const lb_number *at;
    int64_t n, blocks;
} lb_numbers;
const lb_number *lb_number_find(const lb_numbers *n, const char *name); /* NULL: none */
const char *lb_number_called(const lb_numbers *n, const char *name);    /* its key, else `name`: for messages */
/* In this block; outside the blocks (block < 0) the number for all. LB_E_FORMAT: there is none, or, outside the blocks,
 * it differs by block. */
LB_NODISCARD lb_status lb_number_get(const lb_numbers *n, const char *name, int64_t block, double *out);

/* What an operation may be told. */
typedef struct lb_op_arg {
    const char *name;
    const char *const *words; /* the value is one of these, or a number that is an index into them; NULL: a number */
    const char *absent;       /* its value where the step does not say; NULL: the step must */
} lb_op_arg;

struct lb_step;
struct lb_reference;
struct lb_net;
struct lb_net_step;
struct lb_train;
struct lb_rows;
#define LB_READS_RESULT 128u
struct lb_exec_at;
enum { LB_STEP_RESULTS = 3, LB_STEP_OPERANDS = 3, LB_STEP_ARGS = 5 };

/* What a step needs at a time: its own row, all rows of the sequence, or those that are routed to an expert. */
typedef enum lb_reach { LB_BY_ROW, LB_BY_SEQUENCE, LB_BY_EXPERT } lb_reach;
/* What the shape rule of an operation is told: the widths of its operands that are values, the shape of its site, table
 * or weight, and the numbers by name. */
typedef struct lb_shaping {
    const lb_numbers *numbers;
    int64_t block;
    int64_t cols[LB_STEP_OPERANDS];
    int64_t rows, width; /* (rows, width) of the operand that is no value; 0: there is none */
} lb_shaping;

/* A number that must be positive and whole; false: it is not, or there is none. */
bool lb_shaping_count(const lb_shaping *s, const char *number, int64_t *out);

/* What can give a result whose channels are multiplied by positive numbers (model/fold.h). */
typedef enum lb_scaled_by {
    LB_SCALED_NOT,
    LB_SCALED_OPERAND,   /* the channels of an operand, multiplied by them */
    LB_SCALED_PARAMETER, /* the elements of the step's weight and bias */
    LB_SCALED_ROWS       /* the rows of its site, and of that one's bias */
} lb_scaled_by;
typedef struct lb_scaling {
    const struct lb_net *net;
    int result;       /* which of the step's */
    int64_t cols;     /* of it */
    int32_t *channel; /* (n) columns of the result; what answers makes of them the operand's, elements or rows */
    int64_t n;
    int operand; /* out: which */
    double one;  /* out: the weight is kept less so much */
} lb_scaling;

/* An operation: one file in steps/. */
typedef struct lb_op {
    const char *name;
    const char *operands;            /* one letter each: v a value, w a parameter, s a site, e a table of embeddings,
                                        t `token` or `position` */
    int results;                     /* at most */
    lb_op_arg arg[LB_STEP_ARGS + 1]; /* up to the one without a name */
    lb_reach reach;
    bool keeps_no_result; /* head: the logits never exist as a whole */
    unsigned in_place;    /* bit k: the result may take the place of operand k, where nobody reads that later */
    /* The width of each result, and what of `step` the widths and numbers settle. Returns NULL, or what does not fit.
     */
    const char *(*shape)(const lb_shaping *s, struct lb_net_step *step, int64_t cols[LB_STEP_RESULTS]);
    /* A scale of a result's channels, where it can be had from something else; NULL: it cannot. */
    lb_scaled_by (*passes)(const struct lb_net_step *s, lb_scaling *x);
    unsigned undone; /* bit k: a scale of operand k's channels can be undone in the columns of the site, and of what
                        reads it in experts */
    /* Training (steps/train.h): the result from the operands, and the operands' gradients from the result's, for some
     * rows; or, where the operation needs them all, for all. */
    unsigned reads;                                /* bit k: the way back reads operand k; LB_READS_RESULT */
    bool again;                                    /* the result is made again for the way back, not kept */
    int64_t (*keeps)(const struct lb_net_step *s); /* floats a row: of its own, kept for the way back */
    int64_t (*room)(const struct lb_net_step *s);  /* and while it goes back */
    lb_status (*train)(const struct lb_train *t, const struct lb_net_step *s, const struct lb_rows *r);
    lb_status (*back)(const struct lb_train *t, const struct lb_net_step *s, const struct lb_rows *r);
    lb_status (*train_all)(const struct lb_train *t, const struct lb_net_step *s, lb_team *team);
    lb_status (*back_all)(const struct lb_train *t, const struct lb_net_step *s, lb_team *team);
    /* Rows [r0, r0 + rows) of the result, in float32 (model/exec_impl.h). Of all rows, where the reach is not
     * LB_BY_ROW: it then shares its pieces out itself. */
    lb_status (*forward)(struct lb_exec_at *x, const struct lb_net_step *s, int64_t r0, int64_t rows);
    /* The plain reference: float64, the whole sequence at once (steps/reference.h). */
    lb_status (*reference)(struct lb_reference *r, const struct lb_step *s);
} lb_op;
extern const lb_op *const lb_ops[]; /* NULL-terminated */

typedef struct lb_arg {
    const char *number; /* a number of the architecture, or NULL: */
    double literal;
} lb_arg;

typedef struct lb_step {
    const lb_op *op;
    const char *when; /* a number, or NULL: in every block */
    bool unless;      /* where it is zero */
    bool add;
    const char *result[LB_STEP_RESULTS];
    const char *operand[LB_STEP_OPERANDS];
    int results;
    lb_arg arg[LB_STEP_ARGS]; /* in the operation's order */
    const char *text;         /* for messages */
} lb_step;

typedef struct lb_steps {
    const lb_step *at;
    int64_t n;
} lb_steps;
/* From text, into the arena; `whose` starts a message ("llama: block"). LB_E_FORMAT names the step and what is wrong.
 */
LB_NODISCARD lb_status lb_steps_parse(lb_arena *a, const char *whose, const char *text, lb_steps *out);

typedef struct lb_program_text {
    const char *before, *block, *after, *expert; /* expert: NULL where there are none */
} lb_program_text;
typedef struct lb_program {
    lb_steps before, block, after, expert;
} lb_program;
LB_NODISCARD lb_status lb_program_parse(lb_arena *a, const char *whose, const lb_program_text *text, lb_program *out);

/* Does the step run in this block? */
LB_NODISCARD lb_status lb_step_runs(const lb_step *s, const lb_numbers *n, int64_t block, bool *out);
/* Its kth argument in this block. */
LB_NODISCARD lb_status lb_step_arg(const lb_step *s, int k, const lb_numbers *n, int64_t block, double *out);

#endif
