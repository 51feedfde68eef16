/* One layer, measured; what layer-scope and model-scope cells share. */
#include "run/quantize.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "eval/install.h"
#include "eval/layer_error.h"
#include "model/weights.h"
#include "quant/grid.h"

/* Layers of blocks stay as they are stored and become float32 block by block, which costs next to nothing; head and
 * embedding, which are read piece by piece, only where weights are streamed, or inputs are transformed; what else is
 * outside the blocks never. */
static bool stays_packed(const lb_quantize_job *j, int64_t layer) {
    const lb_layer_plan *l = &j->cell->layer[layer];
    if (lb_net_between(j->plan->model->net, l->site)) return false;
    return l->block >= 0 || j->plan->config->weights == LB_WEIGHTS_STREAM || lb_storage_transforms(&l->storage);
}

lb_status lb_quantize_original(const lb_quantize_job *j, int64_t layer, lb_arena *a, lb_cmat *W) {
    return lb_matrix_get(&j->base->site[j->cell->layer[layer].site], a, j->plan->team, W);
}

lb_arena *lb_quantize_place(const lb_quantize_job *j, int64_t layer, lb_arena *scratch) {
    return stays_packed(j, layer) ? scratch : j->arena;
}

lb_cmat lb_quantize_now(const lb_quantize_job *j, int64_t layer) { return j->w.site[j->cell->layer[layer].site].W; }

lb_status lb_quantize_install(lb_quantize_job *j, int64_t layer, lb_cmat What, const lb_stored *s) {
    const lb_layer_plan *l = &j->cell->layer[layer];
    const lb_net *net = j->plan->model->net;
    if (j->bundle) LB_TRY(lb_quantize_keep(j, layer, s));
    if (stays_packed(j, layer))
        LB_TRY(lb_install_packed(j->arena, net, &j->w, l->site, &l->storage, s->bytes, l->size.total));
    else
        lb_install_matrix(net, &j->w, l->site, What);
    for (int64_t user = l->next; user >= 0; user = j->cell->layer[user].next)
        lb_weights_put(net, &j->w, j->cell->layer[user].site, j->w.site[l->site]);
    return LB_OK;
}

uint64_t lb_quantize_seed(const lb_cell *c, int64_t layer) {
    lb_rng r = lb_rng_make((uint64_t)c->own.seed, (uint64_t)layer);
    return lb_rng_u64(&r);
}

lb_status lb_quantize_original_stats(const lb_quantize_job *j, int64_t layer, uint32_t needs, lb_arena *a,
                                     lb_stats *out) {
    int32_t input = j->plan->model->net->site[j->cell->layer[layer].site].input;
    *out = (lb_stats){0};
    if (!j->stats || input < 0) return LB_OK; /* a table of embeddings reads none */
    LB_TRY(lb_stats_file_get(j->stats, input, needs, a, out));
    const lb_cdmat each[] = {out->H, out->H_equal, out->H_clip, out->H_attention};
    for (size_t i = 0; i < sizeof each / sizeof each[0] && j->changes; i++) {
        lb_dmat H = {(double *)(uintptr_t)each[i].d, each[i].rows, each[i].cols, each[i].ld}; /* read for this caller */
        if (H.d) LB_TRY(lb_changes_hessian(j->changes, input, H, j->plan->team));
    }
    return LB_OK;
}

static lb_layer_error no_output(lb_layer_error e) {
    e.output_err = e.output_energy = NAN;
    return e;
}

/* Round-to-nearest onto the same storage: the yardstick. */
static lb_status round_to_nearest(const lb_quantize_job *j, const lb_storage *storage, lb_cmat W, lb_arena *scratch,
                                  lb_cmat *out) {
    lb_layer rtn = {0};
    LB_TRY(lb_round_to_nearest_team(scratch, storage, false, W, j->plan->team, &rtn));
    float *d = LB_NEW_UNSET(scratch, float, W.rows *W.cols);
    if (!d) return LB_E_NOMEM;
    lb_mat R = lb_mat_of(d, W.rows, W.cols);
    LB_TRY(lb_layer_dequantize_team(&rtn, R, j->plan->team));
    *out = lb_mat_c(R);
    return LB_OK;
}

