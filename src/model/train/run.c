#include "model/train/train.h"

#include <assert.h>

#include "math/blas.h"
#include "model/linop.h"

/* Output tile of a site's gradient. */
enum { TILE_ROWS = 128, TILE_COLS = 512 };

/* ---- subnormal numbers are 0 ---- */

typedef struct flushed {
    lb_piece f;
    void *ctx;
} flushed;

static lb_status run_flushed(void *ctx, int64_t piece, int worker) {
    const flushed *j = ctx;
#if defined(__x86_64__)
    enum { FLUSH_TO_ZERO = 0x8000, DENORMALS_ARE_ZERO = 0x40 };
    unsigned before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(before | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO);
    lb_status s = j->f(j->ctx, piece, worker);
    __builtin_ia32_ldmxcsr(before);
    return s;
#else
    return j->f(j->ctx, piece, worker);
#endif
}

lb_status lb_train_for(lb_team *team, int64_t n, lb_piece f, void *ctx) {
    return lb_parallel_for(team, n, run_flushed, &(flushed){f, ctx});
}

/* ---- places ---- */

lb_status lb_train_new(lb_arena *a, lb_backward *b, int32_t values, int32_t steps, lb_train *out) {
    float **of_value = LB_NEW(a, float *, 2 * (size_t)values), **of_step = LB_NEW(a, float *, 3 * (size_t)steps);
    *out = (lb_train){.b = b, .fresh = LB_NEW(a, bool, steps)};
    if (!of_value || !of_step || !out->fresh) return LB_E_NOMEM;
    out->value = of_value;
    out->grad = of_value + values;
    out->quantized = of_step;
    out->kept = of_step + steps;
    out->room = of_step + 2 * (size_t)steps;
    return LB_OK;
}

static float *at(const lb_areas *x, lb_place p, int64_t cols, bool grad) {
    float *base = NULL;
    if (p.area == LB_AREA_IN) base = grad ? x->grad_in : x->in;
    if (p.area == LB_AREA_OUT) base = grad ? x->grad_out : x->out;
    if (p.area == LB_AREA_KEPT) base = x->kept;
    if (p.area == LB_AREA_POOL) base = x->pool;
    return base ? base + p.at * x->rows + x->first * cols : NULL;
}

static bool reads_as_it_is(const lb_linop *o) { return o->act.bits == 0 && !lb_transform_any(&o->T); }

int64_t lb_train_quantized(const lb_weights *w, const lb_net_part *part, const lb_plan *plan, lb_train *t,
                           const lb_areas *areas) {
    int64_t cols = 0;
    for (int32_t i = 0; i < plan->steps; i++) {
        const lb_net_step *s = &part->step[i];
        if (t) t->quantized[i] = NULL;
        if (!lb_plan_multiplies(s) || reads_as_it_is(&w->site[s->site])) continue;
        int32_t same = 0;
        while (same < i && !(lb_plan_multiplies(&part->step[same]) && part->step[same].src[0] == s->src[0] &&
                             lb_linop_share(&w->site[part->step[same].site], &w->site[s->site])))
            same++;
        int64_t width = plan->cols[s->src[0]];
        if (t) {
            t->fresh[i] = same == i;
            t->quantized[i] =
                same < i ? t->quantized[same] : areas->quantized + cols * areas->rows + areas->first * width;
        }
        if (same == i) cols += width;
    }
    return cols;
}

void lb_train_bind(lb_train *t, const lb_net_part *part, const lb_plan *plan, const lb_areas *areas) {
    t->part = part;
    t->plan = plan;
    for (int32_t v = 0; v < part->values; v++) {
        const lb_plan_value *x = &plan->value[v];
        t->value[v] = at(areas, t->g ? x->back : x->forth, plan->cols[v], false);
        t->grad[v] = t->g ? at(areas, x->grad, plan->cols[v], true) : NULL;
    }
    for (int32_t i = 0; i < plan->steps; i++) {
        const lb_net_step *s = &part->step[i];
        t->kept[i] = s->op->keeps ? at(areas, plan->step[i].kept, 0, false) : NULL;
        t->room[i] = s->op->room && t->g ? at(areas, plan->step[i].room, 0, false) : NULL;
    }
    (void)lb_train_quantized(t->w, part, plan, t, areas);
}

/* ---- what steps ask for ---- */

static const lb_plan_step *plan_of(const lb_train *t, const lb_net_step *s) {
    return &t->plan->step[s - t->part->step];
}

