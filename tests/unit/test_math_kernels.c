#include "support/support.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/rng.h"
#include "math/kernels.h"
#include "quant/grid.h"

static const char *const names[] = {"plain", "avx2", "avx512"};
enum { VARIANTS = 3, MAX_N = 200 };

/* n floats that end where an unreadable page begins: a kernel that reaches past its end is killed. */
static float *fenced(int64_t n) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = (size_t)n * sizeof(float);
    char *p = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED && bytes <= page);
    assert_int_equal(mprotect(p + page, page, PROT_NONE), 0);
    return (float *)(void *)(p + page - bytes);
}

static void unfence(float *p, int64_t n) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    munmap((char *)(p + n) - page, 2 * page);
}

static void fill(float *x, int64_t n, uint64_t seed, double size) {
    lb_rng r = lb_rng_make(seed, 0);
    for (int64_t i = 0; i < n; i++) x[i] = (float)(size * lb_rng_normal(&r));
}

/* Distance from a float to the next larger one in magnitude, at the size of `want`. */
static double ulp(double want) {
    float a = fabsf((float)want);
    return a >= 0x1p127f ? 0x1p104 : (double)nextafterf(a, INFINITY) - (double)a;
}

/* Every stride-th bit pattern of all floats, or all 2^32 with LOWBIT_TEST_LONG set. Reference: libm in float64. */
static void exp_over_all_floats(void **state) {
    (void)state;
    enum { PART = 4096 };
    static float x[PART], y[PART];
    uint64_t stride = getenv("LOWBIT_TEST_LONG") ? 1 : 2503;
    for (int v = 0; v < VARIANTS; v++) {
        const lb_kernels *k = lb_kernels_get(names[v]);
        double worst = 0;
        if (!k) continue;
        for (uint64_t u = 0; u < UINT64_C(1) << 32;) {
            int n = 0;
            for (; n < PART && u < UINT64_C(1) << 32; u += stride, n++) {
                uint32_t bits = (uint32_t)u;
                memcpy(x + n, &bits, sizeof bits);
            }
            k->exp(y, x, n);
            for (int i = 0; i < n; i++) {
                if (isnan(x[i]))
                    assert_true(isnan(y[i]));
                else if (x[i] < -104)
                    assert_true(y[i] == 0);
                else if (x[i] > 88.73f)
                    assert_true(y[i] == INFINITY);
                else {
                    double want = exp((double)x[i]), got = isinf(y[i]) ? 0x1p128 : (double)y[i];
                    double error = isinf((float)want) && isinf(y[i]) ? 0 : fabs(got - want) / ulp(want);
                    if (error > worst) worst = error;
                }
            }
        }
        print_message("%s: exp is at most %.3f ulp off\n", names[v], worst);
        assert_true(worst <= 2);
    }
}

static void exp_special_values(void **state) {
    (void)state;
    static const float at[][2] = {{0, 1},
                                  {-0.0f, 1},
                                  {INFINITY, INFINITY},
                                  {-INFINITY, 0},
                                  {1e-45f, 1},
                                  {-1e-45f, 1},
                                  {88.8f, INFINITY},
                                  {-200, 0},
                                  {FLT_MAX, INFINITY},
                                  {-FLT_MAX, 0},
                                  {-103.5f, 1e-45f}};
    for (int v = 0; v < VARIANTS; v++) {
        const lb_kernels *k = lb_kernels_get(names[v]);
        if (!k) continue;
        for (size_t i = 0; i < sizeof at / sizeof at[0]; i++)
            for (int n = 1; n < 40; n += 19) { /* in the tail and in the body */
                float x[40], y[40];
                for (int j = 0; j < n; j++) x[j] = at[i][0];
                k->exp(y, x, n);
                for (int j = 0; j < n; j++) assert_true(y[j] == at[i][1]);
            }
    }
}

static void exp_sums(void **state) {
    (void)state;
    for (int v = 0; v < VARIANTS; v++) {
        const lb_kernels *k = lb_kernels_get(names[v]);
        if (!k) continue;
        for (int64_t n = 0; n <= MAX_N; n++) {
            float *x = fenced(n), *y = fenced(n), *plain = fenced(n);
            double want = 0;
            fill(x, n, (uint64_t)n, 3);
            for (int64_t i = 0; i < n; i++) plain[i] = x[i] - 1.5f;
            k->exp(plain, plain, n);
            for (int64_t i = 0; i < n; i++) want += (double)plain[i];
            double sum = k->exp_sum(y, x, 1.5f, n);
            assert_true(fabs(sum - want) <= 1e-15 * (double)n * want); /* n roundings of 2^-53 */
            assert_true(k->sum_exp(x, 1.5f, n) == sum);
            assert_memory_equal(y, plain, (size_t)n * sizeof *y);
            unfence(x, n), unfence(y, n), unfence(plain, n);
        }
    }
}

