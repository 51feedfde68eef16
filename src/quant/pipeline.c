/* Stages one after another as one method: their options in one table and one struct, their layers handed on. Those that
 * preserve what the model computes make no layer: run/ has the whole model go through them first. */
#include <string.h>

#include "base/rng.h"
#include "quant/method.h"

size_t lb_method_stages(const lb_method *m) { return m->stages ? m->stages : 1; }
const lb_method *lb_method_stage(const lb_method *m, size_t i) { return m->stages ? m->stage[i].method : m; }

static const void *opts_of(const lb_stage *s, const void *opts) { return (const char *)opts + s->offset; }
const void *lb_method_stage_opts(const lb_method *m, size_t i, const void *opts) {
    return m->stages ? opts_of(&m->stage[i], opts) : opts;
}

static bool preserves(const lb_method *m) { return (m->needs & LB_PRESERVES) != 0; }

size_t lb_method_preserving(const lb_method *m) {
    size_t n = 0;
    while (n < lb_method_stages(m) && preserves(lb_method_stage(m, n))) n++;
    return n;
}

static uint32_t needs_from(const lb_method *m, size_t first, const void *opts) {
    uint32_t needs = 0;
    for (size_t i = first; i < lb_method_stages(m); i++) {
        const lb_method *one = lb_method_stage(m, i);
        const void *own = lb_method_stage_opts(m, i, opts);
        uint32_t its = one->needs;
        if (one->needs_of) its &= one->needs_of(own) | ~(uint32_t)LB_NEEDS_STATISTICS;
        needs |= its & LB_NEEDS_HESSIAN ? its : its & ~(uint32_t)LB_FACTORS_HESSIAN;
    }
    return needs;
}

uint32_t lb_method_needs(const lb_method *m, const void *opts) { return needs_from(m, 0, opts); }

uint32_t lb_method_layer_needs(const lb_method *m, const void *opts) {
    return needs_from(m, lb_method_preserving(m), opts);
}

/* ---- making one ---- */

/* Does a stage before this one make a layer? */
static bool goes_on(const lb_method *const *method, size_t i) {
    while (i > 0)
        if (!preserves(method[--i])) return true;
    return false;
}

static const lb_options *options_at(const lb_method *const *method, size_t i) {
    return method[i]->later.table && goes_on(method, i) ? &method[i]->later : &method[i]->options;
}

static bool elsewhere(const lb_method *const *method, size_t n, size_t mine, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (i != mine && lb_options_find(options_at(method, i), name)) return true;
    return false;
}

static lb_status add_options(lb_arena *a, const lb_method *const *method, size_t n, size_t i, const lb_stage *s,
                             lb_option *table) {
    for (size_t k = 0; k < s->options->n; k++) {
        lb_option *o = &table[s->first + k];
        *o = s->options->table[k];
        o->offset += s->offset;
        if (!elsewhere(method, n, i, o->name)) continue;
        if (!(o->name = lb_arena_printf(a, "%s.%s", s->method->name, o->name))) return LB_E_NOMEM;
    }
    return LB_OK;
}

static lb_status name_of(lb_arena *a, const lb_method *const *method, size_t n, const char **out) {
    lb_str s = {0};
    for (size_t i = 0; i < n; i++) lb_str_add(&s, "%s%s", i ? "+" : "", method[i]->name);
    lb_status st = lb_str_check(&s);
    if (st == LB_OK && !(*out = lb_arena_strdup(a, s.s))) st = LB_E_NOMEM;
    lb_str_free(&s);
    return st;
}

/* Its diagnostics, behind those of the stages before. */
static lb_status add_diagnostics(lb_arena *a, const lb_method *const *method, size_t n, size_t i, const lb_stage *s,
                                 lb_diagnostic *table) {
    const lb_diagnostics *own = &method[i]->diagnostics;
    for (size_t k = 0; k < own->n; k++) {
        lb_diagnostic *d = &table[s->told + k];
        bool twice = false;
        *d = own->table[k];
        for (size_t other = 0; other < n; other++)
            twice = twice || (other != i &&
                              lb_diagnostics_find(&method[other]->diagnostics, d->name) < method[other]->diagnostics.n);
        if (twice && !(d->name = lb_arena_printf(a, "%s.%s", s->method->name, d->name))) return LB_E_NOMEM;
    }
    return LB_OK;
}

