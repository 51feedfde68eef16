/* From a program's text to steps whose sites, vectors, values and rooms are known: one pass over each part. */
#include "model/net.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/net_impl.h"
#include "model/steps/reference.h"

/* ---- growing lists, in the arena ---- */

static lb_status grow(lb_arena *a, void **at, int32_t n, int32_t *room, size_t each) {
    if (n < *room) return LB_OK;
    int32_t more = *room ? *room * 2 : 64;
    void *to = lb_arena_get(a, (size_t)more, each);
    if (!to) return LB_E_NOMEM;
    if (n) memcpy(to, *at, (size_t)n * each);
    *at = to;
    *room = more;
    return LB_OK;
}
#define GROW(b, list, n) grow((b)->arena, (void **)&(b)->list, (b)->net->n, &(b)->room_of_##list, sizeof *(b)->list)

lb_status lb_build_fail(const lb_build *b, const char *text, const char *why) {
    if (b->block < 0) return lb_fail(LB_E_FORMAT, "outside the blocks: step '%s': %s", text, why);
    return lb_fail(LB_E_FORMAT, "block %lld: step '%s': %s", (long long)b->block, text, why);
}

static void name_of(const lb_build *b, const char *role, const char *end, char out[LB_SITE_NAME]) {
    if (b->expert >= 0)
        snprintf(out, LB_SITE_NAME, "%lld.expert.%lld.%s%s", (long long)b->block, (long long)b->expert, role, end);
    else if (b->block >= 0)
        snprintf(out, LB_SITE_NAME, "%lld.%s%s", (long long)b->block, role, end);
    else
        snprintf(out, LB_SITE_NAME, "%s%s", role, end);
}

/* ---- weights of another block ---- */

/* The block that is `back` blocks before this one; it is built already, so no circle can come about. */
static lb_status owner_of(const lb_build *b, const char *role, int64_t back, int64_t *owner) {
    char why[96];
    *owner = b->block - back;
    if (back > 0 && *owner >= 0 && b->block >= 0) return LB_OK;
    snprintf(why, sizeof why, "is to have the weights of block %lld: must be one before it", (long long)*owner);
    return lb_build_fail(b, role, why);
}

static lb_status not_alike(const lb_build *b, const char *role, int64_t owner, const char *there, const char *here) {
    char why[224]; /* two shapes */
    snprintf(why, sizeof why, "is to have the weights of block %lld, which has %s there, not %s", (long long)owner,
             there, here);
    return lb_build_fail(b, role, why);
}

static lb_status share_vector(const lb_build *b, lb_vector *v, int64_t back) {
    int64_t owner;
    char here[32], there[32] = "none";
    LB_TRY(owner_of(b, v->role, back, &owner));
    for (int32_t i = b->span[owner].vector; i < b->span[owner + 1].vector; i++) {
        const lb_vector *o = &b->vector[i];
        if (o->expert != v->expert || o->bias != v->bias || strcmp(o->role, v->role) != 0) continue;
        v->same_as = o->same_as >= 0 ? o->same_as : i;
        if (o->n == v->n) return LB_OK;
        snprintf(there, sizeof there, "%lld values", (long long)o->n);
    }
    snprintf(here, sizeof here, "%lld values", (long long)v->n);
    return not_alike(b, v->name, owner, there, here);
}

/* bias: it has one. */
static lb_status share_site(const lb_build *b, lb_site *s, bool bias, int64_t back) {
    int64_t owner;
    char here[64], there[64] = "none";
    LB_TRY(owner_of(b, s->role, back, &owner));
    for (int32_t i = b->span[owner].site; i < b->span[owner + 1].site; i++) {
        const lb_site *o = &b->site[i];
        if (o->expert != s->expert || strcmp(o->role, s->role) != 0) continue;
        s->same_as = o->same_as >= 0 ? o->same_as : i;
        if (o->rows == s->rows && o->cols == s->cols && (o->bias >= 0) == bias) return LB_OK;
        snprintf(there, sizeof there, "(%lld, %lld)%s", (long long)o->rows, (long long)o->cols,
                 o->bias >= 0 ? " and a bias" : "");
    }
    snprintf(here, sizeof here, "(%lld, %lld)%s", (long long)s->rows, (long long)s->cols, bias ? " and a bias" : "");
    return not_alike(b, s->name, owner, there, here);
}

