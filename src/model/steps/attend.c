/* a = attend q k v scale=: causal attention, softmax(scale q kᵀ) v by head; query heads share key heads in turn
 * (Ainslie et al. 2023, arXiv:2305.13245).
 *   window  keys that a query sees, its own included; 0: all before it
 *   cap     scores become cap tanh(score / cap) before the mask (Gemma 2, arXiv:2408.00118, section 2); 0: no cap
 *   alibi   1: slope * position of the key is added (Press et al. 2022, arXiv:2108.12409); 2: as Falcon has it, slope
 *           and product rounded to bfloat16 and times the scale */
#include "model/exec_impl.h"
#include "model/steps/reference.h"
#include "model/steps/steps.h"
#include "model/steps/train.h"

#include <math.h>

#include "base/half.h"
#include "base/profile.h"
#include "math/activation.h"
#include "math/blas.h"
#include "math/kernels.h"

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

double lb_attend_bias(const lb_net_step *s, int64_t head, int64_t key) {
    return position_bias(s->arg, head, s->heads, key);
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

/* ---- training: panels of queries against all their keys. The way back makes the probabilities again from the kept
 * log-sum-exp, so that no T x T matrix exists (Dao et al. 2022, arXiv:2205.14135, section 3 and appendix B). ---- */

enum { QUERIES = 64 }; /* rows of a tile; its columns are the keys that one of them sees */

int64_t lb_train_attend_floats(int64_t length) { return (2 * QUERIES + 2) * length; }

/* One head of one sequence: views (length, head_dim). */
typedef struct head_view {
    lb_mat q, k, v, o;
    lb_mat dq, dk, dv, d_o; /* dk, dv: this query head's part */
    float *lse;             /* (length) */
    float *bias;            /* (length) of a key; NULL: none */
    float *slope;           /* (length): room for the cap's */
    float *P, *dP;          /* (QUERIES, length) */
    float scale, cap;
    int64_t length, window;
} head_view;

static lb_mat head_of(float *x, int64_t length, int64_t sequence, int64_t head, int64_t d, int64_t width) {
    return (lb_mat){x ? x + sequence * length * width + head * d : NULL, length, d, width};
}

static head_view head_at(const lb_train *t, const lb_net_step *s, int64_t piece, int worker) {
    int64_t L = lb_train_length(t), sequence = piece / s->heads, head = piece % s->heads, i = s - t->part->step;
    int64_t d = s->head_dim, kv = head / (s->heads / s->kv_heads), H = s->heads * d, KV = s->kv_heads * d;
    float *scratch = lb_train_scratch(t, worker), *dk = t->room[i], *dv = dk ? dk + t->rows * H : NULL;
    head_view x = {.q = head_of(t->value[s->src[0]], L, sequence, head, d, H),
                   .k = head_of(t->value[s->src[1]], L, sequence, kv, d, KV),
                   .v = head_of(t->value[s->src[2]], L, sequence, kv, d, KV),
                   .o = head_of(t->value[s->dst[0]], L, sequence, head, d, H),
                   .dq = head_of(t->grad[s->src[0]], L, sequence, head, d, H),
                   .dk = head_of(dk, L, sequence, head, d, H),
                   .dv = head_of(dv, L, sequence, head, d, H),
                   .d_o = head_of(t->grad[s->dst[0]], L, sequence, head, d, H),
                   .lse = t->kept[i] + piece * L,
                   .P = scratch,
                   .dP = scratch + QUERIES * L,
                   .slope = scratch + (int64_t)(2 * QUERIES + 1) * L,
                   .scale = (float)s->arg[SCALE],
                   .cap = (float)s->arg[CAP],
                   .window = (int64_t)s->arg[WINDOW],
                   .length = L};
    if (s->arg[ALIBI] != 0.0) {
        x.bias = scratch + (int64_t)2 * QUERIES * L;
        for (int64_t j = 0; j < L; j++) x.bias[j] = (float)position_bias(s->arg, head, s->heads, j);
    }
    return x;
}

static lb_mat part(lb_mat m, int64_t r0, int64_t n) { return lb_mat_part(m, r0, 0, n, m.cols); }
static lb_cmat cpart(lb_mat m, int64_t r0, int64_t n) { return lb_mat_c(part(m, r0, n)); }

/* The first key that query q sees. */
static int64_t first_key(const head_view *x, int64_t q) {
    return x->window > 0 && q >= x->window ? q - x->window + 1 : 0;
}

/* Scores of queries q0 .. q0 + n - 1 with keys k0 .. k0 + keys - 1, before the cap. */
static void scores(const head_view *x, int64_t q0, int64_t n, int64_t k0, int64_t keys, lb_mat P) {
    lb_sgemm(false, true, x->scale, cpart(x->q, q0, n), cpart(x->k, k0, keys), 0.0f, P);
    for (int64_t i = 0; x->bias && i < n; i++)
        for (int64_t j = 0; j < keys; j++) P.d[i * P.ld + j] += x->bias[k0 + j];
}

static void attend_head(const head_view *x) {
    const lb_kernels *kn = lb_kernels_active();
    for (int64_t q0 = 0; q0 < x->length; q0 += QUERIES) {
        int64_t n = lb_least(QUERIES, x->length - q0), k0 = first_key(x, q0), keys = q0 + n - k0;
        float over[QUERIES];
        lb_mat P = lb_mat_of(x->P, n, keys);
        scores(x, q0, n, k0, keys, P);
        for (int64_t i = 0; i < n; i++) {
            int64_t from = first_key(x, q0 + i) - k0, to = q0 + i + 1 - k0;
            float *row = P.d + i * keys, *p = row + from;
            if (x->cap > 0) lb_act_cap(p, x->cap, to - from);
            float top = kn->max(p, to - from);
            double sum = kn->exp_sum(p, p, top, to - from);
            memset(row, 0, (size_t)from * sizeof *p);
            memset(row + to, 0, (size_t)(keys - to) * sizeof *p);
            x->lse[q0 + i] = (float)((double)top + log(sum));
            over[i] = (float)(1.0 / sum);
        }
        lb_mat o = part(x->o, q0, n);
        lb_sgemm(false, false, 1.0f, lb_mat_c(P), cpart(x->v, k0, keys), 0.0f, o);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < o.cols; j++) o.d[i * o.ld + j] *= over[i];
    }
}

