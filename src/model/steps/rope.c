/* q = rope q dims=: the first `dims` columns of every head turn by the angle position * frequency (Su et al. 2021,
 * arXiv:2104.09864, eq. 34), pair i being columns (i, i + half), or (2i, 2i + 1) with pairs=1. An odd `dims` rounds up
 * to whole pairs. The numbers rope_* of the architecture say how frequencies change for a longer context (transformers'
 * rope_type); with theta a plain frequency base^(-2i / dims), T the sequence and o the context trained on first:
 *   default   theta
 *   linear    theta / factor                              Chen et al. 2023 (arXiv:2306.15595) eq. 4
 *   dynamic   the base grows with T beyond the context    "NTK-aware" scaling as transformers has it
 *   llama3    theta, theta / factor or a mix of both, by how often a pair turns within o (Llama 3.1)
 *   yarn      the same with a ramp over the pairs, and a factor on cos and sin: Peng et al. 2023 (arXiv:2309.00071)
 *             eq. 17-22
 *   longrope  theta / a factor of each pair, other factors where T > o, and a factor on cos and sin: Ding et al. 2024
 *             (arXiv:2402.13753) */
#include "model/exec_impl.h"
#include "model/steps/reference.h"
#include "model/steps/steps.h"
#include "model/steps/train.h"

#include <math.h>
#include <string.h>

static const double two_pi = 6.28318530717958647693;

typedef struct angles {
    const lb_reference *r;
    double base, dims, factor, magnitude;
} angles;

/* The number's value in this block. */
static lb_status number(const angles *x, const char *name, double *out) {
    return lb_number_get(x->r->numbers, name, x->r->block, out);
}

static double clamped(double v) { return fmin(fmax(v, 0.0), 1.0); }

static lb_status llama3(const angles *x, int64_t pairs, double *theta) {
    double low, high, original;
    LB_TRY(number(x, "rope_low", &low));
    LB_TRY(number(x, "rope_high", &high));
    LB_TRY(number(x, "rope_original", &original));
    for (int64_t i = 0; i < pairs; i++) {
        double kept = clamped((original * theta[i] / two_pi - low) / (high - low));
        theta[i] = kept * theta[i] + (1.0 - kept) * theta[i] / x->factor;
    }
    return LB_OK;
}

/* The pair that turns `turns` times within the original context. */
static double turning(const angles *x, double original, double turns) {
    return x->dims * log(original / (turns * two_pi)) / (2.0 * log(x->base));
}

static lb_status yarn(angles *x, int64_t pairs, double *theta) {
    double original, fast, slow, untruncated = 0.0;
    LB_TRY(number(x, "rope_original", &original));
    LB_TRY(number(x, "rope_magnitude", &x->magnitude));
    LB_TRY(number(x, "rope_fast", &fast));
    LB_TRY(number(x, "rope_slow", &slow));
    if (lb_number_find(x->r->numbers, "rope_untruncated")) LB_TRY(number(x, "rope_untruncated", &untruncated));
    double low = turning(x, original, fast), high = turning(x, original, slow);
    low = fmax(untruncated != 0.0 ? low : floor(low), 0.0);
    high = fmin(untruncated != 0.0 ? high : ceil(high), x->dims - 1.0);
    if (low == high) high += 0.001;
    for (int64_t i = 0; i < pairs; i++) {
        double ramp = clamped(((double)i - low) / (high - low));
        theta[i] = theta[i] / x->factor * ramp + theta[i] * (1.0 - ramp);
    }
    return LB_OK;
}

static lb_status longrope(angles *x, int64_t pairs, double *theta) {
    double original;
    LB_TRY(number(x, "rope_original", &original));
    LB_TRY(number(x, "rope_magnitude", &x->magnitude));
    const char *name = (double)x->r->T > original ? "rope_long" : "rope_short";
    const lb_number *factors = lb_number_find(x->r->numbers, name);
    if (!factors || factors->listed != pairs)
        return lb_fail(LB_E_FORMAT, "%s: must have a factor for each of %lld pairs", name, (long long)pairs);
    for (int64_t i = 0; i < pairs; i++) theta[i] /= factors->list[i];
    return LB_OK;
}

static lb_status grown_base(angles *x) {
    double context;
    LB_TRY(number(x, "context", &context));
    double length = fmax((double)x->r->T, context);
    x->base *= pow(x->factor * length / context - (x->factor - 1.0), x->dims / (x->dims - 2.0));
    return LB_OK;
}

static lb_status frequencies(angles *x, int64_t pairs, double *theta) {
    double kind;
    LB_TRY(number(x, "rope_kind", &kind));
    LB_TRY(number(x, "rope_base", &x->base));
    x->factor = x->magnitude = 1.0;
    if (kind != LB_REF_ROPE_DEFAULT && kind != LB_REF_ROPE_LONGROPE) LB_TRY(number(x, "rope_factor", &x->factor));
    if (kind == LB_REF_ROPE_DYNAMIC) LB_TRY(grown_base(x));
    for (int64_t i = 0; i < pairs; i++) theta[i] = pow(x->base, -2.0 * (double)i / x->dims);
    for (int64_t i = 0; i < pairs && kind == LB_REF_ROPE_LINEAR; i++) theta[i] /= x->factor;
    if (kind == LB_REF_ROPE_LLAMA3) return llama3(x, pairs, theta);
    if (kind == LB_REF_ROPE_YARN) return yarn(x, pairs, theta);
    return kind == LB_REF_ROPE_LONGROPE ? longrope(x, pairs, theta) : LB_OK;
}

