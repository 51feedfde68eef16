/* What a cell will take: operations counted, divided by a rate of matrix products measured here and now. Good to a
 * factor of two: softmax, memory traffic and waiting are covered by one efficiency for each kind of work. */
#include <math.h>
#include <string.h>

#include "eval/collect.h"
#include "math/roofline.h"
#include "result/provenance.h"
#include "run/block_plan.h"
#include "run/plan.h"

/* Against plain products: scoring windows, calibration and solving, training. Products in float64 run at half the rate,
 * LAPACK on one thread, much of it bound by memory, at a part of that. */
static const double of_eval = 0.9, of_calibration = 0.75, of_training = 0.7;
static const double of_float64 = 0.5, of_serial = 0.2;
static const double measure_for_s = 0.15; /* wall time of the measurement */

lb_status lb_plan_measure_rate(const lb_plan *p, lb_rate *out) {
    LB_TRY(lb_roofline_f32(p->team, measure_for_s, &out->flops));
    LB_TRY(lb_roofline_steps(p->team, measure_for_s / 5, &out->steps));
    out->bf16 = 0;
    bool any = false;
    for (size_t i = 0; i < p->config->computes; i++) any = any || p->config->compute[i] == LB_COMPUTE_BF16;
    return any ? lb_roofline_bf16(p->team, measure_for_s, &out->bf16) : LB_OK;
}

/* All blocks together; most: the largest one. */
typedef struct counts {
    double params, most_params, head_params, table_params;
    double own_params;          /* what blocks share counted once */
    double width2, most_width2; /* sums of squared widths of the inputs */
    double attention;           /* widths of what attends */
    double widest;              /* of the inputs */
    double blocks, dim;
} counts;

static void count_block(const lb_net *net, int64_t block, counts *n) {
    int32_t site, input, sites = lb_net_block(net, block, &site), inputs = lb_net_inputs(net, block, &input);
    const lb_net_part *part = &net->block[block];
    double params = 0, width2 = 0;
    for (int32_t i = site; i < site + sites; i++) {
        double weights = (double)net->site[i].rows * (double)net->site[i].cols;
        params += weights;
        if (net->site[i].same_as < 0) n->own_params += weights;
    }
    for (int32_t i = input; i < input + inputs; i++) {
        double w = (double)net->input[i].cols;
        width2 += w * w;
        if (w > n->widest) n->widest = w;
    }
    for (int32_t i = 0; i < part->steps; i++)
        if (strcmp(part->step[i].op->name, "attend") == 0)
            n->attention += (double)(part->step[i].heads * part->step[i].head_dim);
    n->params += params;
    n->width2 += width2;
    if (params > n->most_params) n->most_params = params;
    if (width2 > n->most_width2) n->most_width2 = width2;
}

static counts count(const lb_plan *p) {
    const lb_net *net = p->model->net;
    const lb_site *head = &net->site[net->head], *embed = &net->site[net->embed];
    counts n = {.head_params = (double)head->rows * (double)head->cols,
                .table_params = head->same_as < 0 ? (double)embed->rows * (double)embed->cols : 0,
                .blocks = (double)net->blocks,
                .dim = (double)net->dim};
    for (int64_t b = 0; b < net->blocks; b++) count_block(net, b, &n);
    return n;
}

/* One token through all blocks, in a sequence of length T: products, and half of a T x T attention. */
static double forward_flops(const counts *n, double T) { return 2.0 * n->params + 2.0 * T * n->attention; }

static double calibration_tokens(const lb_plan *p, const lb_cell *c) {
    return lb_plan_calibration(p, c)->corpus ? (double)lb_sequences_tokens(&c->sequences) : 0.0;
}

/* How long a sequence is for an average token, which attention's products go by. */
static double calibration_length(const lb_cell *c) {
    double squares = 0, tokens = (double)lb_sequences_tokens(&c->sequences);
    if (!c->sequences.start) return (double)c->calibration.length;
    for (int64_t i = 0; i < c->sequences.n; i++) {
        double length = (double)lb_sequences_length(&c->sequences, i);
        squares += length * length;
    }
    return squares / tokens;
}

/* Tokens of a sequence, in the mean. */
static int64_t mean_length(const lb_cell *c) {
    const lb_sequences *of = &c->sequences;
    return of->start ? (lb_sequences_tokens(of) + of->n / 2) / of->n : c->calibration.length;
}

