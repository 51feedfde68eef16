#include "eval/perplexity.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "model/forward.h"
#include "model/weights.h"

/* What a worker needs beside the window it works on; made by the worker for its first one. */
typedef struct desk {
    lb_arena *arena;
    lb_exec *exec;
    lb_mat h0; /* (n, dim): the baseline's final-normed states of `window` */
    int64_t window;
} desk;

/* A window under way. */
typedef struct passage {
    lb_mat x;       /* (n, dim): residual stream */
    lb_mat h;       /* (n, cols of the head): what the head reads, in the end; x where they are equally wide */
    int32_t *token; /* (n) */
    double *nll;    /* (scored) */
    uint8_t *agree; /* (scored); NULL: not made yet, as it is made last */
} passage;

typedef struct scoring {
    const lb_net *net;
    const lb_weights *w;
    const lb_eval_request *r;
    int64_t cols; /* of what the head reads */
    lb_team *team;
    int threads;
    bool few;   /* fewer windows than threads: one after another, each on all threads, with desk[0] and own[0] */
    desk *desk; /* (threads) */
    passage *own, *woven; /* (threads) one a worker; (windows from `first` on) that advance together */
    int64_t first;
    int64_t from, scored; /* rows from .. from + scored - 1 of a window predict what is scored */
    lb_eval *out;
    double *sum, *sum2; /* (windows) of nll and nll^2 */
    double *kl;         /* (windows, scored) or NULL */
    lb_log *log;
    atomic_int_least64_t done;
    lb_weights held; /* where all blocks are in memory: w's, or rounded */
    lb_head head, base;
    lb_bf16 *bf16; /* NULL: float32 */
    /* Where blocks come one after another: the windows from `first` on go through the model together, block by block.
     */
    lb_mat x;          /* (LEAST_TOGETHER or more windows * n, dim) */
    lb_weights loaded; /* the block at hand */
    void *half;        /* bf16: its rounded matrices */
    int64_t block;
} scoring;

/* Windows that share the reading or rounding of a block: enough that it costs little beside them. */
enum { LEAST_TOGETHER = 8 };

static lb_status check_request(const lb_net *net, const lb_eval_request *r) {
    const lb_protocol *p = &r->protocol;
    if (net->context && p->n > net->context)
        return lb_fail(LB_E_CONFIG, "protocol %s: windows of %lld tokens are longer than the model's context of %lld",
                       p->id, (long long)p->n, (long long)net->context);
    if (r->corpus->tokens < p->n)
        return lb_fail(LB_E_CONFIG, "%s: %lld tokens are too few for one window: protocol %s needs %lld",
                       r->corpus->path, (long long)r->corpus->tokens, p->id, (long long)p->n);
    if (r->max_windows < 0)
        return lb_fail(LB_E_CONFIG, "windows = %lld: must be at least 0 (all)", (long long)r->max_windows);
    if (!r->base != !r->base_states)
        return lb_fail(LB_E_ARG, "divergence needs both the baseline's weights and its states");
    return LB_OK;
}

static lb_status make_desk(const scoring *s, desk *d) {
    int64_t n = s->r->protocol.n;
    if (d->exec) return LB_OK; /* it is made last */
    d->window = -1;
    if (!d->arena) LB_TRY(lb_arena_new(0, &d->arena));
    if (s->r->base && !(d->h0 = lb_mat_of(LB_NEW(d->arena, float, n * s->cols), n, s->cols)).d) return LB_E_NOMEM;
    lb_exec *exec;
    LB_TRY(lb_exec_new(d->arena, s->net, n, s->few ? s->team : NULL, &exec));
    if (s->bf16) LB_TRY(lb_exec_add_half(d->arena, exec));
    d->exec = exec;
    return LB_OK;
}

static lb_status make_passage(const scoring *s, lb_arena *a, passage *p) {
    int64_t n = s->r->protocol.n, dim = s->net->dim;
    if (p->agree) return LB_OK;
    p->x = s->x.d ? s->x : lb_mat_of(LB_NEW(a, float, n *dim), n, dim); /* streamed: all windows' */
    p->h = s->cols == dim ? p->x : lb_mat_of(LB_NEW(a, float, n * s->cols), n, s->cols);
    p->token = LB_NEW(a, int32_t, n);
    p->nll = LB_NEW(a, double, n);
    if (p->x.d && p->h.d && p->token && p->nll) p->agree = LB_NEW(a, uint8_t, n);
    return p->agree ? LB_OK : LB_E_NOMEM;
}

