/* y = act x fn=: an activation, element by element. h = gate a b fn=: f(a) b; a may be one column wide. */
#include "model/exec_impl.h"
#include "model/steps/reference.h"
#include "model/steps/steps.h"
#include "model/steps/train.h"

#include <math.h>

#include "base/profile.h"
#include "math/activation.h"
#include "math/kernels.h"

/* In the order of lb_act. */
const char *const lb_act_words[] = {"silu", "relu", "gelu", "gelu_tanh", "sigmoid", NULL};

double lb_act_ref(int fn, double x) {
    static const double root_half = 0.70710678118654752440, root_2_pi = 0.79788456080286535588;
    switch (fn) {
    case LB_ACT_SILU:
        return x / (1.0 + exp(-x));
    case LB_ACT_RELU:
        return fmax(x, 0.0);
    case LB_ACT_GELU:
        return 0.5 * x * (1.0 + erf(x * root_half));
    case LB_ACT_GELU_TANH: /* Hendrycks & Gimpel 2016 (arXiv:1606.08415), the approximation of section 2 */
        return 0.5 * x * (1.0 + tanh(root_2_pi * (x + 0.044715 * x * x * x)));
    default:
        return 1.0 / (1.0 + exp(-x));
    }
}

static lb_status act(lb_reference *r, const lb_step *s) {
    lb_ref_value x;
    double fn, *y;
    LB_TRY(lb_ref_operand(r, s, 0, &x));
    LB_TRY(lb_ref_arg(r, s, 0, &fn));
    LB_TRY(lb_ref_new(r, x.cols, &y));
    for (int64_t i = 0; i < r->T * x.cols; i++) y[i] = lb_act_ref((int)fn, x.d[i]);
    return lb_ref_write(r, s, 0, y, x.cols);
}

static lb_status gate(lb_reference *r, const lb_step *s) {
    lb_ref_value a, b;
    double fn, *y;
    LB_TRY(lb_ref_operand(r, s, 0, &a));
    LB_TRY(lb_ref_operand(r, s, 1, &b));
    LB_TRY(lb_ref_arg(r, s, 0, &fn));
    if (a.cols != b.cols && a.cols != 1) return lb_ref_fail(r, s, "the two values are not equally wide");
    LB_TRY(lb_ref_new(r, b.cols, &y));
    for (int64_t t = 0; t < r->T; t++)
        for (int64_t i = 0; i < b.cols; i++)
            y[t * b.cols + i] = lb_act_ref((int)fn, a.d[t * a.cols + i % a.cols]) * b.d[t * b.cols + i];
    return lb_ref_write(r, s, 0, y, b.cols);
}

static lb_status act_train(const lb_train *t, const lb_net_step *s, const lb_rows *r) {
    lb_mat x = lb_train_value(t, s->src[0], r);
    lb_share y = lb_train_out(t, s, r);
    for (int64_t i = 0; i < x.rows; i++) {
        float *row = lb_share_row(&y, i, r->scratch);
        lb_act_apply((lb_act)s->arg[0], row, x.d + i * x.ld, x.cols);
        lb_share_put(&y, i, row);
    }
    return LB_OK;
}

static lb_status act_back(const lb_train *t, const lb_net_step *s, const lb_rows *r) {
    lb_mat x = lb_train_value(t, s->src[0], r), dy = lb_train_grad(t, s->dst[0], r);
    lb_share dx = lb_train_share(t, s, 0, r);
    for (int64_t i = 0; i < x.rows; i++) {
        float *slope = r->scratch;
        const float *d = dy.d + i * dy.ld;
        lb_act_slope((lb_act)s->arg[0], slope, x.d + i * x.ld, x.cols);
        for (int64_t j = 0; j < x.cols; j++) slope[j] *= d[j];
        lb_share_set(&dx, i, slope);
    }
    return LB_OK;
}

static lb_status gate_train(const lb_train *t, const lb_net_step *s, const lb_rows *r) {
    lb_mat a = lb_train_value(t, s->src[0], r), b = lb_train_value(t, s->src[1], r);
    lb_share y = lb_train_out(t, s, r);
    if (s->arg[0] == LB_ACT_SILU && a.cols == b.cols && !y.base) {
        lb_kernels_active()->swiglu(y.to.d, a.d, b.d, a.rows * a.cols);
        return LB_OK;
    }
    for (int64_t i = 0; i < b.rows; i++) {
        float *f = r->scratch;
        const float *row = b.d + i * b.ld;
        lb_act_apply((lb_act)s->arg[0], f, a.d + i * a.ld, a.cols);
        for (int64_t j = b.cols - 1; j >= 0; j--) f[j] = f[a.cols == 1 ? 0 : j] * row[j];
        lb_share_set(&y, i, f);
    }
    return LB_OK;
}

/* h = silu(gate) up, dh (n); dh may be dup; dgate first holds exp(-gate). Shazeer 2020. */
static void swiglu_back(const float *gate, const float *up, const float *dh, float *dgate, float *dup, int64_t n) {
    for (int64_t i = 0; i < n; i++) dgate[i] = -gate[i];
    lb_kernels_active()->exp(dgate, dgate, n);
    for (int64_t i = 0; i < n; i++) {
        float sig = 1.0f / (1.0f + dgate[i]), silu = gate[i] * sig;
        dgate[i] = dh[i] * up[i] * (sig + silu * (1.0f - sig));
        dup[i] = dh[i] * silu;
    }
}

