/* q k v = split x by=GROUPS: a row is GROUPS groups, each of its share of query heads, key heads and value heads (one
 * group: q, then k, then v; as many as key heads: interleaved).
 * a b = split x: its halves. */
#include "model/exec_impl.h"
#include "model/steps/reference.h"
#include "model/steps/steps.h"
#include "model/steps/train.h"

#include <string.h>

/* `groups` pieces of `piece` columns, `stride` columns apart, from column `first` on. */
static lb_status take(lb_reference *r, const lb_step *s, int k, const lb_ref_value *x, int64_t first, int64_t piece,
                      int64_t stride, int64_t groups) {
    double *y;
    LB_TRY(lb_ref_new(r, piece * groups, &y));
    for (int64_t t = 0; t < r->T; t++)
        for (int64_t g = 0; g < groups; g++)
            memcpy(y + (t * groups + g) * piece, x->d + t * x->cols + first + g * stride, (size_t)piece * sizeof *y);
    return lb_ref_write(r, s, k, y, piece * groups);
}

static lb_status by_heads(lb_reference *r, const lb_step *s, const lb_ref_value *x, double by) {
    int64_t heads, kv, d, groups = (int64_t)by;
    LB_TRY(lb_ref_count(r, "heads", &heads));
    LB_TRY(lb_ref_count(r, "kv_heads", &kv));
    LB_TRY(lb_ref_count(r, "head_dim", &d));
    if (groups < 1 || heads % groups != 0 || kv % groups != 0 || x->cols != (heads + 2 * kv) * d)
        return lb_ref_fail(r, s, "the width and the groups do not fit the heads");
    int64_t q = heads / groups * d, k = kv / groups * d;
    LB_TRY(take(r, s, 0, x, 0, q, q + 2 * k, groups));
    LB_TRY(take(r, s, 1, x, q, k, q + 2 * k, groups));
    return take(r, s, 2, x, q + k, k, q + 2 * k, groups);
}

static lb_status reference(lb_reference *r, const lb_step *s) {
    lb_ref_value x;
    double by;
    LB_TRY(lb_ref_operand(r, s, 0, &x));
    LB_TRY(lb_ref_arg(r, s, 0, &by));
    if (s->results != (by > 0.0 ? 3 : 2)) return lb_ref_fail(r, s, "gives three values with by=, two without");
    if (by > 0.0) return by_heads(r, s, &x, by);
    if (x.cols % 2 != 0) return lb_ref_fail(r, s, "the width is odd");
    LB_TRY(take(r, s, 0, &x, 0, x.cols / 2, 0, 1));
    return take(r, s, 1, &x, x.cols / 2, x.cols / 2, 0, 1);
}

/* Result k of a row of x: pieces of it, `piece` columns each. */
typedef struct pieces {
    int64_t first, piece, stride, groups;
} pieces;

static pieces pieces_of(const lb_net_step *s, int k, int64_t cols) {
    int64_t groups = (int64_t)s->arg[0];
    if (groups == 0) return (pieces){k * cols / 2, cols / 2, 0, 1};
    int64_t q = s->heads / groups * s->head_dim, kv = s->kv_heads / groups * s->head_dim;
    return (pieces){k == 0 ? 0 : q + (k - 1) * kv, k == 0 ? q : kv, q + 2 * kv, groups};
}

static lb_status train(const lb_train *t, const lb_net_step *s, const lb_rows *r) {
    lb_mat x = lb_train_value(t, s->src[0], r);
    for (int k = 0; k < s->results; k++) {
        lb_mat y = lb_train_value(t, s->dst[k], r);
        pieces p = pieces_of(s, k, x.cols);
        for (int64_t i = 0; i < x.rows * p.groups; i++)
            memcpy(y.d + i * p.piece, x.d + i / p.groups * x.ld + p.first + i % p.groups * p.stride,
                   (size_t)p.piece * sizeof *y.d);
    }
    return LB_OK;
}

static lb_status back(const lb_train *t, const lb_net_step *s, const lb_rows *r) {
    lb_share dx = lb_train_share(t, s, 0, r);
    for (int64_t i = 0; i < dx.to.rows; i++) {
        for (int k = 0; k < s->results; k++) {
            lb_mat dy = lb_train_grad(t, s->dst[k], r);
            pieces p = pieces_of(s, k, dx.to.cols);
            for (int64_t g = 0; g < p.groups; g++)
                memcpy(r->scratch + p.first + g * p.stride, dy.d + i * dy.ld + g * p.piece,
                       (size_t)p.piece * sizeof *dy.d);
        }
        lb_share_set(&dx, i, r->scratch);
    }
    return LB_OK;
}

/* Into y (rows, groups * piece). */
static void take_rows(lb_cmat x, int64_t first, int64_t piece, int64_t stride, int64_t groups, lb_mat y) {
    for (int64_t t = 0; t < x.rows; t++)
        for (int64_t g = 0; g < groups; g++)
            memcpy(y.d + t * y.ld + g * piece, x.d + t * x.ld + first + g * stride, (size_t)piece * sizeof *y.d);
}

static lb_status forward(lb_exec_at *x, const lb_net_step *s, int64_t r0, int64_t rows) {
    int64_t groups = s->arg[0] > 0.0 ? (int64_t)s->arg[0] : 1, first = 0, stride;
    lb_cmat from = lb_mat_c(lb_exec_operand(x, s, 0, r0, rows));
    stride = from.cols / groups;
    for (int k = 0; k < s->results; k++) {
        lb_mat y = lb_exec_value(x, s->dst[k], r0, rows);
        take_rows(from, first, y.cols / groups, stride, groups, y);
        first += y.cols / groups;
    }
    return LB_OK;
}

static const char *shape(const lb_shaping *s, lb_net_step *step, int64_t cols[LB_STEP_RESULTS]) {
    int64_t groups = (int64_t)step->arg[0], d = 0, heads = 0, kv = 0;
    if (groups == 0) {
        cols[0] = cols[1] = s->cols[0] / 2;
        return s->cols[0] % 2 == 0 ? NULL : "the width is odd";
    }
    if (!lb_shaping_count(s, "head_dim", &d) || !lb_shaping_count(s, "heads", &heads) ||
        !lb_shaping_count(s, "kv_heads", &kv))
        return "heads, kv_heads and head_dim must be positive whole numbers";
    step->head_dim = d;
    step->heads = heads;
    step->kv_heads = kv;
    cols[0] = heads * d;
    cols[1] = cols[2] = kv * d;
    if (groups < 1 || heads % groups != 0 || kv % groups != 0 || s->cols[0] != (heads + 2 * kv) * d)
        return "the width and the groups do not fit the heads";
    return NULL;
}

/* The part of x that the result is; x is twice as wide where it is cut in halves. */
static lb_scaled_by passes(const lb_net_step *s, lb_scaling *x) {
    pieces p = pieces_of(s, x->result, 2 * x->cols);
    for (int64_t i = 0; i < x->n; i++) {
        int64_t c = x->channel[i];
        x->channel[i] = (int32_t)(p.first + c / p.piece * p.stride + c % p.piece);
    }
    x->operand = 0;
    return LB_SCALED_OPERAND;
}

const lb_op lb_op_split = {.name = "split",
                           .operands = "v",
                           .results = 3,
                           .arg = {{"by", NULL, "0"}},
                           .shape = shape,
                           .forward = forward,
                           .passes = passes,
                           .train = train,
                           .back = back,
                           .reference = reference};
