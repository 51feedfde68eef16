/* Plots: exact scripts and data, pictures by gnuplot, no gnuplot, a gnuplot that fails; and the report as a whole. */
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "quant/method.h"
#include "report/html.h"
#include "support/expected_output.h"
#include "support/plot_kit.h"
#include "support/support.h"
#include "support/synthetic_results.h"

static char said[4096];
static void message(void *user, lb_level level, const char *text) {
    (void)user;
    if (level == LB_WARN) snprintf(said + strlen(said), sizeof said - strlen(said), "%s\n", text);
}
static lb_log logger = {.message = message};

static const char *folder(const char *name) {
    static char path[LB_TEST_PATH];
    static const char *base;
    if (!base) base = lb_test_tmpdir();
    snprintf(path, sizeof path, "%s/%s", base, name);
    return path;
}

static bool there(const char *dir, const char *leaf) {
    char path[LB_TEST_PATH + 128];
    snprintf(path, sizeof path, "%s/%s", dir, leaf);
    return lb_fs_exists(path);
}

/* PATH for the time of a call. */
static char *old_path;
static void set_path(const char *path) {
    old_path = lb_strdup(getenv("PATH") ? getenv("PATH") : "");
    assert_non_null(old_path);
    setenv("PATH", path, 1);
}
static void restore_path(void) {
    setenv("PATH", old_path, 1);
    lb_free(old_path);
}

static bool have_gnuplot(void) {
    char *path = lb_strdup(getenv("PATH") ? getenv("PATH") : "");
    bool found = false;
    for (char *p = strtok(path, ":"); p && !found; p = strtok(NULL, ":")) found = there(p, "gnuplot");
    lb_free(path);
    return found;
}

static char captions[16384]; /* of the last plots, a line each */

static lb_status plots(synthetic_kind kind, const char *dir, int64_t *drawn, int64_t *n) {
    lb_results *r = synthetic_results_new(kind, dir);
    lb_report_view v;
    lb_plot_list list;
    lb_status st = lb_report_view_make(r->arena, r, NULL, &v);
    if (st == LB_OK) st = lb_plot_all(&v, dir, &logger, &list);
    *drawn = 0, *n = st == LB_OK ? list.n : 0;
    captions[0] = 0;
    for (int64_t i = 0; i < *n; i++) {
        size_t at = strlen(captions);
        *drawn += list.at[i].drawn;
        snprintf(captions + at, sizeof captions - at, "%s: %s\n", list.at[i].name, list.at[i].caption);
    }
    synthetic_results_free(r);
    return st;
}

static void scripts_and_data(void **state) {
    (void)state;
    static const char *const leaf[] = {"ppl-bits-wikitext-2-W2-2048", "front-wikitext-2-W2-2048", "layer-error-2b",
                                       "error-map-3b", "training-loss"};
    int64_t drawn, n;
    const char *dir = folder("scripts");
    set_path("/nowhere");
    assert_ok(plots(SYNTHETIC_SWEEP, dir, &drawn, &n));
    restore_path();
    assert_int_equal(n, 19);
    for (size_t i = 0; i < sizeof leaf / sizeof leaf[0]; i++)
        for (int k = 0; k < 2; k++) {
            char name[128], file[160];
            snprintf(name, sizeof name, "%s.%s", leaf[i], k ? "dat" : "gp");
            snprintf(file, sizeof file, "report/%s", name);
            char *text = plot_text(dir, name, NULL);
            expect_output(file, text);
            lb_free(text);
        }
}

static void without_gnuplot(void **state) {
    (void)state;
    int64_t drawn, n;
    char stale[LB_TEST_PATH + 64];
    const char *dir = folder("without");
    assert_ok(lb_fs_mkdirs(dir));
    snprintf(stale, sizeof stale, "%s/training-loss.svg", dir);
    assert_ok(lb_fs_write_atomic(stale, "old", 3));
    said[0] = 0;
    set_path("/nowhere");
    assert_ok(plots(SYNTHETIC_SWEEP, dir, &drawn, &n));
    restore_path();
    assert_int_equal(drawn, 0);
    assert_true(n > 0);
    assert_non_null(strstr(said, "gnuplot is not on the PATH"));
    assert_null(strstr(strchr(said, '\n') + 1, "gnuplot")); /* said once */
    assert_true(there(dir, "training-loss.gp"));
    assert_false(there(dir, "training-loss.svg")); /* a picture of other data would mislead */
}

