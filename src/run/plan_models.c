/* The models of a config: what they are called, and a plan for each and for each kind of products. */
#include <string.h>

#include "run/plan.h"

/* "builtin/model" of "../data/builtin/model/", "tiny" of "x/y/tiny.gguf". */
static lb_status short_label(lb_arena *a, const char *text, const char **out) {
    char *s = lb_arena_strdup(a, text);
    if (!s) return LB_E_NOMEM;
    size_t n = strlen(s);
    while (n > 1 && s[n - 1] == '/') s[--n] = 0;
    bool file = lb_str_ends(s, ".gguf");
    if (file) s[n - strlen(".gguf")] = 0;
    char *last = strrchr(s, '/');
    *out = last ? last + 1 : s;
    if (!last || file || last == s) return LB_OK;
    *last = 0;
    char *before = strrchr(s, '/');
    const char *parent = before ? before + 1 : s;
    *last = '/';
    if (strncmp(parent, "./", 2) != 0 && strncmp(parent, "../", 3) != 0) *out = parent;
    return LB_OK;
}

lb_status lb_plan_model_labels(lb_arena *a, const lb_config *c, const char ***label) {
    const char **brief = LB_NEW(a, const char *, c->models), **out = LB_NEW(a, const char *, c->models);
    if (!brief || !out) return LB_E_NOMEM;
    for (size_t i = 0; i < c->models; i++) LB_TRY(short_label(a, c->model[i], &brief[i]));
    for (size_t i = 0; i < c->models; i++) {
        out[i] = brief[i];
        for (size_t k = 0; k < c->models; k++)
            if (k != i && strcmp(brief[k], brief[i]) == 0) out[i] = c->model[i];
    }
    *label = out;
    return LB_OK;
}

/* One model under two names would be compared with itself. */
static lb_status check_different(const lb_config *c, const lb_plans *p, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (p->at[k].model_index != p->at[i].model_index && strcmp(p->at[k].model_hash, p->at[i].model_hash) == 0)
            return lb_fail(LB_E_CONFIG, "%s: model: %s is the same model as %s (SHA-256 %s)",
                           lb_config_where(c->model_node[p->at[i].model_index]).text, p->at[i].model_text,
                           p->at[k].model_text, p->at[i].model_hash);
    return LB_OK;
}

lb_status lb_plans_open(lb_arena *a, const lb_config *c, const lb_plan_request *r, lb_team *team, lb_log *log,
                        lb_plan_look *look, void *user, lb_plans *out) {
    size_t n = c->models * c->computes;
    *out = (lb_plans){.at = LB_NEW(a, lb_plan, n)};
    if (!out->at) return LB_E_NOMEM;
    for (size_t k = 1; k < c->computes; k++) /* before anything is read; a plan says what is to be known of its own */
        LB_TRY(lb_compute_check(c->compute[k], lb_config_where(c->compute_node).text, NULL));
    for (size_t i = 0; i < n; i++) {
        lb_plan_request one = *r;
        one.model = i / c->computes;
        one.compute = i % c->computes;
        if (n > 1) one.parts = LB_HEADER;
        out->n = i + 1;
        LB_TRY(lb_plan_open(a, c, &one, team, log, &out->at[i]));
        LB_TRY(check_different(c, out, i));
        if (look) LB_TRY(look(user, &out->at[i]));
        if (n > 1) lb_plan_close(&out->at[i]);
    }
    return LB_OK;
}

void lb_plans_close(lb_plans *p) {
    for (size_t i = 0; i < p->n; i++) lb_plan_close(&p->at[i]);
    p->n = 0;
}
