#if defined(LB_HAVE_ONEDNN)

#include "math/bf16_library.h"

#include <pthread.h>

#include "math/library.h"

lb_onednn_library lb_onednn;

static const lb_symbol functions[] = {
#define FIND(name) {"dnnl_" #name, offsetof(lb_onednn_library, name), false},
    LB_ONEDNN_FUNCTIONS(FIND)
#undef FIND
        {"omp_set_num_threads", offsetof(lb_onednn_library, set_threads),
         DNNL_CPU_THREADING_RUNTIME != DNNL_RUNTIME_OMP},
};

lb_status lb_onednn_load(void) {
    static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;
    lb_status s = LB_OK;
    pthread_mutex_lock(&loading);
    if (!lb_onednn.version)
        s = lb_library_load("libdnnl.so." LB_ONEDNN_TEXT(DNNL_VERSION_MAJOR), "oneDNN", functions,
                            sizeof functions / sizeof functions[0], &lb_onednn);
    pthread_mutex_unlock(&loading);
    return s;
}

#else
typedef int lb_no_onednn; /* a file may not be empty */
#endif
