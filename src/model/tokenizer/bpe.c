/* Byte-pair encoding of one word, the tables it needs, and the cache of words already seen. */
#include <math.h>

#include "model/tokenizer/unigram.h"

/* ---- strings -> ids ---- */

static uint64_t table_size(int64_t entries) {
    uint64_t size = 16;
    while (size < (uint64_t)entries * 2) size *= 2;
    return size;
}

lb_status lb_tok_index_new(lb_arena *a, int64_t entries, lb_tok_index *out) {
    uint64_t size = table_size(entries);
    lb_tok_entry *slot = LB_NEW(a, lb_tok_entry, size);
    if (!slot) return LB_E_NOMEM;
    for (uint64_t i = 0; i < size; i++) slot[i].id = -1;
    *out = (lb_tok_index){slot, size - 1};
    return LB_OK;
}

int32_t lb_tok_index_get(const lb_tok_index *x, const char *s, size_t n) {
    for (uint64_t i = lb_text_hash(s, n) & x->mask; x->slot[i].id >= 0; i = (i + 1) & x->mask)
        if (x->slot[i].n == n && !memcmp(x->slot[i].s, s, n)) return x->slot[i].id;
    return -1;
}

void lb_tok_index_put(lb_tok_index *x, lb_tok_view v, int32_t id) {
    uint64_t i = lb_text_hash(v.s, v.n) & x->mask;
    for (; x->slot[i].id >= 0; i = (i + 1) & x->mask)
        if (x->slot[i].n == v.n && !memcmp(x->slot[i].s, v.s, v.n)) return;
    x->slot[i] = (lb_tok_entry){v.s, (uint32_t)v.n, id};
}

/* ---- pairs -> merges ---- */

static uint64_t pair_hash(int32_t left, int32_t right) {
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    return h ^ (h >> 32);
}

/* By the upper bits of the hash, as slots are by the lower. */
static uint64_t maybe_word(const lb_tok_merges *m, uint64_t h) { return h >> 30 & m->mask >> 3; }

lb_status lb_tok_merges_hash(lb_arena *a, lb_tok_merges *m, bool last_wins) {
    uint64_t size = table_size(m->n);
    m->slot = LB_NEW(a, lb_tok_merge, size);
    m->maybe = LB_NEW(a, uint64_t, size / 8);
    if (!m->slot || !m->maybe) return LB_E_NOMEM;
    m->mask = size - 1;
    for (uint64_t i = 0; i < size; i++) m->slot[i].left = -1;
    for (int64_t k = 0; k < m->n; k++) {
        lb_tok_merge g = m->list[k];
        uint64_t h = pair_hash(g.left, g.right), i = h & m->mask;
        m->maybe[maybe_word(m, h)] |= 1ULL << (h >> 58);
        while (m->slot[i].left >= 0 && (m->slot[i].left != g.left || m->slot[i].right != g.right))
            i = (i + 1) & m->mask;
        if (m->slot[i].left < 0 || last_wins) m->slot[i] = g;
    }
    return LB_OK;
}

static const lb_tok_merge *find_merge(const lb_tok_merges *m, int32_t left, int32_t right) {
    uint64_t h = pair_hash(left, right);
    if (!(m->maybe[maybe_word(m, h)] >> (h >> 58) & 1)) return NULL;
    for (uint64_t i = h & m->mask; m->slot[i].left >= 0; i = (i + 1) & m->mask)
        if (m->slot[i].left == left && m->slot[i].right == right) return &m->slot[i];
    return NULL;
}

/* The table is larger than a cache: what will be looked up is asked for beforehand. */
static void fetch_merge(const lb_tok_merges *m, int32_t left, int32_t right) {
    uint64_t h = pair_hash(left, right);
    if (m->maybe[maybe_word(m, h)] >> (h >> 58) & 1) __builtin_prefetch(&m->slot[h & m->mask]);
}

/* ---- one call ---- */

#define CACHE_MIN_SLOTS (1u << 8)
#define CACHE_MAX_SLOTS (1u << 21)
#define CACHE_MAX_WORD  64 /* bytes */

