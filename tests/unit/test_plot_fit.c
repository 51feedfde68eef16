/* Figures of any size: letters stay readable, names stay different, and the caption has what the figure has no room
 * for. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "report/plot_rows.h"
#include "support/support.h"
#include "support/synthetic_results.h"

static lb_arena *arena;
static int setup(void **state) {
    (void)state;
    return lb_arena_new(0, &arena) == LB_OK ? 0 : -1;
}
static int teardown(void **state) {
    (void)state;
    lb_arena_free(arena);
    return 0;
}

/* ---- names ---- */

static void names(void **state) {
    (void)state;
    lb_plot p;
    /* At the same place of all: where that tells them apart. */
    const char *of[] = {"gptq 3b g64 act_order percdamp=0.01", "gptq 3b g64 act_order percdamp=0.02", "rtn 3b"};
    assert_ok(lb_plot_begin(&p, arena, "x", 100, 100));
    assert_ok(lb_plot_fit_names(&p, of, 3, 20));
    assert_string_equal(of[0], "gptq 3b g6\xe2\x80\xa6"
                               "damp=0.01");
    assert_string_equal(of[1], "gptq 3b g6\xe2\x80\xa6"
                               "damp=0.02");
    assert_string_equal(of[2], "rtn 3b");
    assert_string_equal(p.shortened.s, "gptq 3b g6\xe2\x80\xa6"
                                       "damp=0.01: gptq 3b g64 act_order percdamp=0.01; "
                                       "gptq 3b g6\xe2\x80\xa6"
                                       "damp=0.02: gptq 3b g64 act_order percdamp=0.02");
    lb_plot_free(&p);
    /* They differ where most would be cut. */
    const char *late[] = {"the same words of two names that differ at 1 and not behind",
                          "the same words of two names that differ at 2 and not behind"};
    assert_ok(lb_plot_begin(&p, arena, "x", 100, 100));
    assert_ok(lb_plot_fit_names(&p, late, 2, 24));
    assert_string_not_equal(late[0], late[1]);
    for (int i = 0; i < 2; i++) assert_true(lb_text_width(late[i]) <= 24);
    lb_plot_free(&p);
    /* In the middle alone: numbers, which the caption explains. */
    const char *middle[] = {"a long beginning that all share 1 and an end as long that all of them share",
                            "a long beginning that all share 2 and an end as long that all of them share"};
    assert_ok(lb_plot_begin(&p, arena, "x", 100, 100));
    assert_ok(lb_plot_fit_names(&p, middle, 2, 20));
    assert_memory_equal(middle[0], "(1) ", 4);
    assert_memory_equal(middle[1], "(2) ", 4);
    for (int i = 0; i < 2; i++) assert_true(lb_text_width(middle[i]) <= 20);
    assert_non_null(strstr(p.shortened.s, ": a long beginning that all share 2 and"));
    lb_plot_free(&p);
    /* Letters of several bytes stay whole. */
    const char *wide[] = {
        "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc"};
    assert_ok(lb_plot_begin(&p, arena, "x", 100, 100));
    assert_ok(lb_plot_fit_names(&p, wide, 1, 10));
    assert_string_equal(wide[0],
                        "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xe2\x80\xa6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc");
    lb_plot_free(&p);
}

static void path_ends(void **state) {
    (void)state;
    const char *path[] = {
        "/data/texts/wiki/train.txt", "/data/texts/c4/train.txt", "c4/train.txt", "pile.txt", NULL, "/else/pile.txt",
        "/data/texts/wiki/train.txt"};
    static const char *const want[] = {"wiki/train.txt", "texts/c4/train.txt", "c4/train.txt", "pile.txt", NULL,
                                       "else/pile.txt",  "wiki/train.txt"};
    assert_ok(lb_report_path_ends(arena, path, 7));
    for (int i = 0; i < 7; i++)
        if (want[i])
            assert_string_equal(path[i], want[i]);
        else
            assert_null(path[i]);
    const char *one[] = {"/a/b/c.txt"};
    assert_ok(lb_report_path_ends(arena, one, 1));
    assert_string_equal(one[0], "c.txt");
}

/* ---- figures ---- */

typedef struct drawn {
    char dir[LB_TEST_PATH];
    lb_plot_list list;
    char *gp; /* of the last that was read */
} drawn;

