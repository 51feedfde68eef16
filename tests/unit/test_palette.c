/* Colours, markers and dashes of methods and groups: fixed ones, hashed ones, and how far colours are apart for eyes of
 * every kind. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "quant/method.h"
#include "report/plot.h"
#include "support/plot_kit.h"
#include "support/support.h"
#include "support/synthetic_results.h"

/* Once published, a method keeps its look. */
static void fixed_colours(void **state) {
    (void)state;
    static const char *const want[][2] = {{"none", "#000000"},     {"rtn", "#0072b2"}, {"gptq", "#d55e00"},
                                          {"qat", "#009e73"},      {"nf4", "#cc79a7"}, {"hqq", "#56b4e9"},
                                          {"autoround", "#e69f00"}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        assert_string_equal(lb_palette_colour(want[i][0]), want[i][1]);
}

/* Every method of the program has a colour of its own. */
static void own_colours(void **state) {
    (void)state;
    for (size_t i = 0; lb_method_at(i); i++)
        for (size_t k = 0; k < i; k++) {
            const char *x = lb_method_at(i)->name, *y = lb_method_at(k)->name;
            if (strcmp(lb_palette_colour(x), lb_palette_colour(y)) == 0) fail_msg("%s and %s share a colour", x, y);
        }
}

static void pipelines(void **state) {
    (void)state;
    static const char *const before[] = {"hadamard", "smoothquant", "wanda"};
    static const char *const last[] = {"rtn", "gptq", "hqq", "autoround"};
    for (size_t l = 0; l < 4; l++)
        for (size_t b = 0; b < 3; b++) {
            char name[64], other[64];
            snprintf(name, sizeof name, "%s+%s", before[b], last[l]);
            assert_string_equal(lb_palette_colour(name), lb_palette_colour(last[l]));
            assert_int_not_equal(lb_palette_shape(name), lb_palette_shape(last[l]));
            snprintf(other, sizeof other, "%s+%s", before[(b + 1) % 3], last[l]);
            assert_int_not_equal(lb_palette_shape(name), lb_palette_shape(other));
        }
    /* act rounds inputs: what it stands behind gave the weights. */
    assert_string_equal(lb_palette_colour("rtn+act"), lb_palette_colour("rtn"));
    assert_string_equal(lb_palette_colour("smoothquant+rtn+act"), lb_palette_colour("rtn"));
    assert_string_not_equal(lb_palette_colour("act"), lb_palette_colour("rtn"));
    /* A plug-in's name has a colour of its own hash, never the baseline's. */
    for (int i = 0; i < 1000; i++) {
        char name[16];
        snprintf(name, sizeof name, "mine%d", i);
        assert_string_not_equal(lb_palette_colour(name), "#000000");
        assert_in_range(lb_palette_shape(name), 0, LB_PALETTE_SHAPES - 1);
    }
    assert_string_equal(lb_palette_colour("mine"), lb_palette_at(1 + (int)(0x7e89edb6u % 15)));
}

static void dashes(void **state) {
    (void)state;
    static const char *const group[] = {"row", "tensor", "32", "64", "128"};
    assert_string_equal(lb_palette_dashes(lb_palette_dash("row")), "solid");
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < i; k++) assert_int_not_equal(lb_palette_dash(group[i]), lb_palette_dash(group[k]));
    assert_in_range(lb_palette_dash("4096"), 0, LB_PALETTE_DASHES - 1);
}

/* ---- distances ---- */

typedef double vec[3];

static void times(double m[3][3], const vec x, vec out) {
    for (int i = 0; i < 3; i++) out[i] = m[i][0] * x[0] + m[i][1] * x[1] + m[i][2] * x[2];
}

/* sRGB text to linear light. */
static void linear_of(const char *text, vec out) {
    unsigned c[3];
    assert_int_equal(sscanf(text, "#%2x%2x%2x", &c[0], &c[1], &c[2]), 3);
    for (int i = 0; i < 3; i++) {
        double v = c[i] / 255.0;
        out[i] = v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
    }
}

