/* y = experts x ROUTER top=: the router's softmax picks `top` experts for each token; each runs its program on the rows
 * routed to it, with x as the value n, and its value y, times the router's weight, is added in the order of experts
 * (Shazeer et al. 2017, arXiv:1701.06538, eq. 1). renorm: the weights of the picked ones sum to one; that is also the
 * softmax of the top logits alone. Equal weights: the lower expert first. */
#include "model/exec_impl.h"
#include "model/steps/reference.h"
#include "model/steps/steps.h"
#include "model/train/train.h"

#include <math.h>
#include <string.h>

#include "math/blas.h"
#include "math/kernels.h"

static void softmax(double *p, int64_t n) {
    double top = -INFINITY, sum = 0.0;
    for (int64_t i = 0; i < n; i++) top = fmax(top, p[i]);
    for (int64_t i = 0; i < n; i++) sum += p[i] = exp(p[i] - top);
    for (int64_t i = 0; i < n; i++) p[i] /= sum;
}

/* What is not among the `top` largest becomes zero. */
static void keep_largest(double *p, int64_t n, int64_t top, bool renorm, bool *kept) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) kept[i] = false;
    for (int64_t k = 0; k < top; k++) {
        int64_t best = -1;
        for (int64_t i = 0; i < n; i++)
            if (!kept[i] && (best < 0 || p[i] > p[best])) best = i;
        kept[best] = true;
        sum += p[best];
    }
    for (int64_t i = 0; i < n; i++) p[i] = kept[i] ? p[i] / (renorm ? sum : 1.0) : 0.0;
}

/* Expert e on its rows; y (T, x->cols) gains what it gives. */
static lb_status run_expert(lb_reference *r, const lb_step *s, const lb_ref_value *x, const double *weight,
                            int64_t experts, int64_t e, double *y) {
    lb_reference own = *r;
    own.expert = e;
    own.T = 0;
    int64_t *row = LB_NEW(r->arena, int64_t, r->T + 1);
    if (!row) return LB_E_NOMEM;
    for (int64_t t = 0; t < r->T; t++)
        if (weight[t * experts + e] > 0.0) row[own.T++] = t;
    if (own.T == 0) return LB_OK;
    double *n;
    LB_TRY(lb_ref_new(&own, x->cols, &n));
    for (int64_t i = 0; i < own.T * x->cols; i++) n[i] = x->d[row[i / x->cols] * x->cols + i % x->cols];
    own.value[0] = (lb_ref_value){"n", n, x->cols};
    own.values = 1;
    LB_TRY(lb_ref_steps(&own, &r->program->expert));
    const lb_ref_value *out = lb_reference_value(&own, "y");
    if (!out || out->cols != x->cols) return lb_ref_fail(r, s, "an expert's program gives no y as wide as x");
    for (int64_t i = 0; i < own.T * x->cols; i++) {
        int64_t t = row[i / x->cols];
        y[t * x->cols + i % x->cols] += out->d[i] * weight[t * experts + e];
    }
    return LB_OK;
}

static lb_status reference(lb_reference *r, const lb_step *s) {
    lb_ref_value x;
    lb_ref_param router;
    double top, renorm, *weight, *y;
    LB_TRY(lb_ref_operand(r, s, 0, &x));
    LB_TRY(lb_ref_site(r, s, 1, x.cols, &router));
    LB_TRY(lb_ref_arg(r, s, 0, &top));
    LB_TRY(lb_ref_arg(r, s, 1, &renorm));
    int64_t experts = router.W.rows;
    if (!(top >= 1.0 && top <= (double)experts)) return lb_ref_fail(r, s, "top is not within the experts");
    bool *kept = LB_NEW(r->arena, bool, experts);
    if (!kept) return LB_E_NOMEM;
    LB_TRY(lb_ref_product(r, &router, x.d, &weight));
    for (int64_t t = 0; t < r->T; t++) {
        softmax(weight + t * experts, experts);
        keep_largest(weight + t * experts, experts, (int64_t)top, renorm != 0.0, kept);
    }
    LB_TRY(lb_ref_new(r, x.cols, &y));
    for (int64_t e = 0; e < experts; e++) LB_TRY(run_expert(r, s, &x, weight, experts, e, y));
    return lb_ref_write(r, s, 0, y, x.cols);
}