static uint32_t more_groups(uint32_t groups, const lb_tok_pattern *p) {
    uint32_t g = 0;
    return p->re && !pcre2_pattern_info(p->re, PCRE2_INFO_CAPTURECOUNT, &g) && g + 1 > groups ? g + 1 : groups;
}

lb_status lb_tok_run_new(const lb_tokenizer *t, lb_tok_run *r) {
    *r = (lb_tok_run){.t = t, .cache_mask = CACHE_MIN_SLOTS - 1};
    r->cache = lb_alloc(CACHE_MIN_SLOTS, sizeof *r->cache);
    if (!r->cache) return LB_E_NOMEM;
    uint32_t groups = 1; /* match data large enough for every pattern of this tokenizer */
    for (int i = 0; i < t->n_step; i++) groups = more_groups(groups, &t->step[i].regex);
    for (int i = 0; i < t->n_norm; i++) groups = more_groups(groups, &t->norm[i].regex);
    for (int i = 0; i < t->n_decode; i++) groups = more_groups(groups, &t->decode[i].regex);
    r->match = pcre2_match_data_create(groups, t->pcre);
    lb_status status = r->match ? lb_tok_match_limits(r)
                                : lb_fail(LB_E_NOMEM, "%s: out of memory for the tokenizer's patterns", t->name);
    if (status != LB_OK) lb_tok_run_free(r);
    return status;
}

void lb_tok_run_free(lb_tok_run *r) {
    lb_free(r->id);
    lb_free(r->node);
    lb_free(r->cell);
    lb_free(r->heap);
    lb_free(r->cache);
    lb_free(r->keys);
    lb_free(r->cache_ids);
    lb_str_free(&r->norm[0]);
    lb_str_free(&r->norm[1]);
    lb_str_free(&r->affixed);
    lb_str_free(&r->piece);
    pcre2_match_data_free(r->match);
    pcre2_match_context_free(r->limits);
    *r = (lb_tok_run){0};
}

#define KEEP_MOST ((size_t)8 << 20) /* bytes */
#define LONG_TEXT ((size_t)1 << 16)

static size_t held(const lb_tok_run *r) {
    return (r->cache_mask + 1) * sizeof *r->cache + (size_t)r->node_cap * sizeof *r->node +
           (size_t)r->heap_cap * sizeof *r->heap + r->cell_cap * sizeof *r->cell + (size_t)r->keys_cap +
           (size_t)r->cache_ids_cap * sizeof *r->cache_ids;
}

/* A text that was changed; the cache of words is worth more. */
static void free_long(lb_str *b) {
    if (b->cap > LONG_TEXT) lb_str_free(b);
}

lb_status lb_tok_run_take(const lb_tokenizer *t, lb_tok_run **out) {
    lb_tok_run *r = atomic_exchange(&t->spare->run, NULL);
    if (r) {
        lb_tok_match_again(r);
        *out = r;
        return LB_OK;
    }
    r = lb_alloc(1, sizeof *r);
    if (!r) return LB_E_NOMEM;
    lb_status status = lb_tok_run_new(t, r);
    if (status != LB_OK) lb_free(r);
    *out = r;
    return status;
}

void lb_tok_run_give(lb_tok_run *r, bool keep) {
    lb_free(r->id);
    r->id = NULL;
    r->n = r->cap = 0;
    free_long(&r->norm[0]);
    free_long(&r->norm[1]);
    free_long(&r->affixed);
    free_long(&r->piece);
    if (keep && held(r) <= KEEP_MOST) r = atomic_exchange(&r->t->spare->run, r); /* another thread's may be there */
    if (!r) return;
    lb_tok_run_free(r);
    lb_free(r);
}

