/* What the loaders share: the vocabulary, the merges, and what follows from them. */
#include <stdlib.h>

#include "model/tokenizer/unigram.h"

/* ---- PCRE2 allocates through us, so that a test can make it fail ---- */

static void *pcre_malloc(size_t n, void *user) {
    (void)user;
    return lb_alloc(n ? n : 1, 1);
}
static void pcre_free(void *p, void *user) {
    (void)user;
    lb_free(p);
}

lb_status lb_tok_new(const char *name, lb_tokenizer **out) {
    lb_arena *a;
    LB_TRY(lb_arena_new(0, &a));
    lb_tokenizer *t = LB_NEW(a, lb_tokenizer, 1);
    lb_tok_spare *spare = LB_NEW(a, lb_tok_spare, 1);
    char *copy = lb_arena_strdup(a, name);
    if (!t || !spare || !copy) {
        lb_arena_free(a);
        return LB_E_NOMEM;
    }
    t->arena = a;
    t->name = copy;
    t->spare = spare;
    t->unk = t->unk_name = t->bos = t->eos = t->pad = -1;
    for (int i = 0; i < 256; i++) t->byte_id[i] = -1;
    t->pcre = pcre2_general_context_create(pcre_malloc, pcre_free, NULL);
    if (!t->pcre) {
        lb_arena_free(a);
        return lb_fail(LB_E_NOMEM, "%s: out of memory for the tokenizer's patterns", name);
    }
    *out = t;
    return LB_OK;
}

void lb_tokenizer_free(lb_tokenizer *t) {
    if (!t) return;
    lb_tok_run *spare = atomic_exchange(&t->spare->run, NULL);
    if (spare) lb_tok_run_give(spare, false);
    for (int i = 0; i < t->n_step; i++) lb_tok_pattern_free(&t->step[i].regex);
    for (int i = 0; i < t->n_norm; i++) lb_tok_pattern_free(&t->norm[i].regex);
    for (int i = 0; i < t->n_decode; i++) lb_tok_pattern_free(&t->decode[i].regex);
    pcre2_general_context_free(t->pcre);
    lb_arena_free(t->arena);
}

/* ---- GPT-2's alphabet: a printable character for each byte ---- */

/* Printable bytes stand for themselves; the other 68 (0..32, 127..160, 173), in order, are U+0100, U+0101, ... */
int32_t lb_tok_byte_code(int b) {
    if (b <= 32) return 256 + b;
    if (b >= 127 && b <= 160) return 256 + 33 + b - 127;
    return b == 173 ? 256 + 67 : b;
}

/* The byte of a character; -1: outside the alphabet. */
static int code_byte(int32_t c) {
    if (c < 0 || c >= 256 + 68) return -1;
    if (c < 256) return lb_tok_byte_code(c) == c ? c : -1;
    int k = c - 256;
    return k <= 32 ? k : k < 67 ? 127 + k - 33 : 173;
}

int lb_tok_byte_char(uint8_t byte, char out[2]) {
    int32_t c = lb_tok_byte_code(byte);
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    out[0] = (char)(0xC0 | c >> 6);
    out[1] = (char)(0x80 | (c & 0x3F));
    return 2;
}

void lb_tok_put_alphabet(lb_str *out, lb_tok_view v) {
    for (size_t i = 0; i < v.n; i++) {
        char s[2];
        lb_str_add_bytes(out, s, (size_t)lb_tok_byte_char((uint8_t)v.s[i], s));
    }
}

static bool in_alphabet(lb_tok_view v) {
    int32_t c;
    for (size_t i = 0; i < v.n;) {
        i += lb_tok_char(v.s + i, v.n - i, &c);
        if (code_byte(c) < 0) return false;
    }
    return true;
}

