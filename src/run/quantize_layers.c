/* Layer scope: block by block, each layer on the statistics of its inputs; or from what a method of block scope made of
 * all of a block's. Sources: the order of capture and solving is
 * that of the GPTQ authors' code; true-sequential likewise. */
#include <string.h>

#include "base/clock.h"
#include "run/block_walk.h"

typedef struct walker {
    lb_quantize_job *j;
    lb_stream *stream; /* calibration sequences on their way through the quantized model; NULL: not needed */
    lb_arena *stream_arena, *block_arena;
    lb_arena *kept_arena; /* for what the method makes of one input's statistics */
    lb_arena_mark nothing_kept;
    lb_arena *made_arena; /* for what the method returns, until it is packed */
    int64_t first, n;     /* layers of the block at hand */
    lb_stored *stored;    /* (n) */
    lb_pools pools;       /* statistics of those that are other layers' too */
    lb_keeper said;       /* what the method warned of in it */
    int64_t done, total;  /* layers to quantize */
    int64_t restored;     /* blocks that an interrupted run had finished */
    bool experts;         /* the model has some */
    size_t block_stage;   /* the first that makes layers */
    bool by_block;        /* it has block scope */
} walker;

/* What the method returns is packed, and dropped. so_far: made by a stage of block scope; NULL: nothing is. */
static lb_status solve(walker *x, int64_t layer, lb_stored *out, const lb_stats *own, const lb_layer *so_far) {
    lb_quantize_job *j = x->j;
    const lb_layer_plan *l = &j->cell->layer[layer];
    lb_arena_mark mark = lb_arena_save(j->scratch), nothing_made = lb_arena_save(x->made_arena);
    lb_layer made = {0};
    lb_stats stats = lb_stats_only(own, l->needs);
    lb_layer_in in = {.name = l->name,
                      .so_far = so_far,
                      .stats = l->needs & LB_NEEDS_STATISTICS ? &stats : NULL,
                      .seed = lb_quantize_seed(j->cell, layer),
                      .scratch = j->scratch,
                      .arena = x->made_arena,
                      .team = j->plan->team,
                      .log = &x->said.log};
    const lb_cmat *target = lb_pools_target(&x->pools, layer);
    lb_status st = target ? LB_OK : lb_quantize_original(j, layer, j->scratch, &in.W);
    if (st == LB_OK) st = lb_quantize_feed(j, layer, j->scratch, &stats);
    if (target) in.W = *target;
    double start = lb_clock_s();
    if (st == LB_OK) st = lb_method_layer(l->method, &in, l->opts, &made);
    j->row[layer].seconds = lb_clock_s() - start;
    lb_arena_restore(j->scratch, mark);
    if (st == LB_OK) st = lb_quantize_store(j, layer, &made, x->block_arena, out);
    lb_arena_restore(x->made_arena, nothing_made);
    if (st == LB_OK && x->said.failed) st = lb_fail(LB_E_NOMEM, "out of memory: keeping a warning");
    if (st != LB_OK && !strstr(lb_error(), l->name)) st = lb_fail_in(st, "layer %s", l->name);
    return st;
}

/* What layers on one input share. */
typedef struct on_input {
    lb_stats own;      /* of the model so far: those that any of them needs */
    lb_stats original; /* those, and H, of the original model: as far as they are known */
    lb_stats solved;   /* that they are solved on: own, but of layers that are others' too */
    lb_kept kept;
    int64_t left;           /* layers still to come */
    const lb_layer *so_far; /* of the one, if a stage of block scope made it; NULL */
    double seconds;         /* that it took, for each layer */
} on_input;

/* For the row, in a model of experts: of the model so far, or where the method asks for nothing of the original. */
static int64_t tokens_of(const walker *x, const on_input *in) {
    if (!x->experts) return 0;
    return in->own.tokens > 0 ? in->own.routed : in->original.routed;
}

