/* A storage as a file has it: what is needed to unpack a layer's bytes, by name. */
#ifndef LB_QUANT_STORAGE_WORDS_H
#define LB_QUANT_STORAGE_WORDS_H

#include "quant/storage.h"

typedef struct lb_storage_words {
    const char *format;     /* "int", "nf4", ..., "f32" for floats as they are */
    const char *scale_type; /* "f32", "f16", "bf16" or "e8m0" */
    int bits;
    int64_t group; /* LB_GROUP_ROW, LB_GROUP_TENSOR, or weights */
    bool symmetric, double_quant, order;
    int64_t mask_of, mask_keep, rank;    /* 0: no such part */
    int64_t rank_type;                   /* lb_scale_type of the pair: 0 float32, 1 float16, 2 bfloat16 */
    int64_t t_scale, t_hadamard, t_sign; /* of T; t_scale and t_sign 0 or 1 */
    int64_t t_scale_type;                /* as rank_type */
    int act_bits;                        /* of the input's quantizer; 0: none */
    bool act_symmetric;
    int64_t act_mode, act_group; /* lb_actquant_mode: 0 token, 1 static */
} lb_storage_words;
/* LB_E_ARG: a storage that the words do not hold. */
LB_NODISCARD lb_status lb_storage_to_words(const lb_storage *s, lb_storage_words *out);
/* LB_E_FORMAT: a name that there is none of. Bits and blocks are checked by lb_storage_size. */
LB_NODISCARD lb_status lb_storage_from_words(const lb_storage_words *w, lb_storage *out);

/* One section of a packed layer. */
typedef struct lb_section {
    const char *name; /* "codes", "scales", "order" */
    int64_t bytes;
} lb_section;
enum { LB_MOST_SECTIONS = 16 };
/* Those of a layer in the order of its bytes; together they are lb_storage_size's total. Returns how many. */
int lb_storage_sections(const lb_storage *s, int64_t rows, int64_t cols, lb_section out[LB_MOST_SECTIONS]);

#endif
