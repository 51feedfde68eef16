/* The memory of an executor: known from the net's shapes before anything runs. */
#include "model/exec_impl.h"
#include "model/steps/steps.h"

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* What the most demanding part of the net needs, in floats or numbers. */
typedef struct needs {
    const lb_exec *e;
    int64_t rows, expert_rows;      /* T-row values */
    int64_t panel, quantized, half; /* a desk */
    int64_t widest;                 /* cols of any value */
    int64_t experts, gathered;
    lb_attend *attend; /* one a step that attends; NULL: they are counted first */
    int attends;
} needs;

/* Of one step, whose panels have at most so many rows. */
static void note_step(needs *n, const lb_net_part *p, int32_t i, int64_t rows) {
    const lb_net_step *s = &p->step[i];
    if (s->op == &lb_op_attend && n->attend) n->attend[n->attends] = lb_attend_of(s);
    if (s->op == &lb_op_attend) n->attends++;
    for (int k = 0; k < s->results && !s->op->keeps_no_result; k++)
        n->widest = most(n->widest, p->value[s->dst[k]].cols);
    if (s->site < 0 || s->src[0] < 0 || s->op->keeps_no_result) return;
    const lb_value *v = &p->value[s->src[0]];
    n->half = most(n->half, rows * v->cols);
    if (v->room == LB_ROOM_X || v->last != i || s->op->reach != LB_BY_ROW)
        n->quantized = most(n->quantized, rows * v->cols);
}

static void note_runs(needs *n, const lb_net_part *p) {
    for (int32_t k = 0; k < p->runs; k++) {
        const lb_run *run = &p->run[k];
        int64_t rows = lb_panels_most(n->e, p, run);
        n->panel = most(n->panel, rows * lb_panel_cols(p, run, NULL));
        for (int32_t i = run->first; i < run->first + run->steps; i++) note_step(n, p, i, rows);
    }
}

static lb_status note_experts(needs *n, const lb_net_part *p, const lb_net_step *s) {
    n->experts = most(n->experts, s->n_experts);
    n->gathered = most(n->gathered, p->value[s->src[0]].cols);
    for (int64_t e = 0; e < s->n_experts; e++) {
        const lb_net_part *own = &s->expert[e];
        if (own->runs != 1 || own->run[0].reach != LB_BY_ROW)
            return lb_fail(LB_E_UNSUPPORTED, "step '%s': an expert's steps must each go row by row", s->text);
        n->expert_rows = most(n->expert_rows, own->row_cols);
        note_runs(n, own);
    }
    return LB_OK;
}

static lb_status note_part(needs *n, const lb_net_part *p) {
    n->rows = most(n->rows, p->row_cols);
    note_runs(n, p);
    for (int32_t i = 0; i < p->steps; i++)
        if (p->step[i].op->reach == LB_BY_EXPERT) LB_TRY(note_experts(n, p, &p->step[i]));
    return LB_OK;
}

/* Outside of the blocks the caller's x is one array too, as wide as the net. */
static lb_status check_x(const lb_net *n, const lb_net_part *p) {
    for (int32_t i = 0; i < p->values; i++)
        if (p->value[i].room == LB_ROOM_X && p->value[i].cols != n->dim)
            return lb_fail(LB_E_UNSUPPORTED, "a value x of %lld columns, before or after blocks that have %lld",
                           (long long)p->value[i].cols, (long long)n->dim);
    return LB_OK;
}

static lb_status find_needs(needs *n) {
    const lb_net *net = n->e->net;
    LB_TRY(note_part(n, &net->before));
    for (int64_t b = 0; b < net->blocks; b++) LB_TRY(note_part(n, &net->block[b]));
    LB_TRY(note_part(n, &net->after));
    LB_TRY(check_x(net, &net->before));
    return check_x(net, &net->after);
}

static lb_status new_desk(lb_arena *a, const needs *n, lb_desk *d) {
    *d = (lb_desk){.panel = LB_NEW_UNSET(a, float, n->panel + 1),
                   .row = LB_NEW_UNSET(a, float, n->widest + 1),
                   .room.quantized = LB_NEW_UNSET(a, float, n->quantized + 1)};
    if (!d->panel || !d->row || !d->room.quantized) return LB_E_NOMEM;
    return n->attends ? lb_attention_new(a, n->attend, n->attends, n->e->length, &d->attention) : LB_OK;
}

static lb_status new_routing(lb_arena *a, const needs *n, lb_routing *out) {
    int64_t T = n->e->length, shortest = n->e->panel > 0 ? n->e->panel : LB_PANEL_UNIT;
    if (n->experts == 0) return LB_OK;
    *out = (lb_routing){.weight = LB_NEW_UNSET(a, float, T * n->experts),
                        .kept = LB_NEW(a, bool, n->experts),
                        .first = LB_NEW(a, int64_t, n->experts + 1),
                        .row = LB_NEW_UNSET(a, int32_t, T * n->experts),
                        .gathered = LB_NEW_UNSET(a, float, T * n->gathered),
                        .out = LB_NEW_UNSET(a, float, T * n->expert_rows),
                        .piece = LB_NEW(a, lb_expert_piece, n->experts + T / shortest + 1)};
    bool got = out->weight && out->kept && out->first && out->row && out->gathered && out->out && out->piece;
    return got ? LB_OK : LB_E_NOMEM;
}

lb_status lb_exec_new_panel(lb_arena *a, const lb_net *net, int64_t length, int64_t panel, lb_team *team,
                            lb_exec **out) {
    int threads = lb_team_threads(team);
    lb_exec *e = LB_NEW(a, lb_exec, 1);
    if (!e) return LB_E_NOMEM;
    *e = (lb_exec){.net = net, .team = team, .length = length, .panel = panel, .threads = threads};
    needs n = {.e = e};
    LB_TRY(find_needs(&n));
    lb_attend *attend = LB_NEW(a, lb_attend, n.attends + 1);
    if (!attend) return LB_E_NOMEM;
    n = (needs){.e = e, .attend = attend};
    LB_TRY(find_needs(&n));
    e->rows = LB_NEW_UNSET(a, float, length *n.rows + 1);
    e->spare = lb_mat_of(LB_NEW_UNSET(a, float, length * net->dim), length, net->dim);
    e->rotary = LB_NEW(a, lb_rotary, net->ropes + 1);
    e->desk = LB_NEW(a, lb_desk, threads);
    e->half = (size_t)n.half;
    if (!e->rows || !e->spare.d || !e->rotary || !e->desk) return LB_E_NOMEM;
    for (int32_t i = 0; i < net->ropes; i++) LB_TRY(lb_rotary_new(a, &net->rope[i], length, &e->rotary[i]));
    for (int i = 0; i < threads; i++) LB_TRY(new_desk(a, &n, &e->desk[i]));
    LB_TRY(new_routing(a, &n, &e->routing));
    *out = e;
    return LB_OK;
}

lb_status lb_exec_new(lb_arena *a, const lb_net *n, int64_t length, lb_team *team, lb_exec **out) {
    return lb_exec_new_panel(a, n, length, 0, team, out);
}

lb_status lb_exec_add_half(lb_arena *a, lb_exec *e) {
    for (int i = 0; i < e->threads; i++) {
        e->desk[i].room.half = LB_NEW_UNSET(a, uint16_t, e->half + 1);
        if (!e->desk[i].room.half) return LB_E_NOMEM;
    }
    return LB_OK;
}
