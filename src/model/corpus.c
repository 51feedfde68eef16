#include "model/corpus.h"

#include "base/rng.h"
#include "model/recipes.h"
#include "model/tokenizer/impl.h"

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

static bool contains(const lb_textfile *m, const char *s) { return memmem(m->s, m->n, s, strlen(s)) != NULL; }

/* Its headings: " = Robert Boulter = ". */
static bool has_headings(const lb_textfile *m) {
    return (m->n > 2 && !memcmp(m->s, "= ", 2)) || contains(m, "\n= ") || contains(m, "\n = ");
}

static bool begins_like_wikitext(const lb_textfile *m) {
    static const char title[] = "= Robert Boulter =";
    size_t at = 0;
    while (at < m->n && at < 16 && strchr(" \r\n", m->s[at])) at++;
    return m->n - at >= strlen(title) && !memcmp(m->s + at, title, strlen(title));
}

static void check_identity(lb_corpus *c, const lb_textfile *m, lb_log *log) {
    for (size_t i = 0; i < sizeof known_texts / sizeof *known_texts; i++)
        if (!strcmp(m->content, known_texts[i].hash)) c->known = known_texts[i].name;
    if (c->known == one_file->name)
        lb_warn(log,
                "%s: %s: the text of the LCPP protocols; the W2 protocols want it joined by \"\\n\\n\" (sha256 %s)",
                c->name, c->known, joined->hash);
    bool lines = strncmp(c->how, "lines", 5) == 0;             /* PTB's have <unk> where it belongs */
    if (contains(m, " <unk> ") && (!lines || has_headings(m))) /* " @-@ " is in the raw text too */
        lb_warn(log,
                "%s: contains \" <unk> \": this looks like the tokenized form of WikiText, which is another text than "
                "the raw one; perplexities do not compare",
                c->name);
    if (!c->known && begins_like_wikitext(m))
        lb_warn(log,
                "%s: begins like WikiText-2's test text, but has %lld bytes and sha256 %s; expected %lld bytes and %s "
                "(joined, W2 protocols) or %lld bytes and %s (one file, LCPP protocols)",
                c->name, (long long)c->bytes, m->content, (long long)joined->bytes, joined->hash,
                (long long)one_file->bytes, one_file->hash);
}

enum { CRLF = 1, NOT_UTF8 = 2, DROPPED = 4, SPECIAL = 8 };

/* Whether this is the first time. */
static bool first_time(unsigned *said, unsigned what) {
    bool first = !(*said & what);
    *said |= what;
    return first;
}

static void check_special(const char *name, const lb_textfile *m, const lb_tokenizer *t, unsigned *said, lb_log *log) {
    lb_tok_found f;
    size_t at = 0;
    for (size_t done = 0; lb_tok_find_added(t, &t->raw, (lb_tok_view){m->s, m->n}, true, &at, done, &f); done = f.end) {
        if (!f.token->special || f.start >= f.end) continue; /* its text may have gone with the token before */
        if (!first_time(said, SPECIAL)) break;
        lb_warn(log,
                "%s: byte %zu: \"%.*s\" is taken as text; programs that parse special tokens in a text make it "
                "token %d",
                name, m->mark + f.start, (int)f.token->text.n, f.token->text.s, f.token->id);
        break;
    }
}

