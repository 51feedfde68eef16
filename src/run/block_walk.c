#include "run/block_walk.h"

#include "base/rng.h"
#include "eval/block.h"
#include "model/weights.h"

/* ---- what the method sees ---- */

static uint64_t seed_of(const lb_cell *c, size_t stage, uint64_t which) {
    lb_rng r = lb_rng_make((uint64_t)c->own.seed, UINT64_MAX - stage); /* not a layer's */
    lb_rng own = lb_rng_make(lb_rng_u64(&r), which);
    return lb_rng_u64(&own);
}

static int32_t read_of(const lb_block_walk *x, int32_t input) {
    for (int32_t i = 0; i < x->in.inputs; i++)
        for (int32_t k = 0; k < x->read[i].inputs; k++)
            if (x->read[i].input[k] == input) return i;
    return -1;
}

static const lb_method *method_of(const lb_block_walk *x) { return lb_method_stage(x->j->cell->method, x->stage); }

/* What is stored of a layer in the end, or by a stage that compresses: of either its own codes are what a method looks
 * for. T is not known yet, or comes by itself. */
static lb_status storage_of(const lb_block_walk *x, const lb_layer_plan *l, const void *opts, lb_storage *out) {
    if (!l->quantize) return LB_OK;
    if (method_of(x)->spec) return method_of(x)->spec(opts, l->rows, l->cols, out);
    return lb_method_spec(x->j->cell->method, l->opts, l->rows, l->cols, out);
}

static lb_status fill_sites(lb_block_walk *x) {
    lb_block_site *site = LB_NEW(x->arena, lb_block_site, x->in.sites + 1);
    if (!site) return LB_E_NOMEM;
    for (int32_t i = 0; i < x->in.sites; i++) {
        const lb_layer_plan *l = &x->j->cell->layer[x->first + i];
        const void *opts = lb_method_stage_opts(x->j->cell->method, x->stage, l->opts);
        site[i] = (lb_block_site){.name = l->name,
                                  .role = l->type,
                                  .input = read_of(x, x->net->site[l->site].input),
                                  .W = x->loaded.site[l->site].W,
                                  .quantize = l->quantize,
                                  .opts = opts,
                                  .seed = seed_of(x->j->cell, x->stage, (uint64_t)(x->net->blocks + l->site))};
        LB_TRY(storage_of(x, l, opts, &site[i].storage));
    }
    x->in.site = site;
    return LB_OK;
}

static lb_status fill_inputs(lb_block_walk *x) {
    x->input = LB_NEW(x->arena, lb_block_input, x->in.inputs + 1);
    x->stats = LB_NEW(x->arena, lb_stats, x->in.inputs + 1);
    x->given = LB_NEW(x->arena, lb_stats, x->in.inputs + 1);
    if (!x->input || !x->stats || !x->given) return LB_E_NOMEM;
    for (int32_t i = 0; i < x->in.inputs; i++) {
        lb_storage own;
        bool fold;
        for (size_t s = 0; s < x->stage && (method_of(x)->needs & LB_PRESERVES); s++)
            LB_TRY(lb_block_read_stage(x->j->cell, s, &x->read[i], &own, &fold));
        x->input[i] = lb_block_read_seen(x->j->cell, x->stage, &x->read[i]);
    }
    x->in.input = x->input;
    return LB_OK;
}

static lb_status load(lb_block_walk *x) {
    int64_t floats = lb_block_floats(x->net, x->now, x->in.block);
    LB_TRY(lb_weights_new(x->arena, x->net, &x->loaded));
    if (floats && !(x->buffer = lb_realloc(NULL, 0, (size_t)floats, sizeof *x->buffer))) return LB_E_NOMEM;
    return lb_block_load(x->net, x->now, x->in.block, x->buffer, x->in.team, &x->loaded);
}

