/* A result as the process that reads HDF5 hands it over: the flat form, its record, and tables of that. (Damaged HDF5
 * itself: tests/long/test_hostile_results.c.) */
#include <stdio.h>
#include <stdlib.h>

#include "io/h5_flat.h"
#include "report/report.h"
#include "result/store.h"
#include "support/status_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static lb_status tables(lb_arena *a, lb_record *record, lb_str *out) {
    static const lb_table_format format[] = {LB_TABLE_TERMINAL, LB_TABLE_MARKDOWN, LB_TABLE_LATEX, LB_TABLE_HTML};
    lb_results r = {
        .dir = "fuzz", .name = "fuzz", .record = record, .n = 1, .model_name = "m", .model_note = "", .arena = a};
    for (size_t i = 0; i < sizeof format / sizeof format[0]; i++) {
        LB_TRY(lb_report_main_table(&r, format[i], out));
        LB_TRY(lb_report_size_table(&r, format[i], out));
        LB_TRY(lb_report_layer_table(&r, 0, NULL, format[i], out));
    }
    return lb_report_cells_csv(&r, out);
}

static lb_status read(lb_arena *a, lb_str *flat) {
    lb_h5 *h = NULL;
    lb_record record;
    lb_str out = {0};
    LB_TRY(lb_h5_from_flat("fuzz.h5", flat, &h));
    lb_status st = lb_store_read_open(h, a, &record);
    lb_h5_abandon(h);
    if (st == LB_OK) {
        st = tables(a, &record, &out);
        lb_str_free(&out);
        if (st == LB_E_ARG) st = LB_OK; /* a cell without layers has no table of them */
    }
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    lb_arena *a = NULL;
    lb_str flat = {0};
    lb_str_add_bytes(&flat, data, size);
    if (flat.failed || lb_arena_new(65536, &a) != LB_OK) abort();
    lb_status st = read(a, &flat);
    if (st != LB_OK &&
        (!*lb_error() || (st != LB_E_FORMAT && st != LB_E_UNSUPPORTED && st != LB_E_NOMEM && st != LB_E_IO))) {
        fprintf(stderr, "%s: %s\n", status_name(st), lb_error());
        abort();
    }
    lb_arena_free(a);
    lb_str_free(&flat);
    return 0;
}
