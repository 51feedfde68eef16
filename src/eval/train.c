#include "eval/train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "eval/perplexity.h"
#include "model/weights.h"

typedef struct trainer {
    lb_trainer base; /* first: the method's view */
    const lb_net *net;
    const lb_weights *w0;
    lb_weights now; /* over params[].w */
    const lb_corpus *corpus;
    lb_curve curve;
    lb_train_watch *watch; /* may be NULL */
    void *watcher;
    lb_backward *backward; /* for (batch, length) */
    int64_t batch, length;
    int32_t *tokens; /* (batch, length) */
    lb_grads grads;
    double balance;
    lb_validation validation;
    lb_protocol windows; /* of the validation; n 0: not known yet */
    int64_t due, done;   /* the next step to be validated before; steps that were begun */
    bool told;           /* of one that could not be measured */
    lb_log shown, *to;   /* progress with the last validation, for whoever listens */
} trainer;

static lb_param_kind kind_of(const lb_net *n, const lb_net_slot *s) {
    if (s->vector >= 0) return LB_PARAM_NORM;
    if (s->site == n->head) return LB_PARAM_HEAD;
    return n->site[s->site].input < 0 ? LB_PARAM_EMBED : LB_PARAM_LINEAR;
}

/* The model's tensors in running order, with a copy of each for the method to write. */
static lb_status make_params(trainer *t, const bool *quantize, const void *const *layer_opts) {
    lb_arena *a = t->base.arena;
    const lb_net *n = t->net;
    LB_TRY(lb_weights_clone(a, n, t->w0, &t->now));
    t->base.n_params = n->slots;
    if (!(t->base.params = LB_NEW(a, lb_param, n->slots))) return LB_E_NOMEM;
    for (int32_t i = 0; i < n->slots; i++) {
        const lb_net_slot *slot = &n->slot[i];
        lb_param *p = &t->base.params[i];
        lb_slot_shape(n, i, &p->rows, &p->cols);
        p->name = lb_slot_name(n, i);
        p->kind = kind_of(n, slot);
        p->w0 = lb_slot_get(n, t->w0, i);
        p->w = lb_arena_get(a, (size_t)p->rows, (size_t)p->cols * sizeof(float));
        if (!p->w) return LB_E_NOMEM;
        if (p->kind == LB_PARAM_LINEAR && n->site[slot->site].block >= 0 && quantize) {
            p->quantize = quantize[slot->site];
            p->layer_opts = layer_opts ? layer_opts[slot->site] : NULL;
        }
        memcpy(p->w, p->w0, (size_t)(p->rows * p->cols) * sizeof(float));
        lb_slot_set(n, &t->now, i, p->w);
    }
    return LB_OK;
}

/* Room for the gradients that are wanted, kept from call to call. */
static lb_status make_grads(trainer *t) {
    lb_arena *a = t->base.arena;
    if (!t->grads.site) LB_TRY(lb_grads_new(a, t->net, &t->grads));
    for (int32_t i = 0; i < t->net->slots; i++) {
        const lb_net_slot *slot = &t->net->slot[i];
        lb_param *p = &t->base.params[i];
        if (p->wanted && !p->grad && !(p->grad = lb_arena_get(a, (size_t)p->rows, (size_t)p->cols * sizeof(float))))
            return LB_E_NOMEM;
        float *d = p->wanted ? p->grad : NULL;
        if (slot->site >= 0)
            t->grads.site[slot->site] = lb_mat_of(d, p->rows, p->cols);
        else
            t->grads.vector[slot->vector] = d;
    }
    return LB_OK;
}

static lb_status make_batch(trainer *t, const lb_train_request *r) {
    if (t->corpus->tokens < r->length)
        return lb_fail(LB_E_CONFIG, "training text %s has %lld tokens: one sequence takes %lld", t->corpus->path,
                       (long long)t->corpus->tokens, (long long)r->length);
    if (t->batch != r->batch || t->length != r->length) {
        LB_TRY(lb_backward_new(t->base.arena, t->net, r->batch, r->length, &t->backward));
        lb_backward_balance(t->backward, t->balance);
        t->tokens = lb_arena_get(t->base.arena, (size_t)r->batch, (size_t)r->length * sizeof *t->tokens);
        if (!t->tokens) return LB_E_NOMEM;
        t->batch = r->batch;
        t->length = r->length;
    }
    lb_rng g = lb_rng_make(t->base.seed, (uint64_t)r->step);
    for (int64_t i = 0; i < r->batch; i++) {
        int64_t from = lb_rng_below(&g, t->corpus->tokens - r->length + 1);
        memcpy(t->tokens + i * r->length, t->corpus->token + from, (size_t)r->length * sizeof *t->tokens);
    }
    return LB_OK;
}

