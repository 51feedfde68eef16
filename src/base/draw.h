/* What other programs draw at random, drawn again: the calls that codes of papers make, each as the library that they
 * call makes it. `out` holds numbers from 0 on. */
#ifndef LB_BASE_DRAW_H
#define LB_BASE_DRAW_H

#include "base/rng.h"

/* Python's random.sample(range(n), k) and random.shuffle(x), of the generator as it stands. k <= n. */
LB_NODISCARD lb_status lb_mt_sample(lb_mt *m, int64_t n, int64_t k, int64_t *out);
void lb_mt_shuffle(lb_mt *m, int64_t *x, int64_t n);
/* numpy.random.default_rng(seed).permutation(n), which datasets' shuffle(seed) goes by; n < 2^32. */
void lb_numpy_permutation(uint64_t seed, int64_t n, int64_t *out);
/* numpy.random.RandomState(seed).permutation(n); n < 2^32. */
void lb_numpy_old_permutation(uint32_t seed, int64_t n, int64_t *out);
/* torch.manual_seed(seed), then torch.randperm(n) or torch.randint(low, high, (n,)), on the CPU; n and high - low are
 * below 2^32 / 20. */
void lb_torch_permutation(uint64_t seed, int64_t n, int64_t *out);
void lb_torch_randint(uint64_t seed, int64_t low, int64_t high, int64_t n, int64_t *out);

#endif
