/* Rotary positions. Su et al. 2021 (arXiv:2104.09864) eq. 34: theta_i = base^(-2i/d); linear scaling: Chen et al. 2023
 * (arXiv:2306.15595) eq. 4; llama3: the code released with Llama 3.1, as transformers has it. */
#include <assert.h>
#include <math.h>

#include "base/profile.h"
#include "model/forward.h"

const char *const lb_rope_type_name[LB_ROPE_TYPES] = {"default", "linear", "llama3"};

bool lb_rope_scaling_same(const lb_rope_scaling *a, const lb_rope_scaling *b) {
    return a->type == b->type && a->factor == b->factor && a->low == b->low && a->high == b->high &&
           a->original == b->original;
}

double lb_rope_frequency(const lb_arch *arch, int64_t i) {
    static const double pi = 3.14159265358979323846;
    const lb_rope_scaling *s = &arch->scaling;
    double theta = pow(arch->rope_base, -2.0 * (double)i / (double)arch->head_dim);
    if (s->type == LB_ROPE_DEFAULT) return theta;
    if (s->type == LB_ROPE_LINEAR) return theta / s->factor;
    double turns = (double)s->original * theta / (2.0 * pi); /* within the original context */
    if (turns > s->high) return theta;
    if (turns < s->low) return theta / s->factor;
    double kept = (turns - s->low) / (s->high - s->low);
    return kept * theta + (1.0 - kept) * theta / s->factor;
}

lb_status lb_rope_new(lb_arena *a, const lb_arch *arch, int64_t length, lb_rope *out) {
    int64_t half = arch->head_dim / 2;
    float *c = lb_arena_get(a, (size_t)length, (size_t)half * sizeof *c);
    float *s = lb_arena_get(a, (size_t)length, (size_t)half * sizeof *s);
    if (!c || !s) return LB_E_NOMEM;
    for (int64_t i = 0; i < half; i++) {
        double theta = lb_rope_frequency(arch, i);
        for (int64_t t = 0; t < length; t++) {
            c[t * half + i] = (float)cos((double)t * theta);
            s[t * half + i] = (float)sin((double)t * theta);
        }
    }
    *out = (lb_rope){.cos = c, .sin = s, .length = length};
    return LB_OK;
}

/* x (head_dim): the pair (x[i * step], x[i * step + apart]) turns by the angle of i. */
static void rotate_head(float *x, const float *c, const float *s, float sign, int64_t half, int64_t step,
                        int64_t apart) {
    for (int64_t i = 0; i < half; i++) {
        float *u = x + i * step, *v = u + apart;
        float a = *u, b = *v, sn = sign * s[i];
        *u = a * c[i] - b * sn;
        *v = b * c[i] + a * sn;
    }
}

void lb_rope_rotate(const lb_arch *arch, const lb_rope *r, bool inverse, lb_mat x) {
    int64_t d = arch->head_dim, half = d / 2;
    assert(x.rows <= r->length && x.cols % d == 0);
    bool pairs = arch->rope == LB_ROPE_PAIRS;
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_ROPE);
    for (int64_t t = 0; t < x.rows; t++)
        for (int64_t h = 0; h < x.cols; h += d) {
            float *head = x.d + t * x.ld + h;
            const float *c = r->cos + t * half, *s = r->sin + t * half;
            /* Two calls with literals, so that each inlines to its own loop. */
            if (pairs)
                rotate_head(head, c, s, inverse ? -1.0f : 1.0f, half, 2, 1);
            else
                rotate_head(head, c, s, inverse ? -1.0f : 1.0f, half, 1, half);
        }
    lb_scope_end(&scope, 3 * (double)(x.rows * x.cols), 8 * (double)(x.rows * x.cols));
}
