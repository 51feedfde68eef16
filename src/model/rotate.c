#include "model/rotate.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "math/blas.h"
#include "math/factor.h"
#include "model/weights.h"

/* What becomes of a site's matrix. */
typedef struct turn {
    bool cols, rows;
    int32_t norm; /* the vector that its columns are multiplied by first; -1: none */
    double one;   /* and what the norm adds to it */
    bool seen;
} turn;

typedef struct rotation {
    const lb_net *n;
    const lb_weights *w;
    turn *turn;       /* (sites) */
    double *unit;     /* (vectors) what a weight that its readers took up is from now on; NAN: it stays */
    lb_arena *a;      /* of the result */
    lb_dmat Q;        /* (dim, dim) */
    lb_dmat from, to; /* room for one matrix */
    lb_team *team;
} rotation;

/* ---- which values stand in the stream's basis ---- */

/* Of a part: does a value stand in it, and under which norm's weight, which its readers still owe it. */
typedef struct basis {
    bool *in;      /* (values) */
    int32_t *norm; /* (values) in net.vector; -1: none */
    double *one;
} basis;

static bool is(const lb_net_step *s, const char *op) { return strcmp(s->op->name, op) == 0; }

/* The operand whose vectors a step gives again, each times a number; -1: it is no such step. */
static int scaled_operand(const lb_net_part *p, const lb_net_step *s) {
    if (is(s, "add")) return 0;
    return is(s, "gate") && p->value[s->src[0]].cols == 1 ? 1 : -1;
}

static bool result_in(const basis *b, const lb_net_step *s) {
    for (int i = 0; i < s->results; i++)
        if (b->in[s->dst[i]]) return true;
    return s->into >= 0 && b->in[s->into];
}

/* *more: one of them was not marked yet. */
static void mark(const basis *b, int32_t v, int32_t w, bool *more) {
    *more = *more || !b->in[v] || !b->in[w];
    b->in[v] = b->in[w] = true;
}

/* x is in it, and so is whatever is added to it, or only normed. */
static void spread(const lb_net_part *p, int64_t dim, const basis *b) {
    bool more = true;
    for (int32_t v = 0; v < p->values; v++)
        if (strcmp(p->value[v].name, "x") == 0 && p->value[v].cols == dim) b->in[v] = true;
    while (more) {
        more = false;
        for (int32_t i = 0; i < p->steps; i++) {
            const lb_net_step *s = &p->step[i];
            if (s->into >= 0 && (b->in[s->into] || b->in[s->dst[0]])) mark(b, s->into, s->dst[0], &more);
            int k = scaled_operand(p, s);
            if (k >= 0 && (result_in(b, s) || b->in[s->src[k]])) mark(b, s->src[k], s->dst[0], &more);
            if (is(s, "norm") && b->in[s->src[0]]) mark(b, s->src[0], s->dst[0], &more);
        }
    }
}

static lb_status basis_new(lb_arena *scratch, const lb_net_part *p, basis *b) {
    *b = (basis){LB_NEW(scratch, bool, p->values), LB_NEW(scratch, int32_t, p->values),
                 LB_NEW(scratch, double, p->values)};
    if (!b->in || !b->norm || !b->one) return LB_E_NOMEM;
    for (int32_t v = 0; v < p->values; v++) b->norm[v] = -1;
    return LB_OK;
}

/* ---- what its steps make of sites and norms ---- */

static lb_status refuse(const lb_net_step *s, const char *why) {
    return lb_fail(LB_E_UNSUPPORTED, "cannot turn the residual stream: step '%s': %s", s->text, why);
}

static lb_status turn_site(rotation *r, const lb_net_step *s, int32_t site, const basis *b, int32_t src, bool rows) {
    turn t = {.rows = rows, .norm = -1, .seen = true};
    if (src >= 0 && b->in[src]) t.cols = true, t.norm = b->norm[src], t.one = b->one[src];
    turn *old = &r->turn[site];
    if (old->seen && (old->cols != t.cols || old->rows != t.rows || old->norm != t.norm))
        return refuse(s, "its layer is used twice, each time in another way");
    *old = t;
    return LB_OK;
}