enum { HESSIANS = LB_NEEDS_HESSIAN | LB_NEEDS_HESSIAN_NORM | LB_NEEDS_HESSIAN_CLIP | LB_NEEDS_HESSIAN_ATTENTION };

static double hessians(uint32_t needs) {
    int n = 0;
    for (uint32_t left = needs & HESSIANS; left; left &= left - 1) n++;
    return n;
}

/* Statistics of an input beside its H's. */
static double input_bytes(const lb_plan *p, const lb_cell *c, int32_t input, uint32_t needs) {
    double bytes = 0;
    for (int i = 0; lb_collectors[i]; i++)
        if (needs & lb_collectors[i]->need & ~(uint32_t)HESSIANS)
            bytes += (double)lb_collector_bytes(lb_collectors[i], p->model->net->input[input].cols,
                                                (int64_t)calibration_tokens(p, c));
    return bytes;
}

/* Those of all blocks and of the head; most: of one block. */
static double other_bytes(const lb_plan *p, const lb_cell *c, uint32_t needs, double *most) {
    const lb_net *net = p->model->net;
    double all = *most = input_bytes(p, c, net->site[net->head].input, needs);
    for (int64_t b = 0; b < net->blocks; b++) {
        int32_t first, inputs = lb_net_inputs(net, b, &first);
        double here = 0;
        for (int32_t i = first; i < first + inputs; i++) here += input_bytes(p, c, i, needs);
        all += here;
        if (here > *most) *most = here;
    }
    return all;
}

static double eval_tokens(const lb_plan *p, int64_t i, double *n) {
    lb_protocol protocol;
    if (lb_protocol_parse(p->eval_config[i]->protocol, &protocol) != LB_OK) return 0;
    if (lb_protocol_is_task(&protocol)) { /* about four bytes a token */
        const lb_task_extent *t = &p->eval[i].task;
        *n = t->sequences > 0 ? (double)t->bytes / 4.0 / (double)t->sequences : 0;
        return (double)t->bytes / 4.0;
    }
    int64_t windows = lb_protocol_windows(&protocol, p->eval[i].corpus->tokens), most = p->eval_config[i]->windows;
    *n = (double)protocol.n;
    return (double)(most > 0 && most < windows ? most : windows) * *n;
}

static bool has_kl(const lb_plan *p, int64_t i) { return p->eval_config[i]->kl && p->eval[i].task.items == 0; }

static double eval_seconds(const lb_plan *p, const lb_cell *c, const counts *k, const lb_rate *rate) {
    double products = p->compute == LB_COMPUTE_BF16 ? rate->bf16 : rate->flops, seconds = 0, n = 0;
    for (int64_t i = 0; i < p->evals; i++) {
        double tokens = eval_tokens(p, i, &n);
        /* For the divergence the baseline's head is computed again, and both softmaxes in full; for the acceptance all
         * of that once more. */
        double heads = c->method && has_kl(p, i) ? 2.3 : 1.0;
        if (c->method && p->eval_config[i]->speculative) heads += 2.3;
        double linears = 2.0 * k->params + heads * 2.0 * k->head_params, attention = 2.0 * n * k->attention;
        seconds += tokens * (linears / products + attention / rate->flops) / of_eval;
    }
    return seconds;
}

/* What the method takes of the whole cell, by its own account. */
typedef struct work {
    lb_cost all;    /* operations of every layer together; of a training: what its hook says */
    double memory;  /* of the layer that needs most; block scope: of all layers of a block */
    double through; /* block scope: tokens that it sends through a block, there and, at twice the cost, back, in all */
} work;

/* The layer at hand: is it the first of those on one input, and in its block? */
typedef struct place {
    int32_t input;
    int64_t block;
    bool first, first_in_block;
    double kept;   /* on the input */
    double memory; /* of the block's layers so far, that a method of block scope has together */
} place;

static void move_to(place *at, int32_t input, int64_t block) {
    at->first = at->input != input || at->input < 0;
    at->first_in_block = at->block != block;
    at->input = input;
    at->block = block;
    if (at->first_in_block) at->memory = 0;
}

static lb_cost_of cost_of(const lb_plan *p, const lb_cell *c, const lb_layer_plan *l, const place *at, uint32_t needs) {
    const lb_calibration_config *k = &c->calibration;
    bool calls = needs & LB_NEEDS_FORWARD;
    return (lb_cost_of){.rows = l->rows,
                        .cols = l->cols,
                        .first = at->first,
                        .first_in_block = at->first_in_block,
                        .threads = lb_team_threads(p->team),
                        .sequences = calls ? k->samples : 0,
                        .length = calls ? mean_length(c) : 0};
}

