/* What a cell keeps and what it must not take: blocks of an interrupted run, blocks of another key, layers of another
 * size than was asked for, and flags on their way to every table. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "report/report.h"
#include "support/forge.h"
#include "support/h5_same.h"
#include "support/probe.h"
#include "support/small_model.h"

extern const lb_method lb_hadamard_method, lb_smoothquant_method;
const lb_method *const lb_method_table[] = {&probe_method,
                                            &probe_blind_method,
                                            &probe_block_method,
                                            &probe_model_method,
                                            &lb_hadamard_method,
                                            &lb_smoothquant_method,
                                            NULL};

#define COMMON                                                                                                         \
    "threads: 2\ncalibration: {text: text.txt, samples: 5, length: 52}\n"                                              \
    "eval: {text: text.txt, protocol: W2-32, windows: 3}\nquantize:\n"
enum { ALL = 0xff };

static const char *folder(small_plan *s, const char *name) {
    char *path = lb_arena_printf(s->arena, "%s/%s", small_home, name);
    assert_non_null(path);
    assert_ok(lb_fs_mkdirs(path));
    return path;
}

static lb_status run_in(small_plan *s, const char *dir, const lb_cell *c, lb_record *out) {
    lb_runner r = {.plan = &s->plan, .keep = s->arena, .dir = dir, .cache = s->plan.cache};
    lb_status st = lb_fs_mkdirs(s->plan.cache);
    if (st == LB_OK) st = lb_cell_run(&r, c, NULL, NULL, out);
    lb_runner_close(&r);
    return st;
}

/* A cell in one go, its file in a folder; what the probe saw is kept in `seen`. */
static void in_one_go(small_plan *s, const char *dir, const lb_cell *c, probe_log *seen) {
    lb_record r;
    assert_ok(run_in(s, dir, c, &r));
    assert_ok(lb_store_write(dir, &r));
    *seen = probe;
    probe = (probe_log){0};
}

static void forget(probe_log *l) {
    probe_reset();
    probe = *l;
    probe_reset();
    *l = (probe_log){0};
}

static void same_file(small_plan *s, const char *a, const char *b, const lb_cell *c) {
    char *x = lb_arena_printf(s->arena, "%s/%s.h5", a, c->stem), *y = lb_arena_printf(s->arena, "%s/%s.h5", b, c->stem);
    assert_true(x && y);
    assert_true(h5_same(x, y, "/host") > 50);
}

static void set_flags(void) {
    probe.flagged[0].layer = "0.q", probe.flagged[0].flags = LB_FLAG_DEAD_COLUMNS;
    probe.flagged[1].layer = "0.up", probe.flagged[1].flags = LB_FLAG_DAMP_RAISED;
    probe.flagged[2].layer = "2.o", probe.flagged[2].flags = LB_FLAG_FALLBACK_RTN | LB_FLAG_DAMP_RAISED;
    probe.damp = 0.125;
    probe.dead_columns = 3;
}

static void stop_at(small_plan *s, const char *dir, const lb_cell *c, const char *layer) {
    lb_record r;
    probe.fail_at = layer;
    set_flags();
    assert_status(LB_E_INTERRUPTED, run_in(s, dir, c, &r));
    probe_reset();
    set_flags();
}

static const char *const kinds = COMMON
    "  - {method: probe}\n  - {method: probe, true_sequential: true, act: 4}\n"
    "  - {method: probe, propagate: original, act: 5, act_symmetric: true}\n"
    "  - {method: probe, group: 8, quantize_head: true, rules: [{match: \"0.*\", bits: 2}, {match: \"1.o\", skip: "
    "true}]}\n  - {method: blind, act: 4}\n"
    "  - stages: [{method: smoothquant, fold: all}, {method: hadamard, block: 8}, {method: probe}]\n"
    "  - {stages: [{method: hadamard, block: 4}, {method: blind}], seed: 3}\n"
    "  - {stages: [{method: smoothquant}, {method: together, group: 8}], rules: [{match: \"0.k\", bits: 4}]}\n";

/* Stopped in block 2 and gone on: the blocks before are not solved again, later layers see the same statistics, and the
 * file is the same. */
