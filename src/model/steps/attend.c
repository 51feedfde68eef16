/* a = attend q k v scale=: causal attention, softmax(scale q kᵀ) v by head; query heads share key heads in turn
 * (Ainslie et al. 2023, arXiv:2305.13245).
 *   window  keys that a query sees, its own included; 0: all before it
 *   cap     scores become cap tanh(score / cap) before the mask (Gemma 2, arXiv:2408.00118, section 2); 0: no cap
 *   alibi   1: slope * position of the key is added (Press et al. 2022, arXiv:2108.12409); 2: as Falcon has it, slope
 *           and product rounded to bfloat16 and times the scale */
#include "model/net_impl.h"
#include "model/steps/reference.h"
#include "model/steps/steps.h"

#include <math.h>

#include "base/half.h"

enum { SCALE, WINDOW, CAP, ALIBI, ARGS };

/* Slopes of n heads: powers of one ratio for the largest power of two in n, then every other one of twice as many. */
static double slope(int64_t head, int64_t n) {
    int64_t two = 1;
    while (two * 2 <= n) two *= 2;
    if (head < two) return (double)(float)pow(2.0, -8.0 / (double)two * (double)(head + 1));
    return (double)(float)pow(2.0, -4.0 / (double)two * (double)(2 * (head - two) + 1));
}

static double rounded(double x) { return (double)lb_bf16_to_f32(lb_f32_to_bf16((float)x)); }

static double position_bias(const double *arg, int64_t head, int64_t heads, int64_t key) {
    if (arg[ALIBI] == 0.0) return 0.0;
    if (arg[ALIBI] == 1.0) return slope(head, heads) * (double)key;
    return rounded(rounded(slope(head, heads)) * (double)key) * arg[SCALE];
}

typedef struct attention {
    lb_ref_value q, k, v;
    int64_t d, heads, group; /* query heads a key head */
    double arg[ARGS];
    double *p; /* (T) */
} attention;

static void one(const attention *x, int64_t head, int64_t t, double *o) {
    const double *q = x->q.d + t * x->q.cols + head * x->d, cap = x->arg[CAP];
    int64_t shared = head / x->group * x->d;
    int64_t first = x->arg[WINDOW] > 0.0 && t >= (int64_t)x->arg[WINDOW] ? t - (int64_t)x->arg[WINDOW] + 1 : 0;
    double top = -INFINITY, sum = 0.0;
    for (int64_t j = first; j <= t; j++) {
        double dot = 0.0;
        for (int64_t i = 0; i < x->d; i++) dot += q[i] * x->k.d[j * x->k.cols + shared + i];
        dot = dot * x->arg[SCALE] + position_bias(x->arg, head, x->heads, j);
        x->p[j] = cap > 0.0 ? tanh(dot / cap) * cap : dot;
        top = fmax(top, x->p[j]);
    }
    for (int64_t j = first; j <= t; j++) sum += x->p[j] = exp(x->p[j] - top);
    for (int64_t j = first; j <= t; j++)
        for (int64_t i = 0; i < x->d; i++) o[i] += x->p[j] / sum * x->v.d[j * x->v.cols + shared + i];
}

static lb_status reference(lb_reference *r, const lb_step *s) {
    attention x;
    double *y;
    LB_TRY(lb_ref_operand(r, s, 0, &x.q));
    LB_TRY(lb_ref_operand(r, s, 1, &x.k));
    LB_TRY(lb_ref_operand(r, s, 2, &x.v));
    for (int k = 0; k < ARGS; k++) LB_TRY(lb_ref_arg(r, s, k, &x.arg[k]));
    LB_TRY(lb_ref_count(r, "head_dim", &x.d));
    if (x.q.cols % x.d != 0 || x.k.cols % x.d != 0 || x.k.cols != x.v.cols || x.q.cols % x.k.cols != 0)
        return lb_ref_fail(r, s, "the widths are no whole heads, or key heads do not divide query heads");
    x.heads = x.q.cols / x.d;
    x.group = x.q.cols / x.k.cols;
    LB_TRY(lb_ref_new(r, x.q.cols, &y));
    LB_TRY(lb_ref_new(r, 1, &x.p));
    for (int64_t head = 0; head < x.heads; head++)
        for (int64_t t = 0; t < r->T; t++) one(&x, head, t, y + t * x.q.cols + head * x.d);
    return lb_ref_write(r, s, 0, y, x.q.cols);
}

static const char *shape(const lb_shaping *s, lb_net_step *step, int64_t cols[LB_STEP_RESULTS]) {
    int64_t d, q = s->cols[0], k = s->cols[1];
    cols[0] = q;
    if (!lb_shaping_count(s, "head_dim", &d)) return "head_dim must be a positive whole number";
    if (q % d != 0 || k % d != 0 || k != s->cols[2] || q % k != 0)
        return "the widths are no whole heads, or key heads do not divide query heads";
    step->head_dim = d;
    step->heads = q / d;
    step->kv_heads = k / d;
    return NULL;
}

const lb_op lb_op_attend = {
    .name = "attend",
    .operands = "vvv",
    .results = 1,
    .arg = {{"scale", NULL, NULL}, {"window", NULL, "0"}, {"cap", NULL, "0"}, {"alibi", NULL, "0"}},
    .reach = LB_BY_SEQUENCE,
    .in_place = 1u,
    .shape = shape,
    .reference = reference};
