/* Unigram models in tokenizer.json: a list of pieces with their scores. */
#include <math.h>
#include <stdlib.h>

#include "model/tokenizer/unigram.h"

/* The number that the library makes of the same digits. Its reader takes them for a whole number and divides that by a
 * power of ten, rounding both: of 17 digits often a number next to the nearest one, which decides between ways of
 * nearly equal sums. The digits are the fewest that stand for the number, as programs write them. */
static double as_library_reads(double exact) {
    char s[40];
    int places = 14;
    if (exact == 0 || !isfinite(exact)) return exact;
    do snprintf(s, sizeof s, "%.*e", places, exact);
    while (strtod(s, NULL) != exact && ++places < 17);
    const char *e = strchr(s, 'e');
    uint64_t whole = 0;
    for (const char *p = s; p < e; p++)
        if (*p >= '0' && *p <= '9') whole = whole * 10 + (uint64_t)(*p - '0');
    long tens = strtol(e + 1, NULL, 10) - places;
    for (; whole % 10 == 0; tens++) whole /= 10;
    if (labs(tens) > 300) return exact;
    snprintf(s, sizeof s, "1e%ld", labs(tens));
    double power = strtod(s, NULL), v = tens < 0 ? (double)whole / power : (double)whole * power;
    return copysign(v, exact);
}

static lb_status entry(const lb_tokenizer *t, const json_t *vocab, size_t i, lb_tok_view *piece, double *score) {
    const json_t *e = json_array_get(vocab, i), *s = json_array_get(e, 0), *v = json_array_get(e, 1);
    if (json_array_size(e) != 2 || !json_is_string(s) || lb_json_odd(s) || !json_is_number(v))
        return lb_fail(LB_E_FORMAT, "%s: model.vocab[%zu]: expected [\"piece\", score]", t->name, i);
    *piece = (lb_tok_view){json_string_value(s), json_string_length(s)};
    *score = json_number_value(v);
    return LB_OK;
}

/* Room for the pieces, whose ids are their places, and for the added tokens. */
static lb_status reserve(lb_tokenizer *t, const json_t *vocab, const json_t *added) {
    int64_t size = (int64_t)json_array_size(vocab), id;
    size_t bytes = 0, i;
    const json_t *a;
    for (i = 0; i < json_array_size(vocab); i++) {
        lb_tok_view v;
        double score;
        LB_TRY(entry(t, vocab, i, &v, &score));
        bytes += v.n;
    }
    json_array_foreach(added, i, a) {
        const char *content;
        LB_TRY(lb_json_str(t->name, a, "content", &content));
        LB_TRY(lb_tok_added_id(t, a, &id));
        if (id >= size) size = id + 1;
        bytes += strlen(content);
    }
    LB_TRY(lb_tok_check_size(t, size, json_array_size(vocab) + json_array_size(added)));
    return lb_tok_reserve(t, size, bytes);
}

static lb_status put_pieces(lb_tokenizer *t, const json_t *vocab, bool byte_fallback, double *score, bool *in_text,
                            double *worst) {
    for (size_t i = 0; i < json_array_size(vocab); i++) {
        lb_tok_view v;
        LB_TRY(entry(t, vocab, i, &v, &score[i]));
        bool byte = byte_fallback && v.n == 6 && !memcmp(v.s, "<0x", 3) && v.s[5] == '>';
        LB_TRY(lb_tok_put(t, (int64_t)i, v.s, v.n, byte ? LB_TOK_BYTE : LB_TOK_NORMAL));
        score[i] = as_library_reads(score[i]);
        in_text[i] = true;
        if (i == 0 || score[i] < *worst) *worst = score[i];
    }
    return LB_OK;
}

static lb_status read_unk(lb_tokenizer *t, const json_t *model, const json_t *vocab) {
    const json_t *unk = json_object_get(model, "unk_id");
    if (!unk || json_is_null(unk)) return LB_OK;
    if (!json_is_integer(unk) || json_integer_value(unk) < 0 ||
        json_integer_value(unk) >= (json_int_t)json_array_size(vocab)) {
        char text[LB_JSON_TEXT];
        lb_json_text(unk, text);
        return lb_fail(LB_E_FORMAT, "%s: model.unk_id = %s: must be in [0, %zu)", t->name, text,
                       json_array_size(vocab));
    }
    t->unk = t->unk_name = (int32_t)json_integer_value(unk);
    return LB_OK;
}

lb_status lb_tok_read_unigram(lb_tokenizer *t, const json_t *model, const json_t *added) {
    const json_t *vocab = json_object_get(model, "vocab"), *a;
    bool byte_fallback;
    size_t i;
    double *score = NULL, worst = 0;
    bool *in_text = NULL;
    lb_status status;
    if (!json_is_array(vocab)) return lb_fail(LB_E_FORMAT, "%s: model.vocab of Unigram must be a list", t->name);
    if (t->byte_level) LB_TRY(lb_tok_spell_bytes(t));
    LB_TRY(lb_tok_model_flag(t, model, "byte_fallback", &byte_fallback));
    LB_TRY(reserve(t, vocab, added));
    score = lb_alloc((size_t)t->vocab, sizeof *score);
    in_text = lb_alloc((size_t)t->vocab, sizeof *in_text);
    LB_TRY_GOTO(status, done, score && in_text ? LB_OK : LB_E_NOMEM);
    LB_TRY_GOTO(status, done, put_pieces(t, vocab, byte_fallback, score, in_text, &worst));
    LB_TRY_GOTO(status, done, read_unk(t, model, vocab));
    LB_TRY_GOTO(status, done, lb_tok_unigram_new(t, score, in_text, worst));
    t->unigram->runs_are_pieces = true;
    t->unigram->byte_fallback = byte_fallback;
    t->added = LB_NEW(t->arena, lb_tok_added, json_array_size(added) + 1);
    LB_TRY_GOTO(status, done, t->added ? LB_OK : LB_E_NOMEM);
    LB_TRY_GOTO(status, done, lb_tok_check_added_ids(t, (int64_t)json_array_size(vocab), added));
    json_array_foreach(added, i, a) LB_TRY_GOTO(status, done, lb_tok_put_added(t, a));
    LB_TRY_GOTO(status, done, lb_tok_pieces(t));
done:
    lb_free(score);
    lb_free(in_text);
    return status;
}
