#include "quant/options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/scalar.h"
#include "quant/format.h"

bool lb_option_answers(const lb_option *opt, const char *name) {
    const char *dot = strchr(opt->name, '.');
    return strcmp(opt->name, name) == 0 || (dot && strcmp(dot + 1, name) == 0);
}

const lb_option *lb_options_find(const lb_options *o, const char *name) {
    for (size_t i = 0; i < o->n; i++)
        if (lb_option_answers(&o->table[i], name)) return &o->table[i];
    return NULL;
}

static void *field(const lb_option *opt, void *values) { return (char *)values + opt->offset; }
static const void *cfield(const lb_option *opt, const void *values) { return (const char *)values + opt->offset; }

/* "[2, 8]", "at least 0", or nothing where there are no bounds. */
static void bounds_text(const lb_option *opt, const char *between, const char *from, lb_str *out) {
    if (isfinite(opt->max))
        lb_str_add(out, "%s[%.15g, %.15g]", between, opt->min, opt->max);
    else if (isfinite(opt->min))
        lb_str_add(out, "%s%.15g", from, opt->min);
}

static bool group_allows(const lb_option *opt, const char *word) {
    if (!opt->choices) return true;
    for (size_t i = 0; opt->choices[i]; i++)
        if (strcmp(opt->choices[i], word) == 0) return true;
    return false;
}

static void expected_text(const lb_option *opt, lb_str *out) {
    switch (opt->type) {
    case LB_OPT_INT:
        lb_str_add(out, "integer");
        bounds_text(opt, " in ", " of at least ", out);
        break;
    case LB_OPT_FLOAT:
        lb_str_add(out, "number");
        bounds_text(opt, " in ", " of at least ", out);
        break;
    case LB_OPT_BOOL:
        lb_str_add(out, "true or false");
        break;
    case LB_OPT_CHOICE:
        for (size_t i = 0; opt->choices[i]; i++)
            lb_str_add(out, "%s%s", i == 0 ? "" : opt->choices[i + 1] ? ", " : " or ", opt->choices[i]);
        break;
    case LB_OPT_GROUP:
        if (group_allows(opt, "row")) lb_str_add(out, "row, ");
        if (group_allows(opt, "tensor")) lb_str_add(out, "tensor, ");
        lb_str_add(out, "or a number of columns");
        bounds_text(opt, " in ", " of at least ", out);
        break;
    case LB_OPT_STR:
        lb_str_add(out, "text");
        break;
    case LB_OPT_FORMAT:
        for (size_t i = 0; lb_formats[i]; i++)
            lb_str_add(out, "%s%s", i == 0 ? "" : lb_formats[i + 1] ? ", " : " or ", lb_formats[i]->name);
        break;
    }
}

static lb_status bad_value(const lb_option *opt, const char *text, bool only_bounds, const char *whose) {
    lb_str want = {0};
    if (only_bounds)
        bounds_text(opt, "in ", "at least ", &want);
    else
        expected_text(opt, &want);
    const char *article = only_bounds || opt->type == LB_OPT_BOOL || opt->type == LB_OPT_CHOICE ||
                                  opt->type == LB_OPT_STR || opt->type == LB_OPT_FORMAT
                              ? ""
                              : (opt->type == LB_OPT_INT     ? "an "
                                 : opt->type == LB_OPT_FLOAT ? "a "
                                                             : "");
    lb_status st = lb_str_check(&want);
    if (st == LB_OK)
        st = lb_fail(LB_E_CONFIG, "%s = %s: must be %s%s (%s)", opt->name, text, article, want.s ? want.s : "", whose);
    lb_str_free(&want);
    return st;
}

static bool inside(const lb_option *opt, double v) { return v >= opt->min && v <= opt->max; }

static lb_status set_value(const lb_option *opt, lb_arena *a, void *at, const char *text, const char *whose) {
    int64_t i = 0;
    switch (opt->type) {
    case LB_OPT_INT:
        if (lb_scalar_i64(text, &i) != LB_OK) return bad_value(opt, text, false, whose);
        if (!inside(opt, (double)i)) return bad_value(opt, text, true, whose);
        *(int64_t *)at = i;
        return LB_OK;
    case LB_OPT_FLOAT: {
        double v = 0;
        if (lb_scalar_f64(text, &v) != LB_OK || !isfinite(v)) return bad_value(opt, text, false, whose);
        if (!inside(opt, v)) return bad_value(opt, text, true, whose);
        *(double *)at = v;
        return LB_OK;
    }
    case LB_OPT_BOOL: {
        bool b = false;
        if (lb_scalar_bool(text, &b) != LB_OK) return bad_value(opt, text, false, whose);
        *(bool *)at = b;
        return LB_OK;
    }
    case LB_OPT_CHOICE:
        for (int k = 0; opt->choices[k]; k++) {
            if (strcmp(opt->choices[k], text) == 0) {
                *(int *)at = k;
                return LB_OK;
            }
        }
        return bad_value(opt, text, false, whose);
    case LB_OPT_GROUP:
        if (strcmp(text, "row") == 0 && group_allows(opt, "row")) {
            *(int64_t *)at = LB_GROUP_ROW;
            return LB_OK;
        }
        if (strcmp(text, "tensor") == 0 && group_allows(opt, "tensor")) {
            *(int64_t *)at = LB_GROUP_TENSOR;
            return LB_OK;
        }
        if (lb_scalar_i64(text, &i) != LB_OK || i <= 0 || !inside(opt, (double)i))
            return bad_value(opt, text, false, whose);
        *(int64_t *)at = i;
        return LB_OK;
    case LB_OPT_STR: {
        char *copy = lb_arena_strdup(a, text);
        if (!copy) return LB_E_NOMEM;
        *(const char **)at = copy;
        return LB_OK;
    }
    case LB_OPT_FORMAT: {
        const lb_format *f = lb_format_find(text);
        if (!f) return bad_value(opt, text, false, whose);
        *(const lb_format **)at = f;
        return LB_OK;
    }
    }
    return lb_fail(LB_E_ARG, "option %s has an unknown type %d", opt->name, (int)opt->type);
}

