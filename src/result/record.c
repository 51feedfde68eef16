#include "result/record.h"

#include <string.h>

lb_status lb_pairs_add(lb_arena *a, lb_pairs *p, const char *key, const char *value) {
    /* Lists are short (tens of rows): one new array a row is simple and costs little. */
    lb_pair *at = LB_NEW(a, lb_pair, p->n + 1);
    char *k = lb_arena_strdup(a, key), *v = lb_arena_strdup(a, value);
    if (!at || !k || !v) return LB_E_NOMEM;
    if (p->n > 0) memcpy(at, p->at, (size_t)p->n * sizeof *at);
    at[p->n] = (lb_pair){k, v};
    p->at = at;
    p->n++;
    return LB_OK;
}

const char *lb_pairs_get(const lb_pairs *p, const char *key) {
    for (int64_t i = 0; i < p->n; i++)
        if (strcmp(p->at[i].key, key) == 0) return p->at[i].value;
    return NULL;
}

const char *lb_cell_state_text(lb_cell_state s) {
    static const char *const text[] = {"done", "failed", "refused", "not run", "missing"};
    return text[s];
}
