/* What an author asks of plots: `plots:` of a config, or a file with the same keys. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/scalar.h"
#include "io/yaml.h"
#include "quant/options.h"
#include "report/plot_style.h"

const lb_plot_options lb_plot_usual = {.formats = LB_PLOT_USUAL_FORMATS, .title = true};

const char *const lb_plot_figures[] = {
    "ppl-bits",    "delta-bits",          "kl-bits",  "front",     "layer-error", "error-map", "training-loss",
    "training-kl", "training-validation", "sizes",    "cost",      "seeds",       "texts",     "samples",
    "acc-bits",    "token-map",           "kl-texts", "acc-texts", NULL};
static const char *const format_names[] = {"svg", "png", "pdf", "cairolatex", "tikz", NULL};
static const char *const axis_names[] = {"bits", "ppl", "delta", "kl", "acc", "mib", NULL};

/* Inches, how high a figure with much to show may be, and the points that text of that size is set in. */
static const struct {
    const char *name;
    double width, height, most, font;
} sizes[] = {{"page", 0, 0, 0, 0},
             {"column", 3.35, 2.6, 8.5, 8},
             {"two-columns", 7.0, 3.4, 8.5, 9},
             {"slide", 10, 5.6, 5.6, 18}};
static const char *const size_names[] = {"page", "column", "two-columns", "slide", NULL};

typedef struct scalars {
    const char *font;
    double font_size;
    bool title;
} scalars;
static const lb_option scalar_rows[] = {
    {"font", LB_OPT_STR, "", 0, 0, NULL, "font family", offsetof(scalars, font)},
    {"font_size", LB_OPT_FLOAT, "0", 0, 72, NULL, "in points; 0 = as the size has it", offsetof(scalars, font_size)},
    {"title", LB_OPT_BOOL, "true", 0, 0, NULL, "titles above figures", offsetof(scalars, title)},
};
static const lb_options scalar_table = {scalar_rows, sizeof scalar_rows / sizeof scalar_rows[0], sizeof(scalars)};
static const char *const keys[] = {"formats", "size",    "font",    "font_size", "title", "titles",
                                   "palette", "methods", "figures", "limits",    NULL};

static size_t count(const char *const *names) {
    size_t n = 0;
    while (names[n]) n++;
    return n;
}

static int find(const char *const *names, const char *s) {
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], s) == 0) return i;
    return -1;
}

#define WHERE(n) (n)->file, (n)->line

/* plots.yaml:3: figures: 'frnt': did you mean 'front'? */
static lb_status unknown(const lb_yaml *n, const char *what, const char *name, const char *const *known) {
    const char *near = lb_str_nearest(name, known, count(known));
    if (near)
        return lb_fail(LB_E_CONFIG, "%s:%d: %s '%s' is not known: did you mean '%s'?", WHERE(n), what, name, near);
    lb_str all = {0};
    for (int i = 0; known[i]; i++) lb_str_add(&all, "%s%s", i ? ", " : "", known[i]);
    lb_status st = lb_str_check(&all);
    if (st == LB_OK) st = lb_fail(LB_E_CONFIG, "%s:%d: %s '%s' is not known: expected %s", WHERE(n), what, name, all.s);
    lb_str_free(&all);
    return st;
}

static lb_status expect(const lb_yaml *n, const char *key, lb_yaml_kind kind, const char *what) {
    return n->kind == kind ? LB_OK : lb_fail(LB_E_CONFIG, "%s:%d: %s: expected %s", WHERE(n), key, what);
}

static lb_status number(const lb_yaml *n, const char *key, double *out) {
    if (n->kind != LB_YAML_SCALAR || n->quoted || lb_scalar_f64(n->text, out) != LB_OK || !isfinite(*out))
        return lb_fail(LB_E_CONFIG, "%s:%d: %s: expected a number", WHERE(n), key);
    return LB_OK;
}

/* A list of names, or one. known: NULL, any. */
static lb_status names(lb_arena *a, const lb_yaml *n, const char *key, const char *const *known, const char ***out,
                       size_t *many) {
    bool one = n->kind == LB_YAML_SCALAR;
    size_t items = one ? 1 : n->count;
    *out = LB_NEW(a, const char *, items + 1);
    if (!*out) return LB_E_NOMEM;
    if (!one) LB_TRY(expect(n, key, LB_YAML_LIST, "a list of names"));
    for (size_t i = 0; i < items; i++) {
        const lb_yaml *x = one ? n : n->item[i];
        LB_TRY(expect(x, key, LB_YAML_SCALAR, "a list of names"));
        if (known && find(known, x->text) < 0) return unknown(x, key, x->text, known);
        (*out)[i] = x->text;
    }
    *many = items;
    return LB_OK;
}

static lb_status read_formats(lb_arena *a, const lb_yaml *n, lb_plot_options *o) {
    const char **name;
    size_t many = 0;
    LB_TRY(names(a, n, "formats", format_names, &name, &many));
    o->formats = LB_PLOT_USUAL_FORMATS; /* which pages show */
    for (size_t i = 0; i < many; i++) o->formats |= 1u << find(format_names, name[i]);
    return LB_OK;
}

