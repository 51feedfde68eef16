/* After a first byte 'e': a list of expected values, its tables over results of every kind, what is told before a run.
 * After any other: the three lists of published numbers, each ended by a byte 1; every row of them as a cell. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "report/report.h"
#include "support/io_probe.h"
#include "support/status_name.h"
#include "support/synthetic_results.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(lb_status st) {
    if (st == LB_OK || (st == LB_E_FORMAT && *lb_error())) return;
    fprintf(stderr, "%s: %s\n", status_name(st), lb_error());
    abort();
}

static void list(const char *text, size_t n) {
    static lb_results *r;
    if (!r) r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    memfile m = memfile_make(text, n);
    lb_str s = {0};
    int64_t outside;
    expect(lb_report_expected_table(r, m.path, LB_TABLE_TERMINAL, &s, &outside));
    expect(lb_report_published_table(r, m.path, NULL, LB_TABLE_TERMINAL, &s, &outside));
    expect(lb_report_expected_preview(r, m.path, NULL));
    lb_str_free(&s);
    memfile_close(&m);
}

static char dir[] = "/dev/shm/lowbit-fuzz.XXXXXX";
static void clean_up(void) { lb_fs_remove_folder(dir); }

/* One of the lists; what follows it. */
static const char *put(const char *leaf, const char *text, const char *end) {
    char path[sizeof dir + 32];
    const char *stop = memchr(text, 1, (size_t)(end - text));
    if (!stop) stop = end;
    snprintf(path, sizeof path, "%s/%s", dir, leaf);
    FILE *f = fopen(path, "w");
    if (!f || fwrite(text, 1, (size_t)(stop - text), f) != (size_t)(stop - text) || fclose(f) != 0) abort();
    return stop < end ? stop + 1 : end;
}

static void lists(const char *text, size_t n) {
    static bool made;
    if (!made && !mkdtemp(dir)) abort();
    if (!made) atexit(clean_up);
    made = true;
    const char *end = text + n;
    text = put("models.csv", text, end);
    text = put("methods.csv", text, end);
    put("published.csv", text, end);
    lb_arena *a;
    lb_papers p;
    if (lb_arena_new(0, &a) != LB_OK) abort();
    lb_status st = lb_papers_read(a, dir, &p);
    expect(st);
    for (size_t i = 0; st == LB_OK && i < p.rows && i < 20; i++) {
        lb_published_cell c;
        lb_status made_of = lb_published_cell_of(a, &p.row[i], &c);
        if (made_of != LB_E_CONFIG) expect(made_of); /* an entry that is no YAML */
        if (!lb_published_same_cell(&p.row[i], &p.row[i]) && lb_published_counts(&p.row[i])) abort();
    }
    lb_arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2 || size > 100000) return 0;
    const char *text = (const char *)data + 1;
    if (data[0] == 'e')
        list(text, size - 1);
    else
        lists(text, size - 1);
    return 0;
}
