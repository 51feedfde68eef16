#include "model/weights.h"

#include <assert.h>

enum { PANEL_FLOATS = 1 << 18 }; /* read at a time: a piece of work */

bool lb_weights_resident(const lb_arch *a, const lb_weights *w) {
    if (!w->embed.d || !w->head.d) return false;
    for (int64_t b = 0; b < a->layers; b++)
        if (lb_block_floats(&w->blocks[b]) > 0) return false;
    return true;
}

int64_t lb_block_floats(const lb_block *b) {
    int64_t n = 0;
    for (int l = 0; l < LB_LINEARS; l++)
        if (!b->w[l].d) n += b->w[l].rows * b->w[l].cols;
    return n;
}

int64_t lb_weights_block_floats(const lb_arch *a, const lb_weights *w) {
    int64_t most = 0;
    for (int64_t b = 0; b < a->layers; b++) {
        int64_t n = lb_block_floats(&w->blocks[b]);
        if (n > most) most = n;
    }
    return most;
}

static int64_t panel_rows(lb_cmat W) { return W.cols > 0 && W.cols < PANEL_FLOATS ? PANEL_FLOATS / W.cols : 1; }
static int64_t panels(lb_cmat W) { return (W.rows - 1) / panel_rows(W) + 1; }

typedef struct reading {
    int n;
    lb_cmat W[LB_LINEARS];
    const lb_rows_source *from[LB_LINEARS];
    float *to[LB_LINEARS];
} reading;

static lb_status read_panel(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const reading *r = ctx;
    int i = 0;
    for (; piece >= panels(r->W[i]); i++) piece -= panels(r->W[i]);
    int64_t step = panel_rows(r->W[i]), row = piece * step;
    int64_t rows = r->W[i].rows - row < step ? r->W[i].rows - row : step;
    return r->from[i]->read(r->from[i]->ctx, row, rows, r->to[i] + row * r->W[i].cols);
}

static lb_status read_all(reading *r, lb_team *team) {
    int64_t n = 0;
    for (int i = 0; i < r->n; i++) n += panels(r->W[i]);
    return lb_parallel_for(team, n, read_panel, r);
}

lb_status lb_block_load(const lb_block *b, float *buffer, lb_team *team, lb_block *out) {
    reading r = {0};
    *out = *b;
    for (int l = 0; l < LB_LINEARS; l++) {
        lb_cmat W = b->w[l];
        if (W.d) continue;
        assert(buffer && b->from[l].read);
        r.W[r.n] = W;
        r.from[r.n] = &b->from[l];
        r.to[r.n++] = buffer;
        out->w[l] = lb_cmat_of(buffer, W.rows, W.cols);
        buffer += W.rows * W.cols;
    }
    return r.n ? read_all(&r, team) : LB_OK;
}

lb_status lb_block_half_bytes(const lb_block *b, lb_bf16 *c, size_t *bytes) {
    *bytes = 0;
    for (int l = 0; l < LB_LINEARS; l++) {
        size_t n;
        LB_TRY(lb_bf16_bytes(c, b->w[l].rows, b->w[l].cols, &n));
        *bytes += n;
    }
    return LB_OK;
}

typedef struct rounding {
    lb_bf16 *c;
    lb_block *b;
    char *to[LB_LINEARS];
} rounding;

static lb_status round_matrix(void *ctx, int64_t l, int worker) {
    (void)worker;
    const rounding *r = ctx;
    return lb_bf16_pack(r->c, r->b->w[l], r->to[l], &r->b->half[l]);
}

lb_status lb_block_round(const lb_block *loaded, lb_bf16 *c, void *room, lb_team *team, lb_block *out) {
    *out = *loaded;
    rounding r = {.c = c, .b = out};
    char *at = room;
    for (int l = 0; l < LB_LINEARS; l++) {
        size_t n;
        LB_TRY(lb_bf16_bytes(c, out->w[l].rows, out->w[l].cols, &n));
        r.to[l] = at;
        at += n;
    }
    return lb_parallel_for(team, LB_LINEARS, round_matrix, &r);
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

lb_status lb_matrix_get(lb_cmat W, const lb_rows_source *from, lb_arena *a, lb_team *team, lb_cmat *out) {
    *out = W;
    if (W.d) return LB_OK;
    float *d = LB_NEW(a, float, W.rows *W.cols);
    if (!d) return LB_E_NOMEM;
    reading r = {.n = 1, .W = {W}, .from = {from}, .to = {d}};
    *out = lb_cmat_of(d, W.rows, W.cols);
    return read_all(&r, team);
}
