/* What `lowbit help NAME` says, by the kind of what is called so. */
#include <stdio.h>
#include <string.h>

#include "cli/topics.h"
#include "report/columns.h"
#include "report/table.h"

/* Indented, without the empty line that ends a list. */
static void sentence(lb_str *out, const char *text) {
    lb_markup_list(out, LB_TABLE_TERMINAL, &text, 1);
    if (out->s && lb_str_ends(out->s, "\n\n")) out->s[--out->len] = 0;
}

/* Its type, default and bounds, then what it means. */
static void option(const lb_option *o, lb_str *out) {
    lb_str what = {0};
    lb_options_describe(o, &what);
    lb_str_add(out, "  %s\n", what.s ? what.s : "");
    if (what.failed) out->failed = true;
    lb_str_free(&what);
    sentence(out, o->help);
}

static bool same_option(const lb_option *x, const lb_option *y) {
    lb_str a = {0}, b = {0};
    lb_options_describe(x, &a);
    lb_options_describe(y, &b);
    bool same = strcmp(x->help, y->help) == 0 && a.s && b.s && strcmp(a.s, b.s) == 0;
    lb_str_free(&a);
    lb_str_free(&b);
    return same;
}

static const char *owner(const lb_topic *t) {
    return t->kind == LB_TOPIC_OPTION ? ((const lb_method *)t->of)->name : ((const lb_command *)t->of)->name;
}

/* Options of several methods or commands: those that say the same stand together. */
static void options(const lb_topic *const *at, size_t n, lb_str *out) {
    for (size_t i = 0; i < n; i++) {
        bool before = false;
        for (size_t k = 0; k < i; k++) before = before || same_option(at[k]->what, at[i]->what);
        if (before) continue;
        char typed[80];
        lb_cli_flag_text(at[i]->what, typed, sizeof typed);
        if (at[i]->kind == LB_TOPIC_OPTION)
            lb_str_add(out, "%s: an option of ", at[i]->name);
        else
            lb_str_add(out, "%s: a flag of lowbit ", typed);
        for (size_t k = i; k < n; k++)
            if (same_option(at[k]->what, at[i]->what)) lb_str_add(out, "%s%s", k == i ? "" : ", ", owner(at[k]));
        lb_str_add(out, "\n");
        option(at[i]->what, out);
    }
}

static void section(const lb_config_section *s, bool alone, lb_str *out) {
    lb_str_add(out, "%s: of a config file\n", s->title);
    if (!alone) {
        sentence(out, s->about);
        if (s->table) lb_str_add(out, "  keys: ");
        for (size_t i = 0; s->table && i < s->table->n; i++)
            lb_str_add(out, "%s%s", i ? ", " : "", s->table->table[i].name);
        lb_str_add(out, "%slowbit help config\n", s->table ? "; " : "  ");
        return;
    }
    lb_str body = {0};
    lb_config_section_help(s, &body);
    const char *text = body.s ? body.s : "";
    text += *text == '\n';
    text += strcspn(text, "\n"); /* the title is there already */
    lb_str_add(out, "%s", *text ? text + 1 : text);
    if (body.failed) out->failed = true;
    lb_str_free(&body);
}

static void key(const lb_topic *t, lb_str *out) {
    const lb_config_section *s = t->of;
    bool top = strcmp(s->title, "top level") == 0;
    lb_str_add(out, "%s%s%s: a key of a config file\n", top ? "" : s->title, top ? "" : ".", t->name);
    option(t->what, out);
}

static void protocols(const lb_topic *const *at, size_t n, lb_str *out) {
    for (size_t i = 0; i < n; i++) {
        const lb_protocol_form *f = at[i]->what;
        lb_str_add(out, "%s: a protocol, as %s\n", f->form, f->example);
        sentence(out, f->text);
    }
    lb_str_add(out, "Numbers of one protocol do not compare with another's. docs/numbers.md has the formulas.\n");
}

static void fact(const lb_topic *t, lb_str *out) {
    const lb_fact *f = t->what;
    lb_str_add(out, "%s: %sfor %s--columns and --sort of lowbit report\n", f->name,
               t->of == lb_row_facts ? "a figure of rows over seeds, "
               : t->of               ? "a column of cells.csv, "
                                     : "",
               t->of == lb_row_facts ? "" : "--where, ");
    lb_str text = {0};
    lb_str_add(&text, "%s%s%s%s", f->meaning, f->unit[0] ? " (" : "", f->unit, f->unit[0] ? ")" : "");
    if (text.s) sentence(out, text.s);
    if (text.failed) out->failed = true;
    lb_str_free(&text);
}

/* The key, or another word that led to it. */
static void plot_key(const lb_topic *t, lb_str *out) {
    const lb_plot_word *key = t->what;
    bool other = strcmp(t->name, key->name) != 0;
    lb_str_add(out, "%s%splots.%s: a key of a config file, and of a file for lowbit report --plots\n",
               other ? t->name : "", other ? ", of plots: " : "", key->name);
    sentence(out, key->about);
    if (strcmp(key->name, "figures") != 0 && strcmp(key->name, "titles") != 0) return;
    lb_str all = {0};
    for (const lb_plot_word *w = lb_plot_figure_words; w->name; w++)
        lb_str_add(&all, "%s%s", all.len ? ", " : "figures: ", w->name);
    if (all.s) sentence(out, all.s);
    if (all.failed) out->failed = true;
    lb_str_free(&all);
}

