#include "model/steps/reference.h"

#include <math.h>
#include <string.h>

lb_status lb_ref_fail(const lb_reference *r, const lb_step *s, const char *why) {
    if (r->block < 0) return lb_fail(LB_E_FORMAT, "outside the blocks: step '%s': %s", s->text, why);
    return lb_fail(LB_E_FORMAT, "block %lld: step '%s': %s", (long long)r->block, s->text, why);
}

static lb_ref_value *find(lb_reference *r, const char *name) {
    for (int i = 0; i < r->values; i++)
        if (strcmp(r->value[i].name, name) == 0) return &r->value[i];
    return NULL;
}

const lb_ref_value *lb_reference_value(const lb_reference *r, const char *name) {
    return find((lb_reference *)r, name);
}

lb_status lb_ref_operand(const lb_reference *r, const lb_step *s, int k, lb_ref_value *out) {
    const lb_ref_value *v = lb_reference_value(r, s->operand[k]);
    if (!v) return lb_ref_fail(r, s, "reads a value that no step before it gave");
    *out = *v;
    return LB_OK;
}

lb_status lb_ref_param_of(const lb_reference *r, const lb_step *s, int k, lb_ref_param *out) {
    *out = (lb_ref_param){0};
    return r->params->get(r->params->ctx, s->operand[k], r->block, r->expert, out);
}

lb_status lb_ref_site(const lb_reference *r, const lb_step *s, int k, int64_t cols, lb_ref_param *out) {
    LB_TRY(lb_ref_param_of(r, s, k, out));
    if (!out->W.d) return lb_ref_fail(r, s, "the layer has no weights");
    return out->W.cols == cols ? LB_OK : lb_ref_fail(r, s, "the layer reads another number of columns");
}

lb_status lb_ref_arg(const lb_reference *r, const lb_step *s, int k, double *out) {
    return lb_step_arg(s, k, r->numbers, r->block, out);
}

lb_status lb_ref_count(const lb_reference *r, const char *number, int64_t *out) {
    double v;
    LB_TRY(lb_number_get(r->numbers, number, r->block, &v));
    if (!(v >= 1.0 && v < 1e9 && v == floor(v)))
        return lb_fail(LB_E_FORMAT, "%s = %g: must be a positive whole number", number, v);
    *out = (int64_t)v;
    return LB_OK;
}

lb_status lb_ref_new(const lb_reference *r, int64_t cols, double **out) {
    *out = LB_NEW(r->arena, double, r->T *cols + 1);
    return *out ? LB_OK : LB_E_NOMEM;
}

lb_status lb_ref_write(lb_reference *r, const lb_step *s, int k, double *y, int64_t cols) {
    lb_ref_value *v = find(r, s->result[k]);
    if (s->add) {
        if (!v) return lb_ref_fail(r, s, "adds to a value that no step before it gave");
        if (v->cols != cols) return lb_ref_fail(r, s, "adds another number of columns");
        for (int64_t i = 0; i < r->T * cols; i++) y[i] += v->d[i];
    }
    if (!v) {
        if (r->values == LB_REF_VALUES) return lb_ref_fail(r, s, "too many values");
        v = &r->value[r->values++];
    }
    *v = (lb_ref_value){s->result[k], y, cols};
    return LB_OK;
}

lb_status lb_ref_steps(lb_reference *r, const lb_steps *steps) {
    for (int64_t i = 0; i < steps->n; i++) {
        bool runs;
        LB_TRY(lb_step_runs(&steps->at[i], r->numbers, r->block, &runs));
        if (runs) LB_TRY(steps->at[i].op->reference(r, &steps->at[i]));
    }
    return LB_OK;
}

/* Only x goes on from part to part. */
static lb_status part(lb_reference *r, const lb_steps *steps) {
    LB_TRY(lb_interrupt_check());
    const lb_ref_value *x = find(r, "x");
    if (x) r->value[0] = *x;
    r->values = x ? 1 : 0;
    return lb_ref_steps(r, steps);
}

