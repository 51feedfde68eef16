/* Is a number of ours that of a paper? Numbers in, a verdict out; docs/experiments.md has the rules. */
#ifndef LB_REPORT_VERDICT_H
#define LB_REPORT_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#define LB_VERDICT_SEEDS 3 /* of a method that draws, at the least */

typedef enum lb_verdict_kind {
    LB_VERDICT_DIGIT,      /* agrees to the last printed digit */
    LB_VERDICT_SPREAD,     /* another draw of ours may fall within what was published of the same cell */
    LB_VERDICT_TOLERANCE,  /* no, but the mean is as near as the published ones of such methods are repeated */
    LB_VERDICT_DIFFERS,    /* none of these */
    LB_VERDICT_SEEDS_FEW,  /* a method that draws, and fewer seeds than that */
    LB_VERDICT_SHOWN,      /* never compared: another protocol, a number that is not to be relied on */
    LB_VERDICT_LITERATURE, /* the method is not here */
    LB_VERDICT_NOT_RUN
} lb_verdict_kind;

typedef struct lb_verdict_case {
    double value, half_unit; /* as published, and half a unit of its last digit */
    double low, high;        /* of all published ones of the cell, each widened by its half unit */
    double tolerance;        /* absolute; 0: none */
    bool exact;              /* full precision, or rounding alone: nothing in it may differ */
    bool draws;              /* the seed decides */
    const double *ours;      /* (seeds) */
    int64_t seeds;
} lb_verdict_case;

typedef struct lb_verdict {
    lb_verdict_kind kind;
    double mean, half; /* of ours; half of the 95 % interval of one more seed, NaN: of fewer than two */
} lb_verdict;

lb_verdict lb_verdict_of(const lb_verdict_case *c);

#endif
