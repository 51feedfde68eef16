/* Texts to numbers: a hash table that grows. For lists that may be long and must not be searched from the start. */
#ifndef LB_BASE_INDEX_H
#define LB_BASE_INDEX_H

#include "base/status.h"

uint64_t lb_text_hash(const char *s, size_t n); /* not a checksum: equal texts, equal numbers, within one run */

typedef struct lb_index_slot {
    const char *text; /* NULL: free */
    size_t value;
} lb_index_slot;
typedef struct lb_index {
    lb_index_slot *slot;
    size_t size, used; /* size: a power of two, or 0 */
} lb_index;            /* {0} is empty; lb_index_free */

/* The text's slot, a new one with `value` if it was not there (*fresh). The text is not copied and must outlive the
 * index; the slot is good until the next put. */
LB_NODISCARD lb_status lb_index_put(lb_index *x, const char *text, size_t value, lb_index_slot **slot, bool *fresh);
lb_index_slot *lb_index_get(const lb_index *x, const char *text); /* NULL: not there */
void lb_index_free(lb_index *x);

#endif
