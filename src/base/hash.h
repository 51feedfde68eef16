/* SHA-256 (libcrypto), as lower-case hex unless said otherwise. */
#ifndef LB_BASE_HASH_H
#define LB_BASE_HASH_H

#include "base/status.h"

#define LB_HASH_HEX   65
#define LB_HASH_BYTES 32
LB_NODISCARD lb_status lb_hash_bytes(const void *data, size_t n, char hex[LB_HASH_HEX]);
LB_NODISCARD lb_status lb_hash_digest(const void *data, size_t n, uint8_t digest[LB_HASH_BYTES]); /* not as text */
LB_NODISCARD lb_status lb_hash_file(const char *path, char hex[LB_HASH_HEX]);
/* The same of a file from byte `start` on, without `skip_n` bytes from byte `skip` on (skip_n 0: with all). */
LB_NODISCARD lb_status lb_hash_file_without(const char *path, size_t start, size_t skip, size_t skip_n,
                                            char hex[LB_HASH_HEX]);
bool lb_hash_is_hex(const char *s); /* could be one */

#endif
