/* lowbit help [NAME] */
#include <string.h>

#include "cli/commands.h"
#include "cli/topics.h"
#include "run/config.h"

static lb_status topic(lb_arena *a, const char *name, lb_str *out) {
    if (strcmp(name, "config") == 0) {
        lb_config_help(out);
        return LB_OK;
    }
    if (strcmp(name, "man") == 0) {
        lb_cli_man(out);
        return LB_OK;
    }
    return lb_topics_help(a, name, out);
}

static lb_status run(const lb_cli_args *args, const void *flags, lb_arena *a, lb_log *log, int *exit_code) {
    (void)flags, (void)log, (void)exit_code;
    lb_str out = {0};
    lb_status st = LB_OK;
    if (args->n_positional == 0)
        lb_cli_help(NULL, &out);
    else
        st = topic(a, args->positional[0], &out);
    if (st == LB_OK) st = lb_str_check(&out);
    if (st == LB_OK) lb_cli_print(out.s);
    lb_str_free(&out);
    return st;
}

const lb_command lb_cmd_help = {
    .name = "help",
    .usage = "[NAME | config | man]",
    .summary = "explain anything by its name; every key of a config file (config); print the man page (man)",
    .details =
        "NAME: a command, a method, an option of methods, a key or section of a config (bits, calibration.samples,\n"
        "axes), a number format, a protocol (W2-2048), a column of cells.csv, a flag of a command or a table, a\n"
        "model family, a named model or text, a value of a key or flag (joined, holm); or what another program calls\n"
        "one of them (group_size).",
    .example = "lowbit help bits",
    .max_positional = 1,
    .of_names = true,
    .run = run,
};
