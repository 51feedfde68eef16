/* What tests of a config's cells share: a config as text becomes its sweep. */
#ifndef TESTS_SUPPORT_EXPAND_KIT_H
#define TESTS_SUPPORT_EXPAND_KIT_H

#include "run/sweep.h"
#include "support/support.h"

extern lb_arena *arena;  /* of sweep_kit.h; all that is made here lies in it */
extern lb_config config; /* the last config, and its sweep */
extern lb_sweep sweep;

int expand_setup(void **state); /* group setup and teardown: the arena */
int expand_teardown(void **state);
/* The config is called c.yaml. */
lb_status expand(const char *text);
/* The same behind the lines "model: m" and "calibration: {text: c}". */
lb_status expand_rest(const char *rest);
/* Labels in order, refused ones in brackets. */
void expect_cells(const char *text, const char *labels);
/* Each allocation of expand_rest fails once: LB_E_NOMEM each time. */
void expect_memory_errors(const char *rest);

#endif
