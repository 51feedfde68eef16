/* Each cell's layers: options after rules, storage, exact sizes, refusals. */
#include <string.h>

#include "result/figures.h"
#include "result/provenance.h"
#include "run/block_plan.h"
#include "run/plan.h"

typedef struct planner {
    lb_plan *p;
    lb_cell *c;
    const char **name,
        **role;        /* (sites): as long as the plan, also while its model is closed; one text for all cells */
    const char **also; /* (sites + 1) */
    int64_t *place;    /* (sites) of the layer in the cell at hand */
} planner;

static lb_status refuse(lb_plan *p, lb_cell *c, const char *why) {
    c->refused = true;
    c->reason = lb_arena_strdup(p->arena, why);
    return c->reason ? LB_OK : LB_E_NOMEM;
}

/* A layer that is one with one before it: everything is as it was decided there, but that it takes no room. */
static void plan_again(const planner *x, lb_layer_plan *l, lb_layer_plan *first) {
    lb_layer_plan *all = x->c->layer;
    int64_t last = l->same_as = first - all;
    while (all[last].next >= 0) last = all[last].next;
    all[last].next = l - all;
    l->asked = first->asked;
    l->quantize = first->quantize;
    l->method = first->method;
    l->opts = first->opts;
    l->needs = first->needs;
    l->storage = first->storage;
}

static lb_status not_one(const lb_layer_plan *l, const char *name, const char *why) {
    return lb_fail(LB_E_UNSUPPORTED, "layer %s: same_as: %s %s", l->name, name, why);
}

/* The same by a rule. */
static lb_status plan_as(const planner *x, lb_layer_plan *l, const char *name) {
    lb_layer_plan *first = x->c->layer;
    while (first < l && strcmp(first->name, name) != 0) first++;
    if (x->c->trains) return not_one(l, name, "cannot be trained with it: only layers that are one in the model are");
    if (lb_net_shared(x->p->model->net) > 0) return not_one(l, name, "is in a model whose blocks share layers already");
    if (first == l) return not_one(l, name, "must be a layer before it");
    if (first->same_as >= 0) return not_one(l, name, "is itself to be one with another layer");
    if (!first->quantize) return not_one(l, name, "is not quantized, so there is nothing to share");
    if (first->rows != l->rows || first->cols != l->cols) return not_one(l, name, "has another shape");
    const lb_site *site = x->p->model->net->site;
    if (first->block == l->block && site[first->site].input > site[l->site].input) /* the turns are the inputs' */
        return not_one(l, name, "has its turn after it");
    plan_again(x, l, first);
    return LB_OK;
}

/* The names that rules may use: a layer that several blocks have answers to each of its names. */
static size_t names_of(const planner *x, int32_t site, const char *also) {
    const lb_net *n = x->p->model->net;
    size_t names = 0;
    x->also[names++] = n->site[site].name;
    if (also) x->also[names++] = also;
    for (int32_t i = site + 1; i < n->sites && n->site[site].block >= 0; i++)
        if (n->site[i].same_as == site) x->also[names++] = n->site[i].name;
    return names;
}

static bool is_embedding(const planner *x, int32_t site) { return site == x->p->model->net->embed; }

/* A table of embeddings has no inputs: a method that needs some has it rounded, with what the options have of that. */
static lb_status round_embedding(planner *x, lb_layer_plan *l) {
    lb_status st = lb_end_rounded(x->p->arena, x->c->method, l->opts, &x->c->embedding);
    if (st != LB_OK) return st == LB_E_NOMEM ? st : lb_fail_in(LB_E_UNSUPPORTED, "quantize_embedding: rounded");
    if (!x->c->embedding)
        return lb_fail(LB_E_UNSUPPORTED,
                       "quantize_embedding: an embedding reads token numbers and has no input statistics, which "
                       "method %s needs: say how it is rounded, such as embedding: {method: rtn, bits: 8}",
                       x->c->method->name);
    l->method = x->c->embedding->method;
    l->opts = x->c->embedding->opts;
    return LB_OK;
}

