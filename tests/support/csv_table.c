#include "support/csv_table.h"

#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "support/support.h"

lb_csv csv_of_text(lb_arena *a, const char *text) {
    char path[LB_TEST_PATH];
    lb_csv c;
    snprintf(path, sizeof path, "%s/table.csv", lb_test_tmpdir());
    assert_ok(lb_fs_write_atomic(path, text, strlen(text)));
    assert_ok(lb_csv_read(a, path, &c));
    return c;
}

const char *csv_at(const lb_csv *c, size_t row, const char *column) {
    int k = lb_csv_column(c, column);
    if (k < 0) fail_msg("no column %s", column);
    return c->row[row][k];
}
