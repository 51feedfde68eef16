/* What an author may ask of plots, and what is refused, with file and line; style.gp's lines; and the look of methods
 * over all figures of a report. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "report/plot.h"
#include "support/support.h"
#include "support/synthetic_results.h"

static lb_arena *arena;
static char dir[LB_TEST_PATH];

static int setup(void **state) {
    (void)state;
    snprintf(dir, sizeof dir, "%s/plots", lb_test_tmpdir());
    assert_ok(lb_fs_mkdirs(dir));
    return lb_arena_new(0, &arena) == LB_OK ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    lb_arena_free(arena);
    return 0;
}

static lb_status options(const char *yaml, lb_plot_options *o) {
    char path[LB_TEST_PATH + 16];
    snprintf(path, sizeof path, "%s/p.yaml", dir);
    assert_ok(lb_fs_write_atomic(path, yaml, strlen(yaml)));
    return lb_plot_options_read(arena, path, o);
}

static void every_key(void **state) {
    (void)state;
    static const char yaml[] = "plots:\n"
                               "  formats: [svg, tikz]\n"
                               "  font: Nimbus Roman\n"
                               "  size: column\n"
                               "  title: false\n"
                               "  titles: {front: \"size, 'quality'\"}\n"
                               "  palette: {rtn: \"#123456\"}\n"
                               "  methods: [rtn, '*+gptq']\n"
                               "  figures: front\n"
                               "  limits: {ppl: [5, 50], bits: [0, 9]}\n";
    lb_plot_options o, again;
    lb_str s = {0}, t = {0};
    assert_ok(options(yaml, &o));
    assert_int_equal(o.formats, LB_PLOT_USUAL_FORMATS | LB_PLOT_TIKZ);
    assert_true(o.width_in == 3.35 && o.height_in == 2.6 && o.font_size == 8 && !o.exact && !o.title);
    assert_string_equal(o.font, "Nimbus Roman");
    assert_string_equal(lb_pairs_get(&o.titles, "front"), "size, 'quality'");
    assert_string_equal(lb_pairs_get(&o.palette, "rtn"), "#123456");
    assert_true(o.methods == 2 && o.figures == 1 && o.limits == 2);
    /* The text that a run leaves reads back to the same. */
    lb_plot_options_text(&o, &s);
    assert_ok(options(s.s, &again));
    lb_plot_options_text(&again, &t);
    assert_string_equal(s.s, t.s);
    lb_plotter w = {.o = &again};
    assert_true(lb_plot_wanted(&w, "front-text-W2-2048") && !lb_plot_wanted(&w, "frontal") &&
                !lb_plot_wanted(&w, "sizes"));
    lb_span x = lb_plot_limits(&w, "ppl", (lb_span){1, 2});
    assert_true(x.low == 5 && x.high == 50);
    assert_string_equal(lb_plot_colour(&w, "rtn"), "#123456");
    lb_str_free(&s);
    lb_str_free(&t);
    assert_ok(options("size: [4, 3]\nfont_size: 7.5\n", &o));
    assert_true(o.exact && o.width_in == 4 && o.font_size == 7.5);
    assert_ok(options("plots:\n", &o));
    assert_true(o.width_in == 0 && o.title);
}

