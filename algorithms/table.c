/* The methods, in the order that `lowbit methods` shows them. One line registers one. */
#include "quant/method.h"

extern const lb_method lb_none_method, lb_rtn_method, lb_gptq_method, lb_nf4_method, lb_hqq_method, lb_wanda_method,
    lb_low_rank_method, lb_act_method, lb_hadamard_method, lb_smoothquant_method, lb_autoround_method, lb_qat_method,
    lb_finetune_method;

/* clang-format off */
const lb_method *const lb_method_table[] = {
    &lb_none_method,
    &lb_rtn_method,
    &lb_gptq_method,
    &lb_nf4_method,
    &lb_hqq_method,
    &lb_wanda_method,
    &lb_low_rank_method,
    &lb_act_method,
    &lb_hadamard_method,
    &lb_smoothquant_method,
    &lb_autoround_method,
    &lb_qat_method,
    &lb_finetune_method,
    NULL,
};
