/* HDF5: what h5py writes (tests/oracle/make_h5.py), round trips, equal bytes, refusals, a full disk, cut and damaged
 * files. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "io/h5_file.h"
#include "io/h5_flat.h"
#include "support/io_probe.h"
#include "support/support.h"

static lb_arena *arena;
static char fixture[LB_TEST_PATH];

static int set_up(void **state) {
    (void)state;
    lb_test_fixture("tests/oracle/fixtures/io/by_h5py.h5", fixture);
    return lb_arena_new(0, &arena) == LB_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    lb_arena_free(arena);
    return 0;
}

static char *in_tmp(const char *name) { return lb_fs_join(lb_test_tmpdir(), name); }

static void test_h5py(void **state) {
    (void)state;
    lb_h5 *h = NULL;
    double *d = NULL, real = 0;
    int64_t *i = NULL, n = 0, shape[4];
    char **texts = NULL, *text = NULL;
    int ndim = 0;
    assert_ok(lb_h5_open(fixture, &h));
    assert_ok(lb_h5_shape(h, "/f64", &ndim, shape));
    assert_int_equal(ndim, 2);
    assert_int_equal(shape[0], 2);
    assert_int_equal(shape[1], 3);
    assert_ok(lb_h5_get_f64(h, arena, "/f64", &d, &n));
    assert_int_equal(n, 6);
    for (int k = 0; k < 6; k++) assert_true(d[k] == k / 7.0);
    assert_ok(lb_h5_get_f64(h, arena, "/deep/er/f32", &d, &n)); /* float64 holds every float32 */
    assert_int_equal(n, 4);
    for (int k = 0; k < 4; k++) assert_true(d[k] == (double)((float)k / 3.0f));
    assert_ok(lb_h5_get_i64(h, arena, "/i32", &i, &n));
    assert_int_equal(n, 3);
    assert_int_equal(i[1], -2);
    assert_ok(lb_h5_get_f64(h, arena, "/scalar", &d, &n));
    assert_int_equal(n, 1);
    assert_true(d[0] == 2.5);
    assert_ok(lb_h5_get_f64(h, arena, "/big_endian", &d, &n));
    assert_true(d[0] == 1.5 && d[1] == -2.5);
    assert_ok(lb_h5_get_f64(h, arena, "/gzip", &d, &n));
    assert_int_equal(n, 256);
    for (int k = 0; k < 256; k++) assert_true(d[k] == k % 8);
    assert_ok(lb_h5_get_strs(h, arena, "/strs", &texts, &n));
    assert_int_equal(n, 3);
    assert_string_equal(texts[0], "one");
    assert_string_equal(texts[1], "");
    assert_string_equal(texts[2], "zw\xc3\xb6lf");
    assert_ok(lb_h5_get_attr_str(h, arena, "/", "text", &text));
    assert_string_equal(text, "na\xc3\xafve");
    assert_ok(lb_h5_get_attr_str(h, arena, "/", "empty", &text));
    assert_string_equal(text, "");
    assert_ok(lb_h5_get_attr_str(h, arena, "/f64", "unit", &text));
    assert_string_equal(text, "nats");
    assert_ok(lb_h5_get_attr_f64(h, "/", "real", &real));
    assert_true(real == 0.1);
    assert_ok(lb_h5_get_attr_i64(h, "/", "whole", &n));
    assert_int_equal(n, -5);
    assert_true(lb_h5_has(h, "/") && lb_h5_has(h, "/deep") && lb_h5_has(h, "/deep/er/f32"));
    assert_false(lb_h5_has(h, "/deep/no/f32") || lb_h5_has(h, "/f64/x") || lb_h5_has(h, "f64") || lb_h5_has(h, ""));
    assert_true(lb_h5_has_attr(h, "/", "real"));
    assert_false(lb_h5_has_attr(h, "/", "unreal") || lb_h5_has_attr(h, "/no", "real"));
    assert_ok(lb_h5_close(h));
}

