#include "result/figures.h"

#include <math.h>

/* Nothing lost of nothing is no loss. */
static double ratio(double err, double energy) { return err == 0 ? 0 : err / energy; }

double lb_weight_mse(const lb_layer_error *e) { return e->weight_err / ((double)e->rows * (double)e->cols); }
double lb_output_mse(const lb_layer_error *e) { return e->output_err / (double)e->rows; }
double lb_output_rel(const lb_layer_error *e) { return ratio(e->output_err, e->output_energy); }
double lb_weight_rel(const lb_layer_error *e) { return ratio(e->weight_err, e->weight_energy); }
double lb_error_ratio(const lb_layer_error *e, const lb_layer_error *rtn) {
    return rtn->output_err > 0 ? e->output_err / rtn->output_err : NAN;
}
double lb_sqnr_db(double relative) { return -10 * log10(relative); }