/* Makes room for `need` elements behind *p; NULL-safe, doubling. */
static lb_status grow(void *p, int64_t *cap, int64_t need, size_t size) {
    if (need <= *cap) return LB_OK;
    int64_t next = *cap ? *cap : 256;
    while (next < need) next *= 2;
    void *old, *q;
    memcpy(&old, p, sizeof old); /* p points to a pointer of any type */
    q = lb_realloc(old, (size_t)*cap, (size_t)next, size);
    if (!q) return LB_E_NOMEM;
    memcpy(p, &q, sizeof q);
    *cap = next;
    return LB_OK;
}

lb_status lb_tok_emit(lb_tok_run *r, int32_t id) {
    if (r->n == r->cap) LB_TRY(grow(&r->id, &r->cap, r->n + 1, sizeof *r->id));
    r->id[r->n++] = id;
    return LB_OK;
}

/* ---- merging ---- */

static bool before(const lb_tok_candidate *a, const lb_tok_candidate *b) {
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static lb_status heap_push(lb_tok_run *r, int32_t at) {
    lb_tok_node *node = r->node;
    int32_t next = node[at].next;
    if (next < 0) return LB_OK;
    const lb_tok_merge *m = find_merge(&r->t->merges, node[at].id, node[next].id);
    if (!m) return LB_OK;
    LB_TRY(grow(&r->heap, &r->heap_cap, r->heap_n + 1, sizeof *r->heap));
    lb_tok_candidate c = {m->rank, at, node[at].id, node[next].id};
    int64_t i = r->heap_n++;
    while (i > 0 && before(&c, &r->heap[(i - 1) / 2])) {
        r->heap[i] = r->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    r->heap[i] = c;
    return LB_OK;
}

static lb_tok_candidate heap_pop(lb_tok_run *r) {
    lb_tok_candidate top = r->heap[0], c = r->heap[--r->heap_n];
    int64_t i = 0;
    for (;;) {
        int64_t k = 2 * i + 1;
        if (k >= r->heap_n) break;
        if (k + 1 < r->heap_n && before(&r->heap[k + 1], &r->heap[k])) k++;
        if (!before(&r->heap[k], &c)) break;
        r->heap[i] = r->heap[k];
        i = k;
    }
    r->heap[i] = c;
    return top;
}

/* Long words: a heap of candidate pairs, stale ones skipped. O(n log n). */
static lb_status merge_heap(lb_tok_run *r, int64_t n) {
    lb_tok_node *node = r->node;
    r->heap_n = 0;
    for (int64_t i = 0; i + 1 < n; i++) LB_TRY(heap_push(r, (int32_t)i));
    while (r->heap_n > 0) {
        lb_tok_candidate c = heap_pop(r);
        int32_t next = node[c.at].id == c.left ? node[c.at].next : -1;
        if (next < 0 || node[next].id != c.right) continue; /* one of the two has been merged since */
        node[c.at].id = find_merge(&r->t->merges, c.left, c.right)->id;
        node[next].id = -1;
        node[c.at].next = node[next].next;
        if (node[next].next >= 0) node[node[next].next].prev = c.at;
        if (node[c.at].prev >= 0) LB_TRY(heap_push(r, node[c.at].prev));
        LB_TRY(heap_push(r, c.at));
    }
    return LB_OK;
}

#define SHORT_WORD 32

/* Short words: each round takes the lowest rank, leftmost among equals. Returns how many symbols are left. */
static int64_t merge_short(const lb_tok_merges *m, lb_tok_node *node, int64_t n) {
    const lb_tok_merge *pair[SHORT_WORD];
    for (int64_t i = 0; i + 1 < n; i++) fetch_merge(m, node[i].id, node[i + 1].id);
    for (int64_t i = 0; i + 1 < n; i++) pair[i] = find_merge(m, node[i].id, node[i + 1].id);
    while (n > 1) {
        int64_t best = -1;
        for (int64_t i = 0; i + 1 < n; i++)
            if (pair[i] && (best < 0 || pair[i]->rank < pair[best]->rank)) best = i;
        if (best < 0) break;
        node[best].id = pair[best]->id;
        for (int64_t i = best + 1; i + 1 < n; i++) {
            node[i].id = node[i + 1].id;
            pair[i] = i + 2 < n ? pair[i + 1] : NULL;
        }
        n--;
        if (best > 0) fetch_merge(m, node[best - 1].id, node[best].id);
        if (best + 1 < n) fetch_merge(m, node[best].id, node[best + 1].id);
        if (best > 0) pair[best - 1] = find_merge(m, node[best - 1].id, node[best].id);
        if (best + 1 < n) pair[best] = find_merge(m, node[best].id, node[best + 1].id);
    }
    return n;
}

/* ---- symbols ---- */

static bool has_bytes(const lb_tokenizer *t, const char *s, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (t->byte_id[(uint8_t)s[i]] < 0) return false;
    return true;
}

int64_t lb_tok_without_token(const lb_tokenizer *t, const char *s, size_t n, size_t *first) {
    int64_t count = 0;
    bool all_bytes = true;
    for (int b = 0; b < 256; b++) all_bytes = all_bytes && t->byte_id[b] >= 0;
    /* What normalizers, steps and affixes make of a character is not foreseen here. */
    if (t->unk >= 0 || all_bytes || t->unigram || (t->alphabet && !t->byte_level) || t->prefix.n || t->suffix.n)
        return 0;
    for (size_t i = 0, k; i < n; i += k) {
        int32_t code;
        k = t->byte_level ? 1 : lb_tok_char(s + i, n - i, &code);
        bool mark = !t->byte_level && s[i] == ' '; /* becomes one */
        if (mark || has_bytes(t, s + i, k) || lb_tok_index_get(&t->symbols, s + i, k) >= 0) continue;
        if (!count++) *first = i;
    }
    return count;
}

/* The symbols of a word, as they come; an unknown token waits until the next symbol that is one by itself, as it does
 * in the tokenizers library. */
typedef struct symbols {
    lb_tok_run *r;
    int64_t n;
    bool waits;
} symbols;

static void flush(symbols *y) {
    if (y->waits) y->r->node[y->n++].id = y->r->t->unk;
    y->waits = false;
}

static void add_symbol(symbols *y, int32_t id, const char *s, size_t len) {
    const lb_tokenizer *t = y->r->t;
    if (id >= 0) {
        flush(y);
        y->r->node[y->n++].id = id;
    } else if (has_bytes(t, s, len)) {
        for (size_t i = 0; i < len; i++) y->r->node[y->n++].id = t->byte_id[(uint8_t)s[i]];
    } else if (t->unk >= 0) {
        if (!t->fuse_unk) flush(y);
        y->waits = true;
    }
}

/* A character with what stands before it in a word and, for the last, behind it. */
static lb_status affixed(symbols *y, const char *s, size_t len, bool first, bool last) {
    const lb_tokenizer *t = y->r->t;
    lb_str *b = &y->r->affixed;
    b->len = 0;
    if (!first) lb_str_add_bytes(b, t->prefix.s, t->prefix.n);
    lb_str_add_bytes(b, s, len);
    if (last) lb_str_add_bytes(b, t->suffix.s, t->suffix.n);
    LB_TRY(lb_str_check(b));
    add_symbol(y, lb_tok_index_get(&t->symbols, b->s, b->len), b->s, b->len);
    return LB_OK;
}

/* r->node[0..*count) = what the word consists of before any merge; at most one symbol a byte. */
static lb_status symbols_of(lb_tok_run *r, const char *s, size_t len, int64_t *count) {
    const lb_tokenizer *t = r->t;
    bool affixes = t->prefix.n || t->suffix.n;
    size_t most = len + len * t->prefix.n + t->suffix.n;
    if (len > INT32_MAX / 2 || most > INT32_MAX / 2)
        return lb_fail(LB_E_UNSUPPORTED, "%s: a word of %zu bytes: at most %d", t->name, len, INT32_MAX / 2);
    LB_TRY(grow(&r->node, &r->node_cap, (int64_t)most, sizeof *r->node));
    symbols y = {.r = r};
    for (size_t i = 0; i < len;) {
        int32_t code, id;
        size_t k = t->byte_level ? 1 : lb_tok_char(s + i, len - i, &code);
        if (affixes) {
            LB_TRY(affixed(&y, s + i, k, i == 0, i + k == len));
        } else {
            uint8_t b = (uint8_t)s[i];
            id = t->byte_level ? t->byte_id[b] : b < 0x80 ? t->ascii[b] : lb_tok_index_get(&t->symbols, s + i, k);
            add_symbol(&y, id, s + i, k);
        }
        i += k;
    }
    flush(&y);
    for (int64_t i = 0; i < y.n; i++) {
        r->node[i].prev = (int32_t)(i - 1);
        r->node[i].next = (int32_t)(i + 1 < y.n ? i + 1 : -1);
    }
    *count = y.n;
    return LB_OK;
}

/* A symbol that never was a token (a character that only longer tokens contain) goes out as its bytes. */
static lb_status emit_symbol(lb_tok_run *r, int32_t id) {
    const lb_tokenizer *t = r->t;
    if (id < t->vocab) return lb_tok_emit(r, id);
    lb_tok_view v = t->extra[id - t->vocab];
    if (!has_bytes(t, v.s, v.n)) return t->unk >= 0 ? lb_tok_emit(r, t->unk) : LB_OK;
    for (size_t i = 0; i < v.n; i++) LB_TRY(lb_tok_emit(r, t->byte_id[(uint8_t)v.s[i]]));
    return LB_OK;
}

static lb_status word_ids(lb_tok_run *r, const char *s, size_t len) {
    const lb_tokenizer *t = r->t;
    if (t->unigram) return lb_tok_unigram_word(r, s, len);
    if (t->ignore_merges) {
        int32_t id = lb_tok_index_get(&t->symbols, s, len);
        if (id >= 0) return lb_tok_emit(r, id);
    }
    int64_t n = 0;
    LB_TRY(symbols_of(r, s, len, &n));
    if (n <= SHORT_WORD) {
        n = merge_short(&t->merges, r->node, n);
        for (int64_t i = 0; i < n; i++) LB_TRY(emit_symbol(r, r->node[i].id));
        return LB_OK;
    }
    LB_TRY(merge_heap(r, n));
    for (int32_t i = 0; i >= 0; i = r->node[i].next) LB_TRY(emit_symbol(r, r->node[i].id));
    return LB_OK;
}

/* ---- cache ---- */

/* A short word as two numbers, which with its length are all of it. */
typedef struct short_key {
    uint64_t head, tail;
} short_key;

static uint64_t load(const char *s, size_t n) {
    uint64_t v = 0;
    memcpy(&v, s, n);
    return v;
}

static short_key key_of(const char *s, size_t n) {
    if (n >= 8) return (short_key){load(s, 8), load(s + n - 8, 8)};
    if (n >= 4) return (short_key){load(s, 4), load(s + n - 4, 4)};
    return (short_key){(uint8_t)s[0] | (uint64_t)(uint8_t)s[n / 2] << 8, (uint8_t)s[n - 1]};
}

static uint64_t key_hash(short_key k, size_t n) {
    uint64_t h = (k.head ^ n) * 0x9E3779B97F4A7C15u;
    h = (h ^ (h >> 32) ^ k.tail) * 0xBF58476D1CE4E5B9u;
    return h ^ (h >> 29);
}

/* The slot of a word, or the free one where it would go. A long word's key is its hash; its bytes are in r->keys. */
static lb_tok_cached *cache_find(const lb_tok_run *r, short_key key, uint64_t hash, const char *s, size_t n) {
    for (uint64_t i = hash & r->cache_mask;; i = (i + 1) & r->cache_mask) {
        lb_tok_cached *c = &r->cache[i];
        if (!c->key_len) return c;
        if (c->head != key.head || c->tail != key.tail || c->key_len != n) continue;
        if (n <= LB_TOK_SHORT_KEY || !memcmp(r->keys + c->key, s, n)) return c;
    }
}

static uint64_t cached_hash(const lb_tok_cached *c) {
    return c->key_len <= LB_TOK_SHORT_KEY ? key_hash((short_key){c->head, c->tail}, c->key_len) : c->head;
}

static lb_status cache_grow(lb_tok_run *r) {
    uint64_t size = (r->cache_mask + 1) * 4;
    lb_tok_cached *old = r->cache, *c = lb_alloc(size, sizeof *c);
    if (!c) return LB_E_NOMEM;
    for (uint64_t k = 0; k <= r->cache_mask; k++) {
        if (!old[k].key_len) continue;
        uint64_t i = cached_hash(&old[k]) & (size - 1);
        while (c[i].key_len) i = (i + 1) & (size - 1);
        c[i] = old[k];
    }
    lb_free(old);
    r->cache = c;
    r->cache_mask = size - 1;
    return LB_OK;
}

/* Keeps the ids r->id[first..r->n) for the word; a full cache keeps no more. */
static lb_status cache_put(lb_tok_run *r, short_key key, uint64_t hash, const char *s, size_t len, int64_t first) {
    if (r->cache_n * 2 > (int64_t)r->cache_mask) {
        if (r->cache_mask + 1 >= CACHE_MAX_SLOTS) return LB_OK;
        LB_TRY(cache_grow(r));
    }
    int64_t ids = r->n - first;
    lb_tok_cached c = {.head = key.head, .tail = key.tail, .key_len = (uint8_t)len, .n_ids = (uint8_t)ids};
    if (len > LB_TOK_SHORT_KEY) {
        LB_TRY(grow(&r->keys, &r->keys_cap, r->keys_n + (int64_t)len, 1));
        memcpy(r->keys + r->keys_n, s, len);
        c.key = (uint32_t)r->keys_n;
        r->keys_n += (int64_t)len;
    }
    if (ids <= LB_TOK_SHORT_IDS) {
        for (int64_t i = 0; i < ids; i++) c.id[i] = r->id[first + i];
    } else {
        LB_TRY(grow(&r->cache_ids, &r->cache_ids_cap, r->cache_ids_n + ids, sizeof *r->cache_ids));
        memcpy(r->cache_ids + r->cache_ids_n, r->id + first, (size_t)ids * sizeof *r->id);
        c.id[0] = (int32_t)r->cache_ids_n;
        r->cache_ids_n += ids;
    }
    *cache_find(r, key, hash, s, len) = c;
    r->cache_n++;
    return LB_OK;
}

lb_status lb_tok_word(lb_tok_run *r, const char *s, size_t n) {
    if (n == 0) return LB_OK;
    bool goes_on = r->t->unigram && r->t->unigram->goes_on;
    if (n > CACHE_MAX_WORD || (goes_on && fabs(r->score) > LB_UNIGRAM_SURE)) return word_ids(r, s, n);
    bool is_short = n <= LB_TOK_SHORT_KEY;
    short_key key = {0};
    if (is_short)
        key = key_of(s, n);
    else
        key.head = lb_text_hash(s, n);
    uint64_t hash = is_short ? key_hash(key, n) : key.head;
    const lb_tok_cached *c = cache_find(r, key, hash, s, n);
    if (!c->key_len) {
        int64_t first = r->n;
        LB_TRY(word_ids(r, s, n));
        if (goes_on && !r->sure) return LB_OK;
        return r->n - first > UINT8_MAX ? LB_OK : cache_put(r, key, hash, s, n, first);
    }
    if (r->n + c->n_ids > r->cap) LB_TRY(grow(&r->id, &r->cap, r->n + c->n_ids, sizeof *r->id));
    const int32_t *ids = c->n_ids <= LB_TOK_SHORT_IDS ? c->id : r->cache_ids + c->id[0];
    for (int i = 0; i < c->n_ids; i++) r->id[r->n + i] = ids[i];
    r->n += c->n_ids;
    for (int i = 0; i < c->n_ids && goes_on; i++) r->score += r->t->unigram->score[ids[i]];
    return LB_OK;
}
