/* Libraries that are loaded when something is first asked of them, not with the program. */
#ifndef LB_MATH_LIBRARY_H
#define LB_MATH_LIBRARY_H

#include "base/status.h"

/* A function of the library, and where its pointer goes in the table. */
typedef struct lb_symbol {
    const char *name;
    size_t offset;
    bool optional; /* NULL where there is none */
} lb_symbol;

/* so: its file, as the loader looks for it; what: its name, for messages. table: written when all were found.
 * errors  LB_E_NOMEM; LB_E_UNSUPPORTED: not installed, or another library than was expected */
LB_NODISCARD lb_status lb_library_load(const char *so, const char *what, const lb_symbol *symbol, size_t n,
                                       void *table);

#endif
