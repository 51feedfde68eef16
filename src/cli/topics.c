#include "cli/topics.h"

#include <string.h>

#include "cli/commands.h"
#include "report/columns.h"
#include "result/quality.h"

static lb_status add(lb_arena *a, lb_topics *t, lb_topic_kind kind, const char *name, const void *what,
                     const void *of) {
    if (t->n == t->room) {
        size_t room = t->room ? 2 * t->room : 512;
        lb_topic *more = LB_NEW(a, lb_topic, room);
        if (!more) return LB_E_NOMEM;
        if (t->n) memcpy(more, t->at, t->n * sizeof *more);
        t->at = more;
        t->room = room;
    }
    t->at[t->n++] = (lb_topic){name, kind, what, of};
    return LB_OK;
}

static lb_status add_options(lb_arena *a, lb_topics *t, lb_topic_kind kind, const lb_options *o, const void *of) {
    for (size_t i = 0; i < o->n; i++) LB_TRY(add(a, t, kind, o->table[i].name, &o->table[i], of));
    return LB_OK;
}

/* Keys that are told in the words of their section. */
static lb_status add_told_keys(lb_arena *a, lb_topics *t, const lb_config_section *s) {
    static const char *const key[][2] = {{"quantize[]", "method"}, {"quantize[]", "stages"}, {"quantize[]", "label"},
                                         {"rules[]", "match"},     {"rules[]", "skip"},      {"rules[]", "same_as"}};
    for (size_t i = 0; i < sizeof key / sizeof key[0]; i++)
        if (strcmp(key[i][0], s->title) == 0) LB_TRY(add(a, t, LB_TOPIC_SECTION, key[i][1], s, NULL));
    return LB_OK;
}

static lb_status add_config(lb_arena *a, lb_topics *t) {
    const lb_config_section *s;
    for (size_t i = 0; (s = lb_config_section_at(i)); i++) {
        const char *name = lb_arena_printf(a, "%.*s", (int)strcspn(s->title, "["), s->title);
        if (!name) return LB_E_NOMEM;
        LB_TRY(add(a, t, LB_TOPIC_SECTION, name, s, NULL));
        LB_TRY(add_told_keys(a, t, s));
    }
    for (size_t i = 0; (s = lb_config_section_at(i)); i++)
        if (s->table) LB_TRY(add_options(a, t, LB_TOPIC_KEY, s->table, s));
    return LB_OK;
}

static lb_status add_methods(lb_arena *a, lb_topics *t) {
    const lb_method *m;
    for (size_t i = 0; (m = lb_method_at(i)); i++) LB_TRY(add(a, t, LB_TOPIC_METHOD, m->name, m, NULL));
    for (size_t i = 0; (m = lb_method_at(i)); i++) LB_TRY(add_options(a, t, LB_TOPIC_OPTION, &m->options, m));
    for (size_t i = 0; lb_formats[i]; i++) LB_TRY(add(a, t, LB_TOPIC_FORMAT, lb_formats[i]->name, lb_formats[i], NULL));
    return LB_OK;
}

static lb_status add_results(lb_arena *a, lb_topics *t) {
    const lb_method *m;
    for (const lb_fact *f = lb_facts; f->name; f++) LB_TRY(add(a, t, LB_TOPIC_FACT, f->name, f, lb_facts));
    for (const lb_fact *f = lb_row_facts; f->name; f++) LB_TRY(add(a, t, LB_TOPIC_FACT, f->name, f, lb_row_facts));
    for (const lb_fact *f = lb_fact_aliases; f->name; f++) LB_TRY(add(a, t, LB_TOPIC_FACT, f->name, f, NULL));
    for (size_t i = 0; lb_commands[i]; i++)
        LB_TRY(add_options(a, t, LB_TOPIC_FLAG, &lb_commands[i]->flags, lb_commands[i]));
    const lb_flag *f;
    for (int bit = 0; (f = lb_flag_of(bit)); bit++) {
        const char *letter = lb_arena_printf(a, "%c", f->letter);
        if (!letter) return LB_E_NOMEM;
        LB_TRY(add(a, t, LB_TOPIC_MARK, letter, f, NULL));
        LB_TRY(add(a, t, LB_TOPIC_MARK, f->name, f, NULL));
    }
    for (size_t i = 0; (m = lb_method_at(i)); i++)
        for (size_t k = 0; k < m->diagnostics.n; k++)
            LB_TRY(add(a, t, LB_TOPIC_TOLD, m->diagnostics.table[k].name, &m->diagnostics.table[k], m));
    return LB_OK;
}