/* Gradient of one row's scores before scaling: P (dP - sum(P dP)), the sum being that of dO O. */
static void score_grad(const float *p, float *dp, float shift, int64_t n) {
    for (int64_t j = 0; j < n; j++) dp[j] = p[j] * (dp[j] - shift);
}

/* Row i of the tile: its probabilities, and the gradient of its scores. */
static void row_back(const head_view *x, int64_t q, int64_t k0, int64_t keys, float *row, float *drow) {
    const lb_kernels *kn = lb_kernels_active();
    int64_t from = first_key(x, q) - k0, to = q + 1 - k0, n = to - from;
    float *p = row + from, *dp = drow + from;
    if (x->cap > 0) {
        lb_act_cap(p, x->cap, n);
        for (int64_t j = 0; j < n; j++) x->slope[j] = 1.0f - p[j] / x->cap * (p[j] / x->cap);
    }
    (void)kn->exp_sum(p, p, x->lse[q], n);
    double shift = kn->dot(x->d_o.d + q * x->d_o.ld, x->o.d + q * x->o.ld, x->o.cols);
    score_grad(p, dp, (float)shift, n);
    for (int64_t j = 0; x->cap > 0 && j < n; j++) dp[j] *= x->slope[j];
    memset(row, 0, (size_t)from * sizeof *row);
    memset(drow, 0, (size_t)from * sizeof *drow);
    memset(row + to, 0, (size_t)(keys - to) * sizeof *row);
    memset(drow + to, 0, (size_t)(keys - to) * sizeof *drow);
}

static void zero_rows(lb_mat m) {
    for (int64_t i = 0; i < m.rows; i++) memset(m.d + i * m.ld, 0, (size_t)m.cols * sizeof *m.d);
}