/* ---- training ---- */

enum { TOP, RENORM };

static lb_routed *routed_of(const lb_train *t, const lb_net_step *s) { return t->routed[s - t->part->step]; }

/* The router's weights of some rows' tokens, and whom they go to. */
static lb_status route_panel(const lb_train *t, const lb_rows *r, const void *ctx) {
    const lb_net_step *s = ctx;
    lb_routed *x = routed_of(t, s);
    int32_t bias = lb_train_bias(t, s);
    lb_mat p = lb_train_mat(x->p, r, x->experts);
    lb_sgemm(false, true, 1.0f, lb_train_input(t, s, r), t->w->site[s->site].W, 0.0f, p);
    for (int64_t i = 0; i < r->n; i++) {
        float *row = p.d + i * p.ld;
        int32_t *chosen = x->chosen + (r->first + i) * x->top;
        float *weight = x->weight + (r->first + i) * x->top;
        for (int64_t e = 0; bias >= 0 && e < x->experts; e++) row[e] += t->w->vector[bias][e];
        double sum = lb_kernels_active()->exp_sum(row, row, lb_kernels_active()->max(row, x->experts), x->experts);
        lb_kernels_active()->scale(row, (float)(1.0 / sum), x->experts);
        for (int64_t k = 0; k < x->top; k++) { /* the largest that is left, kept in the order of experts */
            int32_t best = -1;
            for (int32_t e = 0; e < x->experts; e++) {
                bool taken = false;
                for (int64_t j = 0; j < k; j++) taken |= chosen[j] == e;
                if (!taken && (best < 0 || row[e] > row[best])) best = e;
            }
            int64_t at = k;
            for (; at > 0 && chosen[at - 1] > best; at--) chosen[at] = chosen[at - 1];
            chosen[at] = best;
        }
        double kept = 0.0;
        for (int64_t k = 0; k < x->top; k++) kept += (double)row[chosen[k]];
        for (int64_t k = 0; k < x->top; k++)
            weight[k] = s->arg[RENORM] != 0.0 ? (float)((double)row[chosen[k]] / kept) : row[chosen[k]];
    }
    return LB_OK;
}

/* Rows expert after expert, each one's in the order of tokens. */
static void place_rows(lb_routed *x) {
    int64_t *next = x->first + 1; /* becomes the end of expert e's rows as they are placed */
    memset(x->first, 0, (size_t)(x->experts + 1) * sizeof *x->first);
    for (int64_t i = 0; i < x->rows; i++)
        if (x->chosen[i] + 1 < x->experts) next[x->chosen[i] + 1]++;
    for (int64_t e = 1; e < x->experts; e++) next[e] += next[e - 1];
    for (int64_t i = 0; i < x->rows; i++) {
        x->row[i] = next[x->chosen[i]]++;
        x->token[x->row[i]] = (int32_t)(i / x->top);
    }
}

/* Each expert's part on its rows; g NULL: forward. */
static void bind_experts(const lb_train *t, const lb_net_step *s, int64_t step) {
    lb_backward *b = t->b;
    lb_routed *x = routed_of(t, s);
    lb_expert_room *room = &b->expert;
    lb_passes *passes = &room->passes;
    lb_areas areas = {.in = room->n,
                      .out = x->y,
                      .kept = x->kept,
                      .pool = room->pool,
                      .grad_in = room->dn,
                      .grad_out = room->dy,
                      .quantized = b->expert_quantized,
                      .rows = x->rows};
    passes->n = x->experts;
    for (int64_t e = 0; e < x->experts; e++) {
        lb_train *own = &passes->at[e];
        own->w = t->w;
        own->g = t->g;
        own->rows = x->first[e + 1] - x->first[e];
        areas.first = x->first[e];
        lb_train_bind(own, &s->expert[e], t->plan->step[step].expert, &areas);
        passes->first[e + 1] = passes->first[e] + lb_tiles(own->rows, LB_TRAIN_PANEL);
    }
}

