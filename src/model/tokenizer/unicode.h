/* What kind of character each is to the tokenizers library (Unicode 16): the same on every system, whatever version its
 * Unicode libraries have. */
#ifndef LB_MODEL_UNICODE_H
#define LB_MODEL_UNICODE_H

#include <stdbool.h>
#include <stdint.h>

#define LB_UNI_MAX 0x10FFFF

/* General categories, in this order; a set of them is a mask of bits. */
typedef enum lb_uni_category {
    LB_UNI_LU,
    LB_UNI_LL,
    LB_UNI_LT,
    LB_UNI_LM,
    LB_UNI_LO,
    LB_UNI_MN,
    LB_UNI_MC,
    LB_UNI_ME,
    LB_UNI_ND,
    LB_UNI_NL,
    LB_UNI_NO,
    LB_UNI_PC,
    LB_UNI_PD,
    LB_UNI_PS,
    LB_UNI_PE,
    LB_UNI_PI,
    LB_UNI_PF,
    LB_UNI_PO,
    LB_UNI_SM,
    LB_UNI_SC,
    LB_UNI_SK,
    LB_UNI_SO,
    LB_UNI_ZS,
    LB_UNI_ZL,
    LB_UNI_ZP,
    LB_UNI_CC,
    LB_UNI_CF,
    LB_UNI_CS,
    LB_UNI_CO,
    LB_UNI_CN,
    LB_UNI_N_CATEGORIES
} lb_uni_category;
#define LB_UNI_L   0x1FU
#define LB_UNI_M   (7U << LB_UNI_MN)
#define LB_UNI_N   (7U << LB_UNI_ND)
#define LB_UNI_P   (0x7FU << LB_UNI_PC)
#define LB_UNI_S   (0xFU << LB_UNI_SM)
#define LB_UNI_Z   (7U << LB_UNI_ZS)
#define LB_UNI_C   (0x1FU << LB_UNI_CC)
#define LB_UNI_ALL ((1U << LB_UNI_N_CATEGORIES) - 1)

enum {
    LB_UNI_ALPHABETIC = 1,
    LB_UNI_LOWERCASE = 2,
    LB_UNI_UPPERCASE = 4,
    LB_UNI_NEWER = 8 /* not in this category, or not assigned, before Unicode 16 */
};

typedef struct lb_uni_run {
    int32_t first, last;
    lb_uni_category category;
    int script;     /* row of lb_uni_script */
    unsigned flags; /* LB_UNI_ALPHABETIC... */
} lb_uni_run;
/* Run i of characters that are alike; runs cover all code points in order. */
lb_uni_run lb_uni_run_at(int i);
lb_uni_run lb_uni_run_of(int32_t code);
lb_uni_category lb_uni_category_of(int32_t code);

typedef struct lb_uni_range {
    int32_t first, last;
} lb_uni_range;

/* unicode_table.c */
extern const uint32_t lb_uni_kind[], lb_uni_packed[];
extern const int lb_uni_n_run;
extern const lb_uni_range lb_uni_newer[]; /* the characters that are LB_UNI_NEWER */
extern const int lb_uni_n_newer;
typedef struct lb_uni_moved_one {
    int32_t code;
    lb_uni_category from;
} lb_uni_moved_one;
extern const lb_uni_moved_one lb_uni_moved[]; /* those of them that were in another category before */
extern const int lb_uni_n_moved;
extern const char *const lb_uni_script[][3]; /* its names in small letters, the long one first; NULL: no more */
extern const int lb_uni_n_script;

/* Every step-th character from first to last equals, when case is ignored, the one at + delta, the least of its kin. */
typedef struct lb_uni_fold_run {
    int32_t first, last, step, delta;
} lb_uni_fold_run;
extern const lb_uni_fold_run lb_uni_fold[];
extern const int lb_uni_n_fold;
/* A character that equals two or three when case is ignored (each the least of its kin, 0: no more). */
typedef struct lb_uni_several {
    int32_t code, to[3];
} lb_uni_several;
extern const lb_uni_several lb_uni_folds_to_several[];
extern const int lb_uni_n_several;

/* char_sets.c */
extern const lb_uni_range lb_uni_active[];      /* what NFC, NFD, NFKC and NFKD may change */
extern const lb_uni_range lb_uni_accent[];      /* what StripAccents drops */
extern const lb_uni_range lb_uni_punctuation[]; /* Punctuation */
extern const lb_uni_range lb_uni_number[];      /* Digits has them beside N */
extern const int lb_uni_n_active, lb_uni_n_accent, lb_uni_n_punctuation, lb_uni_n_number;
extern const lb_uni_fold_run lb_uni_lower[]; /* Lowercase; U+0130 alone becomes two characters */
extern const int lb_uni_n_lower;
bool lb_uni_in(const lb_uni_range *ranges, int n, int32_t code);
int32_t lb_uni_to_lower(int32_t code);

#endif
