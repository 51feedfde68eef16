/* What steps do where tokens came before (model/session.h): rows by themselves. */
#include <assert.h>
#include <string.h>

#include "base/profile.h"
#include "math/activation.h"
#include "math/kernels.h"
#include "model/exec_impl.h"
#include "model/steps/steps.h"

/* ---- attention ---- */

typedef struct attending {
    const lb_exec_at *x;
    const lb_net_step *s;
    lb_attend a;
    const lb_past_heads *kept;
    lb_cmat q;
    lb_mat out;
} attending;

static const lb_past_heads *heads_of(const lb_past *p, const lb_net_step *s) {
    for (int64_t i = 0; i < p->n; i++)
        if (p->heads[i].step == s) return &p->heads[i];
    return NULL;
}

void lb_past_keep(const lb_exec_at *x, const lb_net_step *s, lb_cmat k, lb_cmat v) {
    const lb_past *p = x->e->past;
    const lb_past_heads *kept = heads_of(p, s);
    int64_t d = s->head_dim;
    assert(kept && p->tokens + k.rows <= p->most);
    for (int64_t g = 0; g < s->kv_heads; g++)
        for (int64_t t = 0; t < k.rows; t++) {
            int64_t at = (g * p->most + p->tokens + t) * d;
            memcpy(kept->k + at, k.d + t * k.ld + g * d, (size_t)d * sizeof(float));
            memcpy(kept->v + at, v.d + t * v.ld + g * d, (size_t)d * sizeof(float));
        }
}

/* Scores of query head `head` at position `at`, scaled in q, with keys [from, at]. */
static void scores(const attending *j, int64_t head, int64_t from, int64_t at, const float *q, float *s) {
    const lb_kernels *kn = lb_kernels_active();
    int64_t d = j->a.head_dim, g = head / (j->a.heads / j->a.kv_heads);
    const float *k = j->kept->k + (g * j->x->e->past->most + from) * d;
    double own = j->a.bias && !(j->a.cap > 0.0f) ? lb_attend_bias(j->s, head, at) : 0.0;
    for (int64_t i = 0; i <= at - from; i++) {
        double dot = kn->dot(q, k + i * d, d);
        s[i] = j->a.bias ? (float)(dot + (lb_attend_bias(j->s, head, from + i) - own)) : (float)dot;
    }
    if (j->a.cap > 0.0f) lb_act_cap(s, j->a.cap, at - from + 1);
}

/* Row and query head `piece`. */
static lb_status attend_row(void *ctx, int64_t piece, int worker) {
    const attending *j = ctx;
    const lb_kernels *kn = lb_kernels_active();
    const lb_past *p = j->x->e->past;
    const lb_attention *room = &j->x->e->desk[worker].attention;
    int64_t d = j->a.head_dim, head = piece % j->a.heads, row = piece / j->a.heads, at = p->tokens + row;
    int64_t from = j->a.window > 0 && at >= j->a.window ? at - j->a.window + 1 : 0, n = at - from + 1;
    const float *q = j->q.d + row * j->q.ld + head * d;
    const float *v = j->kept->v + (head / (j->a.heads / j->a.kv_heads) * p->most + from) * d;
    float *y = j->out.d + row * j->out.ld + head * d, *s = p->score + worker * p->most, *o = room->o;
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_ATTENTION);
    for (int64_t i = 0; i < d; i++) room->q[i] = q[i] * j->a.scale;
    scores(j, head, from, at, room->q, s);
    float top = kn->max(s, n), over = (float)(1.0 / kn->exp_sum(s, s, top, n));
    memset(o, 0, (size_t)d * sizeof *o);
    for (int64_t i = 0; i < n; i++) kn->axpy(o, s[i], v + i * d, d);
    for (int64_t i = 0; i < d; i++) y[i] = j->a.add ? y[i] + o[i] * over : o[i] * over;
    lb_scope_end(&scope, 4.0 * (double)(n * d), 8.0 * (double)(n * d));
    return LB_OK;
}

lb_status lb_past_attend(const lb_exec_at *x, const lb_net_step *s, lb_cmat q, lb_mat out) {
    attending j = {.x = x, .s = s, .a = lb_attend_of(s), .kept = heads_of(x->e->past, s), .q = q, .out = out};
    return lb_parallel_for(x->e->team, q.rows * s->heads, attend_row, &j);
}

/* ---- products ---- */

enum { FEW_ROWS = 4 };

bool lb_past_multiplies(const lb_exec *e, const lb_linop *op, int64_t rows) {
    return lb_exec_past(e) > 0 && rows <= FEW_ROWS && lb_linop_kind_of(op) == &lb_linop_f32;
}
