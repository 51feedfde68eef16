/* Runs of a part, and a room for each value: so the memory that a sequence takes is known before anything runs. */
#include <string.h>

#include "model/net_impl.h"

typedef struct rooms {
    lb_build *b;
    const char *caller; /* the value that the caller owns */
    const lb_net_step *step;
    lb_value *value;
    lb_net_part *part;
    int32_t run_of[LB_BUILD_STEPS];
    lb_run run[LB_BUILD_STEPS];
    lb_buffer buffer[LB_BUILD_VALUES];
    bool rows[LB_BUILD_VALUES];     /* of a value: it needs T rows */
    int32_t until[LB_BUILD_VALUES]; /* the last step that needs the buffer */
    int64_t width[LB_BUILD_VALUES]; /* of the value that was there last */
} rooms;

static void find_runs(rooms *r) {
    for (int32_t i = 0; i < r->part->steps; i++) {
        lb_reach reach = r->step[i].op->reach;
        bool goes_on = i > 0 && reach == LB_BY_ROW && r->step[i - 1].op->reach == LB_BY_ROW;
        if (!goes_on) r->run[r->part->runs++] = (lb_run){.first = i, .reach = reach};
        r->run[r->part->runs - 1].steps++;
        r->run_of[i] = r->part->runs - 1;
    }
}

/* Read in another run than the one that writes it, or by whoever runs the part. */
static bool crosses(const rooms *r, const lb_value *v) {
    return v->last >= r->part->steps || r->run_of[v->born] != r->run_of[v->last];
}

/* May the result k of step i stand where value v stands? */
static bool takes_over(const rooms *r, int32_t i, int32_t v) {
    const lb_net_step *s = &r->step[i];
    if (v == s->into) return true;
    for (int k = 0; k < LB_STEP_OPERANDS && s->op->operands[k]; k++)
        if (s->src[k] == v) return r->value[v].last == i && (s->op->in_place & 1u << k);
    return true; /* the step does not read it */
}

/* A new version of the caller's value stays in the caller's room, unless the step still reads an old one there. */
static bool in_callers_room(const rooms *r, int32_t i, const lb_value *v) {
    if (strcmp(v->name, r->caller) != 0) return false;
    if (r->part->entering >= 0 && v->cols != r->value[r->part->entering].cols) return false;
    for (int32_t k = 0; k < r->part->values; k++)
        if (r->value[k].room == LB_ROOM_X && r->value[k].born < i && r->value[k].last >= i && !takes_over(r, i, k))
            return false;
    return true;
}

/* The value in whose place the result v of step i may stand; -1: none. */
static int32_t gives_place(const rooms *r, int32_t i, const lb_value *v) {
    const lb_net_step *s = &r->step[i];
    if (s->into >= 0) return s->into;
    for (int k = 0; k < LB_STEP_OPERANDS && s->op->operands[k]; k++) {
        const lb_value *from = s->src[k] >= 0 ? &r->value[s->src[k]] : NULL;
        if (from && from->last == i && from->cols == v->cols && (s->op->in_place & 1u << k)) return s->src[k];
    }
    return -1;
}

/* A value needs T rows where it crosses runs, or where one that does will stand in its place. */
static void find_crossing(rooms *r) {
    for (int32_t i = r->part->steps - 1; i >= 0; i--)
        for (int k = 0; k < r->step[i].results; k++) {
            int32_t d = r->step[i].dst[k], from = gives_place(r, i, &r->value[d]);
            r->rows[d] |= crosses(r, &r->value[d]);
            if (from >= 0 && r->rows[d]) r->rows[from] = true;
        }
}

static bool in_place(rooms *r, int32_t i, lb_value *v, lb_room room) {
    int32_t from = gives_place(r, i, v);
    if (from < 0 || (r->value[from].room != room && r->step[i].into < 0)) return false;
    v->room = r->value[from].room;
    v->buffer = r->value[from].buffer;
    return true;
}

/* Within a run one panel may still read what stood there while another writes: so rows must stay in their places. */
static bool free_for(const rooms *r, int32_t k, int32_t i, lb_room room, int64_t cols) {
    if (r->buffer[k].room != room || r->until[k] >= i) return false;
    return room != LB_ROOM_ROWS || r->width[k] == cols || r->run_of[r->until[k]] != r->run_of[i];
}

/* The narrowest free buffer that is wide enough, else the widest free one, made wider; else a new one. */
static int32_t free_buffer(rooms *r, int32_t i, lb_room room, int64_t cols) {
    int32_t best = -1;
    for (int32_t k = 0; k < r->part->buffers; k++) {
        if (!free_for(r, k, i, room, cols)) continue;
        int64_t have = r->buffer[k].cols, so_far = best < 0 ? -1 : r->buffer[best].cols;
        bool better = so_far < 0 || (so_far < cols ? have > so_far : have >= cols && have < so_far);
        if (better) best = k;
    }
    if (best < 0) r->buffer[best = r->part->buffers++] = (lb_buffer){room, 0};
    if (r->buffer[best].cols < cols) r->buffer[best].cols = cols;
    r->width[best] = cols;
    return best;
}

static void place(rooms *r, int32_t i, lb_value *v) {
    if (in_callers_room(r, i, v)) {
        v->room = LB_ROOM_X;
        return;
    }
    lb_room room = r->rows[v - r->value] ? LB_ROOM_ROWS : LB_ROOM_PANEL;
    if (!in_place(r, i, v, room)) {
        v->room = room;
        v->buffer = free_buffer(r, i, room, v->cols);
    }
    if (v->room != LB_ROOM_X && r->until[v->buffer] < v->last) r->until[v->buffer] = v->last;
}

static lb_status keep_lists(rooms *r) {
    lb_net_part *p = r->part;
    lb_run *run = LB_NEW(r->b->arena, lb_run, p->runs + 1);
    lb_buffer *buffer = LB_NEW(r->b->arena, lb_buffer, p->buffers + 1);
    if (!run || !buffer) return LB_E_NOMEM;
    memcpy(run, r->run, (size_t)p->runs * sizeof *run);
    memcpy(buffer, r->buffer, (size_t)p->buffers * sizeof *buffer);
    p->run = run;
    p->buffer = buffer;
    for (int32_t k = 0; k < p->buffers; k++)
        *(buffer[k].room == LB_ROOM_ROWS ? &p->row_cols : &p->panel_cols) += buffer[k].cols;
    return LB_OK;
}

lb_status lb_build_rooms(lb_build *b, const char *caller, const lb_net_step *step, lb_value *value, lb_net_part *out) {
    rooms *r = LB_NEW(b->arena, rooms, 1);
    if (!r) return LB_E_NOMEM;
    *r = (rooms){.b = b, .caller = caller, .step = step, .value = value, .part = out};
    find_runs(r);
    find_crossing(r);
    if (out->entering >= 0) value[out->entering].room = LB_ROOM_X;
    for (int32_t i = 0; i < out->steps; i++) {
        if (step[i].op->keeps_no_result) continue;
        for (int k = 0; k < step[i].results; k++) place(r, i, &value[step[i].dst[k]]);
    }
    if (strcmp(caller, "x") == 0 && b->block >= 0 && value[out->leaving].room != LB_ROOM_X)
        return lb_build_fail(b, "x",
                             "what leaves a block must be as wide as what enters it, and not made from x itself");
    return keep_lists(r);
}