/* Where what is known of a layer under H of the original model alone is kept for the cells to come; NULL: nowhere. */
static lb_shared_errors *shared_of(const lb_quantize_job *j, int64_t layer) {
    const lb_layer_plan *l = &j->cell->layer[layer];
    return j->shared && !j->changes && l->block >= 0 ? &j->shared[l->site] : NULL;
}

/* By storage without an order. */
static const lb_yardstick *find_yardstick(const lb_shared_errors *known, const lb_storage *s) {
    const lb_yardstick *y = known ? known->rtn : NULL;
    while (y && !lb_storage_same(&y->storage, s)) y = y->next;
    return y;
}

static lb_status keep_errors(lb_quantize_job *j, lb_shared_errors *known, const lb_storage *s,
                             const lb_layer_error *what, const lb_layer_error *rtn) {
    if (!known) return LB_OK;
    known->energy = *what;
    if (find_yardstick(known, s)) return LB_OK;
    lb_yardstick *y = LB_NEW(j->keep, lb_yardstick, 1);
    if (!y) return LB_E_NOMEM;
    *y = (lb_yardstick){*s, *rtn, known->rtn};
    known->rtn = y;
    return LB_OK;
}

/* The H's that there are, each once, and where each stands among them; -1: there is none. */
enum { ORIGINAL, OWN, EQUAL_ORIGINAL, EQUAL_OWN };
static int hessians_of(const lb_quantize_job *j, const lb_yardsticks *by, lb_cdmat H[LB_ERROR_HESSIANS], int at[4]) {
    const bool equal = j->cell->calibration.equal_errors;
    const lb_cdmat none = {0}, each[4] = {by->original.H, by->own.H, equal ? by->original.H_equal : none,
                                          equal ? by->own.H_equal : none};
    int n = 0;
    for (int i = 0; i < 4; i++) {
        at[i] = -1;
        for (int k = 0; k < i && each[i].d; k++)
            if (each[k].d == each[i].d) at[i] = at[k];
        if (at[i] >= 0 || !each[i].d) continue;
        H[n] = each[i];
        at[i] = n++;
    }
    return n;
}

static lb_layer_error error_at(const lb_layer_error *e, int at) { return at >= 0 ? e[at] : no_output(e[0]); }

static lb_equal_error equal_at(const lb_layer_error *e, int at) {
    return at >= 0 ? (lb_equal_error){e[at].output_err, e[at].output_energy} : lb_equal_unknown;
}

/* Errors of What, and of round-to-nearest, under each H that there is. */
static lb_status errors_of(lb_quantize_job *j, int64_t layer, lb_cmat W, lb_cmat What, const lb_yardsticks *by,
                           lb_arena *scratch) {
    lb_layer_row *row = &j->row[layer];
    /* An order of columns, a mask, a pair are the method's own idea. */
    lb_storage storage = lb_storage_base(&j->cell->layer[layer].storage);
    bool rounds = !lb_storage_dense(&storage); /* floats: there is nothing to compare with */
    lb_cmat form[LB_ERROR_FORMS] = {What};
    lb_cdmat H[LB_ERROR_HESSIANS];
    lb_layer_error e[LB_ERROR_FORMS * LB_ERROR_HESSIANS];
    int forms = 1, at[4], n = hessians_of(j, by, H, at);
    lb_shared_errors *known = at[ORIGINAL] >= 0 && n == 1 ? shared_of(j, layer) : NULL;
    const lb_yardstick *measured = find_yardstick(known, &storage);
    if (!measured && rounds) LB_TRY(round_to_nearest(j, &storage, W, scratch, &form[forms++]));
    /* A method that rounds to nearest is its own yardstick. */
    if (forms == 2 && memcmp(What.d, form[1].d, (size_t)(W.rows * W.cols) * sizeof *What.d) == 0) forms = 1;
    LB_TRY(lb_layer_errors(W, form, forms, H, n, known && known->energy.rows ? &known->energy : NULL, j->plan->team,
                           scratch, e));
    const lb_layer_error none = {.rows = W.rows, .cols = W.cols}, nothing[LB_ERROR_HESSIANS] = {none, none, none, none};
    const lb_layer_error *rtn = !rounds ? nothing : measured ? &measured->error : forms == 1 ? e : e + (n ? n : 1);
    LB_TRY(keep_errors(j, known, &storage, e, rtn));
    row->own = error_at(e, at[OWN]);
    row->original = error_at(e, at[ORIGINAL]);
    row->rtn_own = error_at(rtn, at[OWN]);
    row->rtn_original = error_at(rtn, at[ORIGINAL]);
    row->equal_own = equal_at(e, at[EQUAL_OWN]);
    row->equal_original = equal_at(e, at[EQUAL_ORIGINAL]);
    row->rtn_equal_own = equal_at(rtn, at[EQUAL_OWN]);
    row->rtn_equal_original = equal_at(rtn, at[EQUAL_ORIGINAL]);
    return LB_OK;
}

