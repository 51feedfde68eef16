/* GGUF and tensors: the oracle fixture (tests/oracle/make_gguf.py), files built by hand to be wrong in one way each,
 * and the fixture damaged in every place. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "io/gguf.h"
#include "support/io_probe.h"
#include "support/status_name.h"
#include "support/support.h"

static char fixture[LB_TEST_PATH];

static int find_fixture(void **state) {
    (void)state;
    lb_test_fixture("tests/oracle/fixtures/io/types.gguf", fixture);
    return 0;
}

static lb_gguf *open_ok(const char *path) {
    lb_gguf *g = NULL;
    assert_ok(lb_gguf_open(path, &g));
    return g;
}

/* Every stored type against gguf.dequantize, bit for bit. */
static void test_dequantize(void **state) {
    (void)state;
    lb_gguf *g = open_ok(fixture);
    int compared = 0;
    for (int t = 0; t <= LB_I32; t++) { /* the others are not in GGUF files */
        const char *name = lb_dtype_name((lb_dtype)t);
        char expected_name[32];
        snprintf(expected_name, sizeof expected_name, "%s.expected", name);
        const lb_tensor *q = lb_gguf_find(g, name), *e = lb_gguf_find(g, expected_name);
        assert_non_null(q);
        assert_non_null(e);
        assert_int_equal(q->type, t);
        assert_int_equal(e->type, LB_F32);
        int64_t n = lb_tensor_count(q);
        assert_int_equal(n, lb_tensor_count(e));
        float got[256];
        assert_in_range(n, 1, 256);
        assert_ok(lb_tensor_read_f32(q, 0, n, got));
        if (memcmp(got, e->data, (size_t)n * sizeof *got)) fail_msg("%s differs", name);
        compared++;
    }
    assert_int_equal(compared, 11);
    lb_gguf_close(g);
}

/* A slice is the same numbers as the whole; slices off the block, or outside, are refused. */
static void test_slices(void **state) {
    (void)state;
    lb_gguf *g = open_ok(fixture);
    const lb_tensor *q = lb_gguf_find(g, "Q5_1"), *four = lb_gguf_find(g, "four");
    float whole[256], part[64];
    assert_ok(lb_tensor_read_f32(q, 0, 256, whole));
    assert_ok(lb_tensor_read_f32(q, 96, 64, part));
    assert_memory_equal(part, whole + 96, sizeof part);
    assert_ok(lb_tensor_read_f32(q, 256, 0, part));
    assert_status(LB_E_ARG, lb_tensor_read_f32(q, 16, 32, part));
    assert_error_has("multiples of 32");
    assert_status(LB_E_ARG, lb_tensor_read_f32(q, 32, 31, part));
    assert_status(LB_E_ARG, lb_tensor_read_f32(q, 224, 64, part));
    assert_error_has("it has 256");
    assert_status(LB_E_ARG, lb_tensor_read_f32(q, -32, 32, part));
    assert_status(LB_E_ARG, lb_tensor_read_f32(q, 32, INT64_MAX - 31, part));
    /* the slowest dimension comes first */
    assert_int_equal(four->ndim, 4);
    const int64_t shape[4] = {2, 3, 1, 4};
    assert_memory_equal(four->shape, shape, sizeof shape);
    assert_ok(lb_tensor_read_f32(four, 5, 1, part));
    assert_true(part[0] == 5.0f);
    char text[96];
    lb_tensor_shape_text(four, text);
    assert_string_equal(text, "(2, 3, 1, 4)");
    assert_int_equal(((const uint8_t *)four->data - (const uint8_t *)lb_gguf_find(g, "F32")->data) % 64, 0);
    lb_gguf_close(g);
}

