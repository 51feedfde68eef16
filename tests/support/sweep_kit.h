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
void put_file(const char *name, const char *text); /* in home; a config gets a line behind it by which a run draws one
                                                      figure, but where it has plots itself, or: */
extern bool all_figures;
bool exists(const char *name);
cli_options here(void);
/* The program run there, with this exit status, or the test fails and shows what was said: RAN(0, "check", "c.yaml").
 */
cli_result ran(int code, const char *const *words);
#define RAN(code, ...) ran((code), (const char *const[]){__VA_ARGS__, NULL})
/* Likewise; the text stands in its output where the status is 0, else in its messages. */
void says(int code, const char *text, const char *const *words);
#define SAYS(code, text, ...) says((code), (text), (const char *const[]){__VA_ARGS__, NULL})
lb_results *results(const char *name);
int64_t cells_that(const lb_results *r, lb_cell_state state);
/* The same cell, or two results folders with the same cells, but for what may differ between equal runs. */
void same_records(lb_record *a, lb_record *b);
void same_results(const char *a, const char *b, int64_t cells);

#endif
