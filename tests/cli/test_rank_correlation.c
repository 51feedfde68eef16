/* tools/rank-correlation: Spearman's coefficient of two columns, computed by hand here. */
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "support/run_cli.h"
#include "support/support.h"

static char dir[LB_TEST_PATH];

static int setup(void **state) {
    (void)state;
    snprintf(dir, sizeof dir, "%s", lb_test_tmpdir());
    return 0;
}

static void put(const char *text) {
    char path[LB_TEST_PATH + 16];
    snprintf(path, sizeof path, "%s/cells.csv", dir);
    assert_ok(lb_fs_write_atomic(path, text, strlen(text)));
}

static int tool(const char *words, char out[512]) {
    char tools[LB_TEST_PATH], command[3 * LB_TEST_PATH];
    lb_test_fixture("tools/rank-correlation", tools);
    snprintf(command, sizeof command, "'%s' '%s/cells.csv' %s 2>&1", tools, dir, words);
    return cli_shell(command, out, 512);
}

static void gives(const char *words, const char *line) {
    char out[512];
    if (tool(words, out) != 0 || strcmp(out, line) != 0) fail_msg("%s: %s", words, out);
}

static void refuses(const char *words, const char *part) {
    char out[512];
    if (tool(words, out) == 0 || !strstr(out, part)) fail_msg("%s: %s", words, out);
}

/* Ranks of x 1 2 3 4 5, of y 2 1 4 3 5: 1 - 6 * 4 / (5 * 24) = 0.8. Quotes, commas and a line end inside of a field;
 * rows without a number do not count. */
static void by_hand(void **state) {
    (void)state;
    put("label,method,x,y\n\"a, "
        "\"\"b\"\"\",m,1,20\nc,m,2,1e1\n\"d\ne\",m,3,40\nf,m,4,30\ng,m,5,50\nh,m,,7\ni,n,6,-100\n");
    gives("x y method=m", "rho 0.80 over 5 rows\n");
    gives("x x", "rho 1.00 over 6 rows\n");
    gives("y x", "rho 0.03 over 6 rows\n"); /* y 3 2 5 4 6 1: 1 - 6 * 34 / (6 * 35) */
    /* Equal ones share their mean rank: x 1.5 1.5 3 4, y 1 2 3 4: 4.5 / sqrt(4.5 * 5). */
    put("x,y\r\n1,1\r\n1,2\r\n2,3\r\n3,4\r\n");
    gives("x y", "rho 0.95 over 4 rows\n");
}

static void refused(void **state) {
    (void)state;
    put("x,y,z\n1,2,3\n2,3,3\n3,1,3\n");
    refuses("x w", "no column w");
    refuses("x y x=1", "only 1 rows have both numbers");
    refuses("x y nonsense", "must be COLUMN=VALUE");
    refuses("x z", "all rows have the same z");
    refuses("x", "usage: ");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_hand), cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
