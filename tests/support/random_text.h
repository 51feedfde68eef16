/* The random Unicode texts of tests/oracle/random_text.py, and the hashes of their ids that its fixtures hold. */
#ifndef LB_TESTS_RANDOM_TEXT_H
#define LB_TESTS_RANDOM_TEXT_H

#include "base/str.h"
#include "io/json.h"
#include "model/tokenizer/tokenizer.h"

/* Text number `seed`. palette, special: the fixture's lists. */
void random_text(const json_t *palette, const json_t *special, uint64_t seed, lb_str *out);
/* Encodes as many texts as the hashes cover; fails the test, telling which hundred, where one is another. lossless:
 * decoding must give each text again, unless it has a mark of a space in it. */
void random_texts_check(const lb_tokenizer *t, const char *name, const json_t *palette, const json_t *special,
                        bool parse_special, bool lossless, const json_t *hashes);

#endif
