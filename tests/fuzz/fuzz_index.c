/* The index of a results folder, sweep.json, without any of the files that it may list; tables of what it says. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "report/report.h"
#include "result/store.h"
#include "support/status_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In memory: a disk would be what is measured. */
static char dir[] = "/dev/shm/fuzz-index-XXXXXX", path[64];

static void remove_folder(void) {
    unlink(path);
    rmdir(dir);
}

static void use(lb_results *r) {
    static const lb_table_format format[] = {LB_TABLE_TERMINAL, LB_TABLE_MARKDOWN, LB_TABLE_LATEX, LB_TABLE_HTML};
    lb_str out = {0};
    lb_status st = LB_OK;
    for (size_t i = 0; i < sizeof format / sizeof format[0] && st == LB_OK; i++)
        st = lb_report_main_table(r, format[i], &out);
    if (st == LB_OK) st = lb_report_cells_csv(r, &out);
    if (st != LB_OK) abort();
    lb_str_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!*path) {
        if (!mkdtemp(dir)) abort();
        snprintf(path, sizeof path, "%s/sweep.json", dir);
        atexit(remove_folder);
    }
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0) abort();
    lb_results *r = NULL;
    lb_status st = lb_store_read_results(dir, &r);
    if (st == LB_OK) {
        use(r);
        lb_results_free(r);
    } else if (!*lb_error() || (st != LB_E_FORMAT && st != LB_E_UNSUPPORTED && st != LB_E_IO)) {
        fprintf(stderr, "%s: %s\n", status_name(st), lb_error());
        abort();
    }
    return 0;
}