/* Places are those in the text: of a whole file, in that. said: what was warned of already. */
static void check_bytes(const char *name, const lb_textfile *m, const lb_tokenizer *t, bool special, unsigned *said,
                        lb_log *log) {
    if (contains(m, "\r\n") && first_time(said, CRLF))
        lb_warn(log, "%s: has CRLF line ends: its tokens are not those of the same text with LF", name);
    if (m->mark) lb_warn(log, "%s: the byte-order mark at its head was dropped: it is no part of the text", name);
    size_t bad = lb_tok_invalid_utf8(m->s, m->n);
    if (bad < m->n && first_time(said, NOT_UTF8))
        lb_warn(log, "%s: byte %zu is not UTF-8 (0x%02x): kept as a byte, other programs may replace it", name,
                m->mark + bad, (uint8_t)m->s[bad]);
    size_t start;
    int64_t dropped = lb_tok_without_token(t, m->s, m->n, &start);
    if (dropped && first_time(said, DROPPED))
        lb_warn(log, "%s: %lld %s have no token and are dropped, the first at byte %zu (0x%02x)", name,
                (long long)dropped, t->byte_level ? "bytes" : "characters", m->mark + start, (uint8_t)m->s[start]);
    if (!special) check_special(name, m, t, said, log);
}

static void check_tokens(const lb_corpus *c, const lb_tokenizer *t, int64_t tokens, lb_log *log) {
    if (c->known != joined->name) return;
    for (size_t i = 0; i < sizeof joined_tokens / sizeof *joined_tokens; i++)
        if (!strcmp(t->kind, joined_tokens[i].kind) && t->vocab == joined_tokens[i].vocab &&
            tokens != joined_tokens[i].tokens)
            lb_warn(log, "%s: %lld tokens; %s's tokenizer, which this one resembles, gives %lld on this text", c->name,
                    (long long)tokens, joined_tokens[i].name, (long long)joined_tokens[i].tokens);
}

/* ---- BOS ---- */

bool lb_bos_put(const lb_tokenizer *t, lb_bos bos) {
    return bos == LB_BOS_ALWAYS || (bos == LB_BOS_AUTO && t->adds_bos);
}

const char *lb_bos_text(lb_bos bos, bool put) {
    if (bos == LB_BOS_NEVER) return "never";
    return bos == LB_BOS_ALWAYS ? "always" : put ? "auto: added" : "auto: none";
}

void lb_bos_warn(const lb_tokenizer *t, lb_bos bos, const char *text_name, lb_log *log) {
    if (bos != LB_BOS_AUTO || !t->bos_dispute) return;
    lb_warn(log, "%s: %s; bos: %s", text_name, t->bos_dispute, t->adds_bos ? "never puts none" : "always puts one");
}

/* ---- opening ---- */

/* A token that the embedding has no row for: its number in the text, and about where it is, by what was before it. */
static lb_status check_ids(const char *name, const int32_t *token, int64_t n, bool has_bos, size_t at,
                           const lb_tokenizer *t) {
    if (!t->rows || t->vocab <= t->rows) return LB_OK;
    for (int64_t i = 0; i < n; i++) {
        int32_t id = token[i];
        lb_tok_view v = t->piece[id];
        if (id >= t->rows)
            return lb_fail(LB_E_UNSUPPORTED,
                           "%s: token %lld, about byte %zu, is \"%.*s\", id %d: the model's embedding has %lld rows",
                           name, (long long)i, at, (int)(v.n < 64 ? v.n : 64), v.s, id, (long long)t->rows);
        if (i > 0 || !has_bos) at += v.n;
    }
    return LB_OK;
}

static lb_status put_bos(lb_corpus *c, const lb_tokenizer *t, lb_bos bos) {
    c->bos_id = lb_tokenizer_bos(t);
    c->has_bos = lb_bos_put(t, bos);
    if (c->has_bos && c->bos_id < 0)
        return lb_fail(LB_E_UNSUPPORTED, "%s: bos: always: the tokenizer (%s) names no BOS token", c->path, t->name);
    return LB_OK;
}

