/* An exported folder is read as the net that its config.json says. It computes the same as the model's; how rows lie,
 * and whether a norm keeps its 1, is that folder's affair, and the weights are written accordingly. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/model_file.h"
#include "model/steps/reference.h"

/* ---- do they compute the same? ---- */

typedef struct comparison {
    const lb_model *m;
    const lb_net *from, *to;
    char place[32]; /* "block 3: " */
} comparison;

/* A header holds float32. */
static bool equal(double a, double b) { return a == b || fabs(a - b) <= 1e-7 * fmax(fabs(a), fabs(b)); }

static lb_status differs(const comparison *c, const lb_net_step *s, const char *what, double a, double b) {
    return lb_fail(LB_E_UNSUPPORTED,
                   "%s: as a folder it would be another model: %sstep '%s': %s = %.15g, and %.15g by the config.json "
                   "that can be written",
                   c->m->path, c->place, s->text, what, a, b);
}

/* The step that a value comes from, bounds aside: they leave rows where they are. -1: it enters the part. */
static int32_t origin(const lb_net_part *p, int32_t value) {
    int32_t born = p->value[value].born;
    while (born >= 0 && strcmp(p->step[born].op->name, "clamp") == 0) born = p->value[p->step[born].src[0]].born;
    return born;
}

/* Order and storage: what the export turns. */
static bool turns(const lb_net_part *p, const lb_net_step *s, const char *arg) {
    if (strcmp(arg, "one") == 0 || strcmp(arg, "by") == 0) return true;
    int32_t born = strcmp(arg, "pairs") == 0 ? origin(p, s->src[0]) : -1;
    return born >= 0 && p->step[born].site >= 0 && s->arg[1] == 1.0;
}

/* The numbers that tables of a kind are made of. */
enum {
    SCALED = 1u << LB_REF_ROPE_LINEAR | 1u << LB_REF_ROPE_DYNAMIC | 1u << LB_REF_ROPE_LLAMA3 | 1u << LB_REF_ROPE_YARN,
    STRETCHED = 1u << LB_REF_ROPE_YARN | 1u << LB_REF_ROPE_LONGROPE
};

static lb_status same_table(const comparison *c, const lb_net_step *s, const lb_rope_spec *a, const lb_rope_spec *b) {
    const struct {
        const char *name;
        unsigned kinds;
        double a, b;
    } number[] = {{"rope kind", ~0u, a->kind, b->kind},
                  {"rope base", ~0u, a->base, b->base},
                  {"rope factor", SCALED, a->factor, b->factor},
                  {"rope low", 1u << LB_REF_ROPE_LLAMA3, a->low, b->low},
                  {"rope high", 1u << LB_REF_ROPE_LLAMA3, a->high, b->high},
                  {"rope original", STRETCHED | 1u << LB_REF_ROPE_LLAMA3, a->original, b->original},
                  {"rope magnitude", STRETCHED, a->magnitude, b->magnitude},
                  {"rope fast", 1u << LB_REF_ROPE_YARN, a->fast, b->fast},
                  {"rope slow", 1u << LB_REF_ROPE_YARN, a->slow, b->slow},
                  {"rope untruncated", 1u << LB_REF_ROPE_YARN, a->untruncated, b->untruncated},
                  {"context", 1u << LB_REF_ROPE_DYNAMIC, a->context, b->context}};
    for (size_t i = 0; i < sizeof number / sizeof number[0]; i++)
        if (number[i].kinds >> a->kind & 1u && !equal(number[i].a, number[i].b))
            return differs(c, s, number[i].name, number[i].a, number[i].b);
    for (int64_t i = 0; i < (a->dims + 1) / 2 && a->short_factor && b->short_factor; i++) {
        if (!equal(a->short_factor[i], b->short_factor[i]))
            return differs(c, s, "short rope factor", a->short_factor[i], b->short_factor[i]);
        if (!equal(a->long_factor[i], b->long_factor[i]))
            return differs(c, s, "long rope factor", a->long_factor[i], b->long_factor[i]);
    }
    return LB_OK;
}

static lb_status same_part(const comparison *c, const lb_net_part *a, const lb_net_part *b);

static lb_status same_step(const comparison *c, const lb_net_part *p, const lb_net_step *a, const lb_net_step *b) {
    if (a->op != b->op || strcmp(a->text, b->text) != 0)
        return lb_fail(LB_E_UNSUPPORTED,
                       "%s: as a folder it would be another model: %sstep '%s' would be '%s' by the config.json that "
                       "can be written",
                       c->m->path, c->place, a->text, b->text);
    for (int k = 0; a->op->arg[k].name; k++)
        if (!equal(a->arg[k], b->arg[k]) && !turns(p, a, a->op->arg[k].name))
            return differs(c, a, a->op->arg[k].name, a->arg[k], b->arg[k]);
    if (a->rope >= 0) LB_TRY(same_table(c, a, &c->from->rope[a->rope], &c->to->rope[b->rope]));
    if (a->n_experts != b->n_experts) return differs(c, a, "experts", (double)a->n_experts, (double)b->n_experts);
    return a->n_experts ? same_part(c, a->expert, b->expert) : LB_OK;
}

static lb_status same_part(const comparison *c, const lb_net_part *a, const lb_net_part *b) {
    int32_t n = a->steps < b->steps ? a->steps : b->steps;
    for (int32_t i = 0; i < n; i++) LB_TRY(same_step(c, a, &a->step[i], &b->step[i]));
    if (a->steps == b->steps) return LB_OK;
    return lb_fail(LB_E_UNSUPPORTED,
                   "%s: as a folder it would be another model: %s%d steps, and %d by the config.json that can be "
                   "written",
                   c->m->path, c->place, (int)a->steps, (int)b->steps);
}

