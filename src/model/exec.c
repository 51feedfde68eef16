#include "model/exec.h"

#include <assert.h>
#include <string.h>

#include "math/kernels.h"
#include "math/product.h"
#include "model/exec_impl.h"
#include "model/steps/steps.h"

/* ---- what steps ask for ---- */

lb_mat lb_exec_value(const lb_exec_at *x, int32_t value, int64_t r0, int64_t rows) {
    const lb_value *v = &x->part->value[value];
    if (v->room == LB_ROOM_X) return lb_mat_part(x->x, r0, 0, rows, v->cols);
    float *at = v->room == LB_ROOM_ROWS ? x->rows + x->row_at[v->buffer] + r0 * v->cols
                                        : x->desk->panel + x->panel_at[v->buffer] + (r0 - x->panel_first) * v->cols;
    return lb_mat_of(at, rows, v->cols);
}

lb_mat lb_exec_operand(const lb_exec_at *x, const lb_net_step *s, int k, int64_t r0, int64_t rows) {
    return lb_exec_value(x, s->src[k], r0, rows);
}

lb_mat lb_exec_result(const lb_exec_at *x, const lb_net_step *s, int64_t r0, int64_t rows) {
    return lb_exec_value(x, s->dst[0], r0, rows);
}

float *lb_exec_row(const lb_exec_at *x, const lb_net_step *s, float *y) { return s->into < 0 ? y : x->desk->row; }

void lb_exec_row_done(const lb_exec_at *x, const lb_net_step *s, float *y, int64_t cols) {
    const float *row = x->desk->row;
    for (int64_t i = 0; i < cols && s->into >= 0; i++) y[i] += row[i];
}

/* Sites that read one value share what was made of it. Experts read theirs after their router. */
static void prepare(lb_exec_at *x, const lb_net_step *s, int64_t r0, int64_t rows) {
    const lb_linop *op = &x->w->site[s->site];
    const lb_value *v = &x->part->value[s->src[0]];
    if (x->prepared == s->src[0] && lb_linop_share(&x->reader, op)) return;
    bool spoil = v->room != LB_ROOM_X && v->last == s - x->part->step && s->op->reach == LB_BY_ROW;
    lb_linop_prepare(op, lb_exec_operand(x, s, 0, r0, rows), spoil, &x->desk->room, &x->input);
    x->prepared = s->src[0];
    x->reader = *op;
}

static void set_rows(lb_mat y, float mult, const float *bias) {
    for (int64_t i = 0; i < y.cols; i++) y.d[i] = mult * bias[i];
    for (int64_t t = 1; t < y.rows; t++) memcpy(y.d + t * y.ld, y.d, (size_t)y.cols * sizeof *y.d);
}

/* A product that sets y clears it first: where adding costs no more, the bias stands there instead of zeros. */
lb_status lb_exec_product(lb_exec_at *x, const lb_net_step *s, int64_t r0, int64_t rows, float mult, bool add,
                          lb_mat y) {
    const lb_linop *op = &x->w->site[s->site];
    const float *bias = lb_exec_vector(x, x->e->net->site[s->site].bias);
    bool bias_first = bias && !add && lb_linop_kind_of(op)->accumulates;
    prepare(x, s, r0, rows);
    if (bias_first) set_rows(y, mult, bias);
    if (lb_past_multiplies(x->e, op, rows))
        LB_TRY(lb_product_few(x->input.x, op->W, mult, add || bias_first, y, x->e->team));
    else
        LB_TRY(lb_linop_apply(op, &x->input, mult, add || bias_first, y));
    for (int64_t t = 0; t < rows && bias && !bias_first; t++)
        lb_kernels_active()->axpy(y.d + t * y.ld, mult, bias, y.cols);
    return LB_OK;
}

/* ---- inputs that are asked for ---- */

static lb_tap *tap_of(const lb_exec_at *x, int32_t input) {
    for (int32_t i = 0; x->cap && i < x->cap->taps; i++)
        if (x->cap->tap[i].input == input) return &x->cap->tap[i];
    return NULL;
}

