/* What a result file holds, as text. */
#ifndef LB_CLI_INSPECT_RESULT_H
#define LB_CLI_INSPECT_RESULT_H

#include "base/mem.h"
#include "base/str.h"

/* layers: list those that it keeps. */
LB_NODISCARD lb_status lb_cli_inspect_result(lb_arena *a, const char *path, bool layers, lb_str *out);

#endif
