/* y = norm x WEIGHT kind=: over runs of a row (the whole row; `run` columns: each head)
 *   rms  x / sqrt(mean x^2 + eps)                    Zhang & Sennrich 2019 (arXiv:1910.07467) eq. 4
 *   ln   (x - mean x) / sqrt(var x + eps)            Ba et al. 2016 (arXiv:1607.06450) eq. 4
 * times (weight + one), plus the bias, where there are such. The weight is as long as a run, or as a row: each run then
 * has one of its own. */
#include "model/exec_impl.h"
#include "model/steps/reference.h"
#include "model/steps/steps.h"
#include "model/steps/train.h"

#include <math.h>

#include "base/profile.h"
#include "math/kernels.h"

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

/* What a step of training needs of a norm; w (n) or NULL. */
typedef struct norm {
    const float *w, *b;
    float one, eps;
    int64_t run, n;
    bool centred;
} norm;

static norm norm_of(const lb_train *t, const lb_net_step *s) {
    int64_t cols = t->part->value[s->dst[0]].cols;
    return (norm){.w = s->weight >= 0 ? t->w->vector[s->weight] : NULL,
                  .b = s->bias >= 0 ? t->w->vector[s->bias] : NULL,
                  .one = (float)s->arg[ONE],
                  .eps = (float)s->arg[EPS],
                  .run = s->arg[RUN] > 0.0 ? (int64_t)s->arg[RUN] : cols,
                  .n = s->weight >= 0 ? lb_train_vector(t, s->weight) : cols,
                  .centred = s->arg[KIND] == 1.0};
}

/* Mean (0 where it is not subtracted) and 1 / sqrt(mean square + eps) of a run, which `centre` then holds, the mean
 * taken off. */
static double inverse_of(const norm *x, const float *from, const float **centred, float *centre) {
    const lb_kernels *kn = lb_kernels_active();
    *centred = from;
    if (x->centred) {
        double mean = 0.0;
        for (int64_t i = 0; i < x->run; i++) mean += (double)from[i];
        mean /= (double)x->run;
        for (int64_t i = 0; i < x->run; i++) centre[i] = (float)((double)from[i] - mean);
        *centred = centre;
    }
    return 1 / sqrt(kn->dot(*centred, *centred, x->run) / (double)x->run + (double)x->eps);
}

static void norm_row(const norm *x, const float *from, int64_t cols, float *centre, float *to) {
    for (int64_t at = 0; at < cols; at += x->run) {
        const float *c;
        float s = (float)inverse_of(x, from + at, &c, centre), *y = to + at;
        int64_t k = at % x->n; /* a run's weights stand together */
        for (int64_t i = 0; i < x->run; i++) y[i] = c[i] * s;
        for (int64_t i = 0; x->w && i < x->run; i++) y[i] *= x->w[k + i] + x->one;
        for (int64_t i = 0; x->b && i < x->run; i++) y[i] += x->b[k + i];
    }
}

static lb_status train(const lb_train *t, const lb_net_step *s, const lb_rows *r) {
    norm n = norm_of(t, s);
    lb_mat x = lb_train_value(t, s->src[0], r);
    lb_share y = lb_train_out(t, s, r);
    bool plain = !n.centred && n.run == x.cols && n.w && !n.b && n.one == 0.0f;
    for (int64_t i = 0; i < x.rows; i++) {
        const float *from = x.d + i * x.ld;
        float *to = lb_share_row(&y, i, r->scratch);
        if (plain)
            lb_kernels_active()->rmsnorm(to, from, n.w, n.eps, x.cols);
        else
            norm_row(&n, from, x.cols, r->scratch + x.cols, to);
        lb_share_put(&y, i, to);
    }
    return LB_OK;
}

/* One run: dx = (w dy - mean(w dy) - x̂ mean(w dy x̂)) s, the first mean where the norm takes its own off. part: sums of
 * the weight's and the bias' gradients, or NULL. dyw, centre (run): room. */
static void run_back(const norm *x, const float *from, const float *dy, int64_t at, float *dw, float *db, float *dyw,
                     float *centre, float *dx) {
    const lb_kernels *kn = lb_kernels_active();
    const float *c;
    double inv = inverse_of(x, from, &c, centre), mean = 0.0;
    float s = (float)inv;
    int64_t k = at % x->n;
    for (int64_t i = 0; dw && i < x->run; i++) dw[k + i] += dy[i] * c[i] * s;
    for (int64_t i = 0; db && i < x->run; i++) db[k + i] += dy[i];
    memcpy(dyw, dy, (size_t)x->run * sizeof *dyw);
    for (int64_t i = 0; x->w && i < x->run; i++) dyw[i] *= x->w[k + i] + x->one;
    for (int64_t i = 0; i < x->run && x->centred; i++) mean += (double)dyw[i];
    float along = (float)(kn->dot(dyw, c, x->run) / (double)x->run * inv * inv * inv);
    float off = (float)(mean / (double)x->run * inv);
    for (int64_t i = 0; i < x->run; i++) dx[i] = dyw[i] * s - c[i] * along;
    for (int64_t i = 0; i < x->run && x->centred; i++) dx[i] -= off;
}