static void set_act(trainer *t, lb_actquant act) {
    for (int32_t i = 0; i < t->net->slots; i++) {
        const lb_param *p = &t->base.params[i];
        if (p->kind != LB_PARAM_LINEAR) continue;
        int32_t site = t->net->slot[i].site;
        lb_linop op = t->now.site[site];
        op.act = p->quantize ? act : (lb_actquant){0};
        lb_weights_put(t->net, &t->now, site, op);
    }
}

static lb_status grow(lb_arena *a, double **column, int64_t n, int64_t cap) {
    double *more = LB_NEW(a, double, cap);
    if (!more) return LB_E_NOMEM;
    if (n) memcpy(more, *column, (size_t)n * sizeof *more);
    *column = more;
    return LB_OK;
}

static lb_status grow_steps(lb_arena *a, int64_t **column, int64_t n, int64_t cap) {
    int64_t *more = LB_NEW(a, int64_t, cap);
    if (!more) return LB_E_NOMEM;
    if (n) memcpy(more, *column, (size_t)n * sizeof *more);
    *column = more;
    return LB_OK;
}

/* ---- validation ---- */

static lb_status add_validation(trainer *t, int64_t step, double loss) {
    lb_curve *c = &t->curve;
    if (c->validations == c->validation_cap) {
        int64_t cap = c->validation_cap ? 2 * c->validation_cap : 64;
        LB_TRY(grow_steps(t->base.arena, &c->validation_step, c->validations, cap));
        LB_TRY(grow(t->base.arena, &c->validation_loss, c->validations, cap));
        c->validation_cap = cap;
    }
    c->validation_step[c->validations] = step;
    c->validation_loss[c->validations++] = loss;
    return LB_OK;
}

/* One that diverges may come to itself again: the training goes on, as it would without. */
static void not_measured(trainer *t, int64_t step) {
    if (!t->told)
        lb_warn(t->base.log, "the validation loss at step %lld, and where else that is so, is not measured: %s",
                (long long)step, lb_error());
    t->told = true;
    lb_error_clear();
}

static lb_status validate(trainer *t, const lb_weights *w, int64_t step) {
    const lb_validation *v = &t->validation;
    const lb_eval_request r = {.protocol = t->windows, .corpus = v->corpus, .max_windows = v->windows};
    lb_arena *a = NULL;
    lb_eval e;
    LB_TRY(lb_arena_new(0, &a));
    lb_status st = lb_perplexity(t->net, w, &r, t->base.team, a, NULL, &e);
    double loss = st == LB_OK ? e.mean_nll : NAN;
    lb_arena_free(a);
    if (st == LB_E_NUMERIC) {
        not_measured(t, step);
        st = LB_OK;
    }
    return st == LB_OK ? add_validation(t, step, loss) : lb_fail_in(st, "validation at step %lld", (long long)step);
}

/* Before the step's gradients, at the weights that these will be of. A method may ask for several of one step. */
static lb_status validate_if_due(trainer *t, const lb_train_request *r) {
    const lb_validation *v = &t->validation;
    if (!v->corpus) return LB_OK;
    if (t->windows.n == 0) {
        char id[sizeof t->windows.id];
        snprintf(id, sizeof id, "W2-%lld", (long long)r->length);
        LB_TRY(lb_protocol_parse(id, &t->windows));
    }
    if (r->step >= t->done) t->done = r->step + 1;
    if (r->step < t->due) return LB_OK;
    t->due = r->step - r->step % v->every + v->every;
    return validate(t, &t->now, r->step);
}

lb_status lb_trainer_validate_last(lb_trainer *base, const lb_weights *w) {
    trainer *t = base->impl;
    return t->windows.n ? validate(t, w, t->done) : LB_OK; /* no step: nothing was trained */
}

static void pass_message(void *user, lb_level level, const char *text) {
    const trainer *t = user;
    if (t->to->message) t->to->message(t->to->user, level, text);
}

static void pass_progress(void *user, const lb_progress *p) {
    const trainer *t = user;
    const lb_curve *c = &t->curve;
    char detail[160];
    lb_progress mine = *p;
    if (c->validations) {
        snprintf(detail, sizeof detail, "%s, validation %.4f", p->detail, c->validation_loss[c->validations - 1]);
        mine.detail = detail;
    }
    if (t->to->progress) t->to->progress(t->to->user, &mine);
}

void lb_trainer_validate(lb_trainer *base, const lb_validation *v) {
    trainer *t = base->impl;
    t->validation = *v;
    if (!base->log || base->log == &t->shown) return;
    t->to = base->log;
    t->shown = (lb_log){.message = pass_message, .progress = pass_progress, .user = t};
    base->log = &t->shown;
}

/* ---- steps ---- */

