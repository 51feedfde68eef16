/* Products in bfloat16, written from the definition: the twin that oneDNN's are held against. */
#ifndef TESTS_SUPPORT_BF16_H
#define TESTS_SUPPORT_BF16_H

#include "math/bf16.h"

/* Has this build oneDNN, and this processor bfloat16? If not, checks that the refusal says which, and skips the test.
 */
void bf16_needed(void);
/* The nearest bfloat16, half to even, by integer arithmetic. */
float bf16_nearest(float x);
/* y (x.rows, W.rows) = beta y + nearest(x) nearest(W)ᵀ, summed in float64. bound (the same shape, may hold no numbers):
 * how far float32 sums in any order may be from it: (cols + 2) 2^-23 (|y| + sum |x w|), and 2^-126 a product for those
 * that are flushed. */
void bf16_multiply_ref(lb_cmat x, lb_cmat W, bool add, lb_mat y, lb_mat bound);

#endif
