/* How the rows of a text are read: as a config or flags say; where these say nothing as its source says of itself; and
 * of an evaluation as its protocol has it. */
#ifndef LB_RUN_TEXT_ROWS_H
#define LB_RUN_TEXT_ROWS_H

#include "model/corpus.h"
#include "result/quality.h"
#include "run/config.h"
#include "run/sources.h"

#define LB_JOIN_AUTO   "auto" /* lb_rows_config.join: nothing is said */
#define LB_FIELD_USUAL "text"

/* What *rows leaves open as the source has it (NULL: a path has none), but for what the protocol fixes (NULL: none). */
void lb_text_rows_take(const lb_source *s, const lb_protocol *p, lb_rows_config *rows);

lb_row_spec lb_text_rows_spec(const lb_rows_config *rows);
bool lb_text_rows_say_join(const lb_rows_config *rows);

/* LB_E_CONFIG: a join is asked for, and the text at `path` is one piece. */
LB_NODISCARD lb_status lb_text_rows_check(const char *text, const char *path, const lb_rows_config *rows);
/* The same of a text that is evaluated by p, with what comes between its rows (*join NULL: each is for itself);
 * rows->first becomes what p says. Warns of a text that is one where p has a rule for rows. LB_E_CONFIG: they say
 * otherwise than p; or it takes nothing but rows. */
LB_NODISCARD lb_status lb_text_rows_scored(const char *text, const char *path, const lb_protocol *p,
                                           lb_rows_config *rows, lb_log *log, const char **join);

/* The tokens of a protocol that draws them, instead of none: its rows are not needed any more. */
LB_NODISCARD lb_status lb_text_rows_draw(const lb_protocol *p, lb_corpus *c);

#endif
