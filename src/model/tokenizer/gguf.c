/* Tokenizers in GGUF metadata: tokenizer.ggml.model 'gpt2' (byte-level BPE), 'llama' (SentencePiece BPE) and 't5'
 * (gguf_t5.c). */
#include <math.h>
#include <strings.h>

#include "model/tokenizer/unigram.h"

static lb_status read_types(const lb_gguf *g, lb_tokenizer *t) {
    const char *key = "tokenizer.ggml.token_type";
    if (!lb_gguf_has(g, key)) return LB_OK;
    int64_t n, type;
    LB_TRY(lb_gguf_array(g, key, &n));
    if (n != t->vocab)
        return lb_fail(LB_E_FORMAT, "%s: %s has %lld entries, tokenizer.ggml.tokens %lld", t->name, key, (long long)n,
                       (long long)t->vocab);
    for (int64_t i = 0; i < n; i++) {
        LB_TRY(lb_gguf_array_int(g, key, i, &type));
        if (type < LB_TOK_NORMAL || type > LB_TOK_BYTE)
            return lb_fail(LB_E_FORMAT, "%s: %s[%lld] = %lld: must be in [1, 6]", t->name, key, (long long)i,
                           (long long)type);
        t->type[i] = (uint8_t)type;
    }
    return LB_OK;
}

static lb_status read_tokens(const lb_gguf *g, lb_tokenizer *t) {
    const char *key = "tokenizer.ggml.tokens", *s;
    int64_t vocab;
    size_t n, bytes = 0;
    LB_TRY(lb_gguf_array(g, key, &vocab));
    for (int64_t i = 0; i < vocab; i++) {
        LB_TRY(lb_gguf_array_str(g, key, i, &s, &n));
        bytes += n;
    }
    LB_TRY(lb_tok_reserve(t, vocab, bytes));
    for (int64_t i = 0; i < vocab; i++) {
        LB_TRY(lb_gguf_array_str(g, key, i, &s, &n));
        LB_TRY(lb_tok_put(t, i, s, n, LB_TOK_NORMAL));
    }
    return LB_OK;
}

static lb_status read_id(const lb_gguf *g, const lb_tokenizer *t, const char *key, int32_t *id) {
    if (!lb_gguf_has(g, key)) return LB_OK;
    int64_t v;
    LB_TRY(lb_gguf_int(g, key, &v));
    if (v == UINT32_MAX) { /* written for 'none' */
        *id = -1;
        return LB_OK;
    }
    if (v < 0 || v >= t->vocab)
        return lb_fail(LB_E_FORMAT, "%s: %s = %lld: must be in [0, %lld)", t->name, key, (long long)v,
                       (long long)t->vocab);
    *id = (int32_t)v;
    return LB_OK;
}

static lb_status read_bool(const lb_gguf *g, const char *key, bool *out) {
    return lb_gguf_has(g, key) ? lb_gguf_bool(g, key, out) : LB_OK;
}

static bool is_one_of(lb_tok_view v, const char *const *names) {
    for (; *names; names++)
        if (v.n == strlen(*names) && !memcmp(v.s, *names, v.n)) return true;
    return false;
}

/* llama.cpp takes these for the end of a text or of a turn, and so for control tokens, whatever their type is; and
 * those of gpt-oss's turns for the user's. */
