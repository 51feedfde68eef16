/* How a part of a net is trained: which values are kept for the way back and which are made again, the order of the way
 * back, and where every value and gradient lives. All of it follows from the program.
 *
 * The way back goes over the values of a part, last first. A value's gradient is what its readers give, in program
 * order; so a reader gives its share when its operand's turn comes (its result's turn was before), and a step that
 * reads several values when the turn of the last of them comes. A value that a step adds to passes its gradient on:
 * what the sum's gradient is comes first. Row-wise steps in a row make a phase, which goes panel by panel; steps that
 * need all rows are phases of their own. Within a phase no two values share memory, because panels are at different
 * steps; memory is shared between phases, by lifetime; what weights' gradients are
 * the products of stays to the part's end. */
#ifndef LB_MODEL_TRAIN_PLAN_H
#define LB_MODEL_TRAIN_PLAN_H

#include "model/net.h"

typedef enum lb_area {
    LB_AREA_NONE,
    LB_AREA_IN, /* what enters the part, and what leaves it: their owner is whoever runs the part */
    LB_AREA_OUT,
    LB_AREA_KEPT, /* for the way back */
    LB_AREA_POOL  /* for this part alone */
} lb_area;
/* A place of (rows, cols): the area's rows * at. */
typedef struct lb_place {
    lb_area area;
    int64_t at;
} lb_place;

typedef struct lb_plan_value {
    lb_place forth, back; /* the value, forward and on the way back */
    lb_place grad;
} lb_plan_value;

typedef struct lb_plan_step {
    int32_t base[LB_STEP_OPERANDS]; /* what its share is added to: the gradient of that value; -1: nothing */
    lb_place kept, room;            /* what the step asked for */
    int64_t sums;                   /* of a panel: where its vectors' gradients are */
    struct lb_plan *expert;         /* of experts: one for all */
} lb_plan_step;

typedef struct lb_phase {
    bool all;              /* one step that needs all rows; else row-wise ones */
    int32_t first, steps;  /* lb_plan.forth or .back: [first ...] */
    int32_t again, remade; /* lb_plan.again: [again ...]: steps that are run again before */
} lb_phase;

typedef struct lb_plan {
    const lb_net_part *part;
    const int64_t *cols; /* of each value; of experts the widest one's */
    lb_plan_value *value;
    lb_plan_step *step;
    int32_t steps; /* without the head */
    lb_phase *forth, *back;
    int32_t forths, backs;
    int32_t *order, *again; /* steps: of the way back, and those made again */
    int64_t kept, pool;     /* floats a row */
    int64_t sums;           /* floats a panel */
    int32_t sites;          /* steps that multiply by a site's weights */
} lb_plan;

/* Of a part; `same`: others of the same steps and other widths (experts), count of them. LB_E_FORMAT: a value that
 * nothing reads; LB_E_UNSUPPORTED: what only a whole sequence can do, for an expert's rows. */
LB_NODISCARD lb_status lb_plan_new(lb_arena *a, const lb_net *net, const lb_net_part *same, int64_t count,
                                   lb_plan **out);
/* Of a step that multiplies by a site's weights: linear, experts. */
static inline bool lb_plan_multiplies(const lb_net_step *s) { return s->site >= 0 && s->op->operands[0] == 'v'; }

#endif
