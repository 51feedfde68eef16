/* The Viterbi search of a Unigram model. The order of its additions and of its comparisons is the tokenizers library's,
 * since where two ways have the same sum rounding decides between them: from left to right, in float64, the first of
 * equals stays. */
#include "model/tokenizer/unigram.h"

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
    for (int64_t id = 0; id < t->vocab; id++)
        if (in_text[id] && t->token[id].n) key[n++] = (lb_trie_key){t->token[id].s, t->token[id].n, (int32_t)id};
    LB_TRY_GOTO(status, done, lb_trie_new(t->arena, key, n, &u->trie));
    t->unigram = u;
done:
    lb_free(key);
    return status;
}

static lb_status no_unknown(const lb_tokenizer *t, const char *s, size_t n) {
    return lb_fail(LB_E_UNSUPPORTED, "%s: the text has \"%.*s\", which is in no piece, and there is no unknown token",
                   t->name, (int)n, s);
}

#define POLL_EVERY 65536 /* bytes of a text between two looks for Ctrl-C */

static void offer(lb_tok_cell *c, double score, size_t len, int32_t id) {
    if (c->len && score <= c->score) return;
    *c = (lb_tok_cell){score, (uint32_t)len, id};
}

/* cell[k]: the best way to cut s[0..k). */
static lb_status search(lb_tok_run *r, const char *s, size_t n) {
    const lb_tokenizer *t = r->t;
    const lb_tok_unigram *u = t->unigram;
    lb_tok_cell *cell = r->cell;
    memset(cell, 0, (n + 1) * sizeof *cell);
    size_t poll = POLL_EVERY;
    for (size_t at = 0, len; at < n; at += len) {
        int32_t code, node = 0;
        if (at >= poll) {
            LB_TRY(lb_interrupt_check());
            poll += POLL_EVERY;
        }
        bool alone = false;
        double here = cell[at].score;
        len = lb_tok_char(s + at, n - at, &code);
        for (size_t k = at; k < n;) {
            node = lb_trie_next(&u->trie, node, (uint8_t)s[k++]);
            if (node < 0) break;
            int32_t id = u->trie.node[node].value;
            if (id < 0) continue;
            offer(&cell[k], u->score[id] + here, k - at, id);
            alone = alone || k - at == len;
        }
        if (alone) continue;
        if (t->unk < 0) return no_unknown(t, s + at, len);
        offer(&cell[at + len], u->unknown + here, len, t->unk);
    }
    return LB_OK;
}

/* Appends, last first, what s stands for: unknown characters in a row. */
static lb_status emit_unknown(lb_tok_run *r, const char *s, size_t n) {
    const lb_tokenizer *t = r->t;
    int32_t id = -1;
    if (t->unigram->runs_are_pieces && lb_trie_longest(&t->unigram->trie, s, n, &id) == n) return lb_tok_emit(r, id);
    bool bytes = t->unigram->byte_fallback;
    for (size_t i = 0; i < n && bytes; i++) bytes = t->byte_id[(uint8_t)s[i]] >= 0;
    if (!bytes) return lb_tok_emit(r, t->unk);
    for (size_t i = n; i-- > 0;) LB_TRY(lb_tok_emit(r, t->byte_id[(uint8_t)s[i]]));
    return LB_OK;
}

/* Appends the pieces of the best way, last first. */
static lb_status emit_back(lb_tok_run *r, const char *s, size_t n) {
    const lb_tok_cell *cell = r->cell;
    size_t run_end = 0; /* of unknown characters; 0: none */
    for (size_t end = n; end > 0;) {
        size_t start = end - cell[end].len;
        if (cell[end].id == r->t->unk) {
            if (!run_end) run_end = end;
        } else {
            if (run_end) LB_TRY(emit_unknown(r, s + end, run_end - end));
            run_end = 0;
            LB_TRY(lb_tok_emit(r, cell[end].id));
        }
        end = start;
    }
    return run_end ? emit_unknown(r, s, run_end) : LB_OK;
}

lb_status lb_tok_unigram_word(lb_tok_run *r, const char *s, size_t n) {
    if (n > INT32_MAX / 2)
        return lb_fail(LB_E_UNSUPPORTED, "%s: a word of %zu bytes: at most %d", r->t->name, n, INT32_MAX / 2);
    if (n + 1 > r->cell_cap) {
        size_t cap = n + 1 < 4096 ? 4096 : n + 1;
        lb_free(r->cell); /* nothing in it is needed */
        r->cell_cap = 0;
        r->cell = lb_alloc(cap, sizeof *r->cell);
        if (!r->cell) return LB_E_NOMEM;
        r->cell_cap = cap;
    }
    LB_TRY(search(r, s, n));
    int64_t first = r->n;
    LB_TRY(emit_back(r, s, n));
    for (int64_t i = first, k = r->n - 1; i < k; i++, k--) {
        int32_t id = r->id[i];
        r->id[i] = r->id[k];
        r->id[k] = id;
    }
    return LB_OK;
}
