/* The way back through one block: the MLP, attention, and the gradients of the seven linears. */
#include <math.h>
#include <string.h>

#include "math/blas.h"
#include "math/kernels.h"
#include "model/backward_impl.h"

/* Output tile of a linear's gradient. */
enum { TILE_ROWS = 128, TILE_COLS = 512 };

typedef struct block_job {
    lb_backward *b;
    const lb_block *w;
    const lb_saved *s;
    const lb_block_grad *g;
} block_job;

/* y = silu(gate) up, da = dy (n); da may be dup; dgate first holds exp(-gate). Shazeer 2020. */
static void swiglu_grad(const float *gate, const float *up, const float *da, float *dgate, float *dup, int64_t n) {
    for (int64_t i = 0; i < n; i++) dgate[i] = -gate[i];
    lb_kernels_active()->exp(dgate, dgate, n);
    for (int64_t i = 0; i < n; i++) {
        float sig = 1.0f / (1.0f + dgate[i]), silu = gate[i] * sig;
        dgate[i] = da[i] * up[i] * (sig + silu * (1.0f - sig));
        dup[i] = da[i] * silu;
    }
}

/* Rows of a panel: dx -> dgate, dup -> dmid -> d_o; the inputs of the four linears on the way are made again. */
static lb_status mlp_panel(void *ctx, int64_t panel, int worker) {
    (void)worker;
    const block_job *j = ctx;
    lb_backward *b = j->b;
    const lb_block *w = j->w;
    const lb_saved *s = j->s;
    int64_t r0, n = lb_panel_rows(b, panel, &r0), D = b->arch.dim, F = b->arch.hidden;
    int64_t H = b->arch.heads * b->arch.head_dim;

    lb_backward_norm(b, w->mlp_norm, s->mid, b->h2, r0, n);
    lb_kernels_active()->swiglu(b->act + r0 * F, s->gate + r0 * F, s->up + r0 * F, n * F);
    lb_backward_input(b, w, LB_GATE, b->h2, r0, n, D);
    lb_backward_input(b, w, LB_UP, b->h2, r0, n, D);
    lb_backward_input(b, w, LB_DOWN, b->act, r0, n, F);
    lb_backward_input(b, w, LB_O, s->o, r0, n, H);

    lb_mat dup = lb_rows_of(b->dup, r0, n, F), dh = lb_rows_of(b->dh, r0, n, D);
    lb_sgemm(false, false, 1.0f, lb_crows_of(b->dx, r0, n, D), w->w[LB_DOWN], 0.0f, dup);
    swiglu_grad(s->gate + r0 * F, s->up + r0 * F, dup.d, b->dgate + r0 * F, dup.d, n * F);
    lb_sgemm(false, false, 1.0f, lb_crows_of(b->dgate, r0, n, F), w->w[LB_GATE], 0.0f, dh);
    lb_sgemm(false, false, 1.0f, lb_mat_c(dup), w->w[LB_UP], 1.0f, dh);
    lb_backward_norm_grad(b, w->mlp_norm, s->mid, b->dx, dh.d, b->dmid, b->norm_part + panel * D, r0, n);
    lb_sgemm(false, false, 1.0f, lb_crows_of(b->dmid, r0, n, D), w->w[LB_O], 0.0f, lb_rows_of(b->d_o, r0, n, H));
    return LB_OK;
}

static lb_status attention_piece(void *ctx, int64_t piece, int worker) {
    const block_job *j = ctx;
    lb_attention_grad(j->b, j->s, piece / j->b->arch.heads, piece % j->b->arch.heads, j->b->scratch[worker]);
    return LB_OK;
}

/* The query heads that read one key head add up, in order. */
static void sum_heads(const lb_backward *b, const float *each, float *sum, int64_t r0, int64_t n) {
    const lb_arch *a = &b->arch;
    int64_t d = a->head_dim, group = a->heads / a->kv_heads;
    for (int64_t r = r0; r < r0 + n; r++)
        for (int64_t h = 0; h < a->kv_heads; h++) {
            float *to = sum + (r * a->kv_heads + h) * d;
            const float *from = each + (r * a->heads + h * group) * d;
            memcpy(to, from, (size_t)d * sizeof *to);
            for (int64_t i = 1; i < group; i++)
                for (int64_t c = 0; c < d; c++) to[c] += from[i * d + c];
        }
}

