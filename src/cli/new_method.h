/* `lowbit methods --new NAME`: the files of a method of one's own to start from. */
#ifndef LB_CLI_NEW_METHOD_H
#define LB_CLI_NEW_METHOD_H

#include "base/str.h"

typedef struct lb_skeleton {
    const char *scope, *method, *test; /* C text, @ for the name */
} lb_skeleton;
extern const lb_skeleton lb_skeletons[]; /* ends with scope NULL */

/* Writes dir/NAME.c and dir/test_NAME.c, and says how they are built. LB_E_ARG: the name is none for a method, or one
 * is called so; LB_E_IO: one of the files is there. */
LB_NODISCARD lb_status lb_cli_new_method(const char *name, const char *scope, const char *dir, lb_str *said);

#endif