/* ---- sites, vectors, inputs ---- */

static lb_status add_vector(lb_build *b, const char *role, bool bias, int64_t n, int64_t back, int32_t *id) {
    LB_TRY(GROW(b, vector, vectors));
    *id = b->net->vectors++;
    lb_vector *v = &b->vector[*id];
    *v = (lb_vector){
        .role = role, .bias = bias, .block = (int32_t)b->block, .expert = (int32_t)b->expert, .same_as = -1, .n = n};
    name_of(b, role, bias ? ".bias" : "", v->name);
    return back ? share_vector(b, v, back) : LB_OK;
}

/* The input that a value is, once a site reads it. */
static lb_status input_of(lb_build *b, int32_t value, int32_t *id) {
    lb_value *v = &b->value[value];
    if (v->input < 0) {
        LB_TRY(GROW(b, input, inputs));
        v->input = b->net->inputs++;
        b->input[v->input] =
            (lb_net_input){.block = (int32_t)b->block, .expert = (int32_t)b->expert, .value = value, .cols = v->cols};
    }
    *id = v->input;
    return LB_OK;
}

static lb_status add_site(lb_build *b, const char *role, lb_net_shape shape, int32_t input, int32_t *id) {
    lb_net *n = b->net;
    char name[LB_SITE_NAME];
    name_of(b, role, "", name);
    for (int32_t i = b->part_site; i < n->sites; i++)
        if (strcmp(b->site[i].name, name) == 0) return lb_build_fail(b, role, "a second step uses this layer");
    LB_TRY(GROW(b, site, sites));
    *id = n->sites++;
    lb_site *s = &b->site[*id];
    *s = (lb_site){.role = role,
                   .block = (int32_t)b->block,
                   .expert = (int32_t)b->expert,
                   .input = input,
                   .bias = -1,
                   .same_as = -1,
                   .rows = shape.rows,
                   .cols = shape.cols};
    memcpy(s->name, name, sizeof name);
    if (shape.back) LB_TRY(share_site(b, s, shape.bias, shape.back));
    return shape.bias ? add_vector(b, role, true, shape.rows, shape.back, &s->bias) : LB_OK;
}

/* ---- one step ---- */

static int32_t find_value(const lb_build *b, const char *name) {
    for (int32_t i = b->values - 1; i >= 0; i--)
        if (strcmp(b->value[i].name, name) == 0) return i;
    return -1;
}

static lb_status new_value(lb_build *b, const char *name, int64_t cols, int32_t born, int32_t *id) {
    if (b->values == LB_BUILD_VALUES) return lb_build_fail(b, name, "too many values");
    *id = b->values++;
    b->value[*id] = (lb_value){
        .name = name, .cols = cols, .born = born, .last = born, .input = -1, .room = LB_ROOM_PANEL, .buffer = -1};
    return LB_OK;
}

/* Operands: values are found, the one that is no value gives its shape. */
static lb_status take_operands(lb_build *b, const lb_step *s, lb_net_step *out, lb_shaping *shape) {
    for (int k = 0; s->op->operands[k]; k++) {
        char kind = s->op->operands[k];
        out->src[k] = -1;
        if (kind == 't') {
            out->token = strcmp(s->operand[k], "token") == 0;
            continue;
        }
        if (kind == 'v') {
            int32_t v = find_value(b, s->operand[k]);
            if (v < 0) return lb_build_fail(b, s->text, "reads a value that no step before it gave");
            b->value[v].last = b->steps;
            out->src[k] = v;
            shape->cols[k] = b->value[v].cols;
            continue;
        }
        lb_net_shape p = {0};
        LB_TRY(b->shapes->get(b->shapes->ctx, s->operand[k], b->block, b->expert, &p));
        shape->rows = p.rows;
        shape->width = p.cols;
        if (kind == 'w') {
            if (p.rows > 0) LB_TRY(add_vector(b, s->operand[k], false, p.rows * p.cols, p.back, &out->weight));
            if (p.rows > 0 && p.bias) LB_TRY(add_vector(b, s->operand[k], true, p.rows * p.cols, p.back, &out->bias));
            continue;
        }
        if (p.rows < 1)
            return lb_build_fail(b, s->text, kind == 'e' ? "there is no such table" : "the layer has no weights");
        int32_t input = -1;
        if (kind == 's') {
            if (p.cols != shape->cols[0]) return lb_build_fail(b, s->text, "the layer reads another number of columns");
            LB_TRY(input_of(b, out->src[0], &input));
        }
        LB_TRY(add_site(b, s->operand[k], p, input, &out->site));
        b->site[out->site].routes = b->block >= 0 && (s->op->reach == LB_BY_EXPERT || p.rows == 1);
    }
    return LB_OK;
}

