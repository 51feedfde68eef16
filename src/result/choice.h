/* What was chosen of an option, in words: in names of cells and of rows of tables. */
#ifndef LB_RESULT_CHOICE_H
#define LB_RESULT_CHOICE_H

#include "base/str.h"

/* Between the names of calibration texts that are mixed: "a.txt + b.txt". */
#define LB_TEXTS_MIXED " + "

/* Adds " act_order" for true, " no_act_order" for false, " s1" for a seed, " on c4.txt" for calibration.text =
 * texts/c4.txt, " embedding 8 bits" for embedding.bits = 8, else " percdamp=0.1"; of a key of a section its last part.
 */
void lb_choice_add(lb_str *s, const char *key, const char *value);

#endif