static void mistakes(void **state) {
    (void)state;
    static const char *const wrong[][2] = {
        {"figures: [frnt]\n", ":1: figures 'frnt' is not known: did you mean 'front'?"},
        {"\nfromats: [svg]\n", ":2: plots: key 'fromats' is not known: did you mean 'formats'?"},
        {"formats: [gif]\n", ":1: formats 'gif' is not known"},
        {"size: colum\n", "did you mean 'column'?"},
        {"size: [3]\n", "expected page, column, two-columns, slide or [width, height]"},
        {"size: [0.1, 900]\n", "must be in [1, 60] inches"},
        {"font: \"x'; system 'id\"\n", ":1: font: expected the name of a family"},
        {"font_size: 400\n", ":1: font_size = 400: must be in [0, 72]"},
        {"title: perhaps\n", ":1: title = perhaps: must be true or false"},
        {"palette: {rtn: blue}\n", ":1: palette: rtn: 'blue': expected a colour in quotes"},
        {"palette: {rtn: \"#12345g\"}\n", "expected a colour"},
        {"titles: {fornt: x}\n", "did you mean 'front'?"},
        {"limits: {ppl: [9, 5]}\n", "ppl: must rise"},
        {"limits: {delta: [0, 5]}\n", "above 0"},
        {"limits: {seconds: [0, 5]}\n", "axis 'seconds' is not known"},
        {"methods: {rtn: 1}\n", "methods: expected a list of names"},
        {"[1, 2]\n", ":1: plots: expected a map"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        lb_plot_options o;
        assert_status(LB_E_CONFIG, options(wrong[i][0], &o));
        assert_error_has(wrong[i][1]);
        assert_error_has("p.yaml:");
    }
}

static lb_status lines(const char *text, size_t n, const char **out) {
    char path[LB_TEST_PATH + 16];
    snprintf(path, sizeof path, "%s/style.gp", dir);
    assert_ok(lb_fs_write_atomic(path, text, n));
    return lb_plot_lines_read(arena, path, out);
}

static void style_lines(void **state) {
    (void)state;
    static const char good[] = "# mine\n\n  set grid lw 2\nunset border\nset key outside left\n"
                               "set title 'a load of files, 50 % # more'\n";
    static const char *const bad[][2] = {{"set key left\nplot x\n", ":2: expected set, unset or a comment"},
                                         {"system 'id'\n", ":1: expected set, unset or a comment"},
                                         {"!id\n", ":1: "},
                                         {"set output '/tmp/x'\n", "set output: is none of the settings"},
                                         {"set print '/tmp/x'\n", "set print: is none"},
                                         {"set table '/tmp/x'\n", "set table: is none"},
                                         {"set terminal dumb\n", "set terminal: is none"},
                                         {"set fit script 'id'\n", "set fit: is none"},
                                         {"set loadpath '/tmp'\n", "set loadpath: is none"},
                                         {"set key left; system 'id'\n", "';' may not be there"},
                                         {"set title \"`id`\"\n", "'`' may not be there"},
                                         {"set title system('id')\n", "'system' may not be there"},
                                         {"set title 'x' \\\n", "'\\' may not be there"},
                                         {"# x \\\n", "'\\' may not be there"},
                                         {"set title @title\n", "'@' may not be there"},
                                         {"set label 1 '| id'\n", "'|' may not be there"},
                                         {"set palette file 'x'\n", "'file' may not be there"},
                                         {"set\n", "none of the settings"},
                                         {"set title 'x\001'\n", "a control character"}};
    const char *out;
    assert_ok(lines(good, sizeof good - 1, &out));
    assert_string_equal(out, good);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_status(LB_E_CONFIG, lines(bad[i][0], strlen(bad[i][0]), &out));
        assert_error_has(bad[i][1]);
        assert_null(out);
    }
    assert_status(LB_E_CONFIG, lines("set grid\0system 'id'\n", 21, &out));
    assert_ok(lb_plot_lines_read(arena, "/nowhere/style.gp", &out));
    assert_null(out);
}

/* In every script of a report with several seeds, groups and options, a method has one colour. */
static void one_colour_a_method(void **state) {
    (void)state;
    static const char *const method[][2] = {{"rtn", "#0072b2"}, {"gptq", "#d55e00"}, {"qat", "#009e73"}};
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    lb_report_view v;
    lb_plot_list list;
    char *path = lb_strdup(getenv("PATH"));
    int seen = 0;
    setenv("PATH", "/nowhere", 1);
    assert_ok(lb_report_view_make(r->arena, r, NULL, &v));
    assert_ok(lb_plot_all(&v, dir, NULL, &list));
    setenv("PATH", path, 1);
    lb_free(path);
    for (int64_t i = 0; i < list.n; i++) {
        char file[LB_TEST_PATH + 128], *text;
        size_t n;
        snprintf(file, sizeof file, "%s/%s.gp", dir, list.at[i].name);
        assert_ok(lb_fs_read(file, &text, &n));
        for (char *at = text; (at = strstr(at, "linespoints ls ")); at++) {
            int style, points;
            char name[64], look[64], *legend = strstr(at, " title '");
            if (sscanf(at, "linespoints ls %d title '%63[^ ']", &style, name) != 2) {
                if (sscanf(at, "linespoints ls %d pi %d title '%63[^ ']", &style, &points, name) != 3) continue;
            }
            assert_non_null(legend);
            snprintf(look, sizeof look, "set style line %d lc rgb '#", style);
            const char *line = strstr(text, look);
            assert_non_null(line);
            for (size_t m = 0; m < 3; m++)
                if (strcmp(name, method[m][0]) == 0) {
                    assert_memory_equal(line + strlen(look) - 1, method[m][1], 7);
                    seen++;
                }
        }
        lb_free(text);
    }
    assert_true(seen > 20);
    synthetic_results_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(style_lines),
        cmocka_unit_test(one_colour_a_method),
    };
    return cmocka_run_group_tests_name("what plots are asked for", tests, setup, teardown);
}
