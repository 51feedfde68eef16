/* JSON, with the file's name, line and column in messages: every text that Python's json.load takes, as jansson's
 * values, and one that begins with a byte-order mark. The last of several values of a key counts, as in Python; a
 * member that is read here must not have several. */
#ifndef LB_IO_JSON_H
#define LB_IO_JSON_H

#include <jansson.h>

#include "base/status.h"

/* jansson takes its memory from lb_alloc. When that fails it may lose a character and go on, so whoever builds or
 * prints JSON begins with the one and asks the other at the end (per thread); lb_json_read and _parse do so. */
void lb_json_memory_begin(void);
LB_NODISCARD lb_status lb_json_memory_check(const char *name); /* LB_E_NOMEM if an allocation failed since begin */

/* Bytes of the largest files that are read: a model's settings, any, one that holds a vocabulary. */
#define LB_JSON_MOST_CONFIG ((size_t)16 << 20)
#define LB_JSON_MOST        ((size_t)64 << 20)
#define LB_JSON_MOST_VOCAB  ((size_t)256 << 20)
LB_NODISCARD lb_status lb_json_read(const char *path, json_t **out); /* json_decref */
LB_NODISCARD lb_status lb_json_read_most(const char *path, size_t most, json_t **out);
LB_NODISCARD lb_status lb_json_parse(const char *name, const char *text, size_t len, json_t **out);
/* Of a file that has one value a line: its messages name this line. */
LB_NODISCARD lb_status lb_json_parse_line(const char *name, int64_t line, const char *text, size_t len, json_t **out);
/* A number that jansson cannot hold (an integer beyond 64 bits, one beyond float64, NaN, Infinity), as it was written;
 * else NULL. For json_is_string it is a string, for json_is_number none: the functions below know better. */
const char *lb_json_odd(const json_t *v);
/* When iterating over an object: a key under which the first of several different values is kept is none of the text's.
 * It gives the name of the key that was given twice; else NULL. */
const char *lb_json_twice(const char *key);
/* LB_E_FORMAT naming key and values if one of these (NULL-terminated) was given several different values; if any key
 * below was; if anything below is what a parser of the standard alone would refuse or misread. */
LB_NODISCARD lb_status lb_json_once(const char *name, const json_t *o, const char *const *keys);
LB_NODISCARD lb_status lb_json_all_once(const char *name, const json_t *root);
LB_NODISCARD lb_status lb_json_strict(const char *name, const json_t *root);
/* A value for a message, shortened. */
#define LB_JSON_TEXT 64
void lb_json_text(const json_t *v, char out[LB_JSON_TEXT]);
/* Typed members; a missing one or a wrong type is LB_E_FORMAT naming file, key and value. */
LB_NODISCARD lb_status lb_json_int(const char *name, const json_t *o, const char *key, int64_t *out);
LB_NODISCARD lb_status lb_json_num(const char *name, const json_t *o, const char *key, double *out);
LB_NODISCARD lb_status lb_json_str(const char *name, const json_t *o, const char *key, const char **out);

#endif