static void test_scalars(void **state) {
    (void)state;
    lb_gguf *g = open_ok(fixture);
    static const struct {
        const char *key;
        int64_t value;
    } ints[] = {{"num.u8", 200},           {"num.i8", -100},         {"num.u16", 60000},
                {"num.i16", -30000},       {"num.u32", 4000000000},  {"num.i32", -2000000000},
                {"num.i64", -(1LL << 62)}, {"general.alignment", 64}};
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        int64_t v = 0;
        assert_ok(lb_gguf_int(g, ints[i].key, &v));
        assert_true(v == ints[i].value);
    }
    int64_t n;
    double f;
    bool b = false;
    const char *s;
    size_t len;
    assert_status(LB_E_FORMAT, lb_gguf_int(g, "num.u64", &n)); /* 2^64 - 1 */
    assert_error_has("num.u64");
    assert_ok(lb_gguf_float(g, "num.f32", &f));
    assert_true(f == (double)0.1f);
    assert_ok(lb_gguf_float(g, "num.f64", &f));
    assert_true(f == 0.1);
    assert_ok(lb_gguf_bool(g, "num.bool", &b));
    assert_true(b);
    assert_ok(lb_gguf_str(g, "text.utf8", &s, &len));
    const char *expected = "na\xc3\xafve \"quoted\"\n\t\xe7\x8c\xab";
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(s, expected, len);
    /* wrong types and missing keys name file and key */
    assert_status(LB_E_FORMAT, lb_gguf_int(g, "num.f32", &n));
    assert_status(LB_E_FORMAT, lb_gguf_float(g, "num.i32", &f));
    assert_status(LB_E_FORMAT, lb_gguf_bool(g, "num.u8", &b));
    assert_status(LB_E_FORMAT, lb_gguf_str(g, "list.str", &s, &len));
    assert_error_has("array of string");
    assert_status(LB_E_FORMAT, lb_gguf_int(g, "num.nothing", &n));
    assert_error_has(fixture);
    assert_error_has(": no metadata key num.nothing");
    assert_false(lb_gguf_has(g, "num"));
    assert_null(lb_gguf_find(g, "F3"));
    assert_null(lb_gguf_tensor(g, -1));
    assert_null(lb_gguf_tensor(g, lb_gguf_tensor_count(g)));
    lb_gguf_close(g);
}

static void test_arrays(void **state) {
    (void)state;
    lb_gguf *g = open_ok(fixture);
    static const char *const words[] = {"", "a", "\xc4\xa0the", "<0x0A>",
                                        "\xc3\xb1"
                                        "and\xc3\xba"};
    int64_t n = 0, v = 0;
    double f = 0;
    const char *s = NULL;
    size_t len = 0;
    assert_ok(lb_gguf_array(g, "list.str", &n));
    assert_int_equal(n, 5);
    for (int64_t i = n; i-- > 0;) {
        assert_ok(lb_gguf_array_str(g, "list.str", i, &s, &len));
        assert_int_equal(len, strlen(words[i]));
        assert_memory_equal(s, words[i], len);
    }
    assert_ok(lb_gguf_array_int(g, "list.i32", 1, &v));
    assert_int_equal(v, -1);
    assert_ok(lb_gguf_array_int(g, "list.i32", 2, &v));
    assert_int_equal(v, 2147483647);
    assert_ok(lb_gguf_array_float(g, "list.f32", 1, &f));
    assert_true(f == (double)-1e-30f);
    assert_status(LB_E_ARG, lb_gguf_array_int(g, "list.i32", 3, &v));
    assert_status(LB_E_ARG, lb_gguf_array_int(g, "list.i32", -1, &v));
    assert_status(LB_E_FORMAT, lb_gguf_array_str(g, "list.i32", 0, &s, &len));
    assert_status(LB_E_FORMAT, lb_gguf_array_int(g, "list.str", 0, &v));
    assert_status(LB_E_FORMAT, lb_gguf_array_float(g, "list.i32", 0, &f));
    assert_status(LB_E_FORMAT, lb_gguf_array(g, "num.u8", &n));
    lb_gguf_close(g);
}

