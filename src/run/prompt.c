/* The config's prompt: its tokens, and how a cell continues it. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

#include "eval/generate.h"
#include "run/cell.h"

lb_status lb_plan_prompt(lb_plan *p) {
    const char *text = p->config->prompt.text;
    lb_where w = lb_plan_where(p->config->root, "prompt");
    if (!text[0]) return LB_OK;
    LB_TRY(lb_model_need_tokenizer(p->model));
    LB_TRY(lb_prompt_tokens(p->model->tokenizer, LB_BOS_AUTO, text, strlen(text), p->arena, &p->prompt, &p->n_prompt));
    for (int64_t i = 0; i < p->n_prompt; i++)
        if (p->prompt[i] >= p->model->net->vocab)
            return lb_fail(LB_E_CONFIG, "%s: prompt: token %lld is %d: the model knows %lld", w.text, (long long)i,
                           (int)p->prompt[i], (long long)p->model->net->vocab);
    lb_status st = lb_generate_check(p->model->net, p->n_prompt);
    return st == LB_OK ? st : lb_fail_in(st, "%s: prompt", w.text);
}

/* Text that is valid UTF-8: a byte that begins no character is U+FFFD. */
static lb_status settled(const char *text, size_t n, lb_arena *a, const char **out) {
    lb_str s = {0};
    for (size_t i = 0; i < n;) {
        utf8proc_int32_t code;
        utf8proc_ssize_t len = utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(n - i), &code);
        lb_str_add_bytes(&s, len > 0 ? text + i : "\xef\xbf\xbd", len > 0 ? (size_t)len : 3);
        i += len > 0 ? (size_t)len : 1;
    }
    lb_status st = lb_str_check(&s);
    if (st == LB_OK && !(*out = lb_arena_strdup(a, s.s ? s.s : ""))) st = LB_E_NOMEM;
    lb_str_free(&s);
    return st;
}

static lb_status keep(const lb_plan *p, const lb_generation *g, lb_arena *a, lb_continuation *out) {
    static const char *const end[] = {[LB_END_MOST] = "tokens", [LB_END_EOS] = "eos", [LB_END_CONTEXT] = "context"};
    char *text = NULL;
    size_t n = 0;
    const lb_prompt_config *k = &p->config->prompt;
    bool drawn = k->temperature > 0;
    *out = (lb_continuation){.prompt = k->text,
                             .ended = end[g->end],
                             .tokens = g->n,
                             .token = LB_NEW(a, int64_t, g->n + 1),
                             .prefill = (double)p->n_prompt / g->prefill_s,
                             .decode = lb_tokens_a_second(g),
                             .temperature = drawn ? k->temperature : NAN,
                             .top_p = drawn ? k->top_p : NAN,
                             .seed = drawn ? k->seed : 0};
    if (!out->token) return LB_E_NOMEM;
    for (int64_t i = 0; i < g->n; i++) out->token[i] = g->token[i];
    LB_TRY(lb_text_behind(p->model->tokenizer, p->prompt, p->n_prompt, g->token, g->n, &text, &n));
    lb_status st = settled(text, n, a, &out->text);
    lb_free(text);
    return st;
}

lb_status lb_cell_continue(lb_runner *r, const lb_weights *w, lb_continuation *out) {
    const lb_plan *p = r->plan;
    const lb_prompt_config *k = &p->config->prompt;
    lb_generation g;
    lb_arena *scratch;
    const lb_generate_request request = {.prompt = p->prompt,
                                         .n_prompt = p->n_prompt,
                                         .most = k->tokens,
                                         .eos = lb_tokenizer_eos(p->model->tokenizer),
                                         .sampling = {k->temperature, k->top_p, (uint64_t)k->seed},
                                         .hold = p->config->weights == LB_WEIGHTS_RESIDENT};
    LB_TRY(lb_arena_new(0, &scratch));
    lb_status st = lb_generate(p->model->net, w, &request, p->team, scratch, &g);
    if (st == LB_OK) st = keep(p, &g, r->keep, out);
    lb_arena_free(scratch);
    return st == LB_OK || st == LB_E_INTERRUPTED ? st : lb_fail_in(st, "prompt");
}
