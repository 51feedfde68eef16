#include "eval/tasks_score.h"

#include <stdatomic.h>
#include <string.h>

#include "model/forward.h"
#include "model/weights.h"

/* Tokens that share the reading or rounding of a block: enough that it costs little beside them. */
enum { TOKENS_TOGETHER = 16384 };

typedef struct desk {
    lb_arena *arena;
    lb_exec *exec;
    lb_mat x, h;  /* (longest, dim), (longest, cols of the head): of a sequence alone */
    double *nll;  /* (longest) */
    int32_t *top; /* (longest) */
} desk;

typedef struct scoring {
    const lb_net *net;
    const lb_weights *w;
    const lb_task_pair *pair;
    int64_t pairs, longest, cols;
    const lb_task_scores *out;
    lb_team *team;
    lb_log *log;
    const char *what;
    atomic_int_least64_t done;
    desk *desk; /* (threads) */
    lb_head head;
    lb_bf16 *bf16; /* NULL: float32 */
    /* Those from `first` on that go through the model together. */
    int64_t first;
    int64_t *at;       /* (pairs) the row in x where each begins */
    lb_mat x;          /* their states */
    lb_weights loaded; /* with the block at hand */
    int64_t block;
} scoring;

static lb_status make_desk(const scoring *s, bool alone, desk *d) {
    int64_t n = s->longest, dim = s->net->dim;
    if (d->top) return LB_OK; /* it is made last */
    if (!d->arena) LB_TRY(lb_arena_new(0, &d->arena));
    lb_exec *exec;
    LB_TRY(lb_exec_new(d->arena, s->net, n, NULL, &exec));
    if (s->bf16) LB_TRY(lb_exec_add_half(d->arena, exec));
    d->exec = exec;
    d->x = lb_mat_of(alone ? LB_NEW(d->arena, float, n *dim) : NULL, n, dim);
    d->h = s->cols == dim ? d->x : lb_mat_of(LB_NEW(d->arena, float, n * s->cols), n, s->cols);
    d->nll = LB_NEW(d->arena, double, n);
    if ((alone && !d->x.d) || (s->cols != dim && !d->h.d) || !d->nll) return LB_E_NOMEM;
    d->top = LB_NEW(d->arena, int32_t, n);
    return d->top ? LB_OK : LB_E_NOMEM;
}

static lb_status in_sequence(lb_status st, int64_t i) {
    return st == LB_OK || st == LB_E_INTERRUPTED ? st : lb_fail_in(st, "sequence %lld", (long long)i);
}

static lb_status enter(const scoring *s, const desk *d, int64_t i, lb_mat x) {
    return lb_exec_embed(d->exec, s->w, s->pair[i].token, s->pair[i].n, x);
}

static lb_status leave(scoring *s, int worker, int64_t i, lb_mat x) {
    const lb_task_pair *p = &s->pair[i];
    const desk *d = &s->desk[worker];
    lb_mat h = s->cols == s->net->dim ? x : lb_mat_part(d->h, 0, 0, p->n, s->cols);
    const int32_t *target = p->token + p->from + 1;
    int64_t scored = p->n - p->from;
    LB_TRY(lb_exec_final(d->exec, s->w, x, h));
    LB_TRY(lb_head_nll(s->head, lb_cmat_part(lb_mat_c(h), p->from, 0, scored, s->cols), target, d->nll, d->top));
    double sum = 0;
    bool greedy = true;
    for (int64_t k = 0; k < scored; k++) {
        sum += d->nll[k];
        greedy = greedy && d->top[k] == target[k];
    }
    s->out->nll[i] = sum;
    s->out->greedy[i] = greedy;
    int64_t done = atomic_fetch_add(&s->done, 1) + 1;
    /* Worker 0 is the calling thread, the only one that may report. */
    if (worker == 0) lb_log_step(s->log, "tasks", s->what, done, s->pairs);
    return LB_OK;
}

static lb_status whole(void *ctx, int64_t i, int worker) {
    scoring *s = ctx;
    desk *d = &s->desk[worker];
    LB_TRY(make_desk(s, true, d));
    lb_mat x = lb_mat_part(d->x, 0, 0, s->pair[i].n, s->net->dim);
    lb_status st = enter(s, d, i, x);
    for (int64_t b = 0; b < s->net->blocks && st == LB_OK; b++) {
        st = lb_interrupt_check();
        if (st == LB_OK) st = lb_exec_block(d->exec, s->w, b, x, NULL);
    }
    if (st == LB_OK) st = leave(s, worker, i, x);
    return in_sequence(st, i);
}

/* ---- together ---- */

static lb_mat states(const scoring *s, int64_t i) { return lb_mat_part(s->x, s->at[i], 0, s->pair[i].n, s->net->dim); }

static lb_status enter_piece(void *ctx, int64_t k, int worker) {
    scoring *s = ctx;
    LB_TRY(make_desk(s, false, &s->desk[worker]));
    return in_sequence(enter(s, &s->desk[worker], s->first + k, states(s, s->first + k)), s->first + k);
}

