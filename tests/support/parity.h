/* Everything that a model's family decides, computed as the product does: what transformers' model of the same files is
 * held against, from recorded numbers (tests/oracle/test_families_deep.c) or side by side (tests/parity/dump.c). */
#ifndef TESTS_SUPPORT_PARITY_H
#define TESTS_SUPPORT_PARITY_H

#include "model/model.h"
#include "quant/method.h"

typedef struct parity {
    lb_mat logits;    /* (T, vocab) by the executor */
    double loss;      /* mean NLL of the next tokens, by the trainer */
    lb_weights grads; /* d loss / d weight, in the weights' places: of every site and vector that has its own */
    lb_stats *inputs; /* (net.sites) H and tokens of what each site reads, all its users' rows; of a site that is
                         another one's nothing, H.d NULL: a table, which reads none */
} parity;

/* Token t of the sequence. */
void parity_tokens(int32_t *token, int64_t T, int64_t vocab);
lb_status parity_logits(lb_arena *a, const lb_model *m, const int32_t *token, int64_t T, lb_mat *logits);
/* m with its weights in memory. */
lb_status parity_run(lb_arena *a, const lb_model *m, const int32_t *token, int64_t T, parity *out);
/* The name in its files of a site's weight, with its expert in brackets where it is a part of a stack. */
void parity_key(const lb_model *m, int32_t site, char out[256]);

#endif
