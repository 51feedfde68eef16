/* Inside of exec.h: what a step sees of a run. */
#ifndef LB_MODEL_EXEC_IMPL_H
#define LB_MODEL_EXEC_IMPL_H

#include "model/attention.h"
#include "model/exec.h"
#include "model/linop.h"
#include "model/net_impl.h"
#include "model/rotary.h"

/* What one thread needs. */
typedef struct lb_desk {
    float *panel;       /* the values of a panel */
    float *row;         /* a row of a result that is to be added */
    lb_linop_room room; /* inputs as products read them */
    lb_attention attention;
} lb_desk;

/* A part of the rows that are routed to an expert. */
typedef struct lb_expert_piece {
    int32_t expert;
    int64_t r0, rows; /* among that expert's */
} lb_expert_piece;
typedef struct lb_routing {
    float *weight;         /* (length, experts) of the router; 0: not routed there */
    bool *kept;            /* (experts) */
    int64_t *first;        /* (experts + 1) of an expert's rows, among all that are routed */
    int32_t *row;          /* (length * experts) the tokens of each expert, ascending */
    float *gathered, *out; /* (length, cols), (length, an expert's T-row values), of some experts at a time */
    lb_expert_piece *piece;
} lb_routing;

/* What a session keeps (session.h), and how many tokens came before those of this run. */
typedef struct lb_past_heads {
    const lb_net_step *step; /* that attends */
    float *k, *v;            /* (kv_heads, most, head_dim), keys as they are after their rotation */
} lb_past_heads;
typedef struct lb_past {
    int64_t tokens, most;
    lb_past_heads *heads; /* (n) */
    int64_t n;
    float *score; /* (threads, most) */
} lb_past;

struct lb_exec {
    const lb_net *net;
    lb_team *team;
    const lb_past *past; /* NULL: each run is of a whole sequence */
    int64_t length;
    int64_t panel;     /* rows a panel; 0: as lb_panels_of finds right */
    float *rows;       /* values that take T rows */
    lb_mat spare;      /* (length, dim): x, where the caller's is to stay */
    lb_rotary *rotary; /* (net.ropes) */
    lb_routing routing;
    lb_desk *desk; /* (threads) */
    int threads;
    size_t half; /* numbers of a desk's rounded input */
};
/* With panels of `panel` rows, 0: of what shapes say. Tests ask for short ones. */
LB_NODISCARD lb_status lb_exec_new_panel(lb_arena *a, const lb_net *n, int64_t length, int64_t panel, lb_team *team,
                                         lb_exec **out);

/* Where a run is: in a part of the net, for a sequence (or an expert's rows of it), on a panel of it. */
typedef struct lb_exec_at {
    lb_exec *e;
    const lb_weights *w;
    const lb_net_part *part;
    lb_mat x;             /* the value that the caller owns */
    lb_mat h;             /* what the head reads goes there */
    const int32_t *token; /* (T), before the blocks */
    int64_t T;
    float *rows;     /* values that take T rows */
    lb_capture *cap; /* or NULL */
    int32_t from;    /* the first step that is run */
    int32_t stop;    /* the first after it that is not run, but for taking its input */
    lb_desk *desk;
    int64_t panel_first; /* row */
    int32_t prepared;    /* the value that is ready in `input`; -1: none */
    lb_linop reader;     /* for this one */
    lb_linop_input input;
    int64_t row_at[LB_BUILD_VALUES], panel_at[LB_BUILD_VALUES]; /* of a buffer, in floats */
} lb_exec_at;

/* Rows [r0, r0 + rows) of a value. */
lb_mat lb_exec_value(const lb_exec_at *x, int32_t value, int64_t r0, int64_t rows);
/* Those of operand k, and of the step's first result. */
lb_mat lb_exec_operand(const lb_exec_at *x, const lb_net_step *s, int k, int64_t r0, int64_t rows);
lb_mat lb_exec_result(const lb_exec_at *x, const lb_net_step *s, int64_t r0, int64_t rows);
/* Where a row of the result is to be made, and afterwards: it is added to y, if the step adds. */
float *lb_exec_row(const lb_exec_at *x, const lb_net_step *s, float *y);
void lb_exec_row_done(const lb_exec_at *x, const lb_net_step *s, float *y, int64_t cols);
/* The numbers of vector `id`, or NULL. */
static inline const float *lb_exec_vector(const lb_exec_at *x, int32_t id) { return id < 0 ? NULL : x->w->vector[id]; }
/* y (rows, outputs) = mult (operand 0 Wᵀ + b) of the step's site, or +=. */
LB_NODISCARD lb_status lb_exec_product(lb_exec_at *x, const lb_net_step *s, int64_t r0, int64_t rows, float mult,
                                       bool add, lb_mat y);
/* The rows of an expert's part, in the caller's thread. x->desk is set. */
LB_NODISCARD lb_status lb_exec_rows(const lb_exec_at *x, const lb_run *run, int64_t r0, int64_t rows);
/* Before a part is run for T rows: where its T-row values are. */
void lb_exec_place(lb_exec_at *x);

/* Tokens before row 0. */
static inline int64_t lb_exec_past(const lb_exec *e) { return e->past ? e->past->tokens : 0; }
/* session_attend.c: the rows' keys and values kept; attention to all that are kept and to the rows', where tokens came
 * before. */
void lb_past_keep(const lb_exec_at *x, const lb_net_step *s, lb_cmat k, lb_cmat v);
LB_NODISCARD lb_status lb_past_attend(const lb_exec_at *x, const lb_net_step *s, lb_cmat q, lb_mat out);
/* Is it one for lb_product_few? */
bool lb_past_multiplies(const lb_exec *e, const lb_linop *op, int64_t rows);

/* Panels of a run: `n` of them, multiples of LB_PANEL_UNIT rows but for the last one, which is at least as long. */
enum { LB_PANEL_UNIT = 192 };
typedef struct lb_panels {
    int64_t T, n;
    int64_t unit;
} lb_panels;
lb_panels lb_panels_of(const lb_exec *e, const lb_net_part *p, const lb_run *run, int64_t T);
void lb_panel_at(const lb_panels *p, int64_t i, int64_t *r0, int64_t *rows);
/* Rows of the longest that there can be. */
int64_t lb_panels_most(const lb_exec *e, const lb_net_part *p, const lb_run *run);
/* Floats a row of the panel's values in a run; at (part.buffers), where not NULL: floats a row before each. */
int64_t lb_panel_cols(const lb_net_part *p, const lb_run *run, int64_t *at);

#endif
