#include <math.h>

#include "model/train/train.h"

/* Logits that exist at a time, and the least and most rows of them. */
enum { LOGITS = 16 << 20, HEAD_ROWS_MIN = 64, HEAD_ROWS_MAX = 1024 };

typedef struct most {
    int64_t pool, sums, cols;
    int32_t values, steps, sites;
} most;

static void take_most(most *m, const lb_plan *plan) {
    if (m->pool < plan->pool) m->pool = plan->pool;
    if (m->sums < plan->sums) m->sums = plan->sums;
    if (m->values < plan->part->values) m->values = plan->part->values;
    if (m->steps < plan->part->steps) m->steps = plan->part->steps;
    if (m->sites < plan->sites) m->sites = plan->sites;
    for (int32_t v = 0; v < plan->part->values; v++)
        if (plan->part->value[v].born < plan->steps && m->cols < plan->cols[v]) m->cols = plan->cols[v];
}

static lb_status make_plans(lb_backward *b, most *m) {
    lb_arena *a = b->arena;
    b->plan = LB_NEW(a, lb_plan *, b->parts);
    b->x = LB_NEW(a, float *, b->parts + 1);
    b->kept = LB_NEW(a, float *, b->parts);
    if (!b->plan || !b->x || !b->kept) return LB_E_NOMEM;
    for (int64_t i = 0; i < b->parts; i++) {
        LB_TRY(lb_plan_new(a, b->net, b->part[i], 1, &b->plan[i]));
        take_most(m, b->plan[i]);
        for (int32_t k = 0; k < b->plan[i]->steps; k++)
            if (b->plan[i]->step[k].expert) take_most(m, b->plan[i]->step[k].expert);
        if (b->part[i]->entering >= 0 && !lb_room_for(a, &b->x[i], b->rows, b->net->dim)) return LB_E_NOMEM;
        if (!lb_room_for(a, &b->kept[i], b->rows, b->plan[i]->kept)) return LB_E_NOMEM;
    }
    return LB_OK;
}

static lb_status make_buffers(lb_backward *b, const most *m) {
    lb_arena *a = b->arena;
    int64_t N = b->rows;
    b->one = (lb_passes){.n = 1, .at = LB_NEW(a, lb_train, 1), .first = LB_NEW(a, int64_t, 2)};
    if (!b->one.at || !b->one.first) return LB_E_NOMEM;
    b->one.first[1] = b->panels;
    LB_TRY(lb_train_new(a, b, m->values, m->steps, b->one.at));
    b->one.at->rows = N;
    b->scratch_floats = lb_train_attend_floats(b->length);
    if (b->scratch_floats < 3 * m->cols) b->scratch_floats = 3 * m->cols;
    b->written = LB_NEW(a, bool, b->net->sites);
    b->summed = LB_NEW(a, bool, b->net->vectors + 1);
    bool ok = b->written && b->summed && lb_room_for(a, &b->pool, N, m->pool) &&
              lb_room_for(a, &b->dx, N, b->net->dim) && lb_room_for(a, &b->dx_next, N, b->net->dim) &&
              lb_room_for(a, &b->one.sums, b->panels, m->sums);
    return ok ? LB_OK : LB_E_NOMEM;
}

static lb_status make_head_buffers(lb_backward *b) {
    int64_t vocab = b->net->vocab;
    b->head_rows = LOGITS / vocab / HEAD_ROWS_MIN * HEAD_ROWS_MIN;
    if (b->head_rows > HEAD_ROWS_MAX) b->head_rows = HEAD_ROWS_MAX;
    if (b->head_rows < HEAD_ROWS_MIN) b->head_rows = HEAD_ROWS_MIN;
    b->head_rows = lb_least(b->head_rows, b->rows);
    if (b->scratch_floats < 2 * vocab) b->scratch_floats = 2 * vocab;
    b->nll = LB_NEW(b->arena, double, b->rows);
    b->kl = LB_NEW(b->arena, double, b->rows);
    bool ok = b->nll && b->kl && lb_room_for(b->arena, &b->logits, b->head_rows, vocab);
    return ok ? LB_OK : LB_E_NOMEM;
}

lb_status lb_grads_new(lb_arena *a, const lb_net *n, lb_grads *out) {
    *out = (lb_grads){LB_NEW(a, lb_mat, n->sites), LB_NEW(a, float *, n->vectors + 1)};
    return out->site && out->vector ? LB_OK : LB_E_NOMEM;
}

