/* On a CPU that OpenBLAS does not know by model number, the start must not leave its oldest kernels in place. */
#include "support/support.h"

#include <stdlib.h>
#include <strings.h>

#include "math/blas.h"

static void modern_cpu_gets_modern_kernels(void **state) {
    (void)state;
#if defined(__x86_64__)
    static const char *const old[] = {"Prescott", "Core2", "Penryn", "Nehalem", "Sandybridge", "Katmai", "Northwood"};
    if (getenv("OPENBLAS_CORETYPE") || !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) skip();
    for (size_t i = 0; i < sizeof old / sizeof old[0]; i++) assert_true(strcasecmp(lb_blas_core(), old[i]) != 0);
#else
    skip();
#endif
}

/* After the switch products are still right: small integers have one float32 answer. */
static void products_are_exact(void **state) {
    (void)state;
    enum { M = 37, N = 41, K = 53 };
    static float a[M * K], b[N * K], c[M * N];
    for (int i = 0; i < M * K; i++) a[i] = (float)(i * 7 % 11 - 5);
    for (int i = 0; i < N * K; i++) b[i] = (float)(i * 5 % 13 - 6);
    lb_sgemm(false, true, 1.0f, lb_cmat_of(a, M, K), lb_cmat_of(b, N, K), 0.0f, lb_mat_of(c, M, N));
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            int sum = 0;
            for (int k = 0; k < K; k++) sum += (int)a[i * K + k] * (int)b[j * K + k];
            assert_true(c[i * N + j] == (float)sum);
        }
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modern_cpu_gets_modern_kernels),
        cmocka_unit_test(products_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
