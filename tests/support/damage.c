#include "support/damage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/rng.h"
#include "io/h5_file.h"
#include "report/report.h"
#include "result/figures.h"
#include "result/store.h"
#include "support/io_probe.h"
#include "support/run_cli.h"
#include "support/status_name.h"
#include "support/support.h"
#include "support/synthetic_results.h"

enum { VICTIM = 2 }; /* a cell with layers, evaluations, warnings */

static char index_head[LB_TEST_PATH], victim[512];
static char *index_text;

static void put(const char *path, const void *data, size_t n) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* What not every file has: numbers that the method told, and layers that are one. */
static void add_rarer(lb_record *c) {
    static const lb_diagnostic told[] = {{"kept_share", "", "share of the weights that are kept", 0, 1},
                                         {"wanda.least", "nats", "another number", -1, 1e6}};
    enum { BLOCK = 7 };
    c->diagnostics = (lb_diagnostics){told, sizeof told / sizeof told[0]};
    for (int64_t i = 0; i < c->layers; i++) {
        lb_layer_row *l = &c->layer[i];
        l->told = (lb_told){0};
        lb_tell(&l->told, 0, 0.5);
        if (i % 2) lb_tell(&l->told, 1, (double)i);
        l->same_as = i >= BLOCK && i < 2 * BLOCK ? c->layer[i - BLOCK].name : "";
        if (lb_layer_is_shared(l)) l->size = (lb_size){0};
    }
}

void damage_make(const char *dir, char path[4096]) {
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, dir);
    add_rarer(&r->record[VICTIM]);
    r->n = VICTIM + 1; /* every round reads them all, each in a child: the baseline, and one more than a report needs */
    for (int64_t i = 0; i < r->n; i++)
        if (r->record[i].state == LB_CELL_DONE) assert_ok(lb_store_write(dir, &r->record[i]));
    assert_ok(lb_store_write_index(dir, r->name, r->model_name, r->model_note, r->record, r->n));
    snprintf(victim, sizeof victim, "%s", r->record[VICTIM].stem);
    assert_int_equal(r->record[VICTIM].state, LB_CELL_DONE);
    snprintf(path, 4096, "%s/%s.h5", dir, victim);
    snprintf(index_head, sizeof index_head, "%s/sweep.json", dir);
    lb_free(index_text);
    assert_ok(lb_fs_read(index_head, &index_text, NULL));
    synthetic_results_free(r);
}

void damage_write(const char *dir, uint8_t *bytes, size_t size) {
    char hex[LB_HASH_HEX], path[LB_TEST_PATH];
    assert_ok(lb_hash_bytes(bytes + LB_H5_SEAL, size - LB_H5_SEAL, hex));
    memset(bytes, 0, LB_H5_SEAL);
    snprintf((char *)bytes, LB_H5_SEAL, "Lowbit HDF5 file. SHA-256 of everything after these %d bytes:\n%s\n",
             LB_H5_SEAL, hex);
    snprintf(path, sizeof path, "%s/%s.h5", dir, victim);
    put(path, bytes, size);
    assert_ok(lb_hash_bytes(bytes, size, hex));
    char *cell = strstr(index_text, victim), *sha = cell ? strstr(cell, "\"sha256\": \"") : NULL;
    assert_non_null(sha);
    memcpy(sha + strlen("\"sha256\": \""), hex, LB_HASH_HEX - 1);
    put(index_head, index_text, strlen(index_text));
}

static size_t below(lb_rng *r, size_t n) { return (size_t)lb_rng_below(r, (int64_t)(n ? n : 1)); }

/* A length, an offset or a count, as it would be with bits lost or chosen with care. */
static void odd_number(lb_rng *r, uint8_t *at, size_t room) {
    static const uint64_t value[] = {0,          1,    0x7f, 0xffff, 0x7fffffff, 0xffffffff, 0x7fffffffffffffff,
                                     UINT64_MAX, 4096, 512};
    static const size_t width[] = {2, 4, 8};
    size_t n = width[below(r, 3)];
    uint64_t v = value[below(r, sizeof value / sizeof value[0])];
    memcpy(at, &v, n < room ? n : room);
}

/* Where HDF5 keeps texts. */
static size_t in_heap(lb_rng *r, const uint8_t *b, size_t size) {
    size_t start[64], n = 0;
    for (size_t i = LB_H5_SEAL; i + 4 < size && n < 64; i++)
        if (!memcmp(b + i, "GCOL", 4)) start[n++] = i;
    return n ? start[below(r, n)] + 16 + 8 * below(r, 32) : LB_H5_SEAL;
}