static void maxima(void **state) {
    (void)state;
    for (int v = 0; v < VARIANTS; v++) {
        const lb_kernels *k = lb_kernels_get(names[v]);
        if (!k) continue;
        assert_true(k->max(NULL, 0) == -INFINITY);
        for (int64_t n = 1; n <= 70; n++)
            for (int64_t at = 0; at < n; at++) {
                float *x = fenced(n);
                fill(x, n, (uint64_t)at, 1);
                for (int64_t i = 0; i < n; i++) x[i] = -1 - fabsf(x[i]);
                x[at] = -0.5f;
                assert_true(k->max(x, n) == -0.5f);
                x[at] = NAN;
                assert_true(isnan(k->max(x, n)));
                x[at] = INFINITY;
                assert_true(k->max(x, n) == INFINITY);
                unfence(x, n);
            }
    }
}

/* Ranges contain 0, and a NaN is not lost. */
static void ranges(void **state) {
    (void)state;
    for (int v = 0; v < VARIANTS; v++) {
        const lb_kernels *k = lb_kernels_get(names[v]);
        if (!k) continue;
        for (int64_t n = 0; n <= MAX_N; n++) {
            float *x = fenced(n), low, high, least = 0, most = 0;
            fill(x, n, (uint64_t)n, 1);
            if (n % 3 == 1) /* one side only */
                for (int64_t i = 0; i < n; i++) x[i] = fabsf(x[i]);
            for (int64_t i = 0; i < n; i++) least = fminf(least, x[i]), most = fmaxf(most, x[i]);
            k->range(x, n, &low, &high);
            assert_true(low == least && high == most);
            if (n > 0) {
                x[(n * 7) % n] = NAN;
                k->range(x, n, &low, &high);
                assert_true(isnan(low) || isnan(high));
                x[(n * 7) % n] = -INFINITY;
                k->range(x, n, &low, &high);
                assert_true(low == -INFINITY);
            }
            unfence(x, n);
        }
    }
}

/* Rounding to a grid is quant/grid.h's, bit by bit, in every variant, beyond both ends and on ties. */
static void grids(void **state) {
    (void)state;
    for (int v = 0; v < VARIANTS; v++) {
        const lb_kernels *k = lb_kernels_get(names[v]);
        if (!k) continue;
        for (int64_t n = 0; n <= MAX_N; n++) {
            float *x = fenced(n), *y = fenced(n);
            int bits = 2 + (int)(n % 7), maxq = (1 << bits) - 1;
            float scale = 0.037f * (float)(1 + n % 5), zero = (float)(n % (maxq + 1));
            fill(x, n, (uint64_t)n, 0.3);
            for (int64_t i = 0; i < n; i += 4) x[i] = scale * ((float)(i % 11) - 5.5f);
            if (n > 2) x[2] = 3e38f, x[1] = -3e38f;
            k->grid(y, x, scale, zero, (float)maxq, n);
            for (int64_t i = 0; i < n; i++)
                assert_true(y[i] == lb_grid_value(lb_grid_code(x[i], scale, zero, maxq), scale, zero));
            unfence(x, n), unfence(y, n);
        }
    }
}

/* Bound: n roundings of 2^-53 over the sum of magnitudes. The same bits in every variant, which kernels_impl.h says. */
static void dots(void **state) {
    (void)state;
    for (int64_t n = 0; n <= MAX_N; n++) {
        float *x = fenced(n), *y = fenced(n);
        long double want = 0, size = 0;
        fill(x, n, (uint64_t)n, 1);
        fill(y, n, (uint64_t)n + 1000, 100);
        for (int64_t i = 0; i < n; i++) {
            want += (long double)x[i] * (long double)y[i];
            size += fabsl((long double)x[i] * (long double)y[i]);
        }
        double plain = lb_kernels_get("plain")->dot(x, y, n);
        assert_true(fabsl((long double)plain - want) <= size * (long double)n * 0x1p-53L);
        for (int v = 1; v < VARIANTS; v++) {
            const lb_kernels *k = lb_kernels_get(names[v]);
            if (k) assert_true(k->dot(x, y, n) == plain);
        }
        unfence(x, n), unfence(y, n);
    }
}

