/* What a layer lost. D = What - W: weight MSE = |D|^2 / (out in); output MSE = tr(D H Dᵀ) / out; relative: the same
 * over What = 0; SQNR = -10 log10(relative output MSE) dB. float64 sums. A model's figure is sum of errors / sum of
 * energies. */
#ifndef LB_EVAL_LAYER_ERROR_H
#define LB_EVAL_LAYER_ERROR_H

#include "base/team.h"
#include "math/mat.h"

typedef struct lb_layer_error {
    double weight_err, weight_energy; /* sums of squares over the layer */
    double output_err, output_energy; /* traces, per token, summed over outputs */
    int64_t rows, cols;
} lb_layer_error;
/* H (in, in) full symmetric or d NULL (then output_* are NaN). LB_E_NUMERIC: a sum is NaN or infinite. */
LB_NODISCARD lb_status lb_layer_error_of(lb_cmat W, lb_cmat What, lb_cdmat H, lb_team *team, lb_arena *scratch,
                                         lb_layer_error *out);
/* The same for several quantized forms of W under several H at once, at most LB_ERROR_MOST of each, for little more
 * than the work of one: out[i n_h + k] is What[i] under H[k]; without any H (n_h 0) out[i]. energy: NULL, or what this
 * gave for the same W under the same H's, (n_h) of them, whose energies are then not computed again. */
enum { LB_ERROR_MOST = 2 };
LB_NODISCARD lb_status lb_layer_errors(lb_cmat W, const lb_cmat *What, int n_what, const lb_cdmat *H, int n_h,
                                       const lb_layer_error *energy, lb_team *team, lb_arena *scratch,
                                       lb_layer_error *out);
double lb_weight_mse(const lb_layer_error *e);
double lb_output_mse(const lb_layer_error *e);
double lb_output_rel(const lb_layer_error *e); /* relative output MSE */
double lb_weight_rel(const lb_layer_error *e);
double lb_error_ratio(const lb_layer_error *e, const lb_layer_error *rtn); /* NaN where rtn loses nothing */
double lb_sqnr_db(double relative);                                        /* infinite where nothing is lost */

#endif