static void take_tokens(const scoring *s, passage *p, int64_t window) {
    const lb_corpus *c = s->r->corpus;
    int64_t n = s->r->protocol.n;
    memcpy(p->token, c->token + window * n, (size_t)n * sizeof *p->token);
    if (s->r->protocol.rule == LB_RULE_LCPP && c->has_bos) p->token[0] = c->bos_id;
}

/* Of a root-mean-square norm over whole rows, by weights without more, the weights; NULL: the states come of another.
 */
static const float *final_weights(const lb_net *n, const lb_weights *w) {
    enum { KIND, EPS, ONE, RUN };
    int32_t born = n->after.value[n->head_input].born;
    const lb_net_step *s = born < 0 ? NULL : &n->after.step[born];
    bool plain = s && strcmp(s->op->name, "norm") == 0 && s->arg[KIND] == 0 && s->arg[ONE] == 0 && s->arg[RUN] == 0;
    return plain && s->weight >= 0 && s->bias < 0 ? w->vector[s->weight] : NULL;
}

/* What RMSNorm gives is at most sqrt(dim) times its weight, so that logits of it are finite where the model's are: the
 * file was sealed, but by whom is not known. */
static lb_status check_states(const scoring *s, lb_cmat h0, int64_t window) {
    const float *weight = final_weights(s->net, s->r->base);
    double most = 1.01 * sqrt((double)h0.cols); /* for rounding */
    for (int64_t t = 0; t < h0.rows; t++)
        for (int64_t i = 0; i < h0.cols; i++) {
            double v = (double)h0.d[t * h0.ld + i];
            if (!isfinite(v) || (weight && !(fabs(v) <= most * fabs((double)weight[i]))))
                return lb_states_refuse(s->r->base_states, window, s->from + t, i, v);
        }
    return LB_OK;
}

static lb_cmat scored_rows(const scoring *s, lb_mat h) {
    return lb_cmat_part(lb_mat_c(h), s->from, 0, s->scored, s->cols);
}

/* The baseline's states of the window, where the divergence is asked for. */
static lb_status base_states(const scoring *s, desk *d, int64_t window) {
    if (!s->r->base || d->window == window) return LB_OK;
    d->window = -1;
    LB_TRY(lb_states_get(s->r->base_states, window, d->h0));
    LB_TRY(check_states(s, scored_rows(s, d->h0), window));
    d->window = window;
    return LB_OK;
}

/* Rows [row, row + rows) of what is scored, from the states in p->h. */
static lb_status score_rows(const scoring *s, desk *d, passage *p, int64_t window, int64_t row, int64_t rows) {
    lb_cmat h = scored_rows(s, p->h);
    const int32_t *target = p->token + s->from + 1;
    if (!s->r->base) return lb_head_nll_rows(s->head, h, target, row, rows, p->nll, NULL);
    LB_TRY(base_states(s, d, window));
    return lb_head_kl_rows(s->base, scored_rows(s, d->h0), s->head, h, target, row, rows, p->nll,
                           s->kl + window * s->scored, p->agree);
}

/* Sums of one window, in token order. */
static void sum_window(const scoring *s, const passage *p, int64_t window) {
    double sum = 0.0, sum2 = 0.0, kl = 0.0, agree = 0.0;
    for (int64_t i = 0; i < s->scored; i++) {
        sum += p->nll[i];
        sum2 += p->nll[i] * p->nll[i];
        if (s->kl) kl += s->kl[window * s->scored + i];
        agree += p->agree[i];
    }
    s->sum[window] = sum;
    s->sum2[window] = sum2;
    s->out->window_nll[window] = sum / (double)s->scored;
    if (!s->kl) return;
    s->out->window_kl[window] = kl / (double)s->scored;
    s->out->window_agree[window] = agree / (double)s->scored;
}

static int64_t parts(const scoring *s) { return (s->scored - 1) / LB_HEAD_ROWS + 1; }

static lb_status in_window(lb_status st, int64_t window) {
    return st == LB_OK || st == LB_E_INTERRUPTED ? st : lb_fail_in(st, "window %lld", (long long)window);
}

