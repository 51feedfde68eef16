/* What commands take as MODEL: a file, a folder or a named source, or a result that keeps what a cell made of one. */
#ifndef LB_CLI_OPENED_H
#define LB_CLI_OPENED_H

#include "run/kept_cell.h"
#include "run/sources.h"

/* --model of such commands. */
#define LB_CLI_ORIGINAL_HELP "of a result file: where the model is that it was made from; default: where the file says"

/* A named source or a path, which is there. */
LB_NODISCARD lb_status lb_cli_resolve(lb_arena *a, const char *name, lb_source_kind kind, lb_resolved *out);

typedef struct lb_opened {
    const char *result; /* a cell's, whose layers are taken; or NULL */
    lb_kept_cell cell;
    lb_model *model; /* close it, also after a failure */
} lb_opened;
/* original: of a result, where the model is that it was made from; "": where it says. */
LB_NODISCARD lb_status lb_cli_open(lb_arena *a, const lb_resolved *from, const char *original, lb_model_parts parts,
                                   bool resident, lb_team *team, lb_log *log, lb_opened *out);
const lb_weights *lb_cli_weights(const lb_opened *x);

#endif