/* A gnuplot that fails half-way: its message, and no picture. */
static void failing_gnuplot(void **state) {
    (void)state;
    static const char fake[] = "#!/bin/sh\nstem=${3#stem=?}\n/bin/touch \"${stem%?}.svg\" touched\n"
                               "echo 'line 0: no terminal for you' >&2\nexit 3\n";
    char bin[LB_TEST_PATH], tool[LB_TEST_PATH + 16];
    int64_t drawn, n;
    snprintf(bin, sizeof bin, "%s", folder("fake"));
    snprintf(tool, sizeof tool, "%s/gnuplot", bin);
    assert_ok(lb_fs_mkdirs(bin));
    assert_ok(lb_fs_write_atomic(tool, fake, sizeof fake - 1));
    assert_int_equal(chmod(tool, 0755), 0);
    const char *dir = folder("failing");
    said[0] = 0;
    set_path(bin);
    assert_ok(plots(SYNTHETIC_SWEEP, dir, &drawn, &n));
    restore_path();
    assert_int_equal(drawn, 0);
    assert_non_null(strstr(said, "plot training-loss: "));
    assert_non_null(strstr(said, "no terminal for you"));
    assert_true(there(dir, "touched"));
    char **name;
    size_t files;
    assert_ok(lb_fs_list(dir, ".svg", &name, &files));
    lb_fs_list_free(name, files);
    assert_int_equal(files, 0);
}

/* Whoever is killed while gnuplot draws leaves none behind, which would go on writing. */
static void killed_while_drawing(void **state) {
    (void)state;
    static const char fake[] = "#!/bin/sh\necho 1 >&9\nexec sleep 1000\n";
    char bin[LB_TEST_PATH], tool[LB_TEST_PATH + 16], byte;
    int held[2];
    snprintf(bin, sizeof bin, "%s", folder("held"));
    snprintf(tool, sizeof tool, "%s/gnuplot", bin);
    assert_ok(lb_fs_mkdirs(bin));
    assert_ok(lb_fs_write_atomic(tool, fake, sizeof fake - 1));
    assert_int_equal(chmod(tool, 0755), 0);
    assert_int_equal(pipe2(held, O_CLOEXEC), 0); /* until its other end is closed somebody holds it */
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        char path[2 * LB_TEST_PATH];
        snprintf(path, sizeof path, "%s:/bin:/usr/bin", bin);
        setenv("PATH", path, 1);
        _exit(dup2(held[1], 9) < 0 || lb_gnuplot_run(bin, "a.gp", "a") != LB_OK);
    }
    close(held[1]);
    struct pollfd p = {held[0], POLLIN, 0};
    assert_int_equal(poll(&p, 1, 60000), 1);
    assert_int_equal(read(held[0], &byte, 1), 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(read(held[0], &byte, 1), 1); /* the end of its line */
    assert_int_equal(poll(&p, 1, 60000), 1);
    assert_int_equal(read(held[0], &byte, 1), 0);
    close(held[0]);
}

/* Every kind of results draws without a word from gnuplot; the pictures are what their names say. */
static void draws(void **state) {
    (void)state;
    if (!have_gnuplot()) skip();
    static const synthetic_kind kind[] = {SYNTHETIC_ABSENT, SYNTHETIC_HUGE, SYNTHETIC_SWEEP}; /* the last one's stay */
    for (size_t k = 0; k < sizeof kind / sizeof kind[0]; k++) {
        int64_t drawn, n;
        const char *dir = folder("draws");
        said[0] = 0;
        assert_ok(plots(kind[k], dir, &drawn, &n));
        assert_string_equal(said, "");
        assert_int_equal(drawn, n);
        assert_int_equal(n == 0, kind[k] == SYNTHETIC_ABSENT);
    }
    const char *dir = folder("draws");
    char *svg = plot_text(dir, "front-wikitext-2-W2-2048.svg", NULL), *png = plot_text(dir, "training-loss.png", NULL);
    char *pdf = plot_text(dir, "error-map-2b.pdf", NULL);
    assert_non_null(strstr(svg, "Pareto front"));
    assert_memory_equal(png, "\x89PNG", 4);
    assert_memory_equal(pdf, "%PDF-", 5);
    lb_free(svg);
    lb_free(png);
    lb_free(pdf);
    char **name;
    size_t n;
    assert_ok(lb_fs_list(dir, "", &name, &n));
    for (size_t i = 0; i < n; i++) assert_null(strstr(name[i], ".tmp"));
    lb_fs_list_free(name, n);
}

