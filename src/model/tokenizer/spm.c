/* tokenizer.model, SentencePiece's own file, for folders without a tokenizer.json. Field numbers are those of
 * sentencepiece_model.proto. A text becomes what sentencepiece makes of it, except that the scores of a Unigram model
 * are added in float64, as transformers and llama.cpp do: in float32 the rounding of a long text's sum would decide. */
#include <math.h>

#include "io/protobuf.h"
#include "model/tokenizer/charsmap.h"
#include "model/tokenizer/unigram.h"

enum { MODEL_UNIGRAM = 1, MODEL_BPE, MODEL_WORD, MODEL_CHAR };

/* What the file says beside its pieces. */
typedef struct spec {
    int32_t model;
    bool byte_fallback, suffix, dummy_prefix, remove_extra, escape;
    lb_tok_view charsmap;
    lb_tok_view bos, eos, pad; /* pieces */
    int64_t pieces;
    size_t bytes; /* of all pieces together */
} spec;

typedef struct piece {
    lb_tok_view text;
    float score;
    int32_t type;
} piece;

/* ---- the file ---- */

static lb_status read_piece(const lb_pb *m, const lb_pb_field *of, int64_t id, piece *p) {
    lb_pb in;
    lb_pb_field f;
    bool there;
    *p = (piece){.text = {"", 0}, .type = LB_TOK_NORMAL};
    LB_TRY(lb_pb_message(m, of, "a piece", &in));
    for (;;) {
        LB_TRY(lb_pb_next(&in, &f, &there));
        if (!there) break;
        if (f.number == 1) LB_TRY(lb_pb_bytes(&in, &f, "a piece's text", &p->text.s, &p->text.n));
        if (f.number == 2) LB_TRY(lb_pb_float(&in, &f, "a piece's score", &p->score));
        if (f.number == 3) LB_TRY(lb_pb_int(&in, &f, "a piece's type", &p->type));
    }
    if (!p->text.n) return lb_fail(LB_E_FORMAT, "%s: piece %lld is empty", m->name, (long long)id);
    if (p->type < LB_TOK_NORMAL || p->type > LB_TOK_BYTE)
        return lb_fail(LB_E_FORMAT, "%s: piece %lld is of type %d: must be in [1, 6]", m->name, (long long)id, p->type);
    if (!isfinite(p->score))
        return lb_fail(LB_E_FORMAT, "%s: piece %lld has the score %g: must be finite", m->name, (long long)id,
                       (double)p->score);
    return LB_OK;
}

static lb_status read_trainer(const lb_pb *m, const lb_pb_field *of, spec *s) {
    lb_pb in;
    lb_pb_field f;
    bool there;
    LB_TRY(lb_pb_message(m, of, "trainer_spec", &in));
    for (;;) {
        LB_TRY(lb_pb_next(&in, &f, &there));
        if (!there) return LB_OK;
        switch (f.number) {
        case 3:
            LB_TRY(lb_pb_int(&in, &f, "trainer_spec.model_type", &s->model));
            break;
        case 24:
            LB_TRY(lb_pb_bool(&in, &f, "trainer_spec.treat_whitespace_as_suffix", &s->suffix));
            break;
        case 35:
            LB_TRY(lb_pb_bool(&in, &f, "trainer_spec.byte_fallback", &s->byte_fallback));
            break;
        case 46:
            LB_TRY(lb_pb_bytes(&in, &f, "trainer_spec.bos_piece", &s->bos.s, &s->bos.n));
            break;
        case 47:
            LB_TRY(lb_pb_bytes(&in, &f, "trainer_spec.eos_piece", &s->eos.s, &s->eos.n));
            break;
        case 48:
            LB_TRY(lb_pb_bytes(&in, &f, "trainer_spec.pad_piece", &s->pad.s, &s->pad.n));
            break;
        default:
            break;
        }
    }
}

