/* The keys of a config.json for a model that is made new, by their own names or by the number that they become. */
#ifndef LB_MODEL_NEW_CONFIG_H
#define LB_MODEL_NEW_CONFIG_H

#include "model/family.h"

typedef struct lb_new_config lb_new_config;
LB_NODISCARD lb_status lb_new_config_begin(const lb_family *f, lb_new_config **out);
void lb_new_config_free(lb_new_config *c);
/* A key of the family, in any of its spellings; value: JSON, or a word. LB_E_ARG lists the keys where it is none. */
LB_NODISCARD lb_status lb_new_config_set(lb_new_config *c, const char *key, const char *value);
/* The key that becomes a number of the program ("dim"; "rope_base" too). must: it is an error if the family has no such
 * key, or if it was set by its name already; else nothing happens then. option: what a message calls it. */
LB_NODISCARD lb_status lb_new_config_number(lb_new_config *c, const char *number, double value, bool must,
                                            const char *option);
/* All of it as JSON, with what the family makes new models of where nothing was said (lb_family.fresh). */
LB_NODISCARD lb_status lb_new_config_text(const lb_new_config *c, lb_arena *a, const char **out);

#endif