/* An author's way: the script alone, in its folder, one format. */
static void runs_again(void **state) {
    (void)state;
    if (!have_gnuplot()) skip();
    int64_t drawn, n;
    const char *dir = folder("again");
    assert_ok(plots(SYNTHETIC_SINGLE, dir, &drawn, &n));
    assert_ok(lb_gnuplot_run(dir, "error-map-4b.gp", "mine"));
    assert_true(there(dir, "mine.svg") && there(dir, "mine.png") && there(dir, "mine.pdf"));
    assert_status(LB_E_IO, lb_gnuplot_run(dir, "missing.gp", "mine"));
    assert_error_has("missing.gp");
    assert_status(LB_E_IO, lb_gnuplot_run("/nowhere", "a.gp", "mine"));
}

/* A cell that a log scale has no place for is named in the captions of both plots. */
static void not_finite(void **state) {
    (void)state;
    int64_t drawn, n;
    set_path("/nowhere");
    assert_ok(plots(SYNTHETIC_HUGE, folder("finite"), &drawn, &n));
    restore_path();
    for (int i = 0; i < 2; i++) {
        const char *line = strstr(captions, i ? "front-wikitext-2-W2-2048: " : "ppl-bits-wikitext-2-W2-2048: ");
        assert_non_null(line);
        const char *said_so = strstr(line, "Not finite, so not shown: gptq 2b g64.\n");
        assert_true(said_so && said_so < strchr(line, '\n'));
    }
    set_path("/nowhere");
    assert_ok(plots(SYNTHETIC_SWEEP, folder("finite"), &drawn, &n));
    restore_path();
    assert_null(strstr(captions, "Not finite"));
}

/* Layers of one type in a block, as experts are, are one value: sum of errors / sum of energies. A type that no cell
 * has quantized has no panel. The captions say what errors leave out. */
static void layers_of_one_type(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    const char *dir = folder("experts");
    lb_layer_row *q = NULL, *k = NULL;
    for (int64_t i = 0; i < r->n; i++) {
        lb_record *c = &r->record[i];
        for (int64_t l = 0; l < c->layers; l++) {
            lb_layer_row *x = &c->layer[l];
            if (strcmp(x->type, "up") == 0) x->quantized = false;
            if (strcmp(x->type, "k") == 0) x->type = "q";
            if (c->bits != 2 || strcmp(c->method, "rtn") != 0 || c->group != 64 || x->block != 3) continue;
            if (strcmp(x->name, "3.q") == 0) q = x;
            if (strcmp(x->name, "3.k") == 0) k = x;
        }
    }
    assert_true(q && k);
    k->original.output_err *= 2, k->original.output_energy *= 3;
    lb_report_view v;
    lb_plot_list list;
    set_path("/nowhere");
    assert_ok(lb_report_view_make(r->arena, r, NULL, &v));
    assert_ok(lb_plot_all(&v, dir, &logger, &list));
    restore_path();
    double want =
        (q->original.output_err + k->original.output_err) / (q->original.output_energy + k->original.output_energy);
    char *dat = plot_text(dir, "layer-error-2b.dat", NULL), row[64];
    assert_non_null(strstr(dat, "# block q v o gate down\n"));
    snprintf(row, sizeof row, "\n3 %.9g ", want);
    assert_non_null(strstr(dat, row));
    lb_free(dat);
    for (int64_t i = 0; i < list.n; i++) assert_null(strstr(list.at[i].caption, "quantized inputs"));
    for (int64_t i = 0; i < r->n; i++) {
        lb_pair *at = LB_NEW(r->arena, lb_pair, r->record[i].options.n + 1);
        assert_non_null(at);
        for (int64_t o = 0; o < r->record[i].options.n; o++) at[o] = r->record[i].options.at[o];
        at[r->record[i].options.n++] = (lb_pair){"act_bits", "8"};
        r->record[i].options.at = at;
    }
    set_path("/nowhere");
    assert_ok(lb_report_view_make(r->arena, r, NULL, &v));
    assert_ok(lb_plot_all(&v, dir, &logger, &list));
    restore_path();
    for (int64_t i = 0; i < list.n; i++)
        if (strstr(list.at[i].name, "error")) assert_non_null(strstr(list.at[i].caption, "what quantized inputs cost"));
    synthetic_results_free(r);
}

