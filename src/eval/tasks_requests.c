#include "eval/tasks_requests.h"

#include <string.h>

typedef struct ids {
    int32_t *at;
    int64_t n;
} ids;

static lb_status encode(const lb_task_encoder *e, const char *s, size_t n, bool bos, ids *out) {
    *out = (ids){0};
    LB_TRY(lb_tokenizer_encode(e->tokenizer, s, n, false, &out->at, &out->n));
    if (!bos) return LB_OK;
    int32_t *more = lb_realloc(out->at, (size_t)out->n, (size_t)out->n + 1, sizeof *more);
    if (!more) return LB_E_NOMEM;
    memmove(more + 1, more, (size_t)out->n * sizeof *more);
    more[0] = lb_tokenizer_bos(e->tokenizer);
    *out = (ids){more, out->n + 1};
    return LB_OK;
}

/* Context, then continuation, as one list; *context: how many tokens of it are the context's. */
static lb_status put_together(const lb_task_encoder *e, const char *text, size_t context, bool apart, ids *all,
                              int64_t *context_tokens) {
    ids before = {0}, rest = {0};
    lb_status st = encode(e, text, context, e->bos, &before);
    if (st == LB_OK)
        st = apart ? encode(e, text + context, strlen(text + context), false, &rest)
                   : encode(e, text, strlen(text), e->bos, all);
    *context_tokens = before.n;
    if (st == LB_OK && apart) {
        all->n = before.n + rest.n;
        all->at = lb_alloc((size_t)all->n + 1, sizeof *all->at);
        if (all->at && before.n) memcpy(all->at, before.at, (size_t)before.n * sizeof *all->at);
        if (all->at && rest.n) memcpy(all->at + before.n, rest.at, (size_t)rest.n * sizeof *all->at);
        if (!all->at) st = LB_E_NOMEM;
    }
    lb_free(before.at);
    lb_free(rest.at);
    return st;
}

/* Where the context has no token: BOS, else EOS, unless the continuation begins with it. */
static lb_status with_prefix(const lb_task_encoder *e, const char *where, ids *all, int64_t *context_tokens) {
    int32_t prefix = lb_tokenizer_bos(e->tokenizer);
    if (prefix < 0) prefix = lb_tokenizer_eos(e->tokenizer);
    if (prefix < 0)
        return lb_fail(LB_E_UNSUPPORTED, "%s: an empty context, and the tokenizer has neither BOS nor EOS", where);
    *context_tokens = 1;
    if (all->n && all->at[0] == prefix) return LB_OK;
    int32_t *more = lb_realloc(all->at, (size_t)all->n, (size_t)all->n + 1, sizeof *more);
    if (!more) return LB_E_NOMEM;
    memmove(more + 1, more, (size_t)all->n * sizeof *more);
    more[0] = prefix;
    *all = (ids){more, all->n + 1};
    return LB_OK;
}

static lb_status make_pair(const lb_task_encoder *e, lb_arena *a, const char *where, const ids *all,
                           int64_t context_tokens, lb_task_pair *out) {
    int64_t scored = all->n - context_tokens, most = e->context ? e->context + 1 : all->n, drop = 0;
    if (scored < 1) return lb_fail(LB_E_FORMAT, "%s: no token of it would be scored", where);
    if (e->context && scored > e->context)
        return lb_fail(LB_E_FORMAT, "%s: %lld tokens are to be scored: the model's context is %lld", where,
                       (long long)scored, (long long)e->context);
    if (all->n > most) drop = all->n - most;
    *out = (lb_task_pair){.n = all->n - drop - 1, .before = drop};
    out->from = out->n - scored;
    out->token = LB_NEW(a, int32_t, out->n + 1);
    if (!out->token) return LB_E_NOMEM;
    memcpy(out->token, all->at + drop, (size_t)(out->n + 1) * sizeof *out->token);
    for (int64_t i = 0; i <= out->n; i++)
        if (out->token[i] >= e->vocab)
            return lb_fail(LB_E_UNSUPPORTED, "%s: token %d: the model's embedding has %lld rows", where, out->token[i],
                           (long long)e->vocab);
    return LB_OK;
}

lb_status lb_task_encode(const lb_task_encoder *e, lb_arena *a, const char *where, const lb_task_choice *choice,
                         bool apart, lb_task_pair *out) {
    size_t context = strlen(choice->context);
    char *text = lb_arena_printf(a, "%s%s", choice->context, choice->continuation);
    ids all = {0};
    int64_t context_tokens;
    if (!text) return LB_E_NOMEM;
    if (!apart) context -= lb_task_space_after(text, context);
    lb_task_encoder plain = *e;
    if (context == 0) plain.bos = false;
    lb_status st = put_together(&plain, text, context, apart, &all, &context_tokens);
    if (st == LB_OK && context_tokens == 0) st = with_prefix(e, where, &all, &context_tokens);
    if (st == LB_OK) st = make_pair(e, a, where, &all, context_tokens, out);
    lb_free(all.at);
    return st;
}
