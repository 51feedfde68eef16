/* Between the parser (json_parse.c) and the typed members (json.c): values that jansson has no form for. */
#ifndef LB_IO_JSON_FORMS_H
#define LB_IO_JSON_FORMS_H

#include "base/mem.h"
#include "base/str.h"
#include "io/json.h"

/* The value of a number that lb_json_odd gives: an integer beyond int64 may be finite. */
double lb_json_odd_value(const char *odd);
/* UTF-8 through and through: no NUL that was in it, no half of a surrogate pair, no number. */
bool lb_json_valid_text(const char *s, size_t n);

#endif
