/* The numbers of rotary positions as a file tells them, on their way to an architecture's (steps/rope.c says what each
 * means). */
#ifndef LB_MODEL_ROPE_NUMBERS_H
#define LB_MODEL_ROPE_NUMBERS_H

#include "model/numbers.h"

typedef struct lb_rope_told {
    double kind, base; /* LB_REF_ROPE_... */
    double factor, low, high, original, fast, slow;
    double magnitude;      /* on cos and sin */
    double untruncated;    /* 1: yarn's ramp begins and ends between two pairs */
    const double *list[2]; /* longrope: factors of short and of long sequences */
    int64_t listed[2];
} lb_rope_told;
/* Kinds by their names in config.json; NULL-terminated. */
extern const char *const lb_rope_kinds[];
/* Nothing is scaled. */
lb_rope_told lb_rope_plain(double base);
/* By a part and a whole of the context: sqrt(1 + ln s / ln original), Ding et al. 2024 (arXiv:2402.13753). */
double lb_rope_long_magnitude(double s, double original);
/* 0.1 m ln s + 1, Peng et al. 2023 (arXiv:2309.00071) eq. 22; 1 where nothing is stretched. */
double lb_rope_yarn_magnitude(double s, double m);
/* rope_kind, rope_base, ...: of all blocks, or, where `local` is not NULL, of those where `where` is not zero its. */
LB_NODISCARD lb_status lb_rope_set(lb_numbering *b, const lb_rope_told *all, const lb_rope_told *local,
                                   const double *where);
/* For lb_numbers_check: they make sense together, in every block. */
LB_NODISCARD lb_status lb_rope_check(const lb_numbers *n, const char *whose);

#endif
