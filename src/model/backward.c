#include "model/backward.h"

#include <math.h>
#include <string.h>

#include "math/blas.h"
#include "math/kernels.h"
#include "model/backward_impl.h"

/* Logits that exist at a time, and the least and most rows of them. */
enum { LOGITS = 16 << 20, HEAD_ROWS_MIN = 64, HEAD_ROWS_MAX = 1024, EMBED_COLS = 32 };

static bool room(lb_arena *a, float **out, int64_t rows, int64_t cols) {
    *out = lb_arena_get(a, (size_t)rows, (size_t)cols * sizeof **out);
    return *out != NULL;
}

static lb_status new_saved(lb_backward *b, lb_saved *s) {
    const lb_arch *a = &b->arch;
    lb_arena *m = b->arena;
    int64_t N = b->rows, H = a->heads * a->head_dim, KV = a->kv_heads * a->head_dim;
    bool ok = room(m, &s->x, N, a->dim) && room(m, &s->q, N, H) && room(m, &s->k, N, KV) && room(m, &s->v, N, KV) &&
              room(m, &s->o, N, H) && room(m, &s->lse, N, a->heads) && room(m, &s->mid, N, a->dim) &&
              room(m, &s->gate, N, a->hidden) && room(m, &s->up, N, a->hidden);
    return ok ? LB_OK : LB_E_NOMEM;
}

static lb_status new_buffers(lb_backward *b) {
    const lb_arch *a = &b->arch;
    lb_arena *m = b->arena;
    int64_t N = b->rows, D = a->dim, F = a->hidden, H = a->heads * a->head_dim, KV = a->kv_heads * a->head_dim;
    bool ok = room(m, &b->h1, N, D) && room(m, &b->h2, N, D) && room(m, &b->act, N, F) && room(m, &b->dx, N, D) &&
              room(m, &b->dx_next, N, D) && room(m, &b->dmid, N, D) && room(m, &b->dh, N, D) &&
              room(m, &b->dgate, N, F) && room(m, &b->dup, N, F) && room(m, &b->d_o, N, H) && room(m, &b->dq, N, H) &&
              room(m, &b->dk_head, N, H) && room(m, &b->dv_head, N, H) && room(m, &b->dk, N, KV) &&
              room(m, &b->dv, N, KV) && room(m, &b->norm_part, b->panels, D) && room(m, &b->x_last, N, D) &&
              room(m, &b->final, N, D) && room(m, &b->dfinal, N, D) && room(m, &b->logits, b->head_rows, a->vocab);
    b->nll = LB_NEW(m, double, N);
    b->kl = LB_NEW(m, double, N);
    return ok && b->nll && b->kl ? LB_OK : LB_E_NOMEM;
}

lb_status lb_grads_new(lb_arena *a, const lb_net *n, lb_grads *out) {
    *out = (lb_grads){LB_NEW(a, lb_mat, n->sites), LB_NEW(a, float *, n->vectors + 1)};
    return out->site && out->vector ? LB_OK : LB_E_NOMEM;
}

lb_status lb_backward_new(lb_arena *a, const lb_net *n, int64_t batch, int64_t length, lb_backward **out) {
    if (batch < 1 || batch > INT32_MAX / 2)
        return lb_fail(LB_E_ARG, "batch = %lld: must be at least 1", (long long)batch);
    if (length < 2 || (n->context && length > n->context))
        return lb_fail(LB_E_ARG, "length = %lld: must be in [2, %lld], the model's context", (long long)length,
                       (long long)n->context);
    lb_backward *b = LB_NEW(a, lb_backward, 1);
    if (!b) return LB_E_NOMEM;
    LB_TRY(lb_llama_of(a, n, &b->model));
    const lb_arch *arch = &b->model.arch;
    b->arena = a;
    b->arch = *arch;
    b->batch = batch;
    b->length = length;
    b->rows = batch * length;
    b->panels = (b->rows - 1) / LB_PANEL + 1;
    b->head_rows = LOGITS / arch->vocab / HEAD_ROWS_MIN * HEAD_ROWS_MIN;
    if (b->head_rows > HEAD_ROWS_MAX) b->head_rows = HEAD_ROWS_MAX;
    if (b->head_rows < HEAD_ROWS_MIN) b->head_rows = HEAD_ROWS_MIN;
    b->head_rows = lb_least(b->head_rows, b->rows);
    b->scratch_floats = lb_attention_scratch(length);
    if (b->scratch_floats < arch->vocab) b->scratch_floats = arch->vocab;
    LB_TRY(lb_rope_new(a, arch, length, &b->rope));
    if (!(b->saved = LB_NEW(a, lb_saved, arch->layers))) return LB_E_NOMEM;
    for (int64_t l = 0; l < arch->layers; l++) LB_TRY(new_saved(b, &b->saved[l]));
    LB_TRY(new_buffers(b));
    *out = b;
    return LB_OK;
}

