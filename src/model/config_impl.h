/* Inside of reading a config.json. */
#ifndef LB_MODEL_CONFIG_IMPL_H
#define LB_MODEL_CONFIG_IMPL_H

#include "io/json.h"
#include "model/family.h"

typedef struct lb_config_reader {
    const char *path;
    const json_t *c;
    const lb_family *family;
    lb_numbering b;
} lb_config_reader;

/* The first spelling, cut off; the rest in *next, NULL after the last. */
enum { LB_CONFIG_KEY = 64 };
void lb_config_spelling(const char *names, char out[LB_CONFIG_KEY], const char **next);
/* The value under any of the spellings, and the one it stands under; NULL: none, or null (is_null tells which).
 * LB_E_FORMAT where two of them differ. */
LB_NODISCARD lb_status lb_config_value(const char *path, const json_t *o, const char *names, const json_t **v,
                                       char key[LB_CONFIG_KEY], bool *is_null);
/* One number, told in two places (NULL: at the top) with two values. */
LB_NODISCARD lb_status lb_config_differ(const char *path, const char *in_a, const char *a, const json_t *va,
                                        const char *in_b, const char *b, const json_t *vb);
/* A key that is not known may change what the model computes (a window, a cap, a multiplier): it is named rather than
 * passed over. within: the object's name and a dot, or "". */
LB_NODISCARD lb_status lb_config_check_keys(const char *path, const char *within, const json_t *o,
                                            const char *const *known);
/* The positions (config_rope.c): rope_kind, rope_base, rope_part (of a head, that turns) and what the
 * kind needs. */
LB_NODISCARD lb_status lb_config_rope(lb_config_reader *r);

/* lb_numbers_from_config of what stands at `path`, or is called so in messages. keys: the numbers as the keys and
 * their defaults are, before the family's rules; may be NULL. */
LB_NODISCARD lb_status lb_config_numbers(lb_arena *a, const char *path, const json_t *c, const lb_family **family,
                                         lb_numbers *keys, lb_numbers *out);
/* The other way: a config.json by its family's keys, first spellings, from those that are given (an object, or NULL)
 * and, for the others, from numbers. whose begins messages; tied: what the key that ties the head is to say.
 * LB_E_UNSUPPORTED names a key that no number tells. */
LB_NODISCARD lb_status lb_config_made(const char *whose, const lb_family *f, const json_t *given, const lb_numbers *n,
                                      bool tied, json_t **out);
/* Is the number to be written without a point? */
bool lb_config_whole(const lb_key *k, double v);
/* The row that has this spelling; NULL: none. */
const lb_key *lb_config_row(const lb_family *f, const char *key);

#endif
