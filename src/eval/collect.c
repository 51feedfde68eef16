#include "eval/collect.h"

enum { STRIP = 256 }; /* columns: a row's part is a few lines of cache, and the sums stay in it */

int lb_collectors_count(void) {
    int n = 0;
    while (lb_collectors[n]) n++;
    return n;
}

int64_t lb_collector_bytes(const lb_collector *k, int64_t cols, int64_t tokens) {
    return k->count(cols, tokens) * (k->type == LB_SEALED_F32 ? (int64_t)sizeof(float) : (int64_t)sizeof(double));
}

lb_stats lb_collected_stats(const lb_collected *c) {
    lb_stats s = {.tokens = c->tokens, .sequences = c->sequences, .routed = c->routed};
    for (int k = 0; lb_collectors[k]; k++)
        if (c->numbers[k]) lb_collectors[k]->give(c->numbers[k], c->cols, c->tokens, &s);
    return s;
}

lb_status lb_stats_merge(lb_arena *a, uint32_t needs, int64_t cols, const lb_stats *next, lb_stats *sum) {
    for (int k = 0; lb_collectors[k]; k++)
        if (needs & lb_collectors[k]->need) LB_TRY(lb_collectors[k]->merge(a, cols, next, sum));
    sum->tokens += next->tokens;
    sum->sequences += next->sequences;
    sum->routed += next->routed;
    return LB_OK;
}

/* ---- inputs on their way ---- */

lb_status lb_collect_begin(lb_arena *a, lb_arena *lists, lb_collected *of, int n, int64_t most_tokens,
                           lb_collecting *out) {
    int kinds = lb_collectors_count();
    *out = (lb_collecting){.of = of, .n = n, .sum = LB_NEW(lists, void *, kinds *n + 1)};
    if (!out->sum) return LB_E_NOMEM;
    for (int i = 0; i < n; i++) {
        of[i].tokens = of[i].sequences = of[i].routed = 0;
        if (!(of[i].numbers = LB_NEW(a, void *, kinds))) return LB_E_NOMEM;
        for (int k = 0; k < kinds; k++)
            if (of[i].needs & lb_collectors[k]->need)
                LB_TRY(lb_collectors[k]->begin(a, of[i].cols, most_tokens, &out->sum[k * n + i]));
    }
    return LB_OK;
}

lb_status lb_collect_add(lb_collecting *c, const lb_batch *b, lb_team *team) {
    for (int k = 0; lb_collectors[k]; k++) LB_TRY(lb_collectors[k]->add(c->sum + k * c->n, b, c->n, team));
    for (int i = 0; i < c->n; i++) {
        if (!b[i].X.d) continue;
        c->of[i].tokens += b[i].X.rows;
        c->of[i].sequences += b[i].sequences;
    }
    return LB_OK;
}

lb_status lb_collect_finish(lb_collecting *c, lb_team *team) {
    for (int i = 0; i < c->n; i++) {
        c->of[i].routed = c->of[i].tokens;
        for (int k = 0; lb_collectors[k]; k++) {
            void *sum = c->sum[k * c->n + i];
            if (sum) LB_TRY(lb_collectors[k]->finish(sum, c->of[i].tokens, team, &c->of[i].numbers[k]));
        }
    }
    return LB_OK;
}

/* ---- column by column ---- */

typedef struct strips {
    void *const *sum;
    const lb_batch *b;
    int n;
    lb_collect_strip *fn;
} strips;

static int64_t strips_of(const strips *s, int i) {
    return s->sum[i] && s->b[i].X.d ? (s->b[i].X.cols - 1) / STRIP + 1 : 0;
}

static lb_status run_strip(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const strips *s = ctx;
    int i = 0;
    for (; piece >= strips_of(s, i); i++) piece -= strips_of(s, i);
    int64_t c0 = piece * STRIP, left = s->b[i].X.cols - c0;
    s->fn(s->sum[i], s->b[i].X, c0, left < STRIP ? left : STRIP);
    return LB_OK;
}

lb_status lb_collect_strips(void *const *sum, const lb_batch *b, int n, lb_collect_strip *fn, lb_team *team) {
    strips s = {sum, b, n, fn};
    int64_t pieces = 0;
    for (int i = 0; i < n; i++) pieces += strips_of(&s, i);
    return pieces ? lb_parallel_for(team, pieces, run_strip, &s) : LB_OK;
}

int64_t lb_collect_channels(int64_t cols, int64_t tokens) {
    (void)tokens;
    return cols;
}
