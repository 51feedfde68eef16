#include "support/parity.h"

#include <stdio.h>
#include <string.h>

#include "eval/calibrate.h"
#include "model/backward.h"
#include "model/forward.h"
#include "model/weights.h"

void parity_tokens(int32_t *token, int64_t T, int64_t vocab) {
    for (int64_t t = 0; t < T; t++) token[t] = (int32_t)((7 * t * t + 3 * t + 11) % vocab);
}

lb_status parity_logits(lb_arena *a, const lb_model *m, const int32_t *token, int64_t T, lb_mat *logits) {
    const lb_net *n = m->net;
    const lb_head head = lb_head_of(n, &m->weights);
    int64_t cols = n->site[n->head].cols, vocab = n->site[n->head].rows;
    lb_exec *e;
    lb_mat x = lb_mat_of(LB_NEW(a, float, T * n->dim), T, n->dim), h = lb_mat_of(LB_NEW(a, float, T *cols), T, cols);
    *logits = lb_mat_of(LB_NEW(a, float, T *vocab), T, vocab);
    if (!x.d || !h.d || !logits->d) return LB_E_NOMEM;
    LB_TRY(lb_exec_new(a, n, T, NULL, &e));
    LB_TRY(lb_exec_embed(e, &m->weights, token, T, x));
    for (int64_t b = 0; b < n->blocks; b++) LB_TRY(lb_exec_block(e, &m->weights, b, x, NULL));
    LB_TRY(lb_exec_final(e, &m->weights, x, h));
    lb_head_logits(&head, lb_mat_c(h), *logits);
    return LB_OK;
}

/* ---- gradients ---- */

static lb_status gradients(lb_arena *a, const lb_model *m, const int32_t *token, int64_t T, parity *out) {
    const lb_net *n = m->net;
    lb_grads g;
    lb_backward *b;
    LB_TRY(lb_grads_new(a, n, &g));
    LB_TRY(lb_weights_clone(a, n, &m->weights, &out->grads));
    for (int32_t k = 0; k < n->slots; k++) {
        int64_t rows, cols;
        lb_slot_shape(n, k, &rows, &cols);
        float *d = LB_NEW(a, float, rows *cols);
        if (!d) return LB_E_NOMEM;
        if (n->slot[k].site >= 0)
            g.site[n->slot[k].site] = lb_mat_of(d, rows, cols);
        else
            g.vector[n->slot[k].vector] = d;
        lb_slot_set(n, &out->grads, k, d);
    }
    LB_TRY(lb_backward_new(a, n, 1, T, &b));
    return lb_loss_gradients(b, &m->weights, NULL, 0.0, token, NULL, &g, &out->loss, NULL, NULL);
}

/* ---- what sites read ---- */

static lb_status add_inputs(lb_arena *a, const lb_net *n, int32_t first, int32_t count, const lb_collected *got,
                            lb_stats *inputs) {
    for (int32_t i = 0; i < count; i++) {
        const lb_net_input *in = &n->input[first + i];
        const lb_stats next = lb_collected_stats(&got[i]);
        for (int32_t r = 0; r < in->sites; r++) {
            int32_t site = lb_net_owner(n, n->reader[in->first + r]);
            LB_TRY(lb_stats_merge(a, LB_NEEDS_HESSIAN, in->cols, &next, &inputs[site]));
        }
    }
    return LB_OK;
}

static lb_status hessians(lb_arena *a, const lb_model *m, const int32_t *token, int64_t T, lb_team *team,
                          lb_stats *inputs) {
    const lb_net *n = m->net;
    const lb_weights *w = &m->weights;
    lb_stream *s;
    LB_TRY(lb_stream_new(a, n, w, &(lb_sequences){token, 1, T, NULL}, team, &s));
    for (int64_t b = 0; b < n->blocks; b++) {
        int32_t first, count = lb_net_inputs(n, b, &first);
        lb_wanted *want = LB_NEW(a, lb_wanted, count + 1);
        lb_collected *got = LB_NEW(a, lb_collected, count + 1);
        if (!want || !got) return LB_E_NOMEM;
        for (int32_t i = 0; i < count; i++) want[i] = (lb_wanted){.input = first + i, .needs = LB_NEEDS_HESSIAN};
        LB_TRY(lb_stream_collect_advance(s, w, want, count, a, got));
        LB_TRY(add_inputs(a, n, first, count, got, inputs));
    }
    for (int32_t i = 0; i < n->inputs; i++) {
        lb_collected got;
        if (n->input[i].block >= 0) continue;
        LB_TRY(lb_stream_collect_outside(s, w, &(lb_wanted){.input = i, .needs = LB_NEEDS_HESSIAN}, a, &got));
        LB_TRY(add_inputs(a, n, i, 1, &got, inputs));
    }
    return LB_OK;
}

lb_status parity_run(lb_arena *a, const lb_model *m, const int32_t *token, int64_t T, parity *out) {
    lb_team *team;
    *out = (parity){.inputs = LB_NEW(a, lb_stats, m->net->sites)};
    if (!out->inputs) return LB_E_NOMEM;
    LB_TRY(parity_logits(a, m, token, T, &out->logits));
    LB_TRY(gradients(a, m, token, T, out));
    LB_TRY(lb_team_new(1, &team));
    lb_status st = hessians(a, m, token, T, team, out->inputs);
    lb_team_free(team);
    return st;
}

/* ---- names ---- */

static const char *file_name(const lb_model *m, int32_t site) {
    for (int32_t k = 0; k < m->net->slots; k++)
        if (m->net->slot[k].site == site) return m->tensor[k].source_name;
    return "";
}

void parity_key(const lb_model *m, int32_t site, char out[256]) {
    const lb_net *n = m->net;
    site = lb_net_owner(n, site);
    const lb_site *s = &n->site[site];
    const char *name = file_name(m, site);
    bool stacked = false;
    for (int32_t i = 0; i < n->sites && s->expert >= 0; i++)
        stacked |= i != site && n->site[i].block == s->block && n->site[i].expert != s->expert &&
                   strcmp(n->site[i].role, s->role) == 0 && strcmp(file_name(m, i), name) == 0;
    if (stacked)
        snprintf(out, 256, "%s[%d]", name, (int)s->expert);
    else
        snprintf(out, 256, "%s", name);
}