static lb_status gradients(lb_trainer *base, const lb_train_request *r, lb_train_loss *loss) {
    trainer *t = base->impl;
    LB_TRY(make_batch(t, r));
    LB_TRY(make_grads(t));
    set_act(t, r->act);
    LB_TRY(validate_if_due(t, r));
    *loss = (lb_train_loss){.tokens = r->batch * (r->length - 1)};
    return lb_loss_gradients(t->backward, &t->now, r->kl_weight > 0 ? t->w0 : NULL, r->kl_weight, t->tokens, base->team,
                             &t->grads, &loss->total, &loss->next_token, &loss->kl);
}

static lb_status record(lb_trainer *base, int64_t step, const lb_train_loss *loss, double learning_rate,
                        double grad_norm) {
    trainer *t = base->impl;
    lb_curve *c = &t->curve;
    /* NaN: not measured; a loss always is. */
    if (!isfinite(loss->total) || isinf(loss->next_token) || isinf(loss->kl) || isinf(grad_norm))
        return lb_fail(LB_E_NUMERIC, "step %lld: loss %g, gradient norm %g", (long long)step, loss->total, grad_norm);
    if (c->n == c->cap) {
        int64_t cap = c->cap ? 2 * c->cap : 256;
        LB_TRY(grow_steps(base->arena, &c->step, c->n, cap));
        LB_TRY(grow(base->arena, &c->total, c->n, cap));
        LB_TRY(grow(base->arena, &c->next_token, c->n, cap));
        LB_TRY(grow(base->arena, &c->kl, c->n, cap));
        LB_TRY(grow(base->arena, &c->lr, c->n, cap));
        LB_TRY(grow(base->arena, &c->grad_norm, c->n, cap));
        c->cap = cap;
    }
    int64_t i = c->n++;
    c->step[i] = step;
    c->total[i] = loss->total;
    c->next_token[i] = loss->next_token;
    c->kl[i] = loss->kl;
    c->lr[i] = learning_rate;
    c->grad_norm[i] = grad_norm;
    return t->watch ? t->watch(t->watcher, step) : LB_OK;
}

lb_status lb_trainer_new(lb_arena *a, const lb_net *n, const lb_weights *w0, const lb_corpus *corpus,
                         const bool *quantize, const void *const *layer_opts, uint64_t seed, lb_team *team, lb_log *log,
                         lb_trainer **out) {
    trainer *t = LB_NEW(a, trainer, 1);
    if (!t) return LB_E_NOMEM;
    t->net = n;
    t->w0 = w0;
    t->corpus = corpus;
    t->base = (lb_trainer){.seed = seed,
                           .arena = a,
                           .team = team,
                           .log = log,
                           .context = n->context ? n->context : INT64_MAX,
                           .gradients = gradients,
                           .record = record,
                           .impl = t};
    LB_TRY(make_params(t, quantize, layer_opts));
    *out = &t->base;
    return LB_OK;
}

lb_param *lb_trainer_find(const lb_trainer *t, const char *name) {
    const lb_net *n = ((const trainer *)t->impl)->net;
    int32_t site = lb_net_find(n, name);
    int32_t slot = lb_slot_find(n, site < 0 ? name : n->site[lb_net_owner(n, site)].name);
    return slot < 0 ? NULL : &t->params[slot];
}

lb_status lb_trainer_quantize(lb_trainer *t, const char *name, const void *layer_opts) {
    lb_param *p = lb_trainer_find(t, name);
    if (!p || p->kind == LB_PARAM_NORM) return lb_fail(LB_E_ARG, "no matrix of the model is named %s", name);
    p->quantize = true;
    p->layer_opts = layer_opts;
    return LB_OK;
}

void lb_trainer_balance(lb_trainer *t, double coefficient) { ((trainer *)t->impl)->balance = coefficient; }

double lb_trainer_balanced(const lb_trainer *t) {
    const trainer *x = t->impl;
    return x->backward ? lb_backward_balanced(x->backward) : 0.0;
}

void lb_trainer_watch(lb_trainer *t, lb_train_watch *watch, void *user) {
    trainer *x = t->impl;
    x->watch = watch;
    x->watcher = user;
}

const lb_curve *lb_trainer_curve(const lb_trainer *t) { return &((trainer *)t->impl)->curve; }

lb_status lb_trainer_install(lb_arena *a, const lb_net *n, const lb_weights *w0, const lb_trainer *t,
                             const lb_model_out *m, lb_weights *out) {
    LB_TRY(lb_weights_clone(a, n, w0, out));
    for (int32_t i = 0; i < t->n_params; i++)
        if (m->changed[i] && !m->layer[i].rows) lb_slot_set(n, out, i, m->changed[i]);
    return LB_OK;
}
