/* Command-line parsing from a command's table of typed flags. */
#include <string.h>

#include "cli/topics.h"

/* "--clip-search" -> "clip_search" */
static char *flag_name(lb_arena *a, const char *arg) {
    char *name = lb_arena_strdup(a, arg + 2);
    if (!name) return NULL;
    for (char *p = name; *p && *p != '='; p++)
        if (*p == '-') *p = '_';
    return name;
}

/* The key of configs that is called so, as -o has it ("eval.windows" for windows). NULL: none, or no config is read. */
static const char *config_key(const lb_command *c, lb_arena *a, const char *name) {
    lb_topics all;
    if (!c->overrides || strcmp(c->overrides, LB_CLI_CONFIG_KEYS) != 0 || lb_topics_collect(a, &all) != LB_OK)
        return NULL;
    const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;
    for (size_t i = 0; i < all.n; i++) {
        char section[64];
        if (strcmp(all.at[i].name, last) != 0 || !lb_topic_override(&all.at[i], section)) continue;
        const char *key = lb_arena_printf(a, "%s%s", section, last);
        if (key && (!dot || strcmp(key, name) == 0)) return key;
    }
    return NULL;
}

/* name: that of arg. value: what stands behind its '='; NULL: nothing does. */
static lb_status unknown_flag(const lb_command *c, lb_arena *a, const char *arg, const char *name, const char *value) {
    const char *key = config_key(c, a, name);
    if (key)
        return lb_fail(LB_E_ARG, "unknown option '%s': it is a key of the config: -o %s=%s", arg, key,
                       value ? value : "VALUE");
    const char *known[128];
    size_t n = 0;
    for (; n < c->flags.n && n < 128; n++) known[n] = c->flags.table[n].name;
    const char *note, *near = lb_field_key(name, known, n, &note);
    if (!near) near = lb_str_nearest(name, known, n);
    char shown[64] = "";
    for (size_t i = 0; near && near[i] && i + 1 < sizeof shown; i++) {
        shown[i] = near[i] == '_' ? '-' : near[i];
        shown[i + 1] = 0;
    }
    if (near) return lb_fail(LB_E_ARG, "unknown option '%s': did you mean '--%s'?", arg, shown);
    return lb_fail(LB_E_ARG, "unknown option '%s': see lowbit %s --help", arg, c->name);
}

typedef struct parser {
    const lb_command *c;
    int argc, at;
    char **argv;
    lb_arena *a;
    void *flags;
    lb_cli_args *out;
    bool *given; /* a flag of the table was on the command line */
} parser;

/* The value of the option at argv[at]: after '=', or the next argument. */
static lb_status take_value(parser *p, char *eq, const char **value) {
    if (eq) {
        *value = eq + 1;
        return LB_OK;
    }
    if (p->at + 1 >= p->argc) return lb_fail(LB_E_ARG, "option '%s' needs a value", p->argv[p->at]);
    *value = p->argv[++p->at];
    return LB_OK;
}

/* What whoever wrote an option twice may have meant. The last one alone would drop the others without a word. */
static const char *twice(const lb_option *o) {
    return strcmp(o->name, "where") == 0 ? ": join the conditions by 'and'" : "";
}