lb_status lb_backward_of(lb_arena *a, const lb_net *n, const lb_net_part *const *part, int64_t parts, int64_t batch,
                         int64_t length, lb_backward **out) {
    if (batch < 1 || batch > INT32_MAX / 2)
        return lb_fail(LB_E_ARG, "batch = %lld: must be at least 1", (long long)batch);
    if (n->context && length > n->context)
        return lb_fail(LB_E_ARG, "length = %lld: must be in [2, %lld], the model's context", (long long)length,
                       (long long)n->context);
    lb_backward *b = LB_NEW(a, lb_backward, 1);
    most m = {0};
    if (!b) return LB_E_NOMEM;
    *b = (lb_backward){
        .arena = a, .net = n, .part = part, .parts = parts, .batch = batch, .length = length, .rows = batch * length};
    b->panels = lb_tiles(b->rows, LB_TRAIN_PANEL);
    b->rope = LB_NEW(a, lb_rotary, n->ropes + 1);
    if (!b->rope) return LB_E_NOMEM;
    for (int32_t i = 0; i < n->ropes; i++) {
        LB_TRY(lb_rotary_new(a, &n->rope[i], length, &b->rope[i]));
        lb_rotary_set(&n->rope[i], length, &b->rope[i]);
    }
    LB_TRY(make_plans(b, &m));
    LB_TRY(make_buffers(b, &m));
    LB_TRY(lb_expert_rooms(b));
    b->job = LB_NEW(a, lb_weight_job, (m.sites + 1) * (b->expert.passes.n + 1) + 1);
    if (!b->job) return LB_E_NOMEM;
    *out = b;
    return LB_OK;
}

lb_status lb_backward_new(lb_arena *a, const lb_net *n, int64_t batch, int64_t length, lb_backward **out) {
    if (length < 2) return lb_fail(LB_E_ARG, "length = %lld: must be at least 2", (long long)length);
    int64_t parts = n->blocks + 2;
    const lb_net_part **part = LB_NEW(a, const lb_net_part *, parts);
    if (!part) return LB_E_NOMEM;
    part[0] = &n->before;
    for (int64_t i = 0; i < n->blocks; i++) part[1 + i] = &n->block[i];
    part[parts - 1] = &n->after;
    LB_TRY(lb_backward_of(a, n, part, parts, batch, length, out));
    return make_head_buffers(*out);
}

/* ---- what depends on the call ---- */

static lb_status more_floats(lb_arena *a, float **d, int64_t *have, int64_t rows, int64_t cols) {
    if (rows * cols <= *have) return LB_OK;
    if (!lb_room_for(a, d, rows, cols)) return LB_E_NOMEM;
    *have = rows * cols;
    return LB_OK;
}

/* Simulated-quantized inputs, of the part that needs the most. */
static lb_status room_for_quantized(lb_backward *b, const lb_weights *w) {
    for (int64_t i = 0; i < b->parts; i++) {
        const lb_net_part *part = b->part[i];
        LB_TRY(more_floats(b->arena, &b->quantized, &b->quantized_floats, b->rows,
                           lb_train_quantized(w, part, b->plan[i], NULL, NULL)));
        for (int32_t k = 0; k < b->plan[i]->steps; k++)
            for (int64_t e = 0; e < part->step[k].n_experts; e++)
                LB_TRY(more_floats(
                    b->arena, &b->expert_quantized, &b->expert_quantized_floats, b->routed[i][k]->rows,
                    lb_train_quantized(w, &part->step[k].expert[e], b->plan[i]->step[k].expert, NULL, NULL)));
    }
    return LB_OK;
}

lb_status lb_backward_room(lb_backward *b, const lb_weights *w, int workers) {
    if (workers > b->workers) {
        float **s = LB_NEW(b->arena, float *, workers);
        if (!s) return LB_E_NOMEM;
        for (int i = 0; i < workers; i++) {
            if (i < b->workers)
                s[i] = b->scratch[i];
            else if (!(s[i] = LB_NEW(b->arena, float, b->scratch_floats)))
                return LB_E_NOMEM;
        }
        b->scratch = s;
        b->workers = workers;
    }
    return room_for_quantized(b, w);
}

static lb_status make_room(lb_backward *b, const lb_weights *w, const lb_weights *teacher, int workers) {
    LB_TRY(lb_backward_room(b, w, workers));
    if (!teacher) return LB_OK;
    LB_TRY(room_for_quantized(b, teacher));
    int64_t cols = b->net->site[b->net->head].cols;
    if (!b->teacher && !lb_room_for(b->arena, &b->teacher, b->rows, cols)) return LB_E_NOMEM;
    if (!b->target && !lb_room_for(b->arena, &b->target, b->head_rows, b->net->vocab)) return LB_E_NOMEM;
    return LB_OK;
}

