/* Draws of other programs, against what Python's random, numpy and PyTorch gave (tests/oracle/make_draws.py). */
#include <stdlib.h>
#include <string.h>

#include "base/draw.h"
#include "base/hash.h"
#include "base/mem.h"
#include "io/json.h"
#include "support/support.h"

static int64_t number(const json_t *row, const char *key) {
    json_t *v = json_object_get(row, key);
    const char *odd = lb_json_odd(v); /* 2^64 - 1 */
    if (odd) return (int64_t)strtoull(odd, NULL, 10);
    assert_true(json_is_integer(v));
    return json_integer_value(v);
}

static int64_t draw(const json_t *row, int64_t *out) {
    const char *what = json_string_value(json_object_get(row, "what"));
    uint64_t seed = (uint64_t)number(row, "seed");
    int64_t n = json_object_get(row, "n") ? number(row, "n") : 0;
    lb_mt m;
    lb_mt_seed(&m, seed);
    if (strcmp(what, "sample") == 0) {
        int64_t k = number(row, "k");
        for (int i = 0; i < 3; i++) assert_ok(lb_mt_sample(&m, n, k, out + i * k));
        return 3 * k;
    }
    if (strcmp(what, "randint") == 0) {
        lb_torch_randint(seed, number(row, "low"), number(row, "high"), 40, out);
        return 40;
    }
    if (strcmp(what, "shuffle") == 0) {
        for (int64_t i = 0; i < n; i++) out[i] = i;
        for (int i = 0; i < 3; i++) lb_mt_shuffle(&m, out, n);
    } else if (strcmp(what, "permutation") == 0) {
        lb_numpy_permutation(seed, n, out);
    } else if (strcmp(what, "old_permutation") == 0) {
        lb_numpy_old_permutation((uint32_t)seed, n, out);
    } else {
        assert_string_equal(what, "randperm");
        lb_torch_permutation(seed, n, out);
    }
    return n;
}

static void as_they_draw(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    json_t *root;
    lb_test_fixture("tests/oracle/fixtures/draws.json", path);
    assert_ok(lb_json_read(path, &root));
    const json_t *rows = json_object_get(root, "rows");
    size_t n = json_array_size(rows);
    int64_t *out = lb_alloc(300000, sizeof *out);
    assert_non_null(out);
    assert_true(n > 80);
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(rows, i), *first = json_object_get(row, "first");
        char *text = json_dumps(row, 0), hash[LB_HASH_HEX];
        int64_t count = draw(row, out);
        if (count != number(row, "count")) fail_msg("%s: %lld numbers", text, (long long)count);
        for (size_t k = 0; k < json_array_size(first); k++)
            if (out[k] != json_integer_value(json_array_get(first, k)))
                fail_msg("%s: number %zu is %lld", text, k, (long long)out[k]);
        assert_ok(lb_hash_bytes(out, (size_t)count * sizeof *out, hash));
        if (strcmp(hash, json_string_value(json_object_get(row, "sha256"))) != 0)
            fail_msg("%s: another number behind the first", text);
        lb_free(text); /* jansson's memory is lb_alloc's */
    }
    lb_free(out);
    json_decref(root);
}

static void memory(void **state) {
    (void)state;
    lb_mt m;
    int64_t out[50];
    lb_mt_seed(&m, 1);
    for (int64_t n = 50; n < 5000; n += 4000) {
        lb_alloc_fail_at(1);
        assert_status(LB_E_NOMEM, lb_mt_sample(&m, n, 50, out));
        lb_alloc_fail_at(0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_they_draw), cmocka_unit_test(memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
