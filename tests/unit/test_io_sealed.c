/* Sealed files: what was put comes back, in any order and from any thread, and nothing else ever does: not after a
 * changed bit, a lost or added byte, or from a table that somebody sealed again. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "io/sealed.h"
#include "support/io_probe.h"
#include "support/support.h"

static char path[LB_TEST_PATH];
static lb_team *team;

/* As the file has them. */
enum { HEADER = 256, AT_SECTIONS = 16, AT_TABLE_AT = 24, AT_TABLE_BYTES = 32, AT_HASH = 216, HASHED = 248 };
enum { ENTRY_TYPE = 48, ENTRY_COUNT = 56, ENTRY_PIECE = 64, ENTRY_AT = 72, ENTRY = 80 };
enum { REALS = 300000, BYTES = 41, ROWS = 7, ROW = 13 };

static double reals[REALS];
static uint8_t bytes[BYTES];
static float rows[ROWS][ROW];

static int setup(void **state) {
    (void)state;
    snprintf(path, sizeof path, "%s/x.bin", lb_test_tmpdir());
    for (int i = 0; i < REALS; i++) reals[i] = i / 7.0;
    for (int i = 0; i < BYTES; i++) bytes[i] = (uint8_t)(i * 37);
    for (int i = 0; i < ROWS * ROW; i++) rows[i / ROW][i % ROW] = (float)i / 3;
    return lb_team_new(4, &team) != LB_OK;
}
static int teardown(void **state) {
    (void)state;
    lb_team_free(team);
    return 0;
}

/* Without syncing: thousands of them. */
static void put_bytes(const void *data, size_t n) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

typedef struct rows_job {
    lb_sealed *s;
    int64_t section;
} rows_job;
static lb_status put_row(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const rows_job *j = ctx;
    int64_t row = ROWS - 1 - piece; /* the last first */
    return lb_sealed_put(j->s, j->section, row * ROW, ROW, NULL, rows[row]);
}

static lb_status write_file(int64_t n_reals) {
    rows_job j = {0};
    lb_status st;
    LB_TRY(lb_sealed_create(path, "numbers", "some key", &j.s));
    LB_TRY_GOTO(st, done, lb_sealed_add(j.s, "rows", LB_SEALED_F32, ROWS * ROW, ROW, &j.section));
    LB_TRY_GOTO(st, done, lb_sealed_put_all(j.s, "reals", LB_SEALED_F64, n_reals, team, reals));
    LB_TRY_GOTO(st, done, lb_sealed_put_all(j.s, "nothing", LB_SEALED_I64, 0, team, NULL));
    LB_TRY_GOTO(st, done, lb_sealed_put_all(j.s, "bytes", LB_SEALED_U8, BYTES, NULL, bytes));
    LB_TRY_GOTO(st, done, lb_parallel_for(team, ROWS, put_row, &j));
    LB_TRY_GOTO(st, done, lb_sealed_commit(j.s));
done:
    lb_sealed_close(j.s);
    return st;
}

/* Everything that was put, or the status of the first thing that is not there. */
static lb_status read_file(int64_t n_reals) {
    static double got[REALS];
    float row[ROW];
    uint8_t b[BYTES];
    int64_t section = 0, count = 0;
    lb_sealed *s = NULL;
    lb_status st = lb_sealed_open(path, "numbers", "some key", &s);
    assert_int_equal(s != NULL, st == LB_OK);
    if (st != LB_OK) return st;
    LB_TRY_GOTO(st, done, lb_sealed_get_all(s, "reals", LB_SEALED_F64, n_reals, team, got));
    assert_memory_equal(got, reals, (size_t)n_reals * sizeof *got);
    LB_TRY_GOTO(st, done, lb_sealed_get_all(s, "nothing", LB_SEALED_I64, 0, NULL, NULL));
    LB_TRY_GOTO(st, done, lb_sealed_get_all(s, "bytes", LB_SEALED_U8, BYTES, NULL, b));
    assert_memory_equal(b, bytes, BYTES);
    LB_TRY_GOTO(st, done, lb_sealed_find(s, "rows", LB_SEALED_F32, &section, &count));
    assert_int_equal(count, ROWS * ROW);
    if (lb_sealed_piece(s, section) != ROW) st = lb_fail(LB_E_FORMAT, "pieces of %d expected", ROW);
    if (st != LB_OK) goto done;
    for (int i = 0; i < ROWS; i++) {
        LB_TRY_GOTO(st, done, lb_sealed_get(s, section, i * ROW, ROW, NULL, row));
        assert_memory_equal(row, rows[i], sizeof row);
    }
done:
    if (st == LB_E_FORMAT)
        assert_true(lb_sealed_damaged(s) || strstr(lb_error(), "expected") || strstr(lb_error(), "holds no"));
    if (st == LB_OK) assert_false(lb_sealed_damaged(s));
    lb_sealed_close(s);
    return st;
}

