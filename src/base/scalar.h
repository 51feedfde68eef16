/* Plain scalars by the core schema of YAML 1.2 (YAML 1.2.2, 10.3.2), and what YAML 1.1 would make of the same text. */
#ifndef LB_BASE_SCALAR_H
#define LB_BASE_SCALAR_H

#include <stdint.h>

#include "base/status.h"

bool lb_scalar_null(const char *s); /* "", ~, null, Null, NULL */
/* true, True, TRUE, false, False, FALSE. LB_E_ARG: anything else. */
LB_NODISCARD lb_status lb_scalar_bool(const char *s, bool *out);
/* Decimal with a sign or without, 0o17, 0x1F. LB_E_ARG: anything else, or beyond 64 bits. */
LB_NODISCARD lb_status lb_scalar_i64(const char *s, int64_t *out);
/* The same, decimals as lb_parse_f64 takes them, .inf and .nan. */
LB_NODISCARD lb_status lb_scalar_f64(const char *s, double *out);
/* What YAML 1.1 (yaml.org/type: bool, int, float, value, merge), and so most readers in Python, takes for something
 * else than 1.2 does. Not among them is what 1.1 takes for text and 1.2 for a number, as 1e3: whoever wants a number
 * gets one, whoever wants text the text; nor a date, whose text is the same. number: one is wanted, so that a leading
 * zero counts, which both take for a number and a text keeps. */
bool lb_scalar_differs(const char *s, bool number);
/* LB_E_CONFIG with how to write it, if it differs. */
LB_NODISCARD lb_status lb_scalar_check(const char *s, bool number);

#endif
