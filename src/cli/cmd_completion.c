/* lowbit completion bash|zsh: a script for the shell, of the commands, their flags and everything that has a name. What
 * it knows is said once, in words that both shells read; they differ in how a word is offered. */
#include <string.h>

#include "cli/commands.h"
#include "cli/topics.h"

/* Kinds of names, as bits. */
#define KIND(k) (1u << LB_TOPIC_##k)

/* What may stand as an argument of a command: names of these kinds, further words, a file; others take files. */
static const struct {
    const char *command, *also;
    unsigned kinds;
    bool files;
} argument[] = {
    {"methods", "", KIND(METHOD), false},
    {"models", "", KIND(FAMILY), false},
    {"help", " config man", ~0u, false},
    {"completion", " bash zsh", 0, false},
    {"sources", "", 0, false},
    {"papers", "", KIND(SOURCE) | KIND(METHOD), false},
    {"eval", "", KIND(SOURCE), true},
    {"generate", "", KIND(SOURCE), true},
    {"inspect", "", KIND(SOURCE), true},
    {"quantize", "", KIND(SOURCE), true},
};

/* What may stand as the value of a flag that is a text. */
static const struct {
    const char *flag;
    unsigned kinds;
} value[] = {
    {"method", KIND(METHOD)}, {"family", KIND(FAMILY)},   {"columns", KIND(FACT)},
    {"sort", KIND(FACT)},     {"where", KIND(FACT)},      {"calibration", KIND(SOURCE)},
    {"eval", KIND(SOURCE)},   {"training", KIND(SOURCE)}, {"model", KIND(SOURCE)},
};

/* One word of a script: nothing that a shell takes for more than itself. */
static bool is_plain(const char *s) {
    return *s && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/+-") == strlen(s);
}

/* Names of these kinds, each once, a space before each. */
static void names(const lb_topics *all, unsigned kinds, lb_str *out) {
    for (size_t i = 0; i < all->n; i++) {
        const lb_topic *t = &all->at[i];
        bool before = false;
        if (!(kinds & 1u << t->kind) || !is_plain(t->name)) continue;
        for (size_t k = 0; k < i && !before; k++)
            before = kinds & 1u << all->at[k].kind && strcmp(all->at[k].name, t->name) == 0;
        if (!before) lb_str_add(out, " %s", t->name);
    }
}

/* Keys for -o: of sections by SECTION.KEY, options of methods as axes. */
static void keys(const lb_topics *all, lb_str *out) {
    lb_str options = {0};
    for (size_t i = 0; i < all->n; i++) {
        const lb_config_section *s = all->at[i].of;
        if (all->at[i].kind != LB_TOPIC_KEY || strchr(s->title, '[')) continue;
        bool top = strchr(s->title, ' ') != NULL;
        lb_str_add(out, " %s%s%s=", top ? "" : s->title, top ? "" : ".", all->at[i].name);
    }
    names(all, KIND(OPTION), &options);
    for (const char *p = options.s; p && *p; p += strcspn(p, " ")) {
        p++;
        lb_str_add(out, " axes.%.*s=", (int)strcspn(p, " "), p);
    }
    if (options.failed) out->failed = true;
    lb_str_free(&options);
}

/* A line of `case`: behind a flag stands one of its values. */
static void flag_values(const lb_command *c, const lb_topics *all, lb_str *out) {
    for (size_t i = 0; i < c->flags.n; i++) {
        const lb_option *o = &c->flags.table[i];
        lb_str words = {0};
        char typed[80];
        for (size_t k = 0; o->type == LB_OPT_CHOICE && o->choices[k]; k++) lb_str_add(&words, " %s", o->choices[k]);
        for (size_t k = 0; o->type == LB_OPT_STR && k < sizeof value / sizeof value[0]; k++)
            if (strcmp(value[k].flag, o->name) == 0) names(all, value[k].kinds, &words);
        lb_cli_flag_text(o, typed, sizeof typed);
        if (words.s) lb_str_add(out, "    '%s %s') _lowbit_words%s ;;\n", c->name, typed, words.s);
        if (words.failed) out->failed = true;
        lb_str_free(&words);
    }
    if (c->overrides && strcmp(c->overrides, LB_CLI_CONFIG_KEYS) == 0) {
        lb_str_add(out, "    '%s -o') _lowbit_keys", c->name);
        keys(all, out);
        lb_str_add(out, " ;;\n");
    }
}

static void flag(const char *before, const char *name, lb_str *out) {
    lb_str_add(out, " --%s", before);
    for (; *name; name++) lb_str_add(out, "%c", *name == '_' ? '-' : *name);
}

