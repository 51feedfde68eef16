/* The first byte says how rows are read; the rest is the file: gzip data or not, each row as an object and as a text,
 * all joined. */
#include <stdlib.h>
#include <string.h>

#include "model/rows.h"
#include "support/io_probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(lb_status st) {
    if (st != LB_OK && st != LB_E_FORMAT && st != LB_E_CONFIG) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    lb_rows *r;
    if (size < 2 || size > 100000) return 0;
    lb_row_spec s = {.form = data[0] & 3, .chat = (data[0] >> 2) % 3, .field = data[0] & 32 ? "messages" : "text"};
    if (data[0] & 64) s.first = 2;
    memfile m = memfile_make((const char *)data + 1, size - 1);
    lb_status st = lb_rows_open(m.path, &s, &r);
    expect(st);
    if (st == LB_OK) {
        lb_str text = {0};
        int64_t n = lb_rows_count(r);
        for (int64_t i = 0; i < n && i < 100; i++) {
            json_t *o = NULL;
            char place[LB_ROW_PLACE];
            expect(lb_rows_object(r, i, &o));
            json_decref(o);
            expect(lb_rows_text(r, i, &text));
            lb_rows_place(r, i, place);
        }
        text.len = 0;
        if (n < 1000) expect(lb_rows_join(r, "\n\n", &text));
        lb_str_free(&text);
        lb_rows_close(r);
    }
    memfile_close(&m);
    return 0;
}