/* Copied when the first site comes to read it. */
static void take_input(const lb_exec_at *x, const lb_net_step *s, int64_t r0, int64_t rows) {
    if (!x->cap || s->site < 0 || s->src[0] < 0) return;
    const lb_net *n = x->e->net;
    int32_t input = n->site[s->site].input;
    lb_tap *tap = n->reader[n->input[input].first] == s->site ? tap_of(x, input) : NULL;
    if (!tap) return;
    lb_mat from = lb_exec_operand(x, s, 0, r0, rows);
    assert(tap->to.cols == from.cols && r0 + rows <= tap->to.rows);
    for (int64_t t = 0; t < rows; t++)
        memcpy(tap->to.d + (r0 + t) * tap->to.ld, from.d + t * from.ld, (size_t)from.cols * sizeof(float));
}

/* The step before which all inputs are known: that of the last site, or the one after its experts. */
static int32_t stop_at(const lb_net *n, const lb_net_part *p, const lb_capture *cap) {
    int32_t stop = 0;
    for (int32_t k = 0; k < cap->taps; k++) {
        const lb_net_input *in = &n->input[cap->tap[k].input];
        for (int32_t i = 0; i < p->steps; i++) {
            const lb_net_step *s = &p->step[i];
            int32_t at = in->expert >= 0 && s->op->reach == LB_BY_EXPERT ? i + 1
                         : s->site == n->reader[in->first]               ? i
                                                                         : 0;
            stop = at > stop ? at : stop;
        }
    }
    for (int32_t i = 0; i < p->steps && cap->received; i++)
        if (p->step[i].op == &lb_op_attend && i >= stop) stop = i + 1;
    return stop;
}

static bool writes_x(const lb_net_part *p, int32_t from, int32_t stop) {
    for (int32_t i = from; i < stop; i++)
        for (int k = 0; k < p->step[i].results; k++)
            if (!p->step[i].op->keeps_no_result && p->value[p->step[i].dst[k]].room == LB_ROOM_X) return true;
    return false;
}

/* ---- runs ---- */

void lb_exec_place(lb_exec_at *x) {
    int64_t at = 0;
    x->prepared = -1;
    for (int32_t k = 0; k < x->part->buffers; k++) {
        x->row_at[k] = at;
        if (x->part->buffer[k].room == LB_ROOM_ROWS) at += x->T * x->part->buffer[k].cols;
    }
}

lb_status lb_exec_rows(const lb_exec_at *x, const lb_run *run, int64_t r0, int64_t rows) {
    lb_exec_at own = *x;
    lb_panel_cols(x->part, run, own.panel_at);
    for (int32_t k = 0; k < x->part->buffers; k++) own.panel_at[k] *= rows;
    own.panel_first = r0;
    own.prepared = -1;
    int32_t first = run->first > x->from ? run->first : x->from;
    for (int32_t i = first; i < run->first + run->steps && i <= x->stop; i++) {
        take_input(&own, &x->part->step[i], r0, rows);
        if (i < x->stop) LB_TRY(x->part->step[i].op->forward(&own, &x->part->step[i], r0, rows));
    }
    return LB_OK;
}

typedef struct rows_job {
    const lb_exec_at *x;
    const lb_run *run;
    lb_panels panels;
} rows_job;

static lb_status run_panel(void *ctx, int64_t piece, int worker) {
    const rows_job *j = ctx;
    lb_exec_at own = *j->x;
    int64_t r0, rows;
    lb_panel_at(&j->panels, piece, &r0, &rows);
    own.desk = &own.e->desk[worker];
    return lb_exec_rows(&own, j->run, r0, rows);
}

static lb_status run_part(lb_exec_at *x) {
    lb_exec_place(x);
    for (int32_t i = 0; i < x->part->runs; i++) {
        const lb_run *run = &x->part->run[i];
        const lb_net_step *s = &x->part->step[run->first];
        if (run->first > x->stop) break;
        if (run->first + run->steps <= x->from) continue;
        if (run->reach == LB_BY_ROW) {
            rows_job j = {x, run, lb_panels_of(x->e, x->part, run, x->T)};
            LB_TRY(lb_parallel_for(x->e->team, j.panels.n, run_panel, &j));
            continue;
        }
        take_input(x, s, 0, x->T);
        if (run->first < x->stop) LB_TRY(s->op->forward(x, s, 0, x->T));
    }
    return LB_OK;
}