lb_status lb_reference_run(lb_arena *a, const lb_program *p, const lb_numbers *n, const lb_ref_params *params,
                           const int32_t *token, int64_t T, lb_reference *out) {
    *out = (lb_reference){
        .arena = a, .program = p, .numbers = n, .params = params, .token = token, .T = T, .block = -1, .expert = -1};
    LB_TRY(part(out, &p->before));
    for (out->block = 0; out->block < n->blocks; out->block++) LB_TRY(part(out, &p->block));
    out->block = -1;
    return part(out, &p->after);
}

/* By its definition: entry (i, j) of Sylvester's matrix is -1 where i and j have an odd number of bits in common. */
static lb_status transform(const lb_reference *r, const lb_ref_param *p, const double **x) {
    const lb_transform *T = &p->T;
    int64_t cols = p->W.cols, n = T->hadamard ? T->hadamard : 1;
    double *y;
    if (!lb_transform_any(T)) return LB_OK;
    LB_TRY(lb_ref_new(r, cols, &y));
    for (int64_t at = 0; at < r->T * cols; at++)
        for (int64_t i = at % cols % n, k = 0; k < n; k++) {
            int64_t col = at % cols - i + k;
            double term = (*x)[at - i + k] * (T->scale ? (double)T->scale[col] : 1.0) / sqrt((double)n);
            bool negative = T->sign && T->sign[col / 8] >> col % 8 & 1;
            for (int64_t common = i & k; common; common &= common - 1) negative = !negative;
            y[at] += negative ? -term : term;
        }
    *x = y;
    return LB_OK;
}

/* Numbers that share a range, by the definition (math/actquant.h). */
static void quantized(const lb_actquant *act, const double *x, double *q, int64_t n) {
    double top = act->symmetric ? pow(2, act->bits - 1) - 1 : pow(2, act->bits) - 1, bottom = act->symmetric ? -top : 0;
    double lo = 0, hi = 0, scale = (double)act->scale, zero = (double)act->zero;
    for (int64_t i = 0; i < n; i++) lo = fmin(lo, x[i]), hi = fmax(hi, x[i]);
    if (act->mode == LB_ACTQUANT_TOKEN) {
        scale = act->symmetric ? fmax(-lo, hi) / top : (hi - lo) / top;
        zero = act->symmetric || scale == 0 ? 0 : rint(-lo / scale);
    }
    for (int64_t i = 0; i < n; i++)
        q[i] = scale > 0 ? scale * (fmin(fmax(rint(x[i] / scale) + zero, bottom), top) - zero) : 0;
}

static lb_status quantize(const lb_reference *r, const lb_ref_param *p, const double **x) {
    int64_t cols = p->W.cols, group = p->act.group > 0 ? p->act.group : cols;
    double *q;
    if (p->act.bits == 0) return LB_OK;
    LB_TRY(lb_ref_new(r, cols, &q));
    for (int64_t t = 0; t < r->T; t++)
        for (int64_t c = 0; c < cols; c += group)
            quantized(&p->act, *x + t * cols + c, q + t * cols + c, c + group < cols ? group : cols - c);
    *x = q;
    return LB_OK;
}

lb_status lb_ref_product(const lb_reference *r, const lb_ref_param *p, const double *x, double **y) {
    LB_TRY(transform(r, p, &x));
    LB_TRY(quantize(r, p, &x));
    LB_TRY(lb_ref_new(r, p->W.rows, y));
    for (int64_t t = 0; t < r->T; t++)
        for (int64_t o = 0; o < p->W.rows; o++) {
            double sum = 0.0;
            for (int64_t i = 0; i < p->W.cols; i++) sum += x[t * p->W.cols + i] * (double)p->W.d[o * p->W.ld + i];
            (*y)[t * p->W.rows + o] = sum + (p->bias ? (double)p->bias[o] : 0.0);
        }
    return LB_OK;
}
