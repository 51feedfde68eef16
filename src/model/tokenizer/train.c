/* Training a byte-level BPE: the most frequent pair of neighbours becomes a token, again and again. Counts are of
 * pairs within words (GPT-2's pattern after single digits), each distinct word weighted by how often it occurs. */
#include <stdlib.h>

#include "model/tokenizer/impl.h"

#define SPECIAL      "<|endoftext|>"
#define FIRST_BYTE   1 /* ids: the special token, 256 bytes in the order of their characters, merges */
#define FIRST_MERGED 257

typedef struct word {
    int32_t first, n; /* symbols[first .. first + n) */
    int64_t count;
} word;
typedef struct place { /* a word in which a pair occurs, or did */
    int32_t word, next;
} place;
typedef struct pair {
    int32_t left, right; /* left -1: empty */
    int64_t count;
    int32_t places; /* head of a list; -1: none */
} pair;
typedef struct queued {
    int64_t count;
    int32_t left, right;
} queued;

typedef struct trainer {
    lb_arena *arena;
    lb_tok_view *token; /* (vocab) */
    lb_tok_index index; /* token -> id */
    int32_t byte_id[256];
    lb_tok_merge *merges;
    int64_t n_merges, cap_merges;
    word *words;
    int64_t n_words, cap_words;
    int32_t *symbols;
    int64_t n_symbols, cap_symbols;
    pair *pairs; /* open addressing */
    int64_t n_pairs;
    uint64_t mask;
    place *places;
    int64_t n_places, cap_places;
    queued *heap;
    int64_t n_heap, cap_heap;
} trainer;

static lb_status grow(void **p, int64_t *cap, int64_t need, size_t size) {
    if (need <= *cap) return LB_OK;
    int64_t next = *cap ? *cap * 2 : 1024;
    while (next < need) next *= 2;
    void *q = lb_realloc(*p, (size_t)*cap, (size_t)next, size);
    if (!q) return LB_E_NOMEM;
    *p = q;
    *cap = next;
    return LB_OK;
}
#define GROW(array, cap, need)                                                                                         \
    do {                                                                                                               \
        void *p_ = (array);                                                                                            \
        LB_TRY(grow(&p_, &(cap), (need), sizeof *(array)));                                                            \
        (array) = p_;                                                                                                  \
    } while (0)

static void trainer_free(trainer *b) {
    lb_arena_free(b->arena);
    lb_free(b->merges);
    lb_free(b->words);
    lb_free(b->symbols);
    lb_free(b->pairs);
    lb_free(b->places);
    lb_free(b->heap);
}

/* ---- words ---- */

typedef struct counted {
    const char *s;
    uint32_t n;
    int64_t count;
} counted;
typedef struct counter {
    counted *slot;
    uint64_t mask;
    int64_t used;
} counter;

static lb_status counter_size(counter *c, uint64_t size) {
    counted *slot = lb_alloc(size, sizeof *slot);
    if (!slot) return LB_E_NOMEM;
    for (uint64_t k = 0; c->slot && k <= c->mask; k++) {
        if (!c->slot[k].n) continue;
        uint64_t i = lb_text_hash(c->slot[k].s, c->slot[k].n) & (size - 1);
        while (slot[i].n) i = (i + 1) & (size - 1);
        slot[i] = c->slot[k];
    }
    lb_free(c->slot);
    c->slot = slot;
    c->mask = size - 1;
    return LB_OK;
}

static lb_status count_word(counter *c, const char *s, size_t n) {
    if ((uint64_t)c->used * 2 > c->mask) LB_TRY(counter_size(c, (c->mask + 1) * 2));
    uint64_t i = lb_text_hash(s, n) & c->mask;
    for (; c->slot[i].n; i = (i + 1) & c->mask)
        if (c->slot[i].n == n && !memcmp(c->slot[i].s, s, n)) break;
    if (!c->slot[i].n) {
        c->slot[i] = (counted){s, (uint32_t)n, 0};
        c->used++;
    }
    c->slot[i].count++;
    return LB_OK;
}

/* Each digit alone, the text between by GPT-2's pattern. */
static lb_status count_words(counter *c, const char *text, size_t len) {
    size_t from = 0, at = 0;
    while (from < len) {
        size_t digit = 0;
        int32_t code;
        for (at = from; at < len; at += digit) {
            digit = lb_tok_char(text + at, len - at, &code);
            if (lb_tok_classify(code) == LB_TOK_NUMBER) break;
        }
        for (size_t i = from; i < at;) {
            size_t n = lb_tok_scan_gpt2(text + i, at - i);
            if (n > INT32_MAX) return lb_fail(LB_E_UNSUPPORTED, "training text has a word of %zu bytes", n);
            LB_TRY(count_word(c, text + i, n));
            i += n;
        }
        if (at < len) LB_TRY(count_word(c, text + at, digit));
        from = at < len ? at + digit : len;
    }
    return LB_OK;
}