lb_status lb_train_check_site(const lb_net *n, const lb_weights *w, int32_t site) {
    if (!w->site[site].W.d)
        return lb_fail(LB_E_ARG, "training: the weights of %s must be in memory", n->site[site].name);
    if (n->site[site].block < 0 && lb_transform_any(&w->site[site].T))
        return lb_fail(LB_E_UNSUPPORTED,
                       "training: the input of %s is transformed at run time: gradients go back through that in blocks "
                       "alone",
                       n->site[site].name);
    return LB_OK;
}

static lb_status check_call(const lb_backward *b, const lb_weights *w, const lb_weights *teacher, double kl_weight,
                            const int32_t *tokens) {
    const lb_net *n = b->net;
    if (!(kl_weight >= 0 && kl_weight <= 1)) return lb_fail(LB_E_ARG, "kl_weight = %g: must be in [0, 1]", kl_weight);
    if (kl_weight > 0 && !teacher) return lb_fail(LB_E_ARG, "kl_weight = %g: needs the original model", kl_weight);
    for (int32_t i = 0; i < n->sites; i++) {
        LB_TRY(lb_train_check_site(n, w, i));
        if (kl_weight > 0) LB_TRY(lb_train_check_site(n, teacher, i));
    }
    for (int64_t r = 0; r < b->rows; r++)
        if (tokens[r] < 0 || tokens[r] >= n->site[n->embed].rows || tokens[r] >= n->vocab)
            return lb_fail(LB_E_ARG, "token %lld is %d: must be in [0, %lld)", (long long)r, (int)tokens[r],
                           (long long)n->vocab);
    return LB_OK;
}

/* ---- there and back ---- */

void lb_backward_bind(const lb_backward *b, int64_t i) {
    lb_train *t = b->one.at;
    const lb_areas areas = {.in = b->x[i],
                            .out = b->x[i + 1],
                            .kept = b->kept[i],
                            .pool = b->pool,
                            .grad_in = b->dx_next,
                            .grad_out = b->dx,
                            .quantized = b->quantized,
                            .rows = b->rows};
    t->routed = b->routed[i];
    lb_train_bind(t, b->part[i], b->plan[i], &areas);
}

/* The whole net, keeping what the way back needs; h: what the head reads. */
static lb_status forward(lb_backward *b, const lb_weights *w, float **h, lb_team *team) {
    b->one.at->w = w;
    b->one.at->g = NULL;
    for (int64_t i = 0; i < b->parts; i++) {
        lb_backward_bind(b, i);
        LB_TRY(lb_passes_forth(&b->one, team));
    }
    *h = b->one.at->value[b->net->head_input];
    return LB_OK;
}

static lb_status backward(lb_backward *b, lb_team *team) {
    for (int64_t i = b->parts - 1; i >= 0; i--) {
        lb_backward_bind(b, i);
        LB_TRY(lb_passes_back(&b->one, team));
        float *swap = b->dx;
        b->dx = b->dx_next;
        b->dx_next = swap;
    }
    return LB_OK;
}

static double mean_of(const lb_backward *b, const double *x) {
    double sum = 0;
    for (int64_t r = 0; r < b->rows; r++) sum += x[r];
    return sum / (double)(b->batch * (b->length - 1));
}

lb_status lb_loss_gradients(lb_backward *b, const lb_weights *w, const lb_weights *teacher, double kl_weight,
                            const int32_t *tokens, lb_team *team, const lb_grads *g, double *loss, double *next_token,
                            double *kl) {
    LB_TRY(check_call(b, w, teacher, kl_weight, tokens));
    if (kl_weight == 0) teacher = NULL;
    LB_TRY(make_room(b, w, teacher, lb_team_threads(team)));
    b->one.at->tokens = tokens;
    memset(b->written, 0, (size_t)b->net->sites * sizeof *b->written);
    memset(b->summed, 0, (size_t)b->net->vectors * sizeof *b->summed);
    float *h, *dh = NULL;
    if (teacher) {
        LB_TRY(forward(b, teacher, &h, team));
        memcpy(b->teacher, h, (size_t)(b->rows * b->net->site[b->net->head].cols) * sizeof *h);
    }
    LB_TRY(forward(b, w, &h, team));
    if (g) {
        b->one.at->g = g;
        lb_backward_bind(b, b->parts - 1);
        dh = b->one.at->grad[b->net->head_input];
    }
    LB_TRY(lb_head_train(b, w, teacher, kl_weight, tokens, h, dh, g, team));
    if (g) LB_TRY(backward(b, team));
    double ce = mean_of(b, b->nll), divergence = mean_of(b, b->kl);
    *loss = (1 - kl_weight) * ce + kl_weight * divergence;
    if (next_token) *next_token = ce;
    if (kl) *kl = divergence;
    return LB_OK;
}