static void attend_head_back(const head_view *x, const lb_mat *dq_base) {
    for (int64_t i = 0; dq_base->d && dq_base->d != x->dq.d && i < x->length; i++)
        memcpy(x->dq.d + i * x->dq.ld, dq_base->d + i * dq_base->ld, (size_t)x->dq.cols * sizeof *x->dq.d);
    /* From the last tile, which without a window reaches every key and so writes all of dk and dv, to the first. */
    float beta = x->window > 0 ? 1.0f : 0.0f;
    if (x->window > 0) {
        zero_rows(x->dk);
        zero_rows(x->dv);
    }
    for (int64_t q0 = (x->length - 1) / QUERIES * QUERIES; q0 >= 0; q0 -= QUERIES, beta = 1.0f) {
        int64_t n = lb_least(QUERIES, x->length - q0), k0 = first_key(x, q0), keys = q0 + n - k0;
        lb_mat P = lb_mat_of(x->P, n, keys), dP = lb_mat_of(x->dP, n, keys);
        scores(x, q0, n, k0, keys, P);
        lb_sgemm(false, true, 1.0f, cpart(x->d_o, q0, n), cpart(x->v, k0, keys), 0.0f, dP);
        for (int64_t i = 0; i < n; i++) row_back(x, q0 + i, k0, keys, P.d + i * keys, dP.d + i * keys);
        lb_sgemm(true, false, 1.0f, lb_mat_c(P), cpart(x->d_o, q0, n), beta, part(x->dv, k0, keys));
        lb_sgemm(true, false, x->scale, lb_mat_c(dP), cpart(x->q, q0, n), beta, part(x->dk, k0, keys));
        lb_sgemm(false, false, x->scale, lb_mat_c(dP), cpart(x->k, k0, keys), dq_base->d ? 1.0f : 0.0f,
                 part(x->dq, q0, n));
    }
}

typedef struct heads_job {
    const lb_train *t;
    const lb_net_step *s;
} heads_job;

static lb_status head_piece(void *ctx, int64_t piece, int worker) {
    const heads_job *j = ctx;
    head_view x = head_at(j->t, j->s, piece, worker);
    double seen = 0.5 * (double)x.length * (double)(x.length + 1);
    bool back = j->t->g != NULL;
    lb_scope scope; /* its products count as such */
    lb_scope_begin(&scope, LB_WORK_ATTENTION);
    if (back) {
        float *base = (float *)(uintptr_t)lb_train_share(j->t, j->s, 0, &(lb_rows){0}).base;
        lb_mat from = head_of(base, x.length, piece / j->s->heads, piece % j->s->heads, j->s->head_dim, x.q.ld);
        attend_head_back(&x, &from);
    } else
        attend_head(&x);
    lb_scope_end(&scope, (back ? 16 : 14) * seen, (back ? 16 : 8) * seen);
    return LB_OK;
}

static lb_status train_all(const lb_train *t, const lb_net_step *s, lb_team *team) {
    return lb_train_for(team, t->rows / lb_train_length(t) * s->heads, head_piece, &(heads_job){t, s});
}

/* The query heads that read one key head add up, in order. */
static void sum_heads(const lb_net_step *s, const float *each, const lb_rows *r, const lb_share *to) {
    int64_t d = s->head_dim, group = s->heads / s->kv_heads, H = s->heads * d;
    for (int64_t i = 0; i < r->n; i++) {
        float *sum = lb_share_row(to, i, r->scratch);
        for (int64_t h = 0; h < s->kv_heads; h++) {
            const float *from = each + (r->first + i) * H + h * group * d;
            memcpy(sum + h * d, from, (size_t)d * sizeof *sum);
            for (int64_t k = 1; k < group; k++)
                for (int64_t c = 0; c < d; c++) sum[h * d + c] += from[k * d + c];
        }
        lb_share_put(to, i, sum);
    }
}

static lb_status sum_panel(void *ctx, int64_t panel, int worker) {
    const heads_job *j = ctx;
    const lb_train *t = j->t;
    const lb_net_step *s = j->s;
    int64_t first = panel * LB_TRAIN_PANEL;
    lb_rows r = {first, lb_least(LB_TRAIN_PANEL, t->rows - first), lb_train_scratch(t, worker), NULL};
    const float *dk = t->room[s - t->part->step];
    lb_share to[] = {lb_train_share(t, s, 1, &r), lb_train_share(t, s, 2, &r)};
    sum_heads(s, dk, &r, &to[0]);
    sum_heads(s, dk + t->rows * s->heads * s->head_dim, &r, &to[1]);
    return LB_OK;
}

static lb_status back_all(const lb_train *t, const lb_net_step *s, lb_team *team) {
    LB_TRY(train_all(t, s, team));
    return lb_train_for(team, lb_tiles(t->rows, LB_TRAIN_PANEL), sum_panel, &(heads_job){t, s});
}

static int64_t keeps(const lb_net_step *s) { return s->heads; }                  /* log-sum-exp */
static int64_t room(const lb_net_step *s) { return 2 * s->heads * s->head_dim; } /* dk and dv of each query head */