static void add_operations(const lb_cost *one, work *w) {
    w->all.products += one->products;
    w->all.steps += one->steps;
    w->all.serial += one->serial;
    w->through += one->forward + 2 * one->backward;
}

static void add_in_block(const lb_cost *one, place *at, work *w) {
    at->memory += one->scratch + one->made;
    if (at->memory > w->memory) w->memory = at->memory;
}

static lb_status count_layer(const lb_plan *p, const lb_cell *c, const lb_layer_plan *l, place *at, work *w) {
    const lb_cost_of of = cost_of(p, c, l, at, c->layer_needs);
    lb_cost one;
    LB_TRY(lb_method_cost(l->method, l->opts, &of, &one));
    if (at->first) at->kept = one.kept;
    add_operations(&one, w);
    double bytes = one.scratch + one.made + at->kept;
    if (bytes > w->memory) w->memory = bytes;
    if (l->method == c->method && lb_method_stage(c->method, lb_method_preserving(c->method))->block)
        add_in_block(&one, at, w);
    return LB_OK;
}

static lb_status count_layers(const lb_plan *p, const lb_cell *c, work *w) {
    place at = {.input = -1, .block = -2};
    for (int64_t i = 0; i < c->layers; i++) {
        const lb_layer_plan *l = &c->layer[i];
        if (!l->quantize || l->same_as >= 0) continue;
        move_to(&at, p->model->net->site[l->site].input, l->block);
        LB_TRY(count_layer(p, c, l, &at, w));
    }
    return LB_OK;
}

/* A stage that preserves, by the layers that are going to be quantized: those that are one with others too, which have
 * inputs of their own. */
static void count_preserving(const lb_plan *p, const lb_cell *c, size_t stage, work *w) {
    const uint32_t needs = lb_block_stage_needs(c, stage);
    place at = {.input = -1, .block = -2};
    for (int64_t i = 0; i < c->layers; i++) {
        const lb_layer_plan *l = &c->layer[i];
        if (!l->quantize || l->block < 0) continue;
        move_to(&at, p->model->net->site[l->site].input, l->block);
        const lb_cost_of of = cost_of(p, c, l, &at, needs);
        lb_cost one;
        lb_method_stage_cost(c->method, stage, l->opts, &of, &one);
        add_operations(&one, w);
        add_in_block(&one, &at, w);
    }
}

/* Before the first step, on the way, and after the last. */
static double validation_tokens(const lb_plan *p, const lb_cell *c, const lb_cost *w) {
    if (!lb_plan_validation(p, c)->corpus) return 0;
    double windows = (double)lb_plan_validation_windows(p, c, (int64_t)w->length);
    double steps = w->at_once > 0 ? w->backward / w->at_once : 0;
    return steps > 0 ? (floor((steps - 1) / (double)c->training.every) + 2) * windows * w->length : 0;
}

static lb_status count_training(const lb_plan *p, const lb_cell *c, const counts *k, work *w) {
    lb_cost_of of = {.threads = lb_team_threads(p->team), .weights = k->own_params + k->head_params + k->table_params};
    for (int64_t i = 0; i < c->layers; i++)
        if (c->layer[i].quantize && c->layer[i].same_as < 0)
            of.rounded += (double)c->layer[i].rows * (double)c->layer[i].cols;
    LB_TRY(lb_method_cost(c->method, c->opts, &of, &w->all));
    w->all.forward += validation_tokens(p, c, &w->all);
    w->memory = w->all.scratch;
    return LB_OK;
}

static lb_status count_work(const lb_plan *p, const lb_cell *c, const counts *k, work *w) {
    *w = (work){.memory = 0};
    if (!c->method) return LB_OK;
    if (c->trains) return count_training(p, c, k, w);
    for (size_t s = 0; s < lb_method_preserving(c->method); s++) count_preserving(p, c, s, w);
    return count_layers(p, c, w);
}

/* Measuring: Gram matrices of W and of two differences, in float64. */
static double measuring_flops(const lb_cell *c) {
    double flops = 0;
    for (int64_t i = 0; i < c->layers; i++) {
        const lb_layer_plan *l = &c->layer[i];
        if (l->quantize) flops += 3.0 * (double)l->rows * (double)l->cols * (double)l->cols;
    }
    return flops;
}

