/* Making the numbers of an architecture, and expressions in them.
 *
 *   expression  heads*head_dim, 1/sqrt(head_dim), (block >= first) * window
 *               + - * / % with their usual order, one comparison (< <= > >= ==, which gives 1 or 0), brackets, sqrt,
 *               floor, log; names of numbers and of activations, and `block`
 *   rules       NAME = EXPRESSION; NAME ?= EXPRESSION; ...
 *               in their order; ?= only where there is no such number yet. What asks for a number by block, or for
 *               `block`, is itself a number by block. */
#ifndef LB_MODEL_NUMBERS_H
#define LB_MODEL_NUMBERS_H

#include "model/program.h"

typedef struct lb_numbering {
    lb_arena *arena;
    const char *whose; /* begins messages: the file */
    lb_number *at;
    int64_t n, room, blocks;
} lb_numbering;
lb_numbers lb_numbering_view(const lb_numbering *b);
/* A number of that name is replaced. Names and lists are not copied. */
LB_NODISCARD lb_status lb_numbering_set(lb_numbering *b, const char *name, double value);
/* The value or the default of that key. The key is copied. */
LB_NODISCARD lb_status lb_numbering_set_key(lb_numbering *b, const char *name, const char *key, double value);
LB_NODISCARD lb_status lb_numbering_set_blocks(lb_numbering *b, const char *name, const double *block);
LB_NODISCARD lb_status lb_numbering_set_list(lb_numbering *b, const char *name, const double *list, int64_t n);
/* rules NULL: none */
LB_NODISCARD lb_status lb_numbering_rules(lb_numbering *b, const char *rules);

/* In this block (-1: outside). LB_E_FORMAT names the expression and what is wrong with it. */
LB_NODISCARD lb_status lb_expression(const lb_numbers *n, const char *text, int64_t block, double *out);
/* The same, a whole number of at least 0. */
LB_NODISCARD lb_status lb_expression_count(const lb_numbers *n, const char *text, int64_t block, int64_t *out);

/* Those that architectures have in common make sense together: sizes positive and within 32-bit products, heads
 * divisible, an even number of columns to turn. LB_E_FORMAT naming the number; `whose` starts the message. */
LB_NODISCARD lb_status lb_numbers_check(const lb_numbers *n, const char *whose);

#endif
