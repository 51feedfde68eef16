/* Files that come with the program: those of the checkout that it was built in (build/MODE/lowbit), or of its
 * installation (PREFIX/bin/lowbit and PREFIX/share/lowbit). */
#ifndef LB_RUN_SHARE_H
#define LB_RUN_SHARE_H

#include "base/mem.h"

/* The folder that holds configs/, data/ and tools/; "" where there is none. installed: not a checkout, so that what is
 * fetched belongs into the user's own folder. */
LB_NODISCARD lb_status lb_share_root(lb_arena *a, const char **root, bool *installed);
/* The file or folder `name` there, such as "configs/demo.yaml"; NULL: it is not there, or `name` is absolute. */
LB_NODISCARD lb_status lb_share_find(lb_arena *a, const char *name, const char **path);

#endif