/* Blocks that sequences run through ahead of the walk, to the last users of layers that others have too. */
static double blocks_ahead(const lb_cell *c) {
    int64_t most = 0, sum = 0;
    for (int64_t i = 0; i < c->layers; i++) {
        const lb_layer_plan *l = &c->layer[i];
        bool needs = (l->needs & LB_NEEDS_STATISTICS) && l->quantize && l->same_as < 0;
        for (int64_t user = l->next; user >= 0 && needs; user = c->layer[user].next)
            if (c->layer[user].block - l->block + 1 > most) most = c->layer[user].block - l->block + 1;
        if (i + 1 < c->layers && c->layer[i + 1].block == l->block) continue;
        sum += most;
        most = 0;
    }
    return (double)sum * (c->own.true_sequential ? 4.0 : 1.0); /* for each input of a block */
}

/* Stages that preserve: a pass of the calibration each, unless the statistics are there or none are needed; two where
 * the block is called, beside the calls, which the method counts. */
static double preserving_flops(const lb_plan *p, const lb_cell *c, const counts *k) {
    double flops = 0, length = calibration_length(c);
    for (size_t s = 0; s < lb_method_preserving(c->method); s++) {
        uint32_t needs = lb_block_stage_needs(c, s);
        bool there = s == 0 && lb_plan_first_needs(c) && lb_plan_original_needs(p, c);
        if (there || !(needs & LB_NEEDS_CALIBRATION)) continue;
        double passes = needs & LB_NEEDS_FORWARD ? 2 : 1, sums = needs & LB_NEEDS_HESSIAN ? k->width2 : 0;
        flops += calibration_tokens(p, c) * (passes * forward_flops(k, length) + sums);
    }
    return flops;
}

static double quantize_seconds(const lb_plan *p, const lb_cell *c, const counts *k, const work *w, const lb_rate *r) {
    if (!c->method) return 0;
    double flops = (measuring_flops(c) + w->all.products) / of_float64 + preserving_flops(p, c, k);
    if ((c->layer_needs & LB_NEEDS_CALIBRATION) && c->own.propagate == LB_PROPAGATE_QUANTIZED) {
        double passes = c->own.true_sequential ? 3.5 : 2.0, length = calibration_length(c);
        double sums = hessians(lb_plan_collected(c, c->layer_needs)) * k->width2;
        passes += blocks_ahead(c) / k->blocks;
        flops += calibration_tokens(p, c) * (passes * forward_flops(k, length) + sums);
    }
    /* What comes back costs two products for each that went forward. */
    double passes = w->all.forward + 2 * w->all.backward;
    double training = passes * (forward_flops(k, w->all.length) + 2.0 * k->head_params);
    training += w->through / k->blocks * forward_flops(k, calibration_length(c));
    double serial = r->flops * of_float64 * of_serial / lb_team_threads(p->team);
    return flops / (r->flops * of_calibration) + training / (r->flops * of_training) + w->all.steps / r->steps +
           w->all.serial / serial;
}

static double cell_memory(const lb_plan *p, const lb_cell *c, const counts *k, const work *w) {
    double all = k->own_params + k->head_params + k->table_params;
    bool stream = p->config->weights == LB_WEIGHTS_STREAM, bf16 = p->compute == LB_COMPUTE_BF16;
    double bytes = 4.0 * (stream ? k->most_params : all), T = 0, longest = 0;
    for (int64_t i = 0; i < p->evals; i++)
        if (eval_tokens(p, i, &T) > 0 && T > longest) longest = T;
    if (lb_plan_validation(p, c)->corpus && w->all.length > longest) longest = w->all.length;
    double width = 6.0 * k->dim + 3.0 * k->widest;
    bytes += (double)lb_team_threads(p->team) * 4.0 * longest * width;
    if (bf16) /* a block and a head in memory, rounded; rounded inputs */
        bytes += 2.0 * (k->most_params + (stream ? 0 : k->head_params)) +
                 (double)lb_team_threads(p->team) * 2.0 * longest * k->widest;
    if (stream || bf16 || c->method) /* windows that go through the model together; layers as they are stored */
        bytes += 4.0 * 8.0 * longest * k->dim + (double)c->size.quantized.total + 4.0 * k->most_params;
    if (p->prompt && !stream && c->method) bytes += 4.0 * k->own_params; /* held while it is continued */
    for (int64_t i = 0; i < c->layers && c->trains; i++)
        bytes += c->layer[i].same_as < 0 ? 4.0 * (double)c->layer[i].rows * (double)c->layer[i].cols : 0.0;
    if (c->needs & LB_NEEDS_CALIBRATION) {
        double most;
        (void)other_bytes(p, c, c->needs, &most);
        bytes += (c->needs & LB_NEEDS_FORWARD ? 8.0 : 4.0) * calibration_tokens(p, c) * k->dim + most;
        if (c->needs & LB_NEEDS_FORWARD) /* a sequence on its way through a block, there and back */
            bytes += 2.0 * 4.0 * (double)c->calibration.length * width;
        if (c->own.propagate == LB_PROPAGATE_QUANTIZED && blocks_ahead(c) > 0)
            bytes += 4.0 * calibration_tokens(p, c) * k->dim + 2.0 * 8.0 * k->most_width2;
    }
    /* H of the inputs of a block, which layers are solved on, and that of the original model. */
    bool streamed = c->own.propagate == LB_PROPAGATE_QUANTIZED;
    double own = streamed ? hessians(lb_plan_collected(c, c->layer_needs)) : 0;
    bytes += 8.0 * k->most_width2 * (own + hessians(lb_plan_original_needs(p, c)));
    /* The method's own; of a training also activations that are kept for the way back. */
    return bytes + w->memory + 4.0 * w->all.at_once * (k->blocks * width + (double)p->model->net->vocab);
}

