/* Rotary positions by the numbers of a step: tables of cos and sin, and turning heads by them (steps/rope.c says which
 * angles). */
#ifndef LB_MODEL_ROTARY_H
#define LB_MODEL_ROTARY_H

#include "math/mat.h"
#include "model/net.h"

/* cos and sin (length, pairs), computed in float64. */
typedef struct lb_rotary {
    float *cos, *sin;
    int64_t pairs, length;
    int64_t grown; /* what the angles hold for, where they depend on the sequence's length; 0: none are there yet */
} lb_rotary;
LB_NODISCARD lb_status lb_rotary_new(lb_arena *a, const lb_rope_spec *s, int64_t length, lb_rotary *out);
/* The table is that of a sequence of T. */
void lb_rotary_set(const lb_rope_spec *s, int64_t T, lb_rotary *r);
/* The longest sequence whose angles are those of T tokens. */
int64_t lb_rotary_reach(const lb_rope_spec *s, int64_t T);
/* Radians a position of pair i, in a sequence of T. */
double lb_rotary_frequency(const lb_rope_spec *s, int64_t T, int64_t i);
/* Turns every head (head_dim columns) of x in place, its rows at positions first, first + 1, ...; inverse: by the
 * negative angles, which is also the gradient's way back. */
void lb_rotary_turn(const lb_rope_spec *s, const lb_rotary *r, bool inverse, int64_t head_dim, int64_t first, lb_mat x);

#endif
