/* oneDNN's functions, found when its library is loaded, by the first command that asks for bf16: for bf16.c alone. */
#ifndef LB_MATH_BF16_LIBRARY_H
#define LB_MATH_BF16_LIBRARY_H

#include <oneapi/dnnl/dnnl.h>

#include "base/status.h"

/* The version of its header, where the library is not there to be asked. */
#define LB_ONEDNN_TEXT_(n) #n
#define LB_ONEDNN_TEXT(n)  LB_ONEDNN_TEXT_(n)
#define LB_ONEDNN_BUILT_WITH                                                                                           \
    LB_ONEDNN_TEXT(DNNL_VERSION_MAJOR) "." LB_ONEDNN_TEXT(DNNL_VERSION_MINOR) "." LB_ONEDNN_TEXT(DNNL_VERSION_PATCH)

#define LB_ONEDNN_FUNCTIONS(X)                                                                                         \
    X(engine_create)                                                                                                   \
    X(engine_destroy)                                                                                                  \
    X(get_effective_cpu_isa)                                                                                           \
    X(matmul_desc_init)                                                                                                \
    X(memory_create)                                                                                                   \
    X(memory_desc_get_size)                                                                                            \
    X(memory_desc_init_by_strides)                                                                                     \
    X(memory_desc_init_by_tag)                                                                                         \
    X(memory_destroy)                                                                                                  \
    X(post_ops_append_sum)                                                                                             \
    X(post_ops_create)                                                                                                 \
    X(post_ops_destroy)                                                                                                \
    X(primitive_attr_create)                                                                                           \
    X(primitive_attr_destroy)                                                                                          \
    X(primitive_attr_set_post_ops)                                                                                     \
    X(primitive_attr_set_scratchpad_mode)                                                                              \
    X(primitive_create)                                                                                                \
    X(primitive_desc_create)                                                                                           \
    X(primitive_desc_destroy)                                                                                          \
    X(primitive_desc_query_md)                                                                                         \
    X(primitive_destroy)                                                                                               \
    X(primitive_execute)                                                                                               \
    X(primitive_get_primitive_desc)                                                                                    \
    X(reorder_primitive_desc_create)                                                                                   \
    X(stream_create)                                                                                                   \
    X(stream_destroy)                                                                                                  \
    X(stream_wait)                                                                                                     \
    X(version)

typedef struct lb_onednn_library {
#define LB_ONEDNN_FIELD(name) __typeof__(dnnl_##name) *name;
    LB_ONEDNN_FUNCTIONS(LB_ONEDNN_FIELD)
#undef LB_ONEDNN_FIELD
    void (*set_threads)(int n); /* OpenMP's; NULL in a sequential build */
} lb_onednn_library;

extern lb_onednn_library lb_onednn; /* after lb_onednn_load */

/* Any thread, any number of times. */
LB_NODISCARD lb_status lb_onednn_load(void);

#endif