static void going_on(void **state) {
    const char *weights = *state ? *state : "resident";
    small_plan s;
    char *yaml = NULL;
    lb_arena *a = NULL;
    assert_ok(lb_arena_new(0, &a));
    assert_non_null(yaml = lb_arena_printf(a, "weights: %s\n%s", weights, kinds));
    small_plan_open(&s, "untied", lb_arena_printf(a, "going-%s", weights), yaml);
    const char *whole = folder(&s, lb_arena_printf(a, "whole-%s", weights));
    const char *parts = folder(&s, lb_arena_printf(a, "parts-%s", weights));
    for (size_t i = 1; i < s.plan.sweep.n; i++) {
        const lb_cell *c = &s.plan.sweep.cell[i];
        probe_log once;
        lb_record r;
        set_flags();
        in_one_go(&s, whole, c, &once);
        stop_at(&s, parts, c, "2.k");
        assert_ok(run_in(&s, parts, c, &r));
        assert_string_equal(probe.call[0].name, "2.q");
        int64_t before = once.calls - probe.calls;
        assert_in_range(before, 13, 14); /* one kind skips 1.o */
        for (int64_t k = 0; k < probe.calls; k++) {
            const probe_call *x = &probe.call[k], *y = &once.call[before + k];
            assert_string_equal(x->name, y->name);
            assert_true(x->seed == y->seed && !x->H == !y->H);
            if (x->H) assert_memory_equal(x->H, y->H, (size_t)(x->cols * x->cols) * sizeof *x->H);
        }
        assert_ok(lb_store_write(parts, &r));
        same_file(&s, whole, parts, c);
        forget(&once);
    }
    small_plan_close(&s);
    lb_arena_free(a);
}

/* The same files at any number of threads, from memory or as weights are streamed. */
static void any_number_of_threads(void **state) {
    (void)state;
    static const char *const how[] = {"threads: 1\nweights: resident", "threads: 3\nweights: resident",
                                      "threads: 2\nweights: stream"};
    const char *first = NULL;
    for (int i = 0; i < 3; i++) {
        small_plan s;
        lb_arena *a = NULL;
        lb_record r;
        assert_ok(lb_arena_new(0, &a));
        char *yaml = lb_arena_printf(a, "%s\n%s", how[i], strchr(kinds, '\n') + 1); /* without its own threads */
        assert_non_null(yaml);
        small_plan_open(&s, "untied", lb_arena_printf(a, "threads-%d/threads", i), yaml);
        char *dir = lb_arena_printf(a, "%s/threads-%d-files", small_home, i);
        assert_ok(lb_fs_mkdirs(dir));
        if (!first) first = strdup(dir);
        for (size_t k = 1; k < s.plan.sweep.n; k++) {
            probe_reset();
            assert_ok(run_in(&s, dir, &s.plan.sweep.cell[k], &r));
            assert_ok(lb_store_write(dir, &r));
            if (i > 0) same_file(&s, first, dir, &s.plan.sweep.cell[k]);
        }
        small_plan_close(&s);
        lb_arena_free(a);
    }
    probe_reset();
    free((char *)(uintptr_t)first);
}

/* Blocks that another version of the program finished, under the same name: nothing of them may get into the result. */
static void blocks_of_another_key(void **state) {
    (void)state;
    small_plan s;
    small_plan_open(&s, "tied", "keys", kinds);
    const char *whole = folder(&s, "keys-whole"), *parts = folder(&s, "keys-parts");
    for (size_t i = 1; i < s.plan.sweep.n; i++) {
        const lb_cell *c = &s.plan.sweep.cell[i];
        lb_cell other = *c;
        char key[65];
        probe_log once;
        lb_record r;
        set_flags();
        in_one_go(&s, whole, c, &once);
        memcpy(key, c->layers_key, sizeof key);
        key[63] = key[63] == '0' ? '1' : '0';
        other.key = other.layers_key = key;
        probe.off = 0.25f;
        stop_at(&s, parts, &other, "2.q");
        assert_ok(run_in(&s, parts, c, &r));
        assert_int_equal(probe.calls, once.calls);
        assert_string_equal(probe.call[0].name, "0.q");
        assert_ok(lb_store_write(parts, &r));
        same_file(&s, whole, parts, c);
        forget(&once);
    }
    small_plan_close(&s);
}

/* A block whose hashes are right and whose numbers cannot be: made again, and the result is that of an uninterrupted
 * run. */