static lb_status turn_norm(rotation *r, const lb_net_step *s, const basis *b) {
    bool from = b->in[s->src[0]], to = b->in[s->dst[0]];
    const char *kind = s->op->arg[0].words[(int)s->arg[0]];
    if (!from && !to) return LB_OK;
    if (!from) return refuse(s, "a norm of what is added to the stream has a weight for each channel");
    if (strcmp(kind, "rms") != 0)
        return refuse(s, "a layer norm takes off the mean over channels, which is another one in another basis");
    if (s->arg[3] > 0.0) return refuse(s, "its runs are parts of the stream's width");
    if (b->norm[s->src[0]] >= 0) return refuse(s, "it reads what another norm gives");
    if (s->bias >= 0) return refuse(s, "it has a bias");
    if (s->weight < 0) return LB_OK;
    b->norm[s->dst[0]] = s->weight;
    b->one[s->dst[0]] = s->arg[2];
    r->unit[s->weight] = 1.0 - s->arg[2];
    return LB_OK;
}

static lb_status turn_part(rotation *r, lb_arena *scratch, const lb_net_part *p, const basis *entering, int32_t value,
                           bool leaving_in);

static lb_status turn_experts(rotation *r, lb_arena *scratch, const lb_net_step *s, const basis *b) {
    LB_TRY(turn_site(r, s, s->site, b, s->src[0], false));
    for (int64_t e = 0; e < s->n_experts; e++)
        LB_TRY(turn_part(r, scratch, &s->expert[e], b, s->src[0], result_in(b, s)));
    return LB_OK;
}

/* A weight that readers owe can be taken up by linear layers alone. */
static lb_status check_owed(const lb_net_step *s, const basis *b, int scaled) {
    if (s->into >= 0 && b->norm[s->into] >= 0) return refuse(s, "it adds to what a norm gives");
    if (scaled >= 0 && b->norm[s->src[scaled]] >= 0) return refuse(s, "it adds what a norm gives");
    return LB_OK;
}

static lb_status turn_step(rotation *r, lb_arena *scratch, const lb_net_part *p, const lb_net_step *s, const basis *b) {
    if (is(s, "embed")) return turn_site(r, s, s->site, b, -1, false);
    int scaled = scaled_operand(p, s);
    LB_TRY(check_owed(s, b, scaled));
    if (is(s, "norm")) return turn_norm(r, s, b);
    if (is(s, "linear") || is(s, "head")) return turn_site(r, s, s->site, b, s->src[0], result_in(b, s));
    if (is(s, "experts")) return turn_experts(r, scratch, s, b);
    bool single = result_in(b, s) && scaled < 0;
    for (int k = 0; s->op->operands[k]; k++)
        single |= s->op->operands[k] == 'v' && b->in[s->src[k]] && !(k == scaled && result_in(b, s));
    return single ? refuse(s, "it works on single channels of the stream") : LB_OK;
}

/* A table's rows are what it gives. */
static void turn_tables(rotation *r, const lb_net_part *p, const basis *b) {
    for (int32_t i = 0; i < p->steps; i++)
        if (is(&p->step[i], "embed") && result_in(b, &p->step[i])) r->turn[p->step[i].site].cols = true;
}

/* entering, value: of an expert, the block's basis and the value that comes in; NULL: a part by itself. */
static lb_status turn_part(rotation *r, lb_arena *scratch, const lb_net_part *p, const basis *entering, int32_t value,
                           bool leaving_in) {
    basis b;
    lb_arena_mark start = lb_arena_save(scratch);
    LB_TRY(basis_new(scratch, p, &b));
    if (entering && entering->in[value]) {
        b.in[p->entering] = true;
        b.norm[p->entering] = entering->norm[value];
        b.one[p->entering] = entering->one[value];
    }
    if (entering && leaving_in) b.in[p->leaving] = true;
    spread(p, r->n->dim, &b);
    for (int32_t i = 0; i < p->steps; i++) LB_TRY(turn_step(r, scratch, p, &p->step[i], &b));
    turn_tables(r, p, &b);
    if (p->leaving >= 0 && b.norm[p->leaving] >= 0 && p != &r->n->after)
        return lb_fail(LB_E_UNSUPPORTED, "cannot turn the residual stream: it leaves %s by way of a norm",
                       p == &r->n->before ? "the part before the blocks" : "a block");
    lb_arena_restore(scratch, start);
    return LB_OK;
}

