/* Sequences of tokens, as a calibration has them: one after another, each as long as the others or not. */
#ifndef LB_MODEL_SEQUENCES_H
#define LB_MODEL_SEQUENCES_H

#include <stdint.h>

typedef struct lb_sequences {
    const int32_t *token; /* of all */
    int64_t n, length;    /* length: none has more tokens */
    const int64_t *start; /* (n + 1) the first token of each, and the end; NULL: all have that many */
} lb_sequences;

static inline int64_t lb_sequences_start(const lb_sequences *s, int64_t i) {
    return s->start ? s->start[i] : i * s->length;
}
static inline int64_t lb_sequences_length(const lb_sequences *s, int64_t i) {
    return s->start ? s->start[i + 1] - s->start[i] : s->length;
}
static inline int64_t lb_sequences_tokens(const lb_sequences *s) { return lb_sequences_start(s, s->n); }

#endif
