/* The operations: one line each. */
#include "model/steps/steps.h"

const lb_op *const lb_ops[] = {&lb_op_embed,   &lb_op_norm, &lb_op_linear, &lb_op_add, &lb_op_clamp,
                               &lb_op_split,   &lb_op_rope, &lb_op_attend, &lb_op_act, &lb_op_gate,
                               &lb_op_experts, &lb_op_head, NULL};