static void what_was_put_comes_back(void **state) {
    (void)state;
    assert_ok(write_file(REALS));
    assert_ok(read_file(REALS));
    lb_sealed *s = NULL;
    double some[4];
    int64_t section, count;
    assert_status(LB_E_FORMAT, lb_sealed_open(path, "numbers", "other key", &s));
    assert_error_has("key some key, expected other key");
    assert_status(LB_E_FORMAT, lb_sealed_open(path, "letters", "some key", &s));
    assert_error_has("not a file of letters");
    assert_ok(lb_sealed_open(path, "numbers", "some key", &s));
    assert_status(LB_E_FORMAT, lb_sealed_find(s, "complex", LB_SEALED_F64, &section, &count));
    assert_status(LB_E_FORMAT, lb_sealed_find(s, "reals", LB_SEALED_F32, &section, &count));
    assert_status(LB_E_FORMAT, lb_sealed_get_all(s, "reals", LB_SEALED_F64, 4, NULL, some));
    assert_ok(lb_sealed_find(s, "rows", LB_SEALED_F32, &section, &count));
    assert_status(LB_E_ARG, lb_sealed_get(s, section, 1, ROW, NULL, some)); /* not a piece */
    assert_status(LB_E_ARG, lb_sealed_get(s, section, 0, ROW - 1, NULL, some));
    assert_status(LB_E_ARG, lb_sealed_get(s, section, ROWS * ROW, ROW, NULL, some));
    assert_status(LB_E_ARG, lb_sealed_commit(s));
    lb_sealed_close(s);
}

static void whole_or_not_at_all(void **state) {
    (void)state;
    lb_sealed *s = NULL;
    int64_t section;
    unlink(path);
    assert_ok(lb_sealed_create(path, "numbers", "some key", &s));
    assert_ok(lb_sealed_add(s, "rows", LB_SEALED_F32, ROWS * ROW, ROW, &section));
    assert_ok(lb_sealed_put(s, section, 0, (ROWS - 1) * ROW, team, rows));
    assert_status(LB_E_ARG, lb_sealed_commit(s));
    assert_error_has("piece 6 of rows was never put");
    lb_sealed_close(s);
    assert_status(LB_E_IO, lb_sealed_open(path, "numbers", "some key", &s));
    assert_status(LB_E_IO, lb_sealed_create("/nonexistent/x", "numbers", "some key", &s));
    assert_status(LB_E_ARG, lb_sealed_create(path, "numbers of a kind", "some key", &s));
    assert_null(s);
    char **names, *dir = lb_fs_dirname(path);
    size_t n;
    assert_ok(lb_fs_list(dir, NULL, &names, &n));
    assert_int_equal(n, 0);
    lb_fs_list_free(names, n);
    lb_free(dir);
}

