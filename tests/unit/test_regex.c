/* Regular expressions: what is written for PCRE2, sets of code points by the linked PCRE2, and matching in bounded
 * time. */
#include <string.h>
#include <unistd.h>
#include <utf8proc.h>

#include "model/tokenizer/impl.h"
#include "model/tokenizer/regex_impl.h"
#include "support/support.h"

static void test_translation(void **state) {
    (void)state;
    static const struct {
        const char *from, *to;
    } cases[] = {
        {"a{1,3}+", "(?:a{1,3})+"},
        {"a{,3}", "a{0,3}"},
        {"a{2}?", "(?:a{2})?"},
        {"a{3,1}", "(?>(?:a){1,3})"},
        {"a*+b?", "a*+b?"},
        {"(?m).", "(?:(?s:.))"},
        {"(?m:.)|.", "(?:(?s:.))|\\N"},
        {"\\Va", "Va"},
        {"\\v", "\\x{b}"},
        {"\\Qa\\E", "QaE"},
        {"a(?i)b|c", "a(?:[Bb]|[Cc])"},
        {"(?x) a  # c", "(?:a)"},
        {"[a-w&&[^c-g]z]", "[abh-w]"},
        {"[^a]", "[^a]"},
        {"[a&&b]", "(?!)"},
        {"[\\s\\S]", "(?s:.)"},
        {"\\h", "[0-9A-Fa-f]"},
        {"{,}", "\\x{7b}\\x{2c}\\x{7d}"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lb_str s = {0};
        assert_ok(lb_regex_translate("t", cases[i].from, false, &s));
        assert_string_equal(s.s ? s.s : "", cases[i].to);
        lb_str_free(&s);
    }
    char *longer = lb_alloc(LB_RX_MAX_LENGTH + 2, 1);
    assert_non_null(longer);
    memset(longer, '(', LB_RX_MAX_LENGTH + 1);
    lb_str s = {0};
    assert_status(LB_E_UNSUPPORTED, lb_regex_translate("t", longer, false, &s));
    assert_error_has("8192 is the limit");
    longer[LB_RX_MAX_LENGTH] = 0;
    assert_status(LB_E_UNSUPPORTED, lb_regex_translate("t", longer, false, &s));
    assert_error_has("too deep");
    memset(longer, '[', LB_RX_MAX_LENGTH);
    assert_status(LB_E_UNSUPPORTED, lb_regex_translate("t", longer, false, &s));
    assert_error_has("too deep");
    lb_free(longer);
    lb_str_free(&s);
}

/* ---- sets ---- */

/* All characters, each followed by where it starts. */
static char *all_characters(size_t *n, bool older) {
    char *s = lb_alloc(4 * (LB_UNI_MAX + 1), 1);
    assert_non_null(s);
    *n = 0;
    for (int32_t c = 0; c <= LB_UNI_MAX; c++) {
        if (c == 0xD800) c = 0xE000;
        bool newer = false;
        for (int i = 0; i < lb_uni_n_newer && older; i++)
            newer = newer || (c >= lb_uni_newer[i].first && c <= lb_uni_newer[i].last);
        if (newer) continue;
        *n += (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)s + *n);
    }
    return s;
}

/* What PCRE2 finds by the written set must be the set. */
static void same_by_pcre2(lb_rx_set *set, lb_rx_spelling how, const char *text, size_t n, const char *name) {
    lb_str s = {0};
    int code;
    PCRE2_SIZE at;
    lb_rx_set_write(set, how, &s);
    assert_ok(lb_str_check(&s));
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)s.s, s.len, PCRE2_UTF | PCRE2_UCP, &code, &at, NULL);
    if (!re) fail_msg("%s: PCRE2 refuses %.200s", name, s.s);
    (void)pcre2_jit_compile(re, PCRE2_JIT_COMPLETE);
    pcre2_match_data *m = pcre2_match_data_create(1, NULL);
    assert_non_null(m);
    const PCRE2_SIZE *o = pcre2_get_ovector_pointer(m);
    size_t next = pcre2_match(re, (PCRE2_SPTR)text, n, 0, PCRE2_NO_UTF_CHECK, m, NULL) > 0 ? o[0] : n;
    for (size_t i = 0; i < n;) {
        int32_t c;
        size_t len = lb_tok_char(text + i, n - i, &c);
        bool found = next == i;
        if (found != lb_rx_set_has(set, c)) fail_msg("%s as %d: U+%04X: PCRE2 says %d", name, how, (unsigned)c, found);
        if (found) next = pcre2_match(re, (PCRE2_SPTR)text, n, i + len, PCRE2_NO_UTF_CHECK, m, NULL) > 0 ? o[0] : n;
        i += len;
    }
    pcre2_match_data_free(m);
    pcre2_code_free(re);
    lb_str_free(&s);
}