/* One layer from statistics to journal. */
static lb_status quantize_layer(walker *x, int64_t layer, lb_stored *out, on_input *in) {
    lb_quantize_job *j = x->j;
    const lb_layer_plan *l = &j->cell->layer[layer];
    const lb_yardsticks by = lb_quantize_yardsticks(j, layer, &in->own, &in->original);
    LB_TRY(lb_interrupt_check());
    LB_TRY(solve(x, layer, out, &in->solved, in->so_far));
    j->row[layer].seconds += in->seconds;
    if (--in->left == 0) lb_arena_restore(x->kept_arena, x->nothing_kept); /* before errors are measured: memory */
    LB_TRY(lb_quantize_measure(j, layer, out, &by));
    j->row[layer].flags |= lb_quantize_token_flags(j, layer, &in->solved);
    j->row[layer].tokens = tokens_of(x, in);
    lb_log_step(j->log, l->method->name, l->name, ++x->done, x->total);
    return j->journal_dir ? lb_journal_layer(j->journal_dir, j->cell->stem, &j->row[layer]) : LB_OK;
}

/* A layer that was quantized with another one. */
static lb_status adopt_layer(walker *x, int64_t layer, const on_input *in) {
    lb_quantize_job *j = x->j;
    const lb_layer_plan *l = &j->cell->layer[layer];
    const lb_yardsticks by = lb_quantize_yardsticks(j, layer, &in->own, &in->original);
    LB_TRY(lb_quantize_adopt(j, layer, &by));
    j->row[layer].tokens = tokens_of(x, in);
    lb_log_step(j->log, l->method->name, l->name, ++x->done, x->total);
    return j->journal_dir ? lb_journal_layer(j->journal_dir, j->cell->stem, &j->row[layer]) : LB_OK;
}

/* Those of n layers on one input that are solved on the statistics of this pool; -1: on the input's own. */
static lb_status quantize_pool(walker *x, const int64_t *layer, int64_t n, int32_t pool, const on_input *input) {
    const lb_layer_plan *l = x->j->cell->layer;
    on_input in = *input;
    in.solved = lb_plan_weighed(x->j->cell, pool < 0 ? &in.own : &x->pools.at[pool].stats);
    in.solved.kept = &in.kept;
    for (int64_t i = 0; i < n; i++)
        in.left += l[layer[i]].same_as < 0 && lb_pools_find(&x->pools, x->j, layer[i]) == pool;
    for (int64_t i = 0; i < n; i++) {
        if (l[layer[i]].same_as >= 0 || lb_pools_find(&x->pools, x->j, layer[i]) != pool) continue;
        LB_TRY(quantize_layer(x, layer[i], &x->stored[layer[i] - x->first], &in));
    }
    return LB_OK;
}

/* The n layers that read one input. Its statistics of the quantized stream are in `streamed`; NULL: there are none. */
static lb_status quantize_together(walker *x, const int64_t *layer, int64_t n, const lb_collected *streamed) {
    lb_quantize_job *j = x->j;
    on_input in = {.kept = {.arena = x->kept_arena}};
    uint32_t original = 0;
    for (int64_t i = 0; i < n; i++) original |= lb_plan_layer_needs(j->plan, j->cell, &j->cell->layer[layer[i]]);
    LB_TRY(lb_quantize_original_stats(j, layer[0], original, x->block_arena, &in.original));
    in.own = streamed ? lb_collected_stats(streamed) : in.original;
    for (int32_t pool = -1; pool < x->pools.n; pool++) LB_TRY(quantize_pool(x, layer, n, pool, &in));
    for (int64_t i = 0; i < n; i++) /* last: what they are may be a layer on the same input */
        if (j->cell->layer[layer[i]].same_as >= 0) LB_TRY(adopt_layer(x, layer[i], &in));
    return LB_OK;
}

static bool reads(const walker *x, int64_t layer, int32_t input) {
    const lb_layer_plan *l = &x->j->cell->layer[layer];
    return l->quantize && x->j->plan->model->net->site[l->site].input == input;
}

/* Those of the block at hand. */
static lb_status quantize_input(walker *x, int32_t input, const lb_collected *streamed) {
    int64_t *layer = LB_NEW(x->block_arena, int64_t, x->n + 1), n = 0;
    if (!layer) return LB_E_NOMEM;
    for (int64_t i = x->first; i < x->first + x->n; i++)
        if (reads(x, i, input)) layer[n++] = i;
    return quantize_together(x, layer, n, streamed);
}

/* ---- a block, by a method of block scope ---- */

