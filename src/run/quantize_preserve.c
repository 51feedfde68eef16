/* Stages that preserve what the model computes, each through the whole model before the next: block by block the method
 * gives T of each input, which is folded or kept, and the block's outputs are compared. T is written down: a cell that
 * was interrupted reads it back, up to the first block that is missing, and changes the model by it. */
#include <math.h>
#include <stdio.h>

#include "eval/outputs.h"
#include "run/block_walk.h"

#define MOST_APART 1e-4

typedef struct preserver {
    lb_quantize_job *j;
    size_t stage;
    const lb_method *method;
    const bool *which;       /* (sites) to quantize: they keep a T */
    lb_changes *changes;     /* of this stage */
    const lb_weights *model; /* as it was before this stage */
    lb_stream *stream;       /* through that; NULL: the method needs none */
    lb_outputs *outputs;
    lb_arena *stage_arena, *block_arena;
    bool original;        /* the statistics are those of the original model, which are there */
    lb_transform **given; /* (blocks) T that an interrupted run found; NULL: the method is to give it */
    lb_warnings *said;    /* (blocks) with it */
    int64_t restored;     /* the first so many blocks */
} preserver;

/* ---- what the method returned ---- */

static lb_status bad(const lb_read *r, const char *what) {
    return lb_fail(LB_E_ARG, "the input of %s: %s", r->in.name, what);
}

static lb_status check_scale(const lb_read *r, bool fold, lb_scale_type type, const float *scale) {
    for (int64_t c = 0; c < r->in.cols; c++) {
        if (!isfinite(scale[c]) || scale[c] == 0 || (fold && scale[c] < 0))
            return lb_fail(LB_E_NUMERIC, "the input of %s: scale %g of channel %lld: must be finite and %s", r->in.name,
                           (double)scale[c], (long long)c, fold ? "positive" : "not 0");
        if (!fold && lb_number_round(type, scale[c]) != scale[c])
            return lb_fail(LB_E_ARG, "the input of %s: scale %.9g of channel %lld is not of its type", r->in.name,
                           (double)scale[c], (long long)c);
    }
    return LB_OK;
}

/* Channels that come from one number get one scale. */
static lb_status check_ties(const preserver *x, const lb_read *r, const float *scale) {
    const int32_t *tied = r->in.tied;
    if (!tied) return LB_OK;
    const float **first = LB_NEW(x->block_arena, const float *, r->in.cols);
    if (!first) return LB_E_NOMEM;
    for (int64_t c = 0; c < r->in.cols; c++) {
        if (first[tied[c]] && *first[tied[c]] != scale[c])
            return bad(r, "channels that are tied have different scales: there is one to fold");
        first[tied[c]] = &scale[c];
    }
    return LB_OK;
}

static lb_status check_transform(const preserver *x, const lb_read *r, const lb_storage *own, bool fold,
                                 const lb_transform *T) {
    if (fold) {
        if (T->hadamard || T->sign) return bad(r, "only a scale can be folded");
        if (T->scale) LB_TRY(check_scale(r, true, LB_SCALE_F32, T->scale));
        return T->scale ? check_ties(x, r, T->scale) : LB_OK;
    }
    if (T->hadamard != own->t_hadamard || !T->scale != !own->t_scale || !T->sign != !own->t_sign)
        return bad(r, "the change is not stored as its spec_input said");
    return T->scale ? check_scale(r, false, own->t_scale_type, T->scale) : LB_OK;
}

/* ---- the walk ---- */

/* What the plan counts as changed is so, be it by ones. */
static lb_status fold_scale(preserver *x, const lb_read *r, const float *scale) {
    if (scale) return lb_changes_fold(x->changes, &r->fold, scale);
    float *ones = LB_NEW_UNSET(x->block_arena, float, r->in.cols);
    if (!ones) return LB_E_NOMEM;
    for (int64_t c = 0; c < r->in.cols; c++) ones[c] = 1;
    return lb_changes_fold(x->changes, &r->fold, ones);
}

