/* What tests of `lowbit run` share: a folder with a small model "tiny" and texts "cal.txt" and "eval.txt", files put
 * there, results read back and compared. */
#ifndef TESTS_SUPPORT_SWEEP_KIT_H
#define TESTS_SUPPORT_SWEEP_KIT_H

#include "result/provenance.h"
#include "result/store.h"
#include "support/run_cli.h"
#include "support/support.h"

extern const char *home; /* the folder */
extern lb_arena *arena;

/* The first lines of a config. */
#define COMMON                                                                                                         \
    "model: tiny\nthreads: 2\ncalibration: {text: cal.txt, samples: 8, length: 64}\n"                                  \
    "eval: {text: eval.txt, protocol: W2-64, windows: 6}\n"

int make_model(void **state); /* group setup and teardown */
int clean(void **state);
void path_in(char out[LB_TEST_PATH], const char *dir, const char *name);
void put_file(const char *name, const char *text); /* in home */
bool exists(const char *name);
cli_options here(void);
lb_results *results(const char *name);
int64_t cells_that(const lb_results *r, lb_cell_state state);
/* The same cell, or two results folders with the same cells, but for what may differ between equal runs. */
void same_records(lb_record *a, lb_record *b);
void same_results(const char *a, const char *b, int64_t cells);

#endif