/* Whose layer it is; "": its own. */
static const char *same_as_of(const lb_cell *c, const lb_layer_plan *l) {
    return l->same_as < 0 ? "" : c->layer[l->same_as].name;
}

static lb_carried carried(const lb_stats *s) {
    return s->H.d ? (lb_carried){s->participation, s->first_share, s->half_share} : lb_carried_unknown;
}

static lb_status start_row(lb_quantize_job *j, int64_t layer, const lb_yardsticks *by) {
    const lb_layer_plan *l = &j->cell->layer[layer];
    const lb_storage *s = &l->storage;
    lb_layer_row *row = &j->row[layer];
    double seconds = row->seconds;
    *row = (lb_layer_row){.block = l->block,
                          .type = l->type,
                          .rows = l->rows,
                          .cols = l->cols,
                          .bits = s->bits,
                          .group = s->group,
                          .size = l->size,
                          .own_carried = carried(&by->own),
                          .original_carried = carried(&by->original),
                          .seconds = seconds};
    snprintf(row->name, sizeof row->name, "%s", l->name);
    row->same_as = same_as_of(j->cell, l);
    lb_str text = {0};
    lb_storage_text(s, &text);
    lb_status st = lb_str_check(&text);
    if (st == LB_OK && !(row->storage = lb_arena_strdup(j->keep, text.s))) st = LB_E_NOMEM;
    lb_str_free(&text);
    return st;
}

lb_yardsticks lb_quantize_yardsticks(const lb_quantize_job *j, int64_t layer, const lb_stats *own,
                                     const lb_stats *original) {
    const lb_layer_plan *l = &j->cell->layer[layer];
    return (lb_yardsticks){lb_stats_only(own, lb_plan_collected(j->cell, l->needs)),
                           lb_stats_only(original, lb_plan_layer_needs(j->plan, j->cell, l))};
}

static lb_status measure(lb_quantize_job *j, int64_t layer, const lb_stored *s, const lb_yardsticks *by,
                         lb_arena *scratch) {
    const lb_layer_plan *l = &j->cell->layer[layer];
    lb_layer_row *row = &j->row[layer];
    lb_cmat W;
    LB_TRY(lb_quantize_original(j, layer, scratch, &W));
    float *d = LB_NEW_UNSET(lb_quantize_place(j, layer, scratch), float, l->rows * l->cols);
    if (!d) return LB_E_NOMEM;
    lb_mat What = lb_mat_of(d, l->rows, l->cols);
    LB_TRY(lb_quantize_dequantize(j, layer, s, What));
    int64_t bad = lb_mat_first_bad(lb_mat_c(What));
    if (bad >= 0)
        return lb_fail(LB_E_NUMERIC, "layer %s: method %s gave %g at row %lld, column %lld", l->name, l->method->name,
                       (double)d[bad], (long long)(bad / l->cols), (long long)(bad % l->cols));
    row->quantized = true;
    row->flags = s->flags;
    row->told = s->told;
    LB_TRY(errors_of(j, layer, W, lb_mat_c(What), by, scratch));
    return lb_quantize_install(j, layer, lb_mat_c(What), s);
}