/* CIE 1976 L*a*b* under D65. */
static void lab_of(const vec light, vec out) {
    static double m[3][3] = {
        {0.4124564, 0.3575761, 0.1804375}, {0.2126729, 0.7151522, 0.0721750}, {0.0193339, 0.1191920, 0.9503041}};
    static const vec white = {0.95047, 1, 1.08883};
    vec xyz, f;
    times(m, light, xyz);
    for (int i = 0; i < 3; i++) {
        double t = xyz[i] / white[i];
        f[i] = t > 216.0 / 24389 ? cbrt(t) : (24389.0 / 27 * t + 16) / 116;
    }
    out[0] = 116 * f[1] - 16, out[1] = 500 * (f[0] - f[1]), out[2] = 200 * (f[1] - f[2]);
}

/* Machado, Oliveira and Fernandes 2009, severity 1.0; the first row of matrices is normal sight. */
static double sight[4][3][3] = {
    {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
    {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
    {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
    {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}}};
static const char *const sight_name[] = {"normal sight", "protanopia", "deuteranopia", "tritanopia"};

static void seen_as(const char *colour, int kind, vec out) {
    vec light, seen;
    linear_of(colour, light);
    times(sight[kind], light, seen);
    for (int i = 0; i < 3; i++) seen[i] = fmin(fmax(seen[i], 0), 1);
    lab_of(seen, out);
}

/* Okabe and Ito's own are 16 apart at the least; a difference of 2.3 is just seen. */
static void told_apart(void **state) {
    (void)state;
    for (int kind = 0; kind < 4; kind++)
        for (int i = 0; i < LB_PALETTE_COLOURS; i++)
            for (int k = 0; k < i; k++) {
                vec x, y;
                seen_as(lb_palette_at(i), kind, x);
                seen_as(lb_palette_at(k), kind, y);
                double d = hypot(hypot(x[0] - y[0], x[1] - y[1]), x[2] - y[2]);
                if (d < 16) fail_msg("%s and %s: %.1f (%s)", lb_palette_at(i), lb_palette_at(k), d, sight_name[kind]);
            }
}

/* On white paper, none is too light. */
static void seen_on_white(void **state) {
    (void)state;
    for (int i = 0; i < LB_PALETTE_COLOURS; i++) {
        vec x;
        seen_as(lb_palette_at(i), 0, x);
        if (x[0] > 80) fail_msg("%s has lightness %.0f", lb_palette_at(i), x[0]);
    }
}

/* ---- in a plot ---- */

/* However many series of one method and group: no two have both marker and dashes, all have the method's colour. */
static void series_differ(void **state) {
    (void)state;
    lb_arena *a;
    lb_plot p;
    lb_plotter w = {.o = &lb_plot_usual};
    lb_str s = {0};
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_plot_begin(&p, a, "x", 100, 100));
    for (int i = 0; i < 40; i++)
        lb_plot_style_of(&p, i + 1, i % 2 ? "gptq" : "hadamard+gptq", i % 3 ? "row" : "64", false);
    for (int i = 0; i < p.looks; i++)
        for (int k = 0; k < i; k++)
            assert_false(p.look[i].point == p.look[k].point && p.look[i].dash == p.look[k].dash);
    lb_plot_looks(&w, &p, 1, &s);
    int n = 0;
    for (const char *x = s.s; (x = strstr(x, "'#d55e00'")); x++) n++;
    assert_int_equal(n, 40);
    lb_str_free(&s);
    lb_plot_free(&p);
    lb_arena_free(a);
}

/* Series of one point have no dashes to be told apart by, neither from each other nor from the points of a line; an
 * open marker may mean something else. */
static void points_differ(void **state) {
    (void)state;
    lb_arena *a;
    lb_plot p;
    assert_ok(lb_arena_new(0, &a));
    assert_ok(lb_plot_begin(&p, a, "x", 100, 100));
    lb_plot_style_of(&p, 1, "gptq", "row", false);
    lb_plot_style_of(&p, 2, "gptq", "64", false);
    for (int i = 0; i < 3; i++) lb_plot_style_of(&p, i + 3, "gptq", i ? "row" : "64", true);
    lb_plot_style_of(&p, 6, "rtn", "row", false);
    int square = lb_palette_point(lb_palette_shape("gptq"), false);
    assert_int_equal(p.look[0].point, square);
    assert_int_equal(p.look[1].point, square);
    for (int i = 2; i < 5; i++) {
        for (int k = 0; k < i; k++) assert_int_not_equal(p.look[i].point, p.look[k].point);
        assert_int_not_equal(lb_palette_hollow(p.look[i].point), p.look[i].point);
    }
    for (int k = 0; k < 5; k++)
        assert_false(p.look[5].point == p.look[k].point && (p.look[k].lone || p.look[5].dash == p.look[k].dash));
    lb_plot_free(&p);
    lb_arena_free(a);
}

/* ---- numbers on a map ---- */

static void mixed(const vec *stop, double t, vec out) {
    int i = t < 8 ? (int)t : 7;
    for (int c = 0; c < 3; c++) out[c] = stop[i][c] + (t - i) * (stop[i + 1][c] - stop[i][c]);
}

static double light(double v) { return v <= 0.03928 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4); }