static lb_status read_normalizer(const lb_pb *m, const lb_pb_field *of, spec *s) {
    lb_pb in;
    lb_pb_field f;
    bool there;
    LB_TRY(lb_pb_message(m, of, "normalizer_spec", &in));
    for (;;) {
        LB_TRY(lb_pb_next(&in, &f, &there));
        if (!there) return LB_OK;
        switch (f.number) {
        case 2:
            LB_TRY(lb_pb_bytes(&in, &f, "precompiled_charsmap", &s->charsmap.s, &s->charsmap.n));
            break;
        case 3:
            LB_TRY(lb_pb_bool(&in, &f, "add_dummy_prefix", &s->dummy_prefix));
            break;
        case 4:
            LB_TRY(lb_pb_bool(&in, &f, "remove_extra_whitespaces", &s->remove_extra));
            break;
        case 5:
            LB_TRY(lb_pb_bool(&in, &f, "escape_whitespaces", &s->escape));
            break;
        default:
            break;
        }
    }
}

/* tiktoken's files, which some folders call tokenizer.model too: lines of base64, a space and a rank. */
static bool is_tiktoken(lb_tok_view v) {
    size_t i = 0;
    while (i < v.n && i < 200 && v.s[i] > ' ' && v.s[i] < 0x7F) i++;
    return i >= 4 && i + 1 < v.n && v.s[i] == ' ' && v.s[i + 1] >= '0' && v.s[i + 1] <= '9';
}

static lb_status read_spec(const lb_tokenizer *t, spec *s) {
    lb_pb m = {.name = t->name, .data = (const uint8_t *)t->spm.s, .size = t->spm.n};
    lb_pb_field f;
    bool there;
    piece p;
    *s = (spec){.model = MODEL_UNIGRAM,
                .dummy_prefix = true,
                .remove_extra = true,
                .escape = true,
                .bos = {"<s>", 3},
                .eos = {"</s>", 4},
                .pad = {"<pad>", 5}};
    if (is_tiktoken(t->spm))
        return lb_fail(LB_E_UNSUPPORTED,
                       "%s is a vocabulary of tiktoken, not of SentencePiece: save_pretrained of transformers' "
                       "AutoTokenizer writes the tokenizer.json that is read here",
                       t->name);
    for (;;) {
        LB_TRY(lb_pb_next(&m, &f, &there));
        if (!there) break;
        if (f.number == 1) {
            LB_TRY(read_piece(&m, &f, s->pieces++, &p));
            s->bytes += p.text.n;
        }
        if (f.number == 2) LB_TRY(read_trainer(&m, &f, s));
        if (f.number == 3) LB_TRY(read_normalizer(&m, &f, s));
    }
    if (s->model == MODEL_WORD || s->model == MODEL_CHAR)
        return lb_fail(LB_E_UNSUPPORTED, "%s: a model of %s: known are BPE and Unigram", t->name,
                       s->model == MODEL_WORD ? "words" : "characters");
    if (s->model != MODEL_UNIGRAM && s->model != MODEL_BPE)
        return lb_fail(LB_E_FORMAT, "%s: trainer_spec.model_type = %d: must be in [1, 4]", t->name, s->model);
    return s->pieces ? LB_OK : lb_fail(LB_E_FORMAT, "%s: no pieces", t->name);
}

/* ---- pieces ---- */

/* The pieces, with user-defined ones as normal for now; type[id]: what the file says. */
static lb_status put_pieces(lb_tokenizer *t, const spec *s, float *score, uint8_t *type) {
    lb_pb m = {.name = t->name, .data = (const uint8_t *)t->spm.s, .size = t->spm.n};
    lb_pb_field f;
    bool there;
    piece p;
    for (int64_t id = 0;;) {
        LB_TRY(lb_pb_next(&m, &f, &there));
        if (!there) return LB_OK;
        if (f.number != 1) continue;
        LB_TRY(read_piece(&m, &f, id, &p));
        if (p.type == LB_TOK_BYTE && !s->byte_fallback)
            return lb_fail(LB_E_FORMAT, "%s: piece %lld is a byte, but byte_fallback is off", t->name, (long long)id);
        if (p.type == LB_TOK_UNUSED && s->model == MODEL_BPE)
            return lb_fail(LB_E_UNSUPPORTED, "%s: piece %lld is unused: such a piece of a BPE model is not known here",
                           t->name, (long long)id);
        if (p.type == LB_TOK_UNKNOWN && t->unk >= 0)
            return lb_fail(LB_E_FORMAT, "%s: pieces %d and %lld are the unknown one", t->name, t->unk, (long long)id);
        if (p.type == LB_TOK_UNKNOWN) t->unk = t->unk_name = (int32_t)id;
        LB_TRY(lb_tok_put(t, id, p.text.s, p.text.n, p.type == LB_TOK_USER ? LB_TOK_NORMAL : (uint8_t)p.type));
        type[id] = (uint8_t)p.type;
        score[id] = p.score;
        id++;
    }
}

