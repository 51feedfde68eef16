#include "model/weights.h"

#include <assert.h>
#include <string.h>

enum { PANEL_FLOATS = 1 << 18 }; /* read at a time: a piece of work */

/* ---- by site and tensor ---- */

lb_status lb_weights_new(lb_arena *a, const lb_net *n, lb_weights *out) {
    *out = (lb_weights){LB_NEW(a, lb_linop, n->sites), LB_NEW(a, const float *, n->vectors + 1)};
    if (!out->site || !out->vector) return LB_E_NOMEM;
    for (int32_t i = 0; i < n->sites; i++) out->site[i].W = lb_cmat_of(NULL, n->site[i].rows, n->site[i].cols);
    return LB_OK;
}

lb_status lb_weights_clone(lb_arena *a, const lb_net *n, const lb_weights *w, lb_weights *out) {
    lb_weights copy;
    LB_TRY(lb_weights_new(a, n, &copy));
    memcpy(copy.site, w->site, (size_t)n->sites * sizeof *w->site);
    if (n->vectors) memcpy(copy.vector, w->vector, (size_t)n->vectors * sizeof *w->vector);
    *out = copy;
    return LB_OK;
}

void lb_weights_put(const lb_net *n, lb_weights *w, int32_t site, lb_linop op) {
    int32_t owner = lb_net_owner(n, site);
    for (int32_t i = 0; i < n->sites; i++)
        if (i == owner || (n->site[i].same_as >= 0 && lb_net_owner(n, i) == owner)) w->site[i] = op;
}

void lb_slot_set(const lb_net *n, lb_weights *w, int32_t slot, const float *data) {
    const lb_net_slot *s = &n->slot[slot];
    if (s->vector >= 0) {
        for (int32_t i = s->vector; i < n->vectors; i++) /* who shares it comes after it */
            if (lb_net_vector_owner(n, i) == s->vector) w->vector[i] = data;
        return;
    }
    lb_linop op = w->site[s->site];
    op.W = lb_cmat_of(data, n->site[s->site].rows, n->site[s->site].cols);
    lb_weights_put(n, w, s->site, op);
}

const float *lb_slot_get(const lb_net *n, const lb_weights *w, int32_t slot) {
    const lb_net_slot *s = &n->slot[slot];
    return s->vector >= 0 ? w->vector[s->vector] : w->site[s->site].W.d;
}

void lb_slot_set_source(const lb_net *n, lb_weights *w, int32_t slot, lb_rows_source from) {
    int32_t site = n->slot[slot].site;
    lb_linop op = w->site[site];
    op.from = from;
    lb_weights_put(n, w, site, op);
}

/* ---- blocks ---- */

bool lb_weights_resident(const lb_net *n, const lb_weights *w) {
    for (int32_t i = 0; i < n->sites; i++)
        if (!w->site[i].W.d) return false;
    return true;
}

int64_t lb_block_floats(const lb_net *n, const lb_weights *w, int64_t block) {
    int32_t first, sites = lb_net_block(n, block, &first);
    int64_t floats = 0;
    for (int32_t i = first; i < first + sites; i++)
        if (!w->site[i].W.d) floats += n->site[i].rows * n->site[i].cols;
    return floats;
}

int64_t lb_weights_block_floats(const lb_net *n, const lb_weights *w) {
    int64_t most = 0;
    for (int64_t b = 0; b < n->blocks; b++) {
        int64_t floats = lb_block_floats(n, w, b);
        if (floats > most) most = floats;
    }
    return most;
}

static int64_t panel_rows(lb_cmat W) { return W.cols > 0 && W.cols < PANEL_FLOATS ? PANEL_FLOATS / W.cols : 1; }
static int64_t panels(lb_cmat W) { return (W.rows - 1) / panel_rows(W) + 1; }

/* Matrices to read: those of `op` that have no numbers, into `to`. */
typedef struct reading {
    const lb_linop *op;
    int32_t n;
    float *to; /* one after another */
} reading;

static lb_status read_panel(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const reading *r = ctx;
    const lb_linop *op = r->op;
    float *to = r->to;
    for (;; op++) {
        if (op->W.d) continue;
        if (piece < panels(op->W)) break;
        piece -= panels(op->W);
        to += op->W.rows * op->W.cols;
    }
    int64_t step = panel_rows(op->W), row = piece * step;
    int64_t rows = op->W.rows - row < step ? op->W.rows - row : step;
    return op->from.read(op->from.ctx, row, rows, to + row * op->W.cols);
}

