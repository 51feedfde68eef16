/* Model scope: the method trains the whole network through the trainer; its layers are then measured like any others.
 */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "eval/layer_error.h"
#include "eval/train.h"
#include "result/provenance.h"
#include "run/quantize.h"

static lb_status copy_i64(lb_arena *a, const int64_t *v, int64_t n, int64_t **out) {
    *out = LB_NEW(a, int64_t, n + 1);
    if (!*out) return LB_E_NOMEM;
    if (n) memcpy(*out, v, (size_t)n * sizeof *v);
    return LB_OK;
}

static lb_status copy_f64(lb_arena *a, const double *v, int64_t n, double **out) {
    *out = LB_NEW(a, double, n + 1);
    if (!*out) return LB_E_NOMEM;
    if (n) memcpy(*out, v, (size_t)n * sizeof *v);
    return LB_OK;
}

/* The curve outlives the training's memory. */
static lb_status keep_curve(lb_arena *a, const lb_curve *c, lb_curve *out) {
    *out = (lb_curve){.n = c->n, .cap = c->n, .validations = c->validations, .validation_cap = c->validations};
    LB_TRY(copy_i64(a, c->step, c->n, &out->step));
    LB_TRY(copy_f64(a, c->total, c->n, &out->total));
    LB_TRY(copy_f64(a, c->next_token, c->n, &out->next_token));
    LB_TRY(copy_f64(a, c->kl, c->n, &out->kl));
    LB_TRY(copy_f64(a, c->lr, c->n, &out->lr));
    LB_TRY(copy_f64(a, c->grad_norm, c->n, &out->grad_norm));
    LB_TRY(copy_i64(a, c->validation_step, c->validations, &out->validation_step));
    return copy_f64(a, c->validation_loss, c->validations, &out->validation_loss);
}

/* A layer that was trained but not quantized (finetune, or skipped by a rule): its weights moved all the same. */
static lb_status measure_dense(lb_quantize_job *j, int64_t layer, const lb_yardsticks *by) {
    lb_layer_row *row = &j->row[layer];
    lb_quantize_skip(j, layer);
    lb_cmat W;
    lb_arena_mark start = lb_arena_save(j->scratch);
    LB_TRY(lb_quantize_original(j, layer, j->scratch, &W));
    LB_TRY(lb_layer_error_of(W, lb_quantize_now(j, layer), by->original.H, j->plan->team, j->scratch, &row->original));
    lb_arena_restore(j->scratch, start);
    row->own = row->original;
    row->own.output_err = row->own.output_energy = NAN;
    return LB_OK;
}

static lb_status measure_layer(lb_quantize_job *j, int64_t layer, const lb_layer *c, double seconds) {
    const lb_layer_plan *l = &j->cell->layer[layer];
    lb_stored stored;
    lb_arena_mark start = lb_arena_save(j->scratch);
    lb_stats original;
    LB_TRY(lb_quantize_original_stats(j, layer, lb_plan_layer_needs(j->plan, j->cell, l), j->scratch, &original));
    const lb_yardsticks by = {.original = original};
    if (l->quantize && l->same_as >= 0) {
        LB_TRY(lb_quantize_adopt(j, layer, &by));
    } else if (l->quantize) {
        LB_TRY(lb_quantize_store(j, layer, c, j->scratch, &stored));
        LB_TRY(lb_quantize_measure(j, layer, &stored, &by));
    } else
        LB_TRY(measure_dense(j, layer, &by));
    lb_arena_restore(j->scratch, start);
    j->row[layer].flags |= LB_FLAG_NOT_MINIMIZED;
    j->row[layer].seconds = seconds;
    return j->journal_dir ? lb_journal_layer(j->journal_dir, j->cell->stem, &j->row[layer]) : LB_OK;
}

/* The journal hears of a training that cannot be resumed, at first and then every few seconds, so that what a killed
 * one lost can be told. */
typedef struct watcher {
    lb_quantize_job *j;
    double start, written;
} watcher;

static lb_status watch(void *user, int64_t step) {
    enum { EVERY_S = 5 };
    watcher *x = user;
    double now = lb_clock_s();
    x->j->trained.step = step + 1;
    x->j->trained.seconds = now - x->start;
    if (!x->j->journal_dir || (step > 0 && now - x->written < EVERY_S)) return LB_OK;
    x->written = now;
    return lb_journal_train(x->j->journal_dir, x->j->cell->stem, &x->j->trained);
}

static lb_status validate(lb_quantize_job *j, lb_trainer *t) {
    const lb_text *text = lb_plan_validation(j->plan, j->cell);
    const lb_training_config *k = &j->cell->training;
    const char *note;
    if (!text->corpus) return LB_OK;
    LB_TRY(lb_plan_validation_note(j->plan, j->cell, j->scratch, &note));
    if (note) lb_warn(j->log, "%s", note);
    lb_trainer_validate(t, &(lb_validation){text->corpus, k->every, k->validation_windows});
    return LB_OK;
}