static void forged_blocks(void **state) {
    (void)state;
    static const int64_t block = -99, bytes = -5, bits = 33, group = 5;
    static const double infinite = INFINITY, none_such = NAN, negative = -1;
    static const struct {
        const char *section;
        const void *bytes;
        size_t n;
    } lie[] = {{"type", "\033[", 2},
               {"name", "9", 1},
               {"block", &block, 8},
               {"size_total", &bytes, 8},
               {"bits", &bits, 8},
               {"group", &group, 8},
               {"original_weight_err", &infinite, 8},
               {"own_weight_err", &none_such, 8},
               {"rtn_own_output_err", &none_such, 8},
               {"original_output_energy", &none_such, 8},
               {"rtn_original_weight_energy", &negative, 8},
               {"told", &infinite, 8},
               {"told", &negative, 8},
               {"layer_seconds", &infinite, 8}};
    small_plan s;
    small_plan_open(&s, "untied", "forged", COMMON "  - {method: probe, act: 4}\n");
    const char *whole = folder(&s, "forged-whole"), *parts = folder(&s, "forged-parts");
    const lb_cell *c = &s.plan.sweep.cell[1];
    probe_log once;
    lb_record r;
    set_flags();
    in_one_go(&s, whole, c, &once);
    char *path = lb_arena_printf(s.arena, "%s/%s.partial/00000.block", parts, c->stem);
    assert_non_null(path);
    for (size_t i = 0; i <= sizeof lie / sizeof lie[0]; i++) {
        bool packed = i == sizeof lie / sizeof lie[0];
        stop_at(&s, parts, c, "2.k");
        if (packed) {
            /* The scales of the layer are behind its codes. */
            uint8_t layer[8192];
            size_t n = (size_t)c->layer[0].size.total;
            assert_in_range(n, 64, sizeof layer);
            memset(layer, 0xff, n);
            forge(path, "0/packed", layer, n);
        } else {
            forge(path, lie[i].section, lie[i].bytes, lie[i].n);
        }
        assert_ok(run_in(&s, parts, c, &r));
        assert_string_equal(probe.call[0].name, "0.q"); /* not taken */
        assert_ok(lb_store_write(parts, &r));
        same_file(&s, whole, parts, c);
        lb_partial_remove(parts, c->stem);
    }
    forget(&once);
    small_plan_close(&s);
}

/* The cache's only file of a kind. */
static char *cached(small_plan *s, const char *kind) {
    char **name = NULL, *path = NULL;
    size_t n;
    assert_ok(lb_fs_list(s->plan.cache, NULL, &name, &n));
    for (size_t i = 0; i < n; i++)
        if (strstr(name[i], kind)) path = lb_arena_printf(s->arena, "%s/%s", s->plan.cache, name[i]);
    lb_fs_list_free(name, n);
    assert_non_null(path);
    return path;
}

static int64_t notes;
static void count_notes(void *user, lb_level level, const char *text) {
    (void)user;
    notes += level == LB_WARN && strstr(text, "computed again") != NULL;
}

/* Statistics and states whose hashes are right and whose numbers cannot be: made again, with one note, and the results
 * are those of a run that has no cache. */
static void forged_caches(void **state) {
    (void)state;
    static const double not_one = NAN, negative = -1;
    static const float infinite = INFINITY, far = 1e30f;
    static const int64_t zero[3] = {0, 0, 0};
    static const struct {
        const char *kind, *section;
        const void *bytes;
        size_t n;
    } lie[] = {{"statistics-", "2.down", &not_one, 8}, {"statistics-", "0.q", &negative, 8},
               {"statistics-", "about", zero, 24},     {"states-", "states", &infinite, 4},
               {"states-", "states", &far, 4},         {"states-", "shape", zero, 24}};
    small_plan s;
    lb_sweep_result result;
    lb_log log = {.message = count_notes};
    small_plan_open(&s, "untied", "forged-cache",
                    "keep_cache: true\nthreads: 2\ncalibration: {text: text.txt, samples: 5, length: 52}\n"
                    "eval: {text: text.txt, protocol: W2-32, windows: 3, kl: true}\nquantize:\n  - {method: probe}\n");
    const lb_cell *c = &s.plan.sweep.cell[1];
    assert_ok(lb_sweep_run(&(lb_plans){&s.plan, 1}, &(lb_sweep_options){.again = true}, NULL, &result));
    assert_int_equal(result.done, 2);
    char *made = lb_arena_printf(s.arena, "%s/%s.h5", s.plan.dir, c->stem);
    const char *first = folder(&s, "forged-cache-first");
    char *kept = lb_arena_printf(s.arena, "%s/%s.h5", first, c->stem);
    assert_true(made && kept);
    assert_int_equal(rename(made, kept), 0);
    for (size_t i = 0; i < sizeof lie / sizeof lie[0]; i++) {
        probe_reset();
        notes = 0;
        forge(cached(&s, lie[i].kind), lie[i].section, lie[i].bytes, lie[i].n);
        assert_ok(
            lb_sweep_run(&(lb_plans){&s.plan, 1}, &(lb_sweep_options){0}, &log, &result)); /* the baseline is kept */
        assert_int_equal(result.done, 1);
        assert_int_equal(notes, 1);
        same_file(&s, first, s.plan.dir, c);
        unlink(made);
    }
    probe_reset();
    small_plan_close(&s);
}