/* What depends on the call: scratch for each worker, fake-quantized inputs, the original's states. */
static lb_status make_room(lb_backward *b, const lb_weights *w, bool teacher, int workers) {
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
    for (int64_t layer = 0; layer < b->arch.layers; layer++)
        for (int l = 0; l < LB_LINEARS; l++) {
            const lb_linop *op = &w->site[b->model.block[layer].site[l]];
            if (op->act.bits == 0 || b->input[l]) continue;
            if (!room(b->arena, &b->input[l], b->rows, op->W.cols)) return LB_E_NOMEM;
        }
    if (teacher && !b->teacher && !room(b->arena, &b->teacher, b->rows, b->arch.dim)) return LB_E_NOMEM;
    if (teacher && !b->target && !room(b->arena, &b->target, b->head_rows, b->arch.vocab)) return LB_E_NOMEM;
    return LB_OK;
}

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

lb_status lb_backward_for(lb_team *team, int64_t n, lb_piece f, void *ctx) {
    return lb_parallel_for(team, n, run_flushed, &(flushed){f, ctx});
}

void lb_backward_rotate(const lb_backward *b, bool inverse, float *x, int64_t r0, int64_t n, int64_t cols) {
    int64_t half = b->arch.head_dim / 2;
    for (int64_t r = r0; r < r0 + n;) { /* a panel may hold parts of several sequences */
        int64_t t = r % b->length, run = lb_least(b->length - t, r0 + n - r);
        lb_rope at = {b->rope.cos + t * half, b->rope.sin + t * half, b->length - t};
        lb_rope_rotate(&b->arch, &at, inverse, lb_rows_of(x, r, run, cols));
        r += run;
    }
}

void lb_backward_norm(const lb_backward *b, const float *weight, const float *x, float *y, int64_t r0, int64_t n) {
    const lb_kernels *kn = lb_kernels_active();
    int64_t D = b->arch.dim;
    for (int64_t r = r0; r < r0 + n; r++) kn->rmsnorm(y + r * D, x + r * D, weight, (float)b->arch.norm_eps, D);
}

void lb_backward_norm_grad(const lb_backward *b, const float *weight, const float *x, const float *base, float *dy,
                           float *dx, float *part, int64_t r0, int64_t n) {
    const lb_kernels *kn = lb_kernels_active();
    int64_t D = b->arch.dim;
    if (part) memset(part, 0, (size_t)D * sizeof *part);
    for (int64_t r = r0; r < r0 + n; r++, dy += D) {
        const float *xr = x + r * D;
        double inv = 1 / sqrt(kn->dot(xr, xr, D) / (double)D + (double)(float)b->arch.norm_eps);
        float s = (float)inv;
        for (int64_t i = 0; part && i < D; i++) part[i] += dy[i] * xr[i] * s;
        for (int64_t i = 0; i < D; i++) dy[i] *= weight[i];
        float along = (float)(kn->dot(dy, xr, D) / (double)D * inv * inv * inv);
        if (base)
            for (int64_t i = 0; i < D; i++) dx[r * D + i] = base[r * D + i] + (dy[i] * s - xr[i] * along);
        else
            for (int64_t i = 0; i < D; i++) dx[r * D + i] = dy[i] * s - xr[i] * along;
    }
}

void lb_backward_norm_sum(const lb_backward *b, float *grad) {
    int64_t D = b->arch.dim;
    memcpy(grad, b->norm_part, (size_t)D * sizeof *grad);
    for (int64_t p = 1; p < b->panels; p++)
        for (int64_t i = 0; i < D; i++) grad[i] += b->norm_part[p * D + i];
}

void lb_backward_input(lb_backward *b, const lb_block *w, lb_linear l, const float *raw, int64_t r0, int64_t n,
                       int64_t cols) {
    if (w->act[l].bits)
        lb_actquant_apply(&w->act[l], lb_crows_of(raw, r0, n, cols), lb_rows_of(b->input[l], r0, n, cols));
}

/* The rows between two attentions: the MLP of one block (the embedding before the first), then q, k, v of the next (the
 * final norm after the last). */
