/* A small tokenizer.json, loaded with one thing changed. */
#ifndef TESTS_SUPPORT_SMALL_TOKENIZER_H
#define TESTS_SUPPORT_SMALL_TOKENIZER_H

#include "model/tokenizer/tokenizer.h"

extern const char small_json[];
const char *json_dir(void); /* the folder that it is loaded from */
void write_in(const char *dir, const char *name, const char *text);
LB_NODISCARD lb_status load_edited(const char *from, const char *to, lb_tokenizer **t);
LB_NODISCARD lb_status load_without_post(lb_tokenizer **t); /* without its post-processor */
lb_tokenizer *scores_tokenizer(void); /* SentencePiece, adds BOS 1: tests/oracle/fixtures/tokenizer/scores.gguf */

#endif