static lb_status read_all(reading *r, lb_team *team) {
    int64_t n = 0;
    for (int32_t i = 0; i < r->n; i++)
        if (!r->op[i].W.d) n += panels(r->op[i].W);
    return n > 0 ? lb_parallel_for(team, n, read_panel, r) : LB_OK;
}

lb_status lb_block_load(const lb_net *n, const lb_weights *w, int64_t block, float *buffer, lb_team *team,
                        lb_weights *out) {
    int32_t first, sites = lb_net_block(n, block, &first);
    reading r = {&w->site[first], sites, buffer};
    for (int32_t i = first; i < first + sites; i++) {
        out->site[i] = w->site[i];
        if (w->site[i].W.d) continue;
        assert(buffer && w->site[i].from.read);
        out->site[i].W = lb_cmat_of(buffer, n->site[i].rows, n->site[i].cols);
        buffer += n->site[i].rows * n->site[i].cols;
    }
    for (int32_t i = n->span[block].vector; i < n->span[block + 1].vector; i++) out->vector[i] = w->vector[i];
    return read_all(&r, team);
}

lb_status lb_weights_hold(lb_arena *a, const lb_net *n, const lb_weights *w, lb_team *team, lb_weights *out) {
    LB_TRY(lb_weights_clone(a, n, w, out));
    for (int64_t b = 0; b < n->blocks; b++) {
        int64_t floats = lb_block_floats(n, w, b);
        float *room = floats ? LB_NEW_UNSET(a, float, floats) : NULL;
        if (floats && !room) return LB_E_NOMEM;
        LB_TRY(lb_block_load(n, w, b, room, team, out));
    }
    return LB_OK;
}

lb_status lb_block_half_bytes(const lb_net *n, int64_t block, lb_bf16 *c, size_t *bytes) {
    int32_t first, sites = lb_net_block(n, block, &first);
    *bytes = 0;
    for (int32_t i = first; i < first + sites; i++) {
        size_t one;
        LB_TRY(lb_bf16_bytes(c, n->site[i].rows, n->site[i].cols, &one));
        *bytes += one;
    }
    return LB_OK;
}

typedef struct rounding {
    lb_bf16 *c;
    lb_linop *op;
    char **to;
} rounding;

static lb_status round_matrix(void *ctx, int64_t i, int worker) {
    (void)worker;
    const rounding *r = ctx;
    return lb_bf16_pack(r->c, r->op[i].W, r->to[i], &r->op[i].half);
}

lb_status lb_block_round(const lb_net *n, int64_t block, lb_bf16 *c, void *room, lb_team *team, lb_weights *loaded) {
    int32_t first, sites = lb_net_block(n, block, &first);
    rounding r = {.c = c, .op = &loaded->site[first], .to = lb_alloc((size_t)sites, sizeof *r.to)};
    char *at = room;
    lb_status st = r.to ? LB_OK : LB_E_NOMEM;
    for (int32_t i = 0; i < sites && st == LB_OK; i++) {
        size_t bytes = 0;
        st = lb_bf16_bytes(c, r.op[i].W.rows, r.op[i].W.cols, &bytes);
        r.to[i] = at;
        at += bytes;
    }
    if (st == LB_OK) st = lb_parallel_for(team, sites, round_matrix, &r);
    lb_free(r.to);
    return st;
}

lb_status lb_rows_get(lb_cmat W, const lb_rows_source *from, int64_t row, int64_t rows, float *buffer, lb_cmat *out) {
    assert(row >= 0 && rows >= 0 && row + rows <= W.rows);
    if (W.d) {
        *out = lb_cmat_part(W, row, 0, rows, W.cols);
        return LB_OK;
    }
    *out = lb_cmat_of(buffer, rows, W.cols);
    return from->read(from->ctx, row, rows, buffer);
}

lb_status lb_matrix_get(const lb_linop *op, lb_arena *a, lb_team *team, lb_cmat *out) {
    *out = op->W;
    if (op->W.d) return LB_OK;
    float *d = LB_NEW(a, float, op->W.rows * op->W.cols);
    if (!d) return LB_E_NOMEM;
    reading r = {op, 1, d};
    *out = lb_cmat_of(d, op->W.rows, op->W.cols);
    return read_all(&r, team);
}
