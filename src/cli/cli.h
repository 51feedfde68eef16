/* The command line: the only place that prints or exits. A subcommand is a row: name, usage, summary, a table of flags
 * (the same typed options as methods and configs), and a function. Help, man page and parsing come from these tables.
 */
#ifndef LB_CLI_CLI_H
#define LB_CLI_CLI_H

#include <stdio.h>

#include "base/log.h"
#include "base/team.h"
#include "base/version.h"
#include "quant/options.h"

typedef struct lb_cli_args {
    const char **positional;
    int64_t n_positional;
    const char **override;
    int64_t n_override; /* each -o key=value, in order */
    const char **rest_key, **rest_value;
    int64_t n_rest;    /* --name value pairs that the table lacks, if the command takes them (open_flags) */
    const bool *given; /* by flag of the table: it was on the command line */
} lb_cli_args;

typedef struct lb_command {
    const char *name, *usage, *summary;     /* usage: "MODEL TEXT --protocol ID" */
    const char *details;                    /* further lines of --help, or NULL */
    const char *example;                    /* one command line */
    lb_options flags;                       /* --name VALUE; a bool is --name or --no-name; '_' is written '-' */
    int64_t min_positional, max_positional; /* max -1: any number */
    const char *overrides;                  /* what -o KEY=VALUE sets, with an example; NULL: takes none */
    bool open_flags;                        /* unknown --name value pairs are passed on (method options) */
    bool of_names;                          /* its arguments are names, of flags too: only --help is one itself */
    bool names_help;   /* --help with an argument is of that: the command runs, as it does without */
    bool looks_itself; /* whether memory was refused to a library, before what appears or is printed last */
    /* Returns LB_OK or the failure, whose message main prints. *exit_code may be set nonzero by a command that finished
     * but found failures. */
    lb_status (*run)(const lb_cli_args *args, const void *flags, lb_arena *a, lb_log *log, int *exit_code);
} lb_command;

/* Of commands that read a config file. */
#define LB_CLI_CONFIG_KEYS "set a config key, e.g. -o eval.windows=20 -o 'axes.bits=[2,3]'"

extern const lb_command *const lb_commands[]; /* cli/table.c, NULL-terminated */
LB_NODISCARD lb_status lb_cli_parse(const lb_command *c, int argc, char **argv, lb_arena *a, void *flags,
                                    lb_cli_args *out, bool *help);
void lb_cli_help(const lb_command *c, lb_str *out);                /* c NULL: the overview */
void lb_cli_man(lb_str *out);                                      /* the man page, roff */
void lb_cli_flag_text(const lb_option *o, char *out, size_t size); /* as it is typed: "--[no-]wide", "--sort" */

/* A log that shows messages and progress: one rewritten line on a terminal, a plain line every few seconds otherwise.
 * Writes to standard error. */
lb_log *lb_cli_log(bool quiet);
void lb_cli_log_end(lb_log *log); /* ends an unfinished progress line */
int lb_cli_columns(void);         /* of the terminal on standard output; 0: it is none */
/* Texts may come from files (a label, a tensor's name): control characters but line ends and tabs become '?', so that
 * they do nothing to a terminal. */
void lb_cli_put(FILE *f, const char *text);
void lb_cli_print(const char *text); /* standard output; a closed pipe ends the program quietly */

#endif
