#include "result/tasks.h"

#include <math.h>
#include <stddef.h>

const char *const lb_lambada_names[] = {"openai", "normalized", "standard", "detokenized", NULL};
const char *const lb_question_names[] = {"hellaswag", "piqa", "arc", "winogrande", "openbookqa", "boolq", NULL};

bool lb_question_has_norm(lb_question q) { return q != LB_QUESTION_WINOGRANDE && q != LB_QUESTION_BOOLQ; }

static void share(const uint8_t *right, int64_t n, double *acc, double *se) {
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++) sum += right[i];
    double p = (double)sum / (double)n;
    *acc = p;
    *se = n > 1 ? sqrt(p * (1.0 - p) / (double)(n - 1)) : NAN;
}

void lb_task_count(lb_task_result *t) {
    share(t->right, t->items, &t->acc, &t->acc_se);
    t->acc_norm = t->acc_norm_se = NAN;
    if (t->right_norm) share(t->right_norm, t->items, &t->acc_norm, &t->acc_norm_se);
}
