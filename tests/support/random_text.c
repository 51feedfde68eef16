#include "support/random_text.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "model/tokenizer/impl.h"
#include "support/support.h"

static uint32_t below(uint64_t *x, uint32_t n) {
    *x ^= *x >> 12;
    *x ^= *x << 25;
    *x ^= *x >> 27;
    return (uint32_t)((*x * 2685821657736338717u) >> 32) % n;
}

static void pick(const json_t *list, uint64_t *x, lb_str *out) {
    const json_t *s = json_array_get(list, below(x, (uint32_t)json_array_size(list)));
    lb_str_add_bytes(out, json_string_value(s), json_string_length(s));
}

static void part(const json_t *palette, const json_t *special, uint64_t *x, lb_str *out) {
    static const uint32_t first[] = {0x80, 0x800, 0xE000, 0x10000}, count[] = {0x780, 0xD000, 0x2000, 0x20000};
    uint32_t kind = below(x, 13), n;
    char c;
    if (kind < 6) {
        pick(json_array_get(palette, kind), x, out);
    } else if (kind == 6) {
        n = 1 + below(x, 3);
        pick(json_array_get(palette, 6), x, out);
        while (n--) lb_tok_put_char(out, (int32_t)(0x300 + below(x, 0x70)));
    } else if (kind == 7) {
        lb_tok_put_char(out, (int32_t)(32 + below(x, 95)));
    } else if (kind == 8) {
        lb_tok_put_char(out, (int32_t)(1 + below(x, 31)));
    } else if (kind == 9) {
        n = below(x, 4);
        lb_tok_put_char(out, (int32_t)(first[n] + below(x, count[n])));
    } else if (kind == 10) {
        c = " aA0."[below(x, 5)];
        n = 2 + below(x, 59);
        while (n--) lb_str_add_bytes(out, &c, 1);
    } else if (kind == 11) {
        n = 1 + below(x, 30);
        while (n--) {
            c = (char)('0' + below(x, 10));
            lb_str_add_bytes(out, &c, 1);
        }
    } else {
        pick(special, x, out);
    }
}

void random_text(const json_t *palette, const json_t *special, uint64_t seed, lb_str *out) {
    uint64_t x = 88172645463325252u + seed * 0x9E3779B97F4A7C15u;
    uint32_t parts = 1 + below(&x, 12);
    out->len = 0;
    while (parts--) part(palette, special, &x, out);
    assert_ok(lb_str_check(out));
}

#define GROUP 100

static void same_again(const lb_tokenizer *t, const char *name, const lb_str *text, const int32_t *id, int64_t n) {
    char *back;
    size_t len;
    if (text->len && memmem(text->s, text->len, LB_TOK_META, LB_TOK_META_LEN)) return;
    assert_ok(lb_tokenizer_decode(t, id, n, &back, &len));
    if (len != text->len || memcmp(back, text->s, len) != 0)
        fail_msg("%s: \"%.*s\" comes back as \"%.*s\"", name, (int)text->len, text->s, (int)len, back);
    lb_free(back);
}

void random_texts_check(const lb_tokenizer *t, const char *name, const json_t *palette, const json_t *special,
                        bool parse_special, bool lossless, const json_t *hashes) {
    lb_str text = {0}, ids = {0};
    assert_true(json_array_size(hashes) > 0);
    for (size_t g = 0; g < json_array_size(hashes); g++) {
        char hash[LB_HASH_HEX];
        ids.len = 0;
        for (size_t i = g * GROUP; i < (g + 1) * GROUP; i++) {
            const int32_t end = -1;
            int32_t *id;
            int64_t n;
            random_text(palette, special, i, &text);
            assert_ok(lb_tokenizer_encode(t, text.s, text.len, parse_special, &id, &n));
            if (lossless) same_again(t, name, &text, id, n);
            lb_str_add_bytes(&ids, id, (size_t)n * sizeof *id);
            lb_str_add_bytes(&ids, &end, sizeof end);
            lb_free(id);
        }
        assert_ok(lb_str_check(&ids));
        assert_ok(lb_hash_bytes(ids.s, ids.len, hash));
        if (strncmp(hash, json_string_value(json_array_get(hashes, g)), 16) != 0)
            fail_msg("%s, special tokens %s: random texts %zu to %zu have other ids", name,
                     parse_special ? "parsed" : "as text", g * GROUP, (g + 1) * GROUP - 1);
    }
    lb_str_free(&text);
    lb_str_free(&ids);
}