/* Where both have the same steps: sizes, and which biases there are. */
static lb_status same_shapes(const comparison *c) {
    const lb_net *a = c->from, *b = c->to;
    for (int32_t i = 0; i < a->sites; i++) {
        const lb_site *x = &a->site[i], *y = &b->site[i];
        if (x->rows == y->rows && x->cols == y->cols && (x->bias >= 0) == (y->bias >= 0)) continue;
        return lb_fail(LB_E_UNSUPPORTED,
                       "%s: as a folder it would be another model: %s is (%lld, %lld)%s, and (%lld, %lld)%s by the "
                       "config.json that can be written",
                       c->m->path, x->name, (long long)x->rows, (long long)x->cols, x->bias >= 0 ? " with a bias" : "",
                       (long long)y->rows, (long long)y->cols, y->bias >= 0 ? " with a bias" : "");
    }
    return LB_OK;
}

lb_status lb_export_net(lb_arena *a, const lb_model *m, const char *dir, const lb_net **out) {
    const lb_family *family;
    lb_numbers numbers;
    const char *config = lb_arena_printf(a, "%s/config.json", dir);
    if (!config) return LB_E_NOMEM;
    LB_TRY(lb_numbers_from_config(a, config, &family, &numbers));
    LB_TRY(lb_family_net(a, family, &numbers, out));
    comparison c = {.m = m, .from = m->net, .to = *out};
    if (c.from->blocks != c.to->blocks)
        return lb_fail(LB_E_UNSUPPORTED, "%s: %lld blocks, and %lld by the config.json that can be written", m->path,
                       (long long)c.from->blocks, (long long)c.to->blocks);
    LB_TRY(same_part(&c, &c.from->before, &c.to->before));
    for (int64_t i = 0; i < c.from->blocks; i++) {
        snprintf(c.place, sizeof c.place, "block %lld: ", (long long)i);
        LB_TRY(same_part(&c, &c.from->block[i], &c.to->block[i]));
    }
    c.place[0] = 0;
    LB_TRY(same_part(&c, &c.from->after, &c.to->after));
    return same_shapes(&c);
}

/* ---- rows and norms as the folder has them ---- */

static const lb_net_part *part_of(const lb_net *n, int64_t block) { return block >= 0 ? &n->block[block] : &n->after; }

/* Rows of q or k within each head from (2i, 2i + 1) to (i, i + d/2), so that rotating halves gives what rotating pairs
 * gave. */
static void halves_of_pairs(int64_t rows, int64_t d, int64_t *order) {
    for (int64_t r = 0; r < rows; r++) {
        int64_t head = r / d * d, i = r % d, half = d / 2;
        order[r] = head + (i < half ? 2 * i : 2 * (i - half) + 1);
    }
}

/* The row of (q: 0, k: 1, v: 2), head and element, in so many groups. */
static int64_t split_row(const lb_net_step *s, int64_t groups, int what, int64_t head, int64_t element) {
    int64_t d = s->head_dim, q = s->heads / groups, kv = s->kv_heads / groups, each = what == 0 ? q : kv;
    int64_t before = what == 0 ? 0 : q + (what - 1) * kv;
    return (head / each * (q + 2 * kv) + before + head % each) * d + element;
}

static void regroup(const lb_net_step *s, int64_t from, int64_t to, int64_t *order) {
    for (int what = 0; what < 3; what++)
        for (int64_t h = 0; h < (what == 0 ? s->heads : s->kv_heads); h++)
            for (int64_t e = 0; e < s->head_dim; e++)
                order[split_row(s, to, what, h, e)] = split_row(s, from, what, h, e);
}

lb_status lb_export_order(lb_arena *a, const lb_net *from, const lb_net *to, int32_t site, const int64_t **out) {
    const lb_site *x = &from->site[site];
    const lb_net_part *p = part_of(from, x->block), *q = part_of(to, x->block);
    *out = NULL;
    for (int32_t i = 0; i < p->steps && x->expert < 0; i++) {
        const lb_net_step *s = &p->step[i];
        bool split = strcmp(s->op->name, "split") == 0 && s->results == 3;
        int32_t born = s->rope >= 0 || split ? origin(p, s->src[0]) : -1;
        int k = split ? 0 : 1; /* by, pairs */
        if (born < 0 || p->step[born].site != site || equal(s->arg[k], q->step[i].arg[k])) continue;
        int64_t *order = LB_NEW(a, int64_t, x->rows);
        if (!order) return LB_E_NOMEM;
        if (split)
            regroup(s, (int64_t)s->arg[k], (int64_t)q->step[i].arg[k], order);
        else
            halves_of_pairs(x->rows, s->head_dim, order);
        *out = order;
        return LB_OK;
    }
    return LB_OK;
}

/* In a part, or in its experts. */
static double added(const lb_net_part *p, const lb_net_part *q, int32_t vector) {
    for (int32_t i = 0; i < p->steps; i++) {
        const lb_net_step *s = &p->step[i], *t = &q->step[i];
        for (int k = 0; s->weight == vector && s->op->arg[k].name; k++)
            if (strcmp(s->op->arg[k].name, "one") == 0) return s->arg[k] - t->arg[k];
    }
    return 0.0;
}

double lb_export_added(const lb_net *from, const lb_net *to, int32_t vector) {
    int32_t block = from->vector[vector].block;
    if (block >= 0) return added(&from->block[block], &to->block[block], vector);
    double before = added(&from->before, &to->before, vector);
    return before != 0.0 ? before : added(&from->after, &to->after, vector);
}