static lb_status add_plots(lb_arena *a, lb_topics *t) {
    const lb_plot_word *w, *key;
    for (key = lb_plot_keys; key->name; key++) {
        LB_TRY(add(a, t, LB_TOPIC_PLOT, key->name, key, NULL));
        for (w = lb_plot_other_words; w->name; w++)
            if (strcmp(w->about, key->name) == 0) LB_TRY(add(a, t, LB_TOPIC_PLOT, w->name, key, NULL));
    }
    for (w = lb_plot_figure_words; w->name; w++) LB_TRY(add(a, t, LB_TOPIC_FIGURE, w->name, w, NULL));
    return LB_OK;
}

static const lb_plot_word files[] = {
    {"cells.csv",
     "a row a cell and evaluation, with every number and everything that a cell depends on (docs/report.md)"},
    {"expected.csv", "beside a config: values that should come out, with their tolerances; a copy goes to the results "
                     "(docs/experiments.md)"},
    {"plots.yaml", "how plots look, beside the results: what `plots:` of the config said, or a file for --plots "
                   "(configs/plots.yaml is one)"},
    {"sources.yaml", "names of models and texts, with SHA-256 and where to get them: lowbit sources lists them"},
    {"style.gp", "beside the results: lines of gnuplot (`set` and `unset` of looks) for every script of the report"},
    {"sweep.json", "the index of a results folder: the cells of its last run, and their files (docs/results.md)"},
    {"index.html", "the page of a report, in report/ of the results: everything, pictures inside"},
    {"body.tex", "the report as LaTeX, in report/ of the results: make paper makes a PDF of it"},
    {NULL, NULL},
};
/* about: names that are meant. */
static const lb_plot_word words[] = {
    {"perplexity", "ppl protocol"},
    {"divergence", "kl_mean"},
    {"kl_divergence", "kl_mean"},
    {"loss", "mean_nll"},
    {"standard_error", "ppl_se"},
    {"seeds_of_rows", "seeds"},
    {NULL, NULL},
};

static lb_status add_words(lb_arena *a, lb_topics *t) {
    const lb_plot_word *w;
    for (w = files; w->name; w++) LB_TRY(add(a, t, LB_TOPIC_FILE, w->name, w, NULL));
    for (w = words; w->name; w++) LB_TRY(add(a, t, LB_TOPIC_WORD, w->name, w, NULL));
    return LB_OK;
}

static lb_status add_models(lb_arena *a, lb_topics *t) {
    for (size_t i = 0; lb_family_table[i]; i++)
        LB_TRY(add(a, t, LB_TOPIC_FAMILY, lb_family_table[i]->name, lb_family_table[i], NULL));
    lb_sources *s = LB_NEW(a, lb_sources, 1);
    if (!s) return LB_E_NOMEM;
    lb_status st = lb_sources_open(a, ".", s);
    if (st != LB_OK) return st == LB_E_NOMEM ? st : LB_OK;
    for (size_t i = 0; i < s->n; i++) LB_TRY(add(a, t, LB_TOPIC_SOURCE, s->at[i].name, &s->at[i], s));
    return LB_OK;
}

lb_status lb_topics_collect(lb_arena *a, lb_topics *out) {
    *out = (lb_topics){0};
    for (size_t i = 0; lb_commands[i]; i++)
        LB_TRY(add(a, out, LB_TOPIC_COMMAND, lb_commands[i]->name, lb_commands[i], NULL));
    LB_TRY(add_config(a, out));
    LB_TRY(add_methods(a, out));
    for (const lb_protocol_form *f = lb_protocol_forms; f->form; f++)
        LB_TRY(add(a, out, LB_TOPIC_PROTOCOL, f->form, f, NULL));
    LB_TRY(add_results(a, out));
    LB_TRY(add_plots(a, out));
    LB_TRY(add_words(a, out));
    return add_models(a, out);
}

