/* The Viterbi search of a Unigram model. The order of its additions and of its comparisons is the tokenizers library's,
 * since where two ways have the same sum rounding decides between them: from left to right, in float64, the first of
 * equals stays. */
#include <math.h>

#include "model/tokenizer/unigram.h"

/* Where a model's sums go on over words, a word's ids hold behind every other text if its ways are further apart than
 * rounding can put them: a word that is kept (64 bytes) takes up to 64 additions on each of two ways, in both texts,
 * each off by at most 2^-53 * 1.1e9, which is 3.1e-5 together. What is before it is less than LB_UNIGRAM_SURE, and its
 * own pieces less than MOST_SCORE each. */
#define CLOSE      1e-4
#define MOST_SCORE 1e6

/* No piece crosses the place before a mark that follows something else, and scores are such that CLOSE is enough. */
static bool words_are_apart(const lb_tokenizer *t, const bool *in_text) {
    const lb_tok_unigram *u = t->unigram;
    int32_t id;
    bool apart = fabs(u->unknown) <= MOST_SCORE;
    for (int64_t i = 0; i < t->vocab && apart; i++)
        apart = !in_text[i] || (!lb_tok_mark_after_other(t->token[i]) && fabs(u->score[i]) <= MOST_SCORE);
    return apart && lb_trie_longest(&u->trie, LB_TOK_META, LB_TOK_META_LEN, &id) == LB_TOK_META_LEN;
}

lb_status lb_tok_unigram_new(lb_tokenizer *t, const double *score, const bool *in_text, double worst) {
    lb_tok_unigram *u = LB_NEW(t->arena, lb_tok_unigram, 1);
    double *copy = LB_NEW_UNSET(t->arena, double, t->vocab);
    lb_trie_key *key = lb_alloc((size_t)t->vocab, sizeof *key);
    lb_status status = u && copy && key ? LB_OK : LB_E_NOMEM;
    size_t n = 0;
    /* From each place of a text a piece is followed to its end. */
    for (int64_t id = 0; id < t->vocab && status == LB_OK; id++)
        if (in_text[id] && t->token[id].n > LB_TOK_MAX_PIECE)
            status = lb_fail(LB_E_UNSUPPORTED, "%s: token %lld has %zu bytes: at most %d", t->name, (long long)id,
                             t->token[id].n, LB_TOK_MAX_PIECE);
    LB_TRY_GOTO(status, done, status);
    memcpy(copy, score, (size_t)t->vocab * sizeof *copy);
    u->score = copy;
    u->unknown = worst - LB_UNIGRAM_PENALTY;
    u->longest = 4;
    for (int64_t id = 0; id < t->vocab; id++)
        if (in_text[id] && t->token[id].n) {
            if (t->token[id].n > u->longest) u->longest = t->token[id].n;
            key[n++] = (lb_trie_key){t->token[id].s, t->token[id].n, (int32_t)id};
        }
    LB_TRY_GOTO(status, done, lb_trie_new(t->arena, key, n, &u->trie));
    t->unigram = u;
    u->words_apart = words_are_apart(t, in_text);
done:
    lb_free(key);
    return status;
}

static lb_status no_unknown(const lb_tokenizer *t, const char *s, size_t n) {
    return lb_fail(LB_E_UNSUPPORTED, "%s: the text has \"%.*s\", which is in no piece, and there is no unknown token",
                   t->name, (int)n, s);
}

/* ---- the search ---- */

#define WINDOW 512  /* bytes after which a place that no piece crosses ends a search: its cells stay in the cache */
#define AHEAD  1024 /* cells that are made ready at once */

/* cell[*ready..) become empty, as far as pieces that begin at `at` reach. */
static lb_status make_ready(lb_tok_run *r, size_t at, size_t n, size_t *ready) {
    size_t to = at + r->t->unigram->longest + AHEAD;
    if (to > n) to = n;
    if (to >= r->cell_cap) {
        size_t cap = r->cell_cap * 2 > to + 1 ? r->cell_cap * 2 : to + 1;
        lb_tok_cell *cell = lb_realloc(r->cell, *ready, cap, sizeof *cell);
        if (!cell) return LB_E_NOMEM;
        r->cell = cell;
        r->cell_cap = cap;
    }
    memset(r->cell + *ready, 0, (to + 1 - *ready) * sizeof *r->cell);
    *ready = to + 1;
    return lb_interrupt_check();
}

/* The lattice of a text. */
typedef struct lattice {
    const lb_tok_unigram *u;
    lb_tok_cell *cell; /* cell[k]: the best way to cut s[0..k) */
    const char *s;
    size_t n;
    size_t far; /* the end of the furthest piece so far */
    bool close; /* rounding could have decided between two ways */
} lattice;

