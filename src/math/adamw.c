#include "math/adamw.h"

#include <assert.h>
#include <math.h>

#include "base/profile.h"
#include "math/kernels.h"

void lb_adamw_step(const lb_adamw *o, int64_t step, float *w, const float *grad, float *m, float *v, int64_t n) {
    assert(step >= 1);
    /* Scalars in float64, rounded once, as torch hands them to its float32 loops. */
    double fix1 = 1 - pow(o->beta1, (double)step), fix2 = 1 - pow(o->beta2, (double)step);
    float keep = (float)(1 - o->lr * o->weight_decay), take1 = (float)(1 - o->beta1);
    float beta2 = (float)o->beta2, take2 = (float)(1 - o->beta2);
    float root_fix2 = (float)sqrt(fix2), eps = (float)o->eps, rate = (float)(o->lr / fix1);
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_ADAMW);
    for (int64_t i = 0; i < n; i++) {
        float g = grad[i];
        m[i] += take1 * (g - m[i]);
        v[i] = beta2 * v[i] + take2 * g * g;
        float denom = sqrtf(v[i]) / root_fix2 + eps;
        w[i] = keep * w[i] - rate * m[i] / denom;
    }
    lb_scope_end(&scope, 13 * (double)n, 28 * (double)n);
}

double lb_lr_cosine(double lr, int64_t step, int64_t warmup, int64_t steps, double floor_part) {
    if (step < warmup) return lr * (double)(step + 1) / (double)warmup;
    if (steps <= warmup) return lr;
    double done = fmin((double)(step - warmup) / (double)(steps - warmup), 1);
    return lr * (floor_part + (1 - floor_part) * 0.5 * (1 + cos(3.14159265358979323846 * done)));
}

double lb_grad_norm(const float *const *grad, const int64_t *n, int64_t arrays) {
    const lb_kernels *k = lb_kernels_active();
    double sum = 0;
    for (int64_t a = 0; a < arrays; a++) sum += k->dot(grad[a], grad[a], n[a]);
    return sqrt(sum);
}
