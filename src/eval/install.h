/* Putting compressed layers into a model's weights: as a method's cell makes them, and as a result file keeps them. */
#ifndef LB_EVAL_INSTALL_H
#define LB_EVAL_INSTALL_H

#include "model/exec.h"
#include "quant/layer.h"
#include "result/bundle.h"

/* The site's weights from now on: packed bytes, which are copied as far as they are needed, with their T and, of a
 * block's site, quantizer of the input; or a matrix, of head or embedding, that has neither. LB_E_UNSUPPORTED: T of a
 * table of embeddings. */
LB_NODISCARD lb_status lb_install_packed(lb_arena *a, const lb_net *n, lb_weights *w, int32_t site, const lb_storage *s,
                                         const uint8_t *bytes, int64_t count);
void lb_install_matrix(const lb_net *n, lb_weights *w, int32_t site, lb_cmat W);
/* The quantized model: w0 with all that a result file keeps, numbers from the arena. resident: what is read piece by
 * piece, head and embedding, in memory as float32. LB_E_FORMAT names the layer: damaged, no layer of this model, or of
 * another shape. */
LB_NODISCARD lb_status lb_install_bundle(lb_arena *a, const lb_net *n, const lb_weights *w0, lb_h5 *h,
                                         const lb_bundle *b, bool resident, lb_team *team, lb_weights *out);

#endif