static lb_status encode(lb_corpus *c, const lb_textfile *m, const lb_tokenizer *t, lb_bos bos, lb_log *log) {
    int32_t *ids;
    int64_t n;
    LB_TRY(put_bos(c, t, bos));
    LB_TRY(lb_tokenizer_encode(t, m->s, m->n, c->special, &ids, &n));
    check_tokens(c, t, n, log);
    c->tokens = n + c->has_bos;
    c->token = LB_NEW(c->arena, int32_t, c->tokens + 1);
    if (c->token) {
        if (c->has_bos) c->token[0] = c->bos_id;
        if (n) memcpy(c->token + c->has_bos, ids, (size_t)n * sizeof *ids);
    }
    lb_free(ids);
    return c->token ? check_ids(c->path, c->token, c->tokens, c->has_bos, m->mark, t) : LB_E_NOMEM;
}

static lb_status name_it(lb_corpus *c, const lb_textfile *m, const char *how) {
    c->path = lb_arena_strdup(c->arena, m->path);
    c->name = lb_arena_strdup(c->arena, lb_fs_basename(m->path));
    c->how = lb_arena_strdup(c->arena, how);
    if (!c->path || !c->name || !c->how) return LB_E_NOMEM;
    memcpy(c->hash, m->hash, sizeof c->hash);
    return LB_OK;
}

static void check_tokenizer(const lb_corpus *c, const lb_tokenizer *t, lb_bos bos, lb_log *log) {
    lb_bos_warn(t, bos, c->name, log);
    if (t->rows && t->vocab > t->rows)
        lb_warn(log,
                "%s: the tokenizer has %lld tokens, the model's embedding %lld rows: none of the others may come up",
                c->name, (long long)t->vocab, (long long)t->rows);
}

static lb_status fill(lb_corpus *c, const lb_textfile *m, const char *how, const lb_tokenizer *t, lb_bos bos,
                      lb_log *log) {
    LB_TRY(name_it(c, m, how));
    c->bytes = (int64_t)(m->n + m->mark);
    c->bos_id = lb_tokenizer_bos(t);
    check_bytes(c->name, m, t, c->special, c->said, log);
    check_identity(c, m, log);
    check_tokenizer(c, t, bos, log);
    return encode(c, m, t, bos, log);
}

static lb_status new_corpus(lb_corpus **out) {
    lb_arena *a = NULL;
    LB_TRY(lb_arena_new(0, &a));
    lb_corpus *c = LB_NEW(a, lb_corpus, 1);
    unsigned *said = LB_NEW(a, unsigned, 1);
    if (!c || !said) {
        lb_arena_free(a);
        return LB_E_NOMEM;
    }
    *c = (lb_corpus){.arena = a, .said = said};
    *out = c;
    return LB_OK;
}

lb_status lb_corpus_of(const lb_textfile *text, const lb_tokenizer *t, lb_bos bos, lb_log *log, lb_corpus **out) {
    lb_corpus *c;
    LB_TRY(new_corpus(&c));
    lb_status st = fill(c, text, "", t, bos, log);
    if (st == LB_OK)
        *out = c;
    else
        lb_corpus_close(c);
    return st;
}

lb_status lb_corpus_open(const char *path, const lb_tokenizer *t, lb_bos bos, lb_log *log, lb_corpus **out) {
    lb_textfile text;
    LB_TRY(lb_textfile_open(path, &text));
    lb_status status = lb_corpus_of(&text, t, bos, log, out);
    lb_textfile_close(&text);
    return status;
}

void lb_corpus_close_rows(lb_corpus *c) {
    lb_rows_close(c->rows);
    c->rows = NULL;
}

void lb_corpus_close(lb_corpus *c) {
    if (!c) return;
    lb_corpus_close_rows(c);
    lb_arena_free(c->arena);
}

/* ---- rows ---- */

static void add_escaped(lb_str *t, const char *s) {
    for (; *s; s++) {
        bool plain = (unsigned char)*s >= 0x20 && *s != '"' && *s != '\\';
        if (*s == '\n')
            lb_str_add(t, "\\n");
        else
            lb_str_add(t, plain ? "%c" : "\\x%02x", (unsigned char)*s);
    }
}

