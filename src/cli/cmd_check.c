/* lowbit check CONFIG */
#include <stddef.h>

#include "cli/commands.h"
#include "cli/planned.h"

typedef struct check_flags {
    const char *plugin;
} check_flags;

static const lb_option flags[] = {
    {"plugin", LB_OPT_STR, "", 0, 0, NULL, "shared objects with methods of your own, separated by commas",
     offsetof(check_flags, plugin)},
};

static lb_status check(lb_planned *x, lb_arena *a, const char *plugin_hash, lb_log *log) {
    lb_rate rate = {0};
    lb_str out = {0};
    LB_TRY(lb_cli_plan(x, a, LB_HEADER, plugin_hash, log));
    LB_TRY(lb_plan_measure_rate(&x->plan, &rate));
    lb_status st = lb_cli_plan_text(&x->plan, &rate, &out);
    if (st == LB_OK) lb_cli_print(out.s);
    lb_str_free(&out);
    return st;
}

static lb_status run(const lb_cli_args *args, const void *values, lb_arena *a, lb_log *log, int *exit_code) {
    (void)exit_code;
    const check_flags *f = values;
    const char *plugin_hash;
    lb_planned x = {0};
    LB_TRY(lb_cli_plugins(a, f->plugin, &plugin_hash));
    LB_TRY(lb_config_read(a, args->positional[0], args->override, args->n_override, &x.config));
    lb_status st = check(&x, a, plugin_hash, log);
    lb_cli_plan_close(&x);
    return st;
}

const lb_command lb_cmd_check = {
    .name = "check",
    .usage = "CONFIG [-o KEY=VALUE]...",
    .summary = "what a run would do: cells, exact sizes, refusals with reasons, estimates; runs nothing",
    .details =
        "Reads and checks the config, the model's header and the texts. Sizes are exact; times are estimates from "
        "counted\noperations and a short measurement on this machine.",
    .example = "lowbit check configs/smollm2-135m.yaml -o 'axes.bits=[2,3,4]'",
    .flags = {flags, sizeof flags / sizeof flags[0], sizeof(check_flags)},
    .min_positional = 1,
    .max_positional = 1,
    .takes_overrides = true,
    .run = run,
};
