/* Strings -> numbers, walked byte by byte: all pieces that begin at a place of a text come out of one walk. */
#ifndef LB_MODEL_TRIE_H
#define LB_MODEL_TRIE_H

#include <string.h>

#include "base/mem.h"

typedef struct lb_trie_node {
    uint32_t first; /* its children are nodes first .. first + n, in order of their bytes */
    uint16_t n;
    int32_t value; /* of the string that ends here; -1: none does */
} lb_trie_node;
typedef struct lb_trie {
    lb_trie_node *node; /* (nodes); node 0 is the empty string */
    uint8_t *byte;      /* (nodes) the byte that leads to it */
    int32_t root[256];  /* the children of node 0; -1: none */
    uint32_t nodes;
} lb_trie;

typedef struct lb_trie_key {
    const char *s;
    size_t n;
    int32_t value;
} lb_trie_key;
/* Sorts the keys. Of equal ones the largest value stays; an empty key is left out. */
LB_NODISCARD lb_status lb_trie_new(lb_arena *a, lb_trie_key *key, size_t n, lb_trie *out);

/* The node behind `node` by this byte; -1: none. */
static inline int32_t lb_trie_next(const lb_trie *t, int32_t node, uint8_t byte) {
    if (node == 0) return t->root[byte];
    const lb_trie_node *p = &t->node[node];
    const uint8_t *b = t->byte + p->first, *hit;
    if (p->n == 1) return b[0] == byte ? (int32_t)p->first : -1;
    hit = p->n ? memchr(b, byte, p->n) : NULL;
    return hit ? (int32_t)(p->first + (uint32_t)(hit - b)) : -1;
}

/* The longest key that s begins with: its length, 0: none. */
size_t lb_trie_longest(const lb_trie *t, const char *s, size_t n, int32_t *value);

#endif