/* A layer that comes back in another format than the one whose size was promised ends its cell, and no other. */
static void another_size(void **state) {
    (void)state;
    static const char *const lies[] = {"0.q", "1.gate", "2.down", "head"};
    small_plan s;
    small_plan_open(&s, "untied", "size",
                    COMMON "  - {method: probe, quantize_head: true}\n  - {method: blind, quantize_head: true}\n"
                           "  - {method: whole, quantize_head: true}\n");
    for (size_t i = 1; i < s.plan.sweep.n; i++)
        for (size_t k = 0; k < sizeof lies / sizeof lies[0]; k++) {
            lb_record r;
            probe.lie_at = lies[k];
            assert_status(LB_E_ARG, run_in(&s, NULL, &s.plan.sweep.cell[i], &r));
            assert_error_has(lies[k]);
            assert_error_has("its spec said");
            probe_reset();
        }
    lb_sweep_result result;
    probe.lie_at = "1.v";
    assert_ok(lb_sweep_run(&(lb_plans){&s.plan, 1}, &(lb_sweep_options){.again = true}, NULL, &result));
    assert_int_equal(result.failed, 3);
    assert_int_equal(result.done, 1);
    probe_reset();
    small_plan_close(&s);
}

/* The line of a text that starts with, or contains, a word; the next one after `from`. */
static const char *line_with(lb_arena *a, const char *text, const char *word) {
    const char *at = strstr(text, word);
    if (!at) fail_msg("'%s' is not in:\n%s", word, text);
    while (at > text && at[-1] != '\n') at--;
    return lb_arena_printf(a, "%.*s", (int)strcspn(at, "\n"), at);
}

static void has(const char *line, const char *part, bool yes) {
    if (!strstr(line, part) == yes) fail_msg("'%s' is %s: %s", part, yes ? "missing" : "too much", line);
}

/* Flags of rows by hand: what the probe set, and groups of 16 do not divide 24 columns. */
static uint32_t flags_of(const char *name, bool whole) {
    uint32_t f = whole ? LB_FLAG_NOT_MINIMIZED : 0;
    if (strstr(name, ".down")) f |= LB_FLAG_RAGGED_GROUP;
    if (strcmp(name, "0.q") == 0) f |= LB_FLAG_DEAD_COLUMNS;
    if (strcmp(name, "0.up") == 0) f |= LB_FLAG_DAMP_RAISED;
    if (strcmp(name, "2.o") == 0) f |= LB_FLAG_DAMP_RAISED | LB_FLAG_FALLBACK_RTN;
    return f;
}

static void check_rows(const lb_record *r) {
    const uint32_t mine = 31;
    bool whole = strcmp(r->method, "whole") == 0;
    for (int64_t l = 0; l < r->layers; l++) {
        const lb_layer_row *row = &r->layer[l];
        if ((row->flags & mine) != flags_of(row->name, whole))
            fail_msg("%s %s has flags %x", r->label, row->name, row->flags);
        assert_true(lb_is_told(&row->told, 0) && row->told.value[0] == 0.125);
        bool dead = strcmp(row->name, "0.q") == 0;
        assert_true(lb_is_told(&row->told, 1) == dead && (!dead || row->told.value[1] == 3));
    }
    assert_int_equal(r->flags & mine, 15 | (whole ? 16 : 0));
}

/* The journal of a cell that ran, line by line. */
static void check_journal(small_plan *s, const char *dir, const lb_cell *c, const lb_record *r) {
    char *path = lb_arena_printf(s->arena, "%s/%s.journal", dir, c->stem), *journal = NULL;
    size_t n = 0;
    assert_non_null(path);
    assert_ok(lb_fs_read(path, &journal, &n));
    has(line_with(s->arena, journal, "\"name\":\"0.q\""), "\"flags\":\"dead-columns", true);
    has(line_with(s->arena, journal, "\"name\":\"2.down\""), "ragged-group", true);
    has(line_with(s->arena, journal, "\"name\":\"0.k\""), "dead-columns", false);
    const lb_layer_row *row = &r->layer[1];
    const char *ratio = strstr(line_with(s->arena, journal, "\"name\":\"0.k\""), "\"ratio_to_rtn\":");
    double got = ratio ? strtod(ratio + strlen("\"ratio_to_rtn\":"), NULL) : NAN;
    double want = isnan(row->own.output_err) ? row->original.output_err / row->rtn_original.output_err
                                             : row->own.output_err / row->rtn_own.output_err;
    assert_true(want > 1.5 && fabs(got / want - 1) < 1e-9);
    lb_free(journal);
}

