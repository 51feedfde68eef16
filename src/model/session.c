#include "model/session.h"

#include <assert.h>

#include "model/exec_impl.h"
#include "model/steps/steps.h"
#include "model/weights.h"

struct lb_session {
    lb_arena *arena;
    const lb_net *net;
    lb_team *team;
    lb_exec *exec;
    lb_past past;
    lb_mat x;          /* (most, dim) */
    lb_weights loaded; /* the block at hand, where not all are in memory; site NULL: none was yet */
    float *buffer;     /* (floats) its matrices */
    int64_t floats;
};

static int64_t count_attends(const lb_net_part *p) {
    int64_t n = 0;
    for (int32_t i = 0; i < p->steps; i++) n += p->step[i].op == &lb_op_attend;
    return n;
}

static lb_status keep_heads(lb_session *s) {
    const lb_net *net = s->net;
    int64_t n = 0, most = s->past.most;
    for (int64_t b = 0; b < net->blocks; b++) n += count_attends(&net->block[b]);
    if (count_attends(&net->before) + count_attends(&net->after) > 0)
        return lb_fail(LB_E_UNSUPPORTED, "a model that attends outside its blocks: no session keeps those keys");
    if (!(s->past.heads = LB_NEW(s->arena, lb_past_heads, n + 1))) return LB_E_NOMEM;
    for (int64_t b = 0; b < net->blocks; b++)
        for (int32_t i = 0; i < net->block[b].steps; i++) {
            const lb_net_step *step = &net->block[b].step[i];
            if (step->op != &lb_op_attend) continue;
            lb_past_heads *kept = &s->past.heads[s->past.n++];
            *kept = (lb_past_heads){.step = step,
                                    .k = LB_NEW_UNSET(s->arena, float, most * step->kv_heads * step->head_dim),
                                    .v = LB_NEW_UNSET(s->arena, float, most * step->kv_heads * step->head_dim)};
            if (!kept->k || !kept->v) return LB_E_NOMEM;
        }
    return LB_OK;
}

lb_status lb_session_new(lb_arena *a, const lb_net *n, int64_t most_tokens, lb_team *team, lb_session **out) {
    assert(most_tokens > 0);
    if (n->context && most_tokens > n->context)
        return lb_fail(LB_E_CONFIG, "%lld tokens are more than the model's context of %lld", (long long)most_tokens,
                       (long long)n->context);
    lb_session *s = LB_NEW(a, lb_session, 1);
    if (!s) return LB_E_NOMEM;
    *s = (lb_session){.arena = a, .net = n, .team = team, .past.most = most_tokens};
    LB_TRY(lb_exec_new(a, n, most_tokens, team, &s->exec));
    LB_TRY(keep_heads(s));
    s->past.score = LB_NEW_UNSET(a, float, lb_team_threads(team) * most_tokens);
    s->x = lb_mat_of(LB_NEW_UNSET(a, float, most_tokens * n->dim), most_tokens, n->dim);
    if (!s->past.score || !s->x.d) return LB_E_NOMEM;
    s->exec->past = &s->past;
    *out = s;
    return LB_OK;
}

int64_t lb_session_reach(const lb_net *n, int64_t tokens) {
    int64_t reach = n->context ? n->context : INT64_MAX;
    for (int32_t i = 0; i < n->ropes; i++) {
        int64_t own = lb_rotary_reach(&n->rope[i], tokens);
        if (own < reach) reach = own;
    }
    return reach;
}

static lb_status check_feed(const lb_session *s, int64_t n) {
    int64_t had = s->past.tokens, has = had + n;
    if (n < 1 || has > s->past.most)
        return lb_fail(LB_E_ARG, "%lld tokens after %lld: there is room for %lld", (long long)n, (long long)had,
                       (long long)s->past.most);
    if (had > 0 && has > lb_session_reach(s->net, had))
        return lb_fail(LB_E_UNSUPPORTED,
                       "token %lld: beyond the context that this model was made for its rotary angles depend on "
                       "the length of the sequence, and all keys before would have to turn again",
                       (long long)(has - 1));
    return LB_OK;
}

/* The weights with this block in memory. */
static lb_status weights_of(lb_session *s, const lb_weights *w, int64_t block, const lb_weights **out) {
    int64_t floats = lb_block_floats(s->net, w, block);
    *out = w;
    if (floats == 0) return LB_OK;
    if (!s->loaded.site) LB_TRY(lb_weights_new(s->arena, s->net, &s->loaded));
    if (floats > s->floats) {
        s->floats = lb_weights_block_floats(s->net, w);
        if (!(s->buffer = LB_NEW_UNSET(s->arena, float, s->floats))) return LB_E_NOMEM;
    }
    *out = &s->loaded;
    return lb_block_load(s->net, w, block, s->buffer, s->team, &s->loaded);
}

lb_status lb_session_feed(lb_session *s, const lb_weights *w, const int32_t *token, int64_t n, lb_mat h) {
    LB_TRY(check_feed(s, n));
    assert(h.rows == n || h.rows == 1);
    lb_mat x = lb_mat_part(s->x, 0, 0, n, s->x.cols);
    LB_TRY(lb_exec_embed(s->exec, w, token, n, x));
    for (int64_t b = 0; b < s->net->blocks; b++) {
        const lb_weights *own;
        LB_TRY(lb_interrupt_check());
        LB_TRY(weights_of(s, w, b, &own));
        LB_TRY(lb_exec_block(s->exec, own, b, x, NULL));
    }
    LB_TRY(lb_exec_final(s->exec, w, lb_mat_part(x, n - h.rows, 0, h.rows, x.cols), h));
    s->past.tokens += n;
    return LB_OK;
}

int64_t lb_session_length(const lb_session *s) { return s->past.tokens; }

void lb_session_cut(lb_session *s, int64_t tokens) {
    assert(tokens >= 0 && tokens <= s->past.tokens);
    s->past.tokens = tokens;
}
