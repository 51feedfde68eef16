#include "model/rope_numbers.h"

#include <math.h>
#include <stddef.h>

#include "model/steps/reference.h"

const char *const lb_rope_kinds[] = {"default", "linear", "dynamic", "llama3", "yarn", "longrope", NULL};

lb_rope_told lb_rope_plain(double base) { return (lb_rope_told){.base = base, .magnitude = 1.0}; }

double lb_rope_long_magnitude(double s, double original) { return s > 1.0 ? sqrt(1.0 + log(s) / log(original)) : 1.0; }

double lb_rope_yarn_magnitude(double s, double m) { return s > 1.0 ? 0.1 * m * log(s) + 1.0 : 1.0; }

/* ---- to numbers ---- */

static const struct {
    const char *name;
    size_t at; /* in lb_rope_told */
} told[] = {
    {"rope_kind", offsetof(lb_rope_told, kind)},           {"rope_base", offsetof(lb_rope_told, base)},
    {"rope_factor", offsetof(lb_rope_told, factor)},       {"rope_low", offsetof(lb_rope_told, low)},
    {"rope_high", offsetof(lb_rope_told, high)},           {"rope_original", offsetof(lb_rope_told, original)},
    {"rope_magnitude", offsetof(lb_rope_told, magnitude)}, {"rope_fast", offsetof(lb_rope_told, fast)},
    {"rope_slow", offsetof(lb_rope_told, slow)},           {"rope_untruncated", offsetof(lb_rope_told, untruncated)},
};
enum { TOLD = sizeof told / sizeof told[0] };

static double *field(lb_rope_told *r, int i) { return (double *)((char *)r + told[i].at); }

lb_status lb_rope_set(lb_numbering *b, const lb_rope_told *all, const lb_rope_told *local, const double *where) {
    lb_rope_told a = *all, l = local ? *local : *all;
    for (int i = 0; i < TOLD; i++) {
        if (!local) {
            LB_TRY(lb_numbering_set(b, told[i].name, *field(&a, i)));
            continue;
        }
        double *block = LB_NEW(b->arena, double, b->blocks + 1);
        if (!block) return LB_E_NOMEM;
        for (int64_t k = 0; k < b->blocks; k++) block[k] = *field(where[k] != 0.0 ? &l : &a, i);
        LB_TRY(lb_numbering_set_blocks(b, told[i].name, block));
    }
    const lb_rope_told *listed = a.list[0] ? &a : &l;
    if (!listed->list[0]) return LB_OK;
    LB_TRY(lb_numbering_set_list(b, "rope_short", listed->list[0], listed->listed[0]));
    return lb_numbering_set_list(b, "rope_long", listed->list[1], listed->listed[1]);
}

/* ---- whether they make sense ---- */

/* 0 where the architecture has none, or none in this block. */
static lb_status get(const lb_numbers *n, const char *name, int64_t block, double *out) {
    *out = 0.0;
    return lb_number_find(n, name) ? lb_number_get(n, name, block, out) : LB_OK;
}

static lb_status check_llama3(const lb_rope_told *r, const char *whose) {
    if (!(r->low > 0.0 && r->high > r->low && isfinite(r->high)))
        return lb_fail(LB_E_FORMAT,
                       "%s: llama3 rope low and high frequency factors = %g, %g: must be positive and rise", whose,
                       r->low, r->high);
    if (r->original < 1.0)
        return lb_fail(LB_E_FORMAT, "%s: llama3 rope original context = %g: must be at least 1", whose, r->original);
    return LB_OK;
}

/* Of yarn and longrope. */
static lb_status check_stretched(const lb_rope_told *r, const char *whose) {
    const char *kind = lb_rope_kinds[(int)r->kind];
    if (!(r->original >= 1.0 && isfinite(r->original)))
        return lb_fail(LB_E_FORMAT, "%s: %s rope original context = %g: must be at least 1", whose, kind, r->original);
    if (!(r->magnitude > 0.0 && isfinite(r->magnitude)))
        return lb_fail(LB_E_FORMAT, "%s: %s rope factor on cos and sin = %g: must be positive", whose, kind,
                       r->magnitude);
    if (r->kind != LB_REF_ROPE_YARN) return LB_OK;
    if (!(r->fast > 0.0 && r->slow > 0.0 && isfinite(r->fast) && isfinite(r->slow)))
        return lb_fail(LB_E_FORMAT, "%s: yarn rope beta_fast and beta_slow = %g, %g: must be positive", whose, r->fast,
                       r->slow);
    if (r->base == 1.0) return lb_fail(LB_E_FORMAT, "%s: yarn rope base = 1: must be another number", whose);
    return LB_OK;
}

static lb_status check_block(const lb_numbers *n, const char *whose, int64_t block) {
    lb_rope_told r = {0};
    double rot, d;
    for (int i = 0; i < TOLD; i++) LB_TRY(get(n, told[i].name, block, field(&r, i)));
    LB_TRY(get(n, "rot", block, &rot));
    LB_TRY(get(n, "head_dim", block, &d));
    if (rot != 0.0 && rot == d && fmod(d, 2.0) != 0.0)
        return lb_fail(LB_E_FORMAT, "%s: %s = %g: rotary positions need an even number", whose,
                       lb_number_called(n, "head_dim"), d);
    if (!(r.base > 0.0) || !isfinite(r.base))
        return lb_fail(LB_E_FORMAT, "%s: rope base = %g: must be positive", whose, r.base);
    if (r.kind != LB_REF_ROPE_DEFAULT && r.kind != LB_REF_ROPE_LONGROPE && !(r.factor > 0.0 && isfinite(r.factor)))
        return lb_fail(LB_E_FORMAT, "%s: %s rope factor = %g: must be positive", whose, lb_rope_kinds[(int)r.kind],
                       r.factor);
    if (r.kind == LB_REF_ROPE_DYNAMIC && rot != 0.0 && rot <= 2.0)
        return lb_fail(LB_E_FORMAT, "%s: dynamic rope of %g columns of a head: must be more than 2", whose, rot);
    if (r.kind == LB_REF_ROPE_YARN && fmod(rot, 2.0) != 0.0)
        return lb_fail(LB_E_FORMAT, "%s: yarn rope of %g columns of a head: must be an even number", whose, rot);
    if (r.kind == LB_REF_ROPE_LLAMA3) return check_llama3(&r, whose);
    return r.kind == LB_REF_ROPE_YARN || r.kind == LB_REF_ROPE_LONGROPE ? check_stretched(&r, whose) : LB_OK;
}

lb_status lb_rope_check(const lb_numbers *n, const char *whose) {
    const lb_number *kind = lb_number_find(n, "rope_kind");
    if (!kind) return LB_OK;
    for (int64_t b = 0; b < (kind->block ? n->blocks : 1); b++) LB_TRY(check_block(n, whose, b));
    return LB_OK;
}
