/* The plain twin of algorithms/gptq.c: float64, one column after another over the whole matrix, every update at once,
 * the inverse by Gauss-Jordan, its own grid. It also keeps what each weight was just before it was rounded. */
#ifndef TESTS_SUPPORT_GPTQ_REF_H
#define TESTS_SUPPORT_GPTQ_REF_H

#include <stdbool.h>
#include <stdint.h>

typedef struct gptq_ref_opts {
    int bits;
    int64_t group; /* 0: a row */
    int64_t block;
    bool symmetric, mse, act_order, static_groups, refit_column;
    double percdamp;
} gptq_ref_opts;

/* w (rows, cols), H (cols, cols) per token; what (rows, cols) dequantized; before (rows, cols): the weight over the
 * scale at the time of its rounding. false: H was not positive definite. */
bool gptq_ref(const gptq_ref_opts *o, const float *w, int64_t rows, int64_t cols, const double *H, int64_t tokens,
              int64_t sequences, float *what, double *before);

/* Rounding of a row or group to nearest on the grid fitted to it. */
void grid_ref(const gptq_ref_opts *o, const float *x, int64_t n, float *scale, float *zero);

#endif
