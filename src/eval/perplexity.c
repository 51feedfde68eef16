#include "eval/perplexity.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "eval/perplexity_windows.h"
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
    lb_scored scored;
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
    int64_t from = lb_scored_window(&s->scored, window).from;
    const float *weight = final_weights(s->net, s->r->base);
    double most = 1.01 * sqrt((double)h0.cols); /* for rounding */
    for (int64_t t = 0; t < h0.rows; t++)
        for (int64_t i = 0; i < h0.cols; i++) {
            double v = (double)h0.d[t * h0.ld + i];
            if (!isfinite(v) || (weight && !(fabs(v) <= most * fabs((double)weight[i]))))
                return lb_states_refuse(s->r->base_states, window, from + t, i, v);
        }
    return LB_OK;
}

static lb_cmat scored_rows(const scoring *s, lb_mat h, int64_t window) {
    int64_t from = lb_scored_window(&s->scored, window).from;
    return lb_cmat_part(lb_mat_c(h), from, 0, lb_scored_count(&s->scored, window), s->cols);
}

/* The baseline's states of the window, where the divergence is asked for. */
static lb_status base_states(const scoring *s, desk *d, int64_t window) {
    if (!s->r->base || d->window == window) return LB_OK;
    d->window = -1;
    LB_TRY(lb_states_get(s->r->base_states, window, d->h0));
    LB_TRY(check_states(s, scored_rows(s, d->h0, window), window));
    d->window = window;
    return LB_OK;
}

/* Rows [row, row + rows) of what is scored, from the states in p->h. */
static lb_status score_rows(const scoring *s, desk *d, passage *p, int64_t window, int64_t row, int64_t rows) {
    lb_cmat h = scored_rows(s, p->h, window);
    const int32_t *target = p->token + lb_scored_window(&s->scored, window).from + 1;
    if (!s->r->base) return lb_head_nll_rows(s->head, h, target, row, rows, p->nll, NULL);
    LB_TRY(base_states(s, d, window));
    int64_t first = s->scored.first[window];
    return lb_head_kl_rows(s->base, scored_rows(s, d->h0, window), s->head, h, target, row, rows, p->nll,
                           s->scored.kl + first, p->agree, s->scored.accept ? s->scored.accept + first : NULL);
}

/* Pieces of the head's work: of a window, and of the one that has most. */
static int64_t parts_of(int64_t scored) { return (scored - 1) / LB_HEAD_ROWS + 1; }
static int64_t parts(const scoring *s, int64_t window) { return parts_of(lb_scored_count(&s->scored, window)); }

static lb_status in_window(lb_status st, int64_t window) {
    return st == LB_OK || st == LB_E_INTERRUPTED ? st : lb_fail_in(st, "window %lld", (long long)window);
}

/* Of (n, cols), those of the window's tokens: it may be shorter. */
static lb_mat own_rows(const scoring *s, lb_mat x, int64_t window) {
    return lb_mat_part(x, 0, 0, lb_scored_window(&s->scored, window).n, x.cols);
}

/* After the blocks, before the head. What is kept has n rows: behind a shorter window's stand zeros. */
static lb_status final_states(const scoring *s, int worker, const passage *p, int64_t window) {
    lb_mat x = own_rows(s, p->x, window), h = own_rows(s, p->h, window);
    lb_status st = lb_exec_final(s->desk[worker].exec, s->w, x, h);
    memset(p->h.d + h.rows * h.cols, 0, (size_t)((p->h.rows - h.rows) * h.cols) * sizeof *h.d);
    if (st == LB_OK && s->r->save_states) st = lb_states_put(s->r->save_states, window, lb_mat_c(p->h));
    return in_window(st, window);
}

static lb_status score_part(const scoring *s, desk *d, passage *p, int64_t window, int64_t part) {
    int64_t row = part * LB_HEAD_ROWS, left = lb_scored_count(&s->scored, window) - row;
    int64_t rows = left < LB_HEAD_ROWS ? left : LB_HEAD_ROWS;
    return in_window(score_rows(s, d, p, window, row, rows), window);
}

static void finish_window(scoring *s, int worker, const passage *p, int64_t window) {
    lb_scored_sum(&s->scored, window, p->nll, p->agree);
    int64_t done = atomic_fetch_add(&s->done, 1) + 1;
    /* Worker 0 is the calling thread, the only one that may report. */
    if (worker == 0) lb_log_step(s->log, "perplexity", s->r->protocol.id, done, s->scored.out->windows);
}

