#include "quant/fakequant.h"

#include <math.h>
#include <string.h>

#include "base/profile.h"
#include "math/kernels.h"
#include "quant/format.h"

#define LEAST_PART 1e-3f /* of its first value that a learned scale may fall to */

/* One run of weights that share a scale: columns [c0, c0 + n) of a row. */
typedef struct run {
    int64_t at, c0, n; /* at: of the scale */
} run;
static run run_of(const lb_fakequant *f, int64_t row, int64_t g) {
    int64_t group = f->storage.group > 0 ? f->storage.group : f->cols, c0 = g * group;
    return (run){f->storage.group == LB_GROUP_TENSOR ? 0 : row * f->groups + g, c0,
                 c0 + group < f->cols ? group : f->cols - c0};
}
static lb_gridspec grid_of(const lb_fakequant *f, bool clip_search) {
    return (lb_gridspec){f->storage.bits, f->storage.symmetric, clip_search, f->storage.scale_type};
}

static lb_status fit_run(lb_fakequant *f, bool clip_search, int64_t at, const float *w, int64_t n) {
    lb_gridspec g = grid_of(f, clip_search);
    lb_status st = lb_grid_fit(&g, w, n, 1, &f->scale[at], &f->zero[at]);
    return st == LB_OK ? st : lb_block_fail_in(st, &f->storage, f->cols, at);
}

/* Learned scales start from the clip search: at 2 and 3 bits min-max would leave most codes unused. */
static lb_status start_learned(lb_fakequant *f, int64_t at, const float *w, int64_t n) {
    LB_TRY(fit_run(f, true, at, w, n));
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)w[i] * (double)w[i];
    float rms = (float)sqrt(sum / (double)n);
    f->u[at] = rms > 0 ? rms : 1.0f;
    f->unit[at] = f->scale[at] / f->u[at];
    f->floor[at] = f->u[at] * LEAST_PART;
    return LB_OK;
}

lb_status lb_fakequant_new(lb_arena *a, const lb_storage *s, lb_range range, lb_cmat W, lb_fakequant *out) {
    if (!(s->format->has & LB_HAS_GRID) || s->bits < 2)
        return lb_fail(LB_E_ARG, "fake quantization needs a uniform grid");
    if (W.ld != W.cols) return lb_fail(LB_E_ARG, "fake quantization needs a matrix without gaps");
    lb_fakequant f = {.storage = *s, .range = range, .rows = W.rows, .cols = W.cols};
    f.groups = lb_storage_groups_per_row(s, W.cols);
    f.scales = lb_storage_scales(s, W.rows, W.cols);
    if (!(f.scale = LB_NEW(a, float, f.scales)) || !(f.zero = LB_NEW(a, float, f.scales))) return LB_E_NOMEM;
    if (range == LB_RANGE_LEARNED) {
        if (!(f.u = LB_NEW(a, float, f.scales)) || !(f.du = LB_NEW(a, float, f.scales)) ||
            !(f.unit = LB_NEW(a, float, f.scales)) || !(f.floor = LB_NEW(a, float, f.scales)) ||
            !(f.part = LB_NEW(a, double, f.rows *f.groups)))
            return LB_E_NOMEM;
        if (s->group == LB_GROUP_TENSOR)
            LB_TRY(start_learned(&f, 0, W.d, W.rows * W.cols));
        else
            for (int64_t r = 0; r < f.rows; r++)
                for (int64_t g = 0; g < f.groups; g++) {
                    run x = run_of(&f, r, g);
                    LB_TRY(start_learned(&f, x.at, W.d + r * f.cols + x.c0, x.n));
                }
    }
    *out = f;
    return LB_OK;
}

lb_status lb_fakequant_begin(lb_fakequant *f, const float *w) {
    if (f->range == LB_RANGE_MINMAX) {
        if (f->storage.group != LB_GROUP_TENSOR) return LB_OK;
        return fit_run(f, false, 0, w, f->rows * f->cols);
    }
    for (int64_t i = 0; i < f->scales; i++) {
        if (!isfinite(f->u[i]))
            return lb_fail(LB_E_NUMERIC, "scale %lld is %g: must be finite", (long long)i, (double)f->u[i]);
        if (f->u[i] < f->floor[i]) f->u[i] = f->floor[i];
        lb_status st = lb_scale_store(f->storage.scale_type, f->unit[i] * f->u[i], &f->scale[i]);
        if (st != LB_OK) return lb_block_fail_in(st, &f->storage, f->cols, i);
    }
    return LB_OK;
}