/* The method of the layer, and its options after rules. end: of its own, of which rules say no more than skip. */
static lb_status choose_method(planner *x, lb_layer_plan *l, const char *also, const lb_end *end, bool *skip) {
    const char *name = x->p->model->net->site[l->site].name;
    size_t names = names_of(x, l->site, also);
    l->method = x->c->method;
    LB_TRY(lb_sweep_layer_options(x->p->arena, x->p->config, x->c, x->also, names, skip, &l->opts, NULL));
    if (end) {
        l->method = end->method;
        l->opts = end->opts;
        return LB_OK;
    }
    if (*skip) return LB_OK;
    LB_TRY(lb_method_own(x->c->method, x->c->opts, l->opts, name));
    bool calls = lb_method_layer_needs(x->c->method, l->opts) & LB_NEEDS_CALIBRATION;
    return is_embedding(x, l->site) && calls ? round_embedding(x, l) : LB_OK;
}

/* One layer. `also`: a second name that rules may use, or NULL. end: what it is quantized by; NULL: the cell's method.
 */
static lb_status plan_layer(planner *x, int32_t site, const char *also, const lb_end *end) {
    const lb_site *s = &x->p->model->net->site[site];
    lb_layer_plan *l = &x->c->layer[x->c->layers];
    int64_t rows = s->rows, cols = s->cols;
    *l = (lb_layer_plan){.name = x->name[site],
                         .site = site,
                         .block = s->block,
                         .type = x->role[site],
                         .rows = rows,
                         .cols = cols,
                         .same_as = -1,
                         .next = -1};
    x->place[site] = x->c->layers++;
    if (s->block >= 0 && s->same_as >= 0) {
        plan_again(x, l, &x->c->layer[x->place[lb_net_owner(x->p->model->net, site)]]);
        return LB_OK;
    }
    if (!x->c->method) return LB_OK;
    const char *same = lb_sweep_same_as(x->p->config, x->c, s->name);
    if (!same && also) same = lb_sweep_same_as(x->p->config, x->c, also);
    if (same && s->block < 0) return not_one(l, same, "is in a block, and that is not");
    if (same) return plan_as(x, l, same);
    bool skip = s->routes ? !x->c->own.quantize_router : lb_net_between(x->p->model->net, site);
    LB_TRY(choose_method(x, l, also, end, &skip));
    l->needs = lb_method_layer_needs(l->method, l->opts);
    if ((l->needs & LB_NEEDS_STATISTICS) && !lb_plan_calibration(x->p, x->c)->corpus) /* as rules together may ask */
        return lb_fail(LB_E_UNSUPPORTED, "layer %s: method %s needs a calibration text", s->name, l->method->name);
    LB_TRY(lb_method_spec(l->method, l->opts, rows, cols, &l->storage));
    if (s->block < 0) l->storage.act = (lb_actquant){0}; /* head and embedding read theirs as it is */
    if (lb_storage_wider(&l->storage, cols))
        return lb_fail(LB_E_UNSUPPORTED, "layer %s has %lld columns: a group of %lld does not fit", s->name,
                       (long long)cols, (long long)l->storage.group);
    l->asked = !skip;
    l->quantize = l->asked && !lb_storage_plain(&l->storage);
    return l->quantize ? lb_storage_size(&l->storage, rows, cols, &l->size) : LB_OK;
}

static lb_status in_no_block(const planner *x, const char *what) {
    const lb_method *first = lb_method_stage(x->c->method, lb_method_preserving(x->c->method));
    return first->block ? lb_fail(LB_E_UNSUPPORTED, "%s: method %s makes the layers of blocks, and that is none", what,
                                  first->name)
                        : LB_OK;
}

/* A linear layer that is neither a block's nor the head: where a rule asks for it. */
static lb_status plan_between(planner *x, int32_t site) {
    const char *name = x->name[site];
    if (!lb_sweep_asks(x->p->config, x->c, name)) return LB_OK;
    LB_TRY(in_no_block(x, name));
    return plan_layer(x, site, NULL, NULL);
}

static lb_status plan_betweens(planner *x) {
    const lb_net *n = x->p->model->net;
    for (int32_t i = 0; i < n->sites && x->c->method; i++)
        if (lb_net_between(n, i)) LB_TRY(plan_between(x, i));
    return LB_OK;
}