static lb_status check_made(const walker *x, const lb_block_walk *w, int32_t i, const lb_layer *made) {
    const lb_block_site *site = &w->in.site[i];
    const lb_method *m = lb_method_stage(x->j->cell->method, w->stage);
    if (!made->rows != !site->quantize)
        return lb_fail(LB_E_ARG, "method %s returned %s layer %s", m->name, made->rows ? "a skipped" : "no",
                       site->name);
    if (made->rows && !lb_storage_same(&made->storage, &site->storage))
        return lb_fail(LB_E_ARG, "layer %s: method %s made a layer that is not stored as it said", site->name, m->name);
    lb_status st = lb_told_check(&made->told, &m->diagnostics, LB_E_ARG);
    return st == LB_OK ? st : lb_fail_in(st, "layer %s: method %s", site->name, m->name);
}

static lb_status quantize_made(walker *x, const lb_block_walk *w, const lb_block_out *made, double seconds) {
    lb_quantize_job *j = x->j;
    for (int32_t i = 0; i < w->in.sites; i++) {
        int64_t layer = x->first + i;
        const lb_layer_plan *l = &j->cell->layer[layer];
        LB_TRY(check_made(x, w, i, &made->layer[i]));
        if (!l->quantize) continue;
        on_input in = {.own = w->stats[w->in.site[i].input],
                       .kept = {.arena = x->kept_arena},
                       .left = 1,
                       .so_far = &made->layer[i],
                       .seconds = seconds};
        in.own.kept = &in.kept;
        in.solved = lb_plan_weighed(j->cell, &in.own);
        lb_arena_mark mark = lb_arena_save(j->scratch);
        LB_TRY(
            lb_quantize_original_stats(j, layer, lb_plan_layer_needs(j->plan, j->cell, l), j->scratch, &in.original));
        LB_TRY(quantize_layer(x, layer, &x->stored[i], &in));
        lb_arena_restore(j->scratch, mark);
    }
    return LB_OK;
}

static lb_status call_block(walker *x, lb_block_walk *w, int64_t block) {
    lb_quantize_job *j = x->j;
    lb_block_out made;
    int64_t wanted = 0;
    for (int64_t i = x->first; i < x->first + x->n; i++) wanted += j->cell->layer[i].quantize;
    if (!wanted) return LB_OK;
    LB_TRY(lb_block_walk_begin(j, x->block_stage, block, x->stream, &j->w, x->block_arena, &x->said.log, w));
    if (x->stream) LB_TRY(lb_block_walk_collect(w, false));
    double start = lb_clock_s();
    LB_TRY(lb_block_walk_call(w, &made));
    return quantize_made(x, w, &made, (lb_clock_s() - start) / (double)wanted);
}

static lb_status quantize_whole_block(walker *x, int64_t block) {
    lb_block_walk w = {0};
    lb_status st = call_block(x, &w, block);
    lb_block_walk_end(&w);
    if (st != LB_OK && st != LB_E_NOMEM && !strstr(lb_error(), "layer "))
        st = lb_fail_in(st, "block %lld", (long long)block);
    return st;
}

/* ---- a block, layer by layer ---- */

/* Inputs of the block that some layer to quantize reads, in program order, with the statistics that any such needs. */
static lb_status inputs_wanted(const walker *x, int64_t block, lb_wanted **out, int32_t *n) {
    int32_t first, inputs = lb_net_inputs(x->j->plan->model->net, block, &first);
    *n = 0;
    if (!(*out = LB_NEW(x->block_arena, lb_wanted, inputs + 1))) return LB_E_NOMEM;
    for (int32_t input = first; input < first + inputs; input++) {
        lb_wanted want = lb_plan_wanted(x->j->cell, input, 0);
        bool some = false;
        for (int64_t i = x->first; i < x->first + x->n; i++) {
            if (!reads(x, i, input)) continue;
            want.needs |= lb_plan_collected(x->j->cell, x->j->cell->layer[i].needs);
            some = true;
        }
        if (some) (*out)[(*n)++] = want;
    }
    return LB_OK;
}

/* Statistics of the stream for each of n inputs that wants any, in one pass; streamed[i] NULL: of want[i] none. */
static lb_status collect(walker *x, const lb_wanted *want, int32_t n, const lb_collected **streamed) {
    lb_wanted *some = LB_NEW(x->block_arena, lb_wanted, n + 1);
    lb_collected *got = LB_NEW(x->block_arena, lb_collected, n + 1);
    int32_t wanted = 0;
    if (!some || !got) return LB_E_NOMEM;
    for (int32_t i = 0; i < n; i++) {
        streamed[i] = NULL;
        if (!x->stream || !want[i].needs) continue;
        some[wanted] = want[i];
        streamed[i] = &got[wanted++];
    }
    return wanted ? lb_stream_collect(x->stream, &x->j->w, some, wanted, x->block_arena, got) : LB_OK;
}

