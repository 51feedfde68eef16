/* A cell's evaluations: perplexity by protocol, KL and paired difference to the baseline. */
#include <math.h>
#include <string.h>

#include "base/fs.h"
#include "eval/perplexity.h"
#include "eval/tasks.h"
#include "run/cell.h"

static lb_status states_path(const lb_runner *r, int64_t i, lb_arena *a, const char **path, char key[65]) {
    LB_TRY(lb_plan_states_key(r->plan, i, key));
    char *p = lb_arena_printf(a, "%s/states-%.16s.bin", r->cache, key);
    *path = p;
    return p ? LB_OK : LB_E_NOMEM;
}

static int64_t windows_of(const lb_plan *p, int64_t i, const lb_protocol *protocol) {
    int64_t all = lb_protocol_windows(protocol, p->eval[i].corpus->tokens), most = p->eval_config[i]->windows;
    return most > 0 && most < all ? most : all;
}

typedef struct evaluator {
    lb_runner *r;
    int64_t i;
    lb_arena *scratch;
    lb_log *log;
    lb_eval_request request;
} evaluator;

/* One pass; for the baseline the states are kept on the way. */
static lb_status measure(evaluator *x, const lb_weights *w, bool save, lb_arena *a, lb_eval *e) {
    const lb_plan *p = x->r->plan;
    char key[65];
    const char *path = NULL;
    lb_states *states = NULL;
    if (save) {
        LB_TRY(states_path(x->r, x->i, x->scratch, &path, key));
        LB_TRY(lb_fs_mkdirs(x->r->cache));
        LB_TRY(lb_states_create(path, key, windows_of(p, x->i, &x->request.protocol), x->request.protocol.n,
                                p->model->net->site[p->model->net->head].cols, &states));
    }
    x->request.save_states = states;
    lb_status st = lb_perplexity(p->model->net, w, &x->request, p->team, a, x->log, e);
    if (st == LB_OK && states) st = lb_states_commit(states);
    lb_states_close(states);
    x->request.save_states = NULL;
    return st;
}

/* The baseline's states of this evaluation; made again if the cache lost or damaged them, or if `again` says so. */
static lb_status open_states(evaluator *x, bool again, lb_states **out) {
    char key[65];
    const char *path = NULL, *name = x->r->plan->eval_config[x->i]->name;
    lb_eval base;
    int64_t windows = windows_of(x->r->plan, x->i, &x->request.protocol), n = x->request.protocol.n;
    const lb_net *net = x->r->plan->model->net;
    int64_t dim = net->site[net->head].cols;
    LB_TRY(states_path(x->r, x->i, x->scratch, &path, key));
    if (!again && lb_fs_exists(path)) {
        lb_status st = lb_states_open(path, key, windows, n, dim, out);
        if (st != LB_E_FORMAT && st != LB_E_IO) return st;
        lb_warn(x->r->log, "%s: the baseline's states of %s are computed again", lb_error(), name);
    } else if (!again) {
        lb_info(x->log, "the baseline's states of %s are not in the cache: computing them", name);
    }
    x->request.base = NULL;
    x->request.base_states = NULL;
    x->request.speculative = 0;
    LB_TRY(measure(x, &x->r->plan->model->weights, true, x->scratch, &base));
    return lb_states_open(path, key, windows, n, dim, out);
}

/* Against the baseline's states. */
static lb_status measure_kl(evaluator *x, const lb_weights *w, bool again, bool *damaged, lb_eval *e) {
    lb_states *states = NULL;
    LB_TRY(open_states(x, again, &states));
    x->request.base = &x->r->plan->model->weights;
    x->request.base_states = states;
    x->request.speculative = x->r->plan->eval_config[x->i]->speculative;
    lb_status st = measure(x, w, false, x->r->keep, e);
    *damaged = (st == LB_E_FORMAT || st == LB_E_IO) && lb_states_damaged(states);
    lb_states_close(states);
    return st;
}

