/* Inside of net.h: what is being built. */
#ifndef LB_MODEL_NET_IMPL_H
#define LB_MODEL_NET_IMPL_H

#include "model/net.h"

enum { LB_BUILD_STEPS = 96, LB_BUILD_VALUES = 128, LB_ROPE_WANTED = -2 }; /* a shape rule asks for a rotary table */

typedef struct lb_build {
    lb_arena *arena;
    lb_net *net; /* holds the counts */
    const lb_program *program;
    const lb_net_shapes *shapes;
    int64_t block, expert;
    lb_site *site;
    lb_net_input *input;
    lb_vector *vector;
    lb_rope_spec *rope;
    int32_t room_of_site, room_of_input, room_of_vector;
    int32_t part_site; /* the first site of this part */
    lb_net_span *span; /* (blocks + 1) */
    lb_net_step step[LB_BUILD_STEPS];
    lb_value value[LB_BUILD_VALUES];
    int32_t steps, values;
} lb_build;

LB_NODISCARD lb_status lb_build_fail(const lb_build *b, const char *text, const char *why);
/* The lists that `own` made longer are b's again. */
static inline void lb_build_lists_back(lb_build *b, const lb_build *own) {
    b->site = own->site;
    b->input = own->input;
    b->vector = own->vector;
    b->rope = own->rope;
    b->room_of_site = own->room_of_site;
    b->room_of_input = own->room_of_input;
    b->room_of_vector = own->room_of_vector;
}
/* Of a rope step, whose dims and pairs are args: the table's numbers, found or made (net_rope.c). */
LB_NODISCARD lb_status lb_build_rope(lb_build *b, const char *text, lb_net_step *s);
/* The list of tensors (net_slots.c). */
LB_NODISCARD lb_status lb_build_slots(lb_build *b);
/* Runs, and where each value lives (net_rooms.c). */
LB_NODISCARD lb_status lb_build_rooms(lb_build *b, const char *caller, const lb_net_step *step, lb_value *value,
                                      lb_net_part *out);
/* Sections of a block whose rooms are known (net_sections.c). */
LB_NODISCARD lb_status lb_build_sections(lb_build *b, lb_net_part *p);

#endif
