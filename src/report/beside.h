/* Published numbers beside ours: which cells a row means, and what is to be said of it. */
#ifndef LB_REPORT_BESIDE_H
#define LB_REPORT_BESIDE_H

#include "report/expected.h"
#include "report/verdict.h"

typedef struct lb_beside {
    lb_verdict verdict;
    double value, half_unit; /* as published */
    int64_t seeds;           /* of ours; 0: there is none */
    double low, high;        /* of the values published of the cell that count */
    int64_t values;
    const char *why; /* of NOT_RUN, SHOWN and SEEDS_FEW; NULL elsewhere */
} lb_beside;

/* Which of the published rows the expected one is; NULL: none, or there is no such list. */
LB_NODISCARD lb_status lb_published_row(lb_arena *a, const lb_papers *p, const lb_expectation *e,
                                        const lb_published **out);
/* Ours beside a row of a list of expected values. x: the published row that it is, may be NULL. */
LB_NODISCARD lb_status lb_beside_of(lb_arena *a, const lb_results *r, const lb_papers *p, const lb_expectation *e,
                                    const lb_published *x, lb_beside *out);
/* "agrees to the last digit", "within the literature's spread (3 values)", "shown, never compared (suspect)" */
LB_NODISCARD lb_status lb_beside_text(lb_arena *a, const lb_beside *b, const char **out);
/* Is the row of a model that the results are of? */
LB_NODISCARD lb_status lb_beside_of_model(lb_arena *a, const lb_results *r, const lb_expectation *e, bool *yes);
bool lb_beside_has_model(const lb_results *r, const char *name);
/* Is there a method of this name (of stages "rtn+act")? A list names one that is not as its paper does. */
bool lb_beside_has_method(const char *name);
bool lb_beside_draws(const char *name);               /* the seed decides what a method of this name gives */
const char *lb_beside_never(const lb_expectation *e); /* why nothing is compared with the row; NULL: it may be */
/* Decimals at which a difference to the number shows: one more than it has. */
int lb_beside_decimals(double half_unit);

#endif
