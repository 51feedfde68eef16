/* What run, check and quantize share: plug-ins, config, team and plan, and the plan as text. */
#ifndef LB_CLI_PLANNED_H
#define LB_CLI_PLANNED_H

#include "cli/cli.h"
#include "run/plan.h"

typedef struct lb_planned {
    lb_config config;
    lb_plan plan;
    lb_team *team;
    bool open;
} lb_planned;

/* Loads the plug-ins of a comma-separated list; *hash is that of all of them, "" for none. */
LB_NODISCARD lb_status lb_cli_plugins(lb_arena *a, const char *list, const char **hash);
/* The plan of x->config, which has been read. */
LB_NODISCARD lb_status lb_cli_plan(lb_planned *x, lb_arena *a, lb_model_parts parts, const char *plugin_hash,
                                   lb_log *log);
void lb_cli_plan_close(lb_planned *x);
/* Model, data, protocol, cells with exact sizes, refusals; with estimates where rate is not NULL. */
LB_NODISCARD lb_status lb_cli_plan_text(const lb_plan *p, const lb_rate *rate, lb_str *out);

#endif