/* One change; the new size. There is room for twice the file. */
static size_t change(lb_rng *r, uint8_t *b, size_t size) {
    size_t rest = size - LB_H5_SEAL, at = LB_H5_SEAL + below(r, rest), n = 1 + below(r, 64), from;
    if (below(r, 3) == 0) at = in_heap(r, b, size);
    if (at >= size) at = size - 1;
    if (n > size - at) n = size - at;
    switch (below(r, 8)) {
    case 0:
        b[at] = (uint8_t)lb_rng_u32(r);
        return size;
    case 1:
        b[at] ^= (uint8_t)(1u << below(r, 8));
        return size;
    case 2:
        memset(b + at, below(r, 2) ? 0xff : 0, n);
        return size;
    case 3:
        from = LB_H5_SEAL + below(r, rest);
        if (n > size - from) n = size - from;
        memmove(b + at, b + from, n < size - at ? n : size - at);
        return size;
    case 4: /* one part of it twice, or not at all */
        if (below(r, 2)) {
            memmove(b + at + n, b + at, size - at);
            return size + n;
        }
        memmove(b + at, b + at + n, size - at - n);
        return size - n > LB_H5_SEAL ? size - n : LB_H5_SEAL + 1;
    case 5:
        return below(r, 4) ? size : at > LB_H5_SEAL ? at : LB_H5_SEAL + 1;
    default:
        odd_number(r, b + at, size - at);
        return size;
    }
}

/* What a report does with it. */
static void use(const char *dir) {
    lb_results *r = NULL;
    lb_str out = {0};
    lb_status st = lb_store_read_results(dir, &r);
    if (st == LB_E_FORMAT) { /* what libhdf5 reads beyond its memory may differ from one process to the next */
        assert_non_null(strstr(lb_error(), "is damaged: reading it ended with"));
        return;
    }
    assert_ok(st);
    assert_ok(lb_report_main_table(r, LB_TABLE_HTML, &out));
    assert_ok(lb_report_layer_table(r, VICTIM, NULL, LB_TABLE_MARKDOWN, &out));
    assert_ok(lb_report_size_table(r, LB_TABLE_LATEX, &out));
    assert_ok(lb_report_cells_csv(r, &out));
    lb_str_free(&out);
    lb_results_free(r);
}

static void judge(const char *dir, const char *path, int64_t round, damage_count *c) {
    lb_arena *a = NULL;
    lb_record r;
    char said[LB_TEST_PATH + 16];
    assert_ok(lb_arena_new(0, &a));
    lb_status st = lb_store_read(path, a, &r);
    bool mine = st == LB_OK && strcmp(r.stem, victim) == 0;
    lb_arena_free(a);
    snprintf(said, sizeof said, "%s is damaged: ", path);
    if (st == LB_OK) {
        c->read++;
        if (mine) use(dir);
        return;
    }
    if (st != LB_E_UNSUPPORTED && (st != LB_E_FORMAT || strncmp(lb_error(), said, strlen(said)) != 0))
        fail_msg("round %lld: %s: %s", (long long)round, status_name(st), lb_error());
    if (strstr(lb_error(), "takes"))
        c->stuck++;
    else if (strstr(lb_error(), "ended with"))
        c->crashed++;
    else
        c->refused++;
}

static void judge_program(const char *dir, const char *path, int64_t round) {
    cli_result r = CLI(NULL, "report", dir, "--no-write");
    if (r.code != 0 && r.code != 1) fail_msg("round %lld: exit code %d: %s", (long long)round, r.code, r.err);
    if (r.code == 1) cli_has(r.err, path);
    cli_free(&r);
}

static int64_t resident(int who) {
    struct rusage u;
    assert_int_equal(getrusage(who, &u), 0);
    return (int64_t)u.ru_maxrss * 1024;
}

damage_count damage_rounds(const char *dir, uint64_t seed, int64_t rounds, int64_t program) {
    enum { HANG_S = 120 };
    damage_count c = {0};
    char path[4096];
    size_t whole;
    damage_make(dir, path);
    uint8_t *bytes = slurp(path, &whole), *b = malloc(2 * whole + 4096);
    assert_non_null(b);
    for (int64_t i = 0; i < rounds; i++) {
        lb_rng r = lb_rng_make(seed, (uint64_t)i);
        size_t size = whole;
        memcpy(b, bytes, whole);
        for (size_t k = 1 + below(&r, 3); k > 0; k--) size = change(&r, b, size);
        damage_write(dir, b, size);
        alarm(HANG_S); /* ends the test */
        judge(dir, path, i, &c);
        if (program && i % program == 0) judge_program(dir, path, i);
        alarm(0);
    }
    free(bytes);
    free(b);
    c.parent = resident(RUSAGE_SELF);
    c.child = resident(RUSAGE_CHILDREN);
    return c;
}
