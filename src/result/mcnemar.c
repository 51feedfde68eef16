#include "result/mcnemar.h"

#include <math.h>

double lb_mcnemar_p(int64_t worse, int64_t better) {
    int64_t n = worse + better, least = worse < better ? worse : better;
    double log_term = -(double)n * log(2.0), tail = 0.0;
    if (worse == better) return 1.0;
    /* The log of binom(n, least) / 2^n; then downwards, where the terms shrink. */
    for (int64_t i = 1; i <= least; i++) log_term += log((double)(n - least + i) / (double)i);
    double term = exp(log_term);
    for (int64_t k = least; k >= 0 && term > 0; k--) {
        tail += term;
        term *= (double)k / (double)(n - k + 1);
    }
    return fmin(1.0, 2.0 * tail);
}

void lb_mcnemar_of(const uint8_t *right, const uint8_t *base, int64_t n, lb_mcnemar *out) {
    *out = (lb_mcnemar){0};
    for (int64_t i = 0; i < n; i++) {
        out->worse += base[i] && !right[i];
        out->better += right[i] && !base[i];
    }
    out->p = lb_mcnemar_p(out->worse, out->better);
}
