/* Tables on terminals of any width: what matters most is shown, what is left out is named, --wide shows all. */
#include <stdio.h>
#include <string.h>

#include "report/report.h"
#include "report/table.h"
#include "support/support.h"
#include "support/synthetic_results.h"

static lb_results *results;

static int setup(void **state) {
    (void)state;
    results = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    return 0;
}

static int teardown(void **state) {
    (void)state;
    lb_table_terminal_width(LB_TERMINAL_WIDTH);
    synthetic_results_free(results);
    return 0;
}

static char *table_at(size_t width, bool wide) {
    lb_report_options o = {.wide = wide};
    lb_str s = {0};
    lb_table_terminal_width(width);
    assert_ok(lb_report_table(results, &o, LB_TABLE_TERMINAL, &s));
    return s.s;
}

static int count(const char *text, const char *part) {
    int n = 0;
    for (const char *p = text; (p = strstr(p, part)); p += strlen(part)) n++;
    return n;
}

/* The first line after the title. */
static void head_of(const char *text, char out[512]) {
    const char *line = strchr(text, '\n') + 1;
    snprintf(out, 512, "%.*s", (int)strcspn(line, "\n"), line);
}

static bool is_head(const char *head, const char *name) { /* between two blanks, or at an end */
    size_t n = strlen(name);
    for (const char *p = head; (p = strstr(p, name)); p++) {
        bool begins = p == head || (p - head > 1 && p[-1] == ' ' && p[-2] == ' ');
        if (begins && (!p[n] || (p[n] == ' ' && p[n + 1] == ' '))) return true;
    }
    return false;
}

/* What "(more with report --wide: ...)" names, on one line. */
static void named(const char *text, char out[1024]) {
    const char *at = strstr(text, "(more with report --wide: "), *end = at ? strchr(at, ')') : NULL;
    out[0] = 0;
    if (!at) return;
    snprintf(out, 1024, "%.*s", (int)(end - at), at);
    for (char *p = out; *p; p++)
        if (*p == '\n') *p = ' ';
}

#define DELTA "\xce\x94 ln PPL [95 %]"
#define PM_SE "PPL \xc2\xb1 se"
static const char *const every[] = {
    "b/w",          "MiB",       "of fp16",           PM_SE,  DELTA,     "seeds",    "KL", "rel. MSE",
    "\xc3\x97 RTN", "own-H MSE", "\xc3\x97 RTN, own", "time", "top-1 %", "sd ln PPL"};

static void nothing_is_lost(void **state) {
    (void)state;
    for (size_t width = 40; width <= 260; width += 5) {
        char *text = table_at(width, false), head[512], more[1024];
        head_of(text, head);
        named(text, more);
        for (size_t i = 0; i < sizeof every / sizeof every[0]; i++)
            if (is_head(head, every[i]) == (strstr(more, every[i]) != NULL) && strcmp(every[i], "\xc3\x97 RTN") != 0)
                fail_msg("%zu columns: %s is shown and named, or neither: %s / %s", width, every[i], head, more);
        assert_true(is_head(head, "flags"));
        assert_true(is_head(head, "PPL") || is_head(head, PM_SE));
        lb_free(text);
    }
}

static void what_matters_first(void **state) {
    (void)state;
    static const struct {
        size_t width;
        const char *shown[5], *not [5];
    } at[] = {{80, {"PPL", DELTA, "flags"}, {"KL", "time"}},
              {100, {DELTA, "seeds", "flags"}, {"MiB", "time"}},
              {260, {DELTA, PM_SE, "time", "sd ln PPL", "flags"}, {"PPL"}}};
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        char *text = table_at(at[i].width, false), head[512];
        head_of(text, head);
        for (size_t k = 0; k < 5 && at[i].shown[k]; k++)
            if (!is_head(head, at[i].shown[k])) fail_msg("%zu columns, no %s: %s", at[i].width, at[i].shown[k], head);
        for (size_t k = 0; k < 5 && at[i].not [k]; k++)
            if (is_head(head, at[i].not [k])) fail_msg("%zu columns, but %s: %s", at[i].width, at[i].not [k], head);
        assert_int_equal(count(text, "\nmethod "), 2); /* two evaluations, one piece each */
        assert_int_equal(count(text, "(more with report --wide: "), at[i].width == 260 ? 0 : 2);
        lb_free(text);
    }
}

