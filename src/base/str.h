/* A growing string. On allocation failure it stays as it was and `failed` is set: check once, at the end. Where `most`
 * is not 0, so is it, and `over`, before room for more bytes than that is taken; a few more may fit in what it has. */
#ifndef LB_BASE_STR_H
#define LB_BASE_STR_H

#include "base/status.h"

typedef struct lb_str {
    char *s;
    size_t len, cap, most;
    bool failed, over;
} lb_str; /* {0} is empty; s is NUL-terminated once used */
void lb_str_add(lb_str *b, const char *fmt, ...) LB_PRINTF(2, 3);
void lb_str_add_bytes(lb_str *b, const void *p, size_t n);
void lb_str_free(lb_str *b);
LB_NODISCARD lb_status lb_str_check(const lb_str *b); /* LB_E_NOMEM if failed */

bool lb_str_glob(const char *pattern, const char *name); /* '*' and '?' */
/* The candidate nearest to `name` by edit distance (at most a third of its length), or NULL. */
const char *lb_str_nearest(const char *name, const char *const *candidates, size_t n);
bool lb_str_ends(const char *s, const char *suffix);

/* Strict numbers: the whole string, in the C locale; no hex, no NaN or infinity. */
LB_NODISCARD lb_status lb_parse_i64(const char *s, int64_t *out);
LB_NODISCARD lb_status lb_parse_f64(const char *s, double *out);

#endif
