/* gzip data: members, what is damaged, cut or more than is asked for, memory that runs out. What gzip 1.12 made is held
 * against the text that it was made of. */
#include <stdio.h>
#include <string.h>

#include <zlib.h>

#include "base/mem.h"
#include "io/gzip.h"
#include "support/support.h"

/* printf 'the cat\n' | gzip -9n; printf 'sat\n' | gzip -9n; printf '' | gzip -9n */
static const char the_cat[] = "1f8b08000000000002032bc94855484e2ce102007a5f99a708000000";
static const char sat[] = "1f8b08000000000002032b4e2ce1020095245dba04000000";
static const char nothing[] = "1f8b080000000000020303000000000000000000";

typedef struct bytes {
    char *s;
    size_t n;
} bytes;

static bytes of(const char *a, const char *b, const char *c) {
    char hex[512];
    bytes x;
    snprintf(hex, sizeof hex, "%s%s%s", a, b, c);
    x.s = lb_test_unhex(hex, &x.n);
    return x;
}

static void gives(bytes x, const char *text) {
    char *out;
    size_t n;
    assert_true(lb_gzip_is(x.s, x.n));
    assert_ok(lb_gzip_unpack("f.gz", x.s, x.n, 1000, &out, &n));
    assert_int_equal(n, strlen(text));
    assert_string_equal(out, text);
    lb_free(out);
    lb_free(x.s);
}

static void refuses(const void *s, size_t n, size_t most, const char *why) {
    char *out;
    size_t len;
    assert_status(LB_E_FORMAT, lb_gzip_unpack("f.gz", s, n, most, &out, &len));
    assert_error_has("f.gz: ");
    assert_error_has(why);
    assert_null(out);
}

static void members(void **state) {
    (void)state;
    gives(of(the_cat, "", ""), "the cat\n");
    gives(of(the_cat, sat, the_cat), "the cat\nsat\nthe cat\n");
    gives(of(nothing, "", ""), "");
    gives(of(nothing, sat, nothing), "sat\n");
    gives(of(the_cat, sat, "0000000000"), "the cat\nsat\n");
    bytes x = of(the_cat, sat, "");
    refuses(x.s, x.n, 11, "gzip data of more than 11 bytes unpacked");
    char *out;
    size_t n;
    assert_ok(lb_gzip_unpack("f.gz", x.s, x.n, 12, &out, &n));
    assert_int_equal(n, 12);
    lb_free(out);
    lb_free(x.s);
}

static void what_is_none(void **state) {
    (void)state;
    bytes x = of(the_cat, "", "");
    assert_false(lb_gzip_is("\x1f", 1));
    assert_false(lb_gzip_is("text", 4));
    for (size_t n = 2; n < x.n; n++) refuses(x.s, n, 1000, "is cut short after ");
    for (size_t i = 0; i < x.n; i++) { /* time, system and bits that fill a byte mean nothing: else it is damaged */
        for (int bit = 0; bit < 8; bit++) {
            char *out;
            size_t n;
            x.s[i] ^= (char)(1 << bit);
            lb_status st = lb_gzip_unpack("f.gz", x.s, x.n, 1000, &out, &n);
            if (st == LB_OK) assert_string_equal(out, "the cat\n");
            lb_free(out);
            x.s[i] ^= (char)(1 << bit);
        }
    }
    x.s[x.n - 8] ^= 1;
    refuses(x.s, x.n, 1000, "is damaged about byte ");
    refuses(x.s, x.n, 1000, "incorrect data check");
    x.s[x.n - 8] ^= 1;
    lb_free(x.s);
    x = of(the_cat, "74686520636174", "");
    refuses(x.s, x.n, 1000, "behind the gzip data that ends at byte 28 stands something else");
    lb_free(x.s);
    x = of(the_cat, "0000", sat);
    refuses(x.s, x.n, 1000, "stands something else");
    lb_free(x.s);
}

/* n bytes, packed. */
static bytes packed(const void *data, size_t n) {
    z_stream z = {0};
    bytes x = {.n = n + n / 100 + 1000};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_non_null(x.s = lb_alloc(x.n, 1));
    z.next_in = (Bytef *)data;
    z.avail_in = (uInt)n;
    z.next_out = (Bytef *)x.s;
    z.avail_out = (uInt)x.n;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    x.n = z.total_out;
    deflateEnd(&z);
    return x;
}

/* More than a piece; of two members, whose last length is not that of all; and a bomb, whose length is a lie. */
static void large(void **state) {
    (void)state;
    enum { N = 4000000 };
    uint8_t *data = lb_alloc(N, 1);
    assert_non_null(data);
    uint32_t x = 1;
    for (size_t i = 0; i < N; i++) data[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 28);
    bytes one = packed(data, N), two = packed(data, 5), both = {.n = one.n + two.n};
    char *out;
    size_t n;
    assert_ok(lb_gzip_unpack("f.gz", one.s, one.n, N, &out, &n));
    assert_int_equal(n, N);
    assert_memory_equal(out, data, N);
    lb_free(out);
    assert_non_null(both.s = lb_alloc(both.n, 1));
    memcpy(both.s, one.s, one.n);
    memcpy(both.s + one.n, two.s, two.n);
    assert_ok(lb_gzip_unpack("f.gz", both.s, both.n, (size_t)1 << 30, &out, &n));
    assert_int_equal(n, N + 5);
    assert_memory_equal(out, data, N);
    assert_memory_equal(out + N, data, 5);
    lb_free(out);
    refuses(one.s, one.n, N - 1, "more than 3999999 bytes");
    memset(data, 0, N);
    bytes bomb = packed(data, N);
    assert_true(bomb.n < 10000);
    refuses(bomb.s, bomb.n, 1000000, "more than 1000000 bytes");
    memset(bomb.s + bomb.n - 4, 0, 4);
    refuses(bomb.s, bomb.n, (size_t)1 << 30, "incorrect length check");
    lb_free(bomb.s);
    lb_free(one.s);
    lb_free(two.s);
    lb_free(both.s);
    lb_free(data);
}

static void memory(void **state) {
    (void)state;
    bytes x = of(the_cat, sat, "");
    char *out = NULL;
    size_t n;
    int64_t failed = 0;
    for (lb_status st = LB_E_NOMEM; st != LB_OK; failed++) {
        lb_alloc_fail_at(failed + 1);
        st = lb_gzip_unpack("f.gz", x.s, x.n, 1000, &out, &n);
        lb_alloc_fail_at(0);
        if (st != LB_OK) assert_int_equal(st, LB_E_NOMEM);
    }
    assert_true(failed > 2);
    assert_string_equal(out, "the cat\nsat\n");
    lb_free(out);
    lb_free(x.s);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(members), cmocka_unit_test(what_is_none),
                                       cmocka_unit_test(large), cmocka_unit_test(memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
