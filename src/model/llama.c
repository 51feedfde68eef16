#include "model/llama.h"

#include <string.h>

#include "model/steps/reference.h"

static const char *const role[LB_LINEARS] = {"q", "k", "v", "o", "gate", "up", "down"};

static lb_status number(const lb_net *n, const char *name, double *out) {
    return lb_number_get(n->numbers, name, -1, out);
}

static lb_status whole(const lb_net *n, const char *name, int64_t *out) {
    double v;
    LB_TRY(number(n, name, &v));
    *out = (int64_t)v;
    return LB_OK;
}

static lb_status read_numbers(const lb_net *n, lb_arch *a) {
    double pairs, kind;
    a->layers = n->blocks;
    a->dim = n->dim;
    a->vocab = n->vocab;
    a->context = n->context;
    a->tied = n->site[n->head].same_as >= 0;
    LB_TRY(whole(n, "heads", &a->heads));
    LB_TRY(whole(n, "kv_heads", &a->kv_heads));
    LB_TRY(whole(n, "head_dim", &a->head_dim));
    LB_TRY(number(n, "eps", &a->norm_eps));
    LB_TRY(number(n, "pairs", &pairs));
    LB_TRY(number(n, "rope_kind", &kind));
    LB_TRY(number(n, "rope_base", &a->rope_base));
    LB_TRY(number(n, "rope_factor", &a->scaling.factor));
    LB_TRY(number(n, "rope_low", &a->scaling.low));
    LB_TRY(number(n, "rope_high", &a->scaling.high));
    LB_TRY(whole(n, "rope_original", &a->scaling.original));
    a->rope = pairs != 0.0 ? LB_ROPE_PAIRS : LB_ROPE_HALVES;
    a->scaling.type = kind == LB_REF_ROPE_LLAMA3   ? LB_ROPE_LLAMA3
                      : kind == LB_REF_ROPE_LINEAR ? LB_ROPE_LINEAR
                                                   : LB_ROPE_DEFAULT;
    return LB_OK;
}

static lb_status find_block(const lb_net *n, int64_t block, lb_llama_block *out) {
    for (int l = 0; l < LB_LINEARS; l++) {
        out->site[l] = lb_net_site(n, block, role[l]);
        if (out->site[l] < 0) return lb_fail(LB_E_UNSUPPORTED, "block %lld has no layer %s", (long long)block, role[l]);
        out->input[lb_linear_input((lb_linear)l)] = n->site[out->site[l]].input;
    }
    out->attn_norm = lb_net_vector(n, block, -1, "attn_norm", false);
    out->mlp_norm = lb_net_vector(n, block, -1, "mlp_norm", false);
    if (out->attn_norm < 0 || out->mlp_norm < 0)
        return lb_fail(LB_E_UNSUPPORTED, "block %lld has not the norms attn_norm and mlp_norm", (long long)block);
    return LB_OK;
}

/* The same steps as Llama's own program: what has its layers may still compute something else. */
static lb_status check_program(lb_arena *a, const lb_net *n) {
    const lb_steps *part[] = {&n->program->before, &n->program->block, &n->program->after};
    lb_program own;
    LB_TRY(lb_program_parse(a, "llama", &lb_family_named("llama")->program, &own));
    const lb_steps *want[] = {&own.before, &own.block, &own.after};
    for (int i = 0; i < 3; i++) {
        bool same = part[i]->n == want[i]->n;
        for (int64_t k = 0; same && k < want[i]->n; k++) same = strcmp(part[i]->at[k].text, want[i]->at[k].text) == 0;
        if (!same) return lb_fail(LB_E_UNSUPPORTED, "only Llama's program can be run yet");
    }
    return LB_OK;
}

lb_status lb_llama_of(lb_arena *a, const lb_net *n, lb_llama *out) {
    lb_llama_block *block = LB_NEW(a, lb_llama_block, n->blocks + 1);
    if (!block) return LB_E_NOMEM;
    *out = (lb_llama){.net = n, .block = block, .final_norm = lb_net_vector(n, -1, -1, "final_norm", false)};
    if (out->final_norm < 0) return lb_fail(LB_E_UNSUPPORTED, "the model has no norm final_norm");
    LB_TRY(check_program(a, n));
    LB_TRY(read_numbers(n, &out->arch));
    for (int64_t b = 0; b < n->blocks; b++) LB_TRY(find_block(n, b, &block[b]));
    out->arch.hidden = n->site[block[0].site[LB_GATE]].rows;
    return LB_OK;
}

lb_status lb_llama_embed(const lb_net *net, const lb_weights *w, const int32_t *tokens, int64_t n, lb_mat x) {
    const lb_linop *table = &w->site[net->embed];
    for (int64_t i = 0; i < n; i++) {
        if (tokens[i] < 0 || tokens[i] >= net->vocab)
            return lb_fail(LB_E_ARG, "token %lld is %d: must be in [0, %lld)", (long long)i, (int)tokens[i],
                           (long long)net->vocab);
        if (table->W.d)
            memcpy(x.d + i * x.ld, table->W.d + tokens[i] * table->W.ld, (size_t)net->dim * sizeof(float));
        else
            LB_TRY(table->from.read(table->from.ctx, tokens[i], 1, x.d + i * x.ld));
    }
    return LB_OK;
}

lb_block lb_llama_weights(const lb_llama *m, const lb_weights *w, int64_t block) {
    const lb_llama_block *at = &m->block[block];
    lb_block b = {.attn_norm = w->vector[at->attn_norm], .mlp_norm = w->vector[at->mlp_norm]};
    for (int l = 0; l < LB_LINEARS; l++) {
        const lb_linop *op = &w->site[at->site[l]];
        b.w[l] = op->W;
        b.half[l] = op->half;
        b.act[l] = op->act;
    }
    return b;
}
