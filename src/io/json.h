/* JSON by jansson, with the file's name, line and column in messages. */
#ifndef LB_IO_JSON_H
#define LB_IO_JSON_H

#include <jansson.h>

#include "base/status.h"

/* jansson takes its memory from lb_alloc. When that fails it may lose a character and go on, so whoever builds or
 * prints JSON begins with the one and asks the other at the end (per thread); lb_json_read and _parse do so. */
void lb_json_memory_begin(void);
LB_NODISCARD lb_status lb_json_memory_check(const char *name); /* LB_E_NOMEM if an allocation failed since begin */

LB_NODISCARD lb_status lb_json_read(const char *path, json_t **out); /* json_decref */
LB_NODISCARD lb_status lb_json_parse(const char *name, const char *text, size_t len, json_t **out);
/* Typed members; a missing one or a wrong type is LB_E_FORMAT naming file and key. */
LB_NODISCARD lb_status lb_json_int(const char *name, const json_t *o, const char *key, int64_t *out);
LB_NODISCARD lb_status lb_json_num(const char *name, const json_t *o, const char *key, double *out);
LB_NODISCARD lb_status lb_json_str(const char *name, const json_t *o, const char *key, const char **out);

#endif
