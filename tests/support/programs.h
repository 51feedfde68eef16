/* The cases of tests/oracle/make_programs.py: programs of 26 model types with their numbers, and parameters drawn anew
 * from their names. */
#ifndef LB_TESTS_PROGRAMS_H
#define LB_TESTS_PROGRAMS_H

#include "io/json.h"
#include "io/safetensors.h"
#include "model/backward.h"
#include "model/exec.h"
#include "model/net.h"
#include "model/steps/reference.h"

typedef struct lb_test_program {
    lb_arena *arena;
    const json_t *from;
    const char *name;
    bool tied;
    double spread; /* of the expected logits */
    lb_program program;
    lb_numbers numbers;
    int32_t *token; /* (T) */
    int64_t T;
} lb_test_program;

/* All cases; each call of `f` has an arena of its own. `expected`: the last rows of the logits, by name. */
void lb_test_programs(void (*f)(const lb_test_program *c, const lb_tensor *expected));
lb_test_program lb_test_program_open(lb_arena *a, const json_t *from);
/* lb_ref_params.get with the case as ctx. */
lb_status lb_test_program_param(const void *ctx, const char *name, int64_t block, int64_t expert, lb_ref_param *out);
/* Room for every gradient, in the arena, with NaN in it: gradients are written, not added to. */
lb_grads lb_test_program_grads(const lb_test_program *c, const lb_net *n);
/* n numbers from the name. */
float *lb_test_draw(lb_arena *a, const char *name, int64_t n, double centre, double spread);
/* Its net. */
lb_net *lb_test_program_net(const lb_test_program *c);
/* The numbers of its net, in the arena; they may be changed. */
lb_weights lb_test_program_weights(const lb_test_program *c, const lb_net *n);

#endif
