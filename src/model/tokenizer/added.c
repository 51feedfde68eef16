/* Added tokens: found in the text before anything else happens to it. */
#include <stdlib.h>

#include "model/tokenizer/impl.h"

/* By first byte, then longest first: the first that fits at a place is the longest there. Of equal texts, which only
 * normalization makes, a special one comes first, then the one that stands first in the file. */
static int by_first_byte(const void *a, const void *b) {
    const lb_tok_added *x = *(const lb_tok_added *const *)a, *y = *(const lb_tok_added *const *)b;
    uint8_t p = (uint8_t)x->text.s[0], q = (uint8_t)y->text.s[0];
    if (p != q) return p < q ? -1 : 1;
    if (x->text.n != y->text.n) return x->text.n > y->text.n ? -1 : 1;
    if (x->special != y->special) return x->special ? -1 : 1;
    return x < y ? -1 : x > y;
}

static lb_status matcher(lb_tokenizer *t, bool normalized, lb_tok_matcher *m) {
    m->token = LB_NEW(t->arena, const lb_tok_added *, t->n_added + 1);
    if (!m->token) return LB_E_NOMEM;
    m->n = 0;
    for (int64_t i = 0; i < t->n_added; i++)
        if (t->added[i].normalized == normalized && t->added[i].text.n) m->token[m->n++] = &t->added[i];
    qsort(m->token, (size_t)m->n, sizeof *m->token, by_first_byte);
    int64_t k = 0;
    for (int b = 0; b <= 256; b++) {
        while (k < m->n && (uint8_t)m->token[k]->text.s[0] < b) k++;
        m->first[b] = (int32_t)k;
    }
    m->only = m->n && m->token[0]->text.s[0] == m->token[m->n - 1]->text.s[0] ? (uint8_t)m->token[0]->text.s[0] : -1;
    return LB_OK;
}

lb_status lb_tok_matchers(lb_tokenizer *t) {
    LB_TRY(matcher(t, false, &t->raw));
    return matcher(t, true, &t->normal);
}

/* The longest token at `at` of less than `under` bytes; all: special ones too. */
static const lb_tok_added *match_here(const lb_tok_matcher *m, lb_tok_view text, size_t at, bool all, size_t under) {
    uint8_t b = (uint8_t)text.s[at];
    for (int32_t k = m->first[b]; k < m->first[b + 1]; k++) {
        const lb_tok_added *a = m->token[k];
        if (a->text.n >= under || (a->special && !all) || a->text.n > text.n - at) continue;
        if (!memcmp(a->text.s, text.s + at, a->text.n)) return a;
    }
    return NULL;
}

/* Where the character that ends at `at` begins. */
static size_t char_before(lb_tok_view text, size_t from, size_t at) {
    size_t p = at - 1;
    while (p > from && at - p < 4 && ((uint8_t)text.s[p] & 0xC0) == 0x80) p--;
    int32_t code;
    return p + lb_tok_char(text.s + p, at - p, &code) == at ? p : at - 1;
}

/* The start of the white space that ends at `at`, not before `from`. */
static size_t space_before(lb_tok_view text, size_t from, size_t at) {
    while (at > from) {
        int32_t code;
        size_t p = char_before(text, from, at);
        (void)lb_tok_char(text.s + p, at - p, &code);
        if (!lb_tok_is_space(code)) break;
        at = p;
    }
    return at;
}

/* ascii: as C's isspace has it. */
static size_t space_after(lb_tok_view text, size_t at, bool ascii) {
    while (at < text.n) {
        int32_t code;
        size_t k = lb_tok_char(text.s + at, text.n - at, &code);
        if (!lb_tok_is_space(code) || (ascii && code >= 0x80)) break;
        at += k;
    }
    return at;
}

static bool single_word(lb_tok_view text, size_t start, size_t end) {
    int32_t code;
    if (start) {
        size_t p = char_before(text, 0, start);
        (void)lb_tok_char(text.s + p, start - p, &code);
        if (lb_tok_is_word(code)) return false;
    }
    if (end == text.n) return true;
    (void)lb_tok_char(text.s + end, text.n - end, &code);
    return !lb_tok_is_word(code);
}

/* Whether a longer token that begins within [start, end) takes this text, being taken by no longer one itself: so far
 * is looked, and no further. */
static bool overruled(const lb_tok_matcher *m, lb_tok_view text, size_t start, size_t end, bool all, int further) {
    for (size_t p = start + 1; p < end; p++) {
        uint8_t b = (uint8_t)text.s[p];
        if (m->first[b] == m->first[b + 1]) continue;
        const lb_tok_added *a = match_here(m, text, p, all, SIZE_MAX);
        if (!a || a->text.n <= end - start) continue;
        if (!further || !overruled(m, text, p, p + a->text.n, all, further - 1)) return true;
    }
    return false;
}

/* The token that is found at `at`; NULL: none. */
static const lb_tok_added *found_here(const lb_tokenizer *t, const lb_tok_matcher *m, lb_tok_view text, size_t at,
                                      bool all) {
    uint8_t b = (uint8_t)text.s[at];
    if (m->first[b] == m->first[b + 1]) return NULL;
    const lb_tok_added *a = match_here(m, text, at, all, SIZE_MAX);
    while (t->longest_first && a && overruled(m, text, at, at + a->text.n, all, 1))
        a = match_here(m, text, at, all, a->text.n);
    return a;
}

/* The tokenizers library finds all tokens, and passes over those it does not want, text and all: what overlaps with
 * them is not found. llama.cpp, whose files GGUF's are, does not look for these, and for the longest first. */
bool lb_tok_find_added(const lb_tokenizer *t, const lb_tok_matcher *m, lb_tok_view text, bool parse_special, size_t *at,
                       size_t done, lb_tok_found *found) {
    if (!m->n) return false;
    size_t spaces = *at; /* from here to `done` there is white space, which the token before took along */
    while (*at < text.n) {
        if (m->only >= 0) {
            const char *next = memchr(text.s + *at, m->only, text.n - *at);
            if (!next) return false;
            *at = (size_t)(next - text.s);
        }
        const lb_tok_added *a = found_here(t, m, text, *at, parse_special || t->by_library);
        if (!a) {
            ++*at;
            continue;
        }
        size_t start = *at, end = *at + a->text.n;
        *at = end;
        if ((a->special && !parse_special) || (a->single_word && !single_word(text, start, end))) continue;
        found->start = !a->lstrip ? start : start < done ? done : space_before(text, done, start);
        bool known = done > spaces && end <= done; /* where that space ends */
        found->end = !a->rstrip ? end : known ? done : space_after(text, end, t->longest_first);
        found->token = a;
        return true;
    }
    return false;
}
