/* Whether a record that was read can be true: numbers in the ranges of what they count, nothing that must be measured
 * missing. Texts may hold anything that is text: whoever shows them escapes them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "result/figures.h"
#include "result/store.h"
#include "result/store_task.h"

enum { MAX_BLOCK = 4095, MAX_LAYERS = 7 * (MAX_BLOCK + 1) + 2 };
static const int64_t most = (int64_t)1 << 53; /* bytes, weights, tokens: exact as float64, and sums of them fit */

static lb_status check_int(const char *where, const char *name, int64_t v, int64_t low, int64_t high) {
    if (v >= low && v <= high) return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s: %s = %lld: must be in [%lld, %lld]", where, name, (long long)v, (long long)low,
                   (long long)high);
}

static lb_status check_size(const char *where, const lb_size *s) {
    const int64_t v[] = {s->weights, s->codes, s->scales, s->zeros,    s->codebook,  s->order,
                         s->padding, s->total, s->mask,   s->low_rank, s->transform, s->act};
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) LB_TRY(check_int(where, "a size", v[i], 0, most));
    return LB_OK;
}

/* A plain word: it names a column and a panel of plots. */
static bool is_type(const char *s) {
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return n > 0 && n <= 64 && !s[n];
}

/* A sum of squares, or not measured. */
static lb_status check_errors(const char *where, const lb_layer_error *e) {
    const double v[] = {e->weight_err, e->weight_energy, e->output_err, e->output_energy};
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++)
        if (isinf(v[i])) return lb_fail(LB_E_FORMAT, "%s: an error or energy of %g: must be finite", where, v[i]);
    return LB_OK;
}

/* Shares, or not known. */
static lb_status check_carried(const char *where, const lb_carried *c) {
    const double v[] = {c->participation, c->first_share, c->half_share};
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++)
        if (v[i] < 0 || v[i] > 1)
            return lb_fail(LB_E_FORMAT, "%s: a share of tokens of %g: must be in [0, 1]", where, v[i]);
    return LB_OK;
}

lb_status lb_store_check_layer(const lb_layer_row *l) {
    if (!is_type(l->type)) return lb_fail(LB_E_FORMAT, "%s: type '%s': must be a plain word", l->name, l->type);
    LB_TRY(check_int(l->name, "block", l->block, -1, MAX_BLOCK));
    LB_TRY(check_int(l->name, "rows", l->rows, 1, most));
    LB_TRY(check_int(l->name, "cols", l->cols, 1, most / l->rows));
    LB_TRY(check_int(l->name, "bits", l->bits, 0, 64));
    LB_TRY(check_int(l->name, "group", l->group, -1, most));
    LB_TRY(check_int(l->name, "tokens", l->tokens, 0, most));
    const lb_layer_error *each[] = {&l->own, &l->original, &l->rtn_own, &l->rtn_original};
    for (size_t k = 0; k < 4; k++) LB_TRY(check_errors(l->name, each[k]));
    const lb_equal_error *equal[] = {&l->equal_own, &l->equal_original, &l->rtn_equal_own, &l->rtn_equal_original};
    for (size_t k = 0; k < 4; k++)
        LB_TRY(check_errors(
            l->name, &(lb_layer_error){.output_err = equal[k]->output_err, .output_energy = equal[k]->output_energy}));
    LB_TRY(check_carried(l->name, &l->own_carried));
    LB_TRY(check_carried(l->name, &l->original_carried));
    return check_size(l->name, &l->size);
}

/* Layers that are one: the first of them is there, and the size is counted there. */
static lb_status check_shared(const lb_record *r, int64_t i) {
    const lb_layer_row *l = &r->layer[i], *first = r->layer;
    if (!lb_layer_is_shared(l)) return LB_OK;
    while (first < l && strcmp(first->name, l->same_as) != 0) first++;
    if (first == l || lb_layer_is_shared(first) || first->rows != l->rows || first->cols != l->cols)
        return lb_fail(LB_E_FORMAT, "%s: same_as '%s': must be a layer of that shape before it", l->name, l->same_as);
    if (l->size.weights == 0 && l->size.total == 0) return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s: %lld bytes, which are those of %s", l->name, (long long)l->size.total, l->same_as);
}

static lb_status check_eval(int64_t i, const lb_eval_row *e) {
    char where[32];
    snprintf(where, sizeof where, "/eval/%lld", (long long)i);
    LB_TRY(check_int(where, "windows_all", e->eval.windows_all, 1, most));
    LB_TRY(check_int(where, "windows", e->eval.windows, 1, e->eval.windows_all));
    LB_TRY(check_int(where, "scored", e->eval.scored, 1, most));
    LB_TRY(check_int(where, "text_tokens", e->text_tokens, 0, most));
    if (e->eval.protocol.rule == LB_RULE_HF && /* whose windows are weighed by what they score */
        e->eval.windows_all != lb_protocol_windows(&e->eval.protocol, e->text_tokens))
        return lb_fail(LB_E_FORMAT, "%s: %lld windows of %s in %lld tokens", where, (long long)e->eval.windows_all,
                       e->eval.protocol.id, (long long)e->text_tokens);
    bool none = e->eval.protocol.rule == LB_RULE_CHOICE; /* has no perplexity */
    if (!isfinite(e->eval.mean_nll) || (none ? !isnan(e->eval.ppl) : !isfinite(e->eval.ppl)) || isinf(e->eval.ppl_se) ||
        e->eval.ppl <= 0)
        return lb_fail(LB_E_FORMAT, "%s: perplexity %g +- %g: not a number that this program writes", where,
                       e->eval.ppl, e->eval.ppl_se);
    for (int64_t w = 0; w < e->eval.windows; w++)
        if (!isfinite(e->eval.window_nll[w]))
            return lb_fail(LB_E_FORMAT, "%s: window_nll[%lld] is %g", where, (long long)w, e->eval.window_nll[w]);
    return lb_task_check(where, e);
}