static lb_status apply(preserver *x, lb_read *r, const lb_transform *T) {
    lb_storage own = {0};
    bool fold = false;
    if (!r->in.quantize) return LB_OK;
    LB_TRY(lb_block_read_stage(x->j->cell, x->stage, r, &own, &fold));
    LB_TRY(check_transform(x, r, &own, fold, T));
    if (fold) return fold_scale(x, r, T->scale);
    for (int32_t i = 0; i < r->inputs && lb_transform_any(T); i++)
        LB_TRY(lb_changes_keep(x->changes, r->input[i], T, x->which));
    return LB_OK;
}

static lb_status ask_method(preserver *x, lb_block_walk *w, bool forward, lb_block_out *out) {
    if (x->original) LB_TRY(lb_block_walk_original(w));
    if (x->stream) LB_TRY(lb_block_walk_collect(w, !forward));
    return lb_block_walk_call(w, out);
}

static lb_status change_block(preserver *x, int64_t block) {
    lb_quantize_job *j = x->j;
    lb_block_walk w;
    lb_block_out out;
    lb_keeper said;
    bool forward = (x->method->needs & LB_NEEDS_FORWARD) != 0;
    lb_keeper_init(&said, x->block_arena, j->log);
    lb_status st = lb_block_walk_begin(j, x->stage, block, x->stream, x->model, x->block_arena, &said.log, &w);
    if (st == LB_OK) st = ask_method(x, &w, forward, &out);
    for (int32_t i = 0; i < w.in.inputs && st == LB_OK; i++) st = apply(x, &w.read[i], &out.T[i]);
    if (st == LB_OK && said.failed) st = lb_fail(LB_E_NOMEM, "out of memory: keeping a warning");
    if (st == LB_OK && j->journal_dir)
        st = lb_partial_save_changes(j, x->stage, block, w.read, w.in.inputs, out.T, &said);
    lb_block_walk_end(&w);
    if (st == LB_OK && forward) st = lb_stream_advance(x->stream, x->model);
    return st;
}

/* ---- what an interrupted run had of it ---- */

/* Inputs of a block as the stage finds them. */
static lb_status reads_of(preserver *x, int64_t block, lb_read **read, int32_t *n) {
    const lb_net *net = x->j->plan->model->net;
    LB_TRY(lb_block_reads(x->block_arena, net, x->j->cell, block, false, read, n));
    for (int32_t i = 0; i < *n; i++)
        for (size_t s = 0; s < x->stage; s++) {
            lb_storage own;
            bool fold;
            LB_TRY(lb_block_read_stage(x->j->cell, s, &(*read)[i], &own, &fold));
        }
    return LB_OK;
}

/* What is read back is checked as the method's own is. */
static lb_status check_given(preserver *x, int64_t block, lb_read *read, int32_t n, bool *good) {
    lb_status st = LB_OK;
    for (int32_t i = 0; i < n && st == LB_OK; i++) {
        lb_storage own;
        bool fold;
        LB_TRY(lb_block_read_stage(x->j->cell, x->stage, &read[i], &own, &fold));
        st = check_transform(x, &read[i], &own, fold, &x->given[block][i]);
    }
    *good = st == LB_OK;
    if (st != LB_E_ARG && st != LB_E_NUMERIC) return st;
    lb_warn(x->j->aside, "stage %s: block %lld: %s: the stage works on it again", x->method->name, (long long)block,
            lb_error());
    return LB_OK;
}

static lb_status find_given(preserver *x) {
    lb_quantize_job *j = x->j;
    const int64_t blocks = j->plan->model->net->blocks;
    lb_arena_mark empty = lb_arena_save(x->block_arena);
    bool found = j->journal_dir != NULL;
    x->given = LB_NEW(x->stage_arena, lb_transform *, blocks + 1);
    x->said = LB_NEW(x->stage_arena, lb_warnings, blocks + 1);
    if (!x->given || !x->said) return LB_E_NOMEM;
    for (int64_t b = 0; b < blocks && found; b++) {
        lb_read *read;
        int32_t n;
        LB_TRY(reads_of(x, b, &read, &n));
        if (!(x->given[b] = LB_NEW(x->stage_arena, lb_transform, n + 1))) return LB_E_NOMEM;
        LB_TRY(lb_partial_load_changes(j, x->stage, b, read, n, x->stage_arena, x->given[b], &x->said[b], &found));
        if (found) LB_TRY(check_given(x, b, read, n, &found));
        if (found) x->restored = b + 1;
        lb_arena_restore(x->block_arena, empty);
    }
    if (x->restored > 0 && x->restored < blocks)
        lb_info(j->log, "%s: stage %s: going on at block %lld, the ones before were finished", j->cell->label,
                x->method->name, (long long)x->restored);
    return LB_OK;
}

