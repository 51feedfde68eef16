/* Shared by yaml.c (parsing) and yaml_tree.c (changing a tree). */
#ifndef LB_IO_YAML_TREE_H
#define LB_IO_YAML_TREE_H

#include "io/yaml.h"

/* Adds an item to a list or map; for a map its key is set. Room doubles, so n items take O(n). */
LB_NODISCARD lb_status lb_yaml_append(lb_arena *a, lb_yaml *parent, lb_yaml *item);

#endif