/* After the blocks, before the head. */
static lb_status final_states(const scoring *s, int worker, const passage *p, int64_t window) {
    lb_status st = lb_exec_final(s->desk[worker].exec, s->w, p->x, p->h);
    if (st == LB_OK && s->r->save_states) st = lb_states_put(s->r->save_states, window, lb_mat_c(p->h));
    return in_window(st, window);
}

static lb_status score_part(const scoring *s, desk *d, passage *p, int64_t window, int64_t part) {
    int64_t row = part * LB_HEAD_ROWS, rows = s->scored - row < LB_HEAD_ROWS ? s->scored - row : LB_HEAD_ROWS;
    return in_window(score_rows(s, d, p, window, row, rows), window);
}

static void finish_window(scoring *s, int worker, const passage *p, int64_t window) {
    sum_window(s, p, window);
    int64_t done = atomic_fetch_add(&s->done, 1) + 1;
    /* Worker 0 is the calling thread, the only one that may report. */
    if (worker == 0) lb_log_step(s->log, "perplexity", s->r->protocol.id, done, s->out->windows);
}

/* One of the `parts` of the head; the first also ends the model's pass, the last the window. */
static lb_status head_step(scoring *s, int worker, passage *p, int64_t window, int64_t part) {
    if (part == 0) LB_TRY(final_states(s, worker, p, window));
    LB_TRY(score_part(s, &s->desk[worker], p, window, part));
    if (part + 1 == parts(s)) finish_window(s, worker, p, window);
    return LB_OK;
}

static lb_status head_steps(scoring *s, int worker, passage *p, int64_t window) {
    for (int64_t i = 0; i < parts(s); i++) LB_TRY(head_step(s, worker, p, window, i));
    return LB_OK;
}

/* A window on all threads: its states have gone through the blocks. */
typedef struct window_job {
    scoring *s;
    passage *p;
    int64_t window;
} window_job;

static lb_status team_part(void *ctx, int64_t part, int worker) {
    (void)worker;
    const window_job *j = ctx;
    return score_part(j->s, &j->s->desk[0], j->p, j->window, part);
}

static lb_status head_on_team(scoring *s, passage *p, int64_t window) {
    window_job j = {s, p, window};
    LB_TRY(final_states(s, 0, p, window));
    LB_TRY(in_window(base_states(s, &s->desk[0], window), window));
    LB_TRY(lb_parallel_for(s->team, parts(s), team_part, &j));
    finish_window(s, 0, p, window);
    return LB_OK;
}

/* ---- weights in memory: most windows one a thread, the last ones side by side ---- */

static int64_t steps(const scoring *s) { return s->net->blocks + parts(s); }

static lb_status embed_window(const scoring *s, int worker, passage *p, lb_mat x, int64_t window) {
    take_tokens(s, p, window);
    return lb_exec_embed(s->desk[worker].exec, s->w, p->token, s->r->protocol.n, x);
}

static lb_status run_step(scoring *s, int worker, passage *p, int64_t window, int64_t step) {
    if (step >= s->net->blocks) return head_step(s, worker, p, window, step - s->net->blocks);
    if (step == 0) LB_TRY(embed_window(s, worker, p, p->x, window));
    return lb_exec_block(s->desk[worker].exec, &s->held, step, p->x, NULL);
}

static lb_status whole_window(void *ctx, int64_t window, int worker) {
    scoring *s = ctx;
    passage *p = &s->own[worker];
    LB_TRY(make_desk(s, &s->desk[worker]));
    LB_TRY(make_passage(s, s->desk[worker].arena, p));
    for (int64_t i = 0; i < steps(s); i++) {
        LB_TRY(lb_interrupt_check());
        LB_TRY(run_step(s, worker, p, window, i));
    }
    return LB_OK;
}

/* One step of one of the last windows. Its memory is what the worker's own windows no longer need, while there is. */
static lb_status woven_step(void *ctx, int64_t chain, int64_t step, int worker) {
    scoring *s = ctx;
    passage *p = &s->woven[chain];
    LB_TRY(make_desk(s, &s->desk[worker]));
    if (step == 0 && s->own[worker].agree) {
        *p = s->own[worker];
        s->own[worker] = (passage){0};
    }
    LB_TRY(make_passage(s, s->desk[worker].arena, p));
    return run_step(s, worker, p, s->first + chain, step);
}

