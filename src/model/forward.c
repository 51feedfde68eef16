/* Running a net that is a Llama's: the hand-written block under exec.h, on the calling thread. */
#include <assert.h>
#include <string.h>

#include "base/profile.h"
#include "math/blas.h"
#include "math/kernels.h"
#include "model/attention.h"
#include "model/exec.h"
#include "model/forward.h"
#include "model/llama.h"

/* Tokens that pass through the MLP at a time: few enough that gate and up take about 16 MiB each. */
static int64_t mlp_panel_rows(const lb_arch *a) {
    int64_t rows = ((int64_t)16 << 20) / (a->hidden * (int64_t)sizeof(float)) / 64 * 64;
    return rows < 256 ? 256 : rows > 2048 ? 2048 : rows;
}

struct lb_exec {
    lb_llama model;
    lb_rope rope;
    lb_mat normed, quantized, middle; /* (length, dim): a norm's output, the same fake-quantized, x after attention */
    lb_mat q, k, v;                   /* (length, heads * head_dim), (length, kv_heads * head_dim) twice */
    lb_mat gate, up;                  /* (min(length, mlp_panel_rows), hidden) */
    lb_attention attention;
    uint16_t *half; /* an input rounded to bfloat16; NULL if nobody asked */
};

static bool new_mat(lb_arena *a, int64_t rows, int64_t cols, lb_mat *out) {
    *out = lb_mat_of(lb_arena_get(a, (size_t)rows, (size_t)cols * sizeof(float)), rows, cols);
    return out->d != NULL;
}

lb_status lb_exec_new(lb_arena *a, const lb_net *n, int64_t length, lb_team *team, lb_exec **out) {
    (void)team;
    lb_exec *s = LB_NEW(a, lb_exec, 1);
    if (!s) return LB_E_NOMEM;
    LB_TRY(lb_llama_of(a, n, &s->model));
    const lb_arch *arch = &s->model.arch;
    int64_t most = mlp_panel_rows(arch), panel = length < most ? length : most;
    int64_t q = arch->heads * arch->head_dim, kv = arch->kv_heads * arch->head_dim;
    if (!new_mat(a, length, arch->dim, &s->normed) || !new_mat(a, length, arch->dim, &s->quantized) ||
        !new_mat(a, length, arch->dim, &s->middle) || !new_mat(a, length, q, &s->q) || !new_mat(a, length, kv, &s->k) ||
        !new_mat(a, length, kv, &s->v) || !new_mat(a, panel, arch->hidden, &s->gate) ||
        !new_mat(a, panel, arch->hidden, &s->up))
        return LB_E_NOMEM;
    LB_TRY(lb_attention_new(a, arch, length, &s->attention));
    LB_TRY(lb_rope_new(a, arch, length, &s->rope));
    *out = s;
    return LB_OK;
}

lb_status lb_exec_add_half(lb_arena *a, lb_exec *s) {
    int64_t length = s->normed.rows, wide = s->normed.cols > s->q.cols ? s->normed.cols : s->q.cols;
    int64_t n = length * wide, mlp = s->gate.rows * s->gate.cols;
    s->half = LB_NEW(a, uint16_t, n > mlp ? n : mlp);
    return s->half ? LB_OK : LB_E_NOMEM;
}

lb_status lb_exec_embed(lb_exec *e, const lb_weights *w, const int32_t *tokens, int64_t T, lb_mat x) {
    return lb_llama_embed(e->model.net, w, tokens, T, x);
}

static void norm_rows(const lb_arch *a, const float *weight, lb_cmat x, lb_mat y) {
    const lb_kernels *kn = lb_kernels_active();
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_NORM);
    for (int64_t t = 0; t < x.rows; t++)
        kn->rmsnorm(y.d + t * y.ld, x.d + t * x.ld, weight, (float)a->norm_eps, x.cols);
    lb_scope_end(&scope, 5 * (double)x.rows * (double)x.cols, 8 * (double)x.rows * (double)x.cols);
}

lb_status lb_exec_final(lb_exec *e, const lb_weights *w, lb_mat x, lb_mat h) {
    norm_rows(&e->model.arch, w->vector[e->model.final_norm], lb_mat_c(x), h);
    return LB_OK;
}

static void copy_rows(lb_cmat from, lb_mat to) {
    for (int64_t t = 0; t < from.rows; t++)
        memcpy(to.d + t * to.ld, from.d + t * from.ld, (size_t)from.cols * sizeof(float));
}

/* Inputs to copy out: those whose d is not NULL. stop: leave after this one is known. */
typedef struct captured {
    lb_mat input[LB_INPUTS];
    lb_input stop;
} captured;

/* Copies the input out if it was asked for; true: stop here. */
static bool capture(captured *cap, lb_input i, lb_mat x, int64_t row0) {
    if (!cap) return false;
    if (cap->input[i].d) copy_rows(lb_mat_c(x), lb_mat_part(cap->input[i], row0, 0, x.rows, x.cols));
    return cap->stop == i;
}

/* Is x in scratch already, rounded for the linear before this one? Then x was not fake-quantized either time. */
static bool rounded_before(const lb_block *b, lb_linear l) {
    bool shares = l == LB_K || l == LB_V || l == LB_UP;
    return shares && !b->act[l].bits && !b->act[l - 1].bits && b->half[l - 1].d;
}

