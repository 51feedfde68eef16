/* --profile: where time went, printed to standard error after a command. */
#ifndef LB_CLI_PROFILE_H
#define LB_CLI_PROFILE_H

#include "base/team.h"

#define LB_CLI_PROFILE_HELP                                                                                            \
    "afterwards, where time went: stages and kinds of work, their rates, and the percentage of this machine's "        \
    "roofline"
LB_NODISCARD lb_status lb_cli_profile_print(lb_team *team);

#endif