int64_t lb_tok_byte_decode(lb_tok_view v, char *out) {
    int64_t n = 0;
    for (size_t i = 0; i < v.n; n++) {
        int32_t c;
        i += lb_tok_char(v.s + i, v.n - i, &c);
        int b = code_byte(c);
        if (b < 0) return -1;
        out[n] = (char)b;
    }
    return n;
}

/* ---- vocabulary ---- */

lb_status lb_tok_reserve(lb_tokenizer *t, int64_t vocab, size_t bytes) {
    if (vocab <= 0 || vocab > INT32_MAX / 4)
        return lb_fail(LB_E_FORMAT, "%s: a vocabulary of %lld tokens: must be in [1, %d]", t->name, (long long)vocab,
                       INT32_MAX / 4);
    t->vocab = vocab;
    t->token = LB_NEW(t->arena, lb_tok_view, vocab);
    t->piece = LB_NEW(t->arena, lb_tok_view, vocab);
    t->type = LB_NEW(t->arena, uint8_t, vocab);
    t->pool_size = 2 * bytes; /* a piece is never longer than its token */
    t->pool = LB_NEW(t->arena, char, t->pool_size + 1);
    if (!t->token || !t->piece || !t->type || !t->pool) return LB_E_NOMEM;
    for (int64_t i = 0; i < vocab; i++) t->token[i].s = t->piece[i].s = "";
    return LB_OK;
}

lb_status lb_tok_put(lb_tokenizer *t, int64_t id, const char *s, size_t n, uint8_t type) {
    size_t bad = lb_tok_invalid_utf8(s, n);
    /* Of JSON, a NUL comes as two bytes that are no UTF-8. Neither C's strings nor a tokenizer.json could hold it. */
    if (n && (memchr(s, 0, n) || (bad + 1 < n && !memcmp(s + bad, "\xc0\x80", 2))))
        return lb_fail(LB_E_UNSUPPORTED, "%s: token %lld holds a NUL byte: such a vocabulary is not read", t->name,
                       (long long)id);
    if (bad < n)
        return lb_fail(LB_E_FORMAT, "%s: token %lld is not UTF-8 (byte %zu of it)", t->name, (long long)id, bad);
    if (n > UINT32_MAX || n > t->pool_size - t->pool_used)
        return lb_fail(LB_E_FORMAT, "%s: token %lld has %zu bytes, more than were counted", t->name, (long long)id, n);
    char *p = t->pool + t->pool_used;
    if (n) memcpy(p, s, n);
    t->pool_used += n;
    t->token[id] = (lb_tok_view){p, n};
    t->type[id] = type;
    return LB_OK;
}

/* "<0x0A>" -> 10; -1: not of that form. */
static int hex_byte(lb_tok_view v) {
    if (v.n != 6 || memcmp(v.s, "<0x", 3) != 0 || v.s[5] != '>') return -1;
    int value = 0;
    for (int i = 3; i < 5; i++) {
        const char *digits = "0123456789ABCDEF", *d = v.s[i] ? strchr(digits, v.s[i]) : NULL;
        if (!d) return -1;
        value = value * 16 + (int)(d - digits);
    }
    return value;
}

/* Bytes of a token of a word: out of GPT-2's alphabet, or with spaces for marks. */
static size_t piece_of(const lb_tokenizer *t, int64_t id, char *out) {
    lb_tok_view v = t->token[id];
    bool plain = t->type[id] == LB_TOK_CONTROL || t->type[id] == LB_TOK_USER || t->type[id] == LB_TOK_UNKNOWN;
    if (t->alphabet && (!plain || t->in_model)) {
        int64_t n = lb_tok_byte_decode(v, out);
        if (n >= 0) return (size_t)n;
    }
    if (!t->byte_level && t->type[id] == LB_TOK_BYTE) {
        out[0] = (char)hex_byte(v);
        return 1;
    }
    size_t n = 0;
    for (size_t i = 0; i < v.n;) {
        bool mark = !t->alphabet && !plain && v.n - i >= LB_TOK_META_LEN && !memcmp(v.s + i, LB_TOK_META, 3);
        out[n++] = mark ? ' ' : v.s[i];
        i += mark ? LB_TOK_META_LEN : 1;
    }
    return n;
}

