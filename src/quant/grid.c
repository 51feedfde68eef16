#include "quant/grid.h"

#include <float.h>
#include <math.h>

#include "math/kernels.h"

#define CLIP_STEPS 80
#define CLIP_NORM  2.4f

static float grid_step(const lb_gridspec *g, float low, float high) {
    float scale = (high - low) / (float)((1 << g->bits) - 1);
    return scale > 0 ? scale : FLT_TRUE_MIN; /* the range is so small that the division underflows */
}

static float grid_zero(const lb_gridspec *g, float low, float scale) {
    if (g->symmetric) return (float)(1 << (g->bits - 1));
    /* a scale that was rounded to 16 bits can put the zero one past the end */
    return fminf(fmaxf(rintf(-low / scale), 0.0f), (float)((1 << g->bits) - 1));
}

/* sum |x^ - x|^2.4, given up as soon as it reaches `best`. */
static double clip_error(const float *x, int64_t n, int64_t stride, float scale, float zero, int maxq, double best) {
    double sum = 0;
    for (int64_t i = 0; i < n && sum < best; i++) {
        float v = x[i * stride];
        sum += powf(fabsf(lb_grid_value(lb_grid_code(v, scale, zero, maxq), scale, zero) - v), CLIP_NORM);
    }
    return sum;
}

lb_status lb_grid_range(const float *x, int64_t n, int64_t stride, float *low, float *high) {
    if (stride == 1) {
        lb_kernels_active()->range(x, n, low, high);
        if (isfinite(*low) && isfinite(*high)) return LB_OK;
    }
    *low = *high = 0;
    for (int64_t i = 0; i < n; i++) {
        float v = x[i * stride];
        if (!isfinite(v))
            return lb_fail(LB_E_NUMERIC, "grid: value %lld is %g: must be finite", (long long)i, (double)v);
        *low = v < *low ? v : *low;
        *high = v > *high ? v : *high;
    }
    return LB_OK;
}

/* What the codes reach over. */
static void widen(const lb_gridspec *g, float *low, float *high) {
    if (g->symmetric) {
        *high = -*low > *high ? -*low : *high;
        if (*low < 0) *low = -*high;
    }
    if (*low == 0 && *high == 0) *low = -1, *high = 1;
}

void lb_grid_of(const lb_gridspec *g, float low, float high, float *scale, float *zero) {
    widen(g, &low, &high);
    *scale = lb_scale_round(g->scale_type, grid_step(g, low, high));
    *zero = grid_zero(g, low, *scale);
}

lb_status lb_grid_fit(const lb_gridspec *g, const float *x, int64_t n, int64_t stride, float *scale, float *zero) {
    float low, high;
    LB_TRY(lb_grid_range(x, n, stride, &low, &high));
    widen(g, &low, &high);
    if (!isfinite(high - low))
        return lb_fail(LB_E_NUMERIC, "grid: the range from %g to %g overflows float32", (double)low, (double)high);
    LB_TRY(lb_scale_store(g->scale_type, grid_step(g, low, high), scale));
    *zero = grid_zero(g, low, *scale);
    if (!g->clip_search) return LB_OK;

    double best = INFINITY;
    for (int i = 0; i < CLIP_STEPS; i++) {
        float p = (float)(1 - i / 100.0);
        float s = lb_scale_round(g->scale_type, grid_step(g, p * low, p * high)), z = grid_zero(g, p * low, s);
        double error = clip_error(x, n, stride, s, z, (1 << g->bits) - 1, best);
        if (error < best) best = error, *scale = s, *zero = z;
    }
    return LB_OK;
}
