/* What a layer lost, as sums in float64; result/figures.h says what is made of them. */
#ifndef LB_EVAL_LAYER_ERROR_H
#define LB_EVAL_LAYER_ERROR_H

#include "base/team.h"
#include "math/mat.h"
#include "result/figures.h"

/* H (in, in) full symmetric or d NULL (then output_* are NaN). LB_E_NUMERIC: a sum is NaN or infinite. */
LB_NODISCARD lb_status lb_layer_error_of(lb_cmat W, lb_cmat What, lb_cdmat H, lb_team *team, lb_arena *scratch,
                                         lb_layer_error *out);
/* The same for several quantized forms of W under several H at once, at most so many of each, for little more
 * than the work of one: out[i n_h + k] is What[i] under H[k]; without any H (n_h 0) out[i]. energy: NULL, or what this
 * gave for the same W under the same H's, (n_h) of them, whose energies are then not computed again. */
enum { LB_ERROR_FORMS = 2, LB_ERROR_HESSIANS = 4 };
LB_NODISCARD lb_status lb_layer_errors(lb_cmat W, const lb_cmat *What, int n_what, const lb_cdmat *H, int n_h,
                                       const lb_layer_error *energy, lb_team *team, lb_arena *scratch,
                                       lb_layer_error *out);

#endif
