/* The quantized model of a finished cell: the original that its result names, and the layers that the result keeps. */
#ifndef LB_RUN_KEPT_CELL_H
#define LB_RUN_KEPT_CELL_H

#include "model/model.h"
#include "result/record.h"

typedef struct lb_kept_cell {
    lb_record record;
    lb_model *model; /* the original; close it, also after a failure */
    lb_weights w;    /* the quantized one; as long as arena and model */
} lb_kept_cell;

/* Is it a result, by its first bytes or its name? */
bool lb_is_result(const char *path);
/* model: where the original is, a path or a named source; "": where the result says, or else what it calls it.
 * LB_E_FORMAT: it is another one; a layer is damaged. LB_E_UNSUPPORTED: the result keeps no layers. */
LB_NODISCARD lb_status lb_kept_cell_open(lb_arena *a, const char *path, const char *model, lb_model_parts parts,
                                         bool resident, lb_team *team, lb_kept_cell *out);

#endif
