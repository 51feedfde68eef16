/* Strings -> numbers, walked byte by byte: all pieces that begin at a place of a text come out of one walk. */
#ifndef LB_MODEL_TRIE_H
#define LB_MODEL_TRIE_H

#include "base/mem.h"

/* A double array: the node behind node i by byte b is unit i.base ^ b, if that names i as the node before it. */
typedef struct lb_trie_unit {
    uint32_t base;   /* 0 where no string goes on */
    uint32_t before; /* of the root itself; UINT32_MAX: no node is here */
    int32_t value;   /* of the string that ends here; -1: none does */
} lb_trie_unit;
typedef struct lb_trie {
    lb_trie_unit *unit; /* (units), whole blocks of 256; unit 0 is the empty string */
    uint32_t units;
} lb_trie;

typedef struct lb_trie_key {
    const char *s;
    size_t n;
    int32_t value;
} lb_trie_key;
/* Sorts the keys. Of equal ones the largest value stays; an empty key is left out. */
LB_NODISCARD lb_status lb_trie_new(lb_arena *a, lb_trie_key *key, size_t n, lb_trie *out);

/* The node behind `node` by this byte; 0: none. */
static inline uint32_t lb_trie_next(const lb_trie *t, uint32_t node, uint8_t byte) {
    uint32_t next = t->unit[node].base ^ byte;
    return t->unit[next].before == node ? next : 0;
}

/* The longest key that s begins with: its length, 0: none. */
size_t lb_trie_longest(const lb_trie *t, const char *s, size_t n, int32_t *value);

#endif