static lb_status take_results(lb_build *b, const lb_step *s, lb_net_step *out, const int64_t cols[LB_STEP_RESULTS]) {
    out->into = -1;
    out->results = s->results;
    for (int k = 0; k < s->results; k++) {
        int32_t before = find_value(b, s->result[k]);
        if (s->add) {
            if (before < 0) return lb_build_fail(b, s->text, "adds to a value that no step before it gave");
            if (b->value[before].cols != cols[k]) return lb_build_fail(b, s->text, "adds another number of columns");
            b->value[before].last = b->steps;
            out->into = before;
        }
        LB_TRY(new_value(b, s->result[k], cols[k], b->steps, &out->dst[k]));
    }
    return LB_OK;
}

static lb_status add_experts(lb_build *b, const lb_step *s, lb_net_step *out, int64_t experts);

static lb_status add_step(lb_build *b, const lb_step *s) {
    lb_shaping shape = {.numbers = b->net->numbers, .block = b->block};
    int64_t cols[LB_STEP_RESULTS] = {0};
    if (b->steps == LB_BUILD_STEPS) return lb_build_fail(b, s->text, "too many steps");
    lb_net_step *out = &b->step[b->steps];
    *out = (lb_net_step){.op = s->op, .text = s->text, .site = -1, .weight = -1, .bias = -1, .rope = -1};
    for (int k = 0; s->op->arg[k].name; k++) LB_TRY(lb_step_arg(s, k, b->net->numbers, b->block, &out->arg[k]));
    LB_TRY(take_operands(b, s, out, &shape));
    const char *wrong = s->op->shape(&shape, out, cols);
    if (wrong) return lb_build_fail(b, s->text, wrong);
    if (out->rope == LB_ROPE_WANTED) LB_TRY(lb_build_rope(b, s->text, out));
    LB_TRY(take_results(b, s, out, cols));
    b->steps++;
    return s->op->reach == LB_BY_EXPERT ? add_experts(b, s, out, shape.rows) : LB_OK;
}

/* ---- parts ---- */

static void begin_part(lb_build *b) {
    b->steps = b->values = 0;
    b->part_site = b->net->sites;
}

/* What was built, moved to the arena, with its runs and rooms. `caller`: the name of the value that the caller owns. */
static lb_status end_part(lb_build *b, const char *caller, const char *leaves, lb_net_part *out) {
    int32_t leaving = find_value(b, leaves);
    if (leaving < 0) return lb_build_fail(b, leaves, "no step gives it");
    b->value[leaving].last = b->steps;
    lb_net_step *step = LB_NEW(b->arena, lb_net_step, b->steps + 1);
    lb_value *value = LB_NEW(b->arena, lb_value, b->values + 1);
    if (!step || !value) return LB_E_NOMEM;
    memcpy(step, b->step, (size_t)b->steps * sizeof *step);
    memcpy(value, b->value, (size_t)b->values * sizeof *value);
    *out = (lb_net_part){.step = step,
                         .value = value,
                         .steps = b->steps,
                         .values = b->values,
                         .entering = b->values && value[0].born < 0 ? 0 : -1,
                         .leaving = leaving};
    return lb_build_rooms(b, caller, step, value, out);
}

static lb_status add_steps(lb_build *b, const lb_steps *steps) {
    for (int64_t i = 0; i < steps->n; i++) {
        bool runs;
        LB_TRY(lb_step_runs(&steps->at[i], b->net->numbers, b->block, &runs));
        if (runs) LB_TRY(add_step(b, &steps->at[i]));
    }
    return LB_OK;
}

