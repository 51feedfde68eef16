/* What the parts of the config's reader share: config.c, config_entry.c, config_entries.c, config_axes.c. */
#ifndef LB_RUN_CONFIG_IMPL_H
#define LB_RUN_CONFIG_IMPL_H

#include "run/config.h"

typedef struct lb_config_reader {
    lb_arena *a;
    lb_config *c;
    const lb_method **method; /* those of the entries, each once */
    size_t methods;
    const lb_yaml *model, *compute;         /* one, or a list: of the top level or of `axes`; compute: NULL: neither */
    const lb_yaml *method_axis, *rule_axis; /* of `axes`, rules also of the top level: a list of lists; NULL: none */
} lb_config_reader;

/* Candidate names, collected to find the nearest. */
typedef struct lb_config_names {
    const char *at[256];
    size_t n;
} lb_config_names;

void lb_config_names_add(lb_config_names *k, const char *name);
void lb_config_names_add_table(lb_config_names *k, const lb_options *t);
/* The options of all entries' methods. */
void lb_config_names_of_entries(const lb_config_reader *r, lb_config_names *known);

/* "a map" */
const char *lb_config_kind_name(const lb_yaml *n);
bool lb_config_is_null(const lb_yaml *n);

/* in: " in quantize[1]", or ""; m: the method whose options may stand there, or NULL. STAGE.OPTION is known only of an
 * option that two stages have. */
LB_NODISCARD lb_status lb_config_unknown_key(const lb_yaml *n, const char *in, const lb_config_names *known,
                                             const lb_method *m);
/* Sets the option that is called `name` from a scalar, with file and line in the error. */
LB_NODISCARD lb_status lb_config_set_option(lb_config_reader *r, const lb_options *table, void *values,
                                            const char *name, const lb_yaml *n, const char *whose);
/* The scalars of a map by a table; keys in `also` are left to the caller. */
LB_NODISCARD lb_status lb_config_read_map(lb_config_reader *r, const lb_yaml *map, const char *title,
                                          const lb_options *table, void *values, const char *const *also);
/* One value, or a list of them. */
LB_NODISCARD lb_status lb_config_read_values(lb_config_reader *r, const lb_yaml *n, const char *title, lb_axis *out);

/* Tries a value in a scratch struct: is it one that the option takes? */
LB_NODISCARD lb_status lb_config_try_value(lb_config_reader *r, const lb_method *m, const lb_axis_target *t,
                                           const lb_yaml *v);
/* Value v of option `name` must suit at least one entry's method that has it. LB_E_CONFIG with the last complaint
 * otherwise; *has says whether any method has the option at all. */
LB_NODISCARD lb_status lb_config_try_everywhere(lb_config_reader *r, const char *name, const lb_yaml *v,
                                                bool cell_options, bool *has);

/* Finds the axes: those of `axes`, and lists where a section has one value. Their values are looked at when the
 * entries are known. */
LB_NODISCARD lb_status lb_config_find_axes(lb_config_reader *r, const lb_yaml *root);
LB_NODISCARD lb_status lb_config_check_axes(lb_config_reader *r);
/* Why a key is no axis, and what there is instead; NULL: nothing is known. section: "config", "eval[1]", "rules[0]". */
const char *lb_config_no_axis(const char *section, const char *key);
/* A section as if it had the first value of each of its axes: what the table of scalars reads. prefix: "calibration.",
 * or "" for the top level. section: NULL: the config has none; *out NULL: none, and no axis gives it a text. */
LB_NODISCARD lb_status lb_config_first_values(lb_config_reader *r, lb_yaml *section, const char *prefix, lb_yaml **out);
/* An override of one value where every cell has one of an axis. prefix: as above, also "embedding." and "head.". */
LB_NODISCARD lb_status lb_config_check_override(lb_config_reader *r, const char *prefix, const lb_yaml *n);
/* The map at `which` ("embedding", "head") of the config or an entry, of lists the first values; flag: the key that
 * would say the same and may not say the opposite. */
LB_NODISCARD lb_status lb_config_read_end(lb_config_reader *r, const lb_yaml *map, const char *which, const char *flag,
                                          lb_end *out);
/* The method that a map names; *out NULL: none. */
LB_NODISCARD lb_status lb_config_read_method(const lb_yaml *n, const lb_yaml *map, const char *title,
                                             const lb_method **out);

/* An entry's method and options; its rules come when every entry's method is known. */
LB_NODISCARD lb_status lb_config_read_entry(lb_config_reader *r, const lb_yaml *n, const char *title, lb_entry *out);
/* Rules as an axis: each item is a list of them. */
bool lb_config_is_rule_sets(const lb_yaml *n);
/* The sections; n: NULL where the config has none. m: of rules of an entry with this method, NULL: rules for all. */
LB_NODISCARD lb_status lb_config_read_entries(lb_config_reader *r, const lb_yaml *n);
LB_NODISCARD lb_status lb_config_read_rules(lb_config_reader *r, const lb_yaml *n, const char *title,
                                            const lb_method *m, lb_rule **out, size_t *count);

#endif
