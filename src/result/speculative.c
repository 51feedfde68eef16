/* What a compressed model is worth as the draft of the original. */
#include "result/quality.h"

double lb_tokens_a_round(double accept, int64_t drafts) {
    double sum = 1.0, power = 1.0;
    for (int64_t i = 0; i < drafts; i++) sum += power *= accept;
    return sum;
}

double lb_speculative_speedup(double accept_tokens, int64_t drafts, double cost) {
    return accept_tokens / ((double)drafts * cost + 1.0);
}