/* What one expert reads does not depend on another's weights: the same value of all experts is one turn, which takes
 * one pass instead of one an expert. */
static bool one_turn(const walker *x, const lb_wanted *a, const lb_wanted *b) {
    const lb_net_input *in = x->j->plan->model->net->input;
    return in[a->input].expert >= 0 && in[b->input].expert >= 0 && in[a->input].value == in[b->input].value;
}

/* Inputs of a turn follow each other, in the order of the first of them. */
static void order_turns(const walker *x, lb_wanted *want, int32_t n) {
    for (int32_t i = 0, end; i < n; i = end) {
        end = i + 1;
        for (int32_t k = end; k < n; k++) {
            if (!one_turn(x, &want[i], &want[k])) continue;
            lb_wanted next = want[k];
            memmove(&want[end + 1], &want[end], (size_t)(k - end) * sizeof *want);
            want[end++] = next;
        }
    }
}

/* How many of the first ones are one turn. */
static int32_t turn_of(const walker *x, const lb_wanted *want, int32_t n) {
    int32_t k = 1;
    while (k < n && one_turn(x, want, &want[k])) k++;
    return k;
}

static lb_status quantize_block(walker *x, int64_t block) {
    if (x->by_block) return quantize_whole_block(x, block);
    bool in_turn = x->j->cell->own.true_sequential;
    lb_wanted *want;
    int32_t n;
    LB_TRY(inputs_wanted(x, block, &want, &n));
    const lb_collected **streamed = LB_NEW(x->block_arena, const lb_collected *, n + 1);
    if (!streamed) return LB_E_NOMEM;
    /* All inputs in one pass, from the block as it was; or one after another, from the block as it has become. */
    if (!in_turn) LB_TRY(collect(x, want, n, streamed));
    if (!in_turn) LB_TRY(lb_pools_make(x->j, x->first, x->n, -1, x->stream, x->block_arena, &x->pools));
    if (in_turn) order_turns(x, want, n);
    for (int32_t i = 0, known = in_turn ? 0 : n; i < n; i++) {
        if (i == known) {
            known = i + turn_of(x, want + i, n - i);
            LB_TRY(collect(x, want + i, known - i, streamed + i));
        }
        if (in_turn) LB_TRY(lb_pools_make(x->j, x->first, x->n, want[i].input, x->stream, x->block_arena, &x->pools));
        LB_TRY(quantize_input(x, want[i].input, streamed[i]));
    }
    return LB_OK;
}

/* A block that an earlier, interrupted run finished: it is kept packed, so its numbers need not be made. */
static lb_status restore(walker *x) {
    lb_quantize_job *j = x->j;
    for (int64_t i = 0; i < x->n; i++) {
        const lb_layer_plan *l = &j->cell->layer[x->first + i];
        if (!l->quantize) continue;
        if (l->same_as < 0)
            LB_TRY(lb_quantize_install(j, x->first + i, (lb_cmat){NULL, l->rows, l->cols, l->cols}, &x->stored[i]));
        lb_log_step(j->log, l->method->name, l->name, ++x->done, x->total);
    }
    return LB_OK;
}

/* Brings the stream to the block. Where all blocks are there already, no pass is made. */
static lb_status come_to(walker *x, int64_t block) {
    while (x->stream && lb_stream_block(x->stream) < block) {
        /* A pass over the sequences takes long and has inputs to keep: it gets the memory. */
        lb_arena_trim(x->block_arena);
        lb_arena_trim(x->kept_arena);
        lb_arena_trim(x->made_arena);
        lb_arena_trim(x->j->scratch);
        LB_TRY(lb_stream_advance(x->stream, &x->j->w));
    }
    return LB_OK;
}