/* ---- finding ---- */

/* Without what stands before the name of an option or a flag: "--clip-search", "axes.bits", "quantize[0].bits". */
static const char *bare(const char *name) {
    static const char *const before[] = {"axes.", "option.", "quantize.", "plots."};
    while (*name == '-') name++;
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++)
        if (strncmp(name, before[i], strlen(before[i])) == 0) return name + strlen(before[i]);
    const char *end = strncmp(name, "quantize[", 9) == 0 ? strstr(name, "].") : NULL;
    return end ? end + 2 : name;
}

/* Is `name` SECTION.KEY of this topic? */
static bool is_in_section(const lb_topic *t, const char *name) {
    if (t->kind != LB_TOPIC_KEY) return false;
    const lb_config_section *s = t->of;
    size_t n = strcspn(s->title, "[");
    if (strncmp(s->title, name, n) != 0) return false;
    const char *rest = name + n;
    if (*rest == '[') rest += strcspn(rest, "]") + (strchr(rest, ']') != NULL);
    return *rest == '.' && lb_field_alike(rest + 1, t->name);
}

/* By its family ("w2"), its form or an id; all of them by what they are. */
static bool is_protocol(const lb_protocol_form *f, const char *name) {
    char family[16];
    lb_protocol p;
    snprintf(family, sizeof family, "%.*s", (int)strcspn(f->form, "-"), f->form);
    if (lb_field_alike(name, "protocol") || lb_field_alike(name, family) || lb_field_alike(name, f->form)) return true;
    bool known = lb_protocol_parse(name, &p) == LB_OK;
    lb_error_clear();
    return known && p.rule == f->rule;
}

static bool is_called(const lb_topic *t, const char *name) {
    if (t->kind == LB_TOPIC_PROTOCOL) return is_protocol(t->what, name);
    if (t->kind == LB_TOPIC_MARK && !t->name[1]) return strcmp(t->name, name) == 0;
    return lb_field_alike(t->name, name) || is_in_section(t, name);
}

/* Is `name` one of the values that a key, an option or a flag may have? */
static bool has_value(const lb_topic *t, const char *name) {
    if (t->kind != LB_TOPIC_KEY && t->kind != LB_TOPIC_OPTION && t->kind != LB_TOPIC_FLAG) return false;
    const lb_option *o = t->what;
    if (o->type != LB_OPT_CHOICE) return false;
    for (size_t i = 0; o->choices[i]; i++)
        if (lb_field_alike(o->choices[i], name)) return true;
    return false;
}

/* Two of the same words: options of several methods, a letter and its name. */
static bool belong(const lb_topic *x, const lb_topic *y) {
    if (x->kind != y->kind) return false;
    if (x->kind == LB_TOPIC_MARK) return x->what == y->what;
    return x->kind == LB_TOPIC_OPTION || x->kind == LB_TOPIC_FLAG || x->kind == LB_TOPIC_PROTOCOL;
}

static lb_status show_meant(lb_arena *a, const lb_topics *all, const lb_plot_word *w, lb_str *out);

/* All that fit. intro: in front of the first, or NULL. */
static lb_status show_fitting(lb_arena *a, const lb_topics *all, const char *name,
                              bool (*fits)(const lb_topic *t, const char *name), const char *intro, lb_str *out,
                              bool *any) {
    const lb_topic **hit = LB_NEW(a, const lb_topic *, all->n + 1), **group = LB_NEW(a, const lb_topic *, all->n + 1);
    if (!hit || !group) return LB_E_NOMEM;
    size_t hits = 0;
    for (size_t i = 0; i < all->n; i++)
        if (fits(&all->at[i], name)) hit[hits++] = &all->at[i];
    if (hits && intro) lb_str_add(out, "%s%s", name, intro);
    bool alone = true;
    for (size_t i = 1; i < hits; i++) alone = alone && belong(hit[0], hit[i]);
    for (size_t i = 0; i < hits; i++) {
        size_t n = 0;
        for (size_t k = 0; hit[i] && k < hits; k++)
            if (hit[k] && (k == i || belong(hit[i], hit[k]))) group[n++] = hit[k];
        for (size_t k = 0; n > 1 && k < hits; k++)
            for (size_t g = 1; g < n; g++)
                if (hit[k] == group[g]) hit[k] = NULL;
        if (!n) continue;
        if (*any) lb_str_add(out, "\n");
        *any = true;
        LB_TRY(group[0]->kind == LB_TOPIC_WORD ? show_meant(a, all, group[0]->what, out)
                                               : lb_topic_text(group, n, alone, out));
    }
    return LB_OK;
}