static lb_status score_few(scoring *s) {
    passage *p = &s->own[0];
    LB_TRY(make_desk(s, &s->desk[0]));
    LB_TRY(make_passage(s, s->desk[0].arena, p));
    for (int64_t window = 0; window < s->out->windows; window++) {
        for (int64_t i = 0; i < s->net->blocks; i++) {
            LB_TRY(lb_interrupt_check());
            LB_TRY(run_step(s, 0, p, window, i));
        }
        LB_TRY(head_on_team(s, p, window));
    }
    return LB_OK;
}

/* One round more than the windows that fill whole rounds of the team: these would leave threads idle in the last one.
 * The windows of the last two rounds advance block by block instead, whichever thread is free. */
static lb_status score_resident(scoring *s, lb_arena *scratch) {
    if (s->few) return score_few(s);
    int64_t windows = s->out->windows, last = s->threads + windows % s->threads;
    if (last > windows) last = windows;
    s->first = windows - last;
    if (!(s->woven = LB_NEW(scratch, passage, last))) return LB_E_NOMEM;
    LB_TRY(lb_parallel_for(s->team, s->first, whole_window, s));
    return lb_parallel_chains(s->team, last, steps(s), woven_step, s);
}

/* ---- block by block ---- */

static lb_mat states_of(const scoring *s, int64_t piece) {
    int64_t n = s->r->protocol.n;
    return lb_mat_part(s->x, piece * n, 0, n, s->net->dim);
}

static lb_status enter_window(void *ctx, int64_t piece, int worker) {
    scoring *s = ctx;
    return embed_window(s, worker, &s->own[worker], states_of(s, piece), s->first + piece);
}

static lb_status pass_block(void *ctx, int64_t piece, int worker) {
    scoring *s = ctx;
    return lb_exec_block(s->desk[worker].exec, &s->loaded, s->block, states_of(s, piece), NULL);
}

static lb_status leave_window(void *ctx, int64_t piece, int worker) {
    scoring *s = ctx;
    passage *p = &s->own[worker];
    take_tokens(s, p, s->first + piece);
    p->x = states_of(s, piece);
    if (s->cols == s->net->dim) p->h = p->x;
    return s->few ? head_on_team(s, p, s->first + piece) : head_steps(s, worker, p, s->first + piece);
}

/* f for n windows: side by side, or each on all threads. */
static lb_status each_window(scoring *s, int64_t n, lb_piece f) {
    if (!s->few) return lb_parallel_for(s->team, n, f, s);
    for (int64_t i = 0; i < n; i++) LB_TRY(f(s, i, 0));
    return LB_OK;
}

static lb_status score_together(scoring *s, int64_t n, float *buffer) {
    LB_TRY(each_window(s, n, enter_window));
    for (s->block = 0; s->block < s->net->blocks; s->block++) {
        LB_TRY(lb_interrupt_check());
        LB_TRY(lb_block_load(s->net, s->w, s->block, buffer, s->team, &s->loaded));
        if (s->bf16) LB_TRY(lb_block_round(s->net, s->block, s->bf16, s->half, s->team, &s->loaded));
        LB_TRY(each_window(s, n, pass_block));
    }
    return each_window(s, n, leave_window);
}

/* Room for the rounded matrices of any block. */
static lb_status half_room(scoring *s, lb_arena *a) {
    size_t most = 0;
    for (int64_t b = 0; b < s->net->blocks; b++) {
        size_t bytes;
        LB_TRY(lb_block_half_bytes(s->net, b, s->bf16, &bytes));
        if (bytes > most) most = bytes;
    }
    s->half = lb_arena_get(a, 1, most);
    return s->half ? LB_OK : LB_E_NOMEM;
}