typedef struct gather_job {
    const lb_train *t;
    const lb_net_step *s;
} gather_job;

/* Rows of an expert: what its tokens read; on the way back also the gradient of what it gives, and of its weight. */
static lb_status gather_panel(const lb_train *own, const lb_rows *r, const void *ctx) {
    const gather_job *j = ctx;
    const lb_train *t = j->t;
    lb_routed *x = routed_of(t, j->s);
    int64_t cols = t->part->value[j->s->src[0]].cols, at = (own - t->b->expert.passes.at);
    const float *from = t->value[j->s->src[0]], *dm = t->grad[j->s->dst[0]];
    lb_mat n = lb_train_value(own, own->part->entering, r), y = lb_train_value(own, own->part->leaving, r);
    for (int64_t i = 0; i < r->n; i++) {
        int64_t row = x->first[at] + r->first + i, token = x->token[row];
        memcpy(n.d + i * cols, from + token * cols, (size_t)cols * sizeof *n.d);
        if (!t->g) continue;
        const float *d = dm + token * cols;
        float *dy = lb_train_grad(own, own->part->leaving, r).d + i * cols;
        int64_t k = 0; /* this row's place among the token's */
        while (x->row[token * x->top + k] != row) k++;
        t->b->expert.dweight[row] = (float)lb_kernels_active()->dot(d, y.d + i * cols, cols);
        for (int64_t c = 0; c < cols; c++) dy[c] = x->weight[token * x->top + k] * d[c];
    }
    return LB_OK;
}

/* A token's experts add up, in order. */
static lb_status combine_panel(const lb_train *t, const lb_rows *r, const void *ctx) {
    const lb_net_step *s = ctx;
    lb_routed *x = routed_of(t, s);
    lb_share m = lb_train_out(t, s, r);
    int64_t cols = m.to.cols;
    for (int64_t i = 0; i < r->n; i++) {
        float *sum = r->scratch;
        memset(sum, 0, (size_t)cols * sizeof *sum);
        for (int64_t k = (r->first + i) * x->top; k < (r->first + i + 1) * x->top; k++)
            lb_kernels_active()->axpy(sum, x->weight[k], x->y + x->row[k] * cols, cols);
        lb_share_set(&m, i, sum);
    }
    return LB_OK;
}

static lb_status train_all(const lb_train *t, const lb_net_step *s, lb_team *team) {
    const lb_backward *b = t->b;
    LB_TRY(lb_passes_panels(&b->one, route_panel, s, team));
    place_rows(routed_of(t, s));
    bind_experts(t, s, s - t->part->step);
    LB_TRY(lb_passes_panels(&b->expert.passes, gather_panel, &(gather_job){t, s}, team));
    LB_TRY(lb_passes_forth(&b->expert.passes, team));
    return lb_passes_panels(&b->one, combine_panel, s, team);
}

/* From the gradients of a token's weights to those of the router's logits. The choice of experts has none. */
static void router_row(const lb_routed *x, bool renorm, int64_t token, const float *dweight, float *dz) {
    const float *p = x->p + token * x->experts, *weight = x->weight + token * x->top;
    const int32_t *chosen = x->chosen + token * x->top;
    const int64_t *row = x->row + token * x->top;
    double mean = 0.0;
    for (int64_t k = 0; k < x->top; k++) mean += (double)weight[k] * (double)dweight[row[k]];
    for (int64_t e = 0; e < x->experts; e++) dz[e] = renorm ? 0.0f : (float)(-mean * (double)p[e]);
    for (int64_t k = 0; k < x->top; k++) dz[chosen[k]] = (float)((double)weight[k] * ((double)dweight[row[k]] - mean));
}

/* Those of the balance (backward.h), added: through the probabilities alone, shares being as they are. */
static void balance_row(const lb_routed *x, double coefficient, int64_t tokens, const float *p, float *dz) {
    double each = coefficient * (double)x->experts / ((double)x->top * (double)tokens * (double)tokens), mean = 0.0;
    for (int64_t e = 0; e < x->experts; e++) mean += (double)p[e] * (double)(x->first[e + 1] - x->first[e]);
    for (int64_t e = 0; e < x->experts; e++)
        dz[e] += (float)(each * (double)p[e] * ((double)(x->first[e + 1] - x->first[e]) - mean));
}

