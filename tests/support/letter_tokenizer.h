/* A token a letter, for folders of models whose vocabulary is too small for bytes; and texts of such letters. */
#ifndef LB_TESTS_LETTER_TOKENIZER_H
#define LB_TESTS_LETTER_TOKENIZER_H

#include <stddef.h>

enum { LETTERS = 59 };
void letter_tokenizer(const char *dir);                            /* tokenizer.json */
void letter_text(const char *path, unsigned seed, size_t letters); /* so many, at random */

#endif
