#include "support/perplexity_kit.h"

#include <math.h>
#include <stdio.h>

#include "support/llama.h"

int make_world(void **state) {
    world *w = lb_alloc(1, sizeof *w);
    lb_arch a = {.layers = 2, .dim = DIM, .hidden = 16, .heads = 2, .kv_heads = 1, .head_dim = 6, .vocab = VOCAB};
    assert_non_null(w);
    a.context = 64;
    w->m = llama_random(a, 1);
    w->other = llama_random(a, 2);
    w->tokens = llama_tokens(3, TOKENS, VOCAB);
    w->corpus = (lb_corpus){.path = "some.txt", .name = "some.txt", .token = w->tokens, .tokens = TOKENS, .bos_id = -1};
    assert_ok(lb_arena_new(0, &w->arena));
    snprintf(w->states, sizeof w->states, "%s/base.states", lb_test_tmpdir());
    *state = w;
    return 0;
}

int free_world(void **state) {
    world *w = *state;
    lb_model_close(w->m);
    lb_model_close(w->other);
    lb_free(w->tokens);
    lb_arena_free(w->arena);
    lb_free(w);
    return 0;
}

lb_eval_request request(const world *w, const char *protocol) {
    lb_eval_request r = {.corpus = &w->corpus};
    assert_ok(lb_protocol_parse(protocol, &r.protocol));
    return r;
}

lb_eval evaluate(world *w, const lb_model *m, const lb_eval_request *r, int threads) {
    lb_team *team;
    lb_eval e;
    assert_ok(lb_team_new(threads, &team));
    assert_ok(lb_perplexity(m->net, &m->weights, r, team, w->arena, NULL, &e));
    lb_team_free(team);
    return e;
}

void log_probs(const lb_model *m, const int32_t *tokens, int64_t n, double *out) {
    float h[N * DIM], logit[N * VOCAB];
    assert_ok(lb_forward_ref(m->net, &m->weights, tokens, n, lb_mat_of(h, n, DIM)));
    const lb_head head = lb_head_of(m->net, &m->weights);
    lb_head_logits(&head, lb_cmat_of(h, n, DIM), lb_mat_of(logit, n, VOCAB));
    for (int64_t t = 0; t < n; t++) {
        double sum = 0;
        for (int64_t v = 0; v < VOCAB; v++) sum += exp((double)logit[t * VOCAB + v]);
        for (int64_t v = 0; v < VOCAB; v++) out[t * VOCAB + v] = (double)logit[t * VOCAB + v] - log(sum);
    }
}

void close_to(double got, double want, double relative) {
    if (!(fabs(got - want) <= relative * fabs(want))) fail_msg("%.12g, expected %.12g", got, want);
}
