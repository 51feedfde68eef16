/* The subcommands, in the order that help shows them. */
#include "cli/commands.h"

const lb_command *const lb_commands[] = {
    &lb_cmd_run,     &lb_cmd_check,      &lb_cmd_quantize, &lb_cmd_eval,  &lb_cmd_generate, &lb_cmd_inspect,
    &lb_cmd_methods, &lb_cmd_models,     &lb_cmd_report,   &lb_cmd_train, &lb_cmd_rotate,   &lb_cmd_sources,
    &lb_cmd_papers,  &lb_cmd_completion, &lb_cmd_help,     NULL,
};
