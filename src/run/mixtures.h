/* A calibration text that is several: "a + b" takes its sequences from each in turn. Sequence i is one of text i mod n;
 * each text gives its share (the first ones one more, where the number does not divide) by the recipe, with the same
 * seed, as if it were the only one. Known by the hashes of its texts in their order. */
#ifndef LB_RUN_MIXTURES_H
#define LB_RUN_MIXTURES_H

#include "run/plan.h"

/* The texts of "a + b" into t->part, with their names and the BOS choice of t alone; none (parts 0) where the whole
 * name is that of a source or a file. LB_E_CONFIG with `where`: a name is missing, a text stands there twice, or there
 * are more than LB_MIXTURE_MOST. */
enum { LB_MIXTURE_MOST = 16 };
LB_NODISCARD lb_status lb_mixture_split(const lb_plan *p, const char *where, lb_text *t);
/* When each part was looked for: what t is as a whole, path, hash, BOS and a corpus without tokens of its own; or, if a
 * part is missing, that. */
LB_NODISCARD lb_status lb_mixture_put_together(lb_plan *p, lb_text *t);
/* `samples` of them, from the arena. LB_E_CONFIG: fewer samples than texts, a recipe that does not give a sequence a
 * sample (blocks), or a text that cannot give its share. */
LB_NODISCARD lb_status lb_mixture_tokens(const lb_text *t, lb_recipe r, uint64_t seed, int64_t samples, int64_t length,
                                         lb_arena *a, lb_sequences *out);

#endif