static void other(const lb_topic *t, lb_str *out) {
    if (t->kind == LB_TOPIC_FIGURE) {
        const lb_plot_word *f = t->what;
        lb_str_add(out, "%s: a figure of reports, for figures and titles of plots\n", f->name);
        sentence(out, f->about);
    } else if (t->kind == LB_TOPIC_FILE) {
        const lb_plot_word *f = t->what;
        lb_str_add(out, "%s: a file\n", f->name);
        sentence(out, f->about);
    } else if (t->kind == LB_TOPIC_FORMAT) {
        const lb_format *f = t->what;
        lb_str_add(out, "%s: a number format (format: %s, where a method has that option)\n", f->name, f->name);
        sentence(out, f->summary);
    } else if (t->kind == LB_TOPIC_MARK) {
        const lb_flag *f = t->what;
        lb_str_add(out, "%c: a flag of tables, %s in files\n", f->letter, f->name);
        sentence(out, f->meaning);
    } else if (t->kind == LB_TOPIC_TOLD) {
        const lb_diagnostic *d = t->what;
        lb_str_add(out, "%s: told of each layer by %s\n", d->name, ((const lb_method *)t->of)->name);
        sentence(out, d->meaning);
    } else if (t->kind == LB_TOPIC_FAMILY) {
        const lb_family *f = t->what;
        lb_str_add(out, "%s: a model family\n", f->name);
        lb_str_add(out, "  %s: lowbit models %s\n", f->summary, f->name);
    } else {
        const lb_source *s = t->what;
        const lb_sources *list = t->of;
        lb_str_add(out, "%s: a named %s\n", s->name, s->kind == LB_SOURCE_MODEL ? "model" : "text");
        if (s->note && s->note[0]) sentence(out, s->note);
        lb_str_add(out, "  %s %s %s\n", list->fetch, s->name, s->gated[0] ? "says how to get it" : "brings it");
    }
}

bool lb_topic_override(const lb_topic *t, char section[64]) {
    const lb_config_section *s = t->of;
    section[0] = 0;
    if (t->kind != LB_TOPIC_KEY || strchr(s->title, '[')) return false;
    /* Of titles with a blank "top level" alone lists keys. */
    if (!strchr(s->title, ' ')) snprintf(section, 64, "%s.", s->title);
    return true;
}

const char *lb_topic_about(const lb_topic *t) {
    const char *text = NULL;
    switch (t->kind) {
    case LB_TOPIC_COMMAND:
        text = ((const lb_command *)t->what)->summary;
        break;
    case LB_TOPIC_SECTION:
        text = ((const lb_config_section *)t->what)->about;
        break;
    case LB_TOPIC_KEY:
    case LB_TOPIC_OPTION:
    case LB_TOPIC_FLAG:
        text = ((const lb_option *)t->what)->help;
        break;
    case LB_TOPIC_METHOD:
        text = ((const lb_method *)t->what)->summary;
        break;
    case LB_TOPIC_FORMAT:
        text = ((const lb_format *)t->what)->summary;
        break;
    case LB_TOPIC_PROTOCOL:
        text = ((const lb_protocol_form *)t->what)->text;
        break;
    case LB_TOPIC_FACT:
        text = ((const lb_fact *)t->what)->meaning;
        break;
    case LB_TOPIC_PLOT:
    case LB_TOPIC_FIGURE:
    case LB_TOPIC_FILE:
    case LB_TOPIC_WORD:
        text = ((const lb_plot_word *)t->what)->about;
        break;
    case LB_TOPIC_MARK:
        text = ((const lb_flag *)t->what)->meaning;
        break;
    case LB_TOPIC_TOLD:
        text = ((const lb_diagnostic *)t->what)->meaning;
        break;
    case LB_TOPIC_FAMILY:
        text = ((const lb_family *)t->what)->summary;
        break;
    case LB_TOPIC_SOURCE:
        text = ((const lb_source *)t->what)->note;
        break;
    case LB_TOPIC_KINDS:
        break;
    }
    return text ? text : "";
}

lb_status lb_topic_text(const lb_topic *const *at, size_t n, bool alone, lb_str *out) {
    const lb_topic *t = at[0];
    switch (t->kind) {
    case LB_TOPIC_COMMAND:
        lb_cli_help(t->what, out);
        break;
    case LB_TOPIC_METHOD:
        return lb_cli_method_help(t->what, out);
    case LB_TOPIC_SECTION:
        section(t->what, alone, out);
        break;
    case LB_TOPIC_KEY:
        key(t, out);
        break;
    case LB_TOPIC_OPTION:
    case LB_TOPIC_FLAG:
        options(at, n, out);
        break;
    case LB_TOPIC_PROTOCOL:
        protocols(at, n, out);
        break;
    case LB_TOPIC_PLOT:
        plot_key(t, out);
        break;
    case LB_TOPIC_FACT:
        fact(t, out);
        break;
    default:
        other(t, out);
    }
    return lb_str_check(out);
}