/* Whether a token whose text is that of a byte stands for it. */
static bool is_byte(const lb_tokenizer *t, int32_t id) {
    if (!t->byte_level) return t->type[id] == LB_TOK_BYTE;
    return t->in_model ? t->in_model[id] : t->type[id] != LB_TOK_CONTROL;
}

lb_status lb_tok_pieces(lb_tokenizer *t) {
    LB_TRY(lb_tok_index_new(t->arena, t->vocab, &t->index));
    for (int64_t id = 0; id < t->vocab; id++) {
        if (t->token[id].n) lb_tok_index_put(&t->index, t->token[id], (int32_t)id);
        if (!t->byte_level && t->type[id] == LB_TOK_BYTE && hex_byte(t->token[id]) < 0)
            return lb_fail(LB_E_FORMAT, "%s: token %lld (\"%.*s\") is marked as a byte, expected the form <0x0A>",
                           t->name, (long long)id, (int)t->token[id].n, t->token[id].s);
    }
    for (int64_t id = 0; id < t->vocab; id++) {
        char *p = t->pool + t->pool_used;
        size_t n = piece_of(t, id, p);
        t->pool_used += n;
        t->piece[id] = (lb_tok_view){p, n};
    }
    for (int b = 0; b < 256; b++) {
        char s[8];
        int n = t->byte_level ? lb_tok_byte_char((uint8_t)b, s) : snprintf(s, sizeof s, "<0x%02X>", b);
        int32_t id = lb_tok_index_get(&t->index, s, (size_t)n);
        t->byte_id[b] = id >= 0 && is_byte(t, id) ? id : -1;
    }
    return LB_OK;
}

/* ---- merges ---- */

static lb_status not_a_token(lb_tok_place p, lb_tok_view v) {
    return lb_fail(LB_E_FORMAT, "%s: %s %lld: \"%.*s\" is not in the vocabulary", p.file, p.unit, (long long)p.n,
                   (int)v.n, v.s);
}

lb_status lb_tok_merge_add(lb_tokenizer *t, int64_t at, lb_tok_place p, lb_tok_view left, lb_tok_view right) {
    char both[LB_TOK_MAX_PIECE];
    lb_tok_view tail = {right.s + t->prefix.n, right.n - t->prefix.n}; /* of a token: the prefix stands at its head */
    if (right.n < t->prefix.n) return not_a_token(p, right);
    if (left.n + right.n > sizeof both)
        return lb_fail(LB_E_FORMAT, "%s: %s %lld makes a token of %zu bytes: at most %zu", p.file, p.unit,
                       (long long)p.n, left.n + right.n, sizeof both);
    int32_t l = lb_tok_index_get(&t->index, left.s, left.n), r = lb_tok_index_get(&t->index, right.s, right.n);
    if (l < 0) return not_a_token(p, left);
    if (r < 0) return not_a_token(p, right);
    memcpy(both, left.s, left.n);
    memcpy(both + left.n, tail.s, tail.n);
    int32_t id = lb_tok_index_get(&t->index, both, left.n + tail.n);
    if (id < 0) return not_a_token(p, (lb_tok_view){both, left.n + tail.n});
    t->merges.list[at] = (lb_tok_merge){l, r, id, (int32_t)at};
    return LB_OK;
}

/* Whether words may contain this token: what merging may make or start from. */
static bool in_words(const lb_tokenizer *t, int64_t id) {
    if (t->in_model) return t->in_model[id];
    return t->token[id].n && (t->type[id] == LB_TOK_NORMAL || t->type[id] == LB_TOK_UNUSED);
}