/* Words in the order of their bytes, so that nothing depends on a hash. */
static int by_bytes(const void *a, const void *b) {
    const counted *x = a, *y = b;
    int d = memcmp(x->s, y->s, x->n < y->n ? x->n : y->n);
    return d ? d : x->n < y->n ? -1 : x->n > y->n;
}

static lb_status add_words(trainer *b, counter *c) {
    int64_t n = 0;
    for (uint64_t i = 0; i <= c->mask; i++)
        if (c->slot[i].n) c->slot[n++] = c->slot[i];
    qsort(c->slot, (size_t)n, sizeof *c->slot, by_bytes);
    for (int64_t i = 0; i < n; i++) {
        counted w = c->slot[i];
        if (b->n_symbols + w.n > INT32_MAX)
            return lb_fail(LB_E_UNSUPPORTED, "training text has more than %d bytes of distinct words", INT32_MAX);
        GROW(b->words, b->cap_words, b->n_words + 1);
        GROW(b->symbols, b->cap_symbols, b->n_symbols + w.n);
        b->words[b->n_words++] = (word){(int32_t)b->n_symbols, (int32_t)w.n, w.count};
        for (uint32_t k = 0; k < w.n; k++) b->symbols[b->n_symbols++] = b->byte_id[(uint8_t)w.s[k]];
    }
    return LB_OK;
}

/* ---- pairs ---- */

static uint64_t pair_slot(const trainer *b, int32_t left, int32_t right) {
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    uint64_t i = (h ^ (h >> 32)) & b->mask;
    while (b->pairs[i].left >= 0 && (b->pairs[i].left != left || b->pairs[i].right != right)) i = (i + 1) & b->mask;
    return i;
}

static lb_status pairs_size(trainer *b, uint64_t size) {
    pair *old = b->pairs, *p = lb_alloc(size, sizeof *p);
    uint64_t n = old ? b->mask + 1 : 0;
    if (!p) return LB_E_NOMEM;
    for (uint64_t i = 0; i < size; i++) p[i].left = -1;
    b->pairs = p;
    b->mask = size - 1;
    for (uint64_t i = 0; i < n; i++)
        if (old[i].left >= 0) b->pairs[pair_slot(b, old[i].left, old[i].right)] = old[i];
    lb_free(old);
    return LB_OK;
}

/* Adds to the pair's count, and the word to its places unless it is -1 or the last one there. */
static lb_status count_pair(trainer *b, int32_t left, int32_t right, int64_t count, int32_t in_word) {
    if ((uint64_t)b->n_pairs * 2 > b->mask) LB_TRY(pairs_size(b, (b->mask + 1) * 2));
    pair *p = &b->pairs[pair_slot(b, left, right)];
    if (p->left < 0) {
        *p = (pair){left, right, 0, -1};
        b->n_pairs++;
    }
    p->count += count;
    if (in_word >= 0 && (p->places < 0 || b->places[p->places].word != in_word)) {
        if (b->n_places >= INT32_MAX) return lb_fail(LB_E_UNSUPPORTED, "training text has too many distinct pairs");
        GROW(b->places, b->cap_places, b->n_places + 1);
        b->places[b->n_places] = (place){in_word, p->places};
        p->places = (int32_t)b->n_places++;
    }
    return LB_OK;
}

/* ---- the most frequent pair ---- */

static bool above(const queued *a, const queued *b) {
    if (a->count != b->count) return a->count > b->count;
    return a->left != b->left ? a->left < b->left : a->right < b->right; /* ties: the lower pair */
}

static lb_status push(trainer *b, int32_t left, int32_t right) {
    queued q = {b->pairs[pair_slot(b, left, right)].count, left, right};
    if (q.count <= 0) return LB_OK;
    GROW(b->heap, b->cap_heap, b->n_heap + 1);
    int64_t i = b->n_heap++;
    for (; i > 0 && above(&q, &b->heap[(i - 1) / 2]); i = (i - 1) / 2) b->heap[i] = b->heap[(i - 1) / 2];
    b->heap[i] = q;
    return LB_OK;
}