static void scale_and_axpy(void **state) {
    (void)state;
    for (int v = 0; v < VARIANTS; v++) {
        const lb_kernels *k = lb_kernels_get(names[v]);
        if (!k) continue;
        for (int64_t n = 0; n <= MAX_N; n++) {
            float *x = fenced(n), *y = fenced(n), was[MAX_N + 1];
            fill(x, n, (uint64_t)n, 1);
            fill(y, n, (uint64_t)n + 1000, 1);
            memcpy(was, y, (size_t)n * sizeof *y);
            k->axpy(y, 0.3f, x, n);
            for (int64_t i = 0; i < n; i++) { /* a rounding of the product and one of the sum */
                double ax = (double)0.3f * (double)x[i], want = ax + (double)was[i];
                assert_true(fabs((double)y[i] - want) <= 0x1p-24 * (fabs(ax) + fabs(want)));
            }
            memcpy(was, y, (size_t)n * sizeof *y);
            k->scale(y, -1.7f, n);
            for (int64_t i = 0; i < n; i++) assert_true(y[i] == was[i] * -1.7f);
            unfence(x, n), unfence(y, n);
        }
    }
}

/* Each element against a chain in long double: k roundings of a product and k of a sum. */
static void sub_tn(void **state) {
    (void)state;
    static const int64_t shape[][3] = {{1, 1, 1},  {1, 16, 32}, {7, 5, 32}, {16, 15, 32},
                                       {3, 4, 45}, {9, 14, 33}, {0, 3, 8}};
    for (int v = 0; v < VARIANTS; v++) {
        const lb_kernels *kernels = lb_kernels_get(names[v]);
        for (size_t n = 0; kernels && n < sizeof shape / sizeof shape[0]; n++) {
            int64_t k = shape[n][0], rows = shape[n][1], cols = shape[n][2], lda = rows + 3;
            double *a = (double *)fenced(2 * k * lda), *b = (double *)fenced(2 * k * cols);
            double *c = (double *)fenced(2 * rows * cols), was[16 * 33];
            lb_rng r = lb_rng_make(7, n);
            for (int64_t i = 0; i < k * lda; i++) a[i] = lb_rng_normal(&r);
            for (int64_t i = 0; i < k * cols; i++) b[i] = lb_rng_normal(&r);
            for (int64_t i = 0; i < rows * cols; i++) was[i] = c[i] = lb_rng_normal(&r);
            kernels->sub_tn(lb_dmat_of(c, rows, cols), (lb_cdmat){a, k, rows, lda}, (lb_cdmat){b, k, cols, cols});
            for (int64_t i = 0; i < rows; i++)
                for (int64_t j = 0; j < cols; j++) {
                    long double want = was[i * cols + j], size = fabsl(want);
                    for (int64_t p = 0; p < k; p++) {
                        long double product = (long double)a[p * lda + i] * b[p * cols + j];
                        want -= product, size += fabsl(product);
                    }
                    assert_true(fabsl(c[i * cols + j] - want) <= 0x1p-53L * 2 * (long double)k * size);
                }
            unfence((float *)a, 2 * k * lda), unfence((float *)b, 2 * k * cols), unfence((float *)c, 2 * rows * cols);
        }
    }
}

/* Against quant/grid.h, bit by bit: its own loop is what defines a code. */
static void grid_column(void **state) {
    (void)state;
    double w[MAX_N + 1], err[MAX_N + 1];
    float scale[MAX_N + 1], zero[MAX_N + 1];
    uint8_t code[MAX_N + 1];
    for (int v = 0; v < VARIANTS; v++) {
        const lb_kernels *k = lb_kernels_get(names[v]);
        for (int bits = 2; k && bits <= 8; bits++)
            for (int64_t n = 0; n <= MAX_N; n++) {
                int maxq = (1 << bits) - 1;
                lb_rng r = lb_rng_make(11, (uint64_t)(n * 8 + bits));
                for (int64_t i = 0; i < n; i++) {
                    w[i] = 3 * lb_rng_normal(&r);
                    scale[i] = (float)(0.01 + fabs(lb_rng_normal(&r)));
                    zero[i] = (float)lb_rng_below(&r, maxq + 1);
                    if (i % 5 == 0) w[i] = ((double)(i % 9) - 4.5) * (double)scale[i]; /* halves */
                    if (i % 13 == 0) w[i] *= 1e30;
                }
                assert_true(k->grid_column(code, err, w, scale, zero, (float)maxq, 0.7, n));
                for (int64_t i = 0; i < n; i++) {
                    uint8_t want = lb_grid_code((float)w[i], scale[i], zero[i], maxq);
                    assert_int_equal(code[i], want);
                    assert_true(err[i] == (w[i] - (double)lb_grid_value(want, scale[i], zero[i])) / 0.7);
                }
                if (n == 0) continue;
                static const double no_number[] = {NAN, INFINITY, -INFINITY};
                for (size_t b = 0; b < 3; b++) {
                    w[n / 2] = no_number[b];
                    assert_false(k->grid_column(code, err, w, scale, zero, (float)maxq, 0.7, n));
                }
            }
    }
}