/* One part an expert; the part that is being built waits. */
static lb_status add_experts(lb_build *b, const lb_step *s, lb_net_step *out, int64_t experts) {
    lb_build *own = LB_NEW(b->arena, lb_build, 1);
    lb_net_part *part = LB_NEW(b->arena, lb_net_part, experts);
    int64_t cols = b->value[out->src[0]].cols;
    if (!own || !part) return LB_E_NOMEM;
    if (b->program->expert.n == 0) return lb_build_fail(b, s->text, "the program has no part for an expert");
    for (int64_t e = 0; e < experts; e++) {
        int32_t n;
        *own = *b; /* its lists go on where they are, and come back below */
        own->expert = e;
        begin_part(own);
        LB_TRY(new_value(own, "n", cols, -1, &n));
        LB_TRY(add_steps(own, &b->program->expert));
        LB_TRY(end_part(own, "n", "y", &part[e]));
        if (part[e].value[part[e].leaving].cols != cols)
            return lb_build_fail(b, s->text, "an expert's program gives no y as wide as x");
        lb_build_lists_back(b, own);
    }
    out->expert = part;
    out->n_experts = experts;
    return LB_OK;
}

static lb_status build_part(lb_build *b, const lb_steps *steps, int64_t cols, lb_net_part *out) {
    int32_t x;
    LB_TRY(lb_interrupt_check());
    begin_part(b);
    if (cols > 0) LB_TRY(new_value(b, "x", cols, -1, &x));
    LB_TRY(add_steps(b, steps));
    return end_part(b, "x", "x", out);
}

static lb_status find_head(lb_build *b, bool tied) {
    lb_net *n = b->net;
    const lb_net_part *after = &n->after;
    const lb_net_step *last = after->steps ? &after->step[after->steps - 1] : NULL;
    if (!last || strcmp(last->op->name, "head") != 0)
        return lb_fail(LB_E_FORMAT, "the program's last step must be the head");
    n->head = last->site;
    n->head_input = last->src[0];
    n->embed = -1;
    for (int32_t i = 0; i < n->before.steps && n->embed < 0; i++)
        if (n->before.step[i].token) n->embed = n->before.step[i].site;
    if (n->embed < 0) return lb_fail(LB_E_FORMAT, "no step before the blocks embeds tokens");
    if (tied) b->site[n->head].same_as = n->embed;
    return LB_OK;
}

/* Readers of each input, in program order. */
static lb_status list_readers(lb_build *b) {
    lb_net *n = b->net;
    int32_t *reader = LB_NEW(b->arena, int32_t, n->sites + 1), at = 0;
    if (!reader) return LB_E_NOMEM;
    for (int32_t i = 0; i < n->sites; i++)
        if (b->site[i].input >= 0) b->input[b->site[i].input].sites++;
    for (int32_t i = 0; i < n->inputs; i++) {
        b->input[i].first = at;
        at += b->input[i].sites;
        b->input[i].sites = 0;
    }
    for (int32_t i = 0; i < n->sites; i++) {
        if (b->site[i].input < 0) continue;
        lb_net_input *in = &b->input[b->site[i].input];
        reader[in->first + in->sites++] = i;
    }
    n->reader = reader;
    return LB_OK;
}

/* Tables that grow with the sequence are for sequences beyond the context. */
static int64_t longest(const lb_build *b) {
    const lb_number *context = lb_number_find(b->net->numbers, "context");
    for (int32_t i = 0; i < b->net->ropes; i++)
        if (b->rope[i].kind == LB_REF_ROPE_DYNAMIC) return 0;
    return context && !context->block ? (int64_t)context->all : 0;
}