static lb_exec_at start(lb_exec *e, const lb_weights *w, const lb_net_part *part, lb_mat x) {
    assert(x.rows <= e->length && x.cols == e->net->dim);
    for (int32_t i = 0; i < e->net->ropes; i++)
        lb_rotary_set(&e->net->rope[i], lb_exec_past(e) + x.rows, &e->rotary[i]);
    return (lb_exec_at){
        .e = e, .w = w, .part = part, .x = x, .T = x.rows, .rows = e->rows, .stop = part->steps, .desk = e->desk};
}

static void copy_rows(lb_cmat from, lb_mat to) {
    for (int64_t t = 0; t < from.rows; t++)
        memcpy(to.d + t * to.ld, from.d + t * from.ld, (size_t)from.cols * sizeof(float));
}

static lb_mat copied(lb_exec *e, lb_mat x) {
    lb_mat to = lb_mat_part(e->spare, 0, 0, x.rows, x.cols);
    copy_rows(lb_mat_c(x), to);
    return to;
}

/* ---- exec.h ---- */

lb_status lb_exec_embed(lb_exec *e, const lb_weights *w, const int32_t *tokens, int64_t T, lb_mat x) {
    assert(x.rows == T);
    lb_exec_at at = start(e, w, &e->net->before, x);
    at.token = tokens;
    return T > 0 ? run_part(&at) : LB_OK;
}

lb_status lb_exec_section(lb_exec *e, const lb_weights *w, int64_t block, int32_t section, lb_mat x, lb_capture *cap) {
    lb_exec_at at = start(e, w, &e->net->block[block], x);
    at.cap = cap;
    if (section >= 0) {
        at.from = at.part->section[section].first;
        at.stop = at.from + at.part->section[section].steps;
    }
    for (int32_t i = 0; cap && i < cap->taps; i++)
        cap->tap[i].rows = e->net->input[cap->tap[i].input].expert < 0 ? x.rows : 0;
    if (x.rows == 0) return LB_OK;
    if (cap && cap->stop) {
        int32_t known = stop_at(e->net, at.part, cap);
        if (known < at.stop) at.stop = known;
        if (writes_x(at.part, at.from, at.stop)) at.x = copied(e, x);
    }
    return run_part(&at);
}

lb_status lb_exec_block(lb_exec *e, const lb_weights *w, int64_t block, lb_mat x, lb_capture *cap) {
    return lb_exec_section(e, w, block, LB_WHOLE_BLOCK, x, cap);
}

lb_status lb_exec_outside(lb_exec *e, const lb_weights *w, const int32_t *tokens, lb_cmat x, lb_tap *tap) {
    const lb_net *n = e->net;
    bool before = tap->input < n->span[0].input;
    lb_capture cap = {.tap = tap, .taps = 1};
    int64_t T = tap->rows = tap->to.rows;
    if (T == 0) return LB_OK;
    lb_mat own = lb_mat_part(e->spare, 0, 0, T, n->dim);
    if (!before) copy_rows(x, own);
    lb_exec_at at = start(e, w, before ? &n->before : &n->after, own);
    at.token = tokens;
    at.cap = &cap;
    at.stop = stop_at(n, at.part, &cap);
    return run_part(&at);
}

lb_status lb_exec_final(lb_exec *e, const lb_weights *w, lb_mat x, lb_mat h) {
    const lb_net_part *after = &e->net->after;
    assert(h.rows == x.rows && h.cols == after->value[e->net->head_input].cols);
    if (x.rows == 0) return LB_OK;
    bool in_h = h.cols == x.cols;
    if (in_h && h.d != x.d) copy_rows(lb_mat_c(x), h);
    lb_exec_at at = start(e, w, after, in_h ? h : copied(e, x));
    at.h = h;
    return run_part(&at);
}