static lb_status quantize_rows(lb_fakequant *f, const float *w, int64_t r0, int64_t n, float *out) {
    bool fit = f->range == LB_RANGE_MINMAX && f->storage.group != LB_GROUP_TENSOR;
    const lb_kernels *kn = lb_kernels_active();
    float maxq = (float)((1 << f->storage.bits) - 1);
    for (int64_t r = r0; r < r0 + n; r++)
        for (int64_t g = 0; g < f->groups; g++) {
            run x = run_of(f, r, g);
            const float *from = w + r * f->cols + x.c0;
            float *to = out + r * f->cols + x.c0;
            if (fit) LB_TRY(fit_run(f, false, x.at, from, x.n));
            float scale = f->scale[x.at], zero = f->zero[x.at];
            kn->grid(to, from, scale, zero, maxq, x.n);
        }
    return LB_OK;
}

lb_status lb_fakequant_rows(lb_fakequant *f, const float *w, int64_t r0, int64_t n, float *out) {
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_FAKE);
    lb_status st = quantize_rows(f, w, r0, n, out);
    lb_scope_end(&scope, 7 * (double)(n * f->cols), 8 * (double)(n * f->cols));
    return st;
}

/* LSQ eq. 3 for a grid of codes 0 .. maxq with a zero: inside, d ŵ / d s = rint(w/s) - w/s and d ŵ / d w = 1; beyond an
 * end, that end's code less the zero, and 0. */
static double run_grad(const float *w, float *grad, int64_t n, float scale, float zero, int maxq) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        float v = w[i] / scale, code = (float)lb_grid_code(w[i], scale, zero, maxq) - zero;
        bool inside = v >= -zero && v <= (float)maxq - zero;
        sum += (double)grad[i] * (double)(inside ? code - v : code);
        if (!inside) grad[i] = 0;
    }
    return sum;
}

void lb_fakequant_grad_rows(lb_fakequant *f, const float *w, int64_t r0, int64_t n, float *grad) {
    int maxq = (1 << f->storage.bits) - 1;
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_FAKE);
    for (int64_t r = r0; r < r0 + n; r++)
        for (int64_t g = 0; g < f->groups; g++) {
            run x = run_of(f, r, g);
            f->part[r * f->groups + g] =
                run_grad(w + r * f->cols + x.c0, grad + r * f->cols + x.c0, x.n, f->scale[x.at], f->zero[x.at], maxq);
        }
    lb_scope_end(&scope, 9 * (double)(n * f->cols), 12 * (double)(n * f->cols));
}

void lb_fakequant_grad_end(lb_fakequant *f) {
    double qp = (double)((1 << (f->storage.bits - 1)) - 1);
    if (f->storage.group == LB_GROUP_TENSOR) {
        double sum = 0;
        for (int64_t i = 0; i < f->rows; i++) sum += f->part[i];
        f->du[0] = (float)(sum * (double)f->unit[0] / sqrt((double)(f->rows * f->cols) * qp));
        return;
    }
    for (int64_t r = 0; r < f->rows; r++)
        for (int64_t g = 0; g < f->groups; g++) {
            run x = run_of(f, r, g);
            f->du[x.at] = (float)(f->part[x.at] * (double)f->unit[x.at] / sqrt((double)x.n * qp));
        }
}

lb_status lb_fakequant_codes(lb_arena *a, lb_fakequant *f, const float *w, lb_layer *out) {
    LB_TRY(lb_layer_new(a, &f->storage, f->rows, f->cols, false, out));
    memcpy(out->scale, f->scale, (size_t)f->scales * sizeof *out->scale);
    if (out->zero) memcpy(out->zero, f->zero, (size_t)f->scales * sizeof *out->zero);
    int maxq = (1 << f->storage.bits) - 1;
    for (int64_t r = 0; r < f->rows; r++)
        for (int64_t g = 0; g < f->groups; g++) {
            run x = run_of(f, r, g);
            for (int64_t i = x.c0; i < x.c0 + x.n; i++)
                out->codes[r * f->cols + i] = lb_grid_code(w[r * f->cols + i], f->scale[x.at], f->zero[x.at], maxq);
        }
    return LB_OK;
}