static queued pop(trainer *b) {
    queued top = b->heap[0], q = b->heap[--b->n_heap];
    int64_t i = 0;
    for (int64_t k; (k = 2 * i + 1) < b->n_heap; i = k) {
        if (k + 1 < b->n_heap && above(&b->heap[k + 1], &b->heap[k])) k++;
        if (!above(&b->heap[k], &q)) break;
        b->heap[i] = b->heap[k];
    }
    b->heap[i] = q;
    return top;
}

/* The heap's entries may be out of date: counts only fall unless an entry is pushed anew, so one that still holds is
 * the largest. */
static lb_status most_frequent(trainer *b, queued *best, bool *found) {
    *found = false;
    while (b->n_heap > 0) {
        queued q = pop(b);
        int64_t now = b->pairs[pair_slot(b, q.left, q.right)].count;
        if (now == q.count) {
            *best = q;
            *found = true;
            return LB_OK;
        }
        if (now < q.count) LB_TRY(push(b, q.left, q.right));
    }
    return LB_OK;
}

/* Replaces left right by id in one word and keeps the pairs' counts: what it takes away first, then what it adds. */
static lb_status merge_in_word(trainer *b, int32_t w, int32_t left, int32_t right, int32_t id) {
    int32_t *s = b->symbols + b->words[w].first, n = b->words[w].n, out = 0;
    int64_t count = b->words[w].count;
    bool there = false;
    for (int32_t i = 0; i + 1 < n && !there; i++) there = s[i] == left && s[i + 1] == right;
    if (!there) return LB_OK; /* an older place */
    for (int32_t i = 0; i + 1 < n; i++) LB_TRY(count_pair(b, s[i], s[i + 1], -count, -1));
    for (int32_t i = 0; i < n; out++) {
        bool hit = i + 1 < n && s[i] == left && s[i + 1] == right;
        s[out] = hit ? id : s[i];
        i += hit ? 2 : 1;
    }
    b->words[w].n = out;
    for (int32_t i = 0; i + 1 < out; i++) {
        bool fresh = s[i] == id || s[i + 1] == id; /* the others have this word among their places */
        LB_TRY(count_pair(b, s[i], s[i + 1], count, fresh ? w : -1));
    }
    for (int32_t i = 0; i + 1 < out; i++)
        if (s[i] == id || s[i + 1] == id) LB_TRY(push(b, s[i], s[i + 1]));
    return LB_OK;
}

static lb_status merge_everywhere(trainer *b, int32_t left, int32_t right, int32_t id) {
    int32_t at = b->pairs[pair_slot(b, left, right)].places;
    while (at >= 0) {
        place p = b->places[at];
        LB_TRY(merge_in_word(b, p.word, left, right, id));
        at = p.next;
    }
    return LB_OK;
}

/* ---- tokens ---- */

static lb_status add_token(trainer *b, int64_t id, lb_tok_view l, lb_tok_view r) {
    char *s = LB_NEW(b->arena, char, l.n + r.n + 1);
    if (!s) return LB_E_NOMEM;
    memcpy(s, l.s, l.n);
    if (r.n) memcpy(s + l.n, r.s, r.n);
    b->token[id] = (lb_tok_view){s, l.n + r.n};
    lb_tok_index_put(&b->index, b->token[id], (int32_t)id);
    return LB_OK;
}

static lb_status add_bytes(trainer *b) {
    LB_TRY(add_token(b, 0, (lb_tok_view){SPECIAL, strlen(SPECIAL)}, (lb_tok_view){"", 0}));
    int64_t id = FIRST_BYTE;
    for (int pass = 0; pass < 2; pass++) /* the alphabet's order: bytes that stand for themselves, then the others */
        for (int k = 0; k < 256; k++) {
            char s[2];
            int n = lb_tok_byte_char((uint8_t)k, s);
            bool own = n == 1 || (uint8_t)s[0] < 0xC4; /* a character below U+0100 */
            if (own != (pass == 0)) continue;
            b->byte_id[k] = (int32_t)id;
            LB_TRY(add_token(b, id++, (lb_tok_view){s, (size_t)n}, (lb_tok_view){"", 0}));
        }
    return LB_OK;
}

/* The token of a merge: a new one, or one that another pair has already made. */
static lb_status merged_token(trainer *b, queued q, int64_t *used, int32_t *id) {
    lb_tok_view l = b->token[q.left], r = b->token[q.right];
    char both[LB_TOK_MAX_PIECE];
    if (l.n + r.n > sizeof both)
        return lb_fail(LB_E_UNSUPPORTED, "token %lld would have %zu bytes: at most %zu", (long long)*used, l.n + r.n,
                       sizeof both);
    memcpy(both, l.s, l.n);
    memcpy(both + l.n, r.s, r.n);
    *id = lb_tok_index_get(&b->index, both, l.n + r.n);
    if (*id >= 0) return LB_OK;
    *id = (int32_t)*used;
    return add_token(b, (*used)++, l, r);
}