/* symbols: what a word starts from, or, for ignore_merges, is. Byte-level ones by their bytes. */
static lb_status index_symbols(lb_tokenizer *t, int64_t more) {
    LB_TRY(lb_tok_index_new(t->arena, t->vocab + more, &t->symbols));
    for (int64_t id = 0; id < t->vocab; id++) {
        lb_tok_view v = t->byte_level ? t->piece[id] : t->token[id];
        if (t->byte_level && !in_alphabet(t->token[id])) continue; /* no word is spelled like that */
        if (in_words(t, id) && v.n) lb_tok_index_put(&t->symbols, v, (int32_t)id);
    }
    return LB_OK;
}

/* Characters of the token that are no symbols: counts them, or makes symbols of them. */
static int64_t missing_chars(lb_tokenizer *t, lb_tok_view v, bool add) {
    int64_t missing = 0;
    for (size_t i = 0; i < v.n;) {
        int32_t code;
        size_t k = lb_tok_char(v.s + i, v.n - i, &code);
        if (lb_tok_index_get(&t->symbols, v.s + i, k) < 0) {
            missing++;
            if (add) {
                t->extra[t->n_extra] = (lb_tok_view){v.s + i, k};
                lb_tok_index_put(&t->symbols, t->extra[t->n_extra], (int32_t)(t->vocab + t->n_extra));
                t->n_extra++;
            }
        }
        i += k;
    }
    return missing;
}

/* SentencePiece merges strings, not ids: characters that occur in tokens but are none themselves take part. */
static lb_status add_extra(lb_tokenizer *t) {
    LB_TRY(index_symbols(t, 0));
    int64_t missing = 0;
    for (int64_t id = 0; id < t->vocab; id++)
        if (in_words(t, id)) missing += missing_chars(t, t->token[id], false);
    if (!missing) return LB_OK;
    t->extra = LB_NEW(t->arena, lb_tok_view, missing);
    if (!t->extra) return LB_E_NOMEM;
    LB_TRY(index_symbols(t, missing));
    for (int64_t id = 0; id < t->vocab; id++)
        if (in_words(t, id)) (void)missing_chars(t, t->token[id], true);
    return LB_OK;
}

typedef struct scored {
    lb_tok_merge merge;
    float score;
    uint32_t left_n;
} scored;

/* Best score first; among splits of equal score the longest left part, as converters write them. */
static int by_score(const void *a, const void *b) {
    const scored *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    if (x->merge.id != y->merge.id) return x->merge.id < y->merge.id ? -1 : 1;
    return x->left_n > y->left_n ? -1 : x->left_n < y->left_n;
}

/* Calls for each way to split a token into two symbols; list = NULL only counts. */
static int64_t splits(const lb_tokenizer *t, const float *score, scored *list) {
    int64_t n = 0;
    for (int64_t id = 0; id < t->vocab; id++) {
        lb_tok_view v = t->token[id];
        if (!in_words(t, id)) continue;
        for (size_t i = 1; i < v.n; i++) {
            if (((uint8_t)v.s[i] & 0xC0) == 0x80) continue; /* within a character */
            int32_t l = lb_tok_index_get(&t->symbols, v.s, i), r = lb_tok_index_get(&t->symbols, v.s + i, v.n - i);
            if (l < 0 || r < 0) continue;
            if (list) list[n] = (scored){{l, r, (int32_t)id, 0}, score[id], (uint32_t)i};
            n++;
        }
    }
    return n;
}

/* SentencePiece merges the neighbours whose joint piece has the best score, leftmost among equals: a pair's rank is
 * that of the joint score, shared by all pairs of that score. */