static void every_bit_counts(void **state) {
    (void)state;
    assert_ok(write_file(3));
    size_t n;
    uint8_t *whole = slurp(path, &n);
    for (size_t i = 0; i < n; i++) {
        for (int bit = 0; bit < 8; bit += 7) {
            whole[i] ^= (uint8_t)(1 << bit);
            put_bytes(whole, n);
            assert_status(LB_E_FORMAT, read_file(3));
            whole[i] ^= (uint8_t)(1 << bit);
        }
        put_bytes(whole, i);
        assert_status(LB_E_FORMAT, read_file(3));
    }
    uint8_t *longer = calloc(n + 1, 1);
    memcpy(longer, whole, n);
    put_bytes(longer, n + 1);
    assert_status(LB_E_FORMAT, read_file(3));
    put_bytes(whole, n);
    assert_ok(read_file(3));
    free(longer);
    free(whole);
}

static int64_t get64(const uint8_t *p) {
    int64_t v;
    memcpy(&v, p, 8);
    return v;
}

/* The file with one number of header or table changed, and sealed again. */
static void resealed(const uint8_t *whole, size_t n, size_t at, int64_t value) {
    uint8_t *x = malloc(n), *hashed = calloc(HASHED + n, 1);
    memcpy(x, whole, n);
    memcpy(x + at, &value, 8);
    size_t table_at = (size_t)get64(whole + AT_TABLE_AT), table = (size_t)get64(whole + AT_TABLE_BYTES);
    memcpy(hashed, x, HASHED);
    memset(hashed + AT_HASH, 0, LB_HASH_BYTES);
    memcpy(hashed + HASHED, x + table_at, table);
    assert_ok(lb_hash_digest(hashed, HASHED + table, x + AT_HASH));
    put_bytes(x, n);
    free(x);
    free(hashed);
}

static void a_table_that_lies(void **state) {
    (void)state;
    static const int64_t value[] = {-1,        0,        1, 2, 5, 14, 92, 4096, 1 << 20, INT32_MAX, INT64_MAX / 8,
                                    INT64_MAX, INT64_MIN};
    assert_ok(write_file(3));
    size_t n;
    uint8_t *whole = slurp(path, &n);
    size_t table = (size_t)get64(whole + AT_TABLE_AT);
    resealed(whole, n, AT_TABLE_AT, (int64_t)table); /* the same: the seal is understood */
    assert_ok(read_file(3));
    const size_t at[] = {8,
                         AT_SECTIONS,
                         AT_TABLE_AT,
                         AT_TABLE_BYTES,
                         table + ENTRY_TYPE,
                         table + ENTRY_COUNT,
                         table + ENTRY_PIECE,
                         table + ENTRY_AT};
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++)
        for (size_t k = 0; k < sizeof value / sizeof value[0]; k++) {
            if (get64(whole + at[i]) == value[k]) continue;
            resealed(whole, n, at[i], value[k]);
            lb_sealed *s = NULL;
            lb_status st = lb_sealed_open(path, "numbers", "some key", &s);
            lb_sealed_close(s);
            /* Other pieces of the same bytes are a table that could be; reading finds out. */
            if (st == LB_OK) st = read_file(3);
            assert_int_equal(st, LB_E_FORMAT);
        }
    free(whole);
}

static void what_is_no_file(void **state) {
    (void)state;
    lb_sealed *s = NULL;
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_status(LB_E_IO, lb_sealed_open(path, "numbers", "some key", &s)); /* and does not wait */
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_status(LB_E_IO, lb_sealed_open(path, "numbers", "some key", &s));
    rmdir(path);
    put_bytes("LBSTATE1", 8);
    assert_status(LB_E_FORMAT, lb_sealed_open(path, "numbers", "some key", &s));
    assert_null(s);
}

static void every_allocation_fails_once(void **state) {
    (void)state;
    for (int64_t nth = 1;; nth++) {
        lb_alloc_fail_at(nth);
        lb_status st = write_file(3);
        if (st == LB_OK) st = read_file(3);
        bool reached = lb_alloc_count() >= nth;
        lb_alloc_fail_at(0);
        assert_int_equal(st, reached ? LB_E_NOMEM : LB_OK);
        if (!reached) break;
    }
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_comes_back), cmocka_unit_test(whole_or_not_at_all),
        cmocka_unit_test(every_bit_counts),        cmocka_unit_test(a_table_that_lies),
        cmocka_unit_test(what_is_no_file),         cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
