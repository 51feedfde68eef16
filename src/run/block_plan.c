#include "run/block_plan.h"

#include <assert.h>
#include <string.h>

/* ---- inputs ---- */

/* A site of a block: their layers are the cell's first, in the same order. */
static lb_layer_plan *layer_of(const lb_net *n, const lb_cell *c, int32_t site) {
    lb_layer_plan *l = &c->layer[site - n->span[0].site];
    assert(l->site == site);
    return l;
}

/* Do two layers have the same options of a stage? */
static lb_status same_options(const lb_cell *c, size_t stage, const lb_layer_plan *a, const lb_layer_plan *b,
                              const char **differs) {
    const lb_options *t = c->method->stages ? c->method->stage[stage].options : &c->method->options;
    const void *x = lb_method_stage_opts(c->method, stage, a->opts),
               *y = lb_method_stage_opts(c->method, stage, b->opts);
    *differs = NULL;
    for (size_t i = 0; x != y && i < t->n && !*differs; i++) {
        lb_str one = {0}, other = {0};
        lb_options_text(&t->table[i], x, &one);
        lb_options_text(&t->table[i], y, &other);
        lb_status st = lb_str_check(one.failed ? &one : &other);
        if (st == LB_OK && strcmp(one.s ? one.s : "", other.s ? other.s : "") != 0) *differs = t->table[i].name;
        lb_str_free(&one);
        lb_str_free(&other);
        LB_TRY(st);
    }
    return LB_OK;
}

/* The first stage from `from` on that has an option of this name; NULL: none. */
static const char *also_of(const lb_cell *c, size_t from, const char *option) {
    for (size_t i = from; i < lb_method_stages(c->method); i++)
        if (lb_options_find(c->method->stage[i].options, option)) return lb_method_stage(c->method, i)->name;
    return NULL;
}

static lb_status differ(const lb_cell *c, size_t stage, const lb_read *r, const lb_layer_plan *l, const char *option) {
    const char *other = also_of(c, stage + 1, option);
    lb_status st =
        lb_fail(LB_E_UNSUPPORTED, "layers %s and %s read one input: rules must not give them different %s of %s",
                r->reader->name, l->name, option, lb_method_stage(c->method, stage)->name);
    if (!other) return st;
    return lb_fail(st, "%s (%s.%s in a rule means that stage alone)", lb_error(), other, option);
}

/* A reader that is to be quantized; the options of all of them at stages that preserve must be the same. */
static lb_status add_reader(const lb_cell *c, lb_read *r, const lb_layer_plan *l) {
    const char *differs = NULL;
    if (!r->reader) {
        r->reader = l;
        return LB_OK;
    }
    for (size_t i = 0; i < lb_method_stages(c->method); i++) {
        const lb_method *m = lb_method_stage(c->method, i);
        if (!(m->needs & LB_PRESERVES)) continue;
        LB_TRY(same_options(c, i, r->reader, l, &differs));
        if (differs) return differ(c, i, r, l, differs);
    }
    return LB_OK;
}

/* Rows that channels come from, counted as they are met: those of v begin in the middle where q, k and v are one. */
static lb_status number_ties(lb_arena *a, const lb_fold *f, const int32_t **out) {
    int32_t rows = 0, met = 0;
    for (int64_t c = 0; c < f->cols; c++)
        if (f->channel[c] >= rows) rows = f->channel[c] + 1;
    int32_t *number = LB_NEW(a, int32_t, rows), *tied = LB_NEW(a, int32_t, f->cols); /* one more than the number */
    if (!number || !tied) return LB_E_NOMEM;
    for (int64_t c = 0; c < f->cols; c++) {
        int32_t *its = &number[f->channel[c]];
        if (!*its) *its = ++met;
        tied[c] = *its - 1;
    }
    *out = tied;
    return LB_OK;
}

