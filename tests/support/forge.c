#include "support/forge.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "support/support.h"

void forge(const char *path, const char *section, const void *bytes, size_t n) {
    enum { HASH_AT = 216, HASHED = HASH_AT + LB_HASH_BYTES, NAME = 48 };
    char *file = NULL;
    size_t size = 0;
    int64_t sections, table_at, table_bytes, e[4]; /* type, count, values a piece, start */
    static const int64_t width[] = {1, 8, 4, 8};
    assert_ok(lb_fs_read(path, &file, &size));
    memcpy(&sections, file + 16, 8);
    memcpy(&table_at, file + 24, 8);
    memcpy(&table_bytes, file + 32, 8);
    char *at = file + table_at;
    bool found = false;
    for (int64_t i = 0; i < sections; i++) {
        memcpy(e, at + NAME, sizeof e);
        int64_t piece = e[2] * width[e[0]], all = e[1] * width[e[0]];
        if (strcmp(at, section) == 0) {
            assert_in_range(n, 1, piece < all ? piece : all);
            memcpy(file + e[3], bytes, n);
            assert_ok(
                lb_hash_digest(file + e[3], (size_t)(piece < all ? piece : all), (uint8_t *)at + NAME + sizeof e));
            found = true;
        }
        at += NAME + sizeof e + LB_HASH_BYTES * (size_t)(e[1] ? (e[1] - 1) / e[2] + 1 : 0);
    }
    assert_true(found);
    char *sealed = calloc(1, (size_t)(HASHED + table_bytes));
    assert_non_null(sealed);
    memcpy(sealed, file, HASHED);
    memset(sealed + HASH_AT, 0, LB_HASH_BYTES);
    memcpy(sealed + HASHED, file + table_at, (size_t)table_bytes);
    assert_ok(lb_hash_digest(sealed, (size_t)(HASHED + table_bytes), (uint8_t *)file + HASH_AT));
    assert_ok(lb_fs_write_atomic(path, file, size));
    free(sealed);
    lb_free(file);
}
