/* Where a result comes from: program, libraries, kernels, inputs, host. */
#ifndef LB_RESULT_PROVENANCE_H
#define LB_RESULT_PROVENANCE_H

#include "base/mem.h"
#include "result/record.h"

/* The revision this program was built from, "a1b2c3d4e5f6" or "a1b2c3d4e5f6-dirty"; "unknown" outside a checkout. */
const char *lb_provenance_revision(void);
/* What tells two builds apart that may compute other numbers: the revision, and the hash of the program itself where a
 * revision does not pin it (modified checkout, or none). From the arena. */
LB_NODISCARD lb_status lb_provenance_code(lb_arena *a, const char **out);
/* Program, compiler, libraries, kernels: equal for equal builds on one kind of CPU. */
LB_NODISCARD lb_status lb_provenance_program(lb_arena *a, lb_pairs *out);
/* Host name, CPU, system, threads, date: what may differ between equal runs. */
LB_NODISCARD lb_status lb_provenance_host(lb_arena *a, int threads, lb_pairs *out);

#endif
