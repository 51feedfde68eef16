/* What measured sums and counted bytes say: every figure that is published of a layer's errors or of sizes is defined
 * here, once, for results, reports and whoever plans a run. Nothing here needs a model. NaN: there is none. */
#ifndef LB_RESULT_FIGURES_H
#define LB_RESULT_FIGURES_H

#include "result/record.h"

/* ---- a layer's errors: D = What - W, H of one of its inputs ---- */

double lb_weight_mse(const lb_layer_error *e); /* |D|^2 / (out in) */
double lb_output_mse(const lb_layer_error *e); /* tr(D H Dᵀ) / out */
double lb_weight_rel(const lb_layer_error *e); /* relative: over the same with What = 0; nothing lost of nothing: 0 */
double lb_output_rel(const lb_layer_error *e);
double lb_error_ratio(const lb_layer_error *e, const lb_layer_error *rtn); /* NaN where rtn loses nothing */
void lb_error_add(lb_layer_error *sum, const lb_layer_error *one);         /* errors and energies */
double lb_sqnr_db(double relative);                                        /* infinite where nothing is lost */
/* Errors of the weights are the same under each H: those of the one that was measured. */
const lb_layer_error *lb_layer_weights(const lb_layer_row *l);
/* To round-to-nearest onto the same storage, on the inputs that the layer was solved on where it was solved on any. */
double lb_layer_ratio(const lb_layer_row *l);

/* ---- errors where every token counts the same ---- */

/* Relative, and to round-to-nearest, as above: of the original model's inputs where there are such, else of those that
 * the layer was solved on. NaN: not measured. */
double lb_equal_rel(const lb_layer_row *l);
double lb_equal_ratio(const lb_layer_row *l);
/* Of a model, as lb_model_error. */
typedef struct lb_model_equal {
    double output_rel, output_vs_rtn;
} lb_model_equal;
lb_model_equal lb_model_equal_of(const lb_record *c);
extern const lb_equal_error lb_equal_unknown;

/* ---- who carries H ---- */

extern const lb_carried lb_carried_unknown;
/* Of the H that the layer was solved on, where it was solved on any, else of the original model's. */
const lb_carried *lb_layer_carried(const lb_layer_row *l);
/* Do fewer than 1 % of the tokens carry half of either? */
bool lb_layer_carried_by_few(const lb_layer_row *l);
/* The flags of a row, and of a record, with what follows from its rows: LB_FLAG_CARRIED. */
uint32_t lb_layer_flags_shown(const lb_layer_row *l);
uint32_t lb_record_flags_shown(const lb_record *c);

/* ---- a model's errors ---- */

/* Sum of errors / sum of energies over the quantized layers whose output error was measured; ratio: to that of
 * round-to-nearest over the same layers. NaN: nothing measured. */
typedef struct lb_model_error {
    double output_rel, output_vs_rtn, weight_rel;
    int64_t layers;
} lb_model_error;
/* original: with H of the original model, else of the inputs that each layer was solved on. */
lb_model_error lb_model_error_of(const lb_record *c, bool original);

/* ---- sizes ---- */

enum { LB_FP16_BYTES = 2 }; /* what a weight takes that nothing quantizes */
/* Is it one with a layer of an earlier row, where its size is counted? */
bool lb_layer_is_shared(const lb_layer_row *l);

double lb_bits_per_weight(int64_t bytes, int64_t weights); /* NaN: no weights */
double lb_size_bits(const lb_size *s);                     /* of a layer or a sum of them, with all metadata */
double lb_mib(double bytes);

/* One tensor more of a model. stored: its bytes in the model's file; kept: its bytes beside the quantized layers, or
 * negative if it is one of them, whose size comes by lb_model_size_layer. */
void lb_model_size_tensor(lb_model_size *s, int64_t weights, int64_t stored, int64_t kept);
void lb_model_size_layer(lb_model_size *s, const lb_size *layer);
void lb_model_size_total(lb_model_size *s); /* after the last */
/* The whole model over the unquantized one at 16 bits a weight; what stays unquantized as stored, or at 16 bits. */
double lb_ratio_stored(const lb_model_size *s);
double lb_ratio_fp16(const lb_model_size *s);
/* What a file on disk takes that is the whole model; NaN: the cell's is none. */
double lb_model_file_bytes(const lb_record *r);
/* Of the original by this model's drafts, where a token costs the reading of all weights, what is not quantized at 16
 * bits; NaN: not measured. */
double lb_draft_speedup(const lb_model_size *s, const lb_eval *e);

#endif
