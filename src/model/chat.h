/* The text of a row of JSON: of a conversation, its messages in one of a few written forms. */
#ifndef LB_MODEL_CHAT_H
#define LB_MODEL_CHAT_H

#include "model/rows.h"

/* Appended to `text`:
 *   plain   the field's text, or where it is a list of messages ({role, content}, as UltraChat has them) their
 * contents, with an empty line between chatml  the messages, each as <|im_start|>role, its content, <|im_end|>; its
 * special tokens are parsed as such alpaca  instruction, input and output (as Open-Platypus has them) as the prompt of
 * Alpaca and its answer where: before messages ("FILE:LINE"). */
LB_NODISCARD lb_status lb_row_text(const char *where, const json_t *row, const char *field, int chat, lb_str *text);

#endif
