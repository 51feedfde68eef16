/* The public face: encode, and what a tokenizer says of itself. */
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

static lb_status encode_text(lb_tok_run *r, lb_tok_view text, bool parse_special, bool at_start,
                             const lb_tok_matcher *m);

/* A piece without added tokens, then words; `normal`: it is normalized, and added tokens of normalized text are out. */
static lb_status encode_piece(lb_tok_run *r, lb_tok_view in, bool parse_special, bool at_start, bool normal) {
    const lb_tokenizer *t = r->t;
    if (normal) return lb_tok_words(r, in, at_start);
    lb_tok_view text;
    LB_TRY(lb_tok_normalize(r, in, &text));
    return encode_text(r, text, parse_special, at_start && !r->behead, &t->normal);
}

/* Cuts a text at the added tokens of a matcher. */
static lb_status encode_text(lb_tok_run *r, lb_tok_view text, bool parse_special, bool at_start,
                             const lb_tok_matcher *m) {
    bool normal = m == &r->t->normal;
    size_t done = 0, at = 0;
    lb_tok_found f;
    while (lb_tok_find_added(r->t, m, text, parse_special, &at, done, &f)) {
        lb_tok_view before = {text.s + done, f.start > done ? f.start - done : 0};
        if (before.n) LB_TRY(encode_piece(r, before, parse_special, at_start && done == 0, normal));
        if (f.start < f.end) LB_TRY(lb_tok_emit(r, f.token->id)); /* else its text went with the token before */
        done = f.end;
    }
    if (done == text.n) return LB_OK;
    lb_tok_view rest = {text.s + done, text.n - done};
    return encode_piece(r, rest, parse_special, at_start && done == 0, normal);
}

lb_status lb_tokenizer_encode(const lb_tokenizer *t, const char *text, size_t len, bool parse_special, int32_t **ids,
                              int64_t *n) {
    lb_tok_run *r;
    lb_status status;
    LB_TRY(lb_tok_run_take(t, &r));
    lb_tok_may_grow(r, len);
    LB_TRY_GOTO(status, done, encode_text(r, (lb_tok_view){text ? text : "", len}, parse_special, true, &t->raw));
    if (!r->id) { /* no token at all: still something to free */
        r->id = lb_alloc(1, sizeof *r->id);
        status = r->id ? LB_OK : LB_E_NOMEM;
        if (!r->id) goto done;
    }
    *ids = r->id;
    *n = r->n;
    r->id = NULL;
done:
    lb_tok_run_give(r, status == LB_OK);
    return status;
}
