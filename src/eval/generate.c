#include "eval/generate.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "model/forward.h"
#include "model/session.h"
#include "model/weights.h"

typedef struct generating {
    const lb_net *net;
    lb_weights w;
    const lb_generate_request *r;
    lb_team *team;
    lb_session *session;
    lb_sampler *sampler;
    lb_head head;
    lb_mat h;      /* (1, cols of the head) */
    float *logits; /* (vocab) */
} generating;

static lb_status begin(generating *g, int64_t room, lb_arena *scratch) {
    int64_t cols = g->net->site[g->net->head].cols;
    LB_TRY(lb_session_new(scratch, g->net, room, g->team, &g->session));
    LB_TRY(lb_sampler_new(scratch, &g->r->sampling, g->net->vocab, &g->sampler));
    g->h = lb_mat_of(LB_NEW(scratch, float, cols), 1, cols);
    g->logits = LB_NEW(scratch, float, g->net->vocab);
    if (!g->h.d || !g->logits) return LB_E_NOMEM;
    if (g->r->hold) {
        lb_weights own = g->w;
        LB_TRY(lb_weights_hold(scratch, g->net, &own, g->team, &g->w));
    }
    g->head = lb_head_of(g->net, &g->w);
    return LB_OK;
}

/* What comes behind these tokens. */
static lb_status next(generating *g, const int32_t *token, int64_t n, int32_t *id) {
    LB_TRY(lb_session_feed(g->session, &g->w, token, n, g->h));
    LB_TRY(lb_head_row(&g->head, lb_mat_c(g->h), g->team, g->logits));
    lb_status st = lb_sampler_next(g->sampler, g->logits, id);
    return st == LB_OK ? st : lb_fail_in(st, "token %lld", (long long)lb_session_length(g->session));
}

static lb_status run(generating *g, int64_t most, lb_generation *out) {
    const lb_generate_request *r = g->r;
    double start = lb_clock_s();
    int32_t id;
    LB_TRY(next(g, r->prompt, r->n_prompt, &id));
    out->prefill_s = lb_clock_s() - start;
    for (;;) {
        if (id == r->eos) {
            out->end = LB_END_EOS;
            break;
        }
        out->token[out->n++] = id;
        if (r->token) r->token(r->user, id);
        if (out->n == most) break;
        LB_TRY(next(g, &out->token[out->n - 1], 1, &id));
    }
    out->decode_s = lb_clock_s() - start - out->prefill_s;
    return LB_OK;
}

lb_status lb_generate_check(const lb_net *n, int64_t n_prompt) {
    int64_t reach = lb_session_reach(n, n_prompt);
    if (n_prompt >= 1 && n_prompt < reach) return LB_OK;
    return lb_fail(LB_E_CONFIG, "%lld tokens: must be at least one, and leave room in the model's context of %lld",
                   (long long)n_prompt, (long long)reach);
}

lb_status lb_generate(const lb_net *n, const lb_weights *w, const lb_generate_request *r, lb_team *team, lb_arena *a,
                      lb_generation *out) {
    LB_TRY(lb_generate_check(n, r->n_prompt));
    int64_t left = lb_session_reach(n, r->n_prompt) - r->n_prompt, most = r->most < left ? r->most : left;
    assert(r->most > 0);
    *out = (lb_generation){.token = LB_NEW(a, int32_t, most), .end = most < r->most ? LB_END_CONTEXT : LB_END_MOST};
    if (!out->token) return LB_E_NOMEM;
    lb_arena *scratch;
    LB_TRY(lb_arena_new(0, &scratch));
    generating g = {.net = n, .w = *w, .r = r, .team = team};
    lb_status st = begin(&g, r->n_prompt + most - 1, scratch); /* the last one is not fed */
    if (st == LB_OK) st = run(&g, most, out);
    if (st != LB_OK) lb_error_frame(__FILE__, __LINE__, __func__);
    lb_arena_free(scratch);
    return st;
}

double lb_tokens_a_second(const lb_generation *g) {
    return g->n > 1 && g->decode_s > 0 ? (double)(g->n - 1) / g->decode_s : NAN;
}

/* ---- texts ---- */

lb_status lb_prompt_tokens(const lb_tokenizer *t, lb_bos bos, const char *text, size_t len, lb_arena *a, int32_t **out,
                           int64_t *n) {
    bool put = lb_bos_put(t, bos);
    int32_t *ids = NULL;
    if (put && lb_tokenizer_bos(t) < 0)
        return lb_fail(LB_E_UNSUPPORTED, "the model has no beginning-of-sequence token");
    LB_TRY(lb_tokenizer_encode(t, text, len, true, &ids, n));
    *out = LB_NEW(a, int32_t, *n + 1);
    if (*out && put) (*out)[0] = lb_tokenizer_bos(t);
    if (*out && *n) memcpy(*out + put, ids, (size_t)*n * sizeof *ids);
    lb_free(ids);
    *n += put;
    return *out ? LB_OK : LB_E_NOMEM;
}

lb_status lb_text_behind(const lb_tokenizer *t, const int32_t *prompt, int64_t n_prompt, const int32_t *token,
                         int64_t n, char **text, size_t *len) {
    char *before = NULL, *all = NULL;
    size_t n_before = 0, n_all = 0;
    int32_t *ids = lb_alloc((size_t)(n_prompt + n + 1), sizeof *ids);
    if (!ids) return LB_E_NOMEM;
    memcpy(ids, prompt, (size_t)n_prompt * sizeof *ids);
    if (n) memcpy(ids + n_prompt, token, (size_t)n * sizeof *ids);
    lb_status st = lb_tokenizer_decode(t, ids, n_prompt, &before, &n_before);
    if (st == LB_OK) st = lb_tokenizer_decode(t, ids, n_prompt + n, &all, &n_all);
    /* Spaces belong to what they stand between, so the tokens alone may lose one at their head. */
    if (st == LB_OK && n_all >= n_before && memcmp(all, before, n_before) == 0) {
        *len = n_all - n_before;
        memmove(all, all + n_before, *len + 1);
        *text = all;
        all = NULL;
    } else if (st == LB_OK) {
        st = lb_tokenizer_decode(t, token, n, text, len);
    }
    for (size_t i = 0; st == LB_OK && i < *len; i++)
        if (!(*text)[i]) (*text)[i] = '?';
    lb_free(all);
    lb_free(before);
    lb_free(ids);
    return st;
}
