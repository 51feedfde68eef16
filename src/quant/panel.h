/* What a solver needs that rounds a layer column after column and takes the error of each out of the later ones (GPTQ
 * and its kin): panels of rows, the grids of their groups, and codes at their places. Which error goes where is the
 * solver's business.
 *
 * Rows know nothing of each other: a piece of work is a panel. It stands on its side, LB_PANEL_ROWS numbers a column,
 * so that all its rows take each step together; the last panel of a layer may have fewer rows, the other lanes hold 0.
 * `p` counts positions in solving order, `col` columns of W. Float64 but for the grid, whose float32 order of
 * operations decides codes. */
#ifndef LB_QUANT_PANEL_H
#define LB_QUANT_PANEL_H

#include "quant/method.h"

enum { LB_PANEL_ROWS = 32 };

typedef struct lb_panel {
    int64_t r0, n;       /* rows [r0, r0 + n) of the layer */
    double *W;           /* (cols, LB_PANEL_ROWS) in solving order; the solver keeps it up to date by blocks */
    double *Err;         /* (block, LB_PANEL_ROWS) the solver's: errors of the block's columns */
    double *w1;          /* (block, LB_PANEL_ROWS) the block, with the updates of its earlier columns */
    double *fresh;       /* (group, LB_PANEL_ROWS) the solver's, with `refits`: what a group is fitted on */
    float *scale, *zero; /* (groups, LB_PANEL_ROWS) as fitted so far */
    float *x;            /* (cols) what a grid is fitted on */
} lb_panel;

typedef struct lb_panels {
    const lb_layer_in *in;
    lb_layer *out; /* of the storage below: codes and grids are written here */
    lb_storage storage;
    const uint8_t *mask; /* of the layer so far, or NULL: what it leaves out is no part of a grid, and becomes 0 */
    const int32_t *perm; /* (cols) position p holds column perm[p] */
    const bool *dead;    /* (cols) columns that are 0, whatever W says */
    bool clip_search, static_groups; /* groups are runs of columns, fitted before anything is solved */
    bool refits;                     /* the solver needs lb_panel.fresh */
    int64_t block;                   /* columns */
    /* From lb_panels_new: */
    lb_encode_column *encode;
    int64_t rows, cols, group, groups;
    lb_panel *panel; /* one a thread */
} lb_panels;

/* The fields before `encode` are set: memory for a panel a thread, from in->scratch. */
LB_NODISCARD lb_status lb_panels_new(lb_panels *s);
/* Bytes of it. */
double lb_panels_bytes(const lb_storage *s, int64_t cols, int64_t block, bool refits, int threads);
/* Fits what is fitted first, then every panel: loads it and hands it to `solve`, on the team. */
typedef lb_status lb_panel_solve(void *ctx, lb_panel *k);
LB_NODISCARD lb_status lb_panels_run(lb_panels *s, lb_panel_solve *solve, void *ctx);
/* Does a group start at position p that is yet to be fitted? */
static inline bool lb_panels_reached(const lb_panels *s, int64_t p) {
    return s->storage.group > 0 && !s->static_groups && p % s->group == 0;
}
/* Fits it on w (n, LB_PANEL_ROWS), what its n positions stand at. */
LB_NODISCARD lb_status lb_panel_fit(lb_panels *s, lb_panel *k, int64_t p, int64_t n, const double *w);
/* Position p, which stands at w (LB_PANEL_ROWS): codes into the layer, and err = (w - its value) / d. */
LB_NODISCARD lb_status lb_panel_round(lb_panels *s, const lb_panel *k, int64_t p, const double *w, double d,
                                      double *err);

#endif
