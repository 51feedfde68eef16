/* lowbit completion bash|zsh: a script for the shell, of the commands, their flags and everything that has a name. What
 * it knows is said once, in words that both shells read; they differ in how a word is offered. */
#include <stdio.h>
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

typedef struct writer {
    const lb_topics *all;
    bool zsh; /* which shows what a word means */
    lb_str *out;
} writer;

/* A word, a space before it; for zsh with as much of what it means as has room on a line, up to the end of a word. */
static void word(const writer *x, const char *before, const char *name, const char *behind, const char *about) {
    enum { MOST = 60 };
    size_t n = strcspn(about, "\n");
    if (!x->zsh || !n) {
        lb_str_add(x->out, " %s%s%s", before, name, behind);
        return;
    }
    bool cut = n > MOST;
    if (cut)
        for (n = MOST; n > 0 && about[n] != ' ';) n--;
    lb_str_add(x->out, " '%s%s%s ", before, name, behind);
    for (size_t i = 0; i < n; i++) lb_str_add(x->out, about[i] == '\'' ? "'\\''" : "%c", about[i]);
    lb_str_add(x->out, "%s'", cut ? " ..." : "");
}

static bool is_of(const lb_topic *t, unsigned kinds) { return kinds & 1u << t->kind && is_plain(t->name); }

static bool is_said(const lb_topics *all, unsigned kinds, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (is_of(&all->at[k], kinds) && strcmp(all->at[k].name, all->at[i].name) == 0) return true;
    return false;
}

/* Names of these kinds, each once. */
static void names(const writer *x, unsigned kinds) {
    for (size_t i = 0; i < x->all->n; i++)
        if (is_of(&x->all->at[i], kinds) && !is_said(x->all, kinds, i))
            word(x, "", x->all->at[i].name, "", lb_topic_about(&x->all->at[i]));
}

/* SECTION.KEY, behind: "=" for -o. top: those of the top level, too, which are KEY alone. */
static void keys_of_sections(const writer *x, bool top, const char *behind) {
    for (size_t i = 0; i < x->all->n; i++) {
        const lb_topic *t = &x->all->at[i];
        char section[64];
        if (t->kind == LB_TOPIC_PLOT && !top) word(x, "plots.", t->name, behind, lb_topic_about(t));
        if (lb_topic_override(t, section) && (top || section[0])) word(x, section, t->name, behind, lb_topic_about(t));
    }
}

/* Keys for -o: of sections, and options of methods as axes. */
static void keys(const writer *x) {
    keys_of_sections(x, true, "=");
    for (size_t i = 0; i < x->all->n; i++)
        if (is_of(&x->all->at[i], KIND(OPTION)) && !is_said(x->all, KIND(OPTION), i))
            word(x, "axes.", x->all->at[i].name, "=", lb_topic_about(&x->all->at[i]));
}

/* A line of `case`: behind a flag stands one of its values, or a list of them. */
static void flag_values(const lb_command *c, const writer *x) {
    for (size_t i = 0; i < c->flags.n; i++) {
        const lb_option *o = &c->flags.table[i];
        lb_str words = {0};
        const writer of = {x->all, x->zsh, &words};
        bool list = strcmp(o->name, "columns") == 0;
        char typed[80];
        for (size_t k = 0; o->type == LB_OPT_CHOICE && o->choices[k]; k++) word(&of, "", o->choices[k], "", "");
        for (size_t k = 0; o->type == LB_OPT_STR && k < sizeof value / sizeof value[0]; k++)
            if (strcmp(value[k].flag, o->name) == 0) names(&of, value[k].kinds);
        lb_cli_flag_text(o, typed, sizeof typed);
        if (words.s)
            lb_str_add(x->out, "    '%s %s') _lowbit_%s%s ;;\n", c->name, typed, list ? "list" : "words", words.s);
        if (words.failed) x->out->failed = true;
        lb_str_free(&words);
    }
    if (c->overrides && strcmp(c->overrides, LB_CLI_CONFIG_KEYS) == 0) {
        lb_str_add(x->out, "    '%s -o') _lowbit_keys", c->name);
        keys(x);
        lb_str_add(x->out, " ;;\n");
    }
}

static void flag(const writer *x, const char *before, const char *name, const char *about) {
    char typed[80];
    snprintf(typed, sizeof typed, "--%s%s", before, name);
    for (char *p = typed; *p; p++)
        if (*p == '_') *p = '-';
    word(x, "", typed, "", about);
}