static lb_status parse_long(parser *p) {
    const char *arg = p->argv[p->at];
    char *name = flag_name(p->a, arg);
    if (!name) return LB_E_NOMEM;
    char *eq = strchr(name, '=');
    if (eq) *eq = 0;
    const lb_option *o = lb_options_find(&p->c->flags, name);
    bool negated = false;
    if (!o && strncmp(name, "no_", 3) == 0) {
        o = lb_options_find(&p->c->flags, name + 3);
        if (o && o->type != LB_OPT_BOOL) o = NULL;
        negated = o != NULL;
    }
    const char *value = NULL;
    if (o && o->type == LB_OPT_BOOL && !eq) {
        value = negated ? "false" : "true";
    } else if (o) {
        if (negated) return lb_fail(LB_E_ARG, "option '%s' takes no value", arg);
        LB_TRY(take_value(p, eq, &value));
    } else if (p->c->open_flags) {
        /* An option of the method: a following word that is no option is its value, else it is a switch. */
        if (eq)
            value = eq + 1;
        else if (p->at + 1 < p->argc && strncmp(p->argv[p->at + 1], "--", 2) != 0)
            value = p->argv[++p->at];
        else
            value = "true";
        p->out->rest_key[p->out->n_rest] = name;
        p->out->rest_value[p->out->n_rest++] = value;
        return LB_OK;
    } else {
        return unknown_flag(p->c, p->a, arg, name, eq ? eq + 1 : NULL);
    }
    bool *given = &p->given[o - p->c->flags.table];
    if (*given) return lb_fail(LB_E_ARG, "option '%s' is given twice%s", arg, twice(o));
    *given = true;
    lb_status st = lb_options_set(&p->c->flags, p->a, p->flags, o->name, value, "command line");
    return st == LB_OK ? LB_OK : lb_fail_in(LB_E_ARG, "%s", arg);
}

static lb_status parse_all(parser *p, bool *help) {
    bool only_positional = false;
    for (p->at = 0; p->at < p->argc; p->at++) {
        const char *arg = p->argv[p->at];
        bool help_asked = strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
        if (only_positional || (p->c->of_names && !help_asked) || arg[0] != '-' || arg[1] == 0) {
            p->out->positional[p->out->n_positional++] = arg;
        } else if (strcmp(arg, "--") == 0) {
            only_positional = true;
        } else if (help_asked) {
            *help = true;
        } else if (strncmp(arg, "-o", 2) == 0) {
            if (!p->c->overrides) return lb_fail(LB_E_ARG, "lowbit %s takes no -o", p->c->name);
            const char *value = arg + 2;
            if (!*value) LB_TRY(take_value(p, NULL, &value));
            if (!strchr(value, '=')) return lb_fail(LB_E_ARG, "-o %s: must be key=value", value);
            p->out->override[p->out->n_override++] = value;
        } else if (strncmp(arg, "--", 2) == 0) {
            LB_TRY(parse_long(p));
        } else {
            return unknown_flag(p->c, p->a, arg, arg + 1, NULL);
        }
    }
    return LB_OK;
}

/* A flag without a default must be given. */
static lb_status check_required(const lb_command *c, const bool *given) {
    for (size_t i = 0; i < c->flags.n; i++) {
        const lb_option *o = &c->flags.table[i];
        if (!o->def && !given[i]) return lb_fail(LB_E_ARG, "--%s is missing: %s", o->name, o->help);
    }
    return LB_OK;
}

lb_status lb_cli_parse(const lb_command *c, int argc, char **argv, lb_arena *a, void *flags, lb_cli_args *out,
                       bool *help) {
    *out = (lb_cli_args){0};
    *help = false;
    size_t most = (size_t)argc + 1;
    out->positional = LB_NEW(a, const char *, most);
    out->override = LB_NEW(a, const char *, most);
    out->rest_key = LB_NEW(a, const char *, most);
    out->rest_value = LB_NEW(a, const char *, most);
    if (!out->positional || !out->override || !out->rest_key || !out->rest_value) return LB_E_NOMEM;
    LB_TRY(lb_options_defaults(&c->flags, a, flags));
    bool *given = LB_NEW(a, bool, c->flags.n + 1);
    if (!given) return LB_E_NOMEM;
    out->given = given;
    parser p = {c, argc, 0, argv, a, flags, out, given};
    LB_TRY(parse_all(&p, help));
    if (*help) return LB_OK;
    if (out->n_positional < c->min_positional)
        return lb_fail(LB_E_ARG, "%lld argument%s given, expected %s", (long long)out->n_positional,
                       out->n_positional == 1 ? "" : "s", c->usage);
    if (c->max_positional >= 0 && out->n_positional > c->max_positional)
        return lb_fail(LB_E_ARG, "unexpected argument '%s': expected %s", out->positional[c->max_positional], c->usage);
    return check_required(c, given);
}