static void test_describe(void **state) {
    (void)state;
    lb_gguf *g = open_ok(fixture);
    static const struct {
        const char *key, *value;
    } expected[] = {{"general.architecture", "\"test\""},
                    {"num.u64", "18446744073709551615"},
                    {"num.i64", "-4611686018427387904"},
                    {"num.f64", "0.10000000000000001"},
                    {"num.bool", "true"},
                    {"text.utf8", "\"na\xc3\xafve \\\"quoted\\\"\\n\\x09\xe7\x8c\xab\""},
                    {"list.str", "5 x string: [\"\", \"a\", \"\xc4\xa0the\", \"<0x0A>\", ...]"},
                    {"list.i32", "3 x i32: [3, -1, 2147483647]"},
                    {"list.bool", "3 x bool: [true, false, true]"}};
    size_t seen = 0;
    const char *key = NULL;
    char value[96];
    for (int64_t i = 0; lb_gguf_describe(g, i, &key, value, sizeof value); i++)
        for (size_t e = 0; e < sizeof expected / sizeof *expected; e++)
            if (!strcmp(key, expected[e].key)) {
                assert_string_equal(value, expected[e].value);
                seen++;
            }
    assert_int_equal(seen, sizeof expected / sizeof *expected);
    char tiny[4];
    assert_true(lb_gguf_describe(g, 0, &key, tiny, sizeof tiny));
    assert_true(strlen(tiny) < sizeof tiny);
    lb_gguf_close(g);
}

/* Version 2 has the same layout as 3; 1 and 4, and the other byte order, are refused by name. */
static void test_versions(void **state) {
    (void)state;
    size_t size;
    uint8_t *data = slurp(fixture, &size);
    memfile m = memfile_make(data, size);
    lb_gguf *g = NULL;
    memfile_set(&m, 4, 2);
    g = open_ok(m.path);
    assert_int_equal(lb_gguf_tensor_count(g), 23);
    assert_string_equal(lb_gguf_path(g), m.path);
    lb_gguf_close(g);
    memfile_set(&m, 4, 1);
    assert_status(LB_E_UNSUPPORTED, lb_gguf_open(m.path, &g));
    assert_error_has("version 1: must be 2 or 3");
    memfile_set(&m, 4, 0);
    memfile_set(&m, 7, 3);
    assert_status(LB_E_UNSUPPORTED, lb_gguf_open(m.path, &g));
    assert_error_has("big-endian");
    memfile_set(&m, 0, 'g');
    assert_status(LB_E_FORMAT, lb_gguf_open(m.path, &g));
    assert_error_has("not a GGUF file");
    assert_null(g);
    assert_status(LB_E_IO, lb_gguf_open("tests/no/such.gguf", &g));
    assert_error_has("tests/no/such.gguf");
    memfile_close(&m);
    free(data);
}

/* --- files made by hand --- */

static void u32(lb_str *b, uint32_t v) { lb_str_add_bytes(b, &v, sizeof v); }
static void u64(lb_str *b, uint64_t v) { lb_str_add_bytes(b, &v, sizeof v); }
static void str(lb_str *b, const char *s) {
    u64(b, strlen(s));
    lb_str_add_bytes(b, s, strlen(s));
}
static void head(lb_str *b, uint64_t tensors, uint64_t kvs) {
    lb_str_add_bytes(b, "GGUF", 4);
    u32(b, 3);
    u64(b, tensors);
    u64(b, kvs);
}
static void key_u32(lb_str *b, const char *key, uint32_t v) {
    str(b, key);
    u32(b, 4);
    u32(b, v);
}
static void key_array(lb_str *b, const char *key, uint32_t type, uint64_t n) {
    str(b, key);
    u32(b, 9);
    u32(b, type);
    u64(b, n);
}
/* a matrix of rows x cols */
static void tensor(lb_str *b, const char *name, uint64_t rows, uint64_t cols, uint32_t type, uint64_t offset) {
    str(b, name);
    u32(b, 2);
    u64(b, cols);
    u64(b, rows);
    u32(b, type);
    u64(b, offset);
}
static void data(lb_str *b, size_t align, size_t n) {
    while (b->len % align) lb_str_add_bytes(b, "", 1);
    for (size_t i = 0; i < n; i++) lb_str_add_bytes(b, "", 1);
}

/* Opens what was built, expects the status and, in the message, both texts; frees the bytes. */
static void expect(lb_str *b, lb_status status, const char *text, const char *more) {
    assert_ok(lb_str_check(b));
    memfile m = memfile_make(b->s, b->len);
    lb_gguf *g = NULL;
    lb_status s = lb_gguf_open(m.path, &g);
    if (s != status) fail_msg("%s instead of %s: %s", status_name(s), status_name(status), lb_error());
    if (status != LB_OK) {
        assert_error_has(text);
        assert_error_has(more);
        assert_error_has(m.path);
        assert_null(g);
    }
    lb_gguf_close(g);
    memfile_close(&m);
    lb_str_free(b);
}