static lb_status router_panel(const lb_train *t, const lb_rows *r, const void *ctx) {
    const lb_net_step *s = ctx;
    lb_routed *x = routed_of(t, s);
    lb_share dx = lb_train_share(t, s, 0, r);
    lb_mat dz = lb_train_mat(t->b->expert.dp, r, x->experts);
    int64_t cols = dx.to.cols;
    float *db = lb_train_sum(t, s, r, lb_train_bias(t, s), 0);
    (void)lb_train_input(t, s, r);
    for (int64_t i = 0; i < r->n; i++) {
        float *sum = r->scratch;
        router_row(x, s->arg[RENORM] != 0.0, r->first + i, t->b->expert.dweight, dz.d + i * dz.ld);
        if (t->b->balance != 0.0)
            balance_row(x, t->b->balance, t->rows, x->p + (r->first + i) * x->experts, dz.d + i * dz.ld);
        memset(sum, 0, (size_t)cols * sizeof *sum);
        for (int64_t k = (r->first + i) * x->top; k < (r->first + i + 1) * x->top; k++)
            lb_kernels_active()->axpy(sum, 1.0f, t->b->expert.dn + x->row[k] * cols, cols);
        lb_share_set(&dx, i, sum);
    }
    dx.base = dx.to.d;
    LB_TRY(lb_train_back_product(t, s, r, &dx, 1.0f, lb_mat_c(dz)));
    if (db) lb_train_add_rows(db, 1.0f, dz);
    return LB_OK;
}

static lb_status back_all(const lb_train *t, const lb_net_step *s, lb_team *team) {
    lb_backward *b = t->b;
    int64_t step = s - t->part->step, cols = t->part->value[s->src[0]].cols;
    bind_experts(t, s, step);
    LB_TRY(lb_passes_panels(&b->expert.passes, gather_panel, &(gather_job){t, s}, team));
    LB_TRY(lb_passes_back(&b->expert.passes, team));
    LB_TRY(lb_passes_panels(&b->one, router_panel, s, team));
    lb_passes_sum(&b->one, (int32_t)step);
    const float *in = t->quantized[step] ? t->quantized[step] : t->value[s->src[0]];
    lb_weight_job *job = b->job + b->jobs;
    *job = (lb_weight_job){.site = s->site,
                           .alpha = 1.0f,
                           .dy = lb_cmat_of(b->expert.dp, t->rows, routed_of(t, s)->experts),
                           .x = lb_cmat_of(in, t->rows, cols)};
    return lb_weight_gradients(b, t->g, job, 1, team);
}

static lb_status new_routed(lb_backward *b, const lb_net_step *s, const lb_plan *plan, lb_routed **out) {
    lb_arena *a = b->arena;
    lb_routed *x = LB_NEW(a, lb_routed, 1);
    if (!x) return LB_E_NOMEM;
    int64_t top = (int64_t)s->arg[TOP], R = b->rows * top;
    *x = (lb_routed){.top = top, .experts = s->n_experts, .rows = R};
    x->chosen = LB_NEW(a, int32_t, R);
    x->row = LB_NEW(a, int64_t, R);
    x->token = LB_NEW(a, int32_t, R);
    x->first = LB_NEW(a, int64_t, x->experts + 1);
    bool ok = x->chosen && x->row && x->token && x->first && lb_room_for(a, &x->p, b->rows, x->experts) &&
              lb_room_for(a, &x->weight, R, 1) && lb_room_for(a, &x->kept, R, plan->kept) &&
              lb_room_for(a, &x->y, R, plan->cols[plan->part->leaving]);
    *out = x;
    return ok ? LB_OK : LB_E_NOMEM;
}

/* What any experts step of the net needs while it runs. */
typedef struct need {
    int64_t rows, cols, pool, sums, experts;
    int32_t values, steps;
} need;

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