static lb_status make_read(lb_arena *a, const lb_net *n, const lb_cell *c, bool apart, int32_t input, lb_read *r) {
    if (!apart) LB_TRY(lb_fold_of(a, n, input, &r->fold));
    r->input = r->fold.input;
    r->inputs = r->fold.inputs;
    if (!r->inputs) {
        int32_t *own = LB_NEW(a, int32_t, 1);
        if (!own) return LB_E_NOMEM;
        *own = input;
        r->input = own;
        r->inputs = 1;
    }
    const lb_layer_plan *first = layer_of(n, c, n->reader[n->input[r->input[0]].first]);
    r->in = (lb_block_input){.name = first->name,
                             .role = first->type,
                             .cols = n->input[input].cols,
                             .sequences = c->sequences.n,
                             .length = c->sequences.length,
                             .section = lb_net_section_of(n, r->input[0]),
                             .foldable = r->fold.by != LB_SCALED_NOT,
                             .behind_norm = r->fold.by == LB_SCALED_PARAMETER};
    if (r->fold.tied) LB_TRY(number_ties(a, &r->fold, &r->in.tied));
    for (int32_t i = 0; i < r->inputs; i++) {
        const lb_net_input *in = &n->input[r->input[i]];
        for (int32_t k = 0; k < in->sites; k++) {
            const lb_layer_plan *l = layer_of(n, c, n->reader[in->first + k]);
            if (l->quantize) LB_TRY(add_reader(c, r, l));
        }
    }
    r->in.quantize = r->reader != NULL;
    return LB_OK;
}

static bool is_among(const lb_read *r, int32_t input) {
    for (int32_t i = 0; i < r->inputs; i++)
        if (r->input[i] == input) return true;
    return false;
}

lb_status lb_block_reads(lb_arena *a, const lb_net *n, const lb_cell *c, int64_t block, bool apart, lb_read **out,
                         int32_t *reads) {
    int32_t first, inputs = lb_net_inputs(n, block, &first);
    *reads = 0;
    if (!(*out = LB_NEW(a, lb_read, inputs + 1))) return LB_E_NOMEM;
    for (int32_t i = first; i < first + inputs; i++) {
        bool known = false;
        for (int32_t k = 0; k < *reads; k++) known = known || is_among(&(*out)[k], i);
        if (!known) LB_TRY(make_read(a, n, c, apart, i, &(*out)[(*reads)++]));
    }
    return LB_OK;
}

/* ---- stages ---- */

const void *lb_block_read_opts(const lb_cell *c, size_t stage, const lb_read *r) {
    return lb_method_stage_opts(c->method, stage, r->reader ? r->reader->opts : c->opts);
}

uint32_t lb_block_stage_needs(const lb_cell *c, size_t stage) {
    const lb_method *m = lb_method_stage(c->method, stage);
    uint32_t needs = 0;
    for (int64_t i = 0; i < c->layers; i++)
        if (c->layer[i].quantize && c->layer[i].method == c->method)
            needs |= lb_method_needs(m, lb_method_stage_opts(c->method, stage, c->layer[i].opts));
    return needs;
}

/* T of a stage after what is kept so far. */
static lb_status join(const lb_cell *c, size_t stage, const lb_read *r, bool fold, const lb_storage *own,
                      lb_storage *kept) {
    const char *name = lb_method_stage(c->method, stage)->name;
    if (!fold && !lb_storage_transforms(own)) return LB_OK;
    if (fold && lb_storage_transforms(own))
        return lb_fail(LB_E_ARG, "stage %s: the input of %s: folded or kept, not both", name, r->in.name);
    if (fold && !r->in.foldable)
        return lb_fail(LB_E_ARG, "stage %s: the input of %s: nothing can be folded into what makes it", name,
                       r->in.name);
    if (kept->t_hadamard || kept->t_sign)
        return lb_fail(LB_E_UNSUPPORTED,
                       "stage %s: the input of %s is rotated already: that stage comes last of those that "
                       "prepare a model",
                       name, r->in.name);
    if (kept->t_scale && own->t_scale && (kept->t_scale_type != LB_SCALE_F32 || own->t_scale_type != LB_SCALE_F32))
        return lb_fail(LB_E_UNSUPPORTED,
                       "stage %s: the input of %s has a scale already: one in float32 can be joined with "
                       "another",
                       name, r->in.name);
    if (own->t_scale) kept->t_scale = true, kept->t_scale_type = own->t_scale_type;
    kept->t_hadamard = own->t_hadamard;
    kept->t_sign = own->t_sign;
    return LB_OK;
}

lb_block_input lb_block_read_seen(const lb_cell *c, size_t stage, const lb_read *r) {
    lb_block_input seen = r->in;
    seen.opts = lb_block_read_opts(c, stage, r);
    /* A scale in front of a rotation could be folded, but the statistics are those behind it. */
    if (r->kept.t_hadamard || r->kept.t_sign) seen.foldable = seen.behind_norm = false, seen.tied = NULL;
    return seen;
}

