/* McNemar's test (Psychometrika 12:153, 1947) of two models on the same items, in its exact form: of the items that one
 * model alone has right each is as likely the other's, if they do not differ. */
#ifndef LB_RESULT_MCNEMAR_H
#define LB_RESULT_MCNEMAR_H

#include <stdint.h>

#include "base/status.h"

typedef struct lb_mcnemar {
    int64_t worse, better; /* items that the baseline alone has right, and this model alone */
    double p;              /* two-sided: 2 P(X <= min(worse, better)), X binomial of their sum and 1/2, at most 1 */
} lb_mcnemar;
/* right, base (n): 1 for an item that is answered right, else 0. */
void lb_mcnemar_of(const uint8_t *right, const uint8_t *base, int64_t n, lb_mcnemar *out);
/* Of counts that are known. */
double lb_mcnemar_p(int64_t worse, int64_t better);

/* The same of two sides that are several models each, such as seeds: right (m, n), base (k, n). The unit is the item,
 * which all of them answer: it has the difference of the two sides' shares of right answers, and p is the share of the
 * ways to give each item's difference a sign whose sum is as far from 0 as the one that is there, or farther (Fisher,
 * The Design of Experiments, 1935, section 21). Of one model a side it is the test above.
 * LB_E_ARG: a side has no model. */
LB_NODISCARD lb_status lb_mcnemar_seeds(const uint8_t *const *right, int64_t m, const uint8_t *const *base, int64_t k,
                                        int64_t n, double *p);

#endif