static lb_status block_piece(void *ctx, int64_t k, int worker) {
    scoring *s = ctx;
    LB_TRY(make_desk(s, false, &s->desk[worker]));
    LB_TRY(lb_interrupt_check());
    lb_mat x = states(s, s->first + k);
    return in_sequence(lb_exec_block(s->desk[worker].exec, &s->loaded, s->block, x, NULL), s->first + k);
}

static lb_status leave_piece(void *ctx, int64_t k, int worker) {
    scoring *s = ctx;
    LB_TRY(make_desk(s, false, &s->desk[worker]));
    return in_sequence(leave(s, worker, s->first + k, states(s, s->first + k)), s->first + k);
}

/* How many from `first` on go together, and their tokens. */
static int64_t group_of(const scoring *s, int64_t first, int64_t *tokens) {
    int64_t n = 0;
    for (*tokens = 0; first + n < s->pairs && (n == 0 || *tokens < TOKENS_TOGETHER); n++)
        *tokens += s->pair[first + n].n;
    return n;
}

static lb_status half_room(const scoring *s, lb_arena *a, void **out) {
    size_t most = 0;
    *out = NULL;
    if (!s->bf16) return LB_OK;
    for (int64_t b = 0; b < s->net->blocks; b++) {
        size_t bytes;
        LB_TRY(lb_block_half_bytes(s->net, b, s->bf16, &bytes));
        if (bytes > most) most = bytes;
    }
    *out = lb_arena_get(a, 1, most);
    return *out ? LB_OK : LB_E_NOMEM;
}

static lb_status score_together(scoring *s, lb_arena *scratch) {
    int64_t most = 0, n, tokens;
    void *half;
    for (int64_t i = 0; i < s->pairs; i += n) {
        n = group_of(s, i, &tokens);
        if (tokens > most) most = tokens;
    }
    float *buffer = LB_NEW(scratch, float, lb_weights_block_floats(s->net, s->w) + 1);
    s->x = lb_mat_of(LB_NEW(scratch, float, most * s->net->dim), most, s->net->dim);
    s->at = LB_NEW(scratch, int64_t, s->pairs);
    if (!buffer || !s->x.d || !s->at) return LB_E_NOMEM;
    LB_TRY(lb_weights_new(scratch, s->net, &s->loaded));
    LB_TRY(half_room(s, scratch, &half));
    for (s->first = 0; s->first < s->pairs; s->first += n) {
        n = group_of(s, s->first, &tokens);
        for (int64_t k = 0, row = 0; k < n; row += s->pair[s->first + k++].n) s->at[s->first + k] = row;
        LB_TRY(lb_parallel_for(s->team, n, enter_piece, s));
        for (s->block = 0; s->block < s->net->blocks; s->block++) {
            LB_TRY(lb_block_load(s->net, s->w, s->block, buffer, s->team, &s->loaded));
            if (s->bf16) LB_TRY(lb_block_round(s->net, s->block, s->bf16, half, s->team, &s->loaded));
            LB_TRY(lb_parallel_for(s->team, n, block_piece, s));
        }
        LB_TRY(lb_parallel_for(s->team, n, leave_piece, s));
    }
    return LB_OK;
}

static lb_status run(scoring *s, lb_compute compute, lb_arena *scratch) {
    s->desk = LB_NEW(scratch, desk, lb_team_threads(s->team));
    if (!s->desk) return LB_E_NOMEM;
    for (int64_t i = 0; i < s->pairs; i++)
        if (s->pair[i].n > s->longest) s->longest = s->pair[i].n;
    s->cols = s->net->site[s->net->head].cols;
    s->head = lb_head_of(s->net, s->w);
    if (compute == LB_COMPUTE_BF16) {
        LB_TRY(lb_bf16_new(&s->bf16));
        s->head.bf16 = s->bf16;
        if (s->head.W.d) LB_TRY(lb_head_round(&s->head, s->bf16, scratch, s->team));
    }
    lb_log_step(s->log, "tasks", s->what, 0, s->pairs);
    if (s->bf16 || !lb_weights_resident(s->net, s->w))
        LB_TRY(score_together(s, scratch));
    else
        LB_TRY(lb_parallel_for(s->team, s->pairs, whole, s));
    lb_log_step(s->log, "tasks", s->what, s->pairs, s->pairs);
    return LB_OK;
}

lb_status lb_task_score(const lb_net *net, const lb_weights *w, const lb_task_pair *pair, int64_t pairs,
                        lb_compute compute, lb_team *team, lb_log *log, const char *what, const lb_task_scores *out) {
    lb_arena *scratch;
    LB_TRY(lb_arena_new(0, &scratch));
    scoring s = {.net = net, .w = w, .pair = pair, .pairs = pairs, .out = out, .team = team, .log = log, .what = what};
    lb_status st = run(&s, compute, scratch);
    if (st != LB_OK) lb_error_frame(__FILE__, __LINE__, __func__);
    for (int i = 0; s.desk && i < lb_team_threads(team); i++) lb_arena_free(s.desk[i].arena);
    lb_arena_free(scratch);
    lb_bf16_free(s.bf16);
    return st;
}