/* Tables of a cell: its line in cells.csv and in the main table, and the lines of its layers. */
static void check_tables(small_plan *s, const lb_results *r, int64_t cell, bool whole) {
    static const char words[] = "\"dead-columns,damp-raised,fallback-rtn,ragged-group";
    lb_str csv = {0}, table = {0}, layers = {0}, shown = {0}, main = {0};
    const lb_record *c = &r->record[cell];
    assert_ok(lb_report_cells_csv(r, &csv));
    assert_ok(lb_report_main_table(r, LB_TABLE_CSV, &table));
    assert_ok(lb_report_main_table(r, LB_TABLE_TERMINAL, &main));
    assert_ok(lb_report_layer_table(r, cell, NULL, LB_TABLE_CSV, &layers));
    assert_ok(lb_report_layer_table(r, cell, NULL, LB_TABLE_TERMINAL, &shown));
    const char *in_csv = line_with(s->arena, csv.s, c->stem);
    const char *in_table = line_with(s->arena, table.s, lb_arena_printf(s->arena, ",%s,", c->method));
    has(in_csv, words, true);
    has(in_csv, "not-minimized\"", whole);
    has(in_table, words, true);
    has(in_table, "not-minimized\"", whole);
    /* The line of the terminal's table that starts with the method: flags are never left out of it. */
    const char *start = lb_arena_printf(s->arena, "\n%s ", c->method), *line = strstr(main.s, start);
    assert_non_null(line);
    has(line_with(s->arena, line + 1, start + 1), whole ? " DPFRT" : " DPFR", true);
    has(line_with(s->arena, layers.s, "0.q,"), "dead-columns", true);
    has(line_with(s->arena, layers.s, "0.k,"), "dead-columns", false);
    has(line_with(s->arena, layers.s, "2.o,"), "damp-raised,fallback-rtn", true);
    has(line_with(s->arena, layers.s, "1.down,"), "ragged-group", true);
    has(line_with(s->arena, layers.s, "1.down,"), "dead-columns", false);
    has(line_with(s->arena, shown.s, "2.o "), whole ? " PFT" : " PF", true);
    has(line_with(s->arena, shown.s, "0.q "), whole ? " DT" : " D", true);
    lb_str *const all[] = {&csv, &table, &layers, &shown, &main};
    for (int i = 0; i < 5; i++) lb_str_free(all[i]);
}

static void flags_everywhere(void **state) {
    (void)state;
    small_plan s;
    small_plan_open(&s, "tied", "flags",
                    COMMON "  - {method: probe, group: 16}\n  - {method: blind, group: 16}\n"
                           "  - {method: whole, group: 16}\n");
    lb_sweep_result result;
    lb_results *r = NULL;
    set_flags();
    for (size_t i = 1; i <= 3; i++) {
        lb_record in_memory;
        const char *dir = folder(&s, "flags-journal");
        assert_ok(run_in(&s, dir, &s.plan.sweep.cell[i], &in_memory));
        check_rows(&in_memory);
        check_journal(&s, dir, &s.plan.sweep.cell[i], &in_memory);
    }
    assert_ok(lb_sweep_run(&(lb_plans){&s.plan, 1}, &(lb_sweep_options){.again = true}, NULL, &result));
    assert_int_equal(result.done, 4);
    assert_ok(lb_store_read_results(s.plan.dir, &r));
    for (int64_t i = 1; i <= 3; i++) {
        check_rows(&r->record[i]);
        check_tables(&s, r, i, i == 3);
    }
    lb_results_free(r);
    probe_reset();
    small_plan_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(going_on),
        {"going_on_streamed", going_on, NULL, NULL, "stream"},
        cmocka_unit_test(any_number_of_threads),
        cmocka_unit_test(blocks_of_another_key),
        cmocka_unit_test(forged_blocks),
        cmocka_unit_test(forged_caches),
        cmocka_unit_test(another_size),
        cmocka_unit_test(flags_everywhere),
    };
    return cmocka_run_group_tests(tests, small_model_setup, NULL);
}