/* Wrong type, rank or object: LB_E_FORMAT with file and path. */
static void test_refusals(void **state) {
    (void)state;
    lb_h5 *h = NULL;
    double *d = NULL, real;
    int64_t *i = NULL, n = 0, shape[4];
    char **texts = NULL, *text = NULL;
    int ndim;
    assert_ok(lb_h5_open(fixture, &h));
    assert_status(LB_E_FORMAT, lb_h5_get_f64(h, arena, "/i32", &d, &n));
    assert_error_has("by_h5py.h5: /i32 is not float64 or float32");
    assert_status(LB_E_FORMAT, lb_h5_get_i64(h, arena, "/f64", &i, &n));
    assert_status(LB_E_FORMAT, lb_h5_get_i64(h, arena, "/u64", &i, &n));
    assert_error_has("/u64 is not an integer that fits int64");
    assert_status(LB_E_FORMAT, lb_h5_get_strs(h, arena, "/i32", &texts, &n));
    assert_status(LB_E_FORMAT, lb_h5_get_strs(h, arena, "/fixed", &texts, &n));
    assert_error_has("variable-length");
    assert_status(LB_E_FORMAT, lb_h5_get_f64(h, arena, "/nothing/here", &d, &n));
    assert_error_has("by_h5py.h5: no dataset /nothing/here");
    assert_status(LB_E_FORMAT, lb_h5_get_f64(h, arena, "/deep", &d, &n));
    assert_error_has("/deep is a group, not a dataset");
    assert_status(LB_E_FORMAT, lb_h5_shape(h, "/five", &ndim, shape));
    assert_error_has("/five has 5 dimensions");
    assert_status(LB_E_ARG, lb_h5_get_f64(h, arena, "f64", &d, &n));
    assert_error_has("no object path");
    assert_status(LB_E_FORMAT, lb_h5_get_attr_f64(h, "/", "text", &real));
    assert_error_has("attribute text is not a float");
    assert_status(LB_E_FORMAT, lb_h5_get_attr_f64(h, "/", "pair", &real));
    assert_error_has("attribute pair is not one value");
    assert_status(LB_E_FORMAT, lb_h5_get_attr_i64(h, "/", "real", &n));
    assert_status(LB_E_FORMAT, lb_h5_get_attr_str(h, arena, "/", "whole", &text));
    assert_status(LB_E_FORMAT, lb_h5_get_attr_str(h, arena, "/f64", "none", &text));
    assert_error_has("/f64 has no attribute none");
    assert_ok(lb_h5_close(h));

    assert_status(LB_E_IO, lb_h5_open("no/such.h5", &h));
    assert_error_has("no/such.h5");
    char *other = in_tmp("other.h5");
    assert_ok(lb_fs_write_atomic(other, "not HDF5 at all", 15));
    assert_status(LB_E_FORMAT, lb_h5_open(other, &h));
    assert_error_has("other.h5 is damaged: not an HDF5 file");
    assert_null(h);
    lb_free(other);
    assert_status(LB_E_IO, lb_h5_create("no/such/folder/x.h5", &h));
    assert_error_has("No such file or directory");
}

/* The objects that probe_h5 reads. */
static lb_status write_objects(lb_h5 *h) {
    const double m[6] = {1, 2, 3, 4, 5, 0.1};
    const double f[4] = {1, -2, 3, 0.1};
    const int64_t whole[2] = {INT64_MIN, 7};
    const char *const names[3] = {"one", "", "zw\xc3\xb6lf"};
    LB_TRY(lb_h5_put_f64(h, "/a/matrix", m, 2, (int64_t[]){2, 3}));
    LB_TRY(lb_h5_put_f64(h, "/a/b/four", f, 4, (int64_t[]){1, 2, 1, 2}));
    LB_TRY(lb_h5_put_i64(h, "/whole", whole, 1, (int64_t[]){2}));
    LB_TRY(lb_h5_put_f64(h, "/scalar", m + 5, 0, NULL));
    LB_TRY(lb_h5_put_strs(h, "/layers/name", names, 3));
    LB_TRY(lb_h5_put_strs(h, "/layers/none", NULL, 0));
    LB_TRY(lb_h5_attr_str(h, "/", "text", "to be replaced"));
    LB_TRY(lb_h5_attr_str(h, "/", "text", "na\xc3\xafve"));
    LB_TRY(lb_h5_attr_f64(h, "/a/matrix", "real", 0.1));
    LB_TRY(lb_h5_attr_i64(h, "/a", "whole", -5));
    return lb_h5_attr_i64(h, "/made/for/it", "n", 1); /* groups are made */
}