static lb_status read_size(const lb_yaml *n, lb_plot_options *o) {
    if (n->kind == LB_YAML_SCALAR) {
        int k = find(size_names, n->text);
        if (k < 0) return unknown(n, "size", n->text, size_names);
        o->width_in = sizes[k].width, o->height_in = sizes[k].height, o->font_size = sizes[k].font;
        o->most_height_in = sizes[k].most;
        return LB_OK;
    }
    if (n->kind != LB_YAML_LIST || n->count != 2)
        return lb_fail(LB_E_CONFIG,
                       "%s:%d: size: expected page, column, two-columns, slide or [width, height] in inches", WHERE(n));
    LB_TRY(number(n->item[0], "size", &o->width_in));
    LB_TRY(number(n->item[1], "size", &o->height_in));
    if (!(o->width_in >= 1 && o->width_in <= 60 && o->height_in >= 1 && o->height_in <= 60))
        return lb_fail(LB_E_CONFIG, "%s:%d: size: must be in [1, 60] inches", WHERE(n));
    o->font_size = o->width_in < 5 ? 8 : o->width_in < 8 ? 9 : 13;
    o->exact = true;
    o->most_height_in = o->height_in;
    return LB_OK;
}

/* It stands in scripts of gnuplot. */
static lb_status check_font(const lb_yaml *n) {
    static const char may[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -.";
    if (n->kind == LB_YAML_SCALAR && n->text[0] && strlen(n->text) <= 64 && strspn(n->text, may) == strlen(n->text))
        return LB_OK;
    return lb_fail(LB_E_CONFIG, "%s:%d: font: expected the name of a family, in letters, digits, blanks, - and .",
                   WHERE(n));
}

static lb_status read_scalar(lb_arena *a, const lb_yaml *n, scalars *s) {
    if (n->kind != LB_YAML_SCALAR) return lb_fail(LB_E_CONFIG, "%s:%d: %s: expected one value", WHERE(n), n->key);
    if (strcmp(n->key, "font") == 0) LB_TRY(check_font(n));
    if (lb_options_set(&scalar_table, a, s, n->key, n->text, "plots") == LB_OK) return LB_OK;
    char said[512];
    snprintf(said, sizeof said, "%s", lb_error());
    return lb_fail(LB_E_CONFIG, "%s:%d: %s", WHERE(n), said);
}

static bool is_colour(const char *s) {
    return s[0] == '#' && strlen(s) == 7 && strspn(s + 1, "0123456789abcdefABCDEF") == 6;
}

static lb_status read_pairs(lb_arena *a, const lb_yaml *n, bool colours, lb_pairs *out) {
    LB_TRY(expect(n, n->key, LB_YAML_MAP, colours ? "a map from methods to colours" : "a map from figures to titles"));
    for (size_t i = 0; i < n->count; i++) {
        const lb_yaml *x = n->item[i];
        LB_TRY(expect(x, x->key, LB_YAML_SCALAR, "a text"));
        if (colours && !is_colour(x->text))
            return lb_fail(LB_E_CONFIG, "%s:%d: palette: %s: '%s': expected a colour in quotes, as \"#0072b2\"",
                           WHERE(x), x->key, x->text);
        if (!colours && find(lb_plot_figures, x->key) < 0) return unknown(x, "titles: figure", x->key, lb_plot_figures);
        LB_TRY(lb_pairs_add(a, out, x->key, x->text));
    }
    return LB_OK;
}

static lb_status read_limits(lb_arena *a, const lb_yaml *n, lb_plot_options *o) {
    LB_TRY(expect(n, "limits", LB_YAML_MAP, "a map from axes to [low, high]"));
    o->limit = LB_NEW(a, lb_plot_limit, n->count + 1);
    if (!o->limit) return LB_E_NOMEM;
    for (size_t i = 0; i < n->count; i++) {
        const lb_yaml *x = n->item[i];
        lb_plot_limit *l = &o->limit[o->limits++];
        if (find(axis_names, x->key) < 0) return unknown(x, "limits: axis", x->key, axis_names);
        if (x->kind != LB_YAML_LIST || x->count != 2)
            return lb_fail(LB_E_CONFIG, "%s:%d: limits: %s: expected [low, high]", WHERE(x), x->key);
        l->axis = x->key;
        LB_TRY(number(x->item[0], x->key, &l->low));
        LB_TRY(number(x->item[1], x->key, &l->high));
        if (!(l->low < l->high)) return lb_fail(LB_E_CONFIG, "%s:%d: limits: %s: must rise", WHERE(x), x->key);
        if (strcmp(l->axis, "bits") != 0 && strcmp(l->axis, "acc") != 0 && !(l->low > 0))
            return lb_fail(LB_E_CONFIG, "%s:%d: limits: %s: must be above 0, the axis is logarithmic", WHERE(x),
                           x->key);
    }
    return LB_OK;
}

static lb_status read_key(lb_arena *a, const lb_yaml *n, scalars *s, lb_plot_options *o) {
    const char **list;
    switch (find(keys, n->key)) {
    case 0:
        return read_formats(a, n, o);
    case 1:
        return LB_OK; /* read before all others */
    case 2:
    case 3:
    case 4:
        return read_scalar(a, n, s);
    case 5:
        return read_pairs(a, n, false, &o->titles);
    case 6:
        return read_pairs(a, n, true, &o->palette);
    case 7:
        LB_TRY(names(a, n, "methods", NULL, &list, &o->methods));
        o->method = list;
        return LB_OK;
    case 8:
        LB_TRY(names(a, n, "figures", lb_plot_figures, &list, &o->figures));
        o->figure = list;
        return LB_OK;
    case 9:
        return read_limits(a, n, o);
    default:
        return unknown(n, "plots: key", n->key, keys);
    }
}

lb_status lb_plot_options_from(lb_arena *a, const lb_yaml *n, lb_plot_options *out) {
    scalars s;
    *out = lb_plot_usual;
    if (n->kind == LB_YAML_SCALAR && !n->quoted && (!n->text || lb_scalar_null(n->text))) return LB_OK;
    if (n->kind != LB_YAML_MAP) return lb_fail(LB_E_CONFIG, "%s:%d: plots: expected a map", WHERE(n));
    LB_TRY(lb_options_defaults(&scalar_table, a, &s));
    const lb_yaml *size = lb_yaml_get(n, "size");
    if (size) LB_TRY(read_size(size, out));
    for (size_t i = 0; i < n->count; i++) LB_TRY(read_key(a, n->item[i], &s, out));
    out->font = s.font[0] ? s.font : NULL;
    out->title = s.title;
    if (s.font_size > 0) out->font_size = s.font_size;
    return LB_OK;
}

lb_status lb_plot_options_read(lb_arena *a, const char *yaml_path, lb_plot_options *out) {
    lb_yaml *root;
    *out = lb_plot_usual;
    if (!yaml_path) return LB_OK;
    LB_TRY(lb_yaml_parse_file(a, yaml_path, &root));
    const lb_yaml *below = lb_yaml_get(root, "plots");
    return lb_plot_options_from(a, below && root->count == 1 ? below : root, out);
}

/* ---- as text ---- */

static void quoted(lb_str *s, const char *text) {
    lb_str_add(s, "'");
    for (const char *p = text; *p; p++)
        if (*p == '\'')
            lb_str_add(s, "''");
        else
            lb_str_add_bytes(s, (unsigned char)*p < ' ' ? " " : p, 1);
    lb_str_add(s, "'");
}

static void list_text(lb_str *s, const char *key, const char *const *name, size_t n) {
    if (!n) return;
    lb_str_add(s, "%s: [", key);
    for (size_t i = 0; i < n; i++) {
        lb_str_add(s, "%s", i ? ", " : "");
        quoted(s, name[i]);
    }
    lb_str_add(s, "]\n");
}

static void pairs_text(lb_str *s, const char *key, const lb_pairs *p) {
    if (!p->n) return;
    lb_str_add(s, "%s:\n", key);
    for (int64_t i = 0; i < p->n; i++) {
        lb_str_add(s, "  ");
        quoted(s, p->at[i].key);
        lb_str_add(s, ": ");
        quoted(s, p->at[i].value);
        lb_str_add(s, "\n");
    }
}

void lb_plot_options_text(const lb_plot_options *o, lb_str *s) {
    lb_str_add(s, "formats: [");
    for (int i = 0, n = 0; format_names[i]; i++)
        if (o->formats & 1u << i) lb_str_add(s, "%s%s", n++ ? ", " : "", format_names[i]);
    lb_str_add(s, "]\n");
    for (size_t i = 1; i < sizeof sizes / sizeof sizes[0] && !o->exact; i++)
        if (sizes[i].width == o->width_in) lb_str_add(s, "size: %s\n", sizes[i].name);
    if (o->exact) lb_str_add(s, "size: [%.9g, %.9g]\n", o->width_in, o->height_in);
    if (o->font) {
        lb_str_add(s, "font: ");
        quoted(s, o->font);
        lb_str_add(s, "\n");
    }
    if (o->font_size > 0) lb_str_add(s, "font_size: %.9g\n", o->font_size);
    if (!o->title) lb_str_add(s, "title: false\n");
    pairs_text(s, "titles", &o->titles);
    pairs_text(s, "palette", &o->palette);
    list_text(s, "methods", o->method, o->methods);
    list_text(s, "figures", o->figure, o->figures);
    for (size_t i = 0; i < o->limits; i++)
        lb_str_add(s, "%s  %s: [%.9g, %.9g]\n", i ? "" : "limits:\n", o->limit[i].axis, o->limit[i].low,
                   o->limit[i].high);
}