static void test_sets(void **state) {
    (void)state;
    static const char *const names[] = {
        "Lu",   "Ll",    "Lt",    "Lm",    "Lo",  "Mn",  "Mc",    "Me",    "Nd",      "Nl",      "No", "Pc",
        "Pd",   "Ps",    "Pe",    "Pi",    "Pf",  "Po",  "Sm",    "Sc",    "Sk",      "So",      "Zs", "Zl",
        "Zp",   "Cc",    "Cf",    "Co",    "Cn",  "L",   "M",     "N",     "P",       "S",       "Z",  "C",
        "word", "alnum", "graph", "space", "Any", "Han", "Latin", "Lower", "Unknown", "Assigned"};
    size_t n_all, n_older;
    char *all = all_characters(&n_all, false), *older = all_characters(&n_older, true);
    assert_true(n_older < n_all);
    lb_arena *a;
    assert_ok(lb_arena_new(0, &a));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        lb_rx_set s = {.arena = a};
        assert_true(lb_rx_set_property(&s, names[i], strlen(names[i]), true));
        lb_rx_set_sort(&s);
        same_by_pcre2(&s, LB_RX_ALL, all, n_all, names[i]);
        same_by_pcre2(&s, LB_RX_OLDER, older, n_older, names[i]);
        same_by_pcre2(&s, LB_RX_RANGES, all, n_all, names[i]);
    }
    lb_rx_set s = {.arena = a};
    assert_false(lb_rx_set_property(&s, "Lx", 2, true));
    lb_arena_free(a);
    lb_free(all);
    lb_free(older);
}

/* Sets that were joined, met, turned over and folded, against each character by itself. */
static void test_sets_of_sets(void **state) {
    (void)state;
    static const char *const names[][2] = {{"space", "L"}, {"Han", "Lo"},       {"P", "Assigned"},
                                           {"Lu", "Zl"},   {"Common", "Print"}, {"Lower", "Greek"}};
    size_t n_all, n_older;
    char *all = all_characters(&n_all, false), *older = all_characters(&n_older, true);
    lb_arena *a;
    assert_ok(lb_arena_new(0, &a));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        lb_rx_set one = {.arena = a}, two = {.arena = a}, joined = {.arena = a}, met = {.arena = a};
        assert_true(lb_rx_set_property(&one, names[i][0], strlen(names[i][0]), true));
        assert_true(lb_rx_set_property(&two, names[i][1], strlen(names[i][1]), true));
        lb_rx_set_add(&one, 0x4E00, 0x4E00);
        lb_rx_set_join(&joined, &two);
        lb_rx_set_join(&joined, &one);
        lb_rx_set_join(&met, &one);
        lb_rx_set_sort(&one);
        lb_rx_set_sort(&two);
        lb_rx_set other = two; /* meeting uses it up */
        lb_rx_set_meet(&met, &other);
        lb_rx_set_sort(&joined);
        lb_rx_set_sort(&met);
        for (int32_t c = 0; c <= LB_UNI_MAX; c++) {
            bool in_one = lb_rx_set_has(&one, c), in_two = lb_rx_set_has(&two, c);
            if (lb_rx_set_has(&joined, c) != (in_one || in_two) || lb_rx_set_has(&met, c) != (in_one && in_two))
                fail_msg("%s and %s: U+%04X", names[i][0], names[i][1], (unsigned)c);
        }
        lb_rx_set_invert(&joined);
        for (int k = 0; k < 2; k++) {
            lb_rx_set *s = k ? &met : &joined;
            same_by_pcre2(s, LB_RX_ALL, all, n_all, names[i][k]);
            same_by_pcre2(s, LB_RX_OLDER, older, n_older, names[i][k]);
        }
    }
    lb_arena_free(a);
    lb_free(all);
    lb_free(older);
}

static void test_folded_sets(void **state) {
    (void)state;
    static const char *const names[] = {"Lu", "Lt", "Greek", "ascii", "Cherokee", "Me"};
    static bool least[LB_UNI_MAX + 1];
    lb_arena *a;
    assert_ok(lb_arena_new(0, &a));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        lb_rx_set s = {.arena = a};
        assert_true(lb_rx_set_property(&s, names[i], strlen(names[i]), true));
        lb_rx_set_sort(&s);
        memset(least, 0, sizeof least);
        for (int32_t c = 0; c < 0x20000; c++)
            if (lb_rx_set_has(&s, c)) least[lb_rx_fold(c)] = true;
        lb_rx_set_fold(&s);
        for (int32_t c = 0; c < 0x20000; c++)
            if (lb_rx_set_has(&s, c) != least[lb_rx_fold(c)]) fail_msg("%s: U+%04X", names[i], (unsigned)c);
    }
    lb_arena_free(a);
}