static void axes(void **state) {
    (void)state;
    lb_arena *a;
    lb_plot p;
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_plot_begin(&p, a, "x", 100, 100));
    /* A range of two decades, of a thousandth, and of nothing: always tics, always a range. */
    lb_plot_log_axis(&p, "y", 20, 1000);
    lb_plot_log_axis(&p, "y", 20.968, 20.97);
    lb_plot_log_axis(&p, "y", 5, 5);
    lb_plot_log_axis(&p, "y", 1e-6, 1e6);
    lb_plot_linear_axis(&p, "x", 0, 400, 0);
    lb_plot_linear_axis(&p, "x", -3, -3, 0);
    assert_ok(lb_str_check(&p.setup));
    expect_output("report/axes.txt", p.setup.s);
    for (char *line = strtok(p.setup.s, "\n"); line; line = strtok(NULL, "\n"))
        if (strstr(line, "tics")) assert_non_null(strstr(line, ", '")); /* two tics at least */
    lb_plot_free(&p);
    lb_arena_free(a);
}

static void titles(void **state) {
    (void)state;
    lb_arena *a;
    lb_plot p;
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_plot_begin(&p, a, "x", 100, 100));
    const lb_plotter w = {.o = &lb_plot_usual};
    lb_str s = {0};
    p.title = "model: perplexity on a text";
    lb_plot_title(&w, &p, &s);
    lb_str_add(&s, "\n");
    p.title = "a-model-whose-name-is-as-long-as-some-other-names-are: perplexity on 'a' text";
    lb_plot_title(&w, &p, &s);
    assert_string_equal(s.s, "\001'model: perplexity on a text'\n"
                             "\001'a-model-whose-name-is-as-long-as-some-other-names-are:'.\"\\n\"."
                             "\001'perplexity on ''a'' text'");
    lb_str_free(&s);
    lb_plot_free(&p);
    lb_arena_free(a);
}

static void quotes(void **state) {
    (void)state;
    lb_str s = {0};
    lb_plot_quote_as(&s, "it's `rm` \"x\"\n$HOME", LB_TABLE_TERMINAL);
    assert_string_equal(s.s, "'it''s `rm` \"x\" $HOME'");
    lb_str_free(&s);
    s = (lb_str){0};
    lb_html_base64(&s, "light work.", 11);
    lb_html_base64(&s, "light wor", 9);
    lb_html_base64(&s, "light work", 10);
    assert_string_equal(s.s, "bGlnaHQgd29yay4=bGlnaHQgd29ybGlnaHQgd29yaw==");
    lb_str_free(&s);
}

static const char values[] = "method,options,evaluation,protocol,windows,metric,expected,tolerance,kind,source\n"
                             "none,,wikitext-2,W2-2048,20,ppl,20.97,1e-4,relative,another program\n";

/* The whole report; made twice from the same records it has the same bytes. */
static void report(void **state) {
    (void)state;
    static const char *const leaf[] = {"cells.csv",
                                       "expected.csv",
                                       "report/index.html",
                                       "report/report.md",
                                       "report/body.tex",
                                       "report/tables/main.md",
                                       "report/tables/main.csv",
                                       "report/tables/main.tex",
                                       "report/tables/sizes.tex",
                                       "report/tables/expected.md",
                                       "report/tables/layers-gptq-bits2-group64-08.csv"};
    char from[LB_TEST_PATH], dir[LB_TEST_PATH];
    snprintf(from, sizeof from, "%s", folder("values.csv"));
    snprintf(dir, sizeof dir, "%s", folder("whole"));
    assert_ok(lb_fs_write_atomic(from, values, sizeof values - 1));
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, dir);
    char *first[sizeof leaf / sizeof leaf[0]];
    set_path("/nowhere");
    for (int round = 0; round < 2; round++) {
        assert_ok(lb_report_write(r, NULL, from, NULL));
        for (size_t i = 0; i < sizeof leaf / sizeof leaf[0]; i++) {
            char *text = plot_text(dir, leaf[i], NULL);
            assert_true(text[0] != 0);
            if (!round) {
                first[i] = text;
                continue;
            }
            assert_string_equal(first[i], text);
            lb_free(text);
        }
    }
    restore_path();
    assert_non_null(strstr(first[2], "Expected values"));
    assert_null(strstr(first[2], "<img")); /* no gnuplot, no pictures */
    expect_output("report/body.tex", first[4]);
    expect_output("report/report.md", first[3]);
    for (size_t i = 0; i < sizeof leaf / sizeof leaf[0]; i++) lb_free(first[i]);
    synthetic_results_free(r);
}

static void pictures_in_the_page(void **state) {
    (void)state;
    if (!have_gnuplot()) skip();
    char dir[LB_TEST_PATH];
    snprintf(dir, sizeof dir, "%s", folder("pictures"));
    lb_results *r = synthetic_results_new(SYNTHETIC_CLOSE, dir);
    assert_ok(lb_report_write(r, NULL, NULL, NULL));
    char *html = plot_text(dir, "report/index.html", NULL), *md = plot_text(dir, "report/report.md", NULL);
    assert_non_null(strstr(html, "<img alt=\"tiny_model: perplexity (log scale) on wikitext-2"));
    assert_non_null(strstr(html, "data:image/svg+xml;base64,"));
    assert_non_null(strstr(md, "](plots/error-map-8b.png)"));
    lb_free(html);
    lb_free(md);
    synthetic_results_free(r);
}

