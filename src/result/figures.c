#include "result/figures.h"

#include <math.h>

/* Nothing lost of nothing is no loss. */
static double ratio(double err, double energy) { return err == 0 ? 0 : err / energy; }

double lb_weight_mse(const lb_layer_error *e) { return e->weight_err / ((double)e->rows * (double)e->cols); }
double lb_output_mse(const lb_layer_error *e) { return e->output_err / (double)e->rows; }
double lb_output_rel(const lb_layer_error *e) { return ratio(e->output_err, e->output_energy); }
double lb_weight_rel(const lb_layer_error *e) { return ratio(e->weight_err, e->weight_energy); }
double lb_error_ratio(const lb_layer_error *e, const lb_layer_error *rtn) {
    return rtn->output_err > 0 ? e->output_err / rtn->output_err : NAN;
}
void lb_error_add(lb_layer_error *sum, const lb_layer_error *one) {
    sum->weight_err += one->weight_err, sum->weight_energy += one->weight_energy;
    sum->output_err += one->output_err, sum->output_energy += one->output_energy;
}
double lb_sqnr_db(double relative) { return -10 * log10(relative); }

const lb_layer_error *lb_layer_weights(const lb_layer_row *l) {
    return isfinite(l->own.weight_err) ? &l->own : &l->original;
}

double lb_layer_ratio(const lb_layer_row *l) {
    return isnan(l->own.output_err) ? lb_error_ratio(&l->original, &l->rtn_original)
                                    : lb_error_ratio(&l->own, &l->rtn_own);
}

const lb_equal_error lb_equal_unknown = {NAN, NAN};

static const lb_equal_error *equal_of(const lb_layer_row *l) {
    return l->equal_original.output_energy > 0 ? &l->equal_original : &l->equal_own;
}

static const lb_equal_error *rtn_equal_of(const lb_layer_row *l) {
    return l->equal_original.output_energy > 0 ? &l->rtn_equal_original : &l->rtn_equal_own;
}

static double share(double part, double of) { return of > 0 ? part / of : NAN; }

double lb_equal_rel(const lb_layer_row *l) { return share(equal_of(l)->output_err, equal_of(l)->output_energy); }
double lb_equal_ratio(const lb_layer_row *l) { return share(equal_of(l)->output_err, rtn_equal_of(l)->output_err); }

lb_model_equal lb_model_equal_of(const lb_record *c) {
    double err = 0, energy = 0, shared = 0, rtn = 0;
    for (int64_t i = 0; i < c->layers; i++) {
        const lb_layer_row *l = &c->layer[i];
        const lb_equal_error *x = equal_of(l), *y = rtn_equal_of(l);
        if (!l->quantized || !(x->output_energy > 0)) continue;
        err += x->output_err, energy += x->output_energy;
        if (isfinite(y->output_err)) shared += x->output_err, rtn += y->output_err;
    }
    return (lb_model_equal){share(err, energy), share(shared, rtn)};
}

const lb_carried lb_carried_unknown = {NAN, NAN, NAN};

static const double few_tokens = 0.01;

const lb_carried *lb_layer_carried(const lb_layer_row *l) {
    return l->own_carried.participation > 0 ? &l->own_carried : &l->original_carried;
}

static bool by_few(const lb_carried *c) { return c->half_share > 0 && c->half_share < few_tokens; }

bool lb_layer_carried_by_few(const lb_layer_row *l) { return by_few(&l->own_carried) || by_few(&l->original_carried); }

uint32_t lb_layer_flags_shown(const lb_layer_row *l) {
    return l->flags | (lb_layer_carried_by_few(l) ? LB_FLAG_CARRIED : 0u);
}

uint32_t lb_record_flags_shown(const lb_record *c) {
    uint32_t flags = c->flags;
    for (int64_t i = 0; i < c->layers; i++) flags |= lb_layer_flags_shown(&c->layer[i]) & LB_FLAG_CARRIED;
    return flags;
}

lb_model_error lb_model_error_of(const lb_record *c, bool original) {
    double err = 0, energy = 0, shared = 0, rtn = 0, w_err = 0, w_energy = 0;
    lb_model_error e = {NAN, NAN, NAN, 0};
    for (int64_t i = 0; i < c->layers; i++) {
        const lb_layer_row *l = &c->layer[i];
        if (!l->quantized) continue;
        const lb_layer_error *x = original ? &l->original : &l->own;
        const lb_layer_error *y = original ? &l->rtn_original : &l->rtn_own;
        const lb_layer_error *w = lb_layer_weights(l);
        if (isfinite(w->weight_err)) w_err += w->weight_err, w_energy += w->weight_energy;
        if (!isfinite(x->output_err)) continue;
        e.layers++;
        err += x->output_err, energy += x->output_energy;
        if (isfinite(y->output_err)) shared += x->output_err, rtn += y->output_err;
    }
    if (w_energy > 0) e.weight_rel = w_err / w_energy;
    if (energy > 0) e.output_rel = err / energy;
    if (rtn > 0) e.output_vs_rtn = shared / rtn;
    return e;
}

bool lb_layer_is_shared(const lb_layer_row *l) { return l->same_as && l->same_as[0]; }

double lb_bits_per_weight(int64_t bytes, int64_t weights) {
    return weights > 0 ? 8.0 * (double)bytes / (double)weights : NAN;
}
double lb_size_bits(const lb_size *s) { return lb_bits_per_weight(s->total, s->weights); }
double lb_mib(double bytes) { return bytes / (1024.0 * 1024.0); }

void lb_model_size_tensor(lb_model_size *s, int64_t weights, int64_t stored, int64_t kept) {
    s->original_fp16 += weights * LB_FP16_BYTES;
    s->original_as_stored += stored;
    if (kept < 0) return;
    s->other_as_stored += kept;
    s->other_as_fp16 += weights * LB_FP16_BYTES;
}

void lb_model_size_layer(lb_model_size *s, const lb_size *layer) { lb_size_add(&s->quantized, layer); }

void lb_model_size_total(lb_model_size *s) {
    s->total_as_stored = s->quantized.total + s->other_as_stored;
    s->total_as_fp16 = s->quantized.total + s->other_as_fp16;
}

static double to_original(const lb_model_size *s, int64_t bytes) {
    return s->original_fp16 > 0 ? (double)bytes / (double)s->original_fp16 : NAN;
}
double lb_ratio_stored(const lb_model_size *s) { return to_original(s, s->total_as_stored); }
double lb_ratio_fp16(const lb_model_size *s) { return to_original(s, s->total_as_fp16); }

double lb_model_file_bytes(const lb_record *r) {
    return r->keeps_model && r->file_bytes > 0 ? (double)r->file_bytes : NAN;
}

double lb_draft_speedup(const lb_model_size *s, const lb_eval *e) {
    return e->speculative ? lb_speculative_speedup(e->accept_tokens, e->speculative, lb_ratio_fp16(s)) : NAN;
}