/* WCAG 2's contrast of white or black on this colour (sRGB, 0 to 1), or on the grey that CSS makes of it. */
static double contrast_on(const vec c, bool white, bool grey) {
    const double part[] = {0.2126, 0.7152, 0.0722};
    double sum = 0, of_grey = 0;
    for (int i = 0; i < 3; i++) sum += part[i] * light(c[i]), of_grey += part[i] * c[i];
    double l = grey ? light(of_grey) : sum;
    return white ? 1.05 / (l + 0.05) : (l + 0.05) / 0.05;
}

/* As the script has them: its colours, and where its numbers turn from white to black. */
static void numbers_on_maps(void **state) {
    (void)state;
    lb_plot_list list;
    lb_results *r = synthetic_results_two_texts("texts/pile.txt", "results/synthetic");
    char *gp = plot_text(plots_made(r, &list), "texts", "gp"), *p = strstr(gp, "set palette defined (");
    vec stop[9];
    double turn;
    for (int i = 0; i < 9; i++) {
        unsigned c[3];
        p = strchr(p, '#');
        assert_non_null(p);
        assert_int_equal(sscanf(p++, "#%2x%2x%2x", &c[0], &c[1], &c[2]), 3);
        for (int k = 0; k < 3; k++) stop[i][k] = c[k] / 255.0;
    }
    assert_non_null(p = strstr(gp, "dark(v) = log(v / "));
    assert_int_equal(sscanf(strstr(p, ") < ") + 4, "%lf", &turn), 1);
    for (int k = 0; k <= 2000; k++)
        for (int grey = 0; grey < 2; grey++) {
            vec c;
            mixed(stop, 8 * k / 2000.0, c);
            double x = contrast_on(c, k / 2000.0 < turn, grey);
            if (x < 4.5) fail_msg("%g of the way, %s: %.2f", k / 2000.0, grey ? "in grey" : "in colour", x);
        }
    lb_free(gp);
    synthetic_results_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_colours), cmocka_unit_test(own_colours),   cmocka_unit_test(pipelines),
        cmocka_unit_test(dashes),        cmocka_unit_test(told_apart),    cmocka_unit_test(seen_on_white),
        cmocka_unit_test(series_differ), cmocka_unit_test(points_differ), cmocka_unit_test(numbers_on_maps),
    };
    return cmocka_run_group_tests_name("palette", tests, NULL, NULL);
}
