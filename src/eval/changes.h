/* A model that computes what another one does, with other weights: inputs of sites become T x, which the matrices that
 * read them undo (W T^-1). A scale can be folded into what makes an input, else T is applied where the input is read.
 * Vectors that change are made anew; matrices are read from the other model's, a few rows at a time, so that neither
 * has to be in memory twice. */
#ifndef LB_EVAL_CHANGES_H
#define LB_EVAL_CHANGES_H

#include "base/team.h"
#include "model/exec.h"
#include "model/fold.h"
#include "quant/transform.h"

typedef struct lb_changed_site {
    const lb_linop *was;        /* in the other model */
    const float *rows;          /* (rows) what they are multiplied by; NULL: nothing */
    const lb_transform *folded; /* that what makes its input has taken up; NULL: none */
    const lb_transform *kept;   /* of its input, applied there; NULL: none */
} lb_changed_site;

typedef struct lb_changes {
    const lb_net *net;
    const struct lb_changes *before; /* that made the other model; NULL: it is the original */
    const lb_weights *was;
    lb_weights w; /* the changed model */
    lb_arena *arena;
    lb_transform *folded, *kept; /* (net.inputs) all zero: none */
    lb_changed_site *site;       /* (net.sites) */
} lb_changes;

/* No change yet of `was`, which the changes `before` (or NULL) made. Everything from the arena; net, weights and what
 * was before stay the caller's. */
LB_NODISCARD lb_status lb_changes_new(lb_arena *a, const lb_net *n, const lb_weights *was, const lb_changes *before,
                                      lb_changes **out);
/* Multiplies the channels of the fold's inputs by scale (cols); once for an input. */
LB_NODISCARD lb_status lb_changes_fold(lb_changes *c, const lb_fold *f, const float *scale);
/* T of this input, once, for the readers that `which` (net.sites) names; the others read the input as it is. What those
 * before keep there must be none or a scale. */
LB_NODISCARD lb_status lb_changes_keep(lb_changes *c, int32_t input, const lb_transform *T, const bool *which);
/* H of an input of the original model becomes that of the changed one's, as sites with T read it. */
LB_NODISCARD lb_status lb_changes_hessian(const lb_changes *c, int32_t input, lb_dmat H, lb_team *team);
/* What a site does to its input in the changed model: all that was kept. */
const lb_transform *lb_changes_transform(const lb_changes *c, int32_t site);
/* Is the tensor another one than the original model's? A matrix that alone undoes a T which is kept beside it is not.
 */
bool lb_changes_slot(const lb_changes *c, int32_t slot);

#endif