/* ---- matches ---- */

static lb_status count(const char *pattern, const char *text, size_t n, int *matches) {
    lb_tokenizer *t;
    lb_tok_run r;
    LB_TRY(lb_tok_new("tokenizer.json", &t));
    lb_status status = lb_tok_pattern_new(t, "pre-tokenizer Split", pattern, &t->step[0].regex);
    t->n_step = 1;
    if (status == LB_OK) status = lb_tok_run_new(t, &r);
    if (status == LB_OK) {
        lb_tok_matches m = lb_tok_matches_of(&r, &t->step[0].regex, (lb_tok_view){text, n});
        for (*matches = 0; status == LB_OK; ++*matches) {
            bool found;
            size_t start, end;
            status = lb_tok_match_next(&m, &found, &start, &end);
            if (!found) break;
        }
        lb_tok_run_free(&r);
    }
    lb_tokenizer_free(t);
    return status;
}

static char *repeat(const char *what, size_t times, const char *last) {
    size_t n = strlen(what);
    char *s = lb_alloc(n * times + strlen(last) + 1, 1);
    assert_non_null(s);
    for (size_t i = 0; i < times; i++) memcpy(s + i * n, what, n);
    memcpy(s + n * times, last, strlen(last));
    return s;
}

/* What would take for ever is an error that names the pattern; what only takes long input is none. */
static void test_bounds(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *what, *last;
        size_t times;
        int matches; /* -1: an error */
    } cases[] = {
        {"(a+)+b", "a", " b", 20000, -1},
        {"(?:a|aa)+$", "a", "b", 70, -1},
        {"(\\w|\\w\\w)*?-", "ab", "", 40, 0},
        {"(\\w|\\w\\w)*?[-z]", "ab", "", 40, -1},
        {"\\s+$", " ", "x", 2000, 0},
        {"\\p{L}+", "a", " ", 1000000, 1},
        {"(?:a|b)+", "ab", " ", 100000, 1},
        {"(?:(?!x).)+", "ab", "", 100000, 1},
        {"[^\\s]", "\xe4\xbd\xa0 ", "", 60000, 60000},
        {"z", "ab", "z", 200000, 1},
    };
    alarm(60);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = repeat(cases[i].what, cases[i].times, cases[i].last);
        int matches;
        lb_status status = count(cases[i].pattern, text, strlen(text), &matches);
        if (cases[i].matches < 0) {
            assert_int_equal(status, LB_E_UNSUPPORTED);
            assert_non_null(strstr(lb_error(), cases[i].pattern));
            assert_non_null(strstr(lb_error(), "too many to try"));
        } else {
            assert_ok(status);
            assert_int_equal(matches, cases[i].matches);
        }
        lb_free(text);
    }
    alarm(0);
}

static void test_interrupt(void **state) {
    (void)state;
    int matches;
    lb_interrupt_request();
    lb_status status = count("a", "aaa", 3, &matches);
    lb_interrupt_clear();
    assert_int_equal(status, LB_E_INTERRUPTED);
}

/* Empty matches: not right behind another match; each cuts. Values by the tokenizers library. */
static void test_empty_matches(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *text;
        int matches;
    } cases[] = {{"a*", "aab", 2}, {"x*", "aaxxbxc", 5}, {"\\b", "ab cd", 4}, {"$", "a\nb\n", 3}, {"", "\xc3\xa9", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int matches;
        assert_ok(count(cases[i].pattern, cases[i].text, strlen(cases[i].text), &matches));
        assert_int_equal(matches, cases[i].matches);
    }
}

static void test_out_of_memory(void **state) {
    (void)state;
    static const char pattern[] = "(?i:'s|[^\\p{Han}b-z&&\\w])+|(a)\\1|x";
    int refused = 0;
    for (int64_t i = 1;; i++) {
        int matches;
        lb_alloc_fail_at(i);
        lb_status status = count(pattern, "x", 1, &matches);
        bool last = lb_alloc_count() < i;
        lb_alloc_fail_at(0);
        if (status == LB_OK) /* without memory for the compiled pattern it is interpreted */
            assert_int_equal(matches, 1);
        else
            assert_int_equal(status, LB_E_NOMEM);
        refused += status != LB_OK;
        if (last) break;
    }
    assert_true(refused > 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_translation),   cmocka_unit_test(test_sets),          cmocka_unit_test(test_sets_of_sets),
        cmocka_unit_test(test_folded_sets),   cmocka_unit_test(test_bounds),        cmocka_unit_test(test_interrupt),
        cmocka_unit_test(test_empty_matches), cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