static lb_status back(const lb_train *t, const lb_net_step *s, const lb_rows *r) {
    norm n = norm_of(t, s);
    lb_mat x = lb_train_value(t, s->src[0], r), dy = lb_train_grad(t, s->dst[0], r);
    lb_share dx = lb_train_share(t, s, 0, r);
    float *dw = lb_train_sum(t, s, r, s->weight, 0), *db = lb_train_sum(t, s, r, s->bias, n.n);
    if (dw) memset(dw, 0, (size_t)n.n * sizeof *dw);
    if (db) memset(db, 0, (size_t)n.n * sizeof *db);
    for (int64_t i = 0; i < x.rows; i++) {
        float *row = lb_share_row(&dx, i, r->scratch), *dyw = r->scratch + x.cols, *centre = dyw + x.cols;
        for (int64_t at = 0; at < x.cols; at += n.run)
            run_back(&n, x.d + i * x.ld + at, dy.d + i * dy.ld + at, at, dw, db, dyw, centre, row + at);
        lb_share_put(&dx, i, row);
    }
    return LB_OK;
}

/* One run; w, b (n) or NULL. */
static void norm_run(const lb_net_step *s, const float *x, const float *w, const float *b, float *y, int64_t n) {
    const lb_kernels *kn = lb_kernels_active();
    float one = (float)s->arg[ONE], eps = (float)s->arg[EPS];
    if (s->arg[KIND] == 1.0) {
        kn->layernorm(y, x, w, one, b, eps, n);
        return;
    }
    if (w && !b && one == 0.0f) {
        kn->rmsnorm(y, x, w, eps, n);
        return;
    }
    float inv = (float)(1.0 / sqrt(kn->dot(x, x, n) / (double)n + s->arg[EPS]));
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * inv;
    for (int64_t i = 0; i < n && w; i++) y[i] *= w[i] + one;
    for (int64_t i = 0; i < n && b; i++) y[i] += b[i];
}

static lb_status forward(lb_exec_at *x, const lb_net_step *s, int64_t r0, int64_t rows) {
    lb_mat from = lb_exec_operand(x, s, 0, r0, rows), to = lb_exec_result(x, s, r0, rows);
    const float *w = lb_exec_vector(x, s->weight), *b = lb_exec_vector(x, s->bias);
    int64_t run = s->arg[RUN] > 0.0 ? (int64_t)s->arg[RUN] : to.cols;
    int64_t own = w && x->e->net->vector[s->weight].n == to.cols ? 1 : 0; /* a weight for each run */
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_NORM);
    for (int64_t t = 0; t < rows; t++) {
        float *y = to.d + t * to.ld, *at = lb_exec_row(x, s, y);
        for (int64_t c = 0; c < to.cols; c += run)
            norm_run(s, from.d + t * from.ld + c, w ? w + own * c : NULL, b ? b + own * c : NULL, at + c, run);
        lb_exec_row_done(x, s, y, to.cols);
    }
    lb_scope_end(&scope, 5 * (double)rows * (double)to.cols, 8 * (double)rows * (double)to.cols);
    return LB_OK;
}

static const char *shape(const lb_shaping *s, lb_net_step *step, int64_t cols[LB_STEP_RESULTS]) {
    int64_t run = step->arg[RUN] > 0.0 ? (int64_t)step->arg[RUN] : s->cols[0], n = s->rows * s->width;
    cols[0] = s->cols[0];
    if (cols[0] % run != 0) return "the width is no multiple of run";
    return n == 0 || n == run || n == cols[0] ? NULL : "the weight is as long as neither a run nor a row";
}

/* A weight of its own for each channel. */
static lb_scaled_by passes(const lb_net_step *s, lb_scaling *x) {
    x->one = s->arg[ONE];
    return s->weight >= 0 && x->net->vector[s->weight].n == x->cols ? LB_SCALED_PARAMETER : LB_SCALED_NOT;
}

const lb_op lb_op_norm = {.name = "norm",
                          .operands = "vw",
                          .results = 1,
                          .arg = {{"kind", kinds, NULL}, {"eps", NULL, NULL}, {"one", NULL, "0"}, {"run", NULL, "0"}},
                          .in_place = 1u,
                          .shape = shape,
                          .forward = forward,
                          .passes = passes,
                          .reads = 1u,
                          .again = true,
                          .train = train,
                          .back = back,
                          .reference = reference};