lb_share lb_train_out(const lb_train *t, const lb_net_step *s, const lb_rows *r) {
    lb_share x = {.to = lb_train_value(t, s->dst[0], r)};
    if (s->into >= 0) x.base = lb_train_value(t, s->into, r).d;
    return x;
}

lb_cmat lb_train_input(const lb_train *t, const lb_net_step *s, const lb_rows *r) {
    int64_t i = s - t->part->step;
    lb_cmat x = lb_mat_c(lb_train_value(t, s->src[0], r));
    if (!t->quantized[i]) return x;
    const lb_linop *o = &t->w->site[s->site];
    lb_mat q = lb_train_mat(t->quantized[i], r, x.cols);
    if (t->fresh[i]) {
        lb_linop_transformed(o, x, q);
        lb_actquant_apply(&o->act, lb_mat_c(q), q);
    }
    return lb_mat_c(q);
}

lb_share lb_train_share(const lb_train *t, const lb_net_step *s, int k, const lb_rows *r) {
    int32_t base = plan_of(t, s)->base[k];
    lb_share x = {.to = lb_train_grad(t, s->src[k], r)};
    if (base >= 0) x.base = lb_train_grad(t, base, r).d;
    return x;
}

void lb_share_product(const lb_share *x, float alpha, lb_cmat A, bool transposed, lb_cmat W) {
    if (x->base && x->base != x->to.d) memcpy(x->to.d, x->base, (size_t)(x->to.rows * x->to.cols) * sizeof *x->to.d);
    lb_sgemm(false, transposed, alpha, A, W, x->base ? 1.0f : 0.0f, x->to);
}

/* dx (n, cols) := 0 where the static range of T x cuts; dx := T'dx. */
static void back_through_input(const lb_linop *o, lb_cmat x, lb_mat read, lb_mat dx) {
    if (lb_actquant_is_static(&o->act)) {
        lb_linop_transformed(o, x, read);
        for (int64_t i = 0; i < dx.rows * dx.cols; i++)
            if (lb_actquant_cuts(&o->act, read.d[i])) dx.d[i] = 0;
    }
    lb_transform_weights_back(&o->T, dx);
}

lb_status lb_train_back_product(const lb_train *t, const lb_net_step *s, const lb_rows *r, const lb_share *dx,
                                float mult, lb_cmat dy) {
    const lb_linop *o = &t->w->site[s->site];
    int64_t rows = dx->to.rows, cols = dx->to.cols;
    if (!lb_actquant_is_static(&o->act) && !lb_transform_any(&o->T)) {
        lb_share_product(dx, mult, dy, false, o->W);
        return LB_OK;
    }
    float *room = lb_alloc(2 * (size_t)(rows * cols) + 1, sizeof *room);
    if (!room) return LB_E_NOMEM;
    lb_mat own = lb_mat_of(room, rows, cols), read = lb_mat_of(room + rows * cols, rows, cols);
    lb_sgemm(false, false, mult, dy, o->W, 0.0f, own);
    back_through_input(o, lb_mat_c(lb_train_value(t, s->src[0], r)), read, own);
    for (int64_t i = 0; i < rows; i++) lb_share_set(dx, i, own.d + i * cols);
    lb_free(room);
    return LB_OK;
}

float *lb_train_sum(const lb_train *t, const lb_net_step *s, const lb_rows *r, int32_t vector, int64_t after) {
    if (vector < 0 || !t->g->vector || !t->g->vector[lb_net_vector_owner(t->b->net, vector)]) return NULL;
    return r->sums + plan_of(t, s)->sums + after;
}

void lb_train_add_rows(float *sum, float times, lb_mat x) {
    memset(sum, 0, (size_t)x.cols * sizeof *sum);
    for (int64_t i = 0; i < x.rows; i++)
        for (int64_t j = 0; j < x.cols; j++) sum[j] += times * x.d[i * x.ld + j];
}

int32_t lb_train_bias(const lb_train *t, const lb_net_step *s) { return t->b->net->site[s->site].bias; }
int64_t lb_train_vector(const lb_train *t, int32_t vector) { return t->b->net->vector[vector].n; }

lb_mat lb_train_site(const lb_train *t, int32_t site, bool *add) {
    int32_t owner = lb_net_owner(t->b->net, site);
    *add = t->b->written[owner];
    if (t->g->site[owner].d) t->b->written[owner] = true;
    return t->g->site[owner];
}

void lb_train_turn(const lb_train *t, const lb_net_step *s, bool inverse, int64_t first, lb_mat x) {
    int64_t length = t->b->length;
    for (int64_t i = 0; i < x.rows;) { /* a panel may hold parts of several sequences */
        int64_t at = (first + i) % length, n = lb_least(length - at, x.rows - i);
        lb_rotary_turn(&t->b->net->rope[s->rope], &t->b->rope[s->rope], inverse, s->head_dim, at,
                       lb_mat_part(x, i, 0, n, x.cols));
        i += n;
    }
}

