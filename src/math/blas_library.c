/* OpenBLAS is loaded when the first command that multiplies starts, not with the program: for as it is loaded it reads
 * how many threads it shall have, and it starts them at once. Those that were not asked for take address space, and
 * where there is none OpenBLAS ends the program as if it had been interrupted, or never lets it end.
 *
 * Its build without threads is none to link instead: unless made with USE_LOCKING (Debian's is not), two threads that
 * multiply at the same time are now and then given the same buffer, and both products are wrong. */
#include "math/blas_library.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifndef LB_OPENBLAS_SO
#define LB_OPENBLAS_SO "libopenblas.so.0"
#endif

lb_blas_library lb_blas;

static const struct {
    const char *name;
    size_t offset;
    bool optional;
} functions[] = {
#define FIND(field, name) {name, offsetof(lb_blas_library, field), false}
#define MAY(field, name)  {name, offsetof(lb_blas_library, field), true}
    FIND(sgemm, "cblas_sgemm"),
    FIND(dgemm, "cblas_dgemm"),
    FIND(ssyrk, "cblas_ssyrk"),
    FIND(dsyrk, "cblas_dsyrk"),
    FIND(dtrsm, "cblas_dtrsm"),
    FIND(dtrmm, "cblas_dtrmm"),
    FIND(dpotrf, "dpotrf_"),
    FIND(dtrtri, "dtrtri_"),
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

/* The loader tells what failed in words alone. */
static bool means_no_memory(const char *reason) {
    static const char *const words[] = {"failed to map", "annot allocate", "out of memory", "cannot create",
                                        "cannot apply additional memory protection"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strstr(reason, words[i])) return true;
    return false;
}

static lb_status open_library(void **handle) {
    static const char variable[] = "OPENBLAS_NUM_THREADS";
    const char *before = getenv(variable);
    char *kept = before ? strdup(before) : NULL;
    if ((before && !kept) || setenv(variable, "1", 1)) {
        free(kept);
        return lb_fail(LB_E_NOMEM, "out of memory: a variable of the environment");
    }
    /* For plug-ins too, which may multiply with it. */
    *handle = dlopen(LB_OPENBLAS_SO, RTLD_NOW | RTLD_GLOBAL);
    const char *reason = *handle ? NULL : dlerror();
    if (kept)
        (void)setenv(variable, kept, 1);
    else
        (void)unsetenv(variable);
    free(kept);
    if (*handle) return LB_OK;
    if (!reason || means_no_memory(reason))
        return lb_fail(LB_E_NOMEM, "out of memory: OpenBLAS cannot be loaded: %s", reason ? reason : LB_OPENBLAS_SO);
    return lb_fail(LB_E_UNSUPPORTED, "OpenBLAS cannot be loaded: %s", reason);
}

lb_status lb_blas_load(void) {
    lb_blas_library found;
    void *handle = NULL;
    LB_TRY(open_library(&handle));
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        void *f = dlsym(handle, functions[i].name);
        if (!f && !functions[i].optional)
            return lb_fail(LB_E_UNSUPPORTED, "%s has no %s: it is no OpenBLAS with CBLAS and LAPACK", LB_OPENBLAS_SO,
                           functions[i].name);
        memcpy((char *)&found + functions[i].offset, &f, sizeof f);
    }
    found.set_num_threads(1);
    lb_blas = found;
    return LB_OK;
}