/* Without gnuplot: scripts and data. */
static void draw(lb_results *r, const char *plots, drawn *d) {
    char path[LB_TEST_PATH + 32];
    lb_report_view *v = LB_NEW(r->arena, lb_report_view, 1);
    static lb_report_options o;
    char *old = lb_strdup(getenv("PATH"));
    assert_non_null(v);
    snprintf(d->dir, sizeof d->dir, "%s/fit", lb_test_tmpdir());
    snprintf(path, sizeof path, "%s/p.yaml", lb_test_tmpdir());
    assert_ok(lb_fs_write_atomic(path, plots, strlen(plots)));
    o = (lb_report_options){.plots = path};
    setenv("PATH", "/nowhere", 1);
    assert_ok(lb_report_view_make(r->arena, r, &o, v));
    assert_ok(lb_plot_all(v, d->dir, NULL, &d->list));
    setenv("PATH", old, 1);
    lb_free(old);
}

static char *script(const drawn *d, const char *name) {
    static char *text;
    char path[LB_TEST_PATH + 128];
    size_t n;
    snprintf(path, sizeof path, "%s/%s.gp", d->dir, name);
    assert_ok(lb_fs_read(path, &text, &n));
    return text;
}

typedef struct pdf {
    double width, height, font; /* inches, points */
} pdf;
static pdf pdf_of(const char *gp) {
    pdf p;
    const char *at = strstr(gp, "set terminal pdfcairo");
    assert_non_null(at);
    assert_int_equal(
        sscanf(at, "set terminal pdfcairo noenhanced size %lfin,%lfin font 'Sans,%lf'", &p.width, &p.height, &p.font),
        3);
    return p;
}

/* Long names, alike but for their ends; paths; mixed bits. */
static void lengthen(lb_results *r) {
    static const char *const key[] = {"a_long_option_of_a_plug_in", "another_long_option_of_a_plug_in"};
    for (int64_t i = 0; i < r->n; i++) {
        lb_record *c = &r->record[i];
        if (!c->bits) continue;
        for (int k = 0; k < 2; k++) {
            lb_pair *at = LB_NEW(r->arena, lb_pair, c->varied.n + 1);
            assert_non_null(at);
            memcpy(at, c->varied.at, (size_t)c->varied.n * sizeof *at);
            at[c->varied.n] = (lb_pair){(char *)key[k], (char *)"true"};
            c->varied.at = at, c->varied.n++;
        }
    }
}

/* Each size: no figure is wider or higher than it, no letters are below the least that the size has. */
static void every_size(void **state) {
    (void)state;
    static const struct {
        const char *plots;
        double width, most, font;
    } size[] = {{"size: column\n", 3.35, 8.5, 7},
                {"size: two-columns\n", 7, 8.5, 7},
                {"size: slide\n", 10, 5.6, 12},
                {"size: [4, 3]\n", 4, 3, 7},
                {"{size: column, font_size: 6}\n", 3.35, 8.5, 6}};
    static const synthetic_kind kind[] = {SYNTHETIC_MANY, SYNTHETIC_SWEEP, SYNTHETIC_SINGLE, SYNTHETIC_HUGE};
    for (size_t s = 0; s < sizeof size / sizeof size[0]; s++)
        for (size_t k = 0; k < 2 * sizeof kind / sizeof kind[0]; k++) {
            lb_results *r = synthetic_results_new(kind[k / 2], "results/synthetic");
            drawn d;
            if (k % 2) lengthen(r);
            draw(r, size[s].plots, &d);
            assert_true(d.list.n > 3);
            for (int64_t i = 0; i < d.list.n; i++) {
                char *gp = script(&d, d.list.at[i].name);
                pdf p = pdf_of(gp);
                if (fabs(p.width - size[s].width) > 0.001 || p.height > size[s].most + 0.01 ||
                    p.font < size[s].font - 0.01)
                    fail_msg("%s, %s: %g x %g in, %g pt", size[s].plots, d.list.at[i].name, p.width, p.height, p.font);
                lb_free(gp);
            }
            synthetic_results_free(r);
        }
}

