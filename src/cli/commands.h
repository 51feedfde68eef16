/* Every subcommand's row; each is defined in its own cmd_NAME.c. */
#ifndef LB_CLI_COMMANDS_H
#define LB_CLI_COMMANDS_H

#include "cli/cli.h"

extern const lb_command lb_cmd_run, lb_cmd_check, lb_cmd_quantize, lb_cmd_eval, lb_cmd_generate, lb_cmd_inspect,
    lb_cmd_report, lb_cmd_methods, lb_cmd_models, lb_cmd_sources, lb_cmd_papers, lb_cmd_train, lb_cmd_rotate,
    lb_cmd_completion, lb_cmd_help;

#endif
