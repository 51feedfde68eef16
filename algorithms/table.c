/* The methods, in the order that `lowbit methods` shows them: one line each. */
#include "quant/method.h"

#define METHODS(M)                                                                                                     \
    M(none)                                                                                                            \
    M(rtn)                                                                                                             \
    M(gptq)                                                                                                            \
    M(nf4)                                                                                                             \
    M(cast)                                                                                                            \
    M(hqq)                                                                                                             \
    M(wanda)                                                                                                           \
    M(low_rank)                                                                                                        \
    M(act)                                                                                                             \
    M(hadamard)                                                                                                        \
    M(smoothquant)                                                                                                     \
    M(autoround)                                                                                                       \
    M(qat)                                                                                                             \
    M(finetune)                                                                                                        \
    /* the next above this line */

#define DECLARE(name) extern const lb_method lb_##name##_method;
#define ADDRESS(name) &lb_##name##_method,
METHODS(DECLARE)
const lb_method *const lb_method_table[] = {METHODS(ADDRESS) NULL};
