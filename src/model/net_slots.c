/* Every tensor of a model once, in program order: where blocks share it, in the first one. */
#include <string.h>

#include "model/net_impl.h"

typedef struct list {
    const lb_net *net;
    lb_net_slot *slot;
    int32_t n;
} list;

static void add_vector(list *x, int32_t vector) {
    if (vector >= 0 && x->net->vector[vector].same_as < 0) x->slot[x->n++] = (lb_net_slot){-1, vector};
}

static void add_site(list *x, int32_t site) {
    if (site < 0 || x->net->site[site].same_as >= 0) return;
    x->slot[x->n++] = (lb_net_slot){site, -1};
    add_vector(x, x->net->site[site].bias);
}

static void add_part(list *x, const lb_net_part *p) {
    for (int32_t i = 0; i < p->steps; i++) {
        const lb_net_step *s = &p->step[i];
        add_site(x, s->site);
        add_vector(x, s->weight);
        add_vector(x, s->bias);
        for (int64_t e = 0; e < s->n_experts; e++) add_part(x, &s->expert[e]);
    }
}

lb_status lb_build_slots(lb_build *b) {
    lb_net *n = b->net;
    list x = {.net = n, .slot = LB_NEW(b->arena, lb_net_slot, n->sites + n->vectors + 1)};
    if (!x.slot) return LB_E_NOMEM;
    add_part(&x, &n->before);
    for (int64_t i = 0; i < n->blocks; i++) {
        b->span[i].slot = x.n;
        add_part(&x, &n->block[i]);
    }
    b->span[n->blocks].slot = x.n;
    add_part(&x, &n->after);
    n->slot = x.slot;
    n->slots = x.n;
    return LB_OK;
}

const char *lb_slot_name(const lb_net *n, int32_t slot) {
    const lb_net_slot *s = &n->slot[slot];
    return s->site >= 0 ? n->site[s->site].name : n->vector[s->vector].name;
}

void lb_slot_shape(const lb_net *n, int32_t slot, int64_t *rows, int64_t *cols) {
    const lb_net_slot *s = &n->slot[slot];
    *rows = s->site >= 0 ? n->site[s->site].rows : 1;
    *cols = s->site >= 0 ? n->site[s->site].cols : n->vector[s->vector].n;
}
