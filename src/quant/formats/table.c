/* The formats that options can name: one line each. */
#include <string.h>

#include "quant/format.h"

#define FORMATS(F)                                                                                                     \
    F(uniform)                                                                                                         \
    F(affine)                                                                                                          \
    F(nf4)                                                                                                             \
    F(fp4)                                                                                                             \
    F(fp8)                                                                                                             \
    F(mxfp4)                                                                                                           \
    /* the next above this line */

#define DECLARE(name) extern const lb_format lb_##name;
#define ADDRESS(name) &lb_##name,
FORMATS(DECLARE)
const lb_format *const lb_formats[] = {FORMATS(ADDRESS) NULL};

const lb_format *lb_format_find(const char *name) {
    for (int i = 0; lb_formats[i]; i++)
        if (strcmp(lb_formats[i]->name, name) == 0) return lb_formats[i];
    return NULL;
}
