/* Inside the translation of regular expressions; included by regex*.c and their tests only. */
#ifndef LB_MODEL_REGEX_IMPL_H
#define LB_MODEL_REGEX_IMPL_H

#include "base/mem.h"
#include "model/regex.h"
#include "model/unicode.h"

/* ---- regex_set.c: sets of code points ---- */

typedef struct lb_rx_range {
    int32_t first, last;
} lb_rx_range;
/* Ranges in any order until lb_rx_set_sort. When memory is out, `failed` is set and the set stays as it was. */
typedef struct lb_rx_set {
    lb_arena *arena;
    lb_rx_range *r;
    int64_t n, cap;
    bool sorted, failed;
} lb_rx_set;
void lb_rx_set_add(lb_rx_set *s, int32_t first, int32_t last);
void lb_rx_set_join(lb_rx_set *s, const lb_rx_set *with);
void lb_rx_set_meet(lb_rx_set *s, lb_rx_set *with);
void lb_rx_set_invert(lb_rx_set *s);
void lb_rx_set_sort(lb_rx_set *s);                    /* in order, disjoint, no two touch */
bool lb_rx_set_has(const lb_rx_set *s, int32_t code); /* of a sorted set */
/* Adds all that a name within \p{...} stands for; false: no such name is known here. */
bool lb_rx_set_property(lb_rx_set *s, const char *name, size_t n);
void lb_rx_set_word(lb_rx_set *s, bool in_class); /* \w: Oniguruma has six more characters outside of [...] */
void lb_rx_set_space(lb_rx_set *s);               /* \s */
void lb_rx_set_digit(lb_rx_set *s);               /* \d */
void lb_rx_set_hex(lb_rx_set *s);                 /* \h */
/* Adds what equals a member when case is ignored, one character for one. */
void lb_rx_set_fold(lb_rx_set *s);
int32_t lb_rx_fold(int32_t code); /* the least of the characters equal to it when case is ignored */
/* Writes the set as PCRE2 reads it. categories: PCRE2's \p{..} may be used, it agrees with unicode.h. */
void lb_rx_set_write(lb_rx_set *s, bool categories, lb_str *out);

/* ---- regex_parse.c, regex_escape.c, regex_class.c: the parser ---- */

typedef struct lb_rx_name {
    const char *s;
    size_t n;
    int group;
} lb_rx_name;

enum { LB_RX_MAX_LENGTH = 8192, LB_RX_MAX_DEPTH = 100, LB_RX_MAX_GROUPS = 200, LB_RX_ENDLESS = INT32_MAX };

typedef struct lb_rx {
    const char *what, *pattern, *at, *end;
    lb_str *out;
    lb_arena *arena; /* of sets; freed with the parser */
    bool categories; /* see lb_rx_set_write */
    bool ignore_case, dot_all, extended;
    int depth, lookaround, lookbehind;
    int groups;                        /* opened so far */
    bool closed[LB_RX_MAX_GROUPS + 1]; /* a reference back may name it */
    lb_rx_name name[LB_RX_MAX_GROUPS + 1];
    int n_name;
    const char *numbered; /* where a group was named by number; NULL: nowhere */
    int32_t tail[2];      /* the last literal characters in order, folded; 0: none. What several fold into must not
                             come together here: where Oniguruma joins such strings is not modelled */
} lb_rx;

/* The construct of n bytes at `at` is refused: it is `name`, and `why`. */
LB_NODISCARD lb_status lb_rx_refuse(const lb_rx *x, const char *at, size_t n, const char *name, const char *why);
/* The character at x->at, which moves behind it. */
LB_NODISCARD lb_status lb_rx_next(lb_rx *x, int32_t *code);

/* What an escape stands for. */
typedef enum lb_rx_escape {
    LB_RX_CODE,   /* one character */
    LB_RX_SET,    /* a class; `negative`: all but it */
    LB_RX_ASSERT, /* written by PCRE2's name: \A \z \Z \G, \K */
    LB_RX_OTHER   /* \b \B \R \N \O \k, the parser's own */
} lb_rx_escape;
typedef struct lb_rx_escaped {
    lb_rx_escape kind;
    int32_t
        code; /* LB_RX_CODE: the character; LB_RX_ASSERT, LB_RX_OTHER: the letter, or a digit's first of a reference */
    bool negative;
    lb_rx_set set;
} lb_rx_escaped;
/* x->at is behind the backslash. */
LB_NODISCARD lb_status lb_rx_read_escape(lb_rx *x, bool in_class, lb_rx_escaped *out);
/* x->at is behind the [. */
LB_NODISCARD lb_status lb_rx_read_class(lb_rx *x);

#endif