static lb_status score_by_blocks(scoring *s, lb_arena *scratch) {
    int64_t together = 2 * s->threads > LEAST_TOGETHER ? 2 * s->threads : LEAST_TOGETHER;
    int64_t windows = s->out->windows, n = s->r->protocol.n;
    if (together > windows) together = windows;
    float *buffer = LB_NEW(scratch, float, lb_weights_block_floats(s->net, s->w));
    s->x = lb_mat_of(LB_NEW(scratch, float, together *n * s->net->dim), together * n, s->net->dim);
    if (!buffer || !s->x.d) return LB_E_NOMEM;
    LB_TRY(lb_weights_new(scratch, s->net, &s->loaded));
    if (s->bf16) LB_TRY(half_room(s, scratch));
    for (int i = 0; i < (s->few ? 1 : s->threads); i++) {
        LB_TRY(make_desk(s, &s->desk[i]));
        LB_TRY(make_passage(s, s->desk[i].arena, &s->own[i]));
    }
    for (s->first = 0; s->first < windows; s->first += together)
        LB_TRY(score_together(s, windows - s->first < together ? windows - s->first : together, buffer));
    return LB_OK;
}

/* ---- products in bfloat16 ---- */

static lb_status hold_block(scoring *s, int64_t block, float *buffer, lb_arena *scratch) {
    int32_t first, sites = lb_net_block(s->net, block, &first);
    size_t bytes;
    LB_TRY(lb_block_half_bytes(s->net, block, s->bf16, &bytes));
    void *room = lb_arena_get(scratch, 1, bytes);
    if (!room) return LB_E_NOMEM;
    LB_TRY(lb_block_load(s->net, s->w, block, buffer, s->team, &s->held));
    LB_TRY(lb_block_round(s->net, block, s->bf16, room, s->team, &s->held));
    for (int32_t i = first; i < first + sites; i++) s->held.site[i].W.d = NULL; /* of a buffer that goes */
    return LB_OK;
}

/* Every block rounded, in memory until the end. */
static lb_status hold_blocks(scoring *s, lb_arena *scratch) {
    LB_TRY(lb_weights_clone(scratch, s->net, s->w, &s->held));
    float *buffer = lb_alloc((size_t)lb_weights_block_floats(s->net, s->w) + 1, sizeof *buffer);
    lb_status st = buffer ? LB_OK : LB_E_NOMEM;
    for (int64_t b = 0; b < s->net->blocks && st == LB_OK; b++) st = hold_block(s, b, buffer, scratch);
    lb_free(buffer);
    return st;
}

/* A head that is in memory, or held, is rounded once; the baseline's is the same one where the head is not quantized.
 */
static lb_status round_heads(scoring *s, lb_arena *scratch) {
    lb_head *h = &s->head, *b = &s->base;
    h->bf16 = b->bf16 = s->bf16;
    if (h->W.d || s->r->hold) LB_TRY(lb_head_round(h, s->bf16, scratch, s->team));
    if (!s->r->base) return LB_OK;
    bool same = b->W.d ? b->W.d == h->W.d : !h->W.d && b->from.read == h->from.read && b->from.ctx == h->from.ctx;
    if (same)
        *b = *h;
    else if (b->W.d || s->r->hold)
        LB_TRY(lb_head_round(b, s->bf16, scratch, s->team));
    return LB_OK;
}

static lb_status score_all(scoring *s, lb_arena *scratch) {
    s->head = lb_head_of(s->net, s->w);
    if (s->r->base) s->base = lb_head_of(s->net, s->r->base);
    s->held = *s->w;
    bool whole = lb_weights_resident(s->net, s->w);
    if (s->bf16) {
        whole = s->r->hold;
        LB_TRY(round_heads(s, scratch));
        if (whole) LB_TRY(hold_blocks(s, scratch));
    }
    return whole ? score_resident(s, scratch) : score_by_blocks(s, scratch);
}

static double mean_of(const double *x, int64_t n) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    return sum / (double)n;
}

static void finish_kl(const scoring *s, lb_eval *e) {
    e->has_kl = true;
    e->kl_mean = mean_of(e->window_kl, e->windows);
    e->top1 = mean_of(e->window_agree, e->windows);
    lb_sort_f64(s->kl, e->scored);
    e->kl_median = lb_percentile(s->kl, e->scored, 0.5);
    e->kl_p99 = lb_percentile(s->kl, e->scored, 0.99);
}

/* Every token's NLL is a number by now; of a model that is far off, their mean may still be one that nothing can be
 * raised to. */
