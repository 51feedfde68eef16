/* Scales that a model's weights can take up without a change of what it computes: the channels of a value that sites
 * read are multiplied by positive numbers where the value is made, and divided again in the columns of every site that
 * reads it. What makes a value is a norm with a weight a channel, or the rows of a site, if what stands between passes
 * a scale on (lb_op.passes) and nobody else reads that. Xiao et al. 2023 (arXiv:2211.10438), eq. 3 and 4. */
#ifndef LB_MODEL_FOLD_H
#define LB_MODEL_FOLD_H

#include "model/net.h"

typedef struct lb_fold {
    lb_scaled_by by;        /* LB_SCALED_NOT, LB_SCALED_PARAMETER or LB_SCALED_ROWS */
    int32_t weight, bias;   /* in net.vector; -1: none */
    double one;             /* the weight is kept less so much */
    int32_t site;           /* whose rows; -1: none */
    const int32_t *channel; /* (cols) the element, or the row, that a channel comes from */
    bool tied;              /* channels share some: those must be multiplied by the same */
    int64_t cols;
    const int32_t *input; /* (inputs) in net.input: all whose readers divide: the value, then what experts get of it */
    int32_t inputs;       /* 0 where nothing can be folded */
} lb_fold;
/* Of the value that this input is; where nothing can be folded, by LB_SCALED_NOT. Inputs that go together have the same
 * fold. */
LB_NODISCARD lb_status lb_fold_of(lb_arena *a, const lb_net *n, int32_t input, lb_fold *out);
/* times (cols): what the channels are multiplied by. The fold's weight or bias as it then is; to is not from. */
void lb_fold_vector(const lb_fold *f, const lb_net *n, int32_t vector, const float *times, const float *from,
                    float *to);
/* What the rows of its site are multiplied by. */
void lb_fold_rows(const lb_fold *f, const lb_net *n, const float *times, float *rows);

#endif
