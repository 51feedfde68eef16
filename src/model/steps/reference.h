/* The plain reference of a program: every step on whole arrays, in float64, as its definition says. It shares nothing
 * with the fast way to run one (no panels, no tiles, no buffers used twice): tests hold the fast way against it. */
#ifndef LB_MODEL_STEPS_REFERENCE_H
#define LB_MODEL_STEPS_REFERENCE_H

#include "math/actquant.h"
#include "math/mat.h"
#include "model/program.h"
#include "quant/transform.h"

/* A parameter or a site's weight: W (rows, cols) and bias (rows); a norm's weight is one row, its bias as long. */
typedef struct lb_ref_param {
    lb_cmat W;         /* d NULL: there is none */
    const float *bias; /* or NULL */
    lb_transform T;    /* of its input, */
    lb_actquant act;   /* and then */
} lb_ref_param;
/* By name, block (-1: outside) and expert (-1: none). What is not there is no error here. */
typedef struct lb_ref_params {
    lb_status (*get)(const void *ctx, const char *name, int64_t block, int64_t expert, lb_ref_param *out);
    const void *ctx;
} lb_ref_params;

/* d (T, cols) */
typedef struct lb_ref_value {
    const char *name;
    double *d;
    int64_t cols;
} lb_ref_value;
enum { LB_REF_VALUES = 24 };

typedef struct lb_reference {
    lb_arena *arena;
    const lb_program *program;
    const lb_numbers *numbers;
    const lb_ref_params *params;
    const int32_t *token; /* (T) */
    int64_t T;
    int64_t block, expert; /* where it is: -1 outside */
    lb_ref_value value[LB_REF_VALUES];
    int values;
} lb_reference;

/* Runs the whole program on tokens (T). Values stay in `out` (their arrays in the arena): x, and what the part after
 * the blocks made. LB_E_FORMAT: a step whose shapes do not fit, with the block and the step. */
LB_NODISCARD lb_status lb_reference_run(lb_arena *a, const lb_program *p, const lb_numbers *n,
                                        const lb_ref_params *params, const int32_t *token, int64_t T,
                                        lb_reference *out);
const lb_ref_value *lb_reference_value(const lb_reference *r, const char *name); /* NULL: none */

/* For steps. An operand that is a value. */
LB_NODISCARD lb_status lb_ref_operand(const lb_reference *r, const lb_step *s, int k, lb_ref_value *out);
/* An operand that is a parameter or a site, of the block (and expert) that the step runs in. */
LB_NODISCARD lb_status lb_ref_param_of(const lb_reference *r, const lb_step *s, int k, lb_ref_param *out);
/* The same; LB_E_FORMAT where it is not there or does not read `cols` columns. */
LB_NODISCARD lb_status lb_ref_site(const lb_reference *r, const lb_step *s, int k, int64_t cols, lb_ref_param *out);
LB_NODISCARD lb_status lb_ref_arg(const lb_reference *r, const lb_step *s, int k, double *out);
LB_NODISCARD lb_status lb_ref_count(const lb_reference *r, const char *number, int64_t *out); /* positive, whole */
/* Room for (T, cols), zeroed. */
LB_NODISCARD lb_status lb_ref_new(const lb_reference *r, int64_t cols, double **out);
/* Result k becomes y (T, cols), or y is added to what it was. */
LB_NODISCARD lb_status lb_ref_write(lb_reference *r, const lb_step *s, int k, double *y, int64_t cols);
/* "block 3: step '...': " and why. */
LB_NODISCARD lb_status lb_ref_fail(const lb_reference *r, const lb_step *s, const char *why);
/* A list of steps from here on, in this state: a program's part, an expert. */
LB_NODISCARD lb_status lb_ref_steps(lb_reference *r, const lb_steps *steps);
/* y (T, rows) = q(T x) Wᵀ + bias. */
LB_NODISCARD lb_status lb_ref_product(const lb_reference *r, const lb_ref_param *p, const double *x, double **y);

/* What the number rope_kind says (steps/rope.c). */
enum {
    LB_REF_ROPE_DEFAULT,
    LB_REF_ROPE_LINEAR,
    LB_REF_ROPE_DYNAMIC,
    LB_REF_ROPE_LLAMA3,
    LB_REF_ROPE_YARN,
    LB_REF_ROPE_LONGROPE
};
/* Words of `fn=`, and the function. */
extern const char *const lb_act_words[];
double lb_act_ref(int fn, double x);

#endif