static void types_by_name(lb_tokenizer *t) {
    static const char *const ends[] = {
        "<|eot_id|>", "<|im_end|>",    "<|end|>",         "<|return|>",         "<|call|>", "<|flush|>", "<|calls|>",
        "</s>",       "<end_of_turn>", "<|endoftext|>",   "<|eom_id|>",         "<EOT>",    "_<EOT>",    "[EOT]",
        "[EOS]",      "<eos>",         "<|end_of_text|>", "<end_of_utterance>", NULL};
    static const char *const turns[] = {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>", NULL};
    for (int64_t id = 0; id < t->vocab; id++) {
        lb_tok_view v = t->token[id];
        if (!v.n || !strchr("<_[", v.s[0])) continue;
        if (is_one_of(v, ends)) t->type[id] = LB_TOK_CONTROL;
        if (is_one_of(v, turns)) t->type[id] = LB_TOK_USER;
    }
}

/* Phi-3's tokens take white space behind them along; llama.cpp knows the model by its name. */
static lb_status strips_behind(const lb_gguf *g, bool *out) {
    const char *s;
    size_t n;
    *out = false;
    if (!lb_gguf_has(g, "general.name")) return LB_OK;
    LB_TRY(lb_gguf_str(g, "general.name", &s, &n));
    for (size_t i = 0; i + 4 <= n; i++)
        if (!strncasecmp(s + i, "phi3", 4) || (i + 5 <= n && !strncasecmp(s + i, "phi-3", 5))) *out = true;
    return LB_OK;
}

/* Control tokens are special; user-defined ones are matched in any text. */
static lb_status collect_added(const lb_gguf *g, lb_tokenizer *t) {
    static const char *const keep[] = {"<unk>", "<s>", "<|endoftext|>", NULL};
    bool strips;
    LB_TRY(strips_behind(g, &strips));
    int64_t n = 0;
    for (int64_t id = 0; id < t->vocab; id++) n += t->type[id] != LB_TOK_NORMAL;
    t->added = LB_NEW(t->arena, lb_tok_added, n + 1);
    if (!t->added) return LB_E_NOMEM;
    for (int64_t id = 0; id < t->vocab; id++) {
        bool special = t->type[id] == LB_TOK_CONTROL || t->type[id] == LB_TOK_UNKNOWN;
        if (!t->token[id].n || (!special && t->type[id] != LB_TOK_USER)) continue;
        bool rstrip = strips && !is_one_of(t->token[id], keep);
        t->added[t->n_added++] =
            (lb_tok_added){.text = t->token[id], .id = (int32_t)id, .special = special, .rstrip = rstrip};
    }
    return LB_OK;
}

/* "left right": cut at the first space behind the first byte. */
static lb_status read_merges(const lb_gguf *g, lb_tokenizer *t) {
    const char *key = "tokenizer.ggml.merges";
    LB_TRY(lb_gguf_array(g, key, &t->merges.n));
    t->merges.list = LB_NEW(t->arena, lb_tok_merge, t->merges.n + 1);
    if (!t->merges.list) return LB_E_NOMEM;
    for (int64_t i = 0; i < t->merges.n; i++) {
        const char *s;
        size_t n;
        LB_TRY(lb_gguf_array_str(g, key, i, &s, &n));
        const char *space = n > 1 ? memchr(s + 1, ' ', n - 1) : NULL;
        if (!space)
            return lb_fail(LB_E_FORMAT, "%s: %s[%lld] = \"%.*s\": expected two tokens with a space between", t->name,
                           key, (long long)i, (int)n, s);
        lb_tok_view left = {s, (size_t)(space - s)}, right = {space + 1, n - left.n - 1};
        LB_TRY(lb_tok_merge_add(t, i, (lb_tok_place){t->name, "merge", i}, left, right));
    }
    return LB_OK;
}

static lb_status load_bytes(const lb_gguf *g, lb_tokenizer *t) {
    const char *key = "tokenizer.ggml.pre", *s;
    size_t n;
    LB_TRY(lb_gguf_str(g, key, &s, &n));
    char *pre = lb_arena_printf(t->arena, "%.*s", (int)n, s);
    if (!pre) return LB_E_NOMEM;
    LB_TRY(lb_tok_named_pre(t, pre));
    bool prefix = false;
    LB_TRY(read_bool(g, "tokenizer.ggml.add_space_prefix", &prefix));
    if (prefix) return lb_fail(LB_E_UNSUPPORTED, "%s: tokenizer.ggml.add_space_prefix with a byte-level BPE", t->name);
    t->byte_level = t->alphabet = true;
    lb_tok_default_decoder(t, false);
    LB_TRY(lb_tok_pieces(t));
    return read_merges(g, t);
}

static lb_status read_scores(const lb_gguf *g, lb_tokenizer *t, float *score) {
    const char *key = "tokenizer.ggml.scores";
    for (int64_t i = 0; i < t->vocab; i++) {
        double v;
        LB_TRY(lb_gguf_array_float(g, key, i, &v));
        if (!isfinite(v))
            return lb_fail(LB_E_FORMAT, "%s: %s[%lld] = %g: must be finite", t->name, key, (long long)i, v);
        score[i] = (float)v;
    }
    return lb_tok_merges_from_scores(t, score);
}

/* Files without token types: bytes by their form, the three named ids, all else normal. */
static void guess_types(lb_tokenizer *t) {
    for (int64_t i = 0; i < t->vocab; i++)
        if (t->token[i].n == 6 && !memcmp(t->token[i].s, "<0x", 3) && t->token[i].s[5] == '>') t->type[i] = LB_TOK_BYTE;
    if (t->bos >= 0) t->type[t->bos] = LB_TOK_CONTROL;
    if (t->eos >= 0) t->type[t->eos] = LB_TOK_CONTROL;
    if (t->unk >= 0) t->type[t->unk] = LB_TOK_UNKNOWN;
}

static lb_status load_scores(const lb_gguf *g, lb_tokenizer *t) {
    t->unk = t->unk_name; /* a byte-level tokenizer has none: it knows all bytes, or should */
    if (!lb_gguf_has(g, "tokenizer.ggml.token_type")) guess_types(t);
    bool prefix = true;
    t->adds_bos = t->from_scores = t->fuse_unk = true;
    LB_TRY(read_bool(g, "tokenizer.ggml.add_space_prefix", &prefix));
    lb_tok_view mark = {LB_TOK_META, LB_TOK_META_LEN};
    if (prefix) t->norm[t->n_norm++] = (lb_tok_norm){.kind = LB_TOK_PREPEND, .content = mark};
    t->norm[t->n_norm++] = (lb_tok_norm){.kind = LB_TOK_REPLACE, .pattern = {" ", 1}, .content = mark};
    lb_tok_default_decoder(t, prefix);
    LB_TRY(lb_tok_pieces(t));
    int64_t n;
    LB_TRY(lb_gguf_array(g, "tokenizer.ggml.scores", &n));
    if (n != t->vocab)
        return lb_fail(LB_E_FORMAT, "%s: tokenizer.ggml.scores has %lld entries, tokenizer.ggml.tokens %lld", t->name,
                       (long long)n, (long long)t->vocab);
    float *score = lb_alloc((size_t)t->vocab, sizeof *score);
    if (!score) return LB_E_NOMEM;
    lb_status status = read_scores(g, t, score);
    lb_free(score);
    return status;
}

static lb_status load(const lb_gguf *g, lb_tokenizer *t) {
    const char *model;
    size_t n;
    LB_TRY(lb_gguf_str(g, "tokenizer.ggml.model", &model, &n));
    bool bytes = n == 4 && !memcmp(model, "gpt2", 4), scores = n == 5 && !memcmp(model, "llama", 5);
    bool unigram = n == 2 && !memcmp(model, "t5", 2);
    if (!bytes && !scores && !unigram)
        return lb_fail(LB_E_UNSUPPORTED, "%s: tokenizer.ggml.model = '%.*s': known are gpt2, llama and t5%s", t->name,
                       (int)n, model, n == 4 && !memcmp(model, "bert", 4) ? "; this is WordPiece, of encoders" : "");
    LB_TRY(read_tokens(g, t));
    LB_TRY(read_types(g, t));
    types_by_name(t);
    if (scores) {
        t->unk_name = t->vocab > 0 ? 0 : -1;
        t->bos = t->vocab > 1 ? 1 : -1;
        t->eos = t->vocab > 2 ? 2 : -1;
    }
    if (unigram) {
        t->eos = t->vocab > 1 ? 1 : -1;
        t->unk_name = t->vocab > 2 ? 2 : -1;
        t->pad = 0;
    }
    LB_TRY(read_id(g, t, "tokenizer.ggml.bos_token_id", &t->bos));
    LB_TRY(read_id(g, t, "tokenizer.ggml.eos_token_id", &t->eos));
    LB_TRY(read_id(g, t, "tokenizer.ggml.unknown_token_id", &t->unk_name));
    LB_TRY(read_id(g, t, "tokenizer.ggml.padding_token_id", &t->pad));
    LB_TRY(bytes ? load_bytes(g, t) : scores ? load_scores(g, t) : lb_tok_gguf_unigram(g, t));
    LB_TRY(read_bool(g, "tokenizer.ggml.add_bos_token", &t->adds_bos));
    if (t->adds_bos && t->bos < 0)
        return lb_fail(LB_E_FORMAT, "%s: the tokenizer adds BOS, but tokenizer.ggml.bos_token_id is not there",
                       t->name);
    bool eos = unigram;
    LB_TRY(read_bool(g, "tokenizer.ggml.add_eos_token", &eos));
    if (eos)
        return lb_fail(LB_E_UNSUPPORTED, "%s: tokenizer.ggml.add_eos_token%s: no protocol here ends a text with EOS",
                       t->name, lb_gguf_has(g, "tokenizer.ggml.add_eos_token") ? "" : " is true where it is not given");
    if (lb_gguf_has(g, "tokenizer.chat_template")) {
        const char *s;
        LB_TRY(lb_gguf_str(g, "tokenizer.chat_template", &s, &n));
        t->chat_template = lb_arena_printf(t->arena, "%.*s", (int)n, s);
        if (!t->chat_template) return LB_E_NOMEM;
    }
    t->longest_first = true;
    LB_TRY(collect_added(g, t));
    return lb_tok_finish(t);
}

lb_status lb_tokenizer_from_gguf(const lb_gguf *g, lb_tokenizer **out) {
    lb_tokenizer *t;
    LB_TRY(lb_tok_new(lb_fs_basename(lb_gguf_path(g)), &t));
    lb_status status = load(g, t);
    if (status != LB_OK) {
        lb_tokenizer_free(t);
        return status;
    }
    *out = t;
    return LB_OK;
}