static void flags_of(const lb_command *c, const lb_topics *all, lb_str *out) {
    lb_str_add(out, "    '%s -'*) _lowbit_words --help%s", c->name, c->overrides ? " -o" : "");
    for (size_t i = 0; i < c->flags.n; i++) {
        const lb_option *o = &c->flags.table[i];
        bool on = o->type == LB_OPT_BOOL && o->def && strcmp(o->def, "true") == 0;
        flag(on ? "no-" : "", o->name, out);
    }
    for (size_t i = 0; c->open_flags && i < all->n; i++) {
        bool before = false;
        for (size_t k = 0; k < i && !before; k++)
            before = all->at[k].kind == LB_TOPIC_OPTION && strcmp(all->at[k].name, all->at[i].name) == 0;
        if (all->at[i].kind == LB_TOPIC_OPTION && !before) flag("", all->at[i].name, out);
    }
    lb_str_add(out, " ;;\n");
}

static void arguments_of(const lb_command *c, const lb_topics *all, lb_str *out) {
    size_t i = 0;
    while (i < sizeof argument / sizeof argument[0] && strcmp(argument[i].command, c->name) != 0) i++;
    bool told = i < sizeof argument / sizeof argument[0];
    lb_str_add(out, "    '%s '*)", c->name);
    if (told && (argument[i].kinds || argument[i].also[0])) {
        lb_str_add(out, " _lowbit_words%s", argument[i].also);
        names(all, argument[i].kinds, out);
        if (argument[i].files) lb_str_add(out, "; _lowbit_files");
    } else {
        lb_str_add(out, told ? " :" : " _lowbit_files");
    }
    lb_str_add(out, " ;;\n");
}

static const char of_bash[] =
    "# bash completion of lowbit, as lowbit completion bash writes it\n"
    "_lowbit_words() { COMPREPLY+=($(compgen -W \"$*\" -- \"$current\")); }\n"
    "_lowbit_keys() { compopt -o nospace 2> /dev/null; _lowbit_words \"$@\"; }\n"
    "_lowbit_files() { compopt -o filenames 2> /dev/null; COMPREPLY+=($(IFS=$'\\n'; compgen -f -- \"$current\")); }\n"
    "_lowbit() {\n"
    "    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}\n"
    "    local at=$COMP_CWORD\n"
    "    COMPREPLY=()\n";
static const char of_zsh[] = "#compdef lowbit\n"
                             "# zsh completion of lowbit, as lowbit completion zsh writes it\n"
                             "_lowbit_words() { compadd -- \"$@\" }\n"
                             "_lowbit_keys() { compadd -S '' -- \"$@\" }\n"
                             "_lowbit_files() { _files }\n"
                             "_lowbit() {\n"
                             "    local current=$words[CURRENT] before=$words[CURRENT-1] command=$words[2]\n"
                             "    local at=$((CURRENT - 1))\n";

static void script(bool bash, const lb_topics *all, lb_str *out) {
    lb_str_add(out, "%s    if [ \"$at\" -eq 1 ]; then\n        _lowbit_words --help --version",
               bash ? of_bash : of_zsh);
    names(all, KIND(COMMAND), out);
    lb_str_add(out, "\n        return\n    fi\n    case \"$command $before\" in\n");
    for (size_t i = 0; lb_commands[i]; i++) flag_values(lb_commands[i], all, out);
    lb_str_add(out, "    *) _lowbit_rest ;;\n    esac\n}\n_lowbit_rest() {\n    case \"$command $current\" in\n");
    for (size_t i = 0; lb_commands[i]; i++) {
        flags_of(lb_commands[i], all, out);
        arguments_of(lb_commands[i], all, out);
    }
    lb_str_add(out, "    esac\n}\n%s",
               bash ? "complete -o default -F _lowbit lowbit\n"
                    : "if [ \"${funcstack[1]}\" = _lowbit ]; then _lowbit; else compdef _lowbit lowbit; fi\n");
}

static lb_status run(const lb_cli_args *args, const void *flags, lb_arena *a, lb_log *log, int *exit_code) {
    (void)flags, (void)log, (void)exit_code;
    const char *shell = args->positional[0];
    bool bash = strcmp(shell, "bash") == 0;
    if (!bash && strcmp(shell, "zsh") != 0)
        return lb_fail(LB_E_ARG, "no completion for '%s': there is bash and zsh", shell);
    lb_topics all;
    lb_str out = {0};
    LB_TRY(lb_topics_collect(a, &all));
    script(bash, &all, &out);
    lb_status st = lb_str_check(&out);
    if (st == LB_OK) lb_cli_print(out.s);
    lb_str_free(&out);
    return st;
}

const lb_command lb_cmd_completion = {
    .name = "completion",
    .usage = "bash | zsh",
    .summary = "a script that completes commands, flags, methods, keys and columns in a shell",
    .details =
        "make install puts both where the shells look. Without it: source <(lowbit completion bash), or the same\n"
        "with zsh after compinit.",
    .example = "source <(lowbit completion bash)",
    .min_positional = 1,
    .max_positional = 1,
    .run = run,
};
