/* Where the results of a config lie. */
#ifndef LB_RUN_PLACE_H
#define LB_RUN_PLACE_H

#include "run/config.h"

/* The experiment's folder: `results` is relative to the config's folder, as every path in it; to the current folder
 * where it was given on the command line, and for configs made in memory or that came with the program, whose leading
 * "../" then do not count. Below the current folder it is named from there, else from the root. */
LB_NODISCARD lb_status lb_results_place(lb_arena *a, const lb_config *c, const char **dir);
/* The same from the root. */
LB_NODISCARD lb_status lb_results_absolute(lb_arena *a, const char *dir, const char **out);
/* Where earlier versions, to which `results` was relative to the current folder, left results of this name while there
 * are none in dir; NULL: nowhere else. *results: what brings a run there. */
LB_NODISCARD lb_status lb_results_old_place(lb_arena *a, const lb_config *c, const char *dir, const char **old,
                                            const char **results);

#endif
