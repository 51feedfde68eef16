/* The difference of two sides over the same windows, each one cell or one cell a seed: an interval that covers the
 * seeds and windows that might have been drawn, and the p that belongs to it. */
#ifndef LB_RESULT_CONTRAST_H
#define LB_RESULT_CONTRAST_H

#include "result/quality.h"

typedef struct lb_side {
    const double *const *nll; /* (seeds, windows) mean NLL of each window, nats */
    const uint64_t *seed;     /* (seeds) each once */
    int64_t seeds;
} lb_side;

typedef struct lb_contrast {
    lb_paired d;       /* a - b */
    double sd;         /* over seeds, of one seed's difference; NaN: one seed on each side */
    double p;          /* two-sided, of no difference; NaN: one window */
    int64_t seeds;     /* of a */
    bool paired_seeds; /* the difference was taken seed by seed */
} lb_contrast;

/* One seed on both sides: lb_paired_test. Seeds on one side: lb_seeds_difference. The same seeds on both: the
 * difference of each seed, then as that against 0. Other seeds: two samples, so three parts, the seeds of a, those of
 * b, and the windows' blocks of the difference of the means over seeds, half widths in quadrature as there (Howe 1974).
 * Welch's degrees of freedom would be for the first two together; where one side has two seeds and the other many, such
 * an interval holds the difference in 89 of 100 draws only. p is the level at which the interval touches 0. */
LB_NODISCARD lb_status lb_contrast_of(const lb_side *a, const lb_side *b, int64_t windows, lb_contrast *out);
/* The interval is there and 0 is not in it. */
bool lb_contrast_differs(const lb_contrast *c);

/* p of n comparisons, each adjusted by Holm's step-down method (Holm 1979): below q, the comparison holds with a
 * family-wise error of q at most. NaN, which is none, stays NaN and is not counted. */
void lb_holm(double *p, int64_t n);

#endif
