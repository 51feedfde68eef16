/* Each cell's layers: options after rules, storage, exact sizes, refusals. */
#include <string.h>

#include "result/figures.h"
#include "result/provenance.h"
#include "run/plan.h"

typedef struct planner {
    lb_plan *p;
    lb_cell *c;
    const char *const *name; /* of the blocks' layers, in order */
} planner;

static lb_status refuse(lb_plan *p, lb_cell *c, const char *why) {
    c->refused = true;
    c->reason = lb_arena_strdup(p->arena, why);
    return c->reason ? LB_OK : LB_E_NOMEM;
}

/* One layer; `name` stays. `also`: a second name that rules may use, or NULL. */
static lb_status plan_layer(planner *x, const char *name, const char *also, int64_t block, const char *type,
                            int64_t rows, int64_t cols, bool wanted) {
    lb_layer_plan *l = &x->c->layer[x->c->layers++];
    *l = (lb_layer_plan){.name = name, .block = block, .type = type, .rows = rows, .cols = cols};
    if (!x->c->method || !wanted) return LB_OK;
    const char *names[] = {name, also};
    bool skip = false;
    LB_TRY(lb_sweep_layer_options(x->p->arena, x->p->config, x->c, names, also ? 2 : 1, &skip, &l->opts, NULL));
    LB_TRY(x->c->method->spec(l->opts, rows, cols, &l->storage));
    if (lb_storage_wider(&l->storage, cols))
        return lb_fail(LB_E_UNSUPPORTED, "layer %s has %lld columns: a group of %lld does not fit", name,
                       (long long)cols, (long long)l->storage.group);
    l->asked = !skip;
    l->quantize = l->asked && !lb_storage_dense(&l->storage);
    return l->quantize ? lb_storage_size(&l->storage, rows, cols, &l->size) : LB_OK;
}

static lb_status plan_ends(planner *x) {
    const lb_arch *a = &x->p->model->arch;
    const lb_cell *c = x->c;
    bool embed = c->method && c->own.quantize_embedding, head = c->method && c->own.quantize_head;
    if (a->tied) return embed || head ? plan_layer(x, "head", "embed", -1, "head", a->vocab, a->dim, true) : LB_OK;
    if (embed && c->needs_hessian)
        return lb_fail(LB_E_UNSUPPORTED,
                       "quantize_embedding: an embedding reads token numbers and has no input "
                       "statistics, which method %s needs",
                       c->method->name);
    if (embed) LB_TRY(plan_layer(x, "embed", NULL, -1, "embed", a->vocab, a->dim, true));
    return head ? plan_layer(x, "head", NULL, -1, "head", a->vocab, a->dim, true) : LB_OK;
}

static lb_status plan_all(planner *x) {
    const lb_arch *a = &x->p->model->arch;
    x->c->layer = LB_NEW(x->p->arena, lb_layer_plan, a->layers * LB_LINEARS + 2);
    if (!x->c->layer) return LB_E_NOMEM;
    x->c->layers = 0;
    for (int64_t b = 0; b < a->layers; b++) {
        for (int l = 0; l < LB_LINEARS; l++) {
            int64_t rows = 0, cols = 0;
            lb_linear_shape(a, (lb_linear)l, &rows, &cols);
            LB_TRY(plan_layer(x, x->name[b * LB_LINEARS + l], NULL, b, lb_linear_name[l], rows, cols, true));
        }
    }
    return plan_ends(x);
}

/* The matrix of the model file that a layer of the plan is. */
static const lb_layer_plan *layer_of(const lb_cell *c, const lb_model *m, const char *tensor) {
    const char *name = m->arch.tied && strcmp(tensor, "embed") == 0 ? "head" : tensor;
    for (int64_t i = 0; i < c->layers; i++)
        if (strcmp(c->layer[i].name, name) == 0) return &c->layer[i];
    return NULL;
}

/* Bytes of a tensor that is not quantized. One that trains is no longer what a file of 4 or 8 bits holds: 16 bits. */
static int64_t kept_bytes(const lb_cell *c, const lb_model_tensor *t, const lb_layer_plan *l) {
    int64_t fp16 = t->rows * t->cols * LB_FP16_BYTES;
    const char *which = c->trains ? lb_pairs_get(&c->options, "train") : NULL;
    bool trained = c->trains && (l || !which || strcmp(which, "linears") != 0);
    return trained && t->stored_bytes < fp16 ? fp16 : t->stored_bytes;
}

/* The whole model's size: quantized layers with all metadata, everything else as stored and at 16 bits. */
static void add_sizes(const lb_model *m, lb_cell *c) {
    lb_model_size s = {0};
    for (int64_t i = 0; i < c->layers; i++)
        if (c->layer[i].quantize) lb_model_size_layer(&s, &c->layer[i].size);
    for (int64_t i = 0; i < m->n_tensors; i++) {
        const lb_model_tensor *t = &m->tensor[i];
        const lb_layer_plan *l = layer_of(c, m, t->name);
        lb_model_size_tensor(&s, t->rows * t->cols, t->stored_bytes, l && l->quantize ? -1 : kept_bytes(c, t, l));
    }
    lb_model_size_total(&s);
    c->size = s;
}

static lb_status name_layers(lb_plan *p, const char *const **out) {
    int64_t layers = p->model->arch.layers;
    const char **name = LB_NEW(p->arena, const char *, layers *LB_LINEARS + 1);
    if (!name) return LB_E_NOMEM;
    for (int64_t i = 0; i < layers * LB_LINEARS; i++) {
        char text[LB_LAYER_NAME];
        lb_layer_name(i / LB_LINEARS, (lb_linear)(i % LB_LINEARS), text);
        if (!(name[i] = lb_arena_strdup(p->arena, text))) return LB_E_NOMEM;
    }
    *out = name;
    return LB_OK;
}

lb_status lb_plan_layers(lb_plan *p) {
    const char *const *name = NULL;
    LB_TRY(name_layers(p, &name));
    for (size_t i = 0; i < p->sweep.n; i++) {
        lb_cell *c = &p->sweep.cell[i];
        LB_TRY(lb_interrupt_check());
        if (c->refused) continue;
        planner x = {.p = p, .c = c, .name = name};
        lb_status st = plan_all(&x);
        if (st == LB_E_NOMEM) return st;
        if (st != LB_OK)
            LB_TRY(refuse(p, c, lb_error()));
        else
            add_sizes(p->model, c);
    }
    return LB_OK;
}