static lb_status write_file(const char *path) {
    lb_h5 *h = NULL;
    LB_TRY(lb_h5_create(path, &h));
    lb_status s = write_objects(h);
    if (s == LB_OK) return lb_h5_close(h);
    lb_h5_abandon(h);
    return s;
}

static void test_round_trip(void **state) {
    (void)state;
    char *path = in_tmp("a.h5");
    lb_h5 *h = NULL;
    double *d = NULL;
    int64_t *i = NULL, n = 0, shape[4];
    char **texts = NULL, *text = NULL;
    int ndim;
    assert_ok(write_file(path));
    assert_ok(lb_h5_open(path, &h));
    assert_ok(lb_h5_get_f64(h, arena, "/a/matrix", &d, &n));
    assert_true(n == 6 && d[0] == 1 && d[5] == 0.1);
    assert_ok(lb_h5_shape(h, "/a/b/four", &ndim, shape));
    assert_true(ndim == 4 && shape[0] == 1 && shape[1] == 2 && shape[2] == 1 && shape[3] == 2);
    assert_ok(lb_h5_get_f64(h, arena, "/a/b/four", &d, &n));
    assert_true(n == 4 && d[3] == 0.1);
    assert_ok(lb_h5_get_i64(h, arena, "/whole", &i, &n));
    assert_true(n == 2 && i[0] == INT64_MIN && i[1] == 7);
    assert_ok(lb_h5_shape(h, "/scalar", &ndim, shape));
    assert_int_equal(ndim, 0);
    assert_ok(lb_h5_get_strs(h, arena, "/layers/name", &texts, &n));
    assert_int_equal(n, 3);
    assert_string_equal(texts[1], "");
    assert_string_equal(texts[2], "zw\xc3\xb6lf");
    assert_ok(lb_h5_get_strs(h, arena, "/layers/none", &texts, &n));
    assert_int_equal(n, 0);
    assert_ok(lb_h5_get_attr_str(h, arena, "/", "text", &text));
    assert_string_equal(text, "na\xc3\xafve");
    assert_ok(lb_h5_get_attr_i64(h, "/made/for/it", "n", &n));
    assert_ok(lb_h5_close(h));
    lb_free(path);
}