/* Finished blocks wait packed on disk until the cell is done; a result is small, unless it keeps the layers, which wait
 * once more until it is written. */
static double cell_disk(const lb_plan *p, const lb_cell *c) {
    double bytes = 64e3 + 1e3 * (double)c->layers + 2.0 * (double)c->kept;
    if (c->method && !c->trains) bytes += (double)c->size.quantized.total;
    if (!c->method) {
        double n = 0;
        for (int64_t i = 0; i < p->evals; i++)
            if (has_kl(p, i)) bytes += 4.0 * eval_tokens(p, i, &n) * (double)p->model->net->dim;
    }
    if (p->config->export != LB_EXPORT_NONE)
        bytes += (double)c->size.original_fp16 * (p->config->export == LB_EXPORT_F32 ? 2.0 : 1.0);
    return bytes;
}

/* Will its layers be there, of the cell in the first of the values of compute? */
static bool takes_layers(const lb_plan *p, const lb_cell *c) {
    bool ends = false;
    for (int64_t i = 0; i < c->layers; i++) ends = ends || (c->layer[i].quantize && c->layer[i].block < 0);
    return p->compute != p->config->compute[0] && !c->trains && !ends;
}

lb_status lb_plan_estimate(const lb_plan *p, const lb_cell *c, const lb_rate *rate, lb_estimate *out) {
    *out = (lb_estimate){0};
    if (c->refused) return LB_OK;
    const counts k = count(p);
    work w;
    LB_TRY(count_work(p, c, &k, &w));
    double made = takes_layers(p, c) ? 0 : quantize_seconds(p, c, &k, &w, rate);
    *out = (lb_estimate){made + eval_seconds(p, c, &k, rate), cell_memory(p, c, &k, &w), cell_disk(p, c)};
    return LB_OK;
}

/* Of the cells that have the calibration windows of this one. */
static void add_shared(const lb_plan *p, const lb_cell *c, const counts *k, const lb_rate *rate, lb_estimate *out) {
    uint32_t needs = lb_plan_shared_needs(p, c);
    double tokens = calibration_tokens(p, c), most, H = hessians(needs);
    if (!needs || tokens == 0) return;
    double flops = tokens * (forward_flops(k, calibration_length(c)) + H * k->width2);
    out->disk_bytes += H * 8.0 * (k->width2 + k->dim * k->dim) + other_bytes(p, c, needs, &most);
    out->seconds += flops / (rate->flops * of_calibration);
    double bytes = 4.0 * tokens * k->dim + H * 8.0 * k->most_width2 + most;
    if (bytes > out->memory_bytes) out->memory_bytes = bytes;
}

lb_estimate lb_plan_estimate_shared(const lb_plan *p, const lb_rate *rate) {
    const counts k = count(p);
    lb_estimate all = {0};
    size_t seen = 0; /* windows are numbered as they come */
    for (size_t i = 0; i < p->sweep.n; i++) {
        const lb_cell *c = &p->sweep.cell[i];
        if (c->windows <= seen) continue;
        seen = c->windows;
        add_shared(p, c, &k, rate, &all);
    }
    return all;
}
