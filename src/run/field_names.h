/* What other programs of the field call the keys and methods of a config: AutoGPTQ and GPTQModel, AutoAWQ, Hugging Face
 * transformers, llm-compressor, bitsandbytes, HQQ, AutoRound, llama.cpp. Not accepted in their place: an error says
 * what is meant. */
#ifndef LB_RUN_FIELD_NAMES_H
#define LB_RUN_FIELD_NAMES_H

#include "base/status.h"

typedef struct lb_field_name {
    const char *theirs; /* without regard to case, '_' and '-' */
    const char *ours;   /* "group", "calibration.samples"; of a method: "nf4" */
    const char *note;   /* how theirs is written in ours, where the name alone does not tell; or NULL */
    bool other;         /* a method that is not here, to which `ours` is the nearest */
} lb_field_name;

bool lb_field_alike(const char *a, const char *b); /* but for case, '_' and '-' */

/* Their name for a key, where the keys in `known` may stand: a dotted one of ours stands there too if its section or,
 * within the section, its key does. A key of ours in other letters is its own. NULL: not known. The names of `known`
 * must outlive the result. */
const char *lb_field_key(const char *theirs, const char *const *known, size_t n, const char **note);
/* The same wherever it stands; `at` counts the places, from 0. NULL: no more of them. */
const lb_field_name *lb_field_key_at(const char *theirs, size_t at);
const lb_field_name *lb_field_method(const char *theirs); /* NULL: not known */
/* The i-th of each; NULL past the last. */
const lb_field_name *lb_field_keys(size_t i);
const lb_field_name *lb_field_methods(size_t i);

/* LB_E_CONFIG or another code: "unknown method 'X' in quantize[0]: did you mean 'Y'?". where: "c.yaml:3",
 * in: "quantize[0]"; "": not said. */
LB_NODISCARD lb_status lb_unknown_method(lb_status code, const char *where, const char *name, const char *in);

#endif
