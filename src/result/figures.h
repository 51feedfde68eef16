/* What measured sums say: the definition of every number of a layer that is published. A model's figure is sum of
 * errors / sum of energies. */
#ifndef LB_RESULT_FIGURES_H
#define LB_RESULT_FIGURES_H

#include <stdint.h>

/* What a layer lost, as eval/layer_error measures it. D = What - W: weight MSE = |D|^2 / (out in); output MSE =
 * tr(D H Dᵀ) / out; relative: the same over What = 0; SQNR = -10 log10(relative output MSE) dB. */
typedef struct lb_layer_error {
    double weight_err, weight_energy; /* sums of squares over the layer */
    double output_err, output_energy; /* traces, per token, summed over outputs */
    int64_t rows, cols;
} lb_layer_error;
double lb_weight_mse(const lb_layer_error *e);
double lb_output_mse(const lb_layer_error *e);
double lb_output_rel(const lb_layer_error *e); /* relative output MSE */
double lb_weight_rel(const lb_layer_error *e);
double lb_error_ratio(const lb_layer_error *e, const lb_layer_error *rtn); /* NaN where rtn loses nothing */
double lb_sqnr_db(double relative);                                        /* infinite where nothing is lost */

#endif