static lb_status compare(const lb_runner *r, int64_t i, lb_arena *scratch, lb_eval_row *row) {
    if (!r->baseline || i >= r->baseline->evals) return LB_OK;
    const lb_eval *base = &r->baseline->eval[i].eval;
    if (base->windows != row->eval.windows) return LB_OK;
    const double *own, *theirs;
    LB_TRY(lb_eval_series(&row->eval, row->text_tokens, scratch, &own));
    LB_TRY(lb_eval_series(base, row->text_tokens, scratch, &theirs));
    row->has_paired = true;
    const lb_task_result *t = &row->eval.task, *b = &base->task;
    if (t->right && b->right) lb_mcnemar_of(t->right, b->right, t->items, &row->mcnemar);
    if (t->right_norm && b->right_norm) lb_mcnemar_of(t->right_norm, b->right_norm, t->items, &row->mcnemar_norm);
    return lb_paired_difference(own, theirs, base->windows, &row->paired);
}

static lb_status measure_task(evaluator *x, const lb_weights *w, lb_eval_row *row) {
    const lb_plan *p = x->r->plan;
    const lb_eval_config *e = p->eval_config[x->i];
    const lb_task_request r = {.protocol = x->request.protocol,
                               .variant = (lb_lambada)e->variant,
                               .corpus = x->request.corpus,
                               .max_items = e->windows,
                               .compute = x->request.compute};
    if (r.protocol.rule == LB_RULE_LAMB) row->variant = lb_lambada_names[e->variant];
    LB_TRY(lb_task_evaluate(p->model->net, w, &r, p->team, x->r->keep, x->log, &row->eval, &row->text_tokens));
    return compare(x->r, x->i, x->scratch, row);
}

static lb_status evaluate_one(evaluator *x, const lb_cell *c, const lb_weights *w, lb_eval_row *row) {
    const lb_plan *p = x->r->plan;
    const lb_eval_config *e = p->eval_config[x->i];
    const lb_text *t = &p->eval[x->i];
    *row = (lb_eval_row){.name = e->name,
                         .text_hash = t->hash,
                         .text_path = t->path,
                         .bos = t->bos_text,
                         .rows = t->how,
                         .text_tokens = t->corpus->tokens,
                         .bf16 = p->compute == LB_COMPUTE_BF16};
    x->request = (lb_eval_request){.corpus = t->corpus, .max_windows = e->windows, .compute = (lb_compute)p->compute};
    LB_TRY(lb_protocol_parse(e->protocol, &x->request.protocol));
    if (lb_protocol_is_task(&x->request.protocol)) return measure_task(x, w, row);
    if (!c->method) return measure(x, w, e->kl, x->r->keep, &row->eval);
    bool damaged = false;
    lb_status st = e->kl && x->r->baseline ? measure_kl(x, w, false, &damaged, &row->eval)
                                           : measure(x, w, false, x->r->keep, &row->eval);
    if (damaged) {
        lb_warn(x->r->log, "%s: the baseline's states of %s are computed again", lb_error(), e->name);
        st = measure_kl(x, w, true, &damaged, &row->eval);
    }
    LB_TRY(st);
    return compare(x->r, x->i, x->scratch, row);
}

lb_status lb_cell_evaluate(lb_runner *r, const lb_cell *c, const lb_weights *w, lb_log *log, lb_eval_row **rows) {
    *rows = LB_NEW(r->keep, lb_eval_row, r->plan->evals + 1);
    if (!*rows) return LB_E_NOMEM;
    for (int64_t i = 0; i < r->plan->evals; i++) {
        evaluator x = {.r = r, .i = i, .log = log};
        LB_TRY(lb_arena_new(0, &x.scratch));
        lb_status st = evaluate_one(&x, c, w, &(*rows)[i]);
        if (st == LB_E_NUMERIC) /* the texts may be several */
            st = lb_fail_in(st, "evaluation %s, %s", r->plan->eval_config[i]->name, r->plan->eval_config[i]->protocol);
        lb_arena_free(x.scratch);
        LB_TRY(st);
        if (r->dir) LB_TRY(lb_journal_eval(r->dir, c->stem, &(*rows)[i]));
    }
    return LB_OK;
}
