#include "model/tokenizer/trie.h"

#include <stdlib.h>
#include <string.h>

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

/* ---- where there is room ---- */

#define BLOCK 256
#define NONE  UINT32_MAX
#define TRIES 32 /* places that a node with several children is tried at before a block is added for it */

/* Free units are a ring: `base` is the next one, `value` the one before. */
typedef struct rooms {
    lb_trie_unit *unit;
    uint32_t n, cap;
    uint32_t first, at; /* of the free ones; where the last search ended. NONE: there is no free one */
} rooms;

static lb_status add_block(rooms *m) {
    if (m->n > INT32_MAX - BLOCK) return lb_fail(LB_E_UNSUPPORTED, "a vocabulary of too many prefixes");
    if (m->n == m->cap) {
        uint32_t cap = m->cap ? m->cap * 2 : 4 * BLOCK;
        lb_trie_unit *u = lb_realloc(m->unit, m->cap, cap, sizeof *u);
        if (!u) return LB_E_NOMEM;
        m->unit = u;
        m->cap = cap;
    }
    uint32_t from = m->n, to = from + BLOCK - 1;
    for (uint32_t i = from; i <= to; i++) m->unit[i] = (lb_trie_unit){i + 1, NONE, (int32_t)i - 1};
    uint32_t first = m->first == NONE ? from : m->first;
    uint32_t last = m->first == NONE ? to : (uint32_t)m->unit[first].value;
    m->unit[to].base = first;
    m->unit[from].value = (int32_t)last;
    m->unit[last].base = m->first == NONE ? m->unit[last].base : from;
    m->unit[first].value = (int32_t)to;
    m->first = first;
    m->at = from;
    m->n += BLOCK;
    return LB_OK;
}

static void take(rooms *m, uint32_t i, uint32_t before, int32_t value) {
    uint32_t next = m->unit[i].base, prev = (uint32_t)m->unit[i].value;
    m->unit[prev].base = next;
    m->unit[next].value = (int32_t)prev;
    if (next == i) next = NONE;
    if (m->first == i) m->first = next;
    if (m->at == i) m->at = next;
    m->unit[i] = (lb_trie_unit){0, before, value};
}

/* A base at which the units of these bytes are free. */
static lb_status find_base(rooms *m, const uint8_t *byte, int n, uint32_t *base) {
    if (n == 1 && m->first != NONE) {
        *base = m->first ^ byte[0];
        return LB_OK;
    }
    for (int tries = 0; tries < TRIES && m->at != NONE; tries++, m->at = m->unit[m->at].base) {
        int k = 1;
        *base = m->at ^ byte[0];
        while (k < n && m->unit[*base ^ byte[k]].before == NONE) k++;
        if (k == n) return LB_OK;
    }
    LB_TRY(add_block(m));
    *base = m->at;
    return LB_OK;
}

/* ---- the nodes, by depth ---- */

/* Keys from lo to hi share their first `depth` bytes: node `unit`. */
typedef struct range {
    uint32_t lo, hi, depth, unit;
} range;

/* Gives a node its children, which are appended to of[*nodes..]. */
static lb_status spread(rooms *m, const lb_trie_key *key, range r, range *of, size_t *nodes) {
    uint8_t byte[256];
    int n = 0;
    size_t first = *nodes;
    uint32_t i = r.lo, base;
    while (i < r.hi && key[i].n == r.depth) i++;
    while (i < r.hi) {
        uint8_t b = (uint8_t)key[i].s[r.depth];
        uint32_t from = i;
        while (i < r.hi && (uint8_t)key[i].s[r.depth] == b) i++;
        byte[n++] = b;
        of[(*nodes)++] = (range){from, i, r.depth + 1, 0};
    }
    if (!n) return LB_OK;
    LB_TRY(find_base(m, byte, n, &base));
    for (int k = 0; k < n; k++) {
        range *c = &of[first + (size_t)k];
        int32_t value = -1;
        for (i = c->lo; i < c->hi && key[i].n == c->depth; i++) value = key[i].value;
        c->unit = base ^ byte[k];
        take(m, c->unit, r.unit, value);
    }
    m->unit[r.unit].base = base;
    return LB_OK;
}

static lb_status build(rooms *m, const lb_trie_key *key, size_t n, range *of) {
    LB_TRY(add_block(m));
    take(m, 0, 0, -1);
    size_t nodes = 1;
    of[0] = (range){0, (uint32_t)n, 0, 0};
    for (size_t i = 0; i < nodes; i++) LB_TRY(spread(m, key, of[i], of, &nodes));
    for (uint32_t i = 0; i < m->n; i++)
        if (m->unit[i].before == NONE) m->unit[i] = (lb_trie_unit){0, NONE, -1};
    return LB_OK;
}

lb_status lb_trie_new(lb_arena *a, lb_trie_key *key, size_t n, lb_trie *out) {
    if (n) qsort(key, n, sizeof *key, by_bytes);
    uint64_t nodes = count_nodes(key, n);
    if (n > INT32_MAX || nodes > INT32_MAX)
        return lb_fail(LB_E_UNSUPPORTED, "a vocabulary of %zu pieces with %llu prefixes: at most %d", n,
                       (unsigned long long)nodes, INT32_MAX);
    rooms m = {.first = NONE, .at = NONE};
    range *of = lb_alloc(nodes, sizeof *of);
    lb_status status = of ? build(&m, key, n, of) : LB_E_NOMEM;
    if (status == LB_OK) {
        *out = (lb_trie){LB_NEW_UNSET(a, lb_trie_unit, m.n), m.n};
        if (out->unit)
            memcpy(out->unit, m.unit, m.n * sizeof *m.unit);
        else
            status = LB_E_NOMEM;
    }
    lb_free(of);
    lb_free(m.unit);
    return status;
}

size_t lb_trie_longest(const lb_trie *t, const char *s, size_t n, int32_t *value) {
    size_t longest = 0;
    uint32_t node = 0;
    for (size_t i = 0; i < n; i++) {
        node = lb_trie_next(t, node, (uint8_t)s[i]);
        if (!node) break;
        if (t->unit[node].value < 0) continue;
        longest = i + 1;
        *value = t->unit[node].value;
    }
    return longest;
}