lb_status lb_block_walk_begin(lb_quantize_job *j, size_t stage, int64_t block, lb_stream *stream, const lb_weights *now,
                              lb_arena *a, lb_log *log, lb_block_walk *x) {
    *x = (lb_block_walk){.j = j, .stage = stage, .stream = stream, .now = now, .net = j->plan->model->net, .arena = a};
    x->in = (lb_block_in){.block = block,
                          .sections = x->net->block[block].sections,
                          .seed = seed_of(j->cell, stage, (uint64_t)block),
                          .scratch = j->scratch,
                          .arena = a,
                          .team = j->plan->team,
                          .log = log};
    x->in.sites = (int32_t)lb_plan_block(j->plan, j->cell, block, &x->first);
    bool compresses = !(method_of(x)->needs & LB_PRESERVES);
    LB_TRY(lb_block_reads(a, x->net, j->cell, block, compresses, &x->read, &x->in.inputs));
    LB_TRY(load(x));
    LB_TRY(fill_inputs(x));
    LB_TRY(fill_sites(x));
    if (!stream || !(method_of(x)->needs & LB_NEEDS_FORWARD)) return LB_OK;
    return lb_block_connect(a, x->net, stream, &x->loaded, j->plan->team, &x->in);
}

/* ---- statistics ---- */

static uint32_t its_needs(const lb_block_walk *x, int32_t i) {
    if (!x->read[i].reader) return 0;
    return lb_plan_solved_on(x->j->cell, lb_method_needs(method_of(x), x->input[i].opts));
}

/* Statistics of an input that the method needs; if it compresses, also what the stages after it need. */
static uint32_t needs_of(const lb_block_walk *x, int32_t i) {
    uint32_t needs = its_needs(x, i);
    if (method_of(x)->needs & LB_PRESERVES) return needs;
    for (int32_t k = 0; k < x->in.sites; k++)
        if (x->in.site[k].quantize && x->in.site[k].input == i)
            needs |= lb_plan_collected(x->j->cell, x->j->cell->layer[x->first + k].needs);
    return needs;
}

static lb_status give(lb_block_walk *x, int32_t i, lb_stats stats) {
    lb_kept *kept = LB_NEW(x->arena, lb_kept, 1);
    if (!kept) return LB_E_NOMEM;
    kept->arena = x->arena;
    x->stats[i] = stats;
    lb_stats weighed = lb_plan_weighed(x->j->cell, &stats);
    x->given[i] = lb_stats_only(&weighed, its_needs(x, i) & LB_NEEDS_STATISTICS);
    x->given[i].kept = x->input[i].kept = kept;
    if (its_needs(x, i)) x->input[i].stats = &x->given[i];
    return LB_OK;
}

lb_status lb_block_walk_collect(lb_block_walk *x, bool advance) {
    lb_wanted *want = LB_NEW(x->arena, lb_wanted, x->in.inputs + 1);
    lb_collected *got = LB_NEW(x->arena, lb_collected, x->in.inputs + 1);
    int32_t n = 0;
    if (!want || !got) return LB_E_NOMEM;
    for (int32_t i = 0; i < x->in.inputs; i++)
        if (needs_of(x, i)) want[n++] = lb_plan_wanted(x->j->cell, x->read[i].input[0], needs_of(x, i));
    if (advance)
        LB_TRY(lb_stream_collect_advance(x->stream, &x->loaded, want, n, x->arena, got));
    else if (n)
        LB_TRY(lb_stream_collect(x->stream, &x->loaded, want, n, x->arena, got));
    for (int32_t i = 0, at = 0; i < x->in.inputs; i++)
        if (needs_of(x, i)) LB_TRY(give(x, i, lb_collected_stats(&got[at++])));
    return LB_OK;
}

lb_status lb_block_walk_original(lb_block_walk *x) {
    for (int32_t i = 0; i < x->in.inputs; i++) {
        lb_stats stats;
        if (!needs_of(x, i)) continue;
        LB_TRY(lb_stats_file_get(x->j->stats, x->read[i].input[0], needs_of(x, i), x->arena, &stats));
        LB_TRY(give(x, i, stats));
    }
    return LB_OK;
}

/* ---- the method ---- */

lb_status lb_block_walk_call(lb_block_walk *x, lb_block_out *out) {
    const lb_method *m = method_of(x);
    *out =
        (lb_block_out){LB_NEW(x->arena, lb_layer, x->in.sites + 1), LB_NEW(x->arena, lb_transform, x->in.inputs + 1)};
    if (!out->layer || !out->T) return LB_E_NOMEM;
    lb_arena_mark mark = lb_arena_save(x->in.scratch);
    lb_status st = m->block(&x->in, lb_method_stage_opts(x->j->cell->method, x->stage, x->j->cell->opts), out);
    lb_arena_restore(x->in.scratch, mark);
    return st;
}

void lb_block_walk_end(lb_block_walk *x) {
    lb_free(x->buffer);
    x->buffer = NULL;
}