static lb_status check_accept(int64_t i, const lb_eval *e) {
    char where[32];
    snprintf(where, sizeof where, "/eval/%lld", (long long)i);
    LB_TRY(check_int(where, "speculative", e->speculative, 0, LB_SPECULATIVE_MOST));
    if (!e->speculative) return LB_OK;
    if (!(e->accept >= 0 && e->accept <= 1) || !(e->accept_tokens >= 1) ||
        !(e->accept_tokens <= (double)e->speculative + 1.0))
        return lb_fail(LB_E_FORMAT, "%s: accept = %g, accept_tokens = %g of %lld a round", where, e->accept,
                       e->accept_tokens, (long long)e->speculative);
    for (int64_t w = 0; w < e->windows; w++)
        if (!(e->window_accept[w] >= 0 && e->window_accept[w] <= 1))
            return lb_fail(LB_E_FORMAT, "%s: window_accept[%lld] is %g", where, (long long)w, e->window_accept[w]);
    return LB_OK;
}

static lb_status check_validation(const lb_curve *c) {
    for (int64_t i = 0; i < c->validations; i++) {
        LB_TRY(check_int("/training", "validation_step", c->validation_step[i], i ? c->validation_step[i - 1] + 1 : 0,
                         most));
        /* NaN: not measured */
        if (isinf(c->validation_loss[i]) || c->validation_loss[i] < 0)
            return lb_fail(LB_E_FORMAT, "/training: validation_loss[%lld] is %g", (long long)i, c->validation_loss[i]);
    }
    return LB_OK;
}

static lb_status check_continuation(const lb_continuation *c) {
    if (!c->prompt) return LB_OK;
    LB_TRY(check_int("/generation", "tokens", c->tokens, 0, most));
    for (int64_t i = 0; i < c->tokens; i++) LB_TRY(check_int("/generation", "token", c->token[i], 0, INT32_MAX));
    if (isinf(c->prefill) || isinf(c->decode) || c->prefill < 0 || c->decode < 0)
        return lb_fail(LB_E_FORMAT, "/host: %g and %g tokens a second: must be finite", c->prefill, c->decode);
    LB_TRY(check_int("/generation", "seed", c->seed, 0, most));
    bool drawn = c->temperature > 0 && isfinite(c->temperature) && c->top_p > 0 && c->top_p <= 1;
    if (!drawn && (!isnan(c->temperature) || !isnan(c->top_p) || c->seed))
        return lb_fail(LB_E_FORMAT, "/generation: temperature %g, top_p %g: nothing is drawn so", c->temperature,
                       c->top_p);
    return LB_OK;
}

bool lb_store_is_citation(const char *key) {
    size_t n = strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:.+/_-");
    return n > 0 && n <= 200 && !key[n];
}

lb_status lb_store_check(const lb_record *r) {
    if (!lb_hash_is_hex(r->key)) return lb_fail(LB_E_FORMAT, "key '%s': must be 64 hex digits", r->key);
    LB_TRY(check_int("/", "bits", r->bits, 0, 64));
    LB_TRY(check_int("/", "group", r->group, -1, most));
    LB_TRY(check_int("/host", "peak_bytes", r->peak_bytes, 0, INT64_MAX));
    LB_TRY(check_int("/layers", "layers", r->layers, 0, MAX_LAYERS));
    for (int64_t i = 0; i < r->layers; i++) LB_TRY(lb_store_check_layer(&r->layer[i]));
    for (int64_t i = 0; i < r->layers; i++) LB_TRY(check_shared(r, i));
    for (int64_t i = 0; i < r->evals; i++) LB_TRY(check_eval(i, &r->eval[i]));
    for (int64_t i = 0; i < r->evals; i++) LB_TRY(check_accept(i, &r->eval[i].eval));
    LB_TRY(check_validation(&r->curve));
    LB_TRY(check_continuation(&r->continuation));
    const lb_model_size *s = &r->size;
    const int64_t v[] = {s->other_as_stored, s->other_as_fp16, s->total_as_stored,
                         s->total_as_fp16,   s->original_fp16, s->original_as_stored};
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) LB_TRY(check_int("/size", "a size", v[i], 0, most));
    LB_TRY(check_size("/size", &s->quantized));
    for (int64_t i = 0; i < r->cites; i++)
        if (!lb_store_is_citation(r->cite[i])) return lb_fail(LB_E_FORMAT, "/cite: '%s' is no BibTeX key", r->cite[i]);
    return LB_OK;
}
