/* The trie against a plain list of its keys. */
#include <string.h>

#include "base/rng.h"
#include "model/tokenizer/trie.h"
#include "support/support.h"

#define KEYS 3000

typedef struct text {
    char s[24];
    size_t n;
} text;

/* A few bytes or all 256: nodes with one child, and with as many as there can be. */
static text random_text(lb_rng *r, int64_t bytes, int64_t most) {
    text t = {.n = (size_t)lb_rng_below(r, most + 1)};
    for (size_t i = 0; i < t.n; i++) t.s[i] = (char)(lb_rng_below(r, bytes) * (256 / bytes));
    return t;
}

static size_t plain_longest(const text *key, size_t n, const char *s, size_t len, int32_t *value) {
    size_t longest = 0;
    for (size_t i = 0; i < n; i++)
        if (key[i].n >= longest && key[i].n && key[i].n <= len && !memcmp(key[i].s, s, key[i].n)) {
            longest = key[i].n;
            *value = (int32_t)i; /* of equal ones the largest */
        }
    return longest;
}

static void equals_list(uint64_t seed, int64_t bytes, size_t n, int64_t most) {
    static text key[KEYS];
    lb_trie_key *list = lb_alloc(n + 1, sizeof *list);
    lb_rng r = lb_rng_make(seed, 0);
    lb_arena *a;
    lb_trie t;
    assert_non_null(list);
    assert_ok(lb_arena_new(0, &a));
    for (size_t i = 0; i < n; i++) {
        key[i] = random_text(&r, bytes, most);
        list[i] = (lb_trie_key){key[i].s, key[i].n, (int32_t)i};
    }
    assert_ok(lb_trie_new(a, list, n, &t));
    lb_free(list);
    for (int round = 0; round < 4000; round++) {
        text s = round < (int)n ? key[round] : random_text(&r, bytes, most + 3);
        int32_t got = -1, want = -1;
        assert_int_equal(lb_trie_longest(&t, s.s, s.n, &got), plain_longest(key, n, s.s, s.n, &want));
        assert_int_equal(got, want);
    }
    lb_arena_free(a);
}

static void test_equals_list(void **state) {
    (void)state;
    equals_list(1, 256, 0, 4);
    equals_list(2, 256, 1, 20);
    equals_list(3, 2, KEYS, 12);
    equals_list(4, 4, KEYS, 8);
    equals_list(5, 16, KEYS, 6);
    equals_list(6, 256, KEYS, 3);
    equals_list(7, 256, KEYS, 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_equals_list)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