/* With u = 1 and g a power of two the products are exact, which leaves sigmoid's own error: 4 ulp. */
static void swiglu(void **state) {
    (void)state;
    double worst = 0;
    for (int v = 0; v < VARIANTS; v++) {
        const lb_kernels *k = lb_kernels_get(names[v]);
        if (!k) continue;
        for (int e = -30; e < 7; e++)
            for (int sign = -1; sign <= 1; sign += 2) {
                float g = (float)sign * ldexpf(1, e), one = 1, y;
                k->swiglu(&y, &g, &one, 1);
                double want = 1 / (1 + exp(-(double)g)), error = fabs((double)y / (double)g - want) / ulp(want);
                if (error > worst) worst = error;
            }
        for (int64_t n = 0; n <= MAX_N; n++) {
            float *g = fenced(n), *u = fenced(n), *y = fenced(n);
            fill(g, n, (uint64_t)n, 20);
            fill(u, n, (uint64_t)n + 1000, 1);
            k->swiglu(y, g, u, n);
            for (int64_t i = 0; i < n; i++) { /* 4 ulp is at most 8 * 2^-24; and two roundings */
                double want = (double)g[i] / (1 + exp(-(double)g[i])) * (double)u[i];
                assert_true(fabs((double)y[i] - want) <= 10 * 0x1p-24 * fabs(want));
            }
            unfence(g, n), unfence(u, n), unfence(y, n);
        }
        float far[3] = {-95, 95, NAN}, one[3] = {1, 1, 1}, y[3];
        k->swiglu(y, far, one, 3);
        assert_true(fabs((double)y[0] / (-95 * exp(-95.0)) - 1) < 1e-3); /* a subnormal sigmoid, not 0 */
        assert_true(y[1] == 95 && isnan(y[2]));
    }
    print_message("sigmoid is at most %.3f ulp off\n", worst);
    assert_true(worst <= 4);
}

static void rmsnorm(void **state) {
    (void)state;
    for (int64_t n = 1; n <= MAX_N; n++) {
        float *x = fenced(n), *w = fenced(n), *y = fenced(n);
        fill(x, n, (uint64_t)n, 1e-2);
        fill(w, n, (uint64_t)n + 1000, 1);
        double mean = 0;
        for (int64_t i = 0; i < n; i++) mean += (double)x[i] * (double)x[i] / (double)n;
        for (int v = 0; v < VARIANTS; v++) {
            const lb_kernels *k = lb_kernels_get(names[v]);
            if (!k) continue;
            k->rmsnorm(y, x, w, 1e-5f, n);
            for (int64_t i = 0; i < n; i++) { /* roundings of the factor and of two products: 3 * 2^-24, and a bit */
                double want = (double)x[i] / sqrt(mean + (double)1e-5f) * (double)w[i];
                assert_true(fabs((double)y[i] - want) <= 3.01 * 0x1p-24 * fabs(want));
            }
        }
        unfence(x, n), unfence(w, n), unfence(y, n);
    }
}

