/* Inside the translation of regular expressions; included by regex*.c and their tests only. */
#ifndef LB_MODEL_REGEX_IMPL_H
#define LB_MODEL_REGEX_IMPL_H

#include "base/mem.h"
#include "model/tokenizer/regex.h"
#include "model/tokenizer/unicode.h"

/* How a set is written: by ranges alone; by PCRE2's categories and what they leave out; by categories that need only
 * hold for characters that are not LB_UNI_NEWER, which is shorter and faster. */
typedef enum lb_rx_spelling { LB_RX_RANGES, LB_RX_ALL, LB_RX_OLDER } lb_rx_spelling;

/* ---- regex_set.c: sets of code points ---- */

/* Ranges in any order until lb_rx_set_sort. When memory is out, `failed` is set and the set stays as it was. */
typedef struct lb_rx_set {
    lb_arena *arena;
    lb_uni_range *r;
    int64_t n, cap;
    bool sorted, failed;
} lb_rx_set;
void lb_rx_set_add(lb_rx_set *s, int32_t first, int32_t last);
void lb_rx_set_join(lb_rx_set *s, const lb_rx_set *with);
void lb_rx_set_meet(lb_rx_set *s, lb_rx_set *with);
void lb_rx_set_invert(lb_rx_set *s);
void lb_rx_set_sort(lb_rx_set *s);                    /* in order, disjoint, no two touch */
bool lb_rx_set_has(const lb_rx_set *s, int32_t code); /* of a sorted set */
/* Adds all that a name within \p{...} stands for; false: no such name is known here. in_class: within [...], where
 * Oniguruma's words have six characters less. */
bool lb_rx_set_property(lb_rx_set *s, const char *name, size_t n, bool in_class);
/* Adds what equals a member when case is ignored, one character for one. */
void lb_rx_set_fold(lb_rx_set *s);
int32_t lb_rx_fold(int32_t code); /* the least of the characters equal to it when case is ignored */
/* Writes the set as PCRE2 reads it. */
void lb_rx_set_write(lb_rx_set *s, lb_rx_spelling how, lb_str *out);

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
    lb_rx_spelling how;
    bool ignore_case, dot_all, extended;
    int depth, lookaround, lookbehind;
    bool lead, asserted;               /* all before may be empty; an assertion was among it */
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

/* A part of the output that a quantifier may follow, and how many characters it matches. */
typedef struct lb_rx_part {
    enum {
        LB_RX_NOTHING,
        LB_RX_ASSERTION,
        LB_RX_UNIT,
        LB_RX_REPEATED
    } kind;       /* LB_RX_UNIT: PCRE2 repeats it as it is */
    size_t start; /* in the output */
    int32_t min, max;
    bool any; /* it is . or \O for every character */
} lb_rx_part;

/* What stood between two ends of a group. */
typedef struct lb_rx_body {
    int32_t min, max;
    bool fixed;     /* each alternative has one length */
    bool assertion; /* nothing but one assertion: Oniguruma repeats it no more than that */
    bool any;       /* nothing but what takes any character */
} lb_rx_body;

typedef struct lb_rx_quantifier {
    int32_t low, high; /* high LB_RX_ENDLESS: no limit */
    bool interval, swapped;
    char mode; /* '?' lazy, '+' possessive, 0 greedy */
} lb_rx_quantifier;
/* Whether a quantifier is at x->at, which moves behind it. */
bool lb_rx_quantifier_here(lb_rx *x, lb_rx_quantifier *q);
LB_NODISCARD lb_status lb_rx_write_quantifier(lb_rx *x, const char *from, const lb_rx_quantifier *q, lb_rx_part *p);

/* What an escape stands for. */
typedef enum lb_rx_escape {
    LB_RX_CODE,   /* one character */
    LB_RX_SET,    /* a class; `negative`: all but it */
    LB_RX_ASSERT, /* written by PCRE2's name: \A \z \Z \K */
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
