/* How a run's rows are cut. A product of few rows costs more a row than one of many, and each thread has a panel's
 * values: so on one thread panels are as long as fits about 16 MiB a value; over a team, short enough that two threads,
 * or some more, end together.
 *
 * Cutting leaves every bit of a product as it is where a panel starts at a multiple of 192 rows, is at least as long,
 * and takes no other kernel than the whole would: OpenBLAS has one for products of up to a million steps. That is how
 * OpenBLAS behaves, not what it promises: tests/property/test_panels.c compares, for each of its cores. */
#include "math/blas.h"
#include "model/exec_impl.h"

static const int64_t value_bytes = (int64_t)16 << 20;
enum { UNITS_A_PIECE = 2 };

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t over(int64_t a, int64_t b) { return (a + b - 1) / b; }

static bool in_panel(const lb_net_part *p, int32_t value) {
    return value >= 0 && p->value[value].room == LB_ROOM_PANEL;
}

/* f of every value of the run that stands in a panel, maybe more than once. */
static void each_value(const lb_net_part *p, const lb_run *run, void (*f)(const lb_value *v, void *ctx), void *ctx) {
    for (int32_t i = run->first; i < run->first + run->steps; i++) {
        const lb_net_step *s = &p->step[i];
        for (int k = 0; k < LB_STEP_OPERANDS && s->op->operands[k]; k++)
            if (in_panel(p, s->src[k])) f(&p->value[s->src[k]], ctx);
        for (int k = 0; k < s->results && !s->op->keeps_no_result; k++)
            if (in_panel(p, s->dst[k])) f(&p->value[s->dst[k]], ctx);
    }
}

static void note_width(const lb_value *v, void *ctx) {
    int64_t *widest = ctx;
    *widest = most(*widest, v->cols);
}

/* Rows of which the widest value takes about 16 MiB. */
static int64_t fitting_rows(const lb_net_part *p, const lb_run *run) {
    int64_t widest = 1;
    each_value(p, run, note_width, &widest);
    return most(value_bytes / (widest * (int64_t)sizeof(float)), LB_PANEL_UNIT);
}

/* The least units a panel, so that each of the run's products stays clear of the small ones' kernel. */
static int64_t least_units(const lb_exec *e, const lb_net_part *p, const lb_run *run) {
    int64_t units = 1;
    for (int32_t i = run->first; i < run->first + run->steps; i++) {
        const lb_net_step *s = &p->step[i];
        if (s->site < 0 || s->src[0] < 0 || s->op->keeps_no_result) continue;
        const lb_site *site = &e->net->site[s->site];
        if (site->rows > 1) units = most(units, over(LB_SMALL_PRODUCT, LB_PANEL_UNIT * site->rows * site->cols));
    }
    return units;
}

lb_panels lb_panels_of(const lb_exec *e, const lb_net_part *p, const lb_run *run, int64_t T) {
    if (e->panel > 0) return (lb_panels){T, most(T / e->panel, 1), e->panel};
    int64_t units = T / LB_PANEL_UNIT, n = over(T, fitting_rows(p, run));
    if (e->team) n = most(n, 2 * over(units, 2 * UNITS_A_PIECE));
    return (lb_panels){T, most(least(n, units / least_units(e, p, run)), 1), LB_PANEL_UNIT};
}

/* Units go round; what is left over goes to the last one. */
void lb_panel_at(const lb_panels *p, int64_t i, int64_t *r0, int64_t *rows) {
    int64_t units = p->T / p->unit, each = units / p->n, longer = units % p->n;
    *r0 = (i * each + least(i, longer)) * p->unit;
    *rows = i + 1 < p->n ? (each + (i < longer)) * p->unit : p->T - *r0;
}

int64_t lb_panels_most(const lb_exec *e, const lb_net_part *p, const lb_run *run) {
    if (e->panel > 0) return least(e->length, 2 * e->panel);
    int64_t units = fitting_rows(p, run) / LB_PANEL_UNIT + 1, small = 2 * least_units(e, p, run) + 1;
    if (e->team) units = least(units, UNITS_A_PIECE + 1);
    return least(e->length, most(units, small) * LB_PANEL_UNIT);
}

typedef struct columns {
    const lb_net_part *p;
    bool used[LB_BUILD_VALUES];
} columns;

static void note_buffer(const lb_value *v, void *ctx) {
    columns *c = ctx;
    c->used[v->buffer] = true;
}

int64_t lb_panel_cols(const lb_net_part *p, const lb_run *run, int64_t *at) {
    columns c = {.p = p};
    int64_t cols = 0;
    each_value(p, run, note_buffer, &c);
    for (int32_t k = 0; k < p->buffers; k++) {
        if (at) at[k] = cols;
        if (c.used[k]) cols += p->buffer[k].cols;
    }
    return cols;
}