lb_status lb_options_defaults(const lb_options *o, lb_arena *a, void *values) {
    if (o->struct_size) memset(values, 0, o->struct_size);
    for (size_t i = 0; i < o->n; i++) {
        const lb_option *opt = &o->table[i];
        if (opt->def) LB_TRY(set_value(opt, a, field(opt, values), opt->def, "default"));
    }
    return LB_OK;
}

static lb_status unknown(const lb_options *o, const char *name, const char *whose) {
    const char **names = lb_alloc(o->n + 1, sizeof *names);
    if (!names) return LB_E_NOMEM;
    lb_str all = {0};
    for (size_t i = 0; i < o->n; i++) {
        names[i] = o->table[i].name;
        lb_str_add(&all, "%s%s", i ? ", " : "", names[i]);
    }
    const char *near = lb_str_nearest(name, names, o->n);
    lb_status st = lb_str_check(&all);
    if (st == LB_OK && near)
        st = lb_fail(LB_E_CONFIG, "unknown key '%s' (%s): did you mean '%s'?", name, whose, near);
    else if (st == LB_OK)
        st = lb_fail(LB_E_CONFIG, "unknown key '%s' (%s): expected one of %s", name, whose, all.s ? all.s : "(none)");
    lb_str_free(&all);
    lb_free(names);
    return st;
}

lb_status lb_options_set(const lb_options *o, lb_arena *a, void *values, const char *name, const char *text,
                         const char *whose) {
    bool known = false;
    for (size_t i = 0; i < o->n; i++) {
        const lb_option *opt = &o->table[i];
        if (!lb_option_answers(opt, name)) continue;
        known = true;
        LB_TRY(set_value(opt, a, field(opt, values), text, whose));
    }
    return known ? LB_OK : unknown(o, name, whose);
}

/* The shortest decimal that parses back to v. */
static void float_text(double v, lb_str *out) {
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        double back = 0;
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (lb_parse_f64(text, &back) == LB_OK && back == v) break;
    }
    lb_str_add(out, "%s", text);
}

void lb_options_text(const lb_option *opt, const void *values, lb_str *out) {
    const void *at = cfield(opt, values);
    switch (opt->type) {
    case LB_OPT_INT:
        lb_str_add(out, "%lld", (long long)*(const int64_t *)at);
        break;
    case LB_OPT_FLOAT:
        float_text(*(const double *)at, out);
        break;
    case LB_OPT_BOOL:
        lb_str_add(out, "%s", *(const bool *)at ? "true" : "false");
        break;
    case LB_OPT_CHOICE:
        lb_str_add(out, "%s", opt->choices[*(const int *)at]);
        break;
    case LB_OPT_GROUP: {
        int64_t g = *(const int64_t *)at;
        if (g == LB_GROUP_ROW || g == LB_GROUP_TENSOR)
            lb_str_add(out, "%s", g == LB_GROUP_ROW ? "row" : "tensor");
        else
            lb_str_add(out, "%lld", (long long)g);
        break;
    }
    case LB_OPT_STR: {
        const char *s = *(const char *const *)at;
        lb_str_add(out, "%s", s ? s : "");
        break;
    }
    case LB_OPT_FORMAT: {
        const lb_format *f = *(const lb_format *const *)at;
        lb_str_add(out, "%s", f ? f->name : "");
        break;
    }
    }
}

bool lb_options_silent(const lb_option *opt, const void *values) {
    if (opt->type != LB_OPT_FORMAT || !opt->def) return false;
    const lb_format *f = *(const lb_format *const *)cfield(opt, values);
    return f && strcmp(f->name, opt->def) == 0;
}

void lb_options_describe(const lb_option *opt, lb_str *out) {
    expected_text(opt, out);
    if (!opt->def)
        lb_str_add(out, ", required");
    else if (opt->def[0])
        lb_str_add(out, ", default %s", opt->def);
}

static bool is_among(const char *name, const char *const *list) {
    for (int k = 0; list[k]; k++)
        if (strcmp(name, list[k]) == 0) return true;
    return false;
}

lb_status lb_options_own(const lb_options *o, const void *all, const void *layer, const char *const *own,
                         const char *layer_name, const char *whole) {
    lb_str a = {0}, b = {0};
    lb_status s = LB_OK;
    for (size_t i = 0; i < o->n && s == LB_OK; i++) {
        const lb_option *opt = &o->table[i];
        if (is_among(opt->name, own)) continue;
        a.len = b.len = 0;
        lb_options_text(opt, all, &a);
        lb_options_text(opt, layer, &b);
        s = lb_str_check(a.failed ? &a : &b);
        if (s == LB_OK && strcmp(a.s, b.s) != 0)
            s = lb_fail(LB_E_UNSUPPORTED, "layer %s: %s = %s: belongs to %s (%s), not to one layer", layer_name,
                        opt->name, b.s, whole, a.s);
    }
    lb_str_free(&a);
    lb_str_free(&b);
    return s;
}