lb_status lb_block_read_stage(const lb_cell *c, size_t stage, lb_read *r, lb_storage *own, bool *fold) {
    const lb_method *m = lb_method_stage(c->method, stage);
    *own = (lb_storage){0};
    *fold = false;
    if (!r->in.quantize) return LB_OK;
    const lb_block_input seen = lb_block_read_seen(c, stage, r);
    lb_status st = m->spec_input(seen.opts, &seen, own, fold);
    if (st != LB_OK) return st == LB_E_NOMEM ? st : lb_fail_in(st, "stage %s: the input of %s", m->name, r->in.name);
    return join(c, stage, r, *fold, own, &r->kept);
}

/* ---- a cell ---- */

static void mark_slot(const lb_net *n, lb_cell *c, int64_t block, int32_t site, int32_t vector) {
    for (int32_t i = n->span[block].slot; i < n->span[block + 1].slot; i++)
        if (site >= 0 ? n->slot[i].site == site : vector >= 0 && n->slot[i].vector == vector) c->changed[i] = true;
}

static void mark_fold(const lb_net *n, lb_cell *c, int64_t block, const lb_read *r) {
    mark_slot(n, c, block, r->fold.site, -1);
    mark_slot(n, c, block, -1, r->fold.weight);
    mark_slot(n, c, block, -1, r->fold.bias);
    for (int32_t i = 0; i < r->inputs; i++) {
        const lb_net_input *in = &n->input[r->input[i]];
        for (int32_t k = 0; k < in->sites; k++) mark_slot(n, c, block, n->reader[in->first + k], -1);
    }
}

static lb_status store_kept(const lb_net *n, lb_cell *c, const lb_read *r) {
    for (int32_t i = 0; i < r->inputs; i++) {
        const lb_net_input *in = &n->input[r->input[i]];
        for (int32_t k = 0; k < in->sites; k++) {
            lb_layer_plan *l = layer_of(n, c, n->reader[in->first + k]);
            if (!l->quantize) continue;
            lb_storage_take_transform(&l->storage, &r->kept);
            lb_status st = lb_storage_size(&l->storage, l->rows, l->cols, &l->size);
            if (st != LB_OK) return lb_fail_in(st, "layer %s", l->name);
        }
    }
    return LB_OK;
}

/* changes: of stages, which of them change an input. */
static lb_status plan_block(lb_arena *a, const lb_net *n, lb_cell *c, int64_t block, bool *changes) {
    lb_read *r;
    int32_t reads;
    LB_TRY(lb_block_reads(a, n, c, block, false, &r, &reads));
    for (int32_t i = 0; i < reads; i++) {
        for (size_t s = 0; s < lb_method_preserving(c->method); s++) {
            lb_storage own;
            bool fold;
            LB_TRY(lb_block_read_stage(c, s, &r[i], &own, &fold));
            if (fold) mark_fold(n, c, block, &r[i]);
            if (fold || lb_storage_transforms(&own)) changes[s] = true;
        }
        if (lb_storage_transforms(&r[i].kept)) LB_TRY(store_kept(n, c, &r[i]));
    }
    return LB_OK;
}

static lb_status check_changes(const lb_cell *c, const bool *changes) {
    for (size_t s = 0; s < lb_method_preserving(c->method); s++)
        if (!changes[s])
            return lb_fail(LB_E_UNSUPPORTED,
                           "stage %s changes nothing here: it applies to no input of the layers to quantize",
                           lb_method_stage(c->method, s)->name);
    return LB_OK;
}

lb_status lb_plan_preserving(lb_arena *a, const lb_net *n, lb_cell *c) {
    lb_arena *scratch = NULL;
    if (!c->method || !lb_method_preserving(c->method)) return LB_OK;
    bool *changes = LB_NEW(a, bool, lb_method_stages(c->method));
    if (!changes || !(c->changed = LB_NEW(a, bool, n->slots + 1))) return LB_E_NOMEM;
    LB_TRY(lb_arena_new(0, &scratch));
    lb_arena_mark empty = lb_arena_save(scratch);
    lb_status st = LB_OK;
    for (int64_t b = 0; b < n->blocks && st == LB_OK; b++) {
        st = plan_block(scratch, n, c, b, changes);
        if (st != LB_OK && st != LB_E_NOMEM) st = lb_fail_in(st, "block %lld", (long long)b);
        lb_arena_restore(scratch, empty);
    }
    lb_arena_free(scratch);
    return st == LB_OK ? check_changes(c, changes) : st;
}
