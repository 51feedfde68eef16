/* safetensors: files of the reference package (tests/oracle/make_safetensors.py), files built by hand to be wrong in
 * one way each, damage, and the writer. */
#include <float.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/safetensors.h"
#include "support/io_probe.h"
#include "support/support.h"

static char fixture[LB_TEST_PATH], sharded[LB_TEST_PATH];

static int set_up(void **state) {
    (void)state;
    lb_test_fixture("tests/oracle/fixtures/io/types.safetensors", fixture);
    lb_test_fixture("tests/oracle/fixtures/io/sharded", sharded);
    return 0;
}

static float value(int64_t i) { return (float)(37 * i % 101 - 50) / 8; }

static void assert_tensor(const lb_safetensors *s, const char *name, lb_dtype type, int ndim, const int64_t *shape,
                          float scale) {
    const lb_tensor *t = lb_safetensors_find(s, name);
    float x[32];
    if (!t) fail_msg("no tensor %s", name);
    assert_int_equal(t->type, type);
    assert_int_equal(t->ndim, ndim);
    for (int i = 0; i < ndim; i++) assert_int_equal(t->shape[i], shape[i]);
    int64_t n = lb_tensor_count(t);
    assert_in_range(n, 0, 32);
    assert_ok(lb_tensor_read_f32(t, 0, n, x));
    for (int64_t i = 0; i < n; i++)
        if (x[i] != value(i) * scale) fail_msg("%s[%d] is %g", name, (int)i, (double)x[i]);
}
#define SHAPE(...)                                                                                                     \
    sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (int64_t[]) { __VA_ARGS__ }

static void test_types(void **state) {
    (void)state;
    lb_safetensors *s = NULL;
    assert_ok(lb_safetensors_open(fixture, &s));
    assert_int_equal(lb_safetensors_count(s), 9);
    assert_tensor(s, "f32", LB_F32, SHAPE(3, 5), 1);
    assert_tensor(s, "f16", LB_F16, SHAPE(7), 1);
    assert_tensor(s, "bf16", LB_BF16, SHAPE(2, 3, 2, 1), 1);
    assert_tensor(s, "f64", LB_F64, SHAPE(2, 2), 1);
    assert_tensor(s, "i64", LB_I64, SHAPE(5), 8);
    assert_tensor(s, "i32", LB_I32, SHAPE(4, 1), 8);
    assert_tensor(s, "empty", LB_F32, SHAPE(0, 4), 1);
    assert_tensor(s, "name with spaces / na\xc3\xafve", LB_F32, SHAPE(1), 1);
    assert_tensor(s, "scalar", LB_F32, 0, NULL, 1);
    for (int64_t i = 1; i < 9; i++)
        assert_true(strcmp(lb_safetensors_tensor(s, i - 1)->name, lb_safetensors_tensor(s, i)->name) < 0);
    assert_null(lb_safetensors_tensor(s, 9));
    assert_null(lb_safetensors_tensor(s, -1));
    assert_null(lb_safetensors_find(s, "f3"));
    assert_string_equal(lb_safetensors_metadata(s, "note"), "\xc3\xbcnicode");
    assert_null(lb_safetensors_metadata(s, "nothing"));
    lb_safetensors_close(s);
}