static void test_wrong_metadata(void **state) {
    (void)state;
    lb_str b = {0};
    head(&b, 0, 0);
    expect(&b, LB_OK, "", "");

    head(&b, 0, 2);
    key_u32(&b, "a.b", 1);
    key_u32(&b, "a.b", 1);
    expect(&b, LB_E_FORMAT, "a.b", "appears twice");

    head(&b, 0, UINT64_MAX); /* far more keys than bytes */
    key_u32(&b, "a", 1);
    expect(&b, LB_E_FORMAT, "truncated", "metadata key");

    head(&b, 0, 1);
    str(&b, "bad\nname");
    u32(&b, 4);
    u32(&b, 4);
    expect(&b, LB_E_FORMAT, "control characters", "");

    head(&b, 0, 1);
    key_u32(&b, "", 1);
    expect(&b, LB_E_FORMAT, "empty", "");

    head(&b, 0, 1);
    u64(&b, UINT64_MAX); /* a key of that length */
    u64(&b, 0);
    expect(&b, LB_E_FORMAT, "truncated", "18446744073709551615");

    head(&b, 0, 1);
    str(&b, "k");
    u32(&b, 13);
    u64(&b, 0);
    expect(&b, LB_E_FORMAT, "key k", "unknown value type 13");

    head(&b, 0, 1);
    str(&b, "k");
    u32(&b, 7); /* bool */
    lb_str_add_bytes(&b, "\2", 1);
    expect(&b, LB_E_FORMAT, "key k", "must be 0 or 1");

    head(&b, 0, 1);
    key_array(&b, "k", 99, 1);
    u64(&b, 0);
    expect(&b, LB_E_FORMAT, "key k", "unknown type 99");

    head(&b, 0, 1);
    key_array(&b, "k", 10, UINT64_MAX / 8 + 2); /* u64: the product overflows to 8 bytes */
    u64(&b, 0);
    expect(&b, LB_E_FORMAT, "key k", "impossible count");

    head(&b, 0, 1);
    key_array(&b, "k", 8, 1ULL << 60); /* strings */
    u64(&b, 0);
    expect(&b, LB_E_FORMAT, "key k", "do not fit");

    head(&b, 0, 1);
    key_array(&b, "k", 9, 2); /* two arrays, of two u8 and of one string */
    u32(&b, 0), u64(&b, 2), lb_str_add_bytes(&b, "ab", 2);
    u32(&b, 8), u64(&b, 1), str(&b, "s");
    expect(&b, LB_OK, "", "");

    head(&b, 0, 1);
    key_array(&b, "k", 9, 1);
    for (int i = 0; i < 8; i++) u32(&b, 9), u64(&b, 1);
    expect(&b, LB_E_UNSUPPORTED, "key k", "nested deeper");
}

