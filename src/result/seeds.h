/* What cells that differ only in their seed say together. */
#ifndef LB_RESULT_SEEDS_H
#define LB_RESULT_SEEDS_H

#include "result/quality.h"

/* t with P(T <= t) = p, Student's distribution with df > 0 degrees of freedom, not only whole ones; p in (0, 1).
 * Relative error below 1e-10 for p in [0.6, 0.9999] and df in [1, 100000]. */
double lb_student_quantile(double p, double df);

double lb_sample_sd(const double *x, int64_t n); /* NaN: fewer than two */

/* Of the mean of n values, glued from runs of `block` neighbours at random starts and cut to n, in closed form, times
 * n / (n - block). */
double lb_block_variance(const double *x, int64_t n, int64_t block);

/* What a difference may be off by: independent parts, each a standard error with the degrees of freedom of its t. */
typedef struct lb_spread {
    struct {
        double se, df;
    } part[3];
    int parts;
} lb_spread;
void lb_spread_add(lb_spread *s, double se, double df);
/* The part of the windows, by their differences x in blocks. */
void lb_spread_add_windows(lb_spread *s, const double *x, int64_t windows, int64_t block);
/* Half width of the interval that leaves `tail`, in (0, 0.5], out at each end: the parts' half widths in quadrature. */
double lb_spread_half(const lb_spread *s, double tail);
void lb_spread_interval(const lb_spread *s, lb_paired *out); /* low and high about out->delta, 95 % */

/* The mean over seeds of each seed's mean difference, and its 95 % interval over seeds and windows:
 *   delta +- sqrt((t[K-1] s / sqrt(K))^2 + (t[m/l - 1] sqrt(v))^2)
 * t[f]: the 0.975 quantile of Student's t, f degrees of freedom; K seeds, m windows, blocks of l = max(1,
 * round(m^(1/3))) s: sample standard deviation of the seeds' differences v: variance of the mean of all seeds' window
 * differences under the moving-block bootstrap (Kunsch 1989, in closed form), times m / (m - l), as a sample variance
 * has it source: each part is an interval of its own; their half widths add in quadrature as in Howe 1974 (Approximate
 * confidence limits on the mean of X + Y, JASA 69:789), also known as MOVER (Zou and Donner 2008).
 *
 * a       (seeds, windows) window NLL of each seed
 * b       (windows) of the baseline, the same windows
 * sd      written: s; NaN for one seed
 * One seed: as lb_paired_difference. One window: the interval is [NaN, NaN]. */
LB_NODISCARD lb_status lb_seeds_difference(const double *const *a, int64_t seeds, const double *b, int64_t windows,
                                           lb_paired *out, double *sd);
/* The same of two seeds at least, with what its interval is made of; of one window, the seeds' part alone. */
LB_NODISCARD lb_status lb_seeds_spread(const double *const *a, int64_t seeds, const double *b, int64_t windows,
                                       lb_paired *out, double *sd, lb_spread *spread);

#endif