static lb_status check_pieces(const lb_tokenizer *t, const spec *s) {
    if (t->unk < 0) return lb_fail(LB_E_FORMAT, "%s: there is no unknown piece", t->name);
    for (int64_t id = 0; id < s->pieces; id++) {
        int32_t first = lb_tok_index_get(&t->index, t->token[id].s, t->token[id].n);
        if (first != id)
            return lb_fail(LB_E_FORMAT, "%s: pieces %d and %lld are the same", t->name, first, (long long)id);
    }
    for (int b = 0; b < 256 && s->byte_fallback; b++)
        if (t->byte_id[b] < 0) return lb_fail(LB_E_FORMAT, "%s: there is no piece <0x%02X>", t->name, b);
    return LB_OK;
}

/* Control pieces are special; of a BPE model user-defined ones cut the normalized text. (A Unigram model weighs them
 * with all others.) An added token that tokenizer_config.json names is there already. */
static void add_symbols(lb_tokenizer *t, const spec *s, const uint8_t *type) {
    for (int64_t id = 0; id < s->pieces; id++) {
        bool user = type[id] == LB_TOK_USER && s->model == MODEL_BPE, known = false;
        if (type[id] != LB_TOK_CONTROL && type[id] != LB_TOK_UNKNOWN && !user) continue;
        for (int64_t i = 0; i < t->n_added && !known; i++) known = t->added[i].id == id;
        if (known) continue;
        t->added[t->n_added++] =
            (lb_tok_added){.text = t->token[id], .id = (int32_t)id, .special = !user, .normalized = user};
    }
}

/* ---- model ---- */

static lb_status unigram(lb_tokenizer *t, const spec *s, const float *score, const uint8_t *type) {
    double *value = lb_alloc((size_t)t->vocab, sizeof *value), worst = 0;
    bool *in_text = lb_alloc((size_t)t->vocab, sizeof *in_text), any = false;
    lb_status status;
    LB_TRY_GOTO(status, done, value && in_text ? LB_OK : LB_E_NOMEM);
    for (int64_t id = 0; id < s->pieces; id++) {
        value[id] = score[id];
        in_text[id] = type[id] == LB_TOK_NORMAL || type[id] == LB_TOK_USER;
        if (type[id] != LB_TOK_NORMAL) continue;
        if (!any || score[id] < worst) worst = score[id];
        any = true;
    }
    /* sentencepiece's bonus, which lets them win over all normal pieces, and longer ones over shorter ones. */
    for (int64_t id = 0; id < s->pieces; id++)
        if (type[id] == LB_TOK_USER) value[id] = 0.1 * (double)t->token[id].n - 0.1;
    LB_TRY_GOTO(status, done, lb_tok_unigram_new(t, value, in_text, worst));
    t->unigram->byte_fallback = s->byte_fallback;
done:
    lb_free(value);
    lb_free(in_text);
    return status;
}

static lb_status keep_user_defined(lb_tokenizer *t, const spec *s, const uint8_t *type, lb_trie *out, bool *any) {
    lb_trie_key *key = lb_alloc((size_t)s->pieces, sizeof *key);
    size_t n = 0;
    if (!key) return LB_E_NOMEM;
    for (int64_t id = 0; id < s->pieces; id++)
        if (type[id] == LB_TOK_USER) key[n++] = (lb_trie_key){t->token[id].s, t->token[id].n, (int32_t)id};
    *any = n > 0;
    lb_status status = n ? lb_trie_new(t->arena, key, n, out) : LB_OK;
    lb_free(key);
    return status;
}