/* y = q(x) Wᵀ, or += with `add`, where `quantized` may be x itself if no other linear reads x. */
static lb_status linear(const lb_block *b, const lb_exec *s, lb_linear l, lb_mat x, lb_mat quantized, bool add,
                        lb_mat y) {
    if (b->act[l].bits) {
        lb_actquant_apply(&b->act[l], lb_mat_c(x), quantized);
        x = quantized;
    }
    if (!b->half[l].d) {
        lb_sgemm(false, true, 1.0f, lb_mat_c(x), b->w[l], add ? 1.0f : 0.0f, y);
        return LB_OK;
    }
    assert(s->half);
    if (!rounded_before(b, l)) lb_bf16_round(lb_mat_c(x), s->half);
    return lb_bf16_matmul(&b->half[l], s->half, x.rows, add, y);
}

/* The MLP of rows row0.. of the sequence, whose norms are in `normed`, added to x. */
static lb_status mlp_panel(const lb_block *b, const lb_exec *s, lb_mat x, lb_mat normed, int64_t row0, captured *cap) {
    lb_mat gate = lb_mat_part(s->gate, 0, 0, x.rows, s->gate.cols), up = lb_mat_part(s->up, 0, 0, x.rows, s->up.cols);
    lb_mat quantized = lb_mat_part(s->quantized, 0, 0, x.rows, normed.cols);
    LB_TRY(linear(b, s, LB_GATE, normed, quantized, false, gate));
    LB_TRY(linear(b, s, LB_UP, normed, quantized, false, up));
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_SWIGLU);
    lb_kernels_active()->swiglu(gate.d, gate.d, up.d, gate.rows * gate.cols);
    lb_scope_end(&scope, 16 * (double)(gate.rows * gate.cols), 12 * (double)(gate.rows * gate.cols));
    if (capture(cap, LB_IN_DOWN, gate, row0)) return LB_OK;
    return linear(b, s, LB_DOWN, gate, gate, true, x);
}

static lb_status block_forward(const lb_exec *s, const lb_block *b, lb_mat x, captured *cap) {
    const lb_arch *a = &s->model.arch;
    int64_t T = x.rows;
    assert(T <= s->normed.rows && x.cols == a->dim);
    if (cap && cap->stop != LB_INPUTS) { /* x is to stay as it is: go on with a copy */
        lb_mat copy = lb_mat_part(s->middle, 0, 0, T, a->dim);
        copy_rows(lb_mat_c(x), copy);
        x = copy;
    }
    lb_mat normed = lb_mat_part(s->normed, 0, 0, T, a->dim), quantized = lb_mat_part(s->quantized, 0, 0, T, a->dim);
    lb_mat q = lb_mat_part(s->q, 0, 0, T, s->q.cols);
    lb_mat k = lb_mat_part(s->k, 0, 0, T, s->k.cols), v = lb_mat_part(s->v, 0, 0, T, s->v.cols);

    norm_rows(a, b->attn_norm, lb_mat_c(x), normed);
    if (capture(cap, LB_IN_ATTN, normed, 0)) return LB_OK;
    LB_TRY(linear(b, s, LB_Q, normed, quantized, false, q));
    LB_TRY(linear(b, s, LB_K, normed, quantized, false, k));
    LB_TRY(linear(b, s, LB_V, normed, quantized, false, v));
    lb_rope_rotate(a, &s->rope, false, q);
    lb_rope_rotate(a, &s->rope, false, k);
    lb_attention_run(a, &s->attention, q, lb_mat_c(k), lb_mat_c(v));
    if (capture(cap, LB_IN_O, q, 0)) return LB_OK;
    LB_TRY(linear(b, s, LB_O, q, q, true, x));

    norm_rows(a, b->mlp_norm, lb_mat_c(x), normed);
    if (capture(cap, LB_IN_MLP, normed, 0)) return LB_OK;
    int64_t panel = s->gate.rows;
    for (int64_t t = 0; t < T; t += panel) {
        int64_t n = T - t < panel ? T - t : panel;
        LB_TRY(mlp_panel(b, s, lb_mat_part(x, t, 0, n, a->dim), lb_mat_part(normed, t, 0, n, a->dim), t, cap));
    }
    return LB_OK;
}

lb_status lb_exec_block(lb_exec *e, const lb_weights *w, int64_t block, lb_mat x, lb_capture *cap) {
    const lb_block b = lb_llama_weights(&e->model, w, block);
    if (!cap) return block_forward(e, &b, x, NULL);
    captured c = {.stop = LB_INPUTS};
    int last = -1;
    for (int32_t k = 0; k < cap->taps; k++)
        for (int i = 0; i < LB_INPUTS; i++) {
            if (e->model.block[block].input[i] != cap->tap[k].input) continue;
            c.input[i] = cap->tap[k].to;
            cap->tap[k].rows = x.rows;
            if (i > last) last = i;
        }
    if (cap->stop && last < 0) return LB_OK;
    if (cap->stop) c.stop = (lb_input)last;
    return block_forward(e, &b, x, &c);
}