lb_attend lb_attend_of(const lb_net_step *s) {
    return (lb_attend){.heads = s->heads,
                       .kv_heads = s->kv_heads,
                       .head_dim = s->head_dim,
                       .scale = (float)s->arg[SCALE],
                       .cap = (float)s->arg[CAP],
                       .window = (int64_t)s->arg[WINDOW],
                       .bias = s->arg[ALIBI] != 0.0,
                       .add = s->into >= 0};
}

/* Pieces: key heads by tiles of queries, the tiles with the most keys first, so that threads end together. */
typedef struct attending {
    const lb_net_step *s;
    lb_attend a;
    lb_desk *desk;
    int64_t tiles;
    lb_cmat q, k, v;
    lb_mat out;
    double *received; /* (pieces, T): what each piece's queries give; NULL: nobody asks */
} attending;

static lb_status attend_piece(void *ctx, int64_t piece, int worker) {
    const attending *x = ctx;
    lb_attention *w = &x->desk[worker].attention;
    int64_t g = piece / x->tiles, queries = lb_attention_queries(&x->a), group = x->a.heads / x->a.kv_heads;
    int64_t q0 = (x->tiles - 1 - piece % x->tiles) * queries, n = x->q.rows - q0 < queries ? x->q.rows - q0 : queries;
    if (w->head != g) {
        lb_attention_take(&x->a, w, g, x->k, x->v);
        for (int64_t h = 0; x->a.bias && h < group; h++)
            for (int64_t t = 0; t < x->k.rows; t++)
                w->bias[h * w->length + t] = position_bias(x->s->arg, g * group + h, x->a.heads, t);
    }
    lb_attention_tile(&x->a, w, q0, n, x->q, x->out, x->received ? x->received + piece * x->k.rows : NULL);
    return LB_OK;
}

/* Summed over the pieces in their order, which is the same at any number of threads. */
static lb_status attend_all(attending *j, lb_team *team, double *received) {
    int64_t pieces = j->a.kv_heads * j->tiles, T = j->k.rows;
    if (received && !(j->received = lb_alloc((size_t)pieces, (size_t)T * sizeof *j->received))) return LB_E_NOMEM;
    lb_status st = lb_parallel_for(team, pieces, attend_piece, j);
    for (int64_t t = 0; t < T && received; t++) {
        received[t] = 0;
        for (int64_t p = 0; p < pieces; p++) received[t] += j->received[p * T + t];
    }
    lb_free(j->received);
    return st;
}

static lb_status forward(lb_exec_at *x, const lb_net_step *s, int64_t r0, int64_t rows) {
    attending j = {.s = s,
                   .a = lb_attend_of(s),
                   .desk = x->e->desk,
                   .q = lb_mat_c(lb_exec_operand(x, s, 0, r0, rows)),
                   .k = lb_mat_c(lb_exec_operand(x, s, 1, r0, rows)),
                   .v = lb_mat_c(lb_exec_operand(x, s, 2, r0, rows)),
                   .out = lb_exec_result(x, s, r0, rows)};
    if (x->e->past) lb_past_keep(x, s, j.k, j.v);
    if (lb_exec_past(x->e) > 0) return lb_past_attend(x, s, j.q, j.out);
    int64_t queries = lb_attention_queries(&j.a);
    j.tiles = (rows + queries - 1) / queries;
    for (int i = 0; i < x->e->threads; i++) j.desk[i].attention.head = -1;
    return attend_all(&j, x->e->team, x->cap ? x->cap->received : NULL);
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

/* A head's channels are weighted sums of its key head's values. */
static lb_scaled_by passes(const lb_net_step *s, lb_scaling *x) {
    int64_t d = s->head_dim, group = s->heads / s->kv_heads;
    for (int64_t i = 0; i < x->n; i++) {
        int64_t c = x->channel[i];
        x->channel[i] = (int32_t)(c / d / group * d + c % d);
    }
    x->operand = 2;
    return LB_SCALED_OPERAND;
}

const lb_op lb_op_attend = {
    .name = "attend",
    .operands = "vvv",
    .results = 1,
    .arg = {{"scale", NULL, NULL}, {"window", NULL, "0"}, {"cap", NULL, "0"}, {"alibi", NULL, "0"}},
    .reach = LB_BY_SEQUENCE,
    .in_place = 1u,
    .shape = shape,
    .forward = forward,
    .passes = passes,
    .reads = 7u | LB_READS_RESULT,
    .keeps = keeps,
    .room = room,
    .train_all = train_all,
    .back_all = back_all,
    .reference = reference};
