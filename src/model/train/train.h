/* Inside of the training pass: its buffers, and how a part runs. N = batch * length rows, sequence after sequence. */
#ifndef LB_MODEL_TRAIN_TRAIN_H
#define LB_MODEL_TRAIN_TRAIN_H

#include "model/rotary.h"
#include "model/steps/train.h"
#include "model/train/plan.h"

/* Where the areas of a part are: `rows` of each place in all, of which this pass has those from `first` on. */
typedef struct lb_areas {
    float *in, *out, *kept, *pool;
    float *grad_in, *grad_out;
    float *quantized;
    int64_t rows, first;
} lb_areas;

/* Passes that run side by side: one over all rows, or one an expert. Pieces are panels, pass after pass. */
typedef struct lb_passes {
    lb_train *at;
    int64_t n;
    int64_t *first; /* (n + 1) pieces */
    float *sums;    /* (pieces, plan.sums) */
} lb_passes;

/* What an experts step's rows are: kept from the way there to the way back. R = N * top rows, expert after expert, each
 * expert's in the order of tokens. */
typedef struct lb_routed {
    int64_t top, experts, rows; /* rows: R */
    float *p;                   /* (N, experts) the router's softmax */
    int32_t *chosen;            /* (N, top) experts of a token, in order */
    float *weight;              /* (N, top) */
    int64_t *row;               /* (N, top) in the R rows */
    int32_t *token;             /* (R) */
    int64_t *first;             /* (experts + 1) of the R rows */
    float *kept, *y;            /* (R, plan.kept), (R, cols) what experts give */
} lb_routed;

/* For one experts step at a time. */
typedef struct lb_expert_room {
    float *n, *dn, *dy, *pool; /* (R, cols) thrice, (R, plan.pool) */
    float *dp;                 /* (N, experts) */
    float *dweight;            /* (R) */
    lb_passes passes;
} lb_expert_room;

/* A product dW = alpha dYᵀ X. */
typedef struct lb_weight_job {
    int32_t site;
    float alpha;
    lb_cmat dy, x;
    /* set when it runs */
    lb_mat g;
    float beta;
    int64_t first; /* tile */
} lb_weight_job;

struct lb_backward {
    lb_arena *arena;
    const lb_net *net;
    int64_t batch, length, rows, panels; /* rows: N; panels of LB_TRAIN_PANEL */
    int64_t parts;                       /* before, blocks, after; or a section of a block alone */
    const lb_net_part *const *part;      /* (parts) */
    lb_rotary *rope;                     /* (net.ropes) */
    lb_plan **plan;                      /* (parts) */
    float **x;                           /* (parts + 1) what enters each, (N, dim), NULL where nothing does; the last:
                                            what leaves a section */
    float **kept;                        /* (parts) (N, plan.kept) */
    lb_routed ***routed;                 /* (parts, steps) */
    float *pool;
    float *dx, *dx_next; /* (N, dim) gradient of what leaves a part, of what enters it */
    lb_passes one;       /* the pass over all rows */
    lb_expert_room expert;
    float *quantized, *expert_quantized; /* NULL until asked for */
    int64_t quantized_floats, expert_quantized_floats;
    lb_weight_job *job; /* the first `jobs` wait for the part's last phase */
    int64_t jobs;
    bool *written;  /* (net.sites) that gradient has a part already */
    bool *summed;   /* (net.vectors) likewise */
    bool adds;      /* gradients of vectors too are added to what is there */
    double balance; /* lb_backward_balance */

    /* the head */
    float *teacher;         /* (N, cols) what the original's head reads */
    int64_t head_rows;      /* rows whose logits exist at a time */
    float *logits, *target; /* (head_rows, vocab) of the model and of the original; the latter NULL until asked for */
    double *nll, *kl;       /* (N) */

    /* per worker */
    int workers;
    float **scratch;
    int64_t scratch_floats;
};

static inline bool lb_room_for(lb_arena *a, float **out, int64_t rows, int64_t cols) {
    *out = lb_arena_get(a, (size_t)rows, (size_t)(cols ? cols : 1) * sizeof **out);
    return *out != NULL;
}

/* Parts of a net, all but what the head needs: the lists stay the caller's. Rooms for these weights and workers; and
 * everything's place when part i has its turn. */
LB_NODISCARD lb_status lb_backward_of(lb_arena *a, const lb_net *n, const lb_net_part *const *part, int64_t parts,
                                      int64_t batch, int64_t length, lb_backward **out);
LB_NODISCARD lb_status lb_backward_room(lb_backward *b, const lb_weights *w, int workers);
/* LB_E_ARG, LB_E_UNSUPPORTED: gradients do not go through a site that stands so. */
LB_NODISCARD lb_status lb_train_check_site(const lb_net *n, const lb_weights *w, int32_t site);
void lb_backward_bind(const lb_backward *b, int64_t i);
/* Arrays for a part of so many values and steps. */
LB_NODISCARD lb_status lb_train_new(lb_arena *a, lb_backward *b, int32_t values, int32_t steps, lb_train *out);
/* Everything's place on this pass; g NULL: forward. */
void lb_train_bind(lb_train *t, const lb_net_part *part, const lb_plan *plan, const lb_areas *areas);
/* Columns of transformed and quantized inputs that a part needs with these weights: sites that read one value share one
 * where they do so alike. t not NULL: it is told where they are. */
int64_t lb_train_quantized(const lb_weights *w, const lb_net_part *part, const lb_plan *plan, lb_train *t,
                           const lb_areas *areas);
LB_NODISCARD lb_status lb_passes_forth(const lb_passes *x, lb_team *team);
LB_NODISCARD lb_status lb_passes_back(const lb_passes *x, lb_team *team);
/* Rows of all passes, panel by panel. */
typedef lb_status (*lb_panel)(const lb_train *t, const lb_rows *r, const void *ctx);
LB_NODISCARD lb_status lb_passes_panels(const lb_passes *x, lb_panel f, const void *ctx, lb_team *team);
/* Vectors of a step, whose panels are all there. */
void lb_passes_sum(const lb_passes *x, int32_t step);
/* Output tiles over the team; a site's second job adds to its first. */
LB_NODISCARD lb_status lb_weight_gradients(lb_backward *b, const lb_grads *g, lb_weight_job *job, int64_t n,
                                           lb_team *team);
/* Room for a net's experts steps. */
LB_NODISCARD lb_status lb_expert_rooms(lb_backward *b);

/* Losses of every row into nll and kl; g not NULL: the gradient of what the head reads into dh, and the head's. */
LB_NODISCARD lb_status lb_head_train(lb_backward *b, const lb_weights *w, const lb_weights *teacher, double kl_weight,
                                     const int32_t *tokens, const float *h, float *dh, const lb_grads *g,
                                     lb_team *team);

#endif
