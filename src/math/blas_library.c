/* OpenBLAS is loaded when the first command that multiplies starts, not with the program: for as it is loaded it reads
 * how many threads it shall have, and it starts them at once. Those that were not asked for take address space, and
 * where there is none OpenBLAS ends the program as if it had been interrupted, or never lets it end.
 *
 * Its build without threads is none to link instead: unless made with USE_LOCKING (Debian's is not), two threads that
 * multiply at the same time are now and then given the same buffer, and both products are wrong. */
#include "math/blas_library.h"

#include <stdlib.h>

#include "base/mem.h"
#include "math/library.h"

#ifndef LB_OPENBLAS_SO
#define LB_OPENBLAS_SO "libopenblas.so.0"
#endif

lb_blas_library lb_blas;

static const lb_symbol functions[] = {
#define FIND(field, name)                                                                                              \
    { name, offsetof(lb_blas_library, field), false }
#define MAY(field, name)                                                                                               \
    { name, offsetof(lb_blas_library, field), true }
    FIND(sgemm, "cblas_sgemm"),
    FIND(dgemm, "cblas_dgemm"),
    FIND(ssyrk, "cblas_ssyrk"),
    FIND(dsyrk, "cblas_dsyrk"),
    FIND(dtrsm, "cblas_dtrsm"),
    FIND(dtrmm, "cblas_dtrmm"),
    FIND(dpotrf, "dpotrf_"),
    FIND(dtrtri, "dtrtri_"),
    FIND(dsyevr, "dsyevr_"),
    FIND(set_num_threads, "openblas_set_num_threads"),
    FIND(get_num_threads, "openblas_get_num_threads"),
    FIND(get_parallel, "openblas_get_parallel"),
    FIND(get_config, "openblas_get_config"),
    FIND(get_corename, "openblas_get_corename"),
    MAY(choose_core, "gotoblas_dynamic_init"),
    MAY(forget_core, "gotoblas_dynamic_quit"),
    MAY(get_buffer, "blas_memory_alloc"),
    MAY(free_buffer, "blas_memory_free"),
#undef FIND
#undef MAY
};

lb_status lb_blas_load(void) {
    static const char variable[] = "OPENBLAS_NUM_THREADS";
    const char *before = getenv(variable);
    char *kept = before ? lb_strdup(before) : NULL;
    lb_status s = LB_OK;
    if (before && !kept)
        s = LB_E_NOMEM;
    else if (setenv(variable, "1", 1))
        s = lb_fail(LB_E_NOMEM, "out of memory: a variable of the environment");
    if (s == LB_OK)
        s = lb_library_load(LB_OPENBLAS_SO, "OpenBLAS", functions, sizeof functions / sizeof functions[0], &lb_blas);
    if (kept)
        (void)setenv(variable, kept, 1);
    else if (!before)
        (void)unsetenv(variable);
    lb_free(kept);
    if (s == LB_OK) lb_blas.set_num_threads(1);
    return s;
}