/* The plain case, Llama's, in the steps that tokenizer.json has for it. */
static lb_status normalizer(lb_tokenizer *t, const spec *s, const uint8_t *type) {
    lb_tok_spm *n = LB_NEW(t->arena, lb_tok_spm, 1);
    lb_tok_view mark = {LB_TOK_META, LB_TOK_META_LEN};
    bool any;
    if (!n) return LB_E_NOMEM;
    *n = (lb_tok_spm){
        .dummy_prefix = s->dummy_prefix, .remove_extra = s->remove_extra, .escape = s->escape, .suffix = s->suffix};
    LB_TRY(keep_user_defined(t, s, type, &n->keep, &any));
    if (s->charsmap.n)
        LB_TRY(lb_charsmap_new(t->arena, t->name, (const uint8_t *)s->charsmap.s, s->charsmap.n, &n->map));
    lb_tok_default_decoder(t, s->dummy_prefix && !s->suffix);
    if (s->charsmap.n || s->remove_extra || !s->escape || s->suffix) {
        t->norm[t->n_norm++] = (lb_tok_norm){.kind = LB_TOK_SPM, .spm = n};
        return LB_OK;
    }
    if (s->dummy_prefix) t->norm[t->n_norm++] = (lb_tok_norm){.kind = LB_TOK_PREPEND, .content = mark};
    t->norm[t->n_norm++] = (lb_tok_norm){.kind = LB_TOK_REPLACE, .pattern = {" ", 1}, .content = mark};
    return LB_OK;
}

/* ---- loading ---- */

/* Room for the pieces and the added tokens, whose ids may lie behind. */
static lb_status reserve(lb_tokenizer *t, const spec *s, const json_t *added) {
    int64_t size = s->pieces, id;
    size_t bytes = s->bytes, i;
    const json_t *a;
    json_array_foreach(added, i, a) {
        const char *content;
        LB_TRY(lb_json_str(t->name, a, "content", &content));
        LB_TRY(lb_tok_added_id(t, a, &id));
        if (id >= size) size = id + 1;
        bytes += strlen(content);
    }
    LB_TRY(lb_tok_check_size(t, size, (size_t)s->pieces + json_array_size(added)));
    LB_TRY(lb_tok_reserve(t, size, bytes));
    t->added = LB_NEW(t->arena, lb_tok_added, (size_t)s->pieces + json_array_size(added) + 1);
    return t->added ? LB_OK : LB_E_NOMEM;
}

/* The id of the control piece of this name; -1: there is none. */
static int32_t control(const lb_tokenizer *t, lb_tok_view name, const spec *s, const uint8_t *type) {
    int32_t id = lb_tok_index_get(&t->index, name.s, name.n);
    return id >= 0 && id < s->pieces && type[id] == LB_TOK_CONTROL ? id : -1;
}

static lb_status fill(lb_tokenizer *t, const spec *s, const json_t *added, float *score, uint8_t *type) {
    const json_t *a;
    size_t i;
    LB_TRY(put_pieces(t, s, score, type));
    json_array_foreach(added, i, a) LB_TRY(lb_tok_put_added(t, a));
    LB_TRY(lb_tok_pieces(t));
    LB_TRY(check_pieces(t, s));
    add_symbols(t, s, type);
    for (int64_t id = 0; id < s->pieces; id++)
        if (type[id] == LB_TOK_USER) t->type[id] = LB_TOK_USER;
    t->bos = control(t, s->bos, s, type);
    t->eos = control(t, s->eos, s, type);
    t->pad = control(t, s->pad, s, type);
    LB_TRY(normalizer(t, s, type));
    if (s->model == MODEL_UNIGRAM) return unigram(t, s, score, type);
    t->from_scores = t->fuse_unk = true;
    return lb_tok_merges_from_scores(t, score);
}

lb_status lb_tok_read_spm(lb_tokenizer *t, const json_t *added) {
    spec s;
    LB_TRY(read_spec(t, &s));
    LB_TRY(reserve(t, &s, added));
    float *score = lb_alloc((size_t)t->vocab, sizeof *score);
    uint8_t *type = lb_alloc((size_t)t->vocab, sizeof *type);
    lb_status status = score && type ? fill(t, &s, added, score, type) : LB_E_NOMEM;
    lb_free(score);
    lb_free(type);
    return status == LB_OK ? lb_tok_finish(t) : status;
}
