/* Regular expressions of tokenizer.json, in PCRE2's dialect.
 *
 * The files' dialect is Oniguruma's, with the options that the tokenizers library gives it. The pattern is parsed by
 * Oniguruma's rules, and what it means is written down again for PCRE2: every class as a set of code points by the
 * tables of unicode.h, every quantifier with the group it repeats, every option where it is in force. A construct that
 * cannot be written so that PCRE2 gives the same matches, or that is not known here, is refused by name. The table in
 * docs/tokenizers.md says which. */
#ifndef LB_MODEL_REGEX_H
#define LB_MODEL_REGEX_H

#include "base/str.h"

/* Appends to `out` what the pattern is in PCRE2's dialect, for PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE and line breaks
 * of one LF. what: the file and the component, for messages. errors  LB_E_UNSUPPORTED names the construct and where in
 * the pattern (bytes, from 0) it stands */
LB_NODISCARD lb_status lb_regex_translate(const char *what, const char *pattern, bool older, lb_str *out);

#endif
