#include "model/corpus.h"

#include "base/fs.h"
#include "base/hash.h"
#include "base/rng.h"
#include "model/tokenizer_impl.h"

/* ---- texts that protocols fix ---- */

typedef struct known_text {
    const char *hash, *name;
    int64_t bytes;
} known_text;
static const known_text known_texts[] = {
    {"696cca6b65a171b0a358a4be6732cdfdf2dd6164a32e20fd70e3c13fc4dfae83", "WikiText-2 raw test, joined by \"\\n\\n\"",
     1296370},
    {"173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08", "WikiText-2 raw test, as one file", 1290590},
};
static const known_text *const joined = &known_texts[0], *const one_file = &known_texts[1];

/* Tokens of the joined text, by tokenizer: told apart by kind and vocabulary. */
static const struct {
    const char *name, *kind;
    int64_t vocab, tokens;
} joined_tokens[] = {
    {"GPT-2", "byte-level BPE, gpt-2", 50257, 287644},
    {"SmolLM2", "byte-level BPE, smollm", 49152, 304978},
};

static bool contains(const lb_map *m, const char *s) { return memmem(m->data, m->size, s, strlen(s)) != NULL; }

static bool begins_like_wikitext(const lb_map *m) {
    static const char title[] = "= Robert Boulter =";
    size_t at = 0;
    while (at < m->size && at < 16 && strchr(" \r\n\xef\xbb\xbf", m->data[at])) at++;
    return m->size - at >= strlen(title) && !memcmp(m->data + at, title, strlen(title));
}

static void check_identity(lb_corpus *c, const lb_map *m, lb_log *log) {
    for (size_t i = 0; i < sizeof known_texts / sizeof *known_texts; i++)
        if (!strcmp(c->hash, known_texts[i].hash)) c->known = known_texts[i].name;
    if (c->known == one_file->name)
        lb_warn(log,
                "%s: %s: the text of the LCPP protocols; the W2 protocols want it joined by \"\\n\\n\" (sha256 %s)",
                c->name, c->known, joined->hash);
    if (contains(m, " <unk> ")) /* " @-@ " is in the raw text too */
        lb_warn(log,
                "%s: contains \" <unk> \": this looks like the tokenized form of WikiText, which is another text than "
                "the raw one; perplexities do not compare",
                c->name);
    if (!c->known && begins_like_wikitext(m))
        lb_warn(log,
                "%s: begins like WikiText-2's test text, but has %lld bytes and sha256 %s; expected %lld bytes and %s "
                "(joined, W2 protocols) or %lld bytes and %s (one file, LCPP protocols)",
                c->name, (long long)c->bytes, c->hash, (long long)joined->bytes, joined->hash,
                (long long)one_file->bytes, one_file->hash);
}

static void check_bytes(const lb_corpus *c, const lb_map *m, const lb_tokenizer *t, lb_log *log) {
    const char *s = (const char *)m->data;
    if (contains(m, "\r\n"))
        lb_warn(log, "%s: has CRLF line ends: its tokens are not those of the same text with LF", c->name);
    if (m->size >= 3 && !memcmp(s, "\xef\xbb\xbf", 3))
        lb_warn(log, "%s: begins with a byte order mark, which becomes a token", c->name);
    size_t bad = lb_tok_invalid_utf8(s, m->size);
    if (bad < m->size)
        lb_warn(log, "%s: byte %zu is not UTF-8 (0x%02x): kept as a byte, other programs may replace it", c->name, bad,
                m->data[bad]);
    size_t start, end;
    int64_t dropped = lb_tok_without_token(t, s, m->size, &start);
    if (dropped)
        lb_warn(log, "%s: %lld %s have no token and are dropped, the first at byte %zu (0x%02x)", c->name,
                (long long)dropped, t->byte_level ? "bytes" : "characters", start, m->data[start]);
    const lb_tok_added *a;
    for (size_t at = 0; lb_tok_find_added(&t->raw, (lb_tok_view){s, m->size}, at, true, &start, &end, &a); at = end) {
        if (!a->special) continue;
        lb_warn(log,
                "%s: byte %zu: \"%.*s\" is taken as text; programs that parse special tokens in a text make it "
                "token %d",
                c->name, start, (int)a->text.n, a->text.s, a->id);
        break;
    }
}