/* One of the `parts` of the head; the first also ends the model's pass, the last the window. Windows of fewer parts
 * than others have steps without work. */
static lb_status head_step(scoring *s, int worker, passage *p, int64_t window, int64_t part) {
    if (part >= parts(s, window)) return LB_OK;
    if (part == 0) LB_TRY(final_states(s, worker, p, window));
    LB_TRY(score_part(s, &s->desk[worker], p, window, part));
    if (part + 1 == parts(s, window)) finish_window(s, worker, p, window);
    return LB_OK;
}

static lb_status head_steps(scoring *s, int worker, passage *p, int64_t window) {
    for (int64_t i = 0; i < parts(s, window); i++) LB_TRY(head_step(s, worker, p, window, i));
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
    LB_TRY(lb_parallel_for(s->team, parts(s, window), team_part, &j));
    finish_window(s, 0, p, window);
    return LB_OK;
}

/* ---- weights in memory: most windows one a thread, the last ones side by side ---- */

static int64_t steps(const scoring *s) { return s->net->blocks + parts_of(s->scored.most); }

static lb_status embed_window(const scoring *s, int worker, passage *p, lb_mat x, int64_t window) {
    lb_scored_tokens(&s->scored, window, p->token);
    return lb_exec_embed(s->desk[worker].exec, s->w, p->token, x.rows, x);
}

static lb_status run_step(scoring *s, int worker, passage *p, int64_t window, int64_t step) {
    if (step >= s->net->blocks) return head_step(s, worker, p, window, step - s->net->blocks);
    if (step == 0) LB_TRY(embed_window(s, worker, p, own_rows(s, p->x, window), window));
    return lb_exec_block(s->desk[worker].exec, &s->held, step, own_rows(s, p->x, window), NULL);
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
    for (int64_t window = 0; window < s->scored.out->windows; window++) {
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
    int64_t windows = s->scored.out->windows, last = s->threads + windows % s->threads;
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
    return embed_window(s, worker, &s->own[worker], own_rows(s, states_of(s, piece), s->first + piece),
                        s->first + piece);
}

static lb_status pass_block(void *ctx, int64_t piece, int worker) {
    scoring *s = ctx;
    return lb_exec_block(s->desk[worker].exec, &s->loaded, s->block, own_rows(s, states_of(s, piece), s->first + piece),
                         NULL);
}

static lb_status leave_window(void *ctx, int64_t piece, int worker) {
    scoring *s = ctx;
    passage *p = &s->own[worker];
    lb_scored_tokens(&s->scored, s->first + piece, p->token);
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
    int64_t windows = s->scored.out->windows, n = s->r->protocol.n;
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

static lb_status run(scoring *s, lb_arena *scratch, lb_arena *arena, lb_eval *e) {
    const lb_protocol *p = &s->r->protocol;
    LB_TRY(lb_scored_begin(s->r, scratch, arena, e, &s->scored));
    s->few = e->windows < s->threads;
    lb_log_step(s->log, "perplexity", p->id, 0, e->windows);
    LB_TRY(score_all(s, scratch));
    lb_log_step(s->log, "perplexity", p->id, e->windows, e->windows);
    return lb_scored_finish(&s->scored);
}

lb_status lb_perplexity(const lb_net *n, const lb_weights *w, const lb_eval_request *r, lb_team *team, lb_arena *arena,
                        lb_log *log, lb_eval *out) {
    LB_TRY(lb_scored_check(n, r));
    lb_arena *scratch;
    LB_TRY(lb_arena_new(0, &scratch));
    *out = (lb_eval){0};
    scoring s = {.net = n, .w = w, .r = r, .log = log, .team = team, .threads = lb_team_threads(team)};
    s.cols = n->site[n->head].cols;
    s.desk = LB_NEW(scratch, desk, s.threads);
    s.own = LB_NEW(scratch, passage, s.threads);
    lb_status st = s.desk && s.own ? LB_OK : LB_E_NOMEM;
    if (st == LB_OK && r->compute == LB_COMPUTE_BF16) st = lb_bf16_new(&s.bf16);
    if (st == LB_OK) st = run(&s, scratch, arena, out);
    if (st != LB_OK) lb_error_frame(__FILE__, __LINE__, __func__);
    for (int i = 0; s.desk && i < s.threads; i++) lb_arena_free(s.desk[i].arena);
    lb_arena_free(scratch);
    lb_bf16_free(s.bf16);
    return st;
}