static lb_status look(rotation *r, lb_arena *scratch) {
    const lb_net *n = r->n;
    for (int32_t v = 0; v < n->vectors; v++) r->unit[v] = NAN;
    LB_TRY(turn_part(r, scratch, &n->before, NULL, -1, false));
    for (int64_t k = 0; k < n->blocks; k++) LB_TRY(turn_part(r, scratch, &n->block[k], NULL, -1, false));
    LB_TRY(turn_part(r, scratch, &n->after, NULL, -1, false));
    for (int32_t i = 0; i < n->sites; i++) {
        const turn *t = &r->turn[i], *own = &r->turn[lb_net_owner(n, i)];
        if (i != n->head && n->site[i].same_as >= 0 && (t->cols || t->rows || own->cols || own->rows))
            return lb_fail(LB_E_UNSUPPORTED, "cannot turn the residual stream: layer %s shares the weights of %s",
                           n->site[i].name, n->site[lb_net_owner(n, i)].name);
    }
    return LB_OK;
}

/* ---- the basis ---- */

/* One step of Q <- Q L⁻ᵀ with L Lᵀ = QᵀQ. */
static lb_status orthogonalize(lb_dmat Q, lb_dmat gram, lb_dmat room, lb_team *team) {
    double pivot;
    int64_t column;
    LB_TRY(lb_dgemm_team(true, false, 1.0, lb_dmat_c(Q), lb_dmat_c(Q), 0.0, gram, team));
    LB_TRY(lb_cholesky_lower(gram, team, &column, &pivot));
    LB_TRY(lb_invert_lower(gram, team));
    for (int64_t i = 0; i < gram.rows; i++)
        for (int64_t j = i + 1; j < gram.cols; j++) gram.d[i * gram.ld + j] = 0.0;
    LB_TRY(lb_dgemm_team(false, true, 1.0, lb_dmat_c(Q), lb_dmat_c(gram), 0.0, room, team));
    for (int64_t i = 0; i < Q.rows; i++) memcpy(Q.d + i * Q.ld, room.d + i * room.ld, (size_t)Q.cols * sizeof *Q.d);
    return LB_OK;
}

/* Normal numbers made orthonormal column by column, with R's diagonal positive: every basis is as likely as any other
 * (Mezzadri 2007, arXiv:math-ph/0609050). Factors of Gram matrices, three times over, as the first one loses half of
 * the digits where columns are nearly dependent (Yamamoto et al. 2015, CholeskyQR2). */
static lb_status draw_block(lb_dmat Q, lb_rng *rng, lb_arena *scratch, lb_team *team) {
    int64_t n = Q.rows;
    lb_arena_mark start = lb_arena_save(scratch);
    double *gram = LB_NEW_UNSET(scratch, double, n *n), *room = LB_NEW_UNSET(scratch, double, n *n);
    if (!gram || !room) return LB_E_NOMEM;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) Q.d[i * Q.ld + j] = lb_rng_normal(rng);
    for (int pass = 0; pass < 3; pass++) LB_TRY(orthogonalize(Q, lb_dmat_of(gram, n, n), lb_dmat_of(room, n, n), team));
    lb_arena_restore(scratch, start);
    return LB_OK;
}

/* Blocks along the diagonal, zero beside them. */
static lb_status draw(rotation *r, lb_arena *scratch, uint64_t seed, int64_t block) {
    int64_t n = r->Q.rows;
    lb_rng rng = lb_rng_make(seed, 0);
    memset(r->Q.d, 0, (size_t)(n * n) * sizeof *r->Q.d);
    for (int64_t at = 0; at < n; at += block) {
        int64_t size = at + block < n ? block : n - at;
        lb_dmat Q = {r->Q.d + at * r->Q.ld + at, size, size, r->Q.ld};
        LB_TRY(draw_block(Q, &rng, scratch, r->team));
    }
    return LB_OK;
}

/* ---- the matrices ---- */

/* from := to Q, or Qᵀ to, whichever way; the two change places. */
static lb_status multiply(rotation *r, bool rows, int64_t m, int64_t n) {
    lb_dmat x = lb_dmat_of(r->from.d, m, n), y = lb_dmat_of(r->to.d, m, n);
    if (rows)
        LB_TRY(lb_dgemm_team(true, false, 1.0, lb_dmat_c(r->Q), lb_dmat_c(x), 0.0, y, r->team));
    else
        LB_TRY(lb_dgemm_team(false, false, 1.0, lb_dmat_c(x), lb_dmat_c(r->Q), 0.0, y, r->team));
    double *d = r->from.d;
    r->from.d = r->to.d, r->to.d = d;
    return LB_OK;
}

