#include "support/sweep_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "support/h5_same.h"
#include "support/io_probe.h"

const char *home;
lb_arena *arena;

void path_in(char out[LB_TEST_PATH], const char *dir, const char *name) {
    assert_true(snprintf(out, LB_TEST_PATH, "%s/%s", dir, name) < LB_TEST_PATH);
}

bool all_figures;

/* A run draws a dozen figures, which takes most of its time: where no test looks at them, one. */
static bool needs_one_figure(const char *text) {
    return !all_figures && strncmp(text, "model: ", 7) == 0 && !strstr(text, "plots:") &&
           text[strlen(text) - 1] == '\n';
}

void put_file(const char *name, const char *text) {
    char path[LB_TEST_PATH];
    lb_str s = {0};
    lb_str_add(&s, "%s%s", text, needs_one_figure(text) ? "plots: {figures: [front]}\n" : "");
    assert_ok(lb_str_check(&s));
    path_in(path, home, name);
    assert_ok(lb_fs_write_atomic(path, s.s, s.len));
    lb_str_free(&s);
}

bool exists(const char *name) {
    char path[LB_TEST_PATH];
    path_in(path, home, name);
    return lb_fs_exists(path);
}

int make_model(void **state) {
    (void)state;
    char text[LB_TEST_PATH], model[LB_TEST_PATH], eval[LB_TEST_PATH];
    home = lb_test_tmpdir();
    cli_quick_figures();
    if (lb_arena_new(0, &arena) != LB_OK) return -1;
    lb_test_fixture("data/builtin/calibration.txt", text);
    lb_test_fixture("data/builtin/eval.txt", eval);
    path_in(model, home, "tiny");
    cli_result r = CLI(NULL, "train", text, "--out", model, "--vocab", "300", "--layers", "3", "--dim", "32",
                       "--hidden", "48", "--heads", "2", "--kv-heads", "1", "--context", "128", "--steps", "12",
                       "--batch", "4", "--length", "64", "--warmup", "4", "--dtype", "f32", "--threads", "2");
    if (r.code != 0) print_error("%s%s", r.out, r.err);
    int code = r.code;
    cli_free(&r);
    char *bytes = NULL;
    size_t n = 0;
    assert_ok(lb_fs_read(text, &bytes, &n));
    put_file("cal.txt", bytes);
    lb_free(bytes);
    assert_ok(lb_fs_read(eval, &bytes, &n));
    bytes[n < 40000 ? n : 40000] = 0;
    put_file("eval.txt", bytes);
    lb_free(bytes);
    return code;
}
int clean(void **state) {
    (void)state;
    lb_arena_free(arena);
    return 0;
}

cli_options here(void) { return (cli_options){.cwd = home}; }

cli_result ran(int code, const char *const *words) {
    cli_options o = here();
    cli_result r = cli_run(&o, words);
    if (r.code != code) print_error("%s%s", r.out, r.err);
    assert_int_equal(r.code, code);
    return r;
}

void says(int code, const char *text, const char *const *words) {
    cli_result r = ran(code, words);
    cli_has(code ? r.err : r.out, text);
    cli_free(&r);
}

lb_results *results(const char *name) {
    char path[LB_TEST_PATH];
    lb_results *r = NULL;
    path_in(path, home, name);
    assert_ok(lb_store_read_results(path, &r));
    return r;
}

int64_t cells_that(const lb_results *r, lb_cell_state state) {
    int64_t n = 0;
    for (int64_t i = 0; i < r->n; i++) n += r->record[i].state == state;
    return n;
}

/* What may differ between equal runs is taken away; then equal records are equal files. */
void same_records(lb_record *a, lb_record *b) {
    size_t n[2];
    uint8_t *bytes[2];
    lb_record *r[2] = {a, b};
    for (int k = 0; k < 2; k++) {
        char path[LB_TEST_PATH];
        r[k]->host = (lb_pairs){0};
        r[k]->stages = r[k]->peak_bytes = 0;
        r[k]->seconds = 0;
        for (int64_t l = 0; l < r[k]->layers; l++) r[k]->layer[l].seconds = 0;
        assert_ok(lb_store_write(home, r[k]));
        snprintf(path, sizeof path, "%s/%s.h5", home, r[k]->stem);
        bytes[k] = slurp(path, &n[k]);
    }
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(bytes[0], bytes[1], n[0]);
    free(bytes[0]);
    free(bytes[1]);
}

void same_results(const char *a, const char *b, int64_t cells) {
    lb_results *x = results(a), *y = results(b);
    assert_int_equal(x->n, cells);
    assert_int_equal(y->n, cells);
    for (int64_t i = 0; i < cells; i++) same_records(&x->record[i], &y->record[i]);
    lb_results_free(x);
    lb_results_free(y);
}