static void offer(lattice *l, size_t end, double score, size_t len, int32_t id) {
    lb_tok_cell *c = &l->cell[end];
    if (c->len) {
        l->close |= fabs(score - c->score) <= CLOSE;
        if (score <= c->score) return;
    }
    *c = (lb_tok_cell){score, (uint32_t)len, id};
}

/* The pieces that begin at `at`, whose cell is known. Returns whether the character there, of len bytes, is one. */
static bool offer_pieces(lattice *l, size_t at, size_t len) {
    const lb_tok_unigram *u = l->u;
    const lb_trie trie = u->trie;
    const char *s = l->s;
    double here = l->cell[at].score;
    size_t end = 0, n = l->n;
    bool alone = false;
    uint32_t node = 0;
    for (size_t k = at; k < n;) {
        node = lb_trie_next(&trie, node, (uint8_t)s[k++]);
        if (!node) break;
        int32_t id = trie.unit[node].value;
        if (id < 0) continue;
        offer(l, k, u->score[id] + here, k - at, id);
        alone = alone || k - at == len;
        end = k;
    }
    if (end > l->far) l->far = end;
    return alone;
}

/* The best way to cut s up to *end, which no piece crosses. *score: of what is before s; then of that and the way. */
static lb_status search(lb_tok_run *r, const char *s, size_t n, double *score, size_t *end) {
    const lb_tokenizer *t = r->t;
    const lb_tok_unigram *u = t->unigram;
    lattice l = {.u = u, .s = s, .n = n};
    size_t ready = 0, at = 0;
    for (size_t len; at < n && (at < WINDOW || at != l.far); at += len) {
        int32_t code;
        if (at + u->longest >= ready && ready <= n) {
            LB_TRY(make_ready(r, at, n, &ready));
            l.cell = r->cell;
        }
        if (at == 0) l.cell[0].score = *score;
        len = lb_tok_char(s + at, n - at, &code);
        if (offer_pieces(&l, at, len)) continue;
        if (t->unk < 0) return no_unknown(t, s + at, len);
        offer(&l, at + len, u->unknown + l.cell[at].score, len, t->unk);
        if (at + len > l.far) l.far = at + len;
    }
    *score = l.cell[at].score;
    *end = at;
    r->sure = r->sure && !l.close;
    return LB_OK;
}

/* ---- the ids ---- */

/* What s stands for: unknown characters in a row. */
static lb_status emit_unknown(lb_tok_run *r, const char *s, size_t n) {
    const lb_tokenizer *t = r->t;
    int32_t id = -1;
    if (t->unigram->runs_are_pieces && lb_trie_longest(&t->unigram->trie, s, n, &id) == n) return lb_tok_emit(r, id);
    bool bytes = t->unigram->byte_fallback;
    for (size_t i = 0; i < n && bytes; i++) bytes = t->byte_id[(uint8_t)s[i]] >= 0;
    if (!bytes) return lb_tok_emit(r, t->unk);
    for (size_t i = 0; i < n; i++) LB_TRY(lb_tok_emit(r, t->byte_id[(uint8_t)s[i]]));
    return LB_OK;
}

/* Turns the pieces of the best way to `end` round: a cell then has the piece that begins there, not the one before. */
static void turn_round(lb_tok_cell *cell, size_t end) {
    lb_tok_cell piece = cell[end];
    while (end > 0) {
        end -= piece.len;
        lb_tok_cell before = cell[end];
        cell[end] = piece;
        piece = before;
    }
}

lb_status lb_tok_unigram_word(lb_tok_run *r, const char *s, size_t n) {
    if (n > INT32_MAX / 2)
        return lb_fail(LB_E_UNSUPPORTED, "%s: a word of %zu bytes: at most %d", r->t->name, n, INT32_MAX / 2);
    double score = r->t->unigram->goes_on ? r->score : 0;
    size_t known = 0; /* what has its ids; behind it there may be unknown characters */
    r->sure = fabs(score) <= LB_UNIGRAM_SURE;
    for (size_t from = 0, len = 0; from < n; from += len) {
        LB_TRY(search(r, s + from, n - from, &score, &len));
        turn_round(r->cell, len);
        for (size_t at = 0; at < len; at += r->cell[at].len) {
            const lb_tok_cell *c = &r->cell[at];
            if (c->id == r->t->unk) continue;
            size_t begins = from + at;
            if (begins > known) {
                LB_TRY(emit_unknown(r, s + known, begins - known));
                r->sure = false;
            }
            LB_TRY(lb_tok_emit(r, c->id));
            known = begins + c->len;
        }
    }
    r->score = score;
    if (n == known) return LB_OK;
    r->sure = false;
    return emit_unknown(r, s + known, n - known);
}