/* What the cell says of its ends that cannot be. */
static lb_status check_ends(const planner *x, bool embed, bool head, bool tied) {
    const lb_cell *c = x->c;
    const lb_method *first = lb_method_stage(c->method, lb_method_preserving(c->method));
    const lb_end *embedding = embed ? c->embedding : NULL, *own = embedding ? embedding : head ? c->head : NULL;
    bool same = true;
    if (own && c->trains)
        return lb_fail(LB_E_UNSUPPORTED, "%s: method %s trains the whole network: %s: true has it train that too",
                       embedding ? "embedding" : "head", c->method->name,
                       embedding ? "quantize_embedding" : "quantize_head");
    if (tied && embedding && head && c->head) LB_TRY(lb_end_same(embedding, c->head, &same));
    if (!same)
        return lb_fail(LB_E_UNSUPPORTED, "embedding and head are one matrix in this model, and the two keys differ");
    bool as_cell = tied ? !own : head && !c->head;
    if (as_cell && first->block)
        return lb_fail(LB_E_UNSUPPORTED,
                       "%s: method %s makes the layers of blocks, and that is none: say how it is rounded, such as "
                       "%s: {method: rtn, bits: 8}",
                       head ? "quantize_head" : "quantize_embedding", first->name, head ? "head" : "embedding");
    if (!tied && embedding && (lb_method_layer_needs(embedding->method, embedding->opts) & LB_NEEDS_CALIBRATION))
        return lb_fail(LB_E_UNSUPPORTED,
                       "embedding: an embedding reads token numbers and has no input statistics, which method %s needs",
                       embedding->method->name);
    return LB_OK;
}

static lb_status plan_ends(planner *x) {
    const lb_net *n = x->p->model->net;
    const lb_cell *c = x->c;
    bool embed = c->method && c->own.quantize_embedding, head = c->method && c->own.quantize_head;
    bool tied = lb_net_owner(n, n->head) == n->embed;
    if (embed || head) LB_TRY(check_ends(x, embed, head, tied));
    if (embed && !tied) LB_TRY(plan_layer(x, n->embed, NULL, c->embedding));
    LB_TRY(plan_betweens(x));
    if (tied && (embed || head))
        return plan_layer(x, n->head, n->site[n->embed].name, embed && c->embedding ? c->embedding : c->head);
    return head ? plan_layer(x, n->head, NULL, c->head) : LB_OK;
}

/* Places of the diagnostics of a layer that another method makes: where the cell's have one of the name, there. */
static lb_status place_diagnostics(planner *x, lb_layer_plan *l) {
    lb_cell *c = x->c;
    const lb_diagnostics *own = &l->method->diagnostics;
    if (l->method == c->method || !own->n) return LB_OK;
    lb_diagnostic *all = LB_NEW(x->p->arena, lb_diagnostic, c->diagnostics.n + own->n);
    size_t *place = LB_NEW(x->p->arena, size_t, own->n);
    if (!all || !place) return LB_E_NOMEM;
    if (c->diagnostics.n) memcpy(all, c->diagnostics.table, c->diagnostics.n * sizeof *all);
    size_t n = c->diagnostics.n;
    for (size_t i = 0; i < own->n; i++) {
        place[i] = lb_diagnostics_find(&c->diagnostics, own->table[i].name);
        if (place[i] == c->diagnostics.n) all[place[i] = n++] = own->table[i];
    }
    if (n > LB_DIAGNOSTICS_MOST)
        return lb_fail(LB_E_UNSUPPORTED, "layer %s: with method %s there are %zu diagnostics: there is room for %d",
                       l->name, l->method->name, n, LB_DIAGNOSTICS_MOST);
    c->diagnostics = (lb_diagnostics){all, n};
    l->told = place;
    return LB_OK;
}

/* A stage of block scope has one block at hand, and other blocks would see what it does to their layers. */
static lb_status check_shared(const planner *x) {
    const lb_method *m = x->c->method;
    bool shared = false;
    for (int64_t i = 0; i < x->c->layers; i++) shared = shared || x->c->layer[i].same_as >= 0;
    for (size_t i = 0; m && shared && i < lb_method_stages(m); i++)
        if (lb_method_stage(m, i)->block)
            return lb_fail(LB_E_UNSUPPORTED, "method %s works on one block, and here blocks share layers",
                           lb_method_stage(m, i)->name);
    return LB_OK;
}

static lb_status plan_all(planner *x) {
    const lb_net *n = x->p->model->net;
    x->c->layer = LB_NEW(x->p->arena, lb_layer_plan, n->sites + 1);
    if (!x->c->layer) return LB_E_NOMEM;
    x->c->layers = 0;
    for (int32_t i = 0; i < n->sites; i++)
        if (n->site[i].block >= 0) LB_TRY(plan_layer(x, i, NULL, NULL));
    LB_TRY(check_shared(x));
    LB_TRY(plan_ends(x));
    if (x->c->method) x->c->diagnostics = x->c->method->diagnostics;
    for (int64_t i = 0; i < x->c->layers && x->c->method; i++) LB_TRY(place_diagnostics(x, &x->c->layer[i]));
    return lb_plan_preserving(x->p->arena, n, x->c);
}

