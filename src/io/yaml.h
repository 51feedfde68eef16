/* YAML into a tree that keeps line numbers (libyaml). Duplicate keys are errors naming both lines; anchors and aliases
 * work (an alias is a copy); tags, merge keys and several documents are refused, and so is a plain scalar that YAML
 * 1.1 would read differently (base/scalar.h). Scalars stay text: the reader of a key decides the type. What is wrong in
 * a text is LB_E_CONFIG with file and line. */
#ifndef LB_IO_YAML_H
#define LB_IO_YAML_H

#include "base/mem.h"

typedef enum lb_yaml_kind { LB_YAML_SCALAR, LB_YAML_LIST, LB_YAML_MAP } lb_yaml_kind;
typedef struct lb_yaml {
    lb_yaml_kind kind;
    const char *file; /* as given, or "-o" for an override */
    int line;         /* 1-based */
    const char *text; /* scalar */
    bool quoted;      /* scalar: in quotes or over several lines, so not a number, bool or null */
    const char *key;  /* this node's key in its map, or NULL */
    int key_line;
    struct lb_yaml **item; /* list: items; map: values in file order, each with its key */
    size_t count;
} lb_yaml;

#define LB_YAML_MOST ((size_t)16 << 20) /* bytes of a file */
/* A text without any value is a scalar "" that is not quoted, as "key:" has it. */
LB_NODISCARD lb_status lb_yaml_parse_file(lb_arena *a, const char *path, lb_yaml **out);
/* `name` stands for the file in messages. */
LB_NODISCARD lb_status lb_yaml_parse(lb_arena *a, const char *name, const char *text, size_t len, lb_yaml **out);
lb_yaml *lb_yaml_get(const lb_yaml *map, const char *key); /* NULL: none, or not a map */
/* Sets a dotted path ("axes.bits", "quantize[1].group", "eval[0].windows") to a parsed value, adding maps on the way.
 * A list item must exist. A path that cannot be followed is LB_E_ARG and changes nothing. */
LB_NODISCARD lb_status lb_yaml_set(lb_arena *a, lb_yaml *root, const char *path, lb_yaml *value);

#endif