static lb_status check_finite(const lb_eval *e) {
    if (isfinite(e->mean_nll) && isfinite(e->ppl) && !isinf(e->ppl_se)) return LB_OK;
    int64_t worst = 0;
    for (int64_t i = 1; i < e->windows; i++)
        if (e->window_nll[i] > e->window_nll[worst]) worst = i;
    return lb_fail(LB_E_NUMERIC,
                   "perplexity overflows: the mean NLL is %.6g nats a token, of window %lld %.6g: the model's outputs "
                   "are no probabilities any more",
                   e->mean_nll, (long long)worst, e->window_nll[worst]);
}

static lb_status finish(const scoring *s, lb_eval *e) {
    double sum = 0.0, sum2 = 0.0, spread = 0.0, n = (double)e->windows, tokens = (double)e->scored;
    for (int64_t i = 0; i < e->windows; i++) {
        sum += s->sum[i];
        sum2 += s->sum2[i];
    }
    if (e->protocol.rule == LB_RULE_LCPP) {
        e->mean_nll = sum / tokens;
        spread = sqrt(fmax(sum2 / tokens - e->mean_nll * e->mean_nll, 0.0) / (tokens - 1.0));
    } else {
        e->mean_nll = mean_of(e->window_nll, e->windows);
        for (int64_t i = 0; i < e->windows; i++)
            spread += (e->window_nll[i] - e->mean_nll) * (e->window_nll[i] - e->mean_nll);
        spread = e->windows > 1 ? sqrt(spread / (n - 1.0) / n) : NAN;
    }
    e->ppl = exp(e->mean_nll);
    e->ppl_se = e->ppl * spread;
    LB_TRY(check_finite(e));
    if (s->kl) finish_kl(s, e);
    return LB_OK;
}

static lb_status run(scoring *s, lb_arena *scratch, lb_arena *arena) {
    lb_eval *e = s->out;
    const lb_protocol *p = &s->r->protocol;
    s->from = p->rule == LB_RULE_LCPP ? p->n / 2 : 0;
    s->scored = p->n - 1 - s->from;
    e->protocol = *p;
    e->windows_all = s->r->corpus->tokens / p->n;
    e->windows = s->r->max_windows && s->r->max_windows < e->windows_all ? s->r->max_windows : e->windows_all;
    e->scored = e->windows * s->scored;
    s->few = e->windows < s->threads;
    s->sum = LB_NEW(scratch, double, e->windows);
    s->sum2 = LB_NEW(scratch, double, e->windows);
    e->window_nll = LB_NEW(arena, double, e->windows);
    if (!s->sum || !s->sum2 || !e->window_nll) return LB_E_NOMEM;
    if (s->r->base) {
        s->kl = LB_NEW(scratch, double, e->scored);
        e->window_kl = LB_NEW(arena, double, e->windows);
        e->window_agree = LB_NEW(arena, double, e->windows);
        if (!s->kl || !e->window_kl || !e->window_agree) return LB_E_NOMEM;
    }
    lb_log_step(s->log, "perplexity", p->id, 0, e->windows);
    LB_TRY(score_all(s, scratch));
    lb_log_step(s->log, "perplexity", p->id, e->windows, e->windows);
    return finish(s, e);
}

lb_status lb_perplexity(const lb_net *n, const lb_weights *w, const lb_eval_request *r, lb_team *team, lb_arena *arena,
                        lb_log *log, lb_eval *out) {
    LB_TRY(check_request(n, r));
    lb_arena *scratch;
    LB_TRY(lb_arena_new(0, &scratch));
    *out = (lb_eval){0};
    scoring s = {.net = n, .w = w, .r = r, .out = out, .log = log, .team = team, .threads = lb_team_threads(team)};
    s.cols = n->site[n->head].cols;
    s.desk = LB_NEW(scratch, desk, s.threads);
    s.own = LB_NEW(scratch, passage, s.threads);
    lb_status st = s.desk && s.own ? LB_OK : LB_E_NOMEM;
    if (st == LB_OK && r->compute == LB_COMPUTE_BF16) st = lb_bf16_new(&s.bf16);
    if (st == LB_OK) st = run(&s, scratch, arena);
    if (st != LB_OK) lb_error_frame(__FILE__, __LINE__, __func__);
    for (int i = 0; s.desk && i < s.threads; i++) lb_arena_free(s.desk[i].arena);
    lb_arena_free(scratch);
    lb_bf16_free(s.bf16);
    return st;
}
