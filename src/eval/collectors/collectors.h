#ifndef LB_EVAL_COLLECTORS_COLLECTORS_H
#define LB_EVAL_COLLECTORS_COLLECTORS_H

#include "eval/collect.h"

extern const lb_collector lb_collect_hessian, lb_collect_absmax, lb_collect_mean, lb_collect_range, lb_collect_rows,
    lb_collect_tokens, lb_collect_hessian_norm, lb_collect_hessian_clip, lb_collect_hessian_attention;

/* |x|^2 of a row; and of the rows of b[i] to to[i], not where that is NULL. */
double lb_collect_energy(const float *x, int64_t n);
LB_NODISCARD lb_status lb_collect_energies(const lb_batch *b, double *const *to, int n, lb_team *team);

/* What is the same of every H (hessian.c): it is summed in an lb_hessian, and kept as its upper triangle. */
int64_t lb_collect_hessian_count(int64_t cols, int64_t tokens);
LB_NODISCARD lb_status lb_collect_hessian_begin(lb_arena *a, int64_t cols, int64_t most_tokens, void **sum);
LB_NODISCARD lb_status lb_collect_hessian_finish(void *sum, int64_t tokens, lb_team *team, void **numbers);
LB_NODISCARD lb_status lb_collect_hessian_unpack(const void *packed, int64_t cols, lb_team *team, void *numbers);
void lb_collect_hessian_pack(void *numbers, int64_t cols);
int64_t lb_collect_hessian_bad(const void *numbers, int64_t n, int64_t cols, double *value);
/* One of the H's of `next` into that of `sum`, each weighted by its tokens. */
LB_NODISCARD lb_status lb_collect_merge_hessian(lb_arena *a, int64_t cols, const lb_stats *next, lb_cdmat next_H,
                                                const lb_stats *sum, lb_cdmat *sum_H);
#define LB_COLLECT_HESSIAN                                                                                             \
    .type = LB_SEALED_F64, .count = lb_collect_hessian_count, .begin = lb_collect_hessian_begin,                       \
    .finish = lb_collect_hessian_finish, .packed = lb_hessian_packed_size, .pack = lb_collect_hessian_pack,            \
    .unpack = lb_collect_hessian_unpack, .first_bad = lb_collect_hessian_bad

#endif
