#include "result/store_task.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "result/store_fields.h"

#define NUMBER(field)                                                                                                  \
    { #field, LB_FIELD_F64, offsetof(lb_eval_row, eval.task.field), 0 }
#define OF(name, type, field)                                                                                          \
    { name, LB_FIELD_##type, offsetof(lb_eval_row, field), 0 }

static const lb_field share[] = {
    OF("items", I64, eval.task.items), NUMBER(acc), NUMBER(acc_se), NUMBER(acc_norm), NUMBER(acc_norm_se),
    OF("variant", LATER_STR, variant),
};
static const lb_field against[] = {
    OF("mcnemar_worse", I64, mcnemar.worse),
    OF("mcnemar_better", I64, mcnemar.better),
    OF("mcnemar_p", F64, mcnemar.p),
};
static const lb_field against_norm[] = {
    OF("mcnemar_worse_norm", I64, mcnemar_norm.worse),
    OF("mcnemar_better_norm", I64, mcnemar_norm.better),
    OF("mcnemar_p_norm", F64, mcnemar_norm.p),
};
#define FIELDS(rows) ((lb_fields){rows, sizeof(rows) / sizeof((rows)[0])})

static bool has_choices(const lb_eval_row *e) { return e->eval.protocol.rule == LB_RULE_CHOICE; }

static bool has_norm(const lb_eval_row *e) { return has_choices(e) && lb_question_has_norm(e->eval.protocol.question); }

/* ---- writing ---- */

static lb_status put_flags(lb_h5 *h, const char *group, const char *name, const uint8_t *v, int64_t n) {
    char path[64];
    int64_t *wide = lb_alloc((size_t)n, sizeof *wide);
    if (!wide) return LB_E_NOMEM;
    for (int64_t i = 0; i < n; i++) wide[i] = v[i];
    snprintf(path, sizeof path, "%s/%s", group, name);
    lb_status st = lb_h5_put_i64(h, path, wide, 1, &n);
    lb_free(wide);
    return st;
}

lb_status lb_task_put(lb_h5 *h, const char *group, const lb_eval_row *e) {
    const lb_task_result *t = &e->eval.task;
    char path[64];
    if (!lb_protocol_is_task(&e->eval.protocol)) return LB_OK;
    LB_TRY(lb_fields_put_attrs(h, group, FIELDS(share), e));
    if (e->has_paired) LB_TRY(lb_fields_put_attrs(h, group, FIELDS(against), e));
    if (e->has_paired && has_norm(e)) LB_TRY(lb_fields_put_attrs(h, group, FIELDS(against_norm), e));
    LB_TRY(put_flags(h, group, "item_right", t->right, t->items));
    if (has_norm(e)) LB_TRY(put_flags(h, group, "item_right_norm", t->right_norm, t->items));
    if (!has_choices(e)) return LB_OK;
    const int64_t firsts = t->items + 1;
    snprintf(path, sizeof path, "%s/choice_first", group);
    LB_TRY(lb_h5_put_i64(h, path, t->first, 1, &firsts));
    snprintf(path, sizeof path, "%s/choice_nll", group);
    return lb_h5_put_f64(h, path, t->choice_nll, 1, &t->first[t->items]);
}

/* ---- reading ---- */

static lb_status wrong_length(const char *path, int64_t have, int64_t want) {
    return lb_fail(LB_E_FORMAT, "%s has %lld values, expected %lld", path, (long long)have, (long long)want);
}

static lb_status get_flags(lb_h5 *h, lb_arena *a, const char *group, const char *name, int64_t n, uint8_t **out) {
    char path[64];
    int64_t *wide = NULL, have = 0;
    snprintf(path, sizeof path, "%s/%s", group, name);
    LB_TRY(lb_h5_get_i64(h, a, path, &wide, &have));
    if (have != n) return wrong_length(path, have, n);
    *out = LB_NEW(a, uint8_t, n);
    if (!*out) return LB_E_NOMEM;
    for (int64_t i = 0; i < n; i++) {
        if (wide[i] != 0 && wide[i] != 1)
            return lb_fail(LB_E_FORMAT, "%s: value %lld is %lld: must be 0 or 1", path, (long long)i,
                           (long long)wide[i]);
        (*out)[i] = (uint8_t)wide[i];
    }
    return LB_OK;
}

static lb_status get_choices(lb_h5 *h, lb_arena *a, const char *group, lb_task_result *t) {
    char path[64];
    int64_t have = 0;
    snprintf(path, sizeof path, "%s/choice_first", group);
    LB_TRY(lb_h5_get_i64(h, a, path, &t->first, &have));
    if (have != t->items + 1) return wrong_length(path, have, t->items + 1);
    bool grows = t->first[0] == 0;
    for (int64_t i = 0; i < t->items && grows; i++) grows = t->first[i + 1] > t->first[i];
    if (!grows) return lb_fail(LB_E_FORMAT, "%s: must grow from 0", path);
    snprintf(path, sizeof path, "%s/choice_nll", group);
    LB_TRY(lb_h5_get_f64(h, a, path, &t->choice_nll, &have));
    return have == t->first[t->items] ? LB_OK : wrong_length(path, have, t->first[t->items]);
}

lb_status lb_task_get(lb_h5 *h, lb_arena *a, const char *group, lb_eval_row *e) {
    lb_task_result *t = &e->eval.task;
    if (!lb_protocol_is_task(&e->eval.protocol)) return LB_OK;
    LB_TRY(lb_fields_get_attrs(h, a, group, FIELDS(share), e));
    if (t->items != e->eval.windows)
        return lb_fail(LB_E_FORMAT, "%s: %lld items, %lld windows", group, (long long)t->items,
                       (long long)e->eval.windows);
    if (e->has_paired) LB_TRY(lb_fields_get_attrs(h, a, group, FIELDS(against), e));
    if (e->has_paired && has_norm(e)) LB_TRY(lb_fields_get_attrs(h, a, group, FIELDS(against_norm), e));
    LB_TRY(get_flags(h, a, group, "item_right", t->items, &t->right));
    if (has_norm(e)) LB_TRY(get_flags(h, a, group, "item_right_norm", t->items, &t->right_norm));
    return has_choices(e) ? get_choices(h, a, group, t) : LB_OK;
}

/* ---- what can be true ---- */

static bool same(double x, double y) { return x == y || (isnan(x) && isnan(y)); }

static lb_status check_against(const char *where, const lb_mcnemar *m, int64_t items) {
    if (m->worse >= 0 && m->better >= 0 && m->worse <= items && m->better <= items - m->worse && m->p >= 0 && m->p <= 1)
        return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s: %lld items worse, %lld better, p %g: of %lld items that cannot be", where,
                   (long long)m->worse, (long long)m->better, m->p, (long long)items);
}

lb_status lb_task_check(const char *where, const lb_eval_row *e) {
    const lb_task_result *t = &e->eval.task;
    if (!lb_protocol_is_task(&e->eval.protocol)) return LB_OK;
    lb_task_result counted = *t;
    lb_task_count(&counted);
    if (!same(counted.acc, t->acc) || !same(counted.acc_se, t->acc_se) || !same(counted.acc_norm, t->acc_norm) ||
        !same(counted.acc_norm_se, t->acc_norm_se))
        return lb_fail(LB_E_FORMAT, "%s: accuracy %g +- %g: its items say %g +- %g", where, t->acc, t->acc_se,
                       counted.acc, counted.acc_se);
    for (int64_t i = 0; has_choices(e) && i < t->first[t->items]; i++)
        if (!isfinite(t->choice_nll[i]))
            return lb_fail(LB_E_FORMAT, "%s: choice_nll[%lld] is %g", where, (long long)i, t->choice_nll[i]);
    if (e->has_paired) LB_TRY(check_against(where, &e->mcnemar, t->items));
    return e->has_paired && has_norm(e) ? check_against(where, &e->mcnemar_norm, t->items) : LB_OK;
}
