/* y = norm x WEIGHT kind=: over runs of a row (the whole row; `run` columns: each head)
 *   rms  x / sqrt(mean x^2 + eps)                    Zhang & Sennrich 2019 (arXiv:1910.07467) eq. 4
 *   ln   (x - mean x) / sqrt(var x + eps)            Ba et al. 2016 (arXiv:1607.06450) eq. 4
 * times (weight + one), plus the bias, where there are such. The weight is as long as a run, or as a row: each run then
 * has one of its own. */
#include "model/net_impl.h"
#include "model/steps/reference.h"
#include "model/steps/steps.h"

#include <math.h>

static const char *const kinds[] = {"rms", "ln", NULL};
enum { KIND, EPS, ONE, RUN };

static void normalize(const double *x, int64_t n, bool centred, double eps, double *y) {
    double mean = 0.0, square = 0.0;
    for (int64_t i = 0; i < n && centred; i++) mean += x[i] / (double)n;
    for (int64_t i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean);
    for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) / sqrt(square / (double)n + eps);
}

static lb_status reference(lb_reference *r, const lb_step *s) {
    lb_ref_value x;
    lb_ref_param p;
    double arg[4], *y;
    LB_TRY(lb_ref_operand(r, s, 0, &x));
    LB_TRY(lb_ref_param_of(r, s, 1, &p));
    for (int k = 0; k < 4; k++) LB_TRY(lb_ref_arg(r, s, k, &arg[k]));
    int64_t run = arg[RUN] > 0.0 ? (int64_t)arg[RUN] : x.cols, n = p.W.rows * p.W.cols;
    if (x.cols % run != 0) return lb_ref_fail(r, s, "the width is no multiple of run");
    if (p.W.d && n != run && n != x.cols) return lb_ref_fail(r, s, "the weight is as long as neither a run nor a row");
    LB_TRY(lb_ref_new(r, x.cols, &y));
    for (int64_t first = 0; first < r->T * x.cols; first += run)
        normalize(x.d + first, run, arg[KIND] == 1.0, arg[EPS], y + first);
    for (int64_t i = 0; i < r->T * x.cols && p.W.d; i++)
        y[i] = y[i] * ((double)p.W.d[i % n] + arg[ONE]) + (p.bias ? (double)p.bias[i % n] : 0.0);
    return lb_ref_write(r, s, 0, y, x.cols);
}

static const char *shape(const lb_shaping *s, lb_net_step *step, int64_t cols[LB_STEP_RESULTS]) {
    int64_t run = step->arg[RUN] > 0.0 ? (int64_t)step->arg[RUN] : s->cols[0], n = s->rows * s->width;
    cols[0] = s->cols[0];
    if (cols[0] % run != 0) return "the width is no multiple of run";
    return n == 0 || n == run || n == cols[0] ? NULL : "the weight is as long as neither a run nor a row";
}

const lb_op lb_op_norm = {.name = "norm",
                          .operands = "vw",
                          .results = 1,
                          .arg = {{"kind", kinds, NULL}, {"eps", NULL, NULL}, {"one", NULL, "0"}, {"run", NULL, "0"}},
                          .in_place = 1u,
                          .shape = shape,
                          .reference = reference};