static void flags_of(const lb_command *c, const writer *x) {
    lb_str_add(x->out, "    '%s -'*) _lowbit_words --help%s", c->name, c->overrides ? " -o" : "");
    for (size_t i = 0; i < c->flags.n; i++) {
        const lb_option *o = &c->flags.table[i];
        bool on = o->type == LB_OPT_BOOL && o->def && strcmp(o->def, "true") == 0;
        flag(x, on ? "no-" : "", o->name, on ? "" : o->help);
    }
    for (size_t i = 0; c->open_flags && i < x->all->n; i++)
        if (is_of(&x->all->at[i], KIND(OPTION)) && !is_said(x->all, KIND(OPTION), i))
            flag(x, "", x->all->at[i].name, lb_topic_about(&x->all->at[i]));
    lb_str_add(x->out, " ;;\n");
}

static void arguments_of(const lb_command *c, const writer *x) {
    size_t i = 0;
    while (i < sizeof argument / sizeof argument[0] && strcmp(argument[i].command, c->name) != 0) i++;
    bool told = i < sizeof argument / sizeof argument[0];
    lb_str_add(x->out, "    '%s '*)", c->name);
    if (told && (argument[i].kinds || argument[i].also[0])) {
        lb_str_add(x->out, " _lowbit_words%s", argument[i].also);
        names(x, argument[i].kinds);
        if (argument[i].kinds & KIND(KEY)) keys_of_sections(x, false, "");
        if (argument[i].files) lb_str_add(x->out, "; _lowbit_files");
    } else {
        lb_str_add(x->out, told ? " :" : " _lowbit_files");
    }
    lb_str_add(x->out, " ;;\n");
}

static const char of_bash[] =
    "# bash completion of lowbit, as lowbit completion bash writes it\n"
    "_lowbit_words() { COMPREPLY+=($(compgen -W \"$*\" -- \"$current\")); }\n"
    "_lowbit_keys() { compopt -o nospace 2> /dev/null; _lowbit_words \"$@\"; }\n"
    "_lowbit_list() {\n"
    "    local last=${current##*,}\n"
    "    compopt -o nospace 2> /dev/null\n"
    "    COMPREPLY+=($(compgen -P \"${current%\"$last\"}\" -W \"$*\" -- \"$last\"))\n"
    "}\n"
    "_lowbit_files() { compopt -o filenames 2> /dev/null; COMPREPLY+=($(IFS=$'\\n'; compgen -f -- \"$current\")); }\n"
    "_lowbit() {\n"
    "    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}\n"
    "    local at=$COMP_CWORD\n"
    "    COMPREPLY=()\n";
/* A word and what it means are one argument, with a space between. */
static const char of_zsh[] =
    "#compdef lowbit\n"
    "# zsh completion of lowbit, as lowbit completion zsh writes it\n"
    "_lowbit_told() {\n"
    "    local w\n"
    "    for w in \"$@\"; do\n"
    "        name+=(\"${w%% *}\")\n"
    "        if [[ $w != *' '* ]]; then told+=(\"$w\")\n"
    "        elif (( $#name[-1] < 28 )); then told+=(\"${(r:28:)name[-1]} ${w#* }\")\n"
    "        else told+=(\"$name[-1]  ${w#* }\"); fi\n"
    "    done\n"
    "}\n"
    "_lowbit_words() { local -a name told; _lowbit_told \"$@\"; compadd -l -d told -a name }\n"
    "_lowbit_keys() { local -a name told; _lowbit_told \"$@\"; compadd -S '' -l -d told -a name }\n"
    "_lowbit_list() { local -a name told; _lowbit_told \"$@\"; compset -P '*,'; compadd -q -S , -l -d told -a name }\n"
    "_lowbit_files() { _files }\n"
    "_lowbit() {\n"
    "    local current=$words[CURRENT] before=$words[CURRENT-1] command=$words[2]\n"
    "    local at=$((CURRENT - 1))\n";

static void script(const writer *x) {
    lb_str *out = x->out;
    lb_str_add(out, "%s    if [ \"$at\" -eq 1 ]; then\n        _lowbit_words --help --version",
               x->zsh ? of_zsh : of_bash);
    names(x, KIND(COMMAND));
    lb_str_add(out, "\n        return\n    fi\n    case \"$command $before\" in\n");
    for (size_t i = 0; lb_commands[i]; i++) flag_values(lb_commands[i], x);
    lb_str_add(out, "    *) _lowbit_rest ;;\n    esac\n}\n_lowbit_rest() {\n    case \"$command $current\" in\n");
    for (size_t i = 0; lb_commands[i]; i++) {
        flags_of(lb_commands[i], x);
        arguments_of(lb_commands[i], x);
    }
    lb_str_add(out, "    esac\n}\n%s",
               x->zsh ? "if [ \"${funcstack[1]}\" = _lowbit ]; then _lowbit; else compdef _lowbit lowbit; fi\n"
                      : "complete -o default -F _lowbit lowbit\n");
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
    script(&(writer){&all, !bash, &out});
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