static lb_status do_block(walker *x, int64_t block) {
    lb_quantize_job *j = x->j;
    bool found = false;
    x->n = lb_plan_block(j->plan, j->cell, block, &x->first);
    if (!(x->stored = LB_NEW(x->block_arena, lb_stored, x->n + 1))) return LB_E_NOMEM;
    lb_keeper_init(&x->said, x->block_arena, j->log);
    for (int64_t i = x->first; i < x->first + x->n; i++)
        if (!j->cell->layer[i].quantize) lb_quantize_skip(j, i);
    if (j->journal_dir) LB_TRY(lb_partial_load(j, x->first, x->n, x->block_arena, x->stored, &found));
    if (found) {
        x->restored++;
        LB_TRY(restore(x));
    } else {
        if (x->restored > 0 && x->restored == block)
            lb_info(j->log, "%s: going on at block %lld, the ones before were finished", j->cell->label,
                    (long long)block);
        LB_TRY(come_to(x, block));
        LB_TRY(quantize_block(x, block));
        if (j->journal_dir) LB_TRY(lb_partial_save(j, x->first, x->n, x->stored, &x->said));
    }
    return LB_OK;
}

/* Embedding, head and what else is outside the blocks, after them. */
static lb_status do_ends(walker *x) {
    lb_quantize_job *j = x->j;
    lb_keeper_init(&x->said, x->block_arena, j->log);
    for (int64_t i = 0; i < j->cell->layers; i++) {
        if (j->cell->layer[i].block >= 0) continue;
        if (!j->cell->layer[i].quantize) {
            lb_quantize_skip(j, i);
            continue;
        }
        lb_collected streamed;
        uint32_t needs = x->stream ? lb_plan_collected(j->cell, j->cell->layer[i].needs) : 0;
        int32_t input = j->plan->model->net->site[j->cell->layer[i].site].input;
        const lb_wanted want = lb_plan_wanted(j->cell, input, needs);
        if (needs) LB_TRY(come_to(x, j->plan->model->net->blocks));
        if (needs) LB_TRY(lb_stream_collect_outside(x->stream, &j->w, &want, x->block_arena, &streamed));
        x->first = i;
        if (!(x->stored = LB_NEW(x->block_arena, lb_stored, 1))) return LB_E_NOMEM;
        x->pools = (lb_pools){0};
        LB_TRY(quantize_together(x, &i, 1, needs ? &streamed : NULL));
    }
    return LB_OK;
}

static lb_status open_stream(walker *x) {
    lb_quantize_job *j = x->j;
    const lb_model *m = j->plan->model;
    lb_sequences of;
    if (!(j->cell->layer_needs & LB_NEEDS_CALIBRATION) || j->cell->own.propagate == LB_PROPAGATE_ORIGINAL) return LB_OK;
    LB_TRY(lb_plan_calibration_tokens(j->plan, j->cell, x->stream_arena, &of));
    return lb_stream_new(x->stream_arena, m->net, j->base, &of, j->plan->team, &x->stream);
}

static lb_status walk(walker *x) {
    lb_quantize_job *j = x->j;
    int64_t blocks = j->plan->model->net->blocks;
    bool ends = false;
    const char *few = NULL;
    for (int32_t i = 0; i < j->plan->model->net->inputs; i++)
        x->experts = x->experts || j->plan->model->net->input[i].expert >= 0;
    x->block_stage = lb_method_preserving(j->cell->method);
    x->by_block = lb_method_stage(j->cell->method, x->block_stage)->block != NULL;
    for (int64_t i = 0; i < j->cell->layers; i++) {
        x->total += j->cell->layer[i].quantize;
        ends = ends || j->cell->layer[i].block < 0;
    }
    LB_TRY(lb_plan_token_note(j->cell, j->scratch, &few));
    if (few) lb_warn(j->log, "%s", few);
    LB_TRY(open_stream(x));
    LB_TRY(lb_arena_new(0, &x->block_arena));
    LB_TRY(lb_arena_new(0, &x->kept_arena));
    LB_TRY(lb_arena_new(0, &x->made_arena));
    lb_arena_mark empty = lb_arena_save(x->block_arena);
    x->nothing_kept = lb_arena_save(x->kept_arena);
    for (int64_t b = 0; b < blocks; b++) {
        LB_TRY(lb_interrupt_check());
        LB_TRY(do_block(x, b));
        lb_arena_restore(x->block_arena, empty);
    }
    return ends ? do_ends(x) : LB_OK;
}

lb_status lb_quantize_layers(lb_quantize_job *j) {
    walker x = {.j = j};
    LB_TRY(lb_arena_new(0, &x.stream_arena));
    lb_status st = walk(&x);
    lb_arena_free(x.block_arena);
    lb_arena_free(x.kept_arena);
    lb_arena_free(x.made_arena);
    lb_arena_free(x.stream_arena);
    return st;
}
