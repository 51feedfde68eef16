/* GGUF versions 2 and 3, little-endian, mapped. Every offset, length, count and product is checked before use:
 * an open file's views are inside the map. Source: the GGUF specification in ggml's docs. */
#ifndef LB_IO_GGUF_H
#define LB_IO_GGUF_H

#include "io/tensor.h"

typedef struct lb_gguf lb_gguf;
LB_NODISCARD lb_status lb_gguf_open(const char *path, lb_gguf **out);
void lb_gguf_close(lb_gguf *g);
const char *lb_gguf_path(const lb_gguf *g);
int64_t lb_gguf_tensor_count(const lb_gguf *g);
const lb_tensor *lb_gguf_tensor(const lb_gguf *g, int64_t i);
const lb_tensor *lb_gguf_find(const lb_gguf *g, const char *name); /* NULL: none */

/* Metadata. A missing key is LB_E_FORMAT naming file and key, a wrong type likewise. has: asks first. */
bool lb_gguf_has(const lb_gguf *g, const char *key);
LB_NODISCARD lb_status lb_gguf_int(const lb_gguf *g, const char *key, int64_t *out);  /* any integer type that fits */
LB_NODISCARD lb_status lb_gguf_float(const lb_gguf *g, const char *key, double *out); /* f32, f64 */
LB_NODISCARD lb_status lb_gguf_bool(const lb_gguf *g, const char *key, bool *out);
LB_NODISCARD lb_status lb_gguf_str(const lb_gguf *g, const char *key, const char **s,
                                   size_t *len); /* a view, not NUL-terminated */
LB_NODISCARD lb_status lb_gguf_array(const lb_gguf *g, const char *key, int64_t *count);
LB_NODISCARD lb_status lb_gguf_array_str(const lb_gguf *g, const char *key, int64_t i, const char **s,
                                         size_t *len); /* O(1) */
LB_NODISCARD lb_status lb_gguf_array_int(const lb_gguf *g, const char *key, int64_t i, int64_t *out);
LB_NODISCARD lb_status lb_gguf_array_float(const lb_gguf *g, const char *key, int64_t i, double *out);
/* For `inspect`: the i-th key and a printable value (arrays shortened). false past the end. */
bool lb_gguf_describe(const lb_gguf *g, int64_t i, const char **key, char *value, size_t size);

#endif