/* Masks that old files of models hold. */
static void test_bytes(void **state) {
    (void)state;
    static const char header[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
                                 "\"b\":{\"dtype\":\"BOOL\",\"shape\":[1,3],\"data_offsets\":[3,6]}}";
    static const unsigned char data[] = {0, 1, 200, 1, 0, 2};
    static const float want[2][3] = {{0, 1, 200}, {1, 0, 1}};
    uint64_t n = strlen(header);
    lb_str b = {0};
    lb_safetensors *s = NULL;
    lb_str_add_bytes(&b, &n, sizeof n);
    lb_str_add(&b, "%s", header);
    lb_str_add_bytes(&b, data, sizeof data);
    memfile m = memfile_make(b.s, b.len);
    assert_ok(lb_safetensors_open(m.path, &s));
    for (int i = 0; i < 2; i++) {
        float got[3];
        assert_string_equal(lb_dtype_name(lb_safetensors_tensor(s, i)->type), i ? "BOOL" : "U8");
        assert_ok(lb_tensor_read_f32(lb_safetensors_tensor(s, i), 0, 3, got));
        assert_memory_equal(got, want[i], sizeof got);
    }
    lb_safetensors_close(s);
    memfile_close(&m);
    lb_str_free(&b);
}

static void assert_sharded(const char *path) {
    lb_safetensors *s = NULL;
    assert_ok(lb_safetensors_open(path, &s));
    assert_int_equal(lb_safetensors_count(s), 3);
    assert_tensor(s, "a.weight", LB_F32, SHAPE(2, 3), 1);
    assert_tensor(s, "b.weight", LB_F32, SHAPE(3, 3), 1);
    assert_tensor(s, "c.weight", LB_F32, SHAPE(4), 1);
    assert_string_equal(lb_safetensors_metadata(s, "shard"), "model-00001-of-00002.safetensors");
    lb_safetensors_close(s);
}

static void test_sharded(void **state) {
    (void)state;
    char index[LB_TEST_PATH + 64];
    snprintf(index, sizeof index, "%s/model.safetensors.index.json", sharded);
    assert_sharded(sharded);
    assert_sharded(index);
    assert_true(sweep_allocations(probe_safetensors, sharded) > 50);
}

/* --- files made by hand --- */

static void file_of(lb_str *b, const char *header, size_t data) {
    uint64_t n = strlen(header);
    lb_str_add_bytes(b, &n, sizeof n);
    lb_str_add(b, "%s", header);
    for (size_t i = 0; i < data; i++) lb_str_add_bytes(b, "", 1);
}

static void expect(const char *header, size_t data, lb_status status, const char *text, const char *more) {
    lb_str b = {0};
    lb_safetensors *s = NULL;
    file_of(&b, header, data);
    memfile m = memfile_make(b.s, b.len);
    assert_status(status, lb_safetensors_open(m.path, &s));
    if (status != LB_OK) {
        assert_error_has(text);
        assert_error_has(more);
        assert_error_has(m.path);
        assert_null(s);
    }
    lb_safetensors_close(s);
    memfile_close(&m);
    lb_str_free(&b);
}

#define T(name, dtype, shape, from, to)                                                                                \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #from "," #to "]}"

static void test_wrong_files(void **state) {
    (void)state;
    expect("{" T("a", "F32", "[2]", 0, 8) "," T("b", "F16", "[1]", 8, 10) "}  ", 10, LB_OK, "", "");
    expect("{}", 0, LB_OK, "", "");
    expect("{" T("a", "F32", "[2]", 0, 8) "}", 7, LB_E_FORMAT, "tensor a", "holds 7 bytes");
    expect("{" T("a", "F32", "[2]", 0, 8) "}", 9, LB_E_FORMAT, "last 1 bytes", "no tensor");
    expect("{" T("a", "F32", "[2]", 4, 12) "}", 12, LB_E_FORMAT, "4 bytes before tensor a", "");
    expect("{" T("a", "F32", "[2]", 0, 8) "," T("b", "F32", "[1]", 12, 16) "}", 16, LB_E_FORMAT,
           "4 bytes before tensor b", "");
    expect("{" T("a", "F32", "[2]", 0, 8) "," T("b", "F32", "[1]", 4, 8) "}", 8, LB_E_FORMAT, "a and b", "overlap");
    expect("{" T("a", "F32", "[2]", 0, 4) "}", 4, LB_E_FORMAT, "tensor a", "F32 (2,) takes 8");
    expect("{" T("a", "F32", "[2]", 8, 0) "}", 8, LB_E_FORMAT, "tensor a", "[8, 0]");
    expect("{" T("a", "F32", "[2]", -8, 0) "}", 8, LB_E_FORMAT, "tensor a", "[-8, 0]");
    expect("{" T("a", "F32", "[2]", 0, 9223372036854775807) "}", 8, LB_E_FORMAT, "tensor a", "holds 8 bytes");
    expect("{" T("a", "F33", "[2]", 0, 8) "}", 8, LB_E_FORMAT, "tensor a", "unknown dtype 'F33'");
    expect("{" T("a", "F8_E4M3", "[8]", 0, 8) "}", 8, LB_E_UNSUPPORTED, "tensor a", "F8_E4M3");
    expect("{" T("a", "F32", "[1,1,1,1,1]", 0, 4) "}", 4, LB_E_UNSUPPORTED, "tensor a", "5 dimensions");
    expect("{" T("a", "F32", "[-1,-2]", 0, 8) "}", 8, LB_E_FORMAT, "tensor a", "impossible");
    expect("{" T("a", "F32", "[4294967296,4294967296]", 0, 8) "}", 8, LB_E_FORMAT, "tensor a", "impossible");
    expect("{" T("a", "F32", "[2.0]", 0, 8) "}", 8, LB_E_FORMAT, "tensor a", "not an integer");
    expect("{" T("a", "F32", "2", 0, 8) "}", 8, LB_E_FORMAT, "tensor a", "no shape");
    expect("{\"a\":{\"shape\":[],\"data_offsets\":[0,4]}}", 4, LB_E_FORMAT, "tensor a", "no dtype");
    expect("{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0]}}", 4, LB_E_FORMAT, "tensor a", "two integers");
    expect("{\"a\":7}", 4, LB_E_FORMAT, "tensor a", "");
    expect("[1]", 0, LB_E_FORMAT, "not a JSON object", "");
    expect("{" T("a", "F32", "[1]", 0, 4) "," T("a", "F32", "[1]", 4, 8) "}", 8, LB_E_FORMAT, "given twice", "'a'");
    expect("{" T("a\\u0000", "F32", "[1]", 0, 4) "}", 4, LB_E_FORMAT, "a key holds a NUL", "");
    expect("{" T("a", "F32", "[99999999999999999999]", 0, 4) "}", 4, LB_E_FORMAT,
           "99999999999999999999 is out of range", "");
    expect("{" T("a\\nb", "F32", "[1]", 0, 4) "}", 4, LB_E_FORMAT, "control characters", "");
    expect("{" T("", "F32", "[1]", 0, 4) "}", 4, LB_E_FORMAT, "empty", "");
    expect("{\"__metadata__\":{\"k\":1}}", 0, LB_E_FORMAT, "__metadata__", "'k' is not a string");
    expect("{\"__metadata__\":1}", 0, LB_E_FORMAT, "__metadata__", "not an object");
    expect("{\"a\":", 0, LB_E_FORMAT, "not valid JSON", ":1:");

    lb_safetensors *s = NULL;
    memfile m = memfile_make("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10); /* header length 2^64 - 1 */
    assert_status(LB_E_FORMAT, lb_safetensors_open(m.path, &s));
    assert_error_has("header of 18446744073709551615 bytes");
    memfile_resize(&m, 5);
    assert_status(LB_E_FORMAT, lb_safetensors_open(m.path, &s));
    assert_error_has("too short");
    memfile_close(&m);
    assert_status(LB_E_IO, lb_safetensors_open("no/such/file.safetensors", &s));
}

/* A folder with an index and one shard, both as given; then opened. */
static void expect_index(const char *index, const char *shard_header, size_t data, lb_status status, const char *text,
                         const char *more) {
    char *dir = lb_fs_join(lb_test_tmpdir(), "indexed");
    char *i = lb_fs_join(dir, "model.safetensors.index.json"), *f = lb_fs_join(dir, "one.safetensors");
    lb_str b = {0};
    lb_safetensors *s = NULL;
    file_of(&b, shard_header, data);
    assert_ok(lb_fs_mkdirs(dir));
    assert_ok(lb_fs_write_atomic(i, index, strlen(index)));
    assert_ok(lb_fs_write_atomic(f, b.s, b.len));
    assert_status(status, lb_safetensors_open(dir, &s));
    if (status != LB_OK) {
        assert_error_has(text);
        assert_error_has(more);
    }
    lb_safetensors_close(s);
    lb_str_free(&b);
    lb_free(dir);
    lb_free(i);
    lb_free(f);
}

static void test_wrong_index(void **state) {
    (void)state;
    const char *shard = "{" T("a", "F32", "[1]", 0, 4) "}";
    lb_safetensors *s = NULL;
    expect_index("{\"weight_map\":{\"a\":\"one.safetensors\"}}", shard, 4, LB_OK, "", "");
    expect_index("{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\"}}", shard, 4, LB_E_FORMAT,
                 "tensor b is not in one.safetensors", "index.json");
    expect_index("{\"weight_map\":{\"b\":\"one.safetensors\"}}", shard, 4, LB_E_FORMAT, "tensor a has no entry",
                 "index.json");
    expect_index("{\"weight_map\":{\"a\":\"two.safetensors\"}}", shard, 4, LB_E_IO, "two.safetensors", "index.json");
    expect_index("{\"weight_map\":{\"a\":\"../one.safetensors\"}}", shard, 4, LB_E_FORMAT, "tensor a",
                 "plain file name");
    expect_index("{\"weight_map\":{\"a\":7}}", shard, 4, LB_E_FORMAT, "tensor a", "plain file name");
    expect_index("{\"weight_map\":{}}", shard, 4, LB_E_FORMAT, "weight_map", "");
    expect_index("{}", shard, 4, LB_E_FORMAT, "weight_map", "");
    expect_index("[]", shard, 4, LB_E_FORMAT, "weight_map", "");
    expect_index("{\"weight_map\":{\"a\":\"one.safetensors\"}}", shard, 3, LB_E_FORMAT, "one.safetensors",
                 "holds 3 bytes");
    assert_status(LB_E_IO, lb_safetensors_open(lb_test_tmpdir(), &s));
    assert_error_has("neither model.safetensors nor");
}

/* Two shards that hold the same tensor. */
static void test_twice(void **state) {
    (void)state;
    const char *dir = lb_test_tmpdir();
    char *a = lb_fs_join(dir, "a.safetensors"), *b = lb_fs_join(dir, "b.safetensors"), *i = lb_fs_join(dir, "i.json");
    const char *index = "{\"weight_map\":{\"x\":\"a.safetensors\",\"y\":\"b.safetensors\"}}";
    const float one = 1;
    const lb_tensor_out t[2] = {{"x", 1, {1}, &one, NULL, NULL}, {"y", 1, {1}, &one, NULL, NULL}};
    lb_safetensors *s = NULL;
    assert_ok(lb_safetensors_write(a, LB_F32, t, 1, NULL));
    assert_ok(lb_safetensors_write(b, LB_F32, t, 2, NULL));
    assert_ok(lb_fs_write_atomic(i, index, strlen(index)));
    assert_status(LB_E_FORMAT, lb_safetensors_open(i, &s));
    assert_error_has("tensor x is also in");
    index = "{\"weight_map\":{\"x\":\"a.safetensors\",\"y\":\"a.safetensors\"}}";
    assert_ok(lb_fs_write_atomic(i, index, strlen(index)));
    assert_ok(lb_safetensors_write(a, LB_F32, t, 2, NULL));
    assert_ok(lb_safetensors_open(i, &s));
    lb_safetensors_close(s);
    index = "{\"weight_map\":{\"x\":\"b.safetensors\",\"y\":\"a.safetensors\"}}";
    assert_ok(lb_fs_write_atomic(i, index, strlen(index)));
    assert_ok(lb_safetensors_write(a, LB_F32, t, 1, NULL));
    assert_ok(lb_safetensors_write(b, LB_F32, t + 1, 1, NULL));
    assert_status(LB_E_FORMAT, lb_safetensors_open(i, &s));
    assert_error_has("places in b.safetensors");
    lb_free(a);
    lb_free(b);
    lb_free(i);
}

static void test_damage(void **state) {
    (void)state;
    size_t size;
    uint8_t *data = slurp(fixture, &size);
    uint64_t header = 0;
    memcpy(&header, data, sizeof header);
    free(data);
    assert_int_equal(sweep_prefixes(probe_safetensors, fixture, LB_E_FORMAT, LB_E_FORMAT), 0);
    int64_t accepted = sweep_bytes(probe_safetensors, fixture, 0, 8 + header, LB_E_FORMAT, LB_E_UNSUPPORTED);
    assert_true(accepted > 0 && accepted < (int64_t)header);
    assert_true(sweep_allocations(probe_safetensors, fixture) > 50);
}

/* --- writing --- */

static char *out_path(void) { return lb_fs_join(lb_test_tmpdir(), "out.safetensors"); }

/* Neither the file nor its temporary one is there. */
static void assert_nothing_written(const char *path) {
    char **names = NULL;
    size_t n = 0;
    char *dir = lb_fs_dirname(path);
    assert_ok(lb_fs_list(dir, NULL, &names, &n));
    for (size_t i = 0; i < n; i++) assert_null(strstr(names[i], lb_fs_basename(path)));
    lb_fs_list_free(names, n);
    lb_free(dir);
}

static void test_write(void **state) {
    (void)state;
    enum { N = 40000 }; /* more than one piece */
    float *x = lb_alloc(N, sizeof *x);
    for (int i = 0; i < N; i++) x[i] = value(i);
    x[7] = -0.0f;
    const float tiny = 0x1p-24f, inf = INFINITY;
    const lb_tensor_out t[] = {{"z", 2, {N / 8, 8}, x, NULL, NULL},
                               {"a \"quoted\" \xe7\x8c\xab", 1, {3}, x, NULL, NULL},
                               {"scalar", 0, {0}, &tiny, NULL, NULL},
                               {"empty", 3, {2, 0, 2}, NULL, NULL, NULL},
                               {"inf", 1, {1}, &inf, NULL, NULL}};
    const char *const metadata[] = {"format", "pt", "a\nb", "\"c\"", NULL};
    char *path = out_path();
    const lb_dtype types[] = {LB_F32, LB_F16, LB_BF16};
    float *back = lb_alloc(N, sizeof *back);
    for (int k = 0; k < 3; k++) {
        lb_safetensors *s = NULL;
        assert_ok(lb_safetensors_write(path, types[k], t, 5, metadata));
        assert_ok(lb_safetensors_open(path, &s));
        assert_int_equal(lb_safetensors_count(s), 5);
        for (int i = 0; i < 5; i++) {
            const lb_tensor *r = lb_safetensors_find(s, t[i].name);
            assert_non_null(r);
            assert_int_equal(r->type, types[k]);
            assert_int_equal(r->ndim, t[i].ndim);
            assert_memory_equal(r->shape, t[i].shape, (size_t)r->ndim * sizeof(int64_t));
            assert_ok(lb_tensor_read_f32(r, 0, lb_tensor_count(r), back)); /* all values are exact in 16 bits */
            if (t[i].data) assert_memory_equal(back, t[i].data, (size_t)lb_tensor_count(r) * sizeof *back);
        }
        assert_string_equal(lb_safetensors_metadata(s, "a\nb"), "\"c\"");
        assert_string_equal(lb_safetensors_metadata(s, "format"), "pt");
        lb_safetensors_close(s);
        size_t size;
        uint8_t *raw = slurp(path, &size);
        assert_int_equal(raw[0] % 8, 0); /* the data begins aligned */
        free(raw);
    }
    lb_free(back);
    lb_free(x);
    remove(path);
    lb_free(path);
}

static void test_write_refusals(void **state) {
    (void)state;
    char *path = out_path();
    float big[3] = {1, -2, 65520};
    lb_tensor_out t[2] = {{"w", 1, {3}, big, NULL, NULL}, {"w", 1, {3}, big, NULL, NULL}};
    assert_status(LB_E_NUMERIC, lb_safetensors_write(path, LB_F16, t, 1, NULL));
    assert_error_has("tensor w: element 2 is 65520: too large for F16");
    assert_nothing_written(path);
    big[2] = 65519.996f; /* rounds to 65504 */
    assert_ok(lb_safetensors_write(path, LB_F16, t, 1, NULL));
    remove(path);
    big[1] = -FLT_MAX;
    assert_status(LB_E_NUMERIC, lb_safetensors_write(path, LB_BF16, t, 1, NULL));
    assert_status(LB_E_ARG, lb_safetensors_write(path, LB_F32, t, 2, NULL));
    assert_error_has("tensor w is to be written twice");
    t[0].ndim = 5;
    assert_status(LB_E_ARG, lb_safetensors_write(path, LB_F32, t, 1, NULL));
    t[0] = (lb_tensor_out){"__metadata__", 1, {3}, big, NULL, NULL};
    assert_status(LB_E_ARG, lb_safetensors_write(path, LB_F32, t, 1, NULL));
    t[0].name = "\xff";
    assert_status(LB_E_ARG, lb_safetensors_write(path, LB_F32, t, 1, NULL));
    assert_error_has("UTF-8");
    assert_status(LB_E_ARG, lb_safetensors_write(path, LB_Q8_0, t, 1, NULL));
    assert_error_has("not Q8_0");
    assert_nothing_written(path);
    assert_status(LB_E_IO, lb_safetensors_write("no/such/folder/x.safetensors", LB_F32, t + 1, 1, NULL));
    assert_error_has("no/such/folder/x.safetensors");
    lb_free(path);
}

/* A limit on file size stands for a full disk: the old file stays, no temporary file is left. */
static void test_write_disk_full(void **state) {
    (void)state;
    enum { N = 100000 };
    float *x = lb_alloc(N, sizeof *x);
    char *path = out_path();
    lb_tensor_out t = {"w", 1, {1}, x, NULL, NULL};
    struct rlimit old, small;
    lb_safetensors *s = NULL;
    assert_ok(lb_safetensors_write(path, LB_F32, &t, 1, NULL));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 65536;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    t.shape[0] = N;
    lb_status full = lb_safetensors_write(path, LB_F32, &t, 1, NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(full, LB_E_IO);
    assert_error_has("out.safetensors: cannot write");
    assert_ok(lb_safetensors_open(path, &s));
    assert_int_equal(lb_tensor_count(lb_safetensors_find(s, "w")), 1);
    lb_safetensors_close(s);
    remove(path);
    assert_nothing_written(path);
    lb_free(path);
    lb_free(x);
}

static lb_status write_probe(const char *path) {
    const float x[4] = {1, 2, 3, 4};
    const lb_tensor_out t[2] = {{"w", 2, {2, 2}, x, NULL, NULL}, {"v", 1, {4}, x, NULL, NULL}};
    return lb_safetensors_write(path, LB_F16, t, 2, (const char *const[]){"format", "pt", NULL});
}

static void test_write_without_memory(void **state) {
    (void)state;
    char *path = out_path();
    assert_true(sweep_allocations(write_probe, path) > 50);
    assert_true(lb_fs_exists(path));
    remove(path);
    assert_nothing_written(path);
    lb_free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_sharded),
        cmocka_unit_test(test_wrong_files),
        cmocka_unit_test(test_wrong_index),
        cmocka_unit_test(test_twice),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_write_refusals),
        cmocka_unit_test(test_write_disk_full),
        cmocka_unit_test(test_write_without_memory),
    };
    return cmocka_run_group_tests_name("io/safetensors", tests, set_up, NULL);
}
