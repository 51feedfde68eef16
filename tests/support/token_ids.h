/* Ids of a text beside those that a fixture has. */
#ifndef LB_TESTS_TOKEN_IDS_H
#define LB_TESTS_TOKEN_IDS_H

#include <stdbool.h>
#include <stdint.h>

#include "io/json.h"

/* The test fails and shows both where they differ. what, hex: whose they are, and the text. */
void expect_token_ids(const char *what, const char *hex, bool special, const int32_t *id, int64_t n,
                      const json_t *want);

#endif
