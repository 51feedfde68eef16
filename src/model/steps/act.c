/* y = act x fn=: an activation, element by element. h = gate a b fn=: f(a) b; a may be one column wide. */
#include "model/net_impl.h"
#include "model/steps/reference.h"
#include "model/steps/steps.h"

#include <math.h>

const char *const lb_act_words[] = {"silu", "relu", "gelu", "gelu_tanh", "sigmoid", NULL};

double lb_act_ref(int fn, double x) {
    static const double root_half = 0.70710678118654752440, root_2_pi = 0.79788456080286535588;
    switch (fn) {
    case 0:
        return x / (1.0 + exp(-x));
    case 1:
        return fmax(x, 0.0);
    case 2:
        return 0.5 * x * (1.0 + erf(x * root_half));
    case 3: /* Hendrycks & Gimpel 2016 (arXiv:1606.08415), the approximation of section 2 */
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

const lb_op lb_op_act = {.name = "act",
                         .operands = "v",
                         .results = 1,
                         .arg = {{"fn", lb_act_words, NULL}},
                         .in_place = 1u,
                         .shape = act_shape,
                         .reference = act};
const lb_op lb_op_gate = {.name = "gate",
                          .operands = "vv",
                          .results = 1,
                          .arg = {{"fn", lb_act_words, NULL}},
                          .in_place = 3u,
                          .shape = gate_shape,
                          .reference = gate};