static void take_need(need *n, const lb_routed *x, const lb_plan *plan) {
    n->rows = larger(n->rows, x->rows);
    n->cols = larger(n->cols, plan->cols[plan->part->leaving]);
    n->pool = larger(n->pool, plan->pool);
    n->sums = larger(n->sums, plan->sums);
    n->experts = larger(n->experts, x->experts);
    n->values = (int32_t)larger(n->values, plan->part->values);
    n->steps = (int32_t)larger(n->steps, plan->part->steps);
}

static lb_status new_room(lb_backward *b, const need *n) {
    lb_arena *a = b->arena;
    lb_expert_room *x = &b->expert;
    int64_t pieces = n->rows / LB_TRAIN_PANEL + n->experts;
    x->passes.at = LB_NEW(a, lb_train, n->experts);
    x->passes.first = LB_NEW(a, int64_t, n->experts + 1);
    x->passes.n = n->experts;
    if (!x->passes.at || !x->passes.first) return LB_E_NOMEM;
    for (int64_t e = 0; e < n->experts; e++) LB_TRY(lb_train_new(a, b, n->values, n->steps, &x->passes.at[e]));
    bool ok = lb_room_for(a, &x->n, n->rows, n->cols) && lb_room_for(a, &x->dn, n->rows, n->cols) &&
              lb_room_for(a, &x->dy, n->rows, n->cols) && lb_room_for(a, &x->pool, n->rows, n->pool) &&
              lb_room_for(a, &x->dp, b->rows, n->experts) && lb_room_for(a, &x->dweight, n->rows, 1) &&
              lb_room_for(a, &x->passes.sums, pieces, n->sums);
    return ok ? LB_OK : LB_E_NOMEM;
}

static double balance_of(const lb_routed *x) {
    int64_t tokens = x->rows / x->top;
    double sum = 0.0;
    for (int64_t e = 0; e < x->experts; e++) {
        double p = 0.0;
        for (int64_t i = 0; i < tokens; i++) p += (double)x->p[i * x->experts + e];
        sum += (double)(x->first[e + 1] - x->first[e]) * p;
    }
    return sum * (double)x->experts / ((double)x->top * (double)tokens * (double)tokens);
}

void lb_backward_balance(lb_backward *b, double coefficient) { b->balance = coefficient; }

double lb_backward_balanced(const lb_backward *b) {
    double sum = 0.0;
    int64_t n = 0;
    for (int64_t i = 0; i < b->parts; i++)
        for (int32_t k = 0; k < b->plan[i]->steps; k++) {
            if (!b->routed[i][k]) continue;
            sum += balance_of(b->routed[i][k]);
            n++;
        }
    return n ? sum / (double)n : 0.0;
}

lb_status lb_expert_rooms(lb_backward *b) {
    need n = {0};
    if (!(b->routed = LB_NEW(b->arena, lb_routed **, b->parts))) return LB_E_NOMEM;
    for (int64_t i = 0; i < b->parts; i++) {
        const lb_plan *plan = b->plan[i];
        if (!(b->routed[i] = LB_NEW(b->arena, lb_routed *, plan->steps + 1))) return LB_E_NOMEM;
        for (int32_t k = 0; k < plan->steps; k++) {
            if (!plan->step[k].expert) continue;
            LB_TRY(new_routed(b, &plan->part->step[k], plan->step[k].expert, &b->routed[i][k]));
            take_need(&n, b->routed[i][k], plan->step[k].expert);
        }
    }
    return n.experts ? new_room(b, &n) : LB_OK;
}

/* ---- forward ---- */

typedef struct job {
    const lb_exec_at *x;
    const lb_net_step *s;
    lb_panels panels;   /* of the router's product */
    lb_cmat in;         /* (T, cols) */
    lb_mat y;           /* like it */
    int32_t first, end; /* the experts at hand: their rows are in routing.gathered */
} job;