lb_status lb_rows_how(lb_arena *a, const char *path, const lb_row_spec *s, const char *join, const char **out) {
    static const char *const form[] = {"", "", "lines", "json"}, *const chat[] = {"plain", "chatml", "alpaca"};
    int f = lb_rows_form(path, s);
    lb_str t = {0};
    lb_str_add(&t, "%s", form[f]);
    if (f == LB_ROWS_JSON && s->chat != LB_CHAT_ALPACA) {
        lb_str_add(&t, ", field ");
        add_escaped(&t, s->field ? s->field : "text");
    }
    if (f == LB_ROWS_JSON && s->chat != LB_CHAT_PLAIN) lb_str_add(&t, ", %s", chat[s->chat]);
    if (f != LB_ROWS_FILE && s->first > 0) lb_str_add(&t, ", the first %lld", (long long)s->first);
    if (f != LB_ROWS_FILE && join) {
        lb_str_add(&t, ", joined by \"");
        add_escaped(&t, join);
        lb_str_add(&t, "\"");
    }
    lb_status st = lb_str_check(&t);
    if (st == LB_OK && !(*out = lb_arena_strdup(a, t.s ? t.s : ""))) st = LB_E_NOMEM;
    lb_str_free(&t);
    return st;
}

/* The rows stay open: what is drawn of them is encoded then. */
static lb_status to_draw(lb_corpus *c, const lb_row_spec *s, const char *how, const lb_tokenizer *t, lb_bos bos,
                         lb_log *log) {
    LB_TRY(name_it(c, lb_rows_file(c->rows), how));
    c->bytes = (int64_t)lb_rows_file(c->rows)->n;
    c->n_rows = lb_rows_count(c->rows);
    c->tokenizer = t;
    c->log = log;
    c->special = s->chat == LB_CHAT_CHATML;
    check_tokenizer(c, t, bos, log);
    return put_bos(c, t, bos);
}

static lb_status joined_rows(lb_corpus *c, const lb_row_spec *s, const char *join, const char *how,
                             const lb_tokenizer *t, lb_bos bos, lb_log *log) {
    const lb_textfile *file = lb_rows_file(c->rows);
    c->special = s->chat == LB_CHAT_CHATML;
    if (lb_rows_are_one(c->rows)) {
        if (s->form == LB_ROWS_AUTO && file->n > 1 && !memcmp(file->s, "{\"", 2))
            lb_warn(log, "%s: begins like JSON and is read as one text: rows: json reads an object a line",
                    lb_fs_basename(file->path));
        return fill(c, file, how, t, bos, log);
    }
    lb_str text = {0};
    lb_status st = lb_rows_join(c->rows, join, &text);
    lb_textfile m = {.path = file->path, .s = text.s ? text.s : "", .n = text.len};
    memcpy(m.hash, file->hash, sizeof m.hash);
    if (st == LB_OK)
        st = m.n ? lb_hash_bytes(m.s, m.n, m.content) : lb_fail(LB_E_FORMAT, "%s: its rows hold no text", m.path);
    if (st == LB_OK) st = fill(c, &m, how, t, bos, log);
    lb_str_free(&text);
    return st;
}

lb_status lb_corpus_rows(const char *path, const lb_row_spec *s, const char *join, const lb_tokenizer *t, lb_bos bos,
                         lb_log *log, lb_corpus **out) {
    lb_corpus *c;
    const char *how = "";
    LB_TRY(new_corpus(&c));
    lb_status st = lb_rows_open(path, s, &c->rows);
    if (st == LB_OK) st = lb_rows_how(c->arena, path, s, join, &how);
    if (st == LB_OK) st = join ? joined_rows(c, s, join, how, t, bos, log) : to_draw(c, s, how, t, bos, log);
    if (join) lb_corpus_close_rows(c);
    if (st == LB_OK)
        *out = c;
    else
        lb_corpus_close(c);
    return st;
}