/* Panel after panel, nothing left out. */
static void wide_shows_all(void **state) {
    (void)state;
    char *text = table_at(80, true);
    assert_true(count(text, "\nmethod ") > 4);
    assert_null(strstr(text, "(more"));
    for (size_t i = 0; i < sizeof every / sizeof every[0]; i++) assert_non_null(strstr(text, every[i]));
    lb_free(text);
}

/* Lines that go on with a name are two columns further in. */
static void without_breaks(const char *text, char *out, size_t cap) {
    size_t n = 0;
    for (const char *p = text; *p && n + 1 < cap; p++)
        if (strncmp(p, "\n  ", 3) == 0)
            p += 2;
        else
            out[n++] = *p;
    out[n] = 0;
}

/* Names of many words break before what matters is left out, and lose none of them. */
static void names_break(void **state) {
    (void)state;
    static const char *const words[] = {"act_order", "static_groups", "a_name_of_an_option", "true_sequential"};
    lb_results *r = synthetic_results_new(SYNTHETIC_CLOSE, "results/synthetic");
    lb_pair varied[4];
    for (int k = 0; k < 4; k++) varied[k] = (lb_pair){words[k], "true"};
    lb_record *c = &r->record[r->n - 1];
    c->varied = (lb_pairs){varied, 4};
    for (size_t width = 50; width <= 200; width += 10) {
        lb_str s = {0};
        lb_table_terminal_width(width);
        assert_ok(lb_report_main_table(r, LB_TABLE_TERMINAL, &s));
        *strstr(s.s, "\n\n") = 0; /* the first table alone */
        char whole[4096];
        without_breaks(s.s, whole, sizeof whole);
        const char *at = strstr(whole, "\ngptq ");
        assert_non_null(at);
        for (int k = 0; k < 4; k++) {
            at = strstr(at, words[k]);
            if (!at) fail_msg("%zu columns, no %s: %s", width, words[k], s.s);
        }
        if (width >= 80) assert_non_null(strstr(s.s, DELTA));
        for (char *line = strtok(s.s, "\n"); line; line = strtok(NULL, "\n")) {
            bool title = strstr(line, "perplexity on");
            if (lb_text_width(line) > width && !title) fail_msg("%zu columns: %s", lb_text_width(line), line);
            assert_true(line[strlen(line) - 1] != ' ');
        }
        lb_str_free(&s);
    }
    lb_table_terminal_width(LB_TERMINAL_WIDTH);
    synthetic_results_free(r);
}

/* How many seeds a row is a mean of is never what gives way to a long name. */
static void seeds_stay(void **state) {
    (void)state;
    lb_results *r = synthetic_results_new(SYNTHETIC_SWEEP, "results/synthetic");
    lb_pair varied[] = {{"act_order", "true"}, {"static_groups", "true"}, {"a_name_of_an_option", "true"}};
    for (int64_t i = 0; i < r->n; i++) r->record[i].varied = (lb_pairs){varied, 3};
    for (size_t width = 80; width <= 160; width += 4) {
        lb_str s = {0};
        char head[512];
        lb_table_terminal_width(width);
        assert_ok(lb_report_main_table(r, LB_TABLE_TERMINAL, &s));
        head_of(s.s, head);
        if (!is_head(head, "seeds") || !is_head(head, DELTA) || !is_head(head, "flags"))
            fail_msg("%zu columns: %s", width, head);
        lb_str_free(&s);
    }
    lb_table_terminal_width(LB_TERMINAL_WIDTH);
    synthetic_results_free(r);
}

/* Layers of a cell are a table of the same kind. */
static void layers_too(void **state) {
    (void)state;
    for (int wide = 0; wide < 2; wide++) {
        lb_report_options o = {.wide = wide};
        lb_str s = {0};
        lb_table_terminal_width(80);
        assert_ok(lb_report_layer_table(results, 7, &o, LB_TABLE_TERMINAL, &s));
        assert_true((strstr(s.s, "(more with report --wide: ") == NULL) == wide);
        assert_true((count(s.s, "\nlayer ") > 1) == wide);
        assert_non_null(strstr(s.s, "rel. output"));
        lb_str_free(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost), cmocka_unit_test(what_matters_first), cmocka_unit_test(wide_shows_all),
        cmocka_unit_test(names_break),     cmocka_unit_test(seeds_stay),         cmocka_unit_test(layers_too),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
