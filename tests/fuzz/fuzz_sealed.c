/* A sealed file (statistics, states, finished blocks) as somebody would make it who knows the format: the hash of its
 * header and table is put right first. Opened, its first sections found by name and read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "io/sealed.h"
#include "support/io_probe.h"
#include "support/status_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The layout that src/io/sealed.h describes. */
enum { HEADER = 256, AT_TABLE = 24, AT_KIND = 40, KIND = 16, AT_KEY = 56, KEY = 160, AT_HASH = 216, HASHED = 248 };
enum { NAME = 48 };

static size_t table_at, table_bytes;

static bool seal(uint8_t *x, size_t size) {
    int64_t place[2];
    memcpy(place, x + AT_TABLE, sizeof place);
    if (place[0] < HEADER || place[1] < 0 || (uint64_t)place[0] > size || (uint64_t)place[1] > size - (size_t)place[0])
        return false;
    table_at = (size_t)place[0], table_bytes = (size_t)place[1];
    uint8_t *all = calloc(HASHED + table_bytes, 1);
    if (!all) abort();
    memcpy(all, x, AT_HASH);
    memcpy(all + HASHED, x + table_at, table_bytes);
    if (lb_hash_digest(all, HASHED + table_bytes, x + AT_HASH) != LB_OK) abort();
    free(all);
    return true;
}

static bool ends_well(lb_status s) {
    if (s == LB_OK) return true;
    if (s == LB_E_FORMAT && *lb_error()) return false;
    fprintf(stderr, "%s: %s\n", status_name(s), lb_error());
    abort();
}

static void read_section(lb_sealed *s, const char *name, lb_sealed_type type) {
    static const size_t bytes[] = {1, 8, 4, 8};
    int64_t section, count;
    if (!ends_well(lb_sealed_find(s, name, type, &section, &count))) return;
    void *values = lb_alloc((size_t)count + 1, bytes[type]); /* no more than the file holds */
    if (!values) abort();
    (void)ends_well(lb_sealed_get_all(s, name, type, count, NULL, values));
    lb_free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char kind[KIND + 1] = "", key[KEY + 1] = "", name[NAME + 1] = "";
    if (size < HEADER) return 0;
    uint8_t *x = malloc(size);
    if (!x) abort();
    memcpy(x, data, size);
    bool whole = seal(x, size);
    memcpy(kind, x + AT_KIND, KIND);
    memcpy(key, x + AT_KEY, KEY);
    if (whole && table_bytes >= NAME) memcpy(name, x + table_at, NAME);
    memfile m = memfile_make(x, size);
    free(x);
    lb_sealed *s = NULL;
    if (ends_well(lb_sealed_open(m.path, kind, key, &s))) {
        for (int type = LB_SEALED_U8; type <= LB_SEALED_F64; type++) {
            read_section(s, name, (lb_sealed_type)type);
            read_section(s, "second", (lb_sealed_type)type);
        }
        lb_sealed_close(s);
    }
    memfile_close(&m);
    return 0;
}