static lb_status encode_text(const lb_corpus *c, int64_t row, const lb_textfile *m, int32_t **ids, int64_t *n) {
    char place[LB_ROW_PLACE];
    snprintf(place, sizeof place, "%s: row %lld", c->name, (long long)row);
    check_bytes(place, m, c->tokenizer, c->special, c->said, c->log);
    LB_TRY(lb_tokenizer_encode(c->tokenizer, m->s, m->n, c->special, ids, n));
    lb_status st = check_ids(place, *ids, *n, false, 0, c->tokenizer);
    int32_t *with_bos = st == LB_OK && c->has_bos ? lb_alloc((size_t)*n + 1, sizeof **ids) : NULL;
    if (st == LB_OK && !c->has_bos) return LB_OK;
    if (with_bos) {
        with_bos[0] = c->bos_id;
        if (*n) memcpy(with_bos + 1, *ids, (size_t)*n * sizeof **ids);
    } else if (st == LB_OK) {
        st = LB_E_NOMEM;
    }
    lb_free(*ids);
    *ids = with_bos;
    ++*n;
    return st;
}

static lb_status encode_row(const lb_corpus *c, int64_t row, bool stripped, int32_t **ids, int64_t *n) {
    lb_str text = {0};
    lb_status st = lb_rows_text(c->rows, row, &text);
    lb_textfile m = {.path = c->path, .s = text.s ? text.s : "", .n = text.len};
    *ids = NULL;
    if (st == LB_OK && stripped) lb_row_strip(&m.s, &m.n);
    if (st == LB_OK) st = encode_text(c, row, &m, ids, n);
    lb_str_free(&text);
    return st;
}

lb_status lb_corpus_encode_row(const lb_corpus *c, int64_t row, int32_t **ids, int64_t *n) {
    return encode_row(c, row, false, ids, n);
}

lb_status lb_corpus_encode_stripped(const lb_corpus *c, int64_t row, int32_t **ids, int64_t *n) {
    return encode_row(c, row, true, ids, n);
}

/* ---- windows ---- */

const char *const lb_recipe_names[] = {"sequential", "random",       "joined",    "documents", "documents_longer",
                                       "blocks",     "first_tokens", "truncated", NULL};

#define WINDOW_STREAM 0x77696e646f7773u /* the random starts have a stream of their own */

lb_status lb_corpus_holds(const lb_corpus *c, lb_recipe r, int64_t samples, int64_t length) {
    if (samples < 1 || length < 1)
        return lb_fail(LB_E_CONFIG, "%s: %lld windows of %lld tokens: both must be at least 1", c->name,
                       (long long)samples, (long long)length);
    if (samples > INT64_MAX / 8 / length)
        return lb_fail(LB_E_CONFIG, "%s: %lld windows of %lld tokens: too many", c->name, (long long)samples,
                       (long long)length);
    if (lb_recipe_of_rows(r) && (!c->rows || lb_rows_are_one(c->rows)))
        return lb_fail(LB_E_CONFIG,
                       "%s: recipe: %s draws rows, but the whole file is one text (rows: lines or json cuts it)",
                       c->name, lb_recipe_names[r]);
    if (lb_recipe_of_rows(r)) return LB_OK;
    int64_t need = r == LB_RECIPE_SEQUENTIAL ? samples * length : length + (r == LB_RECIPE_JOINED);
    if (c->tokens < need)
        return lb_fail(
            LB_E_CONFIG, "%s: %s windows (%lld of %lld tokens) need a text of %lld tokens, this one has %lld", c->name,
            lb_recipe_names[r], (long long)samples, (long long)length, (long long)need, (long long)c->tokens);
    return LB_OK;
}

lb_status lb_corpus_windows(const lb_corpus *c, lb_recipe r, uint64_t seed, int64_t samples, int64_t length,
                            lb_arena *a, int32_t **tokens) {
    LB_TRY(lb_corpus_holds(c, r, samples, length));
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