static lb_status learn(trainer *b, int64_t vocab) {
    LB_TRY(pairs_size(b, 1024));
    for (int64_t w = 0; w < b->n_words; w++)
        for (int32_t i = 0; i + 1 < b->words[w].n; i++) {
            const int32_t *s = b->symbols + b->words[w].first;
            LB_TRY(count_pair(b, s[i], s[i + 1], b->words[w].count, (int32_t)w));
        }
    for (uint64_t i = 0; i <= b->mask; i++)
        if (b->pairs[i].left >= 0) LB_TRY(push(b, b->pairs[i].left, b->pairs[i].right));
    for (int64_t used = FIRST_MERGED; used < vocab;) {
        LB_TRY(lb_interrupt_check());
        queued q = {0};
        bool found;
        LB_TRY(most_frequent(b, &q, &found));
        if (!found || q.count < 2)
            return lb_fail(LB_E_ARG,
                           "a vocabulary of %lld asked for, but no pair occurs twice after %lld tokens: use more "
                           "text or a smaller vocabulary",
                           (long long)vocab, (long long)used);
        int32_t id = 0;
        LB_TRY(merged_token(b, q, &used, &id));
        GROW(b->merges, b->cap_merges, b->n_merges + 1);
        b->merges[b->n_merges] = (lb_tok_merge){q.left, q.right, id, (int32_t)b->n_merges};
        b->n_merges++;
        LB_TRY(merge_everywhere(b, q.left, q.right, id));
    }
    return LB_OK;
}

static lb_status build(const trainer *b, int64_t vocab, lb_tokenizer *t) {
    size_t bytes = 0;
    for (int64_t i = 0; i < vocab; i++) bytes += b->token[i].n;
    LB_TRY(lb_tok_reserve(t, vocab, bytes));
    for (int64_t i = 0; i < vocab; i++)
        LB_TRY(lb_tok_put(t, i, b->token[i].s, b->token[i].n, i ? LB_TOK_NORMAL : LB_TOK_CONTROL));
    t->byte_level = t->alphabet = true;
    lb_tok_default_decoder(t, false);
    t->bos = t->eos = t->unk_name = 0;
    LB_TRY(lb_tok_named_pre(t, "smollm"));
    LB_TRY(lb_tok_pieces(t));
    t->merges.list = LB_NEW(t->arena, lb_tok_merge, b->n_merges + 1);
    t->added = LB_NEW(t->arena, lb_tok_added, 1);
    if (!t->merges.list || !t->added) return LB_E_NOMEM;
    if (b->n_merges) memcpy(t->merges.list, b->merges, (size_t)b->n_merges * sizeof *b->merges);
    t->merges.n = b->n_merges;
    t->added[t->n_added++] = (lb_tok_added){.text = t->token[0], .id = 0, .special = true};
    return lb_tok_finish(t);
}

static lb_status train(trainer *b, const char *text, size_t len, int64_t vocab, lb_tokenizer *t) {
    LB_TRY(lb_arena_new(0, &b->arena));
    b->token = LB_NEW(b->arena, lb_tok_view, vocab);
    if (!b->token) return LB_E_NOMEM;
    LB_TRY(lb_tok_index_new(b->arena, vocab, &b->index));
    LB_TRY(add_bytes(b));
    counter c = {0};
    lb_status status;
    LB_TRY_GOTO(status, done, counter_size(&c, 1024));
    LB_TRY_GOTO(status, done, count_words(&c, text, len));
    LB_TRY_GOTO(status, done, add_words(b, &c));
    LB_TRY_GOTO(status, done, learn(b, vocab));
    LB_TRY_GOTO(status, done, build(b, vocab, t));
done:
    lb_free(c.slot);
    return status;
}

lb_status lb_tokenizer_train(const char *text, size_t len, int64_t vocab, lb_tokenizer **out) {
    if (vocab < FIRST_MERGED || vocab > 1000000)
        return lb_fail(LB_E_ARG, "a vocabulary of %lld: must be in [%d, 1000000] (one special token and 256 bytes)",
                       (long long)vocab, FIRST_MERGED);
    lb_tokenizer *t;
    trainer b = {0};
    LB_TRY(lb_tok_new("trained tokenizer", &t));
    lb_status status = train(&b, text, len, vocab, t);
    trainer_free(&b);
    if (status != LB_OK) {
        lb_tokenizer_free(t);
        return status;
    }
    *out = t;
    return LB_OK;
}