static lb_status score_panel(void *ctx, int64_t piece, int worker) {
    const job *j = ctx;
    lb_exec_at own = *j->x;
    int64_t r0, rows;
    lb_panel_at(&j->panels, piece, &r0, &rows);
    own.desk = &own.e->desk[worker];
    own.prepared = -1;
    int64_t n = j->s->n_experts;
    return lb_exec_product(&own, j->s, r0, rows, 1.0f, false, lb_mat_of(own.e->routing.weight + r0 * n, rows, n));
}

/* The reference's softmax and keep_largest on a row of logits, in float32. */
static void pick(float *p, int64_t n, int64_t top, bool renorm, bool *kept) {
    const lb_kernels *kn = lb_kernels_active();
    float sum = 0.0f;
    kn->scale(p, (float)(1.0 / kn->exp_sum(p, p, kn->max(p, n), n)), n);
    memset(kept, 0, (size_t)n * sizeof *kept);
    for (int64_t k = 0; k < top; k++) {
        int64_t best = -1;
        for (int64_t i = 0; i < n; i++)
            if (!kept[i] && (best < 0 || p[i] > p[best])) best = i;
        kept[best] = true;
        sum += p[best];
    }
    for (int64_t i = 0; i < n; i++) p[i] = kept[i] ? p[i] / (renorm ? sum : 1.0f) : 0.0f;
}

/* Is some input of expert e asked for as if all tokens were its own? */
static bool takes_all(const job *j, int64_t e) {
    const lb_capture *cap = j->x->cap;
    const lb_net *n = j->x->e->net;
    bool all = false;
    for (int32_t i = 0; cap && i < cap->taps; i++)
        all = all || (cap->tap[i].all && n->input[cap->tap[i].input].expert == e);
    return all;
}

/* The tokens of each expert. */
static void list_rows(const job *j) {
    lb_routing *r = &j->x->e->routing;
    int64_t n = 0, T = j->x->T, experts = j->s->n_experts;
    for (int64_t e = 0; e < experts; e++) {
        bool all = takes_all(j, e);
        r->first[e] = n;
        for (int64_t t = 0; t < T; t++)
            if (all || r->weight[t * experts + e] > 0.0f) r->row[n++] = (int32_t)t;
    }
    r->first[experts] = n;
}

static lb_status route(const job *j) {
    lb_exec *e = j->x->e;
    LB_TRY(lb_parallel_for(e->team, j->panels.n, score_panel, (void *)(uintptr_t)j));
    for (int64_t t = 0; t < j->x->T; t++)
        pick(e->routing.weight + t * j->s->n_experts, j->s->n_experts, (int64_t)j->s->arg[0], j->s->arg[1] != 0.0,
             e->routing.kept);
    list_rows(j);
    return LB_OK;
}

/* Expert e of those at hand, as a part of its own: its rows, and those of its values, from `first` on. */
static lb_exec_at expert_at(const job *j, int32_t e) {
    const lb_routing *r = &j->x->e->routing;
    const lb_net_part *part = &j->s->expert[e];
    int64_t first = r->first[e] - r->first[j->first], cols = j->in.cols, widest = 0;
    for (int32_t k = j->first; k < e; k++) widest += (r->first[k + 1] - r->first[k]) * j->s->expert[k].row_cols;
    lb_exec_at own = *j->x;
    own.part = part;
    own.T = r->first[e + 1] - r->first[e];
    own.x = lb_mat_of(r->gathered + first * cols, own.T, cols);
    own.rows = r->out + widest;
    own.from = 0;
    own.stop = part->steps;
    lb_exec_place(&own);
    return own;
}

static lb_status run_piece(void *ctx, int64_t piece, int worker) {
    const job *j = ctx;
    const lb_routing *r = &j->x->e->routing;
    const lb_expert_piece *p = &r->piece[piece];
    lb_exec_at own = expert_at(j, p->expert);
    own.desk = &own.e->desk[worker];
    for (int64_t i = p->r0; i < p->r0 + p->rows; i++)
        memcpy(own.x.d + i * own.x.ld, j->in.d + r->row[r->first[p->expert] + i] * j->in.ld,
               (size_t)j->in.cols * sizeof(float));
    return lb_exec_rows(&own, own.part->run, p->r0, p->rows);
}

