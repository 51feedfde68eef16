/* The axes of a config: options, each with the values it takes. */
#include <string.h>

#include "run/config_impl.h"

lb_status lb_config_try_everywhere(lb_config_reader *r, const char *name, const lb_yaml *v, bool cell_options,
                                   bool *has) {
    lb_status last = LB_OK;
    bool fits = false;
    *has = false;
    for (size_t i = 0; i < r->methods && !fits; i++) {
        const lb_method *m = r->method[i];
        const lb_options *t = lb_config_table_of(m, name);
        if (!t || (t == &lb_config_cell_table && !cell_options)) continue;
        *has = true;
        last = lb_config_try_value(r, m, t, name, v);
        if (last == LB_E_NOMEM) return last;
        fits = last == LB_OK;
    }
    return fits || !*has ? LB_OK : last;
}

lb_status lb_config_read_axes(lb_config_reader *r, const lb_yaml *n) {
    if (!n) return LB_OK;
    if (n->kind != LB_YAML_MAP)
        return lb_fail(LB_E_CONFIG, "%s: axes: must be a map from options to lists", lb_config_where(n).text);
    r->c->axis = LB_NEW(r->a, lb_axis, n->count + 1);
    if (!r->c->axis) return LB_E_NOMEM;
    for (size_t i = 0; i < n->count; i++) {
        lb_axis *ax = &r->c->axis[r->c->axes++];
        LB_TRY(lb_config_read_values(r, n->item[i], "axes", ax));
        for (size_t k = 0; k < ax->n; k++) {
            bool has = false;
            LB_TRY(lb_config_try_everywhere(r, ax->name, ax->value[k], true, &has));
            if (has) continue;
            lb_config_names known = {0};
            lb_config_names_of_entries(r, &known);
            lb_config_names_add_table(&known, &lb_config_cell_table);
            const char *near = lb_str_nearest(ax->name, known.at, known.n);
            if (near && strcmp(near, ax->name) != 0)
                return lb_fail(LB_E_CONFIG,
                               "%s: axis '%s': no method of this config has that option: did you mean "
                               "'%s'?",
                               lb_config_where(ax->node).text, ax->name, near);
            return lb_fail(LB_E_CONFIG, "%s: axis '%s': no method of this config has that option",
                           lb_config_where(ax->node).text, ax->name);
        }
    }
    return LB_OK;
}