lb_status lb_net_new(lb_arena *a, const lb_program *p, const lb_numbers *numbers, const lb_net_shapes *shapes,
                     bool tied, lb_net **out) {
    lb_net *n = LB_NEW(a, lb_net, 1);
    lb_net_part *block = LB_NEW(a, lb_net_part, numbers->blocks + 1);
    lb_build *b = LB_NEW(a, lb_build, 1);
    lb_net_span *span = LB_NEW(a, lb_net_span, numbers->blocks + 1);
    if (!n || !block || !b || !span) return LB_E_NOMEM;
    *n = (lb_net){.program = p, .numbers = numbers, .blocks = numbers->blocks, .block = block, .span = span};
    *b = (lb_build){.arena = a, .net = n, .program = p, .shapes = shapes, .block = -1, .expert = -1, .span = span};
    LB_TRY(build_part(b, &p->before, 0, &n->before));
    n->dim = n->before.value[n->before.leaving].cols;
    for (b->block = 0; b->block < n->blocks; b->block++) {
        span[b->block] = (lb_net_span){n->sites, n->inputs, n->vectors, 0};
        LB_TRY(build_part(b, &p->block, n->dim, &block[b->block]));
        LB_TRY(lb_build_sections(b, &block[b->block]));
    }
    span[n->blocks] = (lb_net_span){n->sites, n->inputs, n->vectors, 0};
    b->block = -1;
    LB_TRY(build_part(b, &p->after, n->dim, &n->after));
    LB_TRY(find_head(b, tied));
    n->vocab = b->site[n->head].rows;
    n->context = longest(b);
    LB_TRY(list_readers(b));
    n->site = b->site;
    n->input = b->input;
    n->vector = b->vector;
    n->rope = b->rope;
    LB_TRY(lb_build_slots(b));
    *out = n;
    return LB_OK;
}

/* The block that a name begins with, where it does with one; else n->blocks. */
static int64_t block_of(const lb_net *n, const char *name) {
    int64_t block = 0;
    const char *p = name;
    for (; *p >= '0' && *p <= '9' && block < n->blocks; p++) block = block * 10 + (*p - '0');
    return p > name && *p == '.' && block < n->blocks ? block : n->blocks;
}

int32_t lb_net_find(const lb_net *n, const char *name) {
    int64_t block = block_of(n, name);
    bool in = block < n->blocks;
    for (int32_t i = in ? n->span[block].site : 0; i < (in ? n->span[block + 1].site : n->sites); i++)
        if (strcmp(n->site[i].name, name) == 0) return i;
    return -1;
}

int32_t lb_net_block(const lb_net *n, int64_t block, int32_t *first) {
    *first = n->span[block].site;
    return n->span[block + 1].site - *first;
}

int32_t lb_net_inputs(const lb_net *n, int64_t block, int32_t *first) {
    *first = n->span[block].input;
    return n->span[block + 1].input - *first;
}

int32_t lb_net_site(const lb_net *n, int64_t block, const char *role) {
    int32_t first, sites = lb_net_block(n, block, &first);
    for (int32_t i = first; i < first + sites; i++)
        if (n->site[i].expert < 0 && strcmp(n->site[i].role, role) == 0) return i;
    return -1;
}

int32_t lb_net_vector(const lb_net *n, int64_t block, int64_t expert, const char *role, bool bias) {
    bool in = block >= 0;
    for (int32_t i = in ? n->span[block].vector : 0; i < (in ? n->span[block + 1].vector : n->vectors); i++) {
        const lb_vector *v = &n->vector[i];
        if (v->block == block && v->expert == expert && v->bias == bias && strcmp(v->role, role) == 0) return i;
    }
    return -1;
}

bool lb_net_between(const lb_net *n, int32_t site) {
    const lb_site *s = &n->site[site];
    return s->block < 0 && s->input >= 0 && site != n->head;
}

int32_t lb_net_owner(const lb_net *n, int32_t site) {
    while (n->site[site].same_as >= 0) site = n->site[site].same_as;
    return site;
}

int32_t lb_net_shared(const lb_net *n) {
    int32_t shared = 0;
    for (int32_t i = 0; i < n->sites; i++) shared += n->site[i].block >= 0 && n->site[i].same_as >= 0;
    return shared;
}

int32_t lb_net_vector_owner(const lb_net *n, int32_t vector) {
    return n->vector[vector].same_as >= 0 ? n->vector[vector].same_as : vector;
}

int32_t lb_slot_find(const lb_net *n, const char *name) {
    int64_t block = block_of(n, name);
    bool in = block < n->blocks;
    for (int32_t i = in ? n->span[block].slot : 0; i < (in ? n->span[block + 1].slot : n->slots); i++)
        if (strcmp(lb_slot_name(n, i), name) == 0) return i;
    return -1;
}