static lb_status train(lb_quantize_job *j, lb_arena *a, lb_trainer **t, lb_model_out *made) {
    const lb_model *m = j->plan->model;
    const lb_cell *c = j->cell;
    bool *quantize = LB_NEW(a, bool, m->net->sites);
    const void **opts = LB_NEW(a, const void *, m->net->sites);
    if (!quantize || !opts) return LB_E_NOMEM;
    for (int64_t i = 0; i < c->layers; i++) {
        quantize[c->layer[i].site] = c->layer[i].quantize;
        opts[c->layer[i].site] = c->layer[i].opts;
    }
    LB_TRY(lb_trainer_new(a, m->net, &m->weights, lb_plan_training(j->plan, c)->corpus, quantize, opts,
                          (uint64_t)c->own.seed, j->plan->team, j->log, t));
    for (int64_t i = 0; i < c->layers; i++) /* embedding and head */
        if (c->layer[i].block < 0 && c->layer[i].asked)
            LB_TRY(lb_trainer_quantize(*t, c->layer[i].name, c->layer[i].opts));
    LB_TRY(validate(j, *t));
    watcher x = {.j = j, .start = lb_clock_s()};
    const char *steps = lb_pairs_get(&c->options, "steps");
    if (steps && lb_parse_i64(steps, &j->trained.steps) != LB_OK) lb_error_clear(); /* a plug-in's own idea of it */
    lb_trainer_watch(*t, watch, &x);
    lb_status st = c->method->model(*t, c->opts, made);
    lb_trainer_watch(*t, NULL, NULL);
    return st;
}

static lb_status check_changed(const lb_quantize_job *j, const lb_param *p, const float *changed) {
    int64_t bad = lb_mat_first_bad(lb_cmat_of(changed, p->rows, p->cols));
    if (bad < 0) return LB_OK;
    return lb_fail(LB_E_NUMERIC, "method %s changed %s: %g at row %lld, column %lld: must be finite",
                   j->cell->method->name, p->name, (double)changed[bad], (long long)(bad / p->cols),
                   (long long)(bad % p->cols));
}

/* A compressed layer for each that the plan quantizes and for no other; what else changed, finite. made[i]: of layer i
 * of the plan. */
static lb_status check_returned(const lb_quantize_job *j, lb_arena *a, const lb_trainer *t, const lb_model_out *m,
                                const lb_layer **made) {
    const lb_cell *c = j->cell;
    bool *wanted = LB_NEW(a, bool, t->n_params);
    if (!wanted) return LB_E_NOMEM;
    if (!m->layer || !m->changed) return lb_fail(LB_E_ARG, "method %s returned no arrays of layers", c->method->name);
    for (int64_t i = 0; i < c->layers; i++) {
        if (!c->layer[i].quantize) continue;
        const lb_param *p = lb_trainer_find(t, c->layer[i].name);
        if (!p || !m->layer[p - t->params].rows)
            return lb_fail(LB_E_ARG, "method %s returned no layer %s", c->method->name, c->layer[i].name);
        wanted[p - t->params] = true;
        made[i] = &m->layer[p - t->params];
    }
    for (int64_t i = 0; i < t->n_params; i++) {
        if (m->layer[i].rows && !wanted[i])
            return lb_fail(LB_E_ARG, "method %s returned layer %s, which is not to be quantized", c->method->name,
                           t->params[i].name);
        if (m->changed[i] && !wanted[i]) LB_TRY(check_changed(j, &t->params[i], m->changed[i]));
    }
    return LB_OK;
}

/* What the method changed besides compressed layers lives in the training's memory: moved to where the weights live. */
static lb_status keep_changed(lb_quantize_job *j, const lb_trainer *t, lb_model_out *m) {
    for (int64_t i = 0; i < t->n_params; i++) {
        if (!m->changed[i] || m->layer[i].rows) continue;
        size_t n = (size_t)t->params[i].rows * (size_t)t->params[i].cols;
        float *copy = LB_NEW(j->arena, float, n);
        if (!copy) return LB_E_NOMEM;
        memcpy(copy, m->changed[i], n * sizeof *copy);
        m->changed[i] = copy;
    }
    return LB_OK;
}

static lb_status train_and_measure(lb_quantize_job *j, lb_arena *a) {
    const lb_model *m = j->plan->model;
    int64_t layers = j->cell->layers;
    lb_trainer *t = NULL;
    lb_model_out out = {0};
    const lb_layer **made = LB_NEW(a, const lb_layer *, layers + 1);
    if (!made) return LB_E_NOMEM;
    double start = lb_clock_s();
    LB_TRY(train(j, a, &t, &out));
    LB_TRY(check_returned(j, a, t, &out, made));
    LB_TRY(keep_changed(j, t, &out));
    LB_TRY(lb_trainer_install(j->arena, m->net, &m->weights, t, &out, &j->w));
    /* Training is one piece of work: every layer gets an equal share of its time. */
    double share = (lb_clock_s() - start) / (double)(layers > 0 ? layers : 1);
    for (int64_t i = 0; i < layers; i++) LB_TRY(measure_layer(j, i, made[i], share));
    /* Of the layers as they are stored, not as the training had them. */
    LB_TRY(lb_trainer_validate_last(t, &j->w));
    return keep_curve(j->keep, lb_trainer_curve(t), &j->curve);
}

lb_status lb_quantize_model(lb_quantize_job *j) {
    lb_arena *a = NULL;
    LB_TRY(lb_arena_new(0, &a));
    lb_status st = train_and_measure(j, a);
    lb_arena_free(a);
    return st;
}