static void check_tokens(const lb_corpus *c, const lb_tokenizer *t, int64_t tokens, lb_log *log) {
    if (c->known != joined->name) return;
    for (size_t i = 0; i < sizeof joined_tokens / sizeof *joined_tokens; i++)
        if (!strcmp(t->kind, joined_tokens[i].kind) && t->vocab == joined_tokens[i].vocab &&
            tokens != joined_tokens[i].tokens)
            lb_warn(log, "%s: %lld tokens; %s's tokenizer, which this one resembles, gives %lld on this text", c->name,
                    (long long)tokens, joined_tokens[i].name, (long long)joined_tokens[i].tokens);
}

/* ---- opening ---- */

static lb_status encode(lb_corpus *c, const lb_map *m, const lb_tokenizer *t, lb_bos bos, lb_log *log) {
    int32_t *ids;
    int64_t n;
    LB_TRY(lb_tokenizer_encode(t, (const char *)m->data, m->size, false, &ids, &n));
    check_tokens(c, t, n, log);
    c->has_bos = bos == LB_BOS_AUTO && lb_tokenizer_adds_bos(t);
    c->tokens = n + c->has_bos;
    c->token = LB_NEW(c->arena, int32_t, c->tokens + 1);
    if (c->token) {
        if (c->has_bos) c->token[0] = c->bos_id;
        if (n) memcpy(c->token + c->has_bos, ids, (size_t)n * sizeof *ids);
    }
    lb_free(ids);
    return c->token ? LB_OK : LB_E_NOMEM;
}

static lb_status fill(lb_corpus *c, const lb_map *m, const char *path, const lb_tokenizer *t, lb_bos bos, lb_log *log) {
    c->path = lb_arena_strdup(c->arena, path);
    c->name = lb_arena_strdup(c->arena, lb_fs_basename(path));
    if (!c->path || !c->name) return LB_E_NOMEM;
    c->bytes = (int64_t)m->size;
    c->bos_id = lb_tokenizer_bos(t);
    LB_TRY(lb_hash_bytes(m->data, m->size, c->hash));
    check_bytes(c, m, t, log);
    check_identity(c, m, log);
    return encode(c, m, t, bos, log);
}

lb_status lb_corpus_open(const char *path, const lb_tokenizer *t, lb_bos bos, lb_log *log, lb_corpus **out) {
    lb_map m;
    LB_TRY(lb_map_open(path, &m));
    lb_arena *a = NULL;
    lb_status status;
    LB_TRY_GOTO(status, done, lb_arena_new(0, &a));
    lb_corpus *c = LB_NEW(a, lb_corpus, 1);
    LB_TRY_GOTO(status, done, c ? LB_OK : LB_E_NOMEM);
    c->arena = a;
    LB_TRY_GOTO(status, done, fill(c, &m, path, t, bos, log));
    *out = c;
    a = NULL;
done:
    lb_map_close(&m);
    lb_arena_free(a);
    return status;
}

void lb_corpus_close(lb_corpus *c) {
    if (c) lb_arena_free(c->arena);
}

/* ---- windows ---- */

#define WINDOW_STREAM 0x77696e646f7773u /* the random starts have a stream of their own */

lb_status lb_corpus_windows(const lb_corpus *c, lb_recipe r, uint64_t seed, int64_t samples, int64_t length,
                            lb_arena *a, int32_t **tokens) {
    if (samples < 1 || length < 1)
        return lb_fail(LB_E_CONFIG, "%s: %lld windows of %lld tokens: both must be at least 1", c->name,
                       (long long)samples, (long long)length);
    if (samples > INT64_MAX / 8 / length)
        return lb_fail(LB_E_CONFIG, "%s: %lld windows of %lld tokens: too many", c->name, (long long)samples,
                       (long long)length);
    int64_t need = r == LB_RECIPE_SEQUENTIAL ? samples * length : length;
    if (c->tokens < need)
        return lb_fail(LB_E_CONFIG,
                       "%s: %s windows (%lld of %lld tokens) need a text of %lld tokens, this one has %lld", c->name,
                       r == LB_RECIPE_SEQUENTIAL ? "sequential" : "random", (long long)samples, (long long)length,
                       (long long)need, (long long)c->tokens);
    int32_t *w = LB_NEW(a, int32_t, samples * length);
    if (!w) return LB_E_NOMEM;
    lb_rng rng = lb_rng_make(seed, WINDOW_STREAM);
    for (int64_t i = 0; i < samples; i++) {
        int64_t start = r == LB_RECIPE_SEQUENTIAL ? i * length : lb_rng_below(&rng, c->tokens - length + 1);
        memcpy(w + i * length, c->token + start, (size_t)length * sizeof *w);
    }
    *tokens = w;
    return LB_OK;
}
