/* safetensors: one file, or a folder's sharded set by model.safetensors.index.json; mapped and checked like GGUF.
 * Source: the safetensors format description (8-byte header length, JSON header, data; offsets without holes). */
#ifndef LB_IO_SAFETENSORS_H
#define LB_IO_SAFETENSORS_H

#include "io/tensor.h"

typedef struct lb_safetensors lb_safetensors;
/* path: a .safetensors file, an index.json, or a folder holding model.safetensors or model.safetensors.index.json. */
LB_NODISCARD lb_status lb_safetensors_open(const char *path, lb_safetensors **out);
void lb_safetensors_close(lb_safetensors *s);
int64_t lb_safetensors_count(const lb_safetensors *s);
const lb_tensor *lb_safetensors_tensor(const lb_safetensors *s, int64_t i); /* by name, sorted */
const lb_tensor *lb_safetensors_find(const lb_safetensors *s, const char *name);
/* A value of "__metadata__", or NULL. */
const char *lb_safetensors_metadata(const lb_safetensors *s, const char *key);

/* The files that it was read from, by name, NULL past the end; and the index that named them, NULL: a single file. */
const char *lb_safetensors_file(const lb_safetensors *s, size_t i);
const char *lb_safetensors_index(const lb_safetensors *s);

/* Writing: F32 in, stored as `type` (LB_F32, LB_F16, LB_BF16); a value that overflows f16 is LB_E_NUMERIC naming the
 * tensor. Atomic. metadata: pairs key, value, NULL-terminated, or NULL. */
typedef struct lb_tensor_out {
    const char *name;
    int ndim;
    int64_t shape[4];
    const float *data; /* NULL: from read, at this tensor's turn; what it gives is used until the next call */
    lb_status (*read)(void *ctx, const float **data);
    void *ctx;
} lb_tensor_out;
LB_NODISCARD lb_status lb_safetensors_write(const char *path, lb_dtype type, const lb_tensor_out *t, int64_t n,
                                            const char *const *metadata);

#endif
