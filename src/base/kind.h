/* What bytes are that were taken for a text. */
#ifndef LB_BASE_KIND_H
#define LB_BASE_KIND_H

#include <stddef.h>

/* "UTF-16 text, little-endian", "gzip data": by byte-order marks and the first bytes that such files begin with, and
 * text whose every other byte is NUL. NULL: nothing that is known to be no UTF-8. */
const char *lb_kind_of(const void *data, size_t n);
/* What makes a text of such: "iconv converts it"; a command that begins with a program's name, or "unpack it". */
const char *lb_kind_advice(const char *kind);
/* The length of a UTF-8 byte-order mark at the head: 3 or 0. */
size_t lb_utf8_mark(const void *data, size_t n);

#endif