typedef struct forward_job {
    lb_backward *b;
    const lb_weights *w;
    lb_block before, now; /* the blocks that a panel goes through: `layer` and the one before it */
    const int32_t *tokens;
    int64_t layer; /* whose q, k, v come next; layers: none */
    float *final;  /* (N, dim) the final-normed states */
} forward_job;

/* y = q(x) Wᵀ + beta y for rows of a panel. */
static void linear(lb_backward *b, const lb_block *w, lb_linear l, const float *raw, float *y, float beta, int64_t r0,
                   int64_t n) {
    int64_t rows = w->w[l].rows, cols = w->w[l].cols;
    lb_backward_input(b, w, l, raw, r0, n, cols);
    lb_sgemm(false, true, 1.0f, lb_crows_of(lb_linear_in(b, w, l, raw), r0, n, cols), w->w[l], beta,
             lb_rows_of(y, r0, n, rows));
}

static void qkv_rows(lb_backward *b, const lb_block *w, const lb_saved *s, int64_t r0, int64_t n) {
    lb_backward_norm(b, w->attn_norm, s->x, b->h1, r0, n);
    linear(b, w, LB_Q, b->h1, s->q, 0.0f, r0, n);
    linear(b, w, LB_K, b->h1, s->k, 0.0f, r0, n);
    linear(b, w, LB_V, b->h1, s->v, 0.0f, r0, n);
    lb_backward_rotate(b, false, s->q, r0, n, b->arch.heads * b->arch.head_dim);
    lb_backward_rotate(b, false, s->k, r0, n, b->arch.kv_heads * b->arch.head_dim);
}

/* From attention's output to what leaves the block. */
static void mlp_rows(lb_backward *b, const lb_block *w, const lb_saved *s, float *out, int64_t r0, int64_t n) {
    int64_t D = b->arch.dim, F = b->arch.hidden;
    memcpy(s->mid + r0 * D, s->x + r0 * D, (size_t)(n * D) * sizeof(float));
    linear(b, w, LB_O, s->o, s->mid, 1.0f, r0, n);
    lb_backward_norm(b, w->mlp_norm, s->mid, b->h2, r0, n);
    linear(b, w, LB_GATE, b->h2, s->gate, 0.0f, r0, n);
    linear(b, w, LB_UP, b->h2, s->up, 0.0f, r0, n);
    lb_kernels_active()->swiglu(b->act + r0 * F, s->gate + r0 * F, s->up + r0 * F, n * F);
    memcpy(out + r0 * D, s->mid + r0 * D, (size_t)(n * D) * sizeof(float));
    linear(b, w, LB_DOWN, b->act, out, 1.0f, r0, n);
}

static lb_status rows_panel(void *ctx, int64_t panel, int worker) {
    (void)worker;
    const forward_job *j = ctx;
    lb_backward *b = j->b;
    int64_t r0, n = lb_panel_rows(b, panel, &r0), l = j->layer;
    float *x = l < b->arch.layers ? b->saved[l].x : b->x_last;
    if (l == 0)
        LB_TRY(lb_llama_embed(b->model.net, j->w, j->tokens + r0, n, lb_rows_of(x, r0, n, b->arch.dim)));
    else
        mlp_rows(b, &j->before, &b->saved[l - 1], x, r0, n);
    if (l < b->arch.layers)
        qkv_rows(b, &j->now, &b->saved[l], r0, n);
    else
        lb_backward_norm(b, j->w->vector[b->model.final_norm], x, j->final, r0, n);
    return LB_OK;
}

static lb_status attention_piece(void *ctx, int64_t piece, int worker) {
    const forward_job *j = ctx;
    int64_t heads = j->b->arch.heads;
    lb_attention_train(j->b, &j->b->saved[j->layer], piece / heads, piece % heads, j->b->scratch[worker]);
    return LB_OK;
}

/* The whole model, keeping what the way back needs. */
static lb_status forward(lb_backward *b, const lb_weights *w, const int32_t *tokens, float *final, lb_team *team) {
    forward_job j = {.b = b, .w = w, .tokens = tokens, .final = final};
    for (; j.layer < b->arch.layers; j.layer++) {
        j.before = j.now;
        j.now = lb_llama_weights(&b->model, w, j.layer);
        LB_TRY(lb_backward_for(team, b->panels, rows_panel, &j));
        LB_TRY(lb_backward_for(team, b->batch * b->arch.heads, attention_piece, &j));
    }
    j.before = j.now;
    return lb_backward_for(team, b->panels, rows_panel, &j);
}

typedef struct embed_job {
    const lb_backward *b;
    const int32_t *tokens;
    lb_mat g;
} embed_job;

