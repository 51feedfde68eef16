/* The numbers of rotary tables, each set once. */
#include <math.h>
#include <string.h>

#include "model/net_impl.h"

/* A number that a kind of table may need; 0 where the architecture has none. */
static lb_status optional(const lb_build *b, const char *name, double *out) {
    *out = 0.0;
    return lb_number_find(b->net->numbers, name) ? lb_number_get(b->net->numbers, name, b->block, out) : LB_OK;
}

static lb_status read_spec(const lb_build *b, const lb_net_step *s, lb_rope_spec *r) {
    const struct {
        const char *name;
        double *to;
    } number[] = {{"rope_factor", &r->factor},       {"rope_low", &r->low},   {"rope_high", &r->high},
                  {"rope_original", &r->original},   {"rope_fast", &r->fast}, {"rope_slow", &r->slow},
                  {"rope_magnitude", &r->magnitude}, {"context", &r->context}};
    double kind, untruncated;
    LB_TRY(optional(b, "rope_untruncated", &untruncated));
    r->untruncated = untruncated != 0.0;
    LB_TRY(lb_number_get(b->net->numbers, "rope_kind", b->block, &kind));
    LB_TRY(lb_number_get(b->net->numbers, "rope_base", b->block, &r->base));
    for (size_t i = 0; i < sizeof number / sizeof number[0]; i++) LB_TRY(optional(b, number[i].name, number[i].to));
    r->kind = (int)kind;
    r->dims = (int64_t)s->arg[0];
    r->pairs = s->arg[1] != 0.0;
    if (r->magnitude == 0.0) r->magnitude = 1.0;
    const lb_number *list[] = {lb_number_find(b->net->numbers, "rope_short"),
                               lb_number_find(b->net->numbers, "rope_long")};
    for (int i = 0; i < 2; i++) {
        if (!list[i]) continue;
        if (list[i]->listed != (r->dims + 1) / 2)
            return lb_fail(LB_E_FORMAT, "%s: must have a factor for each of %lld pairs", list[i]->name,
                           (long long)(r->dims + 1) / 2);
        *(i == 0 ? &r->short_factor : &r->long_factor) = list[i]->list;
    }
    return LB_OK;
}

static bool same(const lb_rope_spec *a, const lb_rope_spec *b) {
    return a->kind == b->kind && a->dims == b->dims && a->pairs == b->pairs && a->base == b->base &&
           a->factor == b->factor && a->low == b->low && a->high == b->high && a->original == b->original &&
           a->magnitude == b->magnitude && a->fast == b->fast && a->slow == b->slow &&
           a->untruncated == b->untruncated && a->context == b->context;
}

lb_status lb_build_rope(lb_build *b, const char *text, lb_net_step *s) {
    lb_rope_spec r = {0};
    lb_net *n = b->net;
    if (read_spec(b, s, &r) != LB_OK) return lb_fail_in(LB_E_FORMAT, "step '%s'", text);
    for (s->rope = 0; s->rope < n->ropes; s->rope++)
        if (same(&b->rope[s->rope], &r)) return LB_OK;
    lb_rope_spec *all = LB_NEW(b->arena, lb_rope_spec, n->ropes + 1);
    if (!all) return LB_E_NOMEM;
    if (n->ropes) memcpy(all, b->rope, (size_t)n->ropes * sizeof *all);
    b->rope = all;
    b->rope[n->ropes++] = r;
    return LB_OK;
}