static lb_status restore_block(preserver *x, int64_t block) {
    lb_read *read;
    int32_t n;
    LB_TRY(reads_of(x, block, &read, &n));
    for (int32_t i = 0; i < n; i++) LB_TRY(apply(x, &read[i], &x->given[block][i]));
    lb_partial_warn(x->j->log, &x->said[block]);
    return x->stream ? lb_stream_advance(x->stream, x->model) : LB_OK;
}

static lb_status check_block(preserver *x) {
    double apart;
    LB_TRY(lb_outputs_block(x->outputs, x->model, &x->changes->w, &apart));
    if (apart <= MOST_APART) return LB_OK;
    return lb_fail(LB_E_NUMERIC, "what the block adds changed by %.3g of it: at most %g", apart, MOST_APART);
}

static lb_status walk(preserver *x) {
    lb_quantize_job *j = x->j;
    int64_t blocks = j->plan->model->net->blocks;
    lb_arena_mark empty = lb_arena_save(x->block_arena);
    for (int64_t b = 0; b < blocks; b++) {
        char name[48];
        snprintf(name, sizeof name, "block %lld", (long long)b);
        LB_TRY(lb_interrupt_check());
        lb_status st = b < x->restored ? restore_block(x, b) : change_block(x, b);
        if (st == LB_OK) st = check_block(x);
        if (st != LB_OK)
            return st == LB_E_NOMEM ? st : lb_fail_in(st, "stage %s: block %lld", x->method->name, (long long)b);
        lb_arena_restore(x->block_arena, empty);
        lb_arena_trim(x->block_arena);
        lb_log_step(j->log, x->method->name, name, b + 1, blocks);
    }
    return LB_OK;
}

static lb_status open_stream(preserver *x) {
    lb_quantize_job *j = x->j;
    lb_sequences of;
    uint32_t needs = lb_block_stage_needs(j->cell, x->stage);
    if (!(needs & LB_NEEDS_CALIBRATION) || x->restored == j->plan->model->net->blocks) return LB_OK;
    x->original = x->stage == 0 && j->stats && lb_plan_first_needs(j->cell);
    if (x->original) return LB_OK;
    LB_TRY(lb_plan_calibration_tokens(j->plan, j->cell, x->stage_arena, &of));
    return lb_stream_new(x->stage_arena, j->plan->model->net, x->model, &of, j->plan->team, &x->stream);
}

static lb_status run_stage(preserver *x) {
    lb_quantize_job *j = x->j;
    const lb_net *n = j->plan->model->net;
    LB_TRY(lb_changes_new(j->arena, n, x->model, j->changes, &x->changes));
    LB_TRY(lb_arena_new(0, &x->block_arena));
    LB_TRY(find_given(x));
    LB_TRY(open_stream(x));
    LB_TRY(lb_outputs_new(x->stage_arena, n, x->model, (uint64_t)j->cell->own.seed, j->plan->team, &x->outputs));
    LB_TRY(walk(x));
    j->changes = x->changes;
    j->base = &x->changes->w;
    return LB_OK;
}

lb_status lb_quantize_preserve(lb_quantize_job *j) {
    const lb_net *n = j->plan->model->net;
    size_t stages = lb_method_preserving(j->cell->method);
    bool *which = NULL;
    j->base = &j->plan->model->weights;
    if (!stages) return LB_OK;
    if (!(which = LB_NEW(j->arena, bool, n->sites))) return LB_E_NOMEM;
    for (int64_t i = 0; i < j->cell->layers; i++)
        which[j->cell->layer[i].site] = j->cell->layer[i].quantize && j->cell->layer[i].block >= 0;
    lb_status st = LB_OK;
    for (size_t s = 0; s < stages && st == LB_OK; s++) {
        preserver x = {
            .j = j, .stage = s, .method = lb_method_stage(j->cell->method, s), .which = which, .model = j->base};
        st = lb_arena_new(0, &x.stage_arena);
        if (st == LB_OK) st = run_stage(&x);
        lb_arena_free(x.block_arena);
        lb_arena_free(x.stage_arena);
    }
    return st;
}
