/* x = embed token TABLE: row token[t] of the table; x = embed position TABLE: row t + offset. The scale is a float32
 * number, as the embedding that it multiplies. */
#include "model/net_impl.h"
#include "model/steps/reference.h"
#include "model/steps/steps.h"

#include <string.h>

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
                           .reference = reference};
