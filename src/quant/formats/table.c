/* The formats that options can name. One line registers one. */
#include <string.h>

#include "quant/format.h"

extern const lb_format lb_fp8, lb_mxfp4;

/* clang-format off */
const lb_format *const lb_formats[] = {
    &lb_uniform,
    &lb_affine,
    &lb_nf4,
    &lb_fp4,
    &lb_fp8,
    &lb_mxfp4,
    NULL,
};
/* clang-format on */

const lb_format *lb_format_find(const char *name) {
    for (int i = 0; lb_formats[i]; i++)
        if (strcmp(lb_formats[i]->name, name) == 0) return lb_formats[i];
    return NULL;
}
