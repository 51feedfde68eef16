/* What tests/oracle/make_families.py recorded of a family: its models, and what transformers makes of them. */
#ifndef TESTS_SUPPORT_FAMILIES_H
#define TESTS_SUPPORT_FAMILIES_H

#include "io/json.h"
#include "io/safetensors.h"
#include "model/family.h"
#include "support/support.h"

typedef struct families_record {
    const char *family;
    json_t *lists;        /* flips.json: "models", "gguf", "flips" */
    lb_safetensors *rows; /* expected.safetensors */
} families_record;

/* A path below tests/oracle/fixtures/families. */
void families_fixture(const char *name, char path[LB_TEST_PATH]);
/* The test fails for a family of which nothing is there, saying how to make it. */
families_record families_open(const lb_family *family);
void families_close(families_record *r);
/* A file of one of its models: "" the folder, ".gguf", "/config.json". */
void families_path(const families_record *r, const char *model, const char *end, char path[LB_TEST_PATH]);
const char *families_text(const json_t *x, const char *key);

#endif
