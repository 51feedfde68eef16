/* What tests/oracle/make_families.py recorded of a family: its models, and what transformers makes of them. */
#ifndef TESTS_SUPPORT_FAMILIES_H
#define TESTS_SUPPORT_FAMILIES_H

#include "io/json.h"
#include "io/safetensors.h"
#include "model/model.h"
#include "support/support.h"

typedef struct families_record {
    const char *family;
    json_t *lists;        /* flips.json: "models", "gguf", "flips", "every_key" */
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

/* Token t of its sequences is (7 t^2 + 3 t + 11) mod FAMILIES_VOCAB. */
enum { FAMILIES_TOKENS = 29, FAMILIES_VOCAB = 61 };
/* Logits: the last rows of a sequence; or of its last row every fourth one, which are a row of the tensor. */
typedef struct families_want {
    const lb_tensor *rows;
    int64_t row; /* -1: all rows, whole */
    double spread;
} families_want;
families_want families_logits(const families_record *r, const char *model);
/* Of the model after a change of its keys: the model's own, where the entry has no row. */
families_want families_changed_logits(const families_record *r, const json_t *change);
/* How far ours are from them, in spreads: the executor's, and the reference's too. */
double families_off(const lb_model *m, const families_want *w, bool reference);

#endif