lb_status lb_pipeline_new(lb_arena *a, const lb_method *const *method, size_t n, const lb_method **out) {
    enum { ALIGN = sizeof(int64_t) };
    size_t options = 0, size = 0, told = 0;
    lb_method *m = LB_NEW(a, lb_method, 1);
    lb_stage *stage = LB_NEW(a, lb_stage, n);
    if (!m || !stage) return LB_E_NOMEM;
    uint32_t needs = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++)
            if (method[k] == method[i])
                return lb_fail(LB_E_ARG, "method %s twice: a stage can only add what is not there", method[i]->name);
        stage[i] = (lb_stage){method[i], options_at(method, i), size, options, told};
        told += method[i]->diagnostics.n;
        options += stage[i].options->n;
        size += (method[i]->options.struct_size + ALIGN - 1) / ALIGN * ALIGN;
        needs |= method[i]->needs & ~(uint32_t)(LB_NEEDS_TRAINER | LB_PRESERVES);
    }
    if (told > LB_DIAGNOSTICS_MOST)
        return lb_fail(LB_E_ARG, "stages with %zu diagnostics in all: there is room for %d", told, LB_DIAGNOSTICS_MOST);
    lb_option *table = LB_NEW(a, lb_option, options + 1);
    lb_diagnostic *diagnostic = LB_NEW(a, lb_diagnostic, told + 1);
    if (!table || !diagnostic) return LB_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        LB_TRY(add_options(a, method, n, i, &stage[i], table));
        LB_TRY(add_diagnostics(a, method, n, i, &stage[i], diagnostic));
    }
    *m = (lb_method){.api = LB_METHOD_API,
                     .summary = "stages one after another",
                     .needs = needs,
                     .options = {table, options, size},
                     .diagnostics = {diagnostic, told},
                     .stage = stage,
                     .stages = n};
    LB_TRY(name_of(a, method, n, &m->name));
    *out = m;
    return LB_OK;
}

/* ---- what it does ---- */

static lb_status in_stage(lb_status st, const lb_stage *s) {
    return st == LB_OK || st == LB_E_NOMEM ? st : lb_fail_in(st, "stage %s", s->method->name);
}

/* Preserving stages first, then one that starts a layer, then those that go on from it. */
static lb_status check_order(const lb_method *m, size_t i) {
    const lb_method *one = m->stage[i].method;
    size_t first = lb_method_preserving(m);
    if (one->model)
        return lb_fail(LB_E_UNSUPPORTED, "stage %s works on the whole network: stages go through one layer together",
                       one->name);
    if (i < first) return LB_OK;
    if (preserves(one))
        return lb_fail(LB_E_UNSUPPORTED,
                       "stage %s prepares the model that is compressed: it must come before %s, which compresses it",
                       one->name, m->stage[i - 1].method->name);
    if (i > first && one->block)
        return lb_fail(LB_E_UNSUPPORTED,
                       "stage %s compresses blocks: it cannot go on from what %s made of their layers", one->name,
                       m->stage[i - 1].method->name);
    if (i > first && !one->extend)
        return lb_fail(LB_E_UNSUPPORTED, "stage %s only starts a layer: it cannot go on from what %s made", one->name,
                       m->stage[i - 1].method->name);
    return LB_OK;
}

static lb_status check_stage(const lb_method *m, size_t i, const void *opts) {
    const lb_stage *s = &m->stage[i];
    LB_TRY(check_order(m, i));
    if (!s->method->check || s->options != &s->method->options) return LB_OK;
    return in_stage(s->method->check(opts_of(s, opts)), s);
}

lb_status lb_method_check(const lb_method *m, const void *opts) {
    if (lb_method_preserving(m) == lb_method_stages(m))
        return lb_fail(LB_E_UNSUPPORTED,
                       "%s prepares a model and compresses nothing: put it before a method that does, as a stage",
                       m->name);
    if (!m->stages) return m->check ? m->check(opts) : LB_OK;
    for (size_t i = 0; i < m->stages; i++) LB_TRY(check_stage(m, i, opts));
    return LB_OK;
}

lb_status lb_method_own(const lb_method *m, const void *opts, const void *own, const char *layer) {
    for (size_t i = 0; i < lb_method_stages(m); i++) {
        const lb_method *one = lb_method_stage(m, i);
        if (one->per_layer)
            LB_TRY(lb_options_own(&one->options, lb_method_stage_opts(m, i, opts), lb_method_stage_opts(m, i, own),
                                  one->per_layer, layer, one->model ? "the whole training" : "the whole block"));
    }
    return LB_OK;
}

static lb_status spec_stage(const lb_stage *s, const void *opts, int64_t rows, int64_t cols, const lb_storage *so_far,
                            lb_storage *out) {
    const void *mine = opts_of(s, opts);
    LB_TRY(in_stage(so_far ? s->method->extend(mine, so_far, rows, cols, out) : s->method->spec(mine, rows, cols, out),
                    s));
    if (so_far) lb_storage_take_transform(out, so_far);
    return LB_OK;
}

/* A layer is measured in the coordinates of its target, which stages that preserve change for all alike. */
static lb_status no_transform(const lb_method *m, const lb_storage *s) {
    if (!lb_storage_transforms(s)) return LB_OK;
    return lb_fail(LB_E_ARG,
                   "method %s: its spec has a transform of the input: only a stage that preserves what the model "
                   "computes makes one",
                   m->name);
}

lb_status lb_method_spec(const lb_method *m, const void *opts, int64_t rows, int64_t cols, lb_storage *out) {
    return lb_method_spec_until(m, opts, lb_method_stages(m), rows, cols, out);
}