lb_status lb_tok_merges_from_scores(lb_tokenizer *t, const float *score) {
    for (int64_t id = 0; id < t->vocab; id++)
        if (in_words(t, id) && t->token[id].n > LB_TOK_MAX_PIECE)
            return lb_fail(LB_E_UNSUPPORTED, "%s: token %lld has %zu bytes: at most %d", t->name, (long long)id,
                           t->token[id].n, LB_TOK_MAX_PIECE);
    LB_TRY(add_extra(t));
    int64_t n = splits(t, score, NULL);
    scored *list = lb_alloc((size_t)n + 1, sizeof *list);
    t->merges.list = LB_NEW(t->arena, lb_tok_merge, n + 1);
    if (!list || !t->merges.list) {
        lb_free(list);
        return LB_E_NOMEM;
    }
    (void)splits(t, score, list);
    qsort(list, (size_t)n, sizeof *list, by_score);
    int32_t rank = 0;
    for (int64_t i = 0; i < n; i++) {
        rank += i > 0 && list[i].score != list[i - 1].score;
        t->merges.list[i] = list[i].merge;
        t->merges.list[i].rank = rank;
    }
    t->merges.n = n;
    lb_free(list);
    return LB_OK;
}

/* ---- last ---- */

bool lb_tok_mark_after_other(lb_tok_view v) {
    bool other = false;
    for (size_t k = 0; k < v.n; k++) {
        bool mark = v.n - k >= LB_TOK_META_LEN && !memcmp(v.s + k, LB_TOK_META, LB_TOK_META_LEN);
        if (mark && other) return true;
        other = other || !mark;
        if (mark) k += LB_TOK_META_LEN - 1;
    }
    return false;
}

/* True when every word begins at a mark or at a cut that stays: the mark is a symbol, and no merge makes a token in
 * which a mark follows something else. Then words between such places are independent, and each distinct one is merged
 * only once. */
static bool marks_begin_words(const lb_tokenizer *t) {
    if (t->prefix.n || t->suffix.n || t->ignore_merges) return false;
    if (lb_tok_index_get(&t->symbols, LB_TOK_META, LB_TOK_META_LEN) < 0) return false;
    for (int64_t i = 0; i < t->merges.n; i++)
        if (lb_tok_mark_after_other(t->token[t->merges.list[i].id])) return false;
    return true;
}

static const char *pre_name(const lb_tokenizer *t) {
    const lb_tok_step *s = t->step;
    bool digits = t->n_step == 2 && s[0].kind == LB_TOK_CHARS && s[0].is == lb_tok_is_number;
    if (digits && s[0].behavior == LB_TOK_ISOLATED && s[1].scan == lb_tok_scan_gpt2) return "smollm";
    for (int i = 0; i < lb_tok_n_known && t->n_step == 1; i++)
        if (lb_tok_known_patterns[i].name && lb_tok_known_patterns[i].scan == s[0].scan)
            return lb_tok_known_patterns[i].name;
    return t->pre ? t->pre : "pre-tokenizer of tokenizer.json";
}

lb_status lb_tok_finish(lb_tokenizer *t) {
    bool cut = t->n_step && t->step[t->n_step - 1].split; /* before every mark already */
    const lb_tok_step words = {.kind = LB_TOK_META_WORDS};
    if (t->unigram) {
        t->unigram->goes_on = t->unigram->words_apart && !cut;
        if (t->unigram->goes_on) t->step[t->n_step++] = words;
        snprintf(t->kind, sizeof t->kind, "SentencePiece Unigram");
        return lb_tok_matchers(t);
    }
    LB_TRY(lb_tok_merges_hash(t->arena, &t->merges, t->by_library));
    if (!t->from_scores) LB_TRY(index_symbols(t, 0)); /* merges_from_scores needed them before */
    for (int c = 0; c < 128; c++) t->ascii[c] = lb_tok_index_get(&t->symbols, (char[]){(char)c}, 1);
    if (!t->alphabet && !cut && marks_begin_words(t)) t->step[t->n_step++] = words;
    LB_TRY(lb_tok_matchers(t));
    snprintf(t->kind, sizeof t->kind, t->alphabet ? "byte-level BPE, %s" : "SentencePiece BPE", pre_name(t));
    return LB_OK;
}