/* Each reference that a method cites is known and has its BibTeX entry. */
static void references(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    char *bib;
    size_t n, known = 0, entries = 0;
    lb_test_fixture("paper/refs.bib", path);
    assert_ok(lb_fs_read(path, &bib, &n));
    for (const char *key; (key = lb_report_reference_key(known)); known++) {
        char entry[128];
        snprintf(entry, sizeof entry, "{%s,", key);
        if (!strstr(bib, entry)) fail_msg("paper/refs.bib has no %s", key);
    }
    for (const char *p = bib; (p = strchr(p, '@')); p++) entries++;
    assert_int_equal(entries, known);
    lb_free(bib);
    for (size_t i = 0; lb_method_at(i); i++) {
        const char *cite = lb_method_at(i)->cite;
        if (cite && !lb_report_reference(cite))
            fail_msg("%s cites %s, which is not known", lb_method_at(i)->name, cite);
    }
}

static lb_status tables_and_page(const lb_results *r, const char *csv) {
    lb_arena *a;
    lb_report_view v;
    lb_plot_list none = {.n = 0};
    lb_str s = {0};
    int64_t outside;
    LB_TRY(lb_arena_new(0, &a));
    lb_status st = lb_report_view_make(a, r, NULL, &v);
    for (int f = LB_TABLE_TERMINAL; st == LB_OK && f <= LB_TABLE_HTML; f++) {
        if (f != LB_TABLE_CSV) st = lb_report_page(&v, &none, csv, (lb_table_format)f, &s);
        if (st == LB_OK) st = lb_report_main_table(r, (lb_table_format)f, &s);
        if (st == LB_OK) st = lb_report_layer_table(r, 1, NULL, (lb_table_format)f, &s);
        if (st == LB_OK) st = lb_report_size_table(r, (lb_table_format)f, &s);
        if (st == LB_OK) st = lb_report_expected_table(r, csv, (lb_table_format)f, &s, &outside);
    }
    if (st == LB_OK) st = lb_report_cells_csv(r, &s);
    lb_str_free(&s);
    lb_arena_free(a);
    return st;
}

/* Every allocation fails once: an error each time, and no crash. */
static void out_of_memory(void **state) {
    (void)state;
    char dir[LB_TEST_PATH];
    snprintf(dir, sizeof dir, "%s", folder("memory"));
    lb_results *r = synthetic_results_new(SYNTHETIC_SINGLE, dir);
    char from[LB_TEST_PATH];
    snprintf(from, sizeof from, "%s", folder("memory.csv"));
    assert_ok(lb_fs_write_atomic(from, values, sizeof values - 1));
    lb_status st = LB_E_NOMEM;
    int64_t at = 1;
    for (; st != LB_OK && at < 20000; at++) {
        lb_alloc_fail_at(at);
        st = tables_and_page(r, from);
        lb_alloc_fail_at(0);
        if (st != LB_OK) assert_int_equal(st, LB_E_NOMEM);
    }
    assert_true(at > 100 && st == LB_OK);
    /* Files are synced, which takes long, so not every place is tried here. */
    set_path("/nowhere");
    st = LB_E_NOMEM;
    for (at = 1; st != LB_OK && at < 20000; at += 1 + at / 20) {
        lb_alloc_fail_at(at);
        st = lb_report_write(r, NULL, from, NULL);
        lb_alloc_fail_at(0);
        if (st != LB_OK) assert_int_equal(st, LB_E_NOMEM);
    }
    restore_path();
    assert_int_equal(st, LB_OK);
    synthetic_results_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scripts_and_data),
        cmocka_unit_test(without_gnuplot),
        cmocka_unit_test(failing_gnuplot),
        cmocka_unit_test(killed_while_drawing),
        cmocka_unit_test(draws),
        cmocka_unit_test(runs_again),
        cmocka_unit_test(not_finite),
        cmocka_unit_test(layers_of_one_type),
        cmocka_unit_test(axes),
        cmocka_unit_test(titles),
        cmocka_unit_test(quotes),
        cmocka_unit_test(report),
        cmocka_unit_test(pictures_in_the_page),
        cmocka_unit_test(references),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests_name("report plots", tests, NULL, NULL);
}