int64_t lb_train_length(const lb_train *t) { return t->b->length; }
float *lb_train_scratch(const lb_train *t, int worker) { return t->b->scratch[worker]; }

/* ---- phases ---- */

typedef struct panel_job {
    const lb_passes *x;
    lb_panel f;
    const void *ctx;
} panel_job;

static lb_status run_panel(void *ctx, int64_t piece, int worker) {
    const panel_job *j = ctx;
    int64_t low = 0, high = j->x->n; /* the pass whose piece it is */
    while (high - low > 1) {
        int64_t mid = (low + high) / 2;
        *(j->x->first[mid] <= piece ? &low : &high) = mid;
    }
    const lb_train *t = &j->x->at[low];
    int64_t first = (piece - j->x->first[low]) * LB_TRAIN_PANEL;
    lb_rows r = {first, lb_least(LB_TRAIN_PANEL, t->rows - first), t->b->scratch[worker],
                 j->x->sums + piece * t->plan->sums};
    return j->f(t, &r, j->ctx);
}

lb_status lb_passes_panels(const lb_passes *x, lb_panel f, const void *ctx, lb_team *team) {
    return lb_train_for(team, x->first[x->n], run_panel, &(panel_job){x, f, ctx});
}

static lb_status forth_panel(const lb_train *t, const lb_rows *r, const void *ctx) {
    const lb_phase *phase = ctx;
    for (int32_t i = phase->first; i < phase->first + phase->steps; i++)
        LB_TRY(t->part->step[i].op->train(t, &t->part->step[i], r));
    return LB_OK;
}

lb_status lb_passes_forth(const lb_passes *x, lb_team *team) {
    const lb_plan *plan = x->at[0].plan;
    for (int32_t n = 0; n < plan->forths; n++) {
        const lb_phase *phase = &plan->forth[n];
        const lb_net_step *s = &x->at[0].part->step[phase->first];
        LB_TRY(phase->all ? s->op->train_all(x->at, s, team) : lb_passes_panels(x, forth_panel, phase, team));
    }
    return LB_OK;
}

static lb_status back_panel(const lb_train *t, const lb_rows *r, const void *ctx) {
    const lb_phase *phase = ctx;
    const lb_net_step *step = t->part->step;
    for (int32_t k = 0; k < phase->remade; k++) {
        int32_t i = t->plan->again[phase->again + k];
        LB_TRY(step[i].op->train(t, &step[i], r));
    }
    for (int32_t k = 0; k < phase->steps && !phase->all; k++) {
        int32_t i = t->plan->order[phase->first + k];
        LB_TRY(step[i].op->back(t, &step[i], r));
    }
    return LB_OK;
}

/* Panels in order, as one sum after another; add: to what is there already. */
static void sum_panels(const lb_passes *x, int64_t pass, int64_t from, int64_t n, bool add, float *to) {
    int64_t width = x->at[0].plan->sums;
    if (!add) memset(to, 0, (size_t)n * sizeof *to);
    for (int64_t p = x->first[pass]; p < x->first[pass + 1]; p++) {
        const float *part = x->sums + p * width + from;
        if (p == x->first[pass] && !add)
            memcpy(to, part, (size_t)n * sizeof *to);
        else
            for (int64_t i = 0; i < n; i++) to[i] += part[i];
    }
}

/* The gradient of a vector, or its owner's; NULL: not wanted. */
static float *vector_gradient(const lb_train *t, int32_t vector, bool *add) {
    int32_t owner = lb_net_vector_owner(t->b->net, vector);
    float *g = t->g->vector ? t->g->vector[owner] : NULL;
    *add = t->b->summed[owner] || t->b->adds;
    if (g) t->b->summed[owner] = true;
    return g;
}

void lb_passes_sum(const lb_passes *x, int32_t step) {
    for (int64_t pass = 0; pass < x->n; pass++) {
        const lb_train *t = &x->at[pass];
        const lb_net *net = t->b->net;
        const lb_net_step *s = &t->part->step[step];
        int32_t vector[] = {s->weight, s->bias, s->site >= 0 ? net->site[s->site].bias : -1};
        int64_t from = t->plan->step[step].sums;
        for (int k = 0; k < 3; k++) {
            if (vector[k] < 0) continue;
            int64_t n = net->vector[vector[k]].n;
            bool add;
            float *g = vector_gradient(t, vector[k], &add);
            if (g) sum_panels(x, pass, from, n, add, g);
            from += n;
        }
    }
}

