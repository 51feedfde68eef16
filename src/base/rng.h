/* Random numbers: counter-based Philox4x32-10 (Salmon et al. 2011), seeded per (seed, stream), and Python's
 * Mersenne Twister for recipes that must draw what a paper's code drew. */
#ifndef LB_BASE_RNG_H
#define LB_BASE_RNG_H

#include "base/status.h"

typedef struct lb_rng {
    uint64_t seed, stream, counter;
    uint32_t buf[4];
    int left;
    double spare;
    bool has_spare;
} lb_rng;
lb_rng lb_rng_make(uint64_t seed, uint64_t stream);
uint32_t lb_rng_u32(lb_rng *r);
uint64_t lb_rng_u64(lb_rng *r);
double lb_rng_uniform(lb_rng *r);           /* [0, 1), 53 bits */
int64_t lb_rng_below(lb_rng *r, int64_t n); /* [0, n), unbiased; n > 0 */
double lb_rng_normal(lb_rng *r);            /* Box-Muller */

typedef struct lb_mt {
    uint32_t state[624];
    int index;
} lb_mt;
void lb_mt_seed(lb_mt *m, uint64_t seed);      /* random.seed(int) */
void lb_mt_seed_word(lb_mt *m, uint32_t seed); /* as the authors' init_genrand: what numpy and PyTorch do */
uint32_t lb_mt_u32(lb_mt *m);
double lb_mt_random(lb_mt *m);                         /* random.random() */
int64_t lb_mt_randint(lb_mt *m, int64_t a, int64_t b); /* random.randint(a, b), both ends included */

#endif
