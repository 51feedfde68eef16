/* The families: one line each. */
#include "model/family.h"

#define FAMILIES(F)                                                                                                    \
    F(llama)                                                                                                           \
    F(mistral)                                                                                                         \
    F(mixtral)                                                                                                         \
    F(qwen2)                                                                                                           \
    F(qwen2_moe)                                                                                                       \
    F(qwen3)                                                                                                           \
    F(gemma)                                                                                                           \
    F(gemma2)                                                                                                          \
    F(gpt2)                                                                                                            \
    F(gpt_neox)                                                                                                        \
    F(opt)                                                                                                             \
    F(phi)                                                                                                             \
    F(phi3)                                                                                                            \
    F(mobilellm)                                                                                                       \
    F(bloom)                                                                                                           \
    F(falcon)                                                                                                          \
    F(starcoder2)                                                                                                      \
    F(cohere)                                                                                                          \
    F(olmo)                                                                                                            \
    F(olmo2)                                                                                                           \
    F(olmoe)                                                                                                           \
    F(granite)                                                                                                         \
    F(granitemoe)                                                                                                      \
    F(granitemoeshared)                                                                                                \
    F(qwen3_moe)                                                                                                       \
    F(smollm3)                                                                                                         \
    F(gemma3)                                                                                                          \
    /* the next above this line */

#define DECLARE(name) extern const lb_family lb_family_##name;
#define ADDRESS(name) &lb_family_##name,
FAMILIES(DECLARE)
const lb_family *const lb_family_table[] = {FAMILIES(ADDRESS) NULL};
