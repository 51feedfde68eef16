#include "model/tokenizer/trie.h"

#include <stdlib.h>

static int by_bytes(const void *a, const void *b) {
    const lb_trie_key *x = a, *y = b;
    size_t n = x->n < y->n ? x->n : y->n;
    int c = n ? memcmp(x->s, y->s, n) : 0;
    if (c) return c;
    if (x->n != y->n) return x->n < y->n ? -1 : 1;
    return x->value < y->value ? -1 : x->value > y->value;
}

/* Nodes of the sorted keys: the root, and for each key the bytes that it does not share with the one before. */
static uint64_t count_nodes(const lb_trie_key *key, size_t n) {
    uint64_t nodes = 1;
    for (size_t i = 0; i < n; i++) {
        size_t same = 0;
        while (i > 0 && same < key[i].n && same < key[i - 1].n && key[i].s[same] == key[i - 1].s[same]) same++;
        nodes += key[i].n - same;
    }
    return nodes;
}

/* The keys of a node: those from lo to hi share their first `depth` bytes. */
typedef struct range {
    uint32_t lo, hi, depth;
} range;

/* Gives the node of range[at] its value and its children; *used: nodes so far. */
static void spread(lb_trie *t, const lb_trie_key *key, range *of, uint32_t at, uint32_t *used) {
    range r = of[at];
    lb_trie_node *p = &t->node[at];
    *p = (lb_trie_node){.first = *used, .value = -1};
    uint32_t i = r.lo;
    for (; i < r.hi && key[i].n == r.depth; i++) p->value = r.depth ? key[i].value : -1;
    while (i < r.hi) {
        uint8_t b = (uint8_t)key[i].s[r.depth];
        uint32_t from = i;
        while (i < r.hi && (uint8_t)key[i].s[r.depth] == b) i++;
        t->byte[*used] = b;
        of[(*used)++] = (range){from, i, r.depth + 1};
        p->n++;
    }
}

lb_status lb_trie_new(lb_arena *a, lb_trie_key *key, size_t n, lb_trie *out) {
    if (n) qsort(key, n, sizeof *key, by_bytes);
    uint64_t nodes = count_nodes(key, n);
    if (n > INT32_MAX || nodes > INT32_MAX)
        return lb_fail(LB_E_UNSUPPORTED, "a vocabulary of %zu pieces with %llu prefixes: at most %d", n,
                       (unsigned long long)nodes, INT32_MAX);
    *out = (lb_trie){.node = LB_NEW_UNSET(a, lb_trie_node, nodes), .byte = LB_NEW(a, uint8_t, nodes)};
    range *of = lb_alloc(nodes, sizeof *of);
    if (!out->node || !out->byte || !of) {
        lb_free(of);
        return LB_E_NOMEM;
    }
    uint32_t used = 1;
    of[0] = (range){0, (uint32_t)n, 0};
    for (uint32_t at = 0; at < used; at++) spread(out, key, of, at, &used);
    lb_free(of);
    out->nodes = used;
    for (int b = 0; b < 256; b++) out->root[b] = -1;
    for (uint32_t i = 0; i < out->node[0].n; i++) {
        uint32_t child = out->node[0].first + i;
        out->root[out->byte[child]] = (int32_t)child;
    }
    return LB_OK;
}

size_t lb_trie_longest(const lb_trie *t, const char *s, size_t n, int32_t *value) {
    size_t longest = 0;
    int32_t node = 0;
    for (size_t i = 0; i < n; i++) {
        node = lb_trie_next(t, node, (uint8_t)s[i]);
        if (node < 0) break;
        if (t->node[node].value < 0) continue;
        longest = i + 1;
        *value = t->node[node].value;
    }
    return longest;
}
