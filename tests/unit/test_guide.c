/* What algorithms/README.md says there is, is there: all formats and statistics, and every function that it names. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "eval/collect.h"
#include "quant/format.h"
#include "quant/method.h"
#include "support/support.h"

static char *guide;

static int setup(void **state) {
    (void)state;
    size_t n;
    return lb_fs_read("algorithms/README.md", &guide, &n) == LB_OK ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    lb_free(guide);
    return 0;
}

static void has(const char *text) {
    if (!strstr(guide, text)) fail_msg("algorithms/README.md has no '%s'", text);
}

/* Each with its bits, and none that is no format. */
static void formats(void **state) {
    (void)state;
    int rows = 0, known = 0;
    for (; lb_formats[known]; known++) {
        const lb_format *f = lb_formats[known];
        char row[64];
        if (f->bits_min == f->bits_max)
            snprintf(row, sizeof row, "| `%s` | %d |", f->name, f->bits_min);
        else
            snprintf(row, sizeof row, "| `%s` | %d to %d |", f->name, f->bits_min, f->bits_max);
        has(row);
    }
    const char *table = strstr(guide, "| format | bits | what |");
    assert_non_null(table);
    for (const char *p = strchr(table, '\n') + 1; *p == '|'; p = strchr(p, '\n') + 1) rows += p[2] == '`';
    assert_int_equal(rows, known);
}

/* A row of the table of statistics for each, by the bit that asks for it. */
static void statistics(void **state) {
    (void)state;
    static const struct {
        uint32_t need;
        const char *row;
    } of[] = {{LB_NEEDS_HESSIAN, "| `LB_NEEDS_HESSIAN` | `H` |"},
              {LB_NEEDS_ABSMAX, "| `LB_NEEDS_ABSMAX` | `absmax` |"},
              {LB_NEEDS_MEAN, "| `LB_NEEDS_MEAN` | `mean_abs` |"},
              {LB_NEEDS_RANGE, "| `LB_NEEDS_RANGE` | `lo`, `hi` |"},
              {LB_NEEDS_ROWS, "| `LB_NEEDS_ROWS` | `rows` |"}};
    for (int i = 0; lb_collectors[i]; i++) {
        const char *row = NULL;
        if (lb_collectors[i]->need & LB_NEEDS_OF_HARNESS) continue; /* nothing that a method asks for */
        for (size_t k = 0; k < sizeof of / sizeof of[0]; k++)
            if (of[k].need == lb_collectors[i]->need) row = of[k].row;
        if (!row) fail_msg("statistic '%s' has no row that this test knows", lb_collectors[i]->name);
        has(row);
    }
}

/* All headers that a method may include, one after another. */
static void read_headers(char *out, size_t room) {
    FILE *p = popen("cat src/base/*.h src/math/*.h src/quant/*.h", "r");
    assert_non_null(p);
    size_t n = fread(out, 1, room - 1, p);
    out[n] = 0;
    assert_true(n > 1000 && n < room - 1);
    assert_int_equal(pclose(p), 0);
}

static void names(void **state) {
    (void)state;
    static char headers[1 << 20];
    read_headers(headers, sizeof headers);
    int checked = 0;
    for (const char *p = guide; (p = strstr(p, "`lb_")); p++) {
        char name[80];
        size_t n = 1;
        while (isalnum((unsigned char)p[n]) || p[n] == '_') n++;
        snprintf(name, sizeof name, "%.*s", (int)n - 1, p + 1);
        if (!strstr(headers, name)) fail_msg("algorithms/README.md names %s, which no header has", name);
        checked++;
    }
    assert_true(checked > 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(formats), cmocka_unit_test(statistics),
                                       cmocka_unit_test(names)};
    return cmocka_run_group_tests_name("guide", tests, setup, teardown);
}
