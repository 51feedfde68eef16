/* Which tokens of a text a calibration takes: the recipes of papers' codes, drawn as those draw. */
#ifndef LB_MODEL_RECIPES_H
#define LB_MODEL_RECIPES_H

#include "model/corpus.h"
#include "model/sequences.h"

bool lb_recipe_draws(lb_recipe r);   /* does it depend on the seed? */
bool lb_recipe_of_rows(lb_recipe r); /* does it draw rows: of a corpus that was opened without a join? */

/* The sequences, from the arena: `samples`, but for blocks; each of `length` tokens, but for truncated.
 *
 *   sequential, random  lb_corpus_windows
 *   joined              random.seed(seed), then `samples` times start = random.randint(0, N - length - 1) in N tokens
 *   documents           random.seed(seed); a row is random.randint(0, rows - 1), drawn until it has at least `length`
 *                       tokens, then a start in it as above (Frantar et al. 2022, the loaders of gptq's datautils.py)
 *   documents_longer    the same of rows of more than `length` tokens (Sun et al. 2023, wanda's lib/data.py)
 *   blocks              rows in the order of datasets' shuffle(seed), without white space at their ends, those of 0 or
 *                       more than `length` tokens left out; the first `samples` put together and cut into sequences
 *                       (Lin et al. 2023, llm-awq's calib_data.py, seed 42)
 *   first_tokens        rows in that order, those of fewer than `length` tokens left out; the first tokens of each
 *   truncated           rows in that order, those of none left out; the first `length` tokens of each, all of a shorter
 *                       one (Xiao et al. 2023, smoothquant's calibration.py, seed 42)
 *
 * LB_E_CONFIG: the text is too short or has too few such rows; documents at a row of just `length` tokens, where the
 * reference program stops, too. */
LB_NODISCARD lb_status lb_recipe_tokens(const lb_corpus *c, lb_recipe r, uint64_t seed, int64_t samples, int64_t length,
                                        lb_arena *a, lb_sequences *out);

#endif