/* Some columns of the embedding's gradient: rows of dx add up in order. */
static lb_status embed_grad(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const embed_job *j = ctx;
    int64_t D = j->b->arch.dim, c0 = piece * EMBED_COLS, n = lb_least(EMBED_COLS, D - c0);
    for (int64_t r = 0; r < j->b->rows; r++) {
        float *to = j->g.d + j->tokens[r] * j->g.ld + c0;
        const float *from = j->b->dx + r * D + c0;
        for (int64_t i = 0; i < n; i++) to[i] += from[i];
    }
    return LB_OK;
}

static lb_status final_panel(void *ctx, int64_t panel, int worker) {
    (void)worker;
    const forward_job *j = ctx;
    lb_backward *b = j->b;
    int64_t r0, n = lb_panel_rows(b, panel, &r0), D = b->arch.dim;
    lb_backward_norm_grad(b, j->w->vector[b->model.final_norm], b->x_last, NULL, b->dfinal + r0 * D, b->dx,
                          b->norm_part + panel * D, r0, n);
    return LB_OK;
}

static lb_block_grad block_grad(const lb_backward *b, const lb_grads *g, int64_t block) {
    const lb_llama_block *at = &b->model.block[block];
    lb_block_grad out = {.attn_norm = g->vector[at->attn_norm], .mlp_norm = g->vector[at->mlp_norm]};
    for (int l = 0; l < LB_LINEARS; l++) out.w[l] = g->site[at->site[l]];
    return out;
}

/* From dfinal to every gradient; the head's is there already. */
static lb_status backward(lb_backward *b, const lb_weights *w, const int32_t *tokens, const lb_grads *g,
                          lb_team *team) {
    forward_job j = {.b = b, .w = w};
    LB_TRY(lb_backward_for(team, b->panels, final_panel, &j));
    if (g->vector[b->model.final_norm]) lb_backward_norm_sum(b, g->vector[b->model.final_norm]);
    for (int64_t l = b->arch.layers - 1; l >= 0; l--) {
        const lb_block now = lb_llama_weights(&b->model, w, l);
        const lb_block_grad grad = block_grad(b, g, l);
        LB_TRY(lb_block_backward(b, &now, &b->saved[l], &grad, team));
    }
    lb_mat embed = g->site[b->model.net->embed];
    if (!embed.d) return LB_OK;
    if (!b->arch.tied)
        for (int64_t v = 0; v < embed.rows; v++) memset(embed.d + v * embed.ld, 0, (size_t)embed.cols * sizeof(float));
    embed_job e = {b, tokens, embed};
    return lb_backward_for(team, (b->arch.dim - 1) / EMBED_COLS + 1, embed_grad, &e);
}

static double mean_of(const lb_backward *b, const double *x) {
    double sum = 0;
    for (int64_t r = 0; r < b->rows; r++) sum += x[r];
    return sum / (double)(b->batch * (b->length - 1));
}

lb_status lb_loss_gradients(lb_backward *b, const lb_weights *w, const lb_weights *teacher, double kl_weight,
                            const int32_t *tokens, lb_team *team, const lb_grads *g, double *loss, double *next_token,
                            double *kl) {
    const lb_net *n = b->model.net;
    if (!(kl_weight >= 0 && kl_weight <= 1)) return lb_fail(LB_E_ARG, "kl_weight = %g: must be in [0, 1]", kl_weight);
    if (kl_weight > 0 && !teacher) return lb_fail(LB_E_ARG, "kl_weight = %g: needs the original model", kl_weight);
    LB_TRY(make_room(b, w, kl_weight > 0, lb_team_threads(team)));
    if (kl_weight > 0) {
        LB_TRY(make_room(b, teacher, true, 0));
        LB_TRY(forward(b, teacher, tokens, b->teacher, team));
    }
    LB_TRY(forward(b, w, tokens, b->final, team));
    lb_mat none = {0}, g_head = g ? g->site[lb_net_owner(n, n->head)] : none;
    LB_TRY(lb_head_backward(b, w->site[n->head].W, (kl_weight > 0 ? teacher : w)->site[n->head].W, kl_weight, tokens,
                            g != NULL, g_head, team));
    if (g) LB_TRY(backward(b, w, tokens, g, team));
    double ce = mean_of(b, b->nll), divergence = mean_of(b, b->kl);
    *loss = (1 - kl_weight) * ce + kl_weight * divergence;
    if (next_token) *next_token = ce;
    if (kl) *kl = divergence;
    return LB_OK;
}
