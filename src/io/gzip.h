/* gzip data as its bytes (RFC 1952), by zlib. */
#ifndef LB_IO_GZIP_H
#define LB_IO_GZIP_H

#include "base/status.h"

bool lb_gzip_is(const void *data, size_t n);
/* All members, one after another, and a NUL behind them; lb_free. NULs behind the last one, as tapes have them, are no
 * data. LB_E_FORMAT: damaged, cut short, something else behind a member, or more than `most` bytes. */
LB_NODISCARD lb_status lb_gzip_unpack(const char *name, const void *data, size_t n, size_t most, char **out,
                                      size_t *len);

#endif