static lb_status gate_back(const lb_train *t, const lb_net_step *s, const lb_rows *r) {
    lb_mat a = lb_train_value(t, s->src[0], r), b = lb_train_value(t, s->src[1], r);
    lb_mat dy = lb_train_grad(t, s->dst[0], r);
    lb_share da = lb_train_share(t, s, 0, r), db = lb_train_share(t, s, 1, r);
    lb_act fn = (lb_act)s->arg[0];
    if (fn == LB_ACT_SILU && a.cols == b.cols && !da.base && !db.base) {
        swiglu_back(a.d, b.d, dy.d, da.to.d, db.to.d, a.rows * a.cols);
        return LB_OK;
    }
    for (int64_t i = 0; i < b.rows; i++) {
        float *slope = r->scratch, *f = slope + a.cols, *share = f + a.cols;
        const float *x = a.d + i * a.ld, *u = b.d + i * b.ld, *d = dy.d + i * dy.ld;
        lb_act_slope(fn, slope, x, a.cols);
        lb_act_apply(fn, f, x, a.cols);
        if (a.cols == 1)
            slope[0] *= (float)lb_kernels_active()->dot(d, u, b.cols);
        else
            for (int64_t j = 0; j < b.cols; j++) slope[j] *= d[j] * u[j];
        for (int64_t j = 0; j < b.cols; j++) share[j] = d[j] * f[a.cols == 1 ? 0 : j];
        lb_share_set(&da, i, slope);
        lb_share_set(&db, i, share);
    }
    return LB_OK;
}

static lb_status act_forward(lb_exec_at *x, const lb_net_step *s, int64_t r0, int64_t rows) {
    lb_mat from = lb_exec_operand(x, s, 0, r0, rows), to = lb_exec_result(x, s, r0, rows);
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_SWIGLU);
    for (int64_t t = 0; t < rows; t++) {
        float *y = to.d + t * to.ld;
        lb_act_apply((lb_act)s->arg[0], lb_exec_row(x, s, y), from.d + t * from.ld, to.cols);
        lb_exec_row_done(x, s, y, to.cols);
    }
    lb_scope_end(&scope, 16 * (double)(rows * to.cols), 8 * (double)(rows * to.cols));
    return LB_OK;
}

/* f(a) b, where a may be one number. */
static void gate_row(lb_act fn, const float *a, int64_t wide, const float *b, float *y, int64_t n) {
    enum { CHUNK = 256 };
    float f[CHUNK];
    if (fn == LB_ACT_SILU && wide == n) {
        lb_kernels_active()->swiglu(y, a, b, n);
        return;
    }
    if (wide == 1) {
        lb_act_apply(fn, f, a, 1);
        for (int64_t i = 0; i < n; i++) y[i] = f[0] * b[i];
        return;
    }
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t k = n - i < CHUNK ? n - i : CHUNK;
        lb_act_apply(fn, f, a + i, k);
        for (int64_t j = 0; j < k; j++) y[i + j] = f[j] * b[i + j];
    }
}

static lb_status gate_forward(lb_exec_at *x, const lb_net_step *s, int64_t r0, int64_t rows) {
    lb_mat a = lb_exec_operand(x, s, 0, r0, rows), b = lb_exec_operand(x, s, 1, r0, rows);
    lb_mat to = lb_exec_result(x, s, r0, rows);
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_SWIGLU);
    for (int64_t t = 0; t < rows; t++) {
        float *y = to.d + t * to.ld;
        gate_row((lb_act)s->arg[0], a.d + t * a.ld, a.cols, b.d + t * b.ld, lb_exec_row(x, s, y), to.cols);
        lb_exec_row_done(x, s, y, to.cols);
    }
    lb_scope_end(&scope, 16 * (double)(rows * to.cols), 12 * (double)(rows * to.cols));
    return LB_OK;
}

static const char *act_shape(const lb_shaping *s, lb_net_step *step, int64_t cols[LB_STEP_RESULTS]) {
    (void)step;
    cols[0] = s->cols[0];
    return NULL;
}

static const char *gate_shape(const lb_shaping *s, lb_net_step *step, int64_t cols[LB_STEP_RESULTS]) {
    (void)step;
    cols[0] = s->cols[1];
    return s->cols[0] == s->cols[1] || s->cols[0] == 1 ? NULL : "the two values are not equally wide";
}

/* relu(t x) = t relu(x) for t > 0; none of the others does that. */
static lb_scaled_by act_passes(const lb_net_step *s, lb_scaling *x) {
    x->operand = 0;
    return s->arg[0] == LB_ACT_RELU ? LB_SCALED_OPERAND : LB_SCALED_NOT;
}

/* Through b, whatever f is. */
static lb_scaled_by gate_passes(const lb_net_step *s, lb_scaling *x) {
    (void)s;
    x->operand = 1;
    return LB_SCALED_OPERAND;
}

const lb_op lb_op_act = {.name = "act",
                         .operands = "v",
                         .results = 1,
                         .arg = {{"fn", lb_act_words, NULL}},
                         .in_place = 1u,
                         .shape = act_shape,
                         .forward = act_forward,
                         .passes = act_passes,
                         .reads = 1u,
                         .again = true,
                         .train = act_train,
                         .back = act_back,
                         .reference = act};
const lb_op lb_op_gate = {.name = "gate",
                          .operands = "vv",
                          .forward = gate_forward,
                          .passes = gate_passes,
                          .results = 1,
                          .arg = {{"fn", lb_act_words, NULL}},
                          .in_place = 3u,
                          .shape = gate_shape,
                          .reads = 3u,
                          .again = true,
                          .train = gate_train,
                          .back = gate_back,
                          .reference = gate};
