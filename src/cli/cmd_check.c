/* lowbit check CONFIG */
#include <stddef.h>

#include "cli/commands.h"
#include "cli/planned.h"

typedef struct check_flags {
    const char *plugin;
    bool wide;
} check_flags;

static const lb_option flags[] = {
    {"plugin", LB_OPT_STR, "", 0, 0, NULL, "shared objects with methods of your own, separated by commas",
     offsetof(check_flags, plugin)},
    {"wide", LB_OPT_BOOL, "false", 0, 0, NULL, "also bytes of the quantized layers, ratio to 16 bits, disk",
     offsetof(check_flags, wide)},
};

static lb_status run(const lb_cli_args *args, const void *values, lb_arena *a, lb_log *log, int *exit_code) {
    const check_flags *f = values;
    const char *plugin_hash;
    lb_planned x = {0};
    LB_TRY(lb_cli_plugins(a, f->plugin, &plugin_hash));
    LB_TRY(lb_cli_read_config(a, args, &x.config));
    LB_TRY(lb_cli_expected_check(&x.config, a));
    LB_TRY(lb_cli_plots_check(&x.config, a));
    lb_status st = lb_cli_plan_show(&x, a, LB_HEADER, plugin_hash, &(lb_plan_look_options){.wide = f->wide}, log);
    if (st == LB_OK) st = lb_cli_expected_preview(&x, a, log);
    if (st == LB_OK) lb_cli_warn_of_nothing(&x.plans, log, exit_code);
    lb_cli_plan_close(&x);
    return st;
}

const lb_command lb_cmd_check = {
    .name = "check",
    .usage = "CONFIG [-o KEY=VALUE]...",
    .summary = "what a run would do: cells, exact sizes, refusals with reasons, estimates; runs nothing",
    .details =
        "Reads and checks the config, the model's header and the texts. Sizes are exact; times are estimates from\n"
        "counted operations and a short measurement on this machine; what lies finished in the results folder is not\n"
        "counted. Exit code 1 also where every cell is refused.",
    .example = "lowbit check configs/smollm2-135m.yaml -o 'axes.bits=[2,3,4]'",
    .flags = {flags, sizeof flags / sizeof flags[0], sizeof(check_flags)},
    .min_positional = 1,
    .max_positional = 1,
    .overrides = LB_CLI_CONFIG_KEYS,
    .run = run,
};
