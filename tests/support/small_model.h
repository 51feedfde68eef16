/* A folder with small Llamas of random weights and a text of random words, and plans of configs over them: for tests of
 * the run layer through the library. */
#ifndef LB_TESTS_SMALL_MODEL_H
#define LB_TESTS_SMALL_MODEL_H

#include "run/sweep_run.h"
#include "support/support.h"

extern const char *small_home; /* the folder; "tied", "untied" and text.txt are in it */
int small_model_setup(void **state);
/* "sharing" besides: of four blocks the first two and the last two share all layers and norms; untied, BF16. */
int small_model_setup_sharing(void **state);

typedef struct small_plan {
    lb_arena *arena;
    lb_team *team;
    lb_config config;
    lb_plan plan;
} small_plan;
/* Of a config without `model`, `results` and `name`: "NAME", in small_home, or "FOLDER/NAME" below it. */
void small_plan_open(small_plan *s, const char *model, const char *name, const char *yaml);
/* It may be refused; close it in any case. */
lb_status small_plan_try(small_plan *s, const char *model, const char *name, const char *yaml);
void small_plan_close(small_plan *s);

#endif
