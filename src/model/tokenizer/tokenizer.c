/* The public face: encode, decode, and what a tokenizer says of itself. */
#include "model/tokenizer/impl.h"

int64_t lb_tokenizer_vocab(const lb_tokenizer *t) { return t->vocab; }
const char *lb_tokenizer_kind(const lb_tokenizer *t) { return t->kind; }
int32_t lb_tokenizer_bos(const lb_tokenizer *t) { return t->bos; }
int32_t lb_tokenizer_eos(const lb_tokenizer *t) { return t->eos; }
bool lb_tokenizer_adds_bos(const lb_tokenizer *t) { return t->adds_bos; }
const char *lb_tokenizer_bos_dispute(const lb_tokenizer *t) { return t->bos_dispute; }
void lb_tokenizer_set_rows(lb_tokenizer *t, int64_t rows) { t->rows = rows; }

const char *lb_tokenizer_piece(const lb_tokenizer *t, int32_t id, size_t *len) {
    bool valid = id >= 0 && id < t->vocab;
    if (len) *len = valid ? t->piece[id].n : 0;
    return valid ? t->piece[id].s : NULL;
}

/* ---- encode ---- */

/* A stretch without raw added tokens: normalized, cut at the added tokens of normalized text, then into words. */
static lb_status encode_stretch(lb_tok_run *r, lb_tok_view in, bool parse_special, bool at_start) {
    lb_tok_view text;
    LB_TRY(lb_tok_normalize(r, in, &text));
    size_t done = 0, start, end;
    const lb_tok_added *a;
    while (done < text.n && lb_tok_find_added(&r->t->normal, text, done, parse_special, &start, &end, &a)) {
        LB_TRY(lb_tok_words(r, (lb_tok_view){text.s + done, start - done}, at_start && done == 0));
        LB_TRY(lb_tok_emit(r, a->id));
        done = end;
    }
    return lb_tok_words(r, (lb_tok_view){text.s + done, text.n - done}, at_start && done == 0);
}

static lb_status encode_text(lb_tok_run *r, lb_tok_view text, bool parse_special) {
    size_t done = 0, start, end;
    const lb_tok_added *a;
    while (done < text.n && lb_tok_find_added(&r->t->raw, text, done, parse_special, &start, &end, &a)) {
        if (start > done)
            LB_TRY(encode_stretch(r, (lb_tok_view){text.s + done, start - done}, parse_special, done == 0));
        LB_TRY(lb_tok_emit(r, a->id));
        done = end;
    }
    if (done == text.n) return LB_OK;
    return encode_stretch(r, (lb_tok_view){text.s + done, text.n - done}, parse_special, done == 0);
}

lb_status lb_tokenizer_encode(const lb_tokenizer *t, const char *text, size_t len, bool parse_special, int32_t **ids,
                              int64_t *n) {
    lb_tok_run r;
    lb_status status;
    LB_TRY(lb_tok_run_new(t, &r));
    LB_TRY_GOTO(status, done, encode_text(&r, (lb_tok_view){text ? text : "", len}, parse_special));
    if (!r.id) { /* no token at all: still something to free */
        r.id = lb_alloc(1, sizeof *r.id);
        status = r.id ? LB_OK : LB_E_NOMEM;
        if (!r.id) goto done;
    }
    *ids = r.id;
    *n = r.n;
    r.id = NULL;
done:
    lb_tok_run_free(&r);
    return status;
}

/* ---- decode ---- */

lb_status lb_tokenizer_decode(const lb_tokenizer *t, const int32_t *ids, int64_t n, char **text, size_t *len) {
    size_t total = 0;
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= t->vocab)
            return lb_fail(LB_E_ARG, "%s: id %d at %lld: must be in [0, %lld)", t->name, ids[i], (long long)i,
                           (long long)t->vocab);
        total += t->piece[ids[i]].n;
    }
    char *s = lb_alloc(total + 1, 1);
    if (!s) return LB_E_NOMEM;
    size_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        lb_tok_view v = t->piece[ids[i]];
        if (v.n) memcpy(s + at, v.s, v.n);
        at += v.n;
    }
    if (t->strip_first && at && s[0] == ' ') memmove(s, s + 1, at--);
    s[at] = 0;
    *text = s;
    *len = at;
    return LB_OK;
}
