/* lowbit methods [NAME] */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/new_method.h"
#include "cli/topics.h"
#include "eval/collect.h"

typedef struct methods_flags {
    const char *plugin, *name, *dir;
    int scope;
} methods_flags;

static const char *const scopes[] = {"layer", "block", "network", NULL};

static const lb_option flags[] = {
    {"plugin", LB_OPT_STR, "", 0, 0, NULL, "a shared object with a method of your own, to show as well",
     offsetof(methods_flags, plugin)},
    {"new", LB_OPT_STR, "", 0, 0, NULL, "write NAME.c and test_NAME.c, a method of your own to start from",
     offsetof(methods_flags, name)},
    {"scope", LB_OPT_CHOICE, "layer", 0, 0, scopes, "what it sees at a time", offsetof(methods_flags, scope)},
    {"dir", LB_OPT_STR, ".", 0, 0, NULL, "where they are written", offsetof(methods_flags, dir)},
};

static const char *scope_of(const lb_method *m) { return m->layer ? "layer" : m->block ? "block" : "model"; }

static const char *scope_text(const lb_method *m) {
    if (m->layer) return "one layer at a time";
    if (!m->block) return "the whole model, through a trainer";
    return m->needs & LB_PRESERVES ? "the inputs of one block at a time; what the model computes stays"
                                   : "the layers of one block at a time";
}

static const char *stage_text(const lb_method *m) {
    if (m->needs & LB_PRESERVES) return "before those that compress, never alone";
    if (m->extend) return "first, or going on from a layer so far";
    return m->model ? "none" : "only the first";
}

static void list(lb_str *out) {
    const lb_method *m;
    size_t name = 6, summary = 7;
    for (size_t i = 0; (m = lb_method_at(i)); i++) {
        if (strlen(m->name) > name) name = strlen(m->name);
        if (strlen(m->summary) > summary) summary = strlen(m->summary);
    }
    lb_str_add(out, "%-*s  scope  %-*s  cite\n", (int)name, "method", (int)summary, "summary");
    for (size_t i = 0; (m = lb_method_at(i)); i++)
        lb_str_add(out, "%-*s  %-5s  %-*s  %s\n", (int)name, m->name, scope_of(m), (int)summary, m->summary,
                   m->cite ? m->cite : "-");
    lb_str_add(out, "\n%-*s  bits   number format, where a method has that option\n", (int)name, "format");
    for (size_t i = 0; lb_formats[i]; i++) {
        const lb_format *f = lb_formats[i];
        char bits[32];
        snprintf(bits, sizeof bits, f->bits_min == f->bits_max ? "%d" : "%d to %d", f->bits_min, f->bits_max);
        lb_str_add(out, "%-*s  %-6s %s\n", (int)name, f->name, bits, f->summary);
    }
    lb_str_add(
        out, "\nlowbit methods NAME explains a method's options. stages: of a config joins methods of scope layer and "
             "block: each\ngoes on from what the one before made.\n");
}

/* "calibration text (Hessians, mean |x| of each channel)" */
static void needs_text(const lb_method *m, lb_str *out) {
    int n = 0;
    if (m->needs & LB_NEEDS_CALIBRATION) lb_str_add(out, "calibration text (");
    for (int i = 0; lb_collectors[i]; i++)
        if (m->needs & lb_collectors[i]->need) lb_str_add(out, "%s%s", n++ ? ", " : "", lb_collectors[i]->words);
    if (m->needs & LB_NEEDS_FORWARD) lb_str_add(out, "%spasses through blocks", n ? ", " : "");
    if (m->needs & LB_NEEDS_CALIBRATION) lb_str_add(out, m->needs_of ? "), as its options ask" : ")");
    if (!out->len) lb_str_add(out, m->needs & LB_NEEDS_TRAINER ? "training text" : "nothing");
}

/* What results have of each layer besides what all methods have. */
static void list_told(const lb_diagnostics *d, lb_str *out) {
    size_t width = 0;
    for (size_t i = 0; i < d->n; i++)
        if (strlen(d->table[i].name) > width) width = strlen(d->table[i].name);
    if (d->n) lb_str_add(out, "\ntold of each layer\n");
    for (size_t i = 0; i < d->n; i++)
        lb_str_add(out, "  %-*s  %s%s%s%s\n", (int)width, d->table[i].name, d->table[i].meaning,
                   d->table[i].unit[0] ? " (" : "", d->table[i].unit, d->table[i].unit[0] ? ")" : "");
}

lb_status lb_cli_method_help(const lb_method *m, lb_str *out) {
    lb_str what = {0}, needs = {0};
    size_t width = 0;
    needs_text(m, &needs);
    lb_str_add(out, "%s: %s\nscope  %s\nstage  %s\nneeds  %s\ncite   %s\n", m->name, m->summary, scope_text(m),
               stage_text(m), needs.s ? needs.s : "", m->cite ? m->cite : "-");
    for (size_t i = 0; i < m->options.n; i++)
        if (strlen(m->options.table[i].name) > width) width = strlen(m->options.table[i].name);
    lb_str_add(out, m->options.n ? "\noptions\n" : "\nno options\n");
    for (size_t i = 0; i < m->options.n; i++) {
        const lb_option *o = &m->options.table[i];
        bool first = m->later.table && !lb_options_find(&m->later, o->name);
        what.len = 0;
        lb_options_describe(o, &what);
        lb_str_add(out, "  %-*s  %s\n  %*s  %s%s\n", (int)width, o->name, what.s ? what.s : "", (int)width, "", o->help,
                   first ? " (not of a later stage)" : "");
    }
    list_told(&m->diagnostics, out);
    lb_status st = lb_str_check(&what);
    if (st == LB_OK) st = lb_str_check(&needs);
    lb_str_free(&what);
    lb_str_free(&needs);
    return st;
}

static lb_status run(const lb_cli_args *args, const void *values, lb_arena *a, lb_log *log, int *exit_code) {
    (void)a, (void)log, (void)exit_code;
    const methods_flags *f = values;
    const lb_method *m = NULL;
    if (f->plugin && f->plugin[0]) LB_TRY(lb_method_load(f->plugin, &m));
    if (args->n_positional && !(m = lb_method_find(args->positional[0])))
        return lb_unknown_method(LB_E_ARG, "", args->positional[0], "");
    lb_str out = {0};
    lb_status st = LB_OK;
    if (f->name[0])
        st = lb_cli_new_method(f->name, scopes[f->scope], f->dir, &out);
    else if (args->n_positional)
        st = lb_cli_method_help(m, &out);
    else
        list(&out);
    if (st == LB_OK) st = lb_str_check(&out);
    if (st == LB_OK) lb_cli_print(out.s);
    lb_str_free(&out);
    return st;
}

const lb_command lb_cmd_methods = {
    .name = "methods",
    .usage = "[NAME | --new NAME [--scope SCOPE] [--dir DIR]]",
    .summary = "list the quantization methods, explain the options of one, or begin one of your own",
    .example = "lowbit methods gptq",
    .flags = {flags, sizeof flags / sizeof flags[0], sizeof(methods_flags)},
    .max_positional = 1,
    .names_help = true,
    .run = run,
};
