/* GGUF's tokenizer.ggml.model 't5': a Unigram model of SentencePiece, with its normalizer. */
#include <math.h>

#include "model/tokenizer/charsmap.h"
#include "model/tokenizer/unigram.h"

static lb_status read_charsmap(const lb_gguf *g, lb_tokenizer *t, const lb_charsmap **out) {
    const char *key = "tokenizer.ggml.precompiled_charsmap";
    int64_t n, v;
    *out = NULL;
    if (!lb_gguf_has(g, key)) return LB_OK;
    LB_TRY(lb_gguf_array(g, key, &n));
    uint8_t *bytes = LB_NEW_UNSET(t->arena, uint8_t, n + 1);
    if (!bytes) return LB_E_NOMEM;
    for (int64_t i = 0; i < n; i++) {
        LB_TRY(lb_gguf_array_int(g, key, i, &v)); /* int8 or uint8 */
        if (v < -128 || v > 255)
            return lb_fail(LB_E_FORMAT, "%s: %s[%lld] = %lld: must be a byte", t->name, key, (long long)i,
                           (long long)v);
        bytes[i] = (uint8_t)v;
    }
    return lb_charsmap_new(t->arena, t->name, bytes, (size_t)n, out);
}

static lb_status read_flag(const lb_gguf *g, const char *key, bool *out) {
    return lb_gguf_has(g, key) ? lb_gguf_bool(g, key, out) : LB_OK;
}

static lb_status read_normalizer(const lb_gguf *g, lb_tokenizer *t) {
    lb_tok_spm *n = LB_NEW(t->arena, lb_tok_spm, 1);
    if (!n) return LB_E_NOMEM;
    n->escape = true;
    LB_TRY(read_charsmap(g, t, &n->map));
    LB_TRY(read_flag(g, "tokenizer.ggml.add_space_prefix", &n->dummy_prefix));
    LB_TRY(read_flag(g, "tokenizer.ggml.remove_extra_whitespaces", &n->remove_extra));
    t->norm[t->n_norm++] = (lb_tok_norm){.kind = LB_TOK_SPM, .spm = n};
    lb_tok_default_decoder(t, n->dummy_prefix);
    return LB_OK;
}

/* User-defined tokens cut the text before, so that their scores do not count. */
static lb_status read_scores(const lb_gguf *g, const lb_tokenizer *t, double *score, bool *in_text, double *worst) {
    const char *key = "tokenizer.ggml.scores";
    int64_t n;
    bool any = false;
    LB_TRY(lb_gguf_array(g, key, &n));
    if (n != t->vocab)
        return lb_fail(LB_E_FORMAT, "%s: %s has %lld entries, tokenizer.ggml.tokens %lld", t->name, key, (long long)n,
                       (long long)t->vocab);
    for (int64_t i = 0; i < n; i++) {
        LB_TRY(lb_gguf_array_float(g, key, i, &score[i]));
        if (!isfinite(score[i]))
            return lb_fail(LB_E_FORMAT, "%s: %s[%lld] = %g: must be finite", t->name, key, (long long)i, score[i]);
        in_text[i] = t->type[i] == LB_TOK_NORMAL || t->type[i] == LB_TOK_UNUSED;
        if (t->type[i] != LB_TOK_NORMAL || (any && score[i] >= *worst)) continue;
        *worst = score[i];
        any = true;
    }
    return LB_OK;
}

lb_status lb_tok_gguf_unigram(const lb_gguf *g, lb_tokenizer *t) {
    double *score = lb_alloc((size_t)t->vocab, sizeof *score), worst = 0;
    bool *in_text = lb_alloc((size_t)t->vocab, sizeof *in_text);
    lb_status status;
    t->unk = t->unk_name;
    LB_TRY_GOTO(status, done, score && in_text ? LB_OK : LB_E_NOMEM);
    LB_TRY_GOTO(status, done, read_normalizer(g, t));
    LB_TRY_GOTO(status, done, lb_tok_pieces(t));
    LB_TRY_GOTO(status, done, read_scores(g, t, score, in_text, &worst));
    LB_TRY_GOTO(status, done, lb_tok_unigram_new(t, score, in_text, worst));
done:
    lb_free(score);
    lb_free(in_text);
    return status;
}
