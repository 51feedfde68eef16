/* x = embed token TABLE: row token[t] of the table; x = embed position TABLE: row t + offset. The scale is a float32
 * number, as the embedding that it multiplies. */
#include "model/exec_impl.h"
#include "model/steps/reference.h"
#include "model/steps/steps.h"
#include "model/steps/train.h"

#include <string.h>

#include "model/weights.h"

static lb_status reference(lb_reference *r, const lb_step *s) {
    lb_ref_param table;
    double scale, offset, *y;
    bool by_token = strcmp(s->operand[0], "token") == 0;
    LB_TRY(lb_ref_param_of(r, s, 1, &table));
    LB_TRY(lb_ref_arg(r, s, 0, &scale));
    LB_TRY(lb_ref_arg(r, s, 1, &offset));
    if (!table.W.d) return lb_ref_fail(r, s, "there is no such table");
    LB_TRY(lb_ref_new(r, table.W.cols, &y));
    for (int64_t t = 0; t < r->T; t++) {
        int64_t row = by_token ? r->token[t] : t + (int64_t)offset;
        if (row < 0 || row >= table.W.rows) return lb_ref_fail(r, s, "a row that the table does not have");
        for (int64_t i = 0; i < table.W.cols; i++)
            y[t * table.W.cols + i] = (double)table.W.d[row * table.W.ld + i] * (double)(float)scale;
    }
    return lb_ref_write(r, s, 0, y, table.W.cols);
}

enum { COLS = 32 }; /* of a piece of the table's gradient */

/* Which row of its table a row of the batch reads. */
static int64_t row_of(const lb_train *t, const lb_net_step *s, int64_t r) {
    return s->token ? t->tokens[r] : r % lb_train_length(t) + (int64_t)s->arg[1];
}

static lb_status train(const lb_train *t, const lb_net_step *s, const lb_rows *r) {
    lb_share y = lb_train_out(t, s, r);
    lb_cmat table = t->w->site[s->site].W;
    for (int64_t i = 0; i < y.to.rows; i++) {
        int64_t row = row_of(t, s, r->first + i);
        if (row < 0 || row >= table.rows)
            return lb_fail(LB_E_ARG, "step '%s': row %lld: the table has %lld", s->text, (long long)row,
                           (long long)table.rows);
        lb_share_times(&y, i, (float)s->arg[0], table.d + row * table.ld);
    }
    return LB_OK;
}

typedef struct table_job {
    const lb_train *t;
    const lb_net_step *s;
    lb_mat g;
} table_job;

/* Some columns of the table's gradient: rows add up in order. */
static lb_status table_piece(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const table_job *j = ctx;
    const float *dy = j->t->grad[j->s->dst[0]];
    int64_t first = piece * COLS, n = lb_least(COLS, j->g.cols - first);
    float scale = (float)j->s->arg[0];
    for (int64_t r = 0; r < j->t->rows; r++) {
        float *to = j->g.d + row_of(j->t, j->s, r) * j->g.ld + first;
        const float *from = dy + r * j->g.cols + first;
        for (int64_t i = 0; i < n; i++) to[i] += scale * from[i];
    }
    return LB_OK;
}

static lb_status back_all(const lb_train *t, const lb_net_step *s, lb_team *team) {
    bool add;
    lb_mat g = lb_train_site(t, s->site, &add);
    if (!g.d) return LB_OK;
    for (int64_t r = 0; r < g.rows && !add; r++) memset(g.d + r * g.ld, 0, (size_t)g.cols * sizeof *g.d);
    return lb_train_for(team, lb_tiles(g.cols, COLS), table_piece, &(table_job){t, s, g});
}

static lb_status find_row(const lb_exec_at *x, const lb_net_step *s, int64_t t, int64_t *row) {
    int64_t rows = x->e->net->site[s->site].rows, position = lb_exec_past(x->e) + t;
    *row = s->token ? x->token[t] : position + (int64_t)s->arg[1];
    if (*row >= 0 && *row < rows) return LB_OK;
    if (s->token)
        return lb_fail(LB_E_ARG, "token %lld is %lld: must be in [0, %lld)", (long long)t, (long long)*row,
                       (long long)rows);
    return lb_fail(LB_E_ARG, "position %lld: the model knows %lld positions", (long long)position,
                   (long long)(rows - (int64_t)s->arg[1]));
}

static lb_status forward(lb_exec_at *x, const lb_net_step *s, int64_t r0, int64_t rows) {
    const lb_linop *table = &x->w->site[s->site];
    lb_mat to = lb_exec_result(x, s, r0, rows);
    float scale = (float)s->arg[0];
    for (int64_t t = 0; t < rows; t++) {
        int64_t row;
        LB_TRY(find_row(x, s, r0 + t, &row));
        float *y = to.d + t * to.ld, *at = lb_exec_row(x, s, y);
        lb_cmat from;
        LB_TRY(lb_rows_get(table->W, &table->from, row, 1, at, &from));
        for (int64_t i = 0; i < to.cols; i++) at[i] = from.d[i] * scale;
        lb_exec_row_done(x, s, y, to.cols);
    }
    return LB_OK;
}

static const char *shape(const lb_shaping *s, lb_net_step *step, int64_t cols[LB_STEP_RESULTS]) {
    (void)step;
    cols[0] = s->width;
    return NULL;
}

const lb_op lb_op_embed = {.name = "embed",
                           .operands = "te",
                           .results = 1,
                           .arg = {{"scale", NULL, "1"}, {"offset", NULL, "0"}},
                           .shape = shape,
                           .forward = forward,
                           .train = train,
                           .back_all = back_all,
                           .reference = reference};