static lb_status reference(lb_reference *r, const lb_step *s) {
    lb_ref_value x;
    angles tab = {.r = r};
    double pairs_apart, *y;
    int64_t d;
    LB_TRY(lb_ref_operand(r, s, 0, &x));
    LB_TRY(lb_ref_arg(r, s, 0, &tab.dims));
    LB_TRY(lb_ref_arg(r, s, 1, &pairs_apart));
    LB_TRY(lb_ref_count(r, "head_dim", &d));
    int64_t pairs = ((int64_t)tab.dims + 1) / 2;
    if (x.cols % d != 0 || tab.dims < 1.0 || 2 * pairs > d) return lb_ref_fail(r, s, "does not fit the heads");
    double *theta = LB_NEW(r->arena, double, pairs);
    if (!theta) return LB_E_NOMEM;
    LB_TRY(frequencies(&tab, pairs, theta));
    LB_TRY(lb_ref_new(r, x.cols, &y));
    for (int64_t i = 0; i < r->T * x.cols; i++) y[i] = x.d[i];
    for (int64_t i = 0; i < r->T * x.cols / d * pairs; i++) {
        int64_t head = i / pairs, p = i % pairs, t = head / (x.cols / d);
        double c = cos((double)t * theta[p]) * tab.magnitude, sn = sin((double)t * theta[p]) * tab.magnitude;
        int64_t u = head * d + (pairs_apart != 0.0 ? 2 * p : p), v = pairs_apart != 0.0 ? u + 1 : u + pairs;
        y[u] = x.d[u] * c - x.d[v] * sn;
        y[v] = x.d[v] * c + x.d[u] * sn;
    }
    return lb_ref_write(r, s, 0, y, x.cols);
}

static lb_status turned(const lb_train *t, const lb_net_step *s, const lb_rows *r, bool inverse, lb_mat x, lb_share y) {
    if (!y.base) {
        if (x.d != y.to.d) memcpy(y.to.d, x.d, (size_t)(x.rows * x.cols) * sizeof *x.d);
        lb_train_turn(t, s, inverse, r->first, y.to);
        return LB_OK;
    }
    for (int64_t i = 0; i < x.rows; i++) {
        memcpy(r->scratch, x.d + i * x.ld, (size_t)x.cols * sizeof *x.d);
        lb_train_turn(t, s, inverse, r->first + i, lb_mat_of(r->scratch, 1, x.cols));
        lb_share_set(&y, i, r->scratch);
    }
    return LB_OK;
}

static lb_status train(const lb_train *t, const lb_net_step *s, const lb_rows *r) {
    return turned(t, s, r, false, lb_train_value(t, s->src[0], r), lb_train_out(t, s, r));
}

/* The negative angle; a factor on cos and sin stays. */
static lb_status back(const lb_train *t, const lb_net_step *s, const lb_rows *r) {
    return turned(t, s, r, true, lb_train_grad(t, s->dst[0], r), lb_train_share(t, s, 0, r));
}

static lb_status forward(lb_exec_at *x, const lb_net_step *s, int64_t r0, int64_t rows) {
    const lb_rope_spec *spec = &x->e->net->rope[s->rope];
    const lb_rotary *table = &x->e->rotary[s->rope];
    lb_mat from = lb_exec_operand(x, s, 0, r0, rows), to = lb_exec_result(x, s, r0, rows);
    int64_t first = lb_exec_past(x->e) + r0;
    if (s->into < 0 && from.d == to.d) {
        lb_rotary_turn(spec, table, false, s->head_dim, first, to);
        return LB_OK;
    }
    for (int64_t t = 0; t < rows; t++) {
        float *y = to.d + t * to.ld, *at = lb_exec_row(x, s, y);
        memcpy(at, from.d + t * from.ld, (size_t)to.cols * sizeof *at);
        lb_rotary_turn(spec, table, false, s->head_dim, first + t, lb_mat_of(at, 1, to.cols));
        lb_exec_row_done(x, s, y, to.cols);
    }
    return LB_OK;
}

static const char *shape(const lb_shaping *s, lb_net_step *step, int64_t cols[LB_STEP_RESULTS]) {
    cols[0] = s->cols[0];
    if (!lb_shaping_count(s, "head_dim", &step->head_dim)) return "head_dim must be a positive whole number";
    if (cols[0] % step->head_dim != 0 || step->arg[0] < 1.0 || 2 * (((int64_t)step->arg[0] + 1) / 2) > step->head_dim)
        return "does not fit the heads";
    step->heads = cols[0] / step->head_dim;
    step->rope = LB_ROPE_WANTED;
    return NULL;
}

const lb_op lb_op_rope = {.name = "rope",
                          .operands = "v",
                          .results = 1,
                          .arg = {{"dims", NULL, NULL}, {"pairs", NULL, "0"}},
                          .in_place = 1u,
                          .shape = shape,
                          .forward = forward,
                          .train = train,
                          .back = back,
                          .reference = reference};