lb_status lb_method_spec_until(const lb_method *m, const void *opts, size_t n, int64_t rows, int64_t cols,
                               lb_storage *out) {
    lb_storage so_far;
    if (!m->stages && m->spec) {
        LB_TRY(m->spec(opts, rows, cols, out));
        return no_transform(m, out);
    }
    LB_TRY(lb_method_check(m, opts));
    for (size_t first = lb_method_preserving(m), i = first; i < n; i++) {
        LB_TRY(spec_stage(&m->stage[i], opts, rows, cols, i > first ? &so_far : NULL, out));
        so_far = *out;
    }
    return no_transform(m, out);
}

/* Each stage has its own place for what calls on one H share. */
static lb_status kept_of(const lb_method *m, const lb_stats *stats, lb_kept **out) {
    lb_kept *all = stats ? stats->kept : NULL;
    *out = NULL;
    if (!all) return LB_OK;
    if (!all->data) {
        lb_kept *each = LB_NEW(all->arena, lb_kept, m->stages);
        if (!each) return LB_E_NOMEM;
        for (size_t i = 0; i < m->stages; i++) each[i].arena = all->arena;
        all->data = each;
    }
    *out = all->data;
    return LB_OK;
}

/* What a stage says of the layer adds to what the ones before said. */
static void carry(const lb_layer *before, lb_layer *after) {
    after->flags |= before->flags;
    if (lb_actquant_is_static(&after->storage.act) && after->act_scale == 0) {
        after->act_scale = before->act_scale;
        after->act_zero = before->act_zero;
    }
}

/* What it tells goes to its places among all; the next stage's places start from 0 again. */
static void take_told(const lb_stage *s, lb_layer *made, lb_told *all) {
    for (size_t i = 0; i < s->method->diagnostics.n; i++)
        if (lb_is_told(&made->told, i)) lb_tell(all, s->told + i, made->told.value[i]);
    made->told = (lb_told){0};
}

static lb_status run_stage(const lb_stage *s, const lb_layer_in *in, const void *opts, lb_layer *out) {
    lb_storage want;
    LB_TRY(spec_stage(s, opts, in->W.rows, in->W.cols, in->so_far ? &in->so_far->storage : NULL, &want));
    lb_arena_mark mark = lb_arena_save(in->scratch);
    lb_status st = s->method->layer(in, opts_of(s, opts), out);
    lb_arena_restore(in->scratch, mark);
    LB_TRY(st);
    if (in->so_far) lb_layer_take_transform(out, in->so_far);
    bool shaped = out->rows == in->W.rows && out->cols == in->W.cols;
    if (!shaped || !lb_storage_same(&out->storage, &want))
        return lb_fail(LB_E_ARG, "layer %s: stage %s made a layer that is not stored as it said", in->name,
                       s->method->name);
    st = lb_told_check(&out->told, &s->method->diagnostics, LB_E_ARG);
    return st == LB_OK ? st : lb_fail_in(st, "layer %s: stage %s", in->name, s->method->name);
}

lb_status lb_layer_in_check(const lb_layer_in *in, const char *method, bool stats) {
    int64_t cols = in->W.cols;
    if (stats && (!in->stats || in->stats->H.rows != cols || in->stats->H.cols != cols))
        return lb_fail(LB_E_ARG, "layer %s: %s needs H of %lld columns", in->name, method, (long long)cols);
    int64_t bad = lb_mat_first_bad(in->W);
    if (bad < 0) return LB_OK;
    return lb_fail(LB_E_NUMERIC, "layer %s: weight at row %lld, column %lld is NaN or infinite", in->name,
                   (long long)(bad / cols), (long long)(bad % cols));
}

lb_status lb_method_layer(const lb_method *m, const lb_layer_in *in, const void *opts, lb_layer *out) {
    lb_kept *kept;
    lb_layer so_far = {0};
    lb_told told = {0};
    if (!m->stages && m->layer) return m->layer(in, opts, out);
    if (!m->stages) { /* block scope: the layer is there */
        *out = *in->so_far;
        return LB_OK;
    }
    LB_TRY(kept_of(m, in->stats, &kept));
    bool started = in->so_far != NULL; /* by a stage of block scope */
    if (started) {
        so_far = *in->so_far;
        take_told(&m->stage[lb_method_preserving(m)], &so_far, &told);
    }
    for (size_t i = lb_method_preserving(m) + started; i < m->stages; i++) {
        const lb_stage *s = &m->stage[i];
        uint32_t needs = lb_method_needs(s->method, opts_of(s, opts));
        lb_stats stats = in->stats ? lb_stats_only(in->stats, needs) : (lb_stats){0};
        lb_layer_in one = *in;
        lb_rng r = lb_rng_make(in->seed, i);
        lb_layer made = {0};
        stats.kept = kept ? &kept[i] : NULL;
        one.stats = in->stats && needs & LB_NEEDS_STATISTICS ? &stats : NULL;
        one.seed = lb_rng_u64(&r);
        one.so_far = started ? &so_far : NULL;
        LB_TRY(run_stage(s, &one, opts, &made));
        carry(&so_far, &made);
        take_told(s, &made, &told);
        so_far = made;
        started = true;
    }
    *out = so_far;
    out->told = told;
    return LB_OK;
}
