#include "quant/cost.h"

#include "quant/method.h"

enum { CLIP_STEPS = 80 }; /* ranges that a clip search tries */

double lb_round_steps(const lb_storage *s, bool clip_search) {
    double values = s->format->values ? (double)s->bits : 1; /* a codebook is searched */
    return 3 + 2 * values + (clip_search ? CLIP_STEPS * 6.0 : 0);
}

double lb_round_bytes(const lb_storage *s, const lb_cost_of *of) {
    if (!of->so_far || !of->so_far->mask_of) return 0;
    double all = (double)of->rows * (double)of->cols;
    double block = s->group > 0 && s->group < of->cols ? (double)s->group : (double)of->cols;
    if (s->format->shape == LB_SHAPE_FLAT) block = (double)s->group;
    return (sizeof(float) + 1) * block * of->threads + (s->group == LB_GROUP_TENSOR ? sizeof(float) * all : 0);
}

double lb_layer_bytes(const lb_storage *s, int64_t rows, int64_t cols) {
    lb_part part[LB_MOST_PARTS];
    double bytes = 0, weights = (double)rows * (double)cols;
    for (int i = 0, n = lb_storage_parts(s, rows, cols, part); i < n; i++) {
        double number = part[i].slot == LB_SLOT_MASK || part[i].slot == LB_SLOT_DQ_CODE ? 1 : sizeof(float);
        double values = part[i].slot == LB_SLOT_DENSE ? weights : (double)part[i].n;
        if (part[i].slot == LB_SLOT_CODES) number = 1, values = weights;
        bytes += number * values;
    }
    return bytes;
}

/* Of a method that says nothing: weights are fitted and rounded, in a float64 copy of the layer; one that factors H
 * keeps a matrix of that size. */
static void assume(const lb_method *m, const lb_cost_of *of, lb_cost *out) {
    double rows = (double)of->rows, cols = (double)of->cols;
    out->steps = 20 * rows * cols;
    out->scratch = sizeof(double) * rows * cols;
    if (!(m->needs & LB_FACTORS_HESSIAN)) return;
    out->products = rows * cols * cols + (of->first ? 2.0 / 3.0 * cols * cols * cols : 0);
    out->kept = of->first ? sizeof(double) * cols * cols : 0;
}

enum { LINES = 4096 }; /* bytes: blocks of an arena end at full cache lines */

static void cost_of_one(const lb_method *m, const void *opts, const lb_cost_of *of, lb_cost *out) {
    *out = (lb_cost){.made = 0};
    if (m->cost)
        m->cost(opts, of, out);
    else if (m->layer)
        assume(m, of, out);
    out->scratch += LINES;
}

/* One after another: operations add up, and scratch is used again. */
static void add_stage(const lb_cost *one, lb_cost *out) {
    out->products += one->products;
    out->steps += one->steps;
    out->serial += one->serial;
    out->kept += one->kept;
    out->forward += one->forward;
    out->backward += one->backward;
    if (one->scratch > out->scratch) out->scratch = one->scratch;
}

void lb_method_stage_cost(const lb_method *m, size_t stage, const void *opts, const lb_cost_of *of, lb_cost *out) {
    lb_cost_of its = *of;
    its.so_far = NULL;
    cost_of_one(lb_method_stage(m, stage), lb_method_stage_opts(m, stage, opts), &its, out);
}

lb_status lb_method_cost(const lb_method *m, const void *opts, const lb_cost_of *of, lb_cost *out) {
    lb_storage so_far, next;
    if (m->model) {
        cost_of_one(m, opts, of, out);
        return LB_OK;
    }
    *out = (lb_cost){.made = 0};
    const size_t first = lb_method_preserving(m); /* before it nothing is made */
    for (size_t i = first; i < lb_method_stages(m); i++) {
        const void *own = (const char *)opts + (m->stages ? m->stage[i].offset : 0);
        lb_cost_of its = *of;
        lb_cost one;
        its.so_far = i > first ? &so_far : NULL;
        cost_of_one(lb_method_stage(m, i), own, &its, &one);
        add_stage(&one, out);
        LB_TRY(lb_method_spec_until(m, opts, i + 1, of->rows, of->cols, &next));
        out->made += lb_layer_bytes(&next, of->rows, of->cols);
        so_far = next;
    }
    return LB_OK;
}
