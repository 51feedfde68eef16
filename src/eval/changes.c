#include "eval/changes.h"

#include <string.h>

#include "model/weights.h"

lb_status lb_changes_new(lb_arena *a, const lb_net *n, const lb_weights *was, const lb_changes *before,
                         lb_changes **out) {
    lb_changes *c = LB_NEW(a, lb_changes, 1);
    if (!c) return LB_E_NOMEM;
    *c = (lb_changes){.net = n,
                      .before = before,
                      .was = was,
                      .arena = a,
                      .folded = LB_NEW(a, lb_transform, n->inputs + 1),
                      .kept = LB_NEW(a, lb_transform, n->inputs + 1),
                      .site = LB_NEW(a, lb_changed_site, n->sites)};
    if (!c->folded || !c->kept || !c->site) return LB_E_NOMEM;
    for (int32_t i = 0; i < n->sites; i++) c->site[i].was = &was->site[i];
    LB_TRY(lb_weights_clone(a, n, was, &c->w));
    *out = c;
    return LB_OK;
}

/* Rows of a changed matrix. */
static lb_status read_changed(const void *ctx, int64_t row, int64_t rows, float *out) {
    const lb_changed_site *s = ctx;
    lb_mat to = lb_mat_of(out, rows, s->was->W.cols);
    lb_cmat W;
    LB_TRY(lb_rows_get(s->was->W, &s->was->from, row, rows, out, &W));
    for (int64_t r = 0; W.d != out && r < rows; r++)
        memcpy(out + r * to.cols, W.d + r * W.ld, (size_t)to.cols * sizeof *out);
    for (int64_t r = 0; s->rows && r < rows; r++)
        for (int64_t i = 0; i < to.cols; i++) out[r * to.cols + i] *= s->rows[row + r];
    if (s->folded) lb_transform_weights(s->folded, to);
    if (s->kept) lb_transform_weights(s->kept, to);
    return LB_OK;
}

/* The site's matrix, and all whose weights it is, from the other model's through its changes. */
static void put(lb_changes *c, int32_t site) {
    const lb_site *s = &c->net->site[site];
    lb_linop op = c->w.site[site];
    op.W = (lb_cmat){NULL, s->rows, s->cols, s->cols};
    op.from = (lb_rows_source){read_changed, &c->site[site]};
    c->w.site[site] = op;
}

static lb_status fold_vector(lb_changes *c, const lb_fold *f, int32_t vector, const float *scale) {
    if (vector < 0) return LB_OK;
    float *to = LB_NEW_UNSET(c->arena, float, c->net->vector[vector].n);
    if (!to) return LB_E_NOMEM;
    lb_fold_vector(f, c->net, vector, scale, c->w.vector[vector], to);
    c->w.vector[vector] = to;
    return LB_OK;
}

static lb_status fold_rows(lb_changes *c, const lb_fold *f, const float *scale) {
    if (f->site < 0) return LB_OK;
    int64_t rows = c->net->site[f->site].rows;
    float *by = LB_NEW_UNSET(c->arena, float, rows), *so_far = (float *)(uintptr_t)c->site[f->site].rows;
    if (!by) return LB_E_NOMEM;
    lb_fold_rows(f, c->net, scale, by);
    for (int64_t r = 0; so_far && r < rows; r++) by[r] *= so_far[r];
    c->site[f->site].rows = by;
    put(c, f->site);
    return LB_OK;
}

static lb_status copy_scale(lb_arena *a, const float *before, const float *scale, int64_t n, const float **out) {
    float *to = LB_NEW_UNSET(a, float, n);
    if (!to) return LB_E_NOMEM;
    for (int64_t i = 0; i < n; i++) to[i] = before ? before[i] * scale[i] : scale[i];
    *out = to;
    return LB_OK;
}

lb_status lb_changes_fold(lb_changes *c, const lb_fold *f, const float *scale) {
    const float *mine;
    LB_TRY(copy_scale(c->arena, NULL, scale, f->cols, &mine));
    LB_TRY(fold_vector(c, f, f->weight, scale));
    LB_TRY(fold_vector(c, f, f->bias, scale));
    LB_TRY(fold_rows(c, f, scale));
    for (int32_t i = 0; i < f->inputs; i++) {
        const lb_net_input *in = &c->net->input[f->input[i]];
        c->folded[f->input[i]].scale = mine;
        for (int32_t r = 0; r < in->sites; r++) {
            int32_t site = c->net->reader[in->first + r];
            c->site[site].folded = &c->folded[f->input[i]];
            put(c, site);
        }
    }
    return LB_OK;
}

static lb_status copy_transform(lb_arena *a, const lb_transform *T, int64_t cols, lb_transform *out) {
    *out = *T;
    if (T->scale) LB_TRY(copy_scale(a, NULL, T->scale, cols, &out->scale));
    if (!T->sign) return LB_OK;
    uint8_t *sign = LB_NEW_UNSET(a, uint8_t, lb_transform_sign_bytes(cols));
    if (!sign) return LB_E_NOMEM;
    memcpy(sign, T->sign, (size_t)lb_transform_sign_bytes(cols));
    out->sign = sign;
    return LB_OK;
}

lb_status lb_changes_keep(lb_changes *c, int32_t input, const lb_transform *T, const bool *which) {
    const lb_net_input *in = &c->net->input[input];
    lb_transform *kept = &c->kept[input];
    LB_TRY(copy_transform(c->arena, T, in->cols, kept));
    for (int32_t r = 0; r < in->sites; r++) {
        int32_t site = c->net->reader[in->first + r];
        if (!which[site]) continue;
        const lb_transform *before = &c->was->site[site].T;
        lb_transform all = *kept;
        if (before->hadamard || before->sign)
            return lb_fail(LB_E_UNSUPPORTED, "the input of %s is rotated already: nothing can be kept behind that",
                           c->net->site[site].name);
        if (before->scale && !kept->scale) all.scale = before->scale;
        if (before->scale && kept->scale)
            LB_TRY(copy_scale(c->arena, before->scale, kept->scale, in->cols, &all.scale));
        c->site[site].kept = kept;
        put(c, site);
        c->w.site[site].T = all;
    }
    return LB_OK;
}

lb_status lb_changes_hessian(const lb_changes *c, int32_t input, lb_dmat H, lb_team *team) {
    if (c->before) LB_TRY(lb_changes_hessian(c->before, input, H, team));
    if (lb_transform_any(&c->folded[input])) LB_TRY(lb_transform_hessian(&c->folded[input], H, team));
    return lb_transform_any(&c->kept[input]) ? lb_transform_hessian(&c->kept[input], H, team) : LB_OK;
}

const lb_transform *lb_changes_transform(const lb_changes *c, int32_t site) { return &c->w.site[site].T; }

bool lb_changes_slot(const lb_changes *c, int32_t slot) {
    const lb_net_slot *s = &c->net->slot[slot];
    if (s->vector >= 0 && c->w.vector[s->vector] != c->was->vector[s->vector]) return true;
    if (s->site >= 0 && (c->site[s->site].rows || c->site[s->site].folded)) return true;
    return c->before && lb_changes_slot(c->before, slot);
}
