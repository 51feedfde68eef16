/* lowbit help [COMMAND|config|man] */
#include <string.h>

#include "cli/commands.h"
#include "run/config.h"

static lb_status topic(const char *name, lb_str *out) {
    if (strcmp(name, "config") == 0) {
        lb_config_help(out);
        return LB_OK;
    }
    if (strcmp(name, "man") == 0) {
        lb_cli_man(out);
        return LB_OK;
    }
    for (size_t i = 0; lb_commands[i]; i++) {
        if (strcmp(lb_commands[i]->name, name) == 0) {
            lb_cli_help(lb_commands[i], out);
            return LB_OK;
        }
    }
    const char *known[64] = {"config", "man"};
    size_t n = 2;
    for (size_t i = 0; lb_commands[i] && n < 64; i++) known[n++] = lb_commands[i]->name;
    const char *near = lb_str_nearest(name, known, n);
    if (near) return lb_fail(LB_E_ARG, "no help on '%s': did you mean '%s'?", name, near);
    return lb_fail(LB_E_ARG, "no help on '%s': expected a command, 'config' or 'man'", name);
}

static lb_status run(const lb_cli_args *args, const void *flags, lb_arena *a, lb_log *log, int *exit_code) {
    (void)flags, (void)a, (void)log, (void)exit_code;
    lb_str out = {0};
    lb_status st = LB_OK;
    if (args->n_positional == 0)
        lb_cli_help(NULL, &out);
    else
        st = topic(args->positional[0], &out);
    if (st == LB_OK) st = lb_str_check(&out);
    if (st == LB_OK) lb_cli_print(out.s);
    lb_str_free(&out);
    return st;
}

const lb_command lb_cmd_help = {
    .name = "help",
    .usage = "[COMMAND | config | man]",
    .summary = "explain a command, every key of a config file (config), or print the man page (man)",
    .example = "lowbit help config",
    .max_positional = 1,
    .run = run,
};
