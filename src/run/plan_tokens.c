/* Whether there are tokens enough for H. Of n tokens H has at most rank n; of few tokens a column its small
 * eigenvalues, which its inverse is made of, are mostly noise, and the damping decides. Ten a column is a rule of
 * thumb. What works with the diagonal alone wants no rank, and has no damping. */
#include "run/plan.h"

enum { TOKENS_A_COLUMN = 10 };

int64_t lb_plan_enough(const lb_cell *c) {
    const lb_calibration_config *k = &c->calibration;
    return k->starved_experts == LB_STARVED_ALL_TOKENS ? k->expert_tokens : 0;
}

static int64_t tokens_of(const lb_cell *c) { return lb_sequences_tokens(&c->sequences); }

uint32_t lb_plan_token_flags(const lb_layer_plan *l, int64_t tokens) {
    if (!(l->needs & LB_FACTORS_HESSIAN) || !l->quantize || tokens / TOKENS_A_COLUMN >= l->cols) return 0;
    return tokens < l->cols ? LB_FLAG_RANK_DEFICIENT : LB_FLAG_FEW_TOKENS;
}

/* H of layers that are one has the tokens of all. */
static int64_t uses_of(const lb_cell *c, const lb_layer_plan *l) {
    int64_t uses = 1;
    for (; l->next >= 0; l = &c->layer[l->next]) uses++;
    return uses;
}

lb_status lb_plan_token_note(const lb_cell *c, lb_arena *a, const char **out) {
    const lb_layer_plan *widest = NULL;
    int64_t few = 0, deficient = 0, all = 0;
    *out = NULL;
    for (int64_t i = 0; i < c->layers; i++) {
        const lb_layer_plan *l = &c->layer[i];
        if (l->same_as >= 0) continue;
        uint32_t flags = lb_plan_token_flags(l, uses_of(c, l) * tokens_of(c));
        all += l->quantize;
        few += flags == LB_FLAG_FEW_TOKENS;
        deficient += flags == LB_FLAG_RANK_DEFICIENT;
        if (flags && (!widest || l->cols > widest->cols)) widest = l;
    }
    if (!widest) return LB_OK;
    lb_str how = {0};
    if (deficient) lb_str_add(&how, "rank-deficient in %lld of %lld layers", (long long)deficient, (long long)all);
    if (deficient && few) lb_str_add(&how, " and poorly determined in %lld", (long long)few);
    if (!deficient) lb_str_add(&how, "poorly determined in %lld of %lld layers", (long long)few, (long long)all);
    lb_status st = lb_str_check(&how);
    if (st == LB_OK) {
        *out = lb_arena_printf(a,
                               "%lld calibration tokens for the %lld columns of %s: H is %s, and damping does the rest "
                               "(ten tokens a column: %lld)",
                               (long long)tokens_of(c), (long long)widest->cols, widest->name, how.s,
                               (long long)(TOKENS_A_COLUMN * widest->cols));
        if (!*out) st = LB_E_NOMEM;
    }
    lb_str_free(&how);
    return st;
}