/* Rows of a panel: dq, dk, dv -> what enters the block. */
static lb_status qkv_panel(void *ctx, int64_t panel, int worker) {
    (void)worker;
    const block_job *j = ctx;
    lb_backward *b = j->b;
    const lb_block *w = j->w;
    const lb_arch *a = &b->arch;
    int64_t r0, n = lb_panel_rows(b, panel, &r0), D = a->dim, H = a->heads * a->head_dim;
    int64_t KV = a->kv_heads * a->head_dim;

    sum_heads(b, b->dk_head, b->dk, r0, n);
    sum_heads(b, b->dv_head, b->dv, r0, n);
    lb_backward_rotate(b, true, b->dq, r0, n, H);
    lb_backward_rotate(b, true, b->dk, r0, n, KV);
    lb_backward_norm(b, w->attn_norm, j->s->x, b->h1, r0, n);
    for (lb_linear l = LB_Q; l <= LB_V; l++) lb_backward_input(b, w, l, b->h1, r0, n, D);

    lb_mat dh = lb_rows_of(b->dh, r0, n, D);
    lb_sgemm(false, false, 1.0f, lb_crows_of(b->dq, r0, n, H), w->w[LB_Q], 0.0f, dh);
    lb_sgemm(false, false, 1.0f, lb_crows_of(b->dk, r0, n, KV), w->w[LB_K], 1.0f, dh);
    lb_sgemm(false, false, 1.0f, lb_crows_of(b->dv, r0, n, KV), w->w[LB_V], 1.0f, dh);
    lb_backward_norm_grad(b, w->attn_norm, j->s->x, b->dmid, dh.d, b->dx_next, b->norm_part + panel * D, r0, n);
    return LB_OK;
}

/* dW = dYᵀ X for the linears that are wanted, one output tile a piece: the sum over rows is one product. */
typedef struct weight_job {
    int64_t rows, first[LB_LINEARS + 1]; /* of linear l the pieces first[l] .. first[l + 1] - 1 */
    lb_cmat dy[LB_LINEARS], x[LB_LINEARS];
    lb_mat g[LB_LINEARS];
} weight_job;

static int64_t tiles(int64_t n, int64_t size) { return (n + size - 1) / size; }

static lb_status weight_tile(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const weight_job *j = ctx;
    int l = 0;
    while (piece >= j->first[l + 1]) l++;
    int64_t at = piece - j->first[l], across = tiles(j->g[l].cols, TILE_COLS);
    int64_t r0 = at / across * TILE_ROWS, c0 = at % across * TILE_COLS;
    int64_t rows = lb_least(TILE_ROWS, j->g[l].rows - r0), cols = lb_least(TILE_COLS, j->g[l].cols - c0);
    lb_sgemm(true, false, 1.0f, lb_cmat_part(j->dy[l], 0, r0, j->rows, rows),
             lb_cmat_part(j->x[l], 0, c0, j->rows, cols), 0.0f, lb_mat_part(j->g[l], r0, c0, rows, cols));
    return LB_OK;
}

static lb_status weight_gradients(lb_backward *b, const lb_block *w, const lb_saved *s, const lb_block_grad *g,
                                  lb_team *team) {
    const float *dy[LB_LINEARS] = {[LB_Q] = b->dq,       [LB_K] = b->dk,   [LB_V] = b->dv,   [LB_O] = b->dmid,
                                   [LB_GATE] = b->dgate, [LB_UP] = b->dup, [LB_DOWN] = b->dx};
    const float *raw[LB_INPUTS] = {[LB_IN_ATTN] = b->h1, [LB_IN_O] = s->o, [LB_IN_MLP] = b->h2, [LB_IN_DOWN] = b->act};
    weight_job j = {.rows = b->rows};
    for (int l = 0; l < LB_LINEARS; l++) {
        int64_t rows = w->w[l].rows, cols = w->w[l].cols;
        j.g[l] = g->w[l];
        j.dy[l] = lb_crows_of(dy[l], 0, b->rows, rows);
        j.x[l] = lb_crows_of(lb_linear_in(b, w, l, raw[lb_linear_input(l)]), 0, b->rows, cols);
        j.first[l + 1] = j.first[l] + (g->w[l].d ? tiles(rows, TILE_ROWS) * tiles(cols, TILE_COLS) : 0);
    }
    return lb_backward_for(team, j.first[LB_LINEARS], weight_tile, &j);
}

lb_status lb_block_backward(lb_backward *b, const lb_block *w, const lb_saved *s, const lb_block_grad *g,
                            lb_team *team) {
    block_job j = {b, w, s, g};
    LB_TRY(lb_backward_for(team, b->panels, mlp_panel, &j));
    if (g->mlp_norm) lb_backward_norm_sum(b, g->mlp_norm);
    LB_TRY(lb_backward_for(team, b->batch * b->arch.heads, attention_piece, &j));
    LB_TRY(lb_backward_for(team, b->panels, qkv_panel, &j));
    if (g->attn_norm) lb_backward_norm_sum(b, g->attn_norm);
    LB_TRY(weight_gradients(b, w, s, g, team));
    float *swap = b->dx;
    b->dx = b->dx_next;
    b->dx_next = swap;
    return LB_OK;
}
