/* The operations that a program is made of, a file each. */
#ifndef LB_MODEL_STEPS_STEPS_H
#define LB_MODEL_STEPS_STEPS_H

#include "model/attention.h"
#include "model/program.h"

extern const lb_op lb_op_embed, lb_op_norm, lb_op_linear, lb_op_add, lb_op_clamp, lb_op_split, lb_op_rope, lb_op_attend,
    lb_op_act, lb_op_gate, lb_op_experts, lb_op_head;

/* What a step that attends computes. */
lb_attend lb_attend_of(const struct lb_net_step *s);
/* What its query head adds to the score of a key at this position. */
double lb_attend_bias(const struct lb_net_step *s, int64_t head, int64_t key);

#endif