lb_status lb_quantize_measure(lb_quantize_job *j, int64_t layer, const lb_stored *s, const lb_yardsticks *by) {
    LB_TRY(start_row(j, layer, by));
    lb_arena_mark start = lb_arena_save(j->scratch);
    LB_TRY(measure(j, layer, s, by, j->scratch));
    lb_arena_restore(j->scratch, start);
    return LB_OK;
}

static lb_status adopt(lb_quantize_job *j, int64_t layer, const lb_yardsticks *by) {
    const lb_layer_plan *l = &j->cell->layer[layer];
    const lb_layer_row *first = &j->row[l->same_as];
    lb_layer_row *row = &j->row[layer];
    lb_cmat W, What;
    LB_TRY(start_row(j, layer, by));
    LB_TRY(lb_quantize_original(j, layer, j->scratch, &W));
    LB_TRY(lb_matrix_get(&j->w.site[l->site], j->scratch, j->plan->team, &What));
    row->quantized = true;
    row->flags = first->flags;
    row->told = first->told;
    return errors_of(j, layer, W, What, by, j->scratch);
}

lb_status lb_quantize_adopt(lb_quantize_job *j, int64_t layer, const lb_yardsticks *by) {
    lb_arena_mark start = lb_arena_save(j->scratch);
    LB_TRY(adopt(j, layer, by));
    lb_arena_restore(j->scratch, start);
    return LB_OK;
}

void lb_quantize_skip(lb_quantize_job *j, int64_t layer) {
    const lb_layer_plan *l = &j->cell->layer[layer];
    lb_layer_row *row = &j->row[layer];
    int64_t weights = l->same_as < 0 ? l->rows * l->cols : 0, bytes = weights * LB_FP16_BYTES;
    lb_layer_error zero = {0, 0, 0, 0, l->rows, l->cols};
    *row = (lb_layer_row){.block = l->block,
                          .type = l->type,
                          .rows = l->rows,
                          .cols = l->cols,
                          .storage = "f16",
                          .bits = 16,
                          .size = {.weights = weights, .codes = bytes, .total = bytes},
                          .own = zero,
                          .original = zero,
                          .rtn_own = zero,
                          .rtn_original = zero,
                          .equal_own = lb_equal_unknown,
                          .equal_original = lb_equal_unknown,
                          .rtn_equal_own = lb_equal_unknown,
                          .rtn_equal_original = lb_equal_unknown,
                          .own_carried = lb_carried_unknown,
                          .original_carried = lb_carried_unknown,
                          .same_as = same_as_of(j->cell, l)};
    snprintf(row->name, sizeof row->name, "%s", l->name);
}

static lb_status finish(lb_quantize_job *j, lb_status st) {
    lb_arena_free(j->scratch);
    j->scratch = NULL;
    if (st != LB_OK) {
        lb_bundle_close(j->bundle);
        j->bundle = NULL;
    }
    return st;
}

lb_status lb_quantize_run(lb_quantize_job *j) {
    const lb_model *m = j->plan->model;
    j->row = LB_NEW(j->keep, lb_layer_row, j->cell->layers + 1);
    if (!j->row) return LB_E_NOMEM;
    LB_TRY(lb_arena_new(0, &j->scratch));
    lb_status st = lb_quantize_preserve(j);
    if (st == LB_OK) st = lb_weights_clone(j->arena, m->net, j->base, &j->w);
    if (st == LB_OK && j->keep_path) st = lb_quantize_keep_begin(j);
    if (st == LB_OK) st = j->cell->trains ? lb_quantize_model(j) : lb_quantize_layers(j);
    if (st == LB_OK && j->bundle) st = lb_quantize_keep_changed(j);
    return finish(j, st);
}

lb_status lb_quantize_keep_baseline(lb_quantize_job *j) {
    const lb_model *m = j->plan->model;
    LB_TRY(lb_arena_new(0, &j->scratch));
    lb_status st = lb_weights_clone(j->arena, m->net, &m->weights, &j->w);
    if (st == LB_OK) st = lb_quantize_keep_begin(j);
    if (st == LB_OK) st = lb_quantize_keep_changed(j);
    return finish(j, st);
}