/* Columns [c0, c0 + n) of what the experts at hand gave, added in their order. */
enum { COLUMNS = 256 };
static lb_status add_columns(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const job *j = ctx;
    const lb_routing *r = &j->x->e->routing;
    int64_t c0 = piece * COLUMNS, n = j->y.cols - c0 < COLUMNS ? j->y.cols - c0 : COLUMNS;
    for (int32_t e = j->first; e < j->end; e++) {
        lb_exec_at own = expert_at(j, e);
        lb_mat out = lb_exec_value(&own, own.part->leaving, 0, own.T);
        for (int64_t i = 0; i < own.T; i++) {
            int64_t t = r->row[r->first[e] + i];
            float weight = r->weight[t * j->s->n_experts + e];
            if (weight > 0.0f) lb_kernels_active()->axpy(j->y.d + t * j->y.ld + c0, weight, out.d + i * out.ld + c0, n);
        }
    }
    return LB_OK;
}

/* As many experts as T rows have room for, from j->first on. */
static lb_status run_some(job *j) {
    const lb_exec *e = j->x->e;
    const lb_routing *r = &e->routing;
    int64_t pieces = 0, columns = (j->y.cols + COLUMNS - 1) / COLUMNS;
    j->end = j->first;
    while (j->end < j->s->n_experts && r->first[j->end + 1] - r->first[j->first] <= j->x->T) {
        const lb_net_part *part = &j->s->expert[j->end];
        lb_panels own = lb_panels_of(e, part, part->run, r->first[j->end + 1] - r->first[j->end]);
        for (int64_t i = 0; i < own.n && own.T > 0; i++) {
            lb_expert_piece *p = &r->piece[pieces++];
            p->expert = j->end;
            lb_panel_at(&own, i, &p->r0, &p->rows);
        }
        j->end++;
    }
    LB_TRY(lb_parallel_for(e->team, pieces, run_piece, j));
    return lb_parallel_for(e->team, columns, add_columns, j);
}

static void count_taken(const job *j) {
    const lb_exec_at *x = j->x;
    const lb_routing *r = &x->e->routing;
    for (int32_t i = 0; x->cap && i < x->cap->taps; i++) {
        lb_tap *tap = &x->cap->tap[i];
        int32_t expert = x->e->net->input[tap->input].expert;
        if (expert < 0) continue;
        tap->rows = r->first[expert + 1] - r->first[expert];
        if (tap->token) memcpy(tap->token, r->row + r->first[expert], (size_t)tap->rows * sizeof *tap->token);
    }
}

static lb_status forward(lb_exec_at *x, const lb_net_step *s, int64_t r0, int64_t rows) {
    const lb_run router = {.first = (int32_t)(s - x->part->step), .steps = 1, .reach = LB_BY_EXPERT};
    job j = {.x = x,
             .s = s,
             .panels = lb_panels_of(x->e, x->part, &router, rows),
             .in = lb_mat_c(lb_exec_operand(x, s, 0, r0, rows)),
             .y = lb_exec_result(x, s, r0, rows)};
    LB_TRY(route(&j));
    count_taken(&j);
    for (int64_t t = 0; t < rows && s->into < 0; t++) memset(j.y.d + t * j.y.ld, 0, (size_t)j.y.cols * sizeof *j.y.d);
    for (; j.first < s->n_experts; j.first = j.end) LB_TRY(run_some(&j));
    return LB_OK;
}

static const char *shape(const lb_shaping *s, lb_net_step *step, int64_t cols[LB_STEP_RESULTS]) {
    cols[0] = s->cols[0];
    return step->arg[0] >= 1.0 && step->arg[0] <= (double)s->rows ? NULL : "top is not within the experts";
}

const lb_op lb_op_experts = {.name = "experts",
                             .operands = "vs",
                             .results = 1,
                             .arg = {{"top", NULL, NULL}, {"renorm", NULL, "0"}},
                             .reach = LB_BY_EXPERT,
                             .shape = shape,
                             .forward = forward,
                             .undone = 1u,
                             .reads = 1u,
                             .train_all = train_all,
                             .back_all = back_all,
                             .reference = reference};