/* A row-wise phase whose rows are done: the sums of its panels, which the next phase's take the place of, and its
 * products, which are to be made. */
static void phase_gradients(const lb_passes *x, const lb_phase *phase) {
    lb_backward *b = x->at[0].b;
    for (int32_t k = phase->steps - 1; k >= 0; k--) {
        int32_t i = x->at[0].plan->order[phase->first + k];
        lb_passes_sum(x, i);
        if (!lb_plan_multiplies(&x->at[0].part->step[i])) continue;
        for (int64_t pass = 0; pass < x->n; pass++) {
            const lb_train *t = &x->at[pass];
            const lb_net_step *s = &t->part->step[i];
            const float *in = t->quantized[i] ? t->quantized[i] : t->value[s->src[0]];
            b->job[b->jobs++] =
                (lb_weight_job){.site = s->site,
                                .alpha = (float)s->arg[0],
                                .dy = lb_cmat_of(t->grad[s->dst[0]], t->rows, t->part->value[s->dst[0]].cols),
                                .x = lb_cmat_of(in, t->rows, t->part->value[s->src[0]].cols)};
        }
    }
}

static lb_status phases_back(const lb_passes *x, lb_team *team) {
    const lb_plan *plan = x->at[0].plan;
    for (int32_t n = 0; n < plan->backs; n++) {
        const lb_phase *phase = &plan->back[n];
        if (!phase->all || phase->remade) LB_TRY(lb_passes_panels(x, back_panel, phase, team));
        if (!phase->all) {
            phase_gradients(x, phase);
            continue;
        }
        const lb_net_step *s = &x->at[0].part->step[plan->order[phase->first]];
        LB_TRY(s->op->back_all(x->at, s, team));
    }
    return LB_OK;
}

lb_status lb_passes_back(const lb_passes *x, lb_team *team) {
    lb_backward *b = x->at[0].b;
    int64_t waiting = b->jobs; /* of the part whose experts these are */
    lb_status st = phases_back(x, team);
    if (st == LB_OK) st = lb_weight_gradients(b, x->at[0].g, b->job + waiting, b->jobs - waiting, team);
    b->jobs = waiting;
    return st;
}

/* ---- dW = dYᵀ X, an output tile a piece: the sum over rows is one product ---- */

static lb_status weight_tile(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const lb_weight_job *j = ctx;
    while (piece >= j[1].first) j++;
    int64_t tile = piece - j->first, across = lb_tiles(j->g.cols, TILE_COLS);
    int64_t r0 = tile / across * TILE_ROWS, c0 = tile % across * TILE_COLS;
    int64_t rows = lb_least(TILE_ROWS, j->g.rows - r0), cols = lb_least(TILE_COLS, j->g.cols - c0);
    lb_mat g = lb_mat_part(j->g, r0, c0, rows, cols);
    if (j->x.rows > 0)
        lb_sgemm(true, false, j->alpha, lb_cmat_part(j->dy, 0, r0, j->dy.rows, rows),
                 lb_cmat_part(j->x, 0, c0, j->x.rows, cols), j->beta, g);
    else if (j->beta == 0.0f) /* no row went this way */
        for (int64_t i = 0; i < rows; i++) memset(g.d + i * g.ld, 0, (size_t)cols * sizeof *g.d);
    return LB_OK;
}

lb_status lb_weight_gradients(lb_backward *b, const lb_grads *g, lb_weight_job *job, int64_t n, lb_team *team) {
    int64_t ready = 0, tiles = 0;
    for (int64_t i = 0; i < n; i++) {
        bool add;
        lb_mat to = lb_train_site(&(lb_train){.b = b, .g = g}, job[i].site, &add);
        if (!to.d) continue;
        bool waits = false; /* for another of this batch that writes there too */
        for (int64_t k = 0; k < ready && !waits; k++) waits = job[k].g.d == to.d;
        if (waits) {
            job[ready].first = tiles;
            LB_TRY(lb_train_for(team, tiles, weight_tile, job));
            ready = tiles = 0;
        }
        job[ready] = job[i];
        job[ready].g = to;
        job[ready].beta = add ? 1.0f : 0.0f;
        job[ready++].first = tiles;
        tiles += lb_tiles(to.rows, TILE_ROWS) * lb_tiles(to.cols, TILE_COLS);
    }
    job[ready].first = tiles;
    return lb_train_for(team, tiles, weight_tile, job);
}