int64_t lb_plan_block(const lb_plan *p, const lb_cell *c, int64_t block, int64_t *first) {
    int32_t site;
    int64_t n = lb_net_block(p->model->net, block, &site);
    *first = 0;
    while (n > 0 && c->layer[*first].site != site) ++*first;
    return n;
}

/* The matrix of the model file that a layer of the plan is. */
static const lb_layer_plan *layer_of(const lb_cell *c, const lb_model *m, int32_t slot) {
    int32_t site = m->net->slot[slot].site;
    for (int64_t i = 0; site >= 0 && i < c->layers; i++)
        if (lb_net_owner(m->net, c->layer[i].site) == site) return &c->layer[i];
    return NULL;
}

/* Is a tensor that is not quantized changed, by training or by stages that preserve? */
static bool is_changed(const lb_cell *c, int32_t slot, const lb_layer_plan *l) {
    const char *which = c->trains ? lb_pairs_get(&c->options, "train") : NULL;
    return (c->changed && c->changed[slot]) || (c->trains && (l || !which || strcmp(which, "linears") != 0));
}

/* Bytes of a tensor that is not quantized. One that changes is no longer what a file of 4 or 8 bits holds: 16 bits. */
static int64_t kept_bytes(const lb_model_tensor *t, bool changed) {
    int64_t fp16 = t->rows * t->cols * LB_FP16_BYTES;
    return changed && t->stored_bytes < fp16 ? fp16 : t->stored_bytes;
}

/* The whole model's size: quantized layers with all metadata, everything else as stored and at 16 bits. */
static void add_sizes(const lb_model *m, bool keeps, bool whole, lb_cell *c) {
    lb_model_size s = {0};
    for (int64_t i = 0; i < c->layers; i++)
        if (c->layer[i].quantize) lb_model_size_layer(&s, &c->layer[i].size);
    for (int32_t i = 0; i < m->net->slots; i++) {
        const lb_model_tensor *t = &m->tensor[i];
        const lb_layer_plan *l = layer_of(c, m, i);
        bool quantized = l && l->quantize, changed = !quantized && is_changed(c, i, l);
        if (keeps && (changed || (whole && !quantized))) c->kept += t->rows * t->cols * (int64_t)sizeof(float);
        lb_model_size_tensor(&s, t->rows * t->cols, t->stored_bytes, quantized ? -1 : kept_bytes(t, changed));
    }
    lb_model_size_total(&s);
    c->size = s;
    if (keeps) c->kept += s.quantized.total;
}

static lb_status name_sites(planner *x) {
    const lb_net *n = x->p->model->net;
    x->name = LB_NEW(x->p->arena, const char *, n->sites + 1);
    x->role = LB_NEW(x->p->arena, const char *, n->sites + 1);
    x->also = LB_NEW(x->p->arena, const char *, n->sites + 1);
    x->place = LB_NEW(x->p->arena, int64_t, n->sites + 1);
    if (!x->name || !x->role || !x->also || !x->place) return LB_E_NOMEM;
    for (int32_t i = 0; i < n->sites; i++) {
        x->name[i] = lb_arena_strdup(x->p->arena, n->site[i].name);
        x->role[i] = lb_arena_strdup(x->p->arena, n->site[i].role);
        if (!x->name[i] || !x->role[i]) return LB_E_NOMEM;
    }
    return LB_OK;
}

lb_status lb_plan_layers(lb_plan *p) {
    planner x = {.p = p};
    LB_TRY(name_sites(&x));
    for (size_t i = 0; i < p->sweep.n; i++) {
        lb_cell *c = &p->sweep.cell[i];
        LB_TRY(lb_interrupt_check());
        if (c->refused) continue;
        x.c = c;
        lb_status st = plan_all(&x);
        if (st == LB_E_NOMEM) return st;
        if (st != LB_OK)
            LB_TRY(refuse(p, c, lb_error()));
        else
            add_sizes(p->model, p->config->keep_layers, p->config->keep_model, c);
    }
    return LB_OK;
}