static lb_status turn_matrix(rotation *r, int32_t site, lb_weights *out) {
    const turn *t = &r->turn[site];
    lb_cmat W = r->w->site[site].W;
    const float *norm = t->norm >= 0 ? r->w->vector[t->norm] : NULL;
    float *to = LB_NEW_UNSET(r->a, float, W.rows *W.cols);
    if (!to) return LB_E_NOMEM;
    for (int64_t i = 0; i < W.rows; i++)
        for (int64_t j = 0; j < W.cols; j++)
            r->from.d[i * W.cols + j] = (double)W.d[i * W.ld + j] * (norm ? (double)norm[j] + t->one : 1.0);
    if (t->cols) LB_TRY(multiply(r, false, W.rows, W.cols));
    if (t->rows) LB_TRY(multiply(r, true, W.rows, W.cols));
    for (int64_t i = 0; i < W.rows * W.cols; i++) to[i] = (float)r->from.d[i];
    out->site[site].W = lb_cmat_of(to, W.rows, W.cols);
    return LB_OK;
}

static lb_status turn_bias(rotation *r, int32_t bias, lb_weights *out) {
    int64_t n = r->n->vector[bias].n;
    const float *b = r->w->vector[bias];
    float *to = LB_NEW(r->a, float, n);
    if (!to) return LB_E_NOMEM;
    for (int64_t i = 0; i < n; i++) {
        double sum = 0.0;
        for (int64_t k = 0; k < n; k++) sum += r->Q.d[k * r->Q.ld + i] * (double)b[k];
        to[i] = (float)sum;
    }
    out->vector[bias] = to;
    return LB_OK;
}

static lb_status turn_all(rotation *r, lb_weights *out) {
    const lb_net *n = r->n;
    for (int32_t i = 0; i < n->sites; i++) {
        const turn *t = &r->turn[i];
        if (t->cols || t->rows) LB_TRY(turn_matrix(r, i, out));
        if (t->rows && n->site[i].bias >= 0) LB_TRY(turn_bias(r, n->site[i].bias, out));
    }
    for (int32_t v = 0; v < n->vectors; v++) {
        if (isnan(r->unit[v])) continue;
        float *to = LB_NEW(r->a, float, n->vector[v].n);
        if (!to) return LB_E_NOMEM;
        for (int64_t i = 0; i < n->vector[v].n; i++) to[i] = (float)r->unit[v];
        out->vector[v] = to;
    }
    return LB_OK;
}

static lb_status rotate(rotation *r, lb_arena *scratch, uint64_t seed, int64_t block, lb_weights *out) {
    const lb_net *n = r->n;
    int64_t most = 0;
    for (int32_t i = 0; i < n->sites; i++)
        if (n->site[i].rows * n->site[i].cols > most) most = n->site[i].rows * n->site[i].cols;
    r->turn = LB_NEW(scratch, turn, n->sites);
    r->unit = LB_NEW(scratch, double, n->vectors);
    r->Q = lb_dmat_of(LB_NEW_UNSET(scratch, double, n->dim * n->dim), n->dim, n->dim);
    r->from.d = LB_NEW_UNSET(scratch, double, most);
    r->to.d = LB_NEW_UNSET(scratch, double, most);
    if (!r->turn || !r->unit || !r->Q.d || !r->from.d || !r->to.d) return LB_E_NOMEM;
    LB_TRY(look(r, scratch));
    LB_TRY(draw(r, scratch, seed, block ? block : n->dim));
    return turn_all(r, out);
}

lb_status lb_rotate(lb_arena *a, const lb_net *n, const lb_weights *w, uint64_t seed, int64_t block, lb_team *team,
                    lb_weights *out) {
    rotation r = {.n = n, .w = w, .a = a, .team = team};
    lb_arena *scratch;
    if (block < 0 || block > n->dim)
        return lb_fail(LB_E_ARG, "block = %lld: must be at most the residual stream's width, %lld, or 0 for all of it",
                       (long long)block, (long long)n->dim);
    LB_TRY(lb_weights_clone(a, n, w, out));
    LB_TRY(lb_arena_new(0, &scratch));
    lb_status st = rotate(&r, scratch, seed, block, out);
    lb_arena_free(scratch);
    return st;
}