static lb_status show(lb_arena *a, const lb_topics *all, const char *name, lb_str *out, bool *any) {
    return show_fitting(a, all, name, is_called, NULL, out, any);
}

/* What a word of the field is called here. */
static lb_status show_meant(lb_arena *a, const lb_topics *all, const lb_plot_word *w, lb_str *out) {
    bool any = true;
    lb_str_add(out, "%s: here ", w->name);
    for (const char *p = w->about; *p; p++) lb_str_add(out, *p == ' ' ? ", " : "%c", *p);
    lb_str_add(out, "\n");
    for (const char *p = w->about; *p; p += strcspn(p, " "), p += strspn(p, " ")) {
        const char *name = lb_arena_printf(a, "%.*s", (int)strcspn(p, " "), p);
        if (!name) return LB_E_NOMEM;
        LB_TRY(show(a, all, name, out, &any));
    }
    return LB_OK;
}

static const char *key_of(const lb_field_name *f) {
    const char *dot = strchr(f->ours, '.');
    return dot ? dot + 1 : f->ours;
}

/* What other programs call it. */
static lb_status show_theirs(lb_arena *a, const lb_topics *all, const char *name, lb_str *out, bool *any) {
    const lb_field_name *f;
    bool found = false;
    for (size_t i = 0; (f = lb_field_key_at(name, i)); i++) {
        lb_str_add(out, "%s of other programs is %s here%s%s%s\n", f->theirs, f->ours, f->note ? " (" : "",
                   f->note ? f->note : "", f->note ? ")" : "");
        found = true;
        *any = true;
    }
    for (size_t i = 0; (f = lb_field_key_at(name, i)); i++) {
        bool shown = false; /* with that of another section: length, calibration.length */
        for (size_t k = 0; k < i; k++) shown = shown || strcmp(key_of(lb_field_key_at(name, k)), key_of(f)) == 0;
        if (!shown) LB_TRY(show(a, all, key_of(f), out, any));
    }
    if (found || !(f = lb_field_method(name))) return LB_OK;
    lb_str_add(out, f->other ? "%s is not here; the nearest is %s%s%s%s\n" : "%s of other programs is %s here%s%s%s\n",
               f->theirs, f->ours, f->note ? " (" : "", f->note ? f->note : "", f->note ? ")" : "");
    *any = true;
    return show(a, all, f->ours, out, any);
}

lb_status lb_topics_help(lb_arena *a, const char *name, lb_str *out) {
    lb_topics all;
    bool any = false;
    LB_TRY(lb_topics_collect(a, &all));
    LB_TRY(show(a, &all, bare(name), out, &any));
    if (!any) LB_TRY(show(a, &all, name, out, &any)); /* plots.yaml */
    if (!any) LB_TRY(show_fitting(a, &all, name, has_value, " is a value of:\n", out, &any));
    if (!any) LB_TRY(show_theirs(a, &all, bare(name), out, &any));
    if (any) return LB_OK;
    const char **known = LB_NEW(a, const char *, all.n + 2);
    if (!known) return LB_E_NOMEM;
    for (size_t i = 0; i < all.n; i++) known[i] = all.at[i].name;
    known[all.n] = "config";
    known[all.n + 1] = "man";
    const char *near = lb_str_nearest(bare(name), known, all.n + 2);
    if (near) return lb_fail(LB_E_ARG, "no help on '%s': did you mean '%s'?", name, near);
    return lb_fail(LB_E_ARG,
                   "no help on '%s': expected a command, a method or its option, a key of a config, a protocol, a "
                   "column of cells.csv, a flag, a model or a text",
                   name);
}