/* Written at another time, under another name: the same bytes. */
static void test_same_bytes(void **state) {
    (void)state;
    char *a = in_tmp("a.h5"), *b = in_tmp("another.h5");
    size_t na, nb;
    assert_ok(write_file(a));
    sleep(1); /* HDF5's times count seconds */
    assert_ok(write_file(b));
    uint8_t *x = slurp(a, &na), *y = slurp(b, &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(x, y, na);
    free(x);
    free(y);
    lb_free(a);
    lb_free(b);
}

/* ---- a run of bytes ---- */

static uint8_t byte_at(int64_t i) { return (uint8_t)(i * 7 + (i >> 8) * 13 + (i >> 20)); }

static lb_status give_bytes(void *ctx, int64_t first, int64_t n, void *to) {
    int64_t *given = ctx;
    assert_int_equal(first, *given); /* in order */
    for (int64_t i = 0; i < n; i++) ((uint8_t *)to)[i] = byte_at(first + i);
    *given += n;
    return LB_OK;
}

static char *bytes_file(const char *name, int64_t n) {
    char *path = in_tmp(name);
    lb_h5 *h = NULL;
    int64_t given = 0;
    const double v = 1.5;
    assert_ok(lb_h5_create(path, &h));
    assert_ok(lb_h5_put_f64(h, "/before", &v, 0, NULL));
    assert_ok(lb_h5_put_bytes(h, "/run/bytes", n, give_bytes, &given));
    assert_int_equal(given, n);
    assert_status(LB_E_ARG, lb_h5_put_bytes(h, "/run/more", n, give_bytes, &given));
    assert_error_has("one run of bytes");
    assert_ok(lb_h5_put_f64(h, "/then", &v, 0, NULL));
    assert_ok(lb_h5_close(h));
    return path;
}

static void expect_bytes(lb_h5 *h, int64_t first, int64_t n) {
    uint8_t *have = malloc((size_t)n + 1);
    have[n] = 99;
    assert_ok(lb_h5_get_bytes(h, "/run/bytes", first, n, have));
    for (int64_t i = 0; i < n; i++) assert_int_equal(have[i], byte_at(first + i));
    assert_int_equal(have[n], 99);
    free(have);
}

static void test_bytes(void **state) {
    (void)state;
    enum { N = 3 << 20 };
    char *path = bytes_file("bytes.h5", N + 5);
    lb_h5 *h = NULL;
    int64_t n = 0;
    uint8_t one[8];
    double *d = NULL;
    assert_ok(lb_h5_open(path, &h));
    assert_ok(lb_h5_bytes(h, "/run/bytes", &n));
    assert_int_equal(n, N + 5);
    expect_bytes(h, 0, N + 5);
    expect_bytes(h, 1048570, 12);
    expect_bytes(h, N + 5, 0);
    assert_status(LB_E_FORMAT, lb_h5_get_bytes(h, "/run/bytes", N + 4, 2, one));
    assert_error_has("there are none at 3145732 to 3145734");
    assert_status(LB_E_FORMAT, lb_h5_get_bytes(h, "/run/bytes", -1, 2, one));
    assert_status(LB_E_FORMAT, lb_h5_get_bytes(h, "/before", 0, 2, one));
    assert_error_has("/before is not a list of bytes");
    assert_status(LB_E_FORMAT, lb_h5_get_f64(h, arena, "/run/bytes", &d, &n));
    assert_ok(lb_h5_get_f64(h, arena, "/then", &d, &n));
    assert_true(d[0] == 1.5);
    assert_ok(lb_h5_close(h));
    lb_free(path);
}

/* Opening reads nothing of it: not when it is damaged, nor when it is larger than all that a reader may use. */
static void test_bytes_are_not_read(void **state) {
    (void)state;
    enum { N = 1 << 20, BIG = 300 << 20 };
    char *path = bytes_file("seal.h5", N), hash[65], now[65];
    uint8_t start[32], *data;
    size_t size, at = 0;
    lb_h5 *h = NULL;
    assert_ok(lb_h5_hash(path, hash));
    data = slurp(path, &size);
    for (int i = 0; i < 32; i++) start[i] = byte_at(i);
    while (memcmp(data + at, start, 32) != 0) at++;
    data[at + 4321] ^= 1;
    assert_ok(lb_fs_write_atomic(path, data, size));
    assert_ok(lb_h5_hash(path, now));
    assert_string_equal(now, hash);
    assert_ok(lb_h5_open(path, &h));
    expect_bytes(h, 0, 4321);
    assert_ok(lb_h5_close(h));
    const size_t others[] = {20, 520, at - 1, at + N, size - 1}; /* but these are noticed */
    for (int i = 0; i < 5; i++) {
        data[others[i]] ^= 1;
        assert_ok(lb_fs_write_atomic(path, data, size));
        assert_status(LB_E_FORMAT, lb_h5_open(path, &h));
        assert_ok(lb_h5_hash(path, now));
        assert_string_not_equal(now, hash);
        data[others[i]] ^= 1;
    }
    /* A seal that leaves out what cannot be left out. */
    char *but = strstr((char *)data, "but the 1048576 from byte ");
    assert_non_null(but);
    but[8] = '9';
    assert_ok(lb_fs_write_atomic(path, data, size));
    assert_status(LB_E_FORMAT, lb_h5_open(path, &h));
    assert_error_has("its SHA-256 is not the one it begins with");
    but[8] = '1';
    assert_ok(lb_fs_write_atomic(path, data, at + 100)); /* cut short */
    assert_status(LB_E_FORMAT, lb_h5_open(path, &h));
    free(data);
    lb_free(path);
    path = bytes_file("big.h5", BIG);
    assert_ok(lb_h5_open(path, &h));
    expect_bytes(h, BIG - 3000, 3000);
    assert_ok(lb_h5_close(h));
    assert_int_equal(unlink(path), 0);
    lb_free(path);
}

static lb_status one_run(const char *path) {
    lb_h5 *h = NULL;
    int64_t given = 0;
    LB_TRY(lb_h5_create(path, &h));
    lb_status st = lb_h5_put_bytes(h, "/run/bytes", 100, give_bytes, &given);
    if (st == LB_OK) return lb_h5_close(h);
    lb_h5_abandon(h);
    return st;
}

static void test_bytes_memory(void **state) {
    (void)state;
    char *path = in_tmp("bytes_memory.h5");
    assert_true(sweep_allocations(one_run, path) > 2);
    lb_free(path);
}

static void test_write_refusals(void **state) {
    (void)state;
    char *path = in_tmp("refusals.h5");
    lb_h5 *h = NULL;
    const double v = 1;
    assert_ok(lb_h5_create(path, &h));
    assert_ok(lb_h5_put_f64(h, "/x", &v, 0, NULL));
    assert_status(LB_E_ARG, lb_h5_put_f64(h, "/x", &v, 0, NULL));
    assert_error_has("refusals.h5: /x is already there");
    assert_status(LB_E_ARG, lb_h5_put_f64(h, "x", &v, 0, NULL));
    assert_status(LB_E_ARG, lb_h5_put_f64(h, "/", &v, 0, NULL));
    assert_status(LB_E_ARG, lb_h5_put_f64(h, "/a//b", &v, 0, NULL));
    assert_status(LB_E_ARG, lb_h5_put_f64(h, "/a/", &v, 0, NULL));
    assert_status(LB_E_ARG, lb_h5_put_f64(h, "/n", &v, 1, (int64_t[]){-1}));
    assert_status(LB_E_ARG, lb_h5_put_f64(h, "/n", &v, 5, (int64_t[]){1, 1, 1, 1, 1}));
    assert_false(lb_h5_has(h, "/n"));
    assert_ok(lb_h5_close(h));
    assert_ok(lb_h5_open(path, &h));
    assert_status(LB_E_ARG, lb_h5_put_f64(h, "/new", &v, 0, NULL));
    assert_status(LB_E_ARG, lb_h5_attr_i64(h, "/x", "n", 1));
    assert_error_has("open for reading");
    assert_ok(lb_h5_close(h));
    /* a dataset is no group: what cannot be made makes the file useless */
    assert_ok(lb_h5_create(path, &h));
    assert_ok(lb_h5_put_f64(h, "/x", &v, 0, NULL));
    assert_status(LB_E_IO, lb_h5_put_f64(h, "/x/y", &v, 0, NULL));
    assert_status(LB_E_IO, lb_h5_put_f64(h, "/z", &v, 0, NULL));
    assert_error_has("an earlier write failed");
    assert_status(LB_E_IO, lb_h5_close(h));
    lb_free(path);
}

/* Puts /dev/full in place of the descriptor that is open on this file: from now on the disk is full. */
static bool fill_disk_under(const char *path) {
    int full = open("/dev/full", O_RDWR);
    for (int fd = 0; fd < 1024; fd++) {
        char link[64], target[LB_TEST_PATH] = "";
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        if (readlink(link, target, sizeof target - 1) > 0 && !strcmp(target, path)) return dup2(full, fd) == fd;
    }
    return false;
}

/* In a process of its own, because HDF5 would crash at its end. n: values to put; without any, the close fails. */
static int write_to_full_disk(const char *path, size_t n) {
    double *v = lb_alloc(n, sizeof *v);
    lb_h5 *h = NULL;
    if (!v || lb_h5_create(path, &h) != LB_OK || !fill_disk_under(path)) return 2;
    if (n && lb_h5_put_f64(h, "/x", v, 1, (int64_t[]){(int64_t)n}) != LB_E_IO) return 3;
    if (n && (!strstr(lb_error(), "No space left on device") || !strstr(lb_error(), path))) return 4;
    if (n && lb_h5_put_f64(h, "/y", v, 1, (int64_t[]){1}) != LB_E_IO) return 5;
    if (!n && lb_h5_attr_i64(h, "/", "n", 1) != LB_OK) return 6;
    lb_free(v);
    if (lb_h5_close(h) != LB_E_IO) return 7;
    return strstr(lb_error(), path) ? 0 : 8;
}

static void test_disk_full(void **state) {
    (void)state;
    char *path = in_tmp("full.h5"), real[LB_TEST_PATH];
    assert_ok(write_file(path));
    assert_non_null(realpath(path, real));
    lb_free(path);
    static const size_t counts[] = {0, 10, 100000};
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();
        if (pid == 0) exit(write_to_full_disk(real, counts[i])); /* with HDF5's own tidying up */
        int status = 0;
        assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

static void test_memory(void **state) {
    (void)state;
    char *path = in_tmp("memory.h5");
    assert_true(sweep_allocations(write_file, path) > 2);
    assert_true(sweep_allocations(probe_h5, path) > 10);
    lb_free(path);
}

static lb_status check_seal(const char *path) {
    size_t sealed;
    return lb_h5_check_seal(path, &sealed);
}

/* Any change at all is noticed before HDF5 sees the file. */
static void test_damage(void **state) {
    (void)state;
    char *path = in_tmp("damage.h5");
    size_t size;
    lb_h5 *h = NULL;
    assert_ok(write_file(path));
    uint8_t *data = slurp(path, &size);
    assert_int_equal(sweep_prefixes(check_seal, path, LB_E_FORMAT, LB_E_FORMAT), 0);
    assert_int_equal(sweep_bytes(check_seal, path, 0, size, LB_E_FORMAT, LB_E_FORMAT), 0);
    data[size - 1]++;
    assert_ok(lb_fs_write_atomic(path, data, size));
    assert_status(LB_E_FORMAT, lb_h5_open(path, &h));
    assert_error_has("damage.h5 is damaged: its SHA-256 is not the one it begins with");
    assert_ok(lb_fs_write_atomic(path, data + 512, size - 512)); /* HDF5, but without what comes in front */
    assert_status(LB_E_FORMAT, lb_h5_open(path, &h));
    assert_error_has("not one of this program");
    free(data);
    lb_free(path);
}

/* A file that was never closed is not taken for a whole one. */
static void test_not_closed(void **state) {
    (void)state;
    char *path = in_tmp("open.h5");
    lb_h5 *h = NULL;
    const double v = 1;
    assert_ok(lb_h5_create(path, &h));
    assert_ok(lb_h5_put_f64(h, "/x", &v, 0, NULL));
    lb_h5_abandon(h);
    assert_status(LB_E_FORMAT, lb_h5_open(path, &h));
    assert_error_has("open.h5 is damaged: not an HDF5 file");
    lb_free(path);
}

/* What the reading process may say of a failure: a status and words. Without words it is not believed. */
static void test_failure_told(void **state) {
    (void)state;
    static const struct {
        const char *words, *error;
    } told[] = {{"x.h5 is damaged: gone", "x.h5 is damaged: gone"},
                {"", "x.h5: what was read from it makes no sense: a failure without words"}};
    for (size_t i = 0; i < 2; i++) {
        lb_str flat = {0};
        lb_h5 *h = NULL;
        const lb_flat_head head = {
            .magic = LB_FLAT_MAGIC, .kind = LB_FLAT_FAILED, .name = strlen(told[i].words) + 1, .shape = {LB_E_FORMAT}};
        lb_str_add_bytes(&flat, &head, sizeof head);
        lb_str_add_bytes(&flat, told[i].words, head.name);
        assert_ok(lb_str_check(&flat));
        assert_status(LB_E_FORMAT, lb_h5_from_flat("x.h5", &flat, &h));
        assert_string_equal(lb_error(), told[i].error);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_h5py),         cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_bytes),        cmocka_unit_test(test_bytes_are_not_read),
        cmocka_unit_test(test_bytes_memory), cmocka_unit_test(test_write_refusals),
        cmocka_unit_test(test_disk_full),    cmocka_unit_test(test_memory),
        cmocka_unit_test(test_damage),       cmocka_unit_test(test_not_closed),
        cmocka_unit_test(test_failure_told),
    };
    return cmocka_run_group_tests_name("io/h5", tests, set_up, tear_down);
}