static void layernorm(void **state) {
    (void)state;
    for (int64_t n = 1; n <= MAX_N; n++) {
        float *x = fenced(n), *w = fenced(n), *b = fenced(n), *y = fenced(n), *plain = fenced(n);
        fill(x, n, (uint64_t)n, 1e-2);
        fill(w, n, (uint64_t)n + 1000, 1);
        fill(b, n, (uint64_t)n + 2000, 1);
        for (int has = 0; has < 4; has++) {
            const float *weight = has & 1 ? w : NULL, *bias = has & 2 ? b : NULL, one = has & 1 ? 1.0f : 0.0f;
            double mean = 0, square = 0;
            for (int64_t i = 0; i < n; i++) mean += (double)x[i] / (double)n;
            for (int64_t i = 0; i < n; i++) square += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)n;
            lb_kernels_get("plain")->layernorm(plain, x, weight, one, bias, 1e-5f, n);
            for (int64_t i = 0; i < n; i++) {
                double inv = 1 / sqrt(square + (double)1e-5f), scale = weight ? (double)w[i] + (double)one : 1;
                double want = ((double)x[i] - mean) * inv * scale + (bias ? (double)b[i] : 0);
                /* roundings of the mean, of what it is taken from, of the factor, and of each step */
                double size = (fabs((double)x[i]) + fabs(mean)) * inv * fabs(scale) + (bias ? fabs((double)b[i]) : 0);
                assert_true(fabs((double)plain[i] - want) <= 6 * 0x1p-24 * size);
            }
            for (int v = 1; v < VARIANTS; v++) {
                const lb_kernels *k = lb_kernels_get(names[v]);
                if (!k) continue;
                k->layernorm(y, x, weight, one, bias, 1e-5f, n);
                assert_memory_equal(y, plain, (size_t)n * sizeof *y);
            }
        }
        unfence(x, n), unfence(w, n), unfence(b, n), unfence(y, n), unfence(plain, n);
    }
}

/* y may be x. */
static void in_place(void **state) {
    (void)state;
    for (int v = 0; v < VARIANTS; v++) {
        const lb_kernels *k = lb_kernels_get(names[v]);
        float x[77], w[77], a[77], b[77];
        if (!k) continue;
        fill(x, 77, 1, 1);
        fill(w, 77, 2, 1);
        k->rmsnorm(a, x, w, 1e-5f, 77);
        memcpy(b, x, sizeof b);
        k->rmsnorm(b, b, w, 1e-5f, 77);
        assert_memory_equal(a, b, sizeof a);
        k->layernorm(a, x, w, 1.0f, w, 1e-5f, 77);
        memcpy(b, x, sizeof b);
        k->layernorm(b, b, w, 1.0f, w, 1e-5f, 77);
        assert_memory_equal(a, b, sizeof a);
        k->swiglu(a, x, w, 77);
        memcpy(b, x, sizeof b);
        k->swiglu(b, b, w, 77);
        assert_memory_equal(a, b, sizeof a);
    }
}

static void choosing(void **state) {
    (void)state;
    unsetenv("LOWBIT_KERNELS");
    assert_ok(lb_kernels_init());
    assert_ok(lb_kernels_force("auto"));
    const lb_kernels *best = lb_kernels_active();
    for (int v = 0; v < VARIANTS; v++) {
        const lb_kernels *k = lb_kernels_get(names[v]);
        setenv("LOWBIT_KERNELS", names[v], 1);
        if (!k) {
            assert_status(LB_E_ARG, lb_kernels_force(names[v]));
            assert_status(LB_E_ARG, lb_kernels_init());
            continue;
        }
        assert_string_equal(k->name, names[v]);
        assert_ok(lb_kernels_force("auto"));
        assert_ptr_equal(lb_kernels_active(), k); /* the variable */
        unsetenv("LOWBIT_KERNELS");
        assert_ok(lb_kernels_force(names[v]));
        assert_ptr_equal(lb_kernels_active(), k);
        assert_ok(lb_kernels_force("auto"));
        assert_ptr_equal(lb_kernels_active(), best);
    }
    assert_null(lb_kernels_get("sse9"));
    assert_status(LB_E_ARG, lb_kernels_force("sse9"));
    assert_error_has("plain");
    setenv("LOWBIT_KERNELS", "sse9", 1);
    assert_status(LB_E_ARG, lb_kernels_init());
    assert_error_has("LOWBIT_KERNELS=sse9");
    unsetenv("LOWBIT_KERNELS");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_over_all_floats),
        cmocka_unit_test(exp_special_values),
        cmocka_unit_test(exp_sums),
        cmocka_unit_test(maxima),
        cmocka_unit_test(ranges),
        cmocka_unit_test(grids),
        cmocka_unit_test(dots),
        cmocka_unit_test(scale_and_axpy),
        cmocka_unit_test(sub_tn),
        cmocka_unit_test(grid_column),
        cmocka_unit_test(swiglu),
        cmocka_unit_test(rmsnorm),
        cmocka_unit_test(layernorm),
        cmocka_unit_test(in_place),
        cmocka_unit_test(choosing),
    };
    return cmocka_run_group_tests_name("math/kernels", tests, NULL, NULL);
}