static void test_wrong_tensors(void **state) {
    (void)state;
    lb_str b = {0};
    head(&b, 2, 0); /* the longest legal neighbours: 8 floats and 1 float, 32 bytes apart */
    tensor(&b, "a", 2, 4, 0, 0);
    tensor(&b, "b", 1, 1, 0, 32);
    data(&b, 32, 36);
    expect(&b, LB_OK, "", "");

    head(&b, 2, 0);
    tensor(&b, "a", 2, 4, 0, 0);
    tensor(&b, "b", 1, 1, 0, 32);
    data(&b, 32, 35);
    expect(&b, LB_E_FORMAT, "tensor b: 4 bytes at offset 32", "holds 35 bytes");

    head(&b, 2, 0);
    tensor(&b, "same", 1, 1, 0, 0);
    tensor(&b, "same", 1, 1, 0, 32);
    data(&b, 32, 64);
    expect(&b, LB_E_FORMAT, "tensor same", "appears twice");

    head(&b, 2, 0);
    tensor(&b, "one", 3, 4, 0, 0);
    tensor(&b, "two", 1, 1, 0, 32);
    data(&b, 32, 64);
    expect(&b, LB_E_FORMAT, "one and two", "overlap");

    head(&b, 1, 0);
    tensor(&b, "t", 1, 1, 0, 16);
    data(&b, 32, 64);
    expect(&b, LB_E_FORMAT, "tensor t", "not a multiple of 32");

    head(&b, 1, 0);
    tensor(&b, "t", 1, 1, 0, UINT64_MAX - 31); /* start + offset would wrap */
    data(&b, 32, 64);
    expect(&b, LB_E_FORMAT, "tensor t", "truncated");

    head(&b, 1, 0);
    tensor(&b, "t", 1ULL << 32, 1ULL << 32, 0, 0);
    data(&b, 32, 64);
    expect(&b, LB_E_FORMAT, "tensor t", "impossible");

    head(&b, 1, 0);
    tensor(&b, "t", 1ULL << 31, 1ULL << 31, 0, 0); /* elements fit, bytes do not */
    data(&b, 32, 64);
    expect(&b, LB_E_FORMAT, "tensor t", "impossible");

    head(&b, 1, 0);
    tensor(&b, "t", 1, UINT64_MAX, 0, 0);
    data(&b, 32, 64);
    expect(&b, LB_E_FORMAT, "tensor t", "impossible dimension");

    head(&b, 1, 0);
    tensor(&b, "t", 1, 33, 2, 0);
    data(&b, 32, 64);
    expect(&b, LB_E_FORMAT, "tensor t: shape (1, 33)", "multiples of 32");

    head(&b, 1, 0);
    tensor(&b, "t.weight", 1, 256, 12, 0);
    data(&b, 32, 256);
    expect(&b, LB_E_UNSUPPORTED, "tensor t.weight", "Q4_K");

    head(&b, 1, 0);
    tensor(&b, "t", 1, 256, 4, 0); /* a number ggml gave up */
    data(&b, 32, 256);
    expect(&b, LB_E_UNSUPPORTED, "tensor t", "type 4 is unknown");

    head(&b, 1, 0);
    str(&b, "t");
    u32(&b, 5);
    for (int i = 0; i < 7; i++) u64(&b, 1);
    expect(&b, LB_E_FORMAT, "tensor t", "5 dimensions");

    head(&b, UINT64_MAX, 0);
    tensor(&b, "t", 1, 1, 0, 0);
    data(&b, 32, 64);
    expect(&b, LB_E_FORMAT, "", "");

    head(&b, 1, 1);
    key_u32(&b, "general.alignment", 24);
    tensor(&b, "t", 1, 1, 0, 0);
    data(&b, 32, 64);
    expect(&b, LB_E_FORMAT, "general.alignment is 24", "power of two");

    head(&b, 1, 1);
    key_u32(&b, "general.alignment", 0);
    expect(&b, LB_E_FORMAT, "", "");

    head(&b, 2, 0); /* empty tensors and scalars are legal */
    tensor(&b, "none", 0, 4, 0, 0);
    str(&b, "scalar"), u32(&b, 0), u32(&b, 0), u64(&b, 0);
    data(&b, 32, 4);
    expect(&b, LB_OK, "", "");
}

/* Damage: in a prefix something is always missing; a changed byte may go unnoticed where any value is legal (numbers,
 * letters of a name), but never does harm. */
static void test_damage(void **state) {
    (void)state;
    /* the last tensor's 96 bytes are padded to 128: only that padding can go */
    assert_int_equal(sweep_prefixes(probe_gguf, fixture, LB_E_FORMAT, LB_E_FORMAT), 32);
    int64_t accepted = sweep_bytes(probe_gguf, fixture, 0, 1792, LB_E_FORMAT, LB_E_UNSUPPORTED);
    assert_true(accepted > 0 && accepted < 1792 * 6);
    assert_true(sweep_allocations(probe_gguf, fixture) > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dequantize),     cmocka_unit_test(test_slices),        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_arrays),         cmocka_unit_test(test_describe),      cmocka_unit_test(test_versions),
        cmocka_unit_test(test_wrong_metadata), cmocka_unit_test(test_wrong_tensors), cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests_name("io/gguf", tests, find_fixture, NULL);
}
