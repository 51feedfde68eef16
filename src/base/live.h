/* What is open at this moment, for a signal handler: which mapped file an address belongs to, and the temporary files
 * that have no name yet. Lists of fixed length; what finds no place in them is only not told. */
#ifndef LB_BASE_LIVE_H
#define LB_BASE_LIVE_H

#include <stddef.h>

void lb_live_map(const void *p, size_t n, const char *path); /* path: valid until lb_live_unmap(p) */
void lb_live_unmap(const void *p);
void lb_live_tmp(const char *path); /* is copied */
void lb_live_tmp_gone(const char *path);

/* Both may be called by a signal handler. NULL: of no mapped file. */
const char *lb_live_file(const void *address);
void lb_live_remove_tmp(void);

#endif
