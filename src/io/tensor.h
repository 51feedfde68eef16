/* A named tensor inside a mapped file. Formats: GGUF v2/v3 and safetensors; both give these. */
#ifndef LB_IO_TENSOR_H
#define LB_IO_TENSOR_H

#include "base/fs.h"
#include "base/mem.h"

typedef enum lb_dtype {
    LB_F32,
    LB_F16,
    LB_BF16,
    LB_Q4_0,
    LB_Q4_1,
    LB_Q5_0,
    LB_Q5_1,
    LB_Q8_0,
    LB_F64,
    LB_I64, /* from here on no weights */
    LB_I32,
    LB_U8, /* these two are masks: in safetensors alone */
    LB_BOOL,
    LB_DTYPES
} lb_dtype;

const char *lb_dtype_name(lb_dtype t);
/* Elements a block and bytes a block: (1, 4) for f32, (32, 18) for Q4_0. */
void lb_dtype_block(lb_dtype t, int64_t *elements, int64_t *bytes);

/* shape[0] is the slowest dimension in both formats (GGUF's reversed order is undone). */
typedef struct lb_tensor {
    const char *name;
    lb_dtype type;
    int ndim;
    int64_t shape[4];
    const void *data;
    size_t bytes;
} lb_tensor;

int64_t lb_tensor_count(const lb_tensor *t); /* elements */
/* For the loaders: sets bytes from type, ndim and shape, all products checked. A negative or overflowing shape, or a
 * row that is not whole blocks, is LB_E_FORMAT naming file and tensor. */
LB_NODISCARD lb_status lb_tensor_measure(lb_tensor *t, const char *file);
/* "(1536, 576)" */
void lb_tensor_shape_text(const lb_tensor *t, char out[96]);
/* Elements [first, first + n) as float32; first and n are multiples of the block. Integers and
 * F64 are rounded to the nearest float32; of bools all but 0 are 1. */
LB_NODISCARD lb_status lb_tensor_read_f32(const lb_tensor *t, int64_t first, int64_t n, float *out);

#endif
