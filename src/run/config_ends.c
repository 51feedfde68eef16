/* `embedding` and `head`: a method and its options for what is in no block. */
#include <string.h>

#include "base/scalar.h"
#include "run/config_impl.h"

static lb_status not_an_end(const lb_yaml *n, const char *which, const lb_method *m, const char *why) {
    return lb_fail(LB_E_CONFIG, "%s: %s: method %s %s", lb_config_where(n).text, which, m->name, why);
}

/* One that makes a layer by itself, and of it alone. */
static lb_status check_method(const lb_yaml *n, const char *which, const char *flag, const lb_method *m) {
    if (!m)
        return lb_fail(LB_E_CONFIG, "%s: %s: method none: %s: false leaves it as it is", lb_config_where(n).text, which,
                       flag);
    if (m->model) return not_an_end(n, which, m, "works on the whole network");
    if (m->needs & LB_PRESERVES) return not_an_end(n, which, m, "prepares a model and compresses nothing");
    if (!m->layer || m->block) return not_an_end(n, which, m, "makes the layers of blocks, and that is none");
    return LB_OK;
}

/* "quantize_head: false" beside a map that says how. */
static lb_status check_flag(const lb_yaml *map, const char *which, const char *flag) {
    const lb_yaml *n = lb_yaml_get(map, flag);
    bool on = true;
    if (!n || n->kind != LB_YAML_SCALAR || n->quoted) return LB_OK;
    if (lb_scalar_bool(n->text, &on) != LB_OK) return LB_OK; /* said where it is read */
    if (on) return LB_OK;
    return lb_fail(LB_E_CONFIG, "%s: %s: false, and %s says how it is quantized", lb_config_where(n).text, flag, which);
}

lb_status lb_config_read_end(lb_config_reader *r, const lb_yaml *map, const char *which, const char *flag,
                             lb_end *out) {
    const lb_yaml *n = lb_yaml_get(map, which);
    const lb_method *m = NULL;
    if (!n) return LB_OK;
    if (n->kind != LB_YAML_MAP)
        return lb_fail(LB_E_CONFIG, "%s: %s: must be a map with method and its options, not %s",
                       lb_config_where(n).text, which, lb_config_kind_name(n));
    LB_TRY(lb_config_read_method(lb_yaml_get(n, "method"), n, which, &m));
    LB_TRY(check_method(n, which, flag, m));
    LB_TRY(check_flag(map, which, flag));
    const char *whose = lb_arena_printf(r->a, "method %s", m->name), *in = lb_arena_printf(r->a, " in %s", which);
    void *opts = lb_arena_get(r->a, 1, m->options.struct_size + 1);
    if (!whose || !in || !opts) return LB_E_NOMEM;
    LB_TRY(lb_options_defaults(&m->options, r->a, opts));
    bool varies = false; /* cells look at what goes with what */
    for (size_t i = 0; i < n->count; i++) {
        const lb_yaml *v = n->item[i];
        lb_axis values;
        if (strcmp(v->key, "method") == 0) continue;
        lb_config_names known = {{"method"}, 1};
        lb_config_names_add_table(&known, &m->options);
        if (!lb_options_find(&m->options, v->key)) return lb_config_unknown_key(v, in, &known, m);
        if (map == r->c->root)
            LB_TRY(lb_config_check_override(r, strcmp(which, "head") == 0 ? "head." : "embedding.", v));
        LB_TRY(lb_config_read_values(r, v, which, &values));
        LB_TRY(lb_config_set_option(r, &m->options, opts, v->key, values.value[0], whose));
        varies = varies || v->kind == LB_YAML_LIST;
    }
    lb_status st = varies ? LB_OK : lb_method_check(m, opts);
    if (st != LB_OK) return st == LB_E_NOMEM ? st : lb_fail_in(LB_E_CONFIG, "%s: %s", lb_config_where(n).text, which);
    *out = (lb_end){.method = m, .opts = opts, .node = n};
    return LB_OK;
}
