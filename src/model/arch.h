/* A Llama by its sizes: what is made in memory. */
#ifndef LB_MODEL_ARCH_H
#define LB_MODEL_ARCH_H

#include "model/family.h"

typedef enum lb_rope_layout {
    LB_ROPE_HALVES,
    LB_ROPE_PAIRS
} lb_rope_layout; /* (i, i + d/2) as in Hugging Face; (2i, 2i+1) as in GGUF llama files */

/* How the rotary frequencies are changed for a longer context (transformers' rope_type). With theta a plain frequency:
 *   linear  theta / factor
 *   llama3  theta where its wavelength 2 pi / theta is below original / high; theta / factor where above original /
 * low; between, the mix of both that is linear in original / wavelength (Llama 3.1) */
typedef enum lb_rope_type { LB_ROPE_DEFAULT, LB_ROPE_LINEAR, LB_ROPE_LLAMA3, LB_ROPE_TYPES } lb_rope_type;
typedef struct lb_rope_scaling {
    lb_rope_type type;
    double factor, low, high;
    int64_t original; /* context that the model was trained on first; llama3 */
} lb_rope_scaling;

typedef struct lb_arch {
    int64_t layers, dim, hidden, heads, kv_heads, head_dim, vocab, context;
    double rope_base, norm_eps;
    lb_rope_layout rope;
    lb_rope_scaling scaling;
    bool tied; /* head = embedding */
} lb_arch;

/* Its numbers, as its family has them from a file; LB_E_FORMAT, LB_E_UNSUPPORTED naming one that makes no sense. */
LB_NODISCARD lb_status lb_arch_numbers(lb_arena *a, const lb_arch *arch, lb_numbers *out);
/* Its net; everything in the arena. */
LB_NODISCARD lb_status lb_arch_net(lb_arena *a, const lb_arch *arch, const lb_net **out);

#endif