/* Names of rows and legends that had to lose something: different still, and whole in the caption and the data. */
static void shortened(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_MANY, "results/synthetic");
    drawn d;
    int seen = 0;
    lengthen(r);
    draw(r, "size: column\n", &d);
    for (int64_t i = 0; i < d.list.n; i++) {
        const char *name = d.list.at[i].name, *full = strstr(d.list.at[i].caption, " In full: ");
        if (strncmp(name, "sizes", 5) && strncmp(name, "cost", 4) && strncmp(name, "ppl-bits", 8)) continue;
        assert_non_null(full);
        assert_non_null(strstr(full, " a_long_option_of_a_plug_in another_long_option_of_a_plug_in"));
        char *gp = script(&d, name);
        assert_non_null(strstr(gp, "\xe2\x80\xa6"));
        assert_null(strstr(gp, "a_long_option_of_a_plug_in another_long"));
        lb_free(gp);
        seen++;
    }
    assert_true(seen >= 4);
    /* As wide as it likes, nothing is lost but what no page has room for. */
    synthetic_results_free(r);
    r = synthetic_results_new(SYNTHETIC_MANY, "results/synthetic");
    draw(r, "size: page\n", &d);
    for (int64_t i = 0; i < d.list.n; i++) assert_null(strstr(d.list.at[i].caption, "In full"));
    synthetic_results_free(r);
}

/* A legend below the axes has as many columns as its names leave room for, and the figure is as much higher. */
static void legend_below(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_SINGLE, "results/synthetic");
    drawn d;
    draw(r, "size: column\n", &d);
    char *gp = script(&d, "ppl-bits-wikitext-2-W2-2048");
    assert_non_null(strstr(gp, " center bottom horizontal Left reverse samplen 2 maxcols 2\n"));
    double low = pdf_of(gp).height;
    lb_free(gp);
    synthetic_results_free(r);
    r = synthetic_results_new(SYNTHETIC_MANY, "results/synthetic");
    draw(r, "size: column\n", &d);
    gp = script(&d, "ppl-bits-wikitext-2-W2-2048");
    assert_true(pdf_of(gp).height > low + 0.5);
    lb_free(gp);
    synthetic_results_free(r);
}

/* Where layers of a cell differ, titles have the range, and names say which cells they are. */
static void mixed_bits(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    drawn d;
    lb_record *c = &r->record[3];
    assert_true(c->bits == 3 && strcmp(c->method, "rtn") == 0);
    c->layer[0].bits = 8;
    draw(r, "size: page\n", &d);
    static const char *const figure[] = {"layer-error-3b", "error-map-3b"};
    for (int i = 0; i < 2; i++) {
        char *gp = script(&d, figure[i]);
        assert_non_null(strstr(gp, "\ntitle = 'tiny_model, 3\xe2\x80\x93"
                                   "8 bits:"));
        assert_non_null(strstr(gp, "'rtn 3\xe2\x80\x93"
                                   "8b g64'"));
        assert_non_null(strstr(gp, "'rtn 3b g48'"));
        lb_free(gp);
    }
    for (int64_t i = 0; i < d.list.n; i++)
        if (strcmp(d.list.at[i].name, figure[0]) == 0)
            assert_non_null(strstr(d.list.at[i].caption, "tiny_model, 3\xe2\x80\x93"
                                                         "8 bits: "));
    char *gp = script(&d, "layer-error-2b");
    assert_non_null(strstr(gp, "\ntitle = 'tiny_model, 2 bits:"));
    lb_free(gp);
    gp = script(&d, "sizes");
    assert_non_null(strstr(gp, "'rtn 3\xe2\x80\x93"
                               "8b g64' 2"));
    lb_free(gp);
    synthetic_results_free(r);
}

/* Two texts of one name are told apart by where they are. */
static void texts_of_one_name(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    drawn d;
    for (int64_t i = 0; i < r->n; i++)
        for (int64_t e = 0; e < r->record[i].evals; e++) {
            r->record[i].eval[e].name = "test.txt";
            r->record[i].eval[e].text_path = e ? "/data/stories/test.txt" : "/data/wiki/test.txt";
            if (e) r->record[i].eval[e].text_hash = "00";
        }
    draw(r, "size: page\n", &d);
    char *gp = script(&d, "ppl-bits-test.txt-LCPP-256");
    assert_non_null(strstr(gp, "perplexity on stories/test.txt, LCPP-256"));
    lb_free(gp);
    synthetic_results_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(path_ends),
        cmocka_unit_test(every_size),
        cmocka_unit_test(shortened),
        cmocka_unit_test(legend_below),
        cmocka_unit_test(mixed_bits),
        cmocka_unit_test(texts_of_one_name),
    };
    return cmocka_run_group_tests_name("figures of any size", tests, setup, teardown);
}
