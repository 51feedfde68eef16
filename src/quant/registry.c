/* Methods by name: those of algorithms/table.c and those loaded from shared objects. The list of loaded ones is the
 * program's only registry; it grows at start-up, from one thread, and the objects stay open until the end. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/fs.h"
#include "quant/method.h"

#define MAX_PLUGINS 64
static const lb_method *loaded[MAX_PLUGINS];
static size_t n_loaded;

const lb_method *lb_method_at(size_t i) {
    size_t built_in = 0;
    while (lb_method_table[built_in]) built_in++;
    if (i < built_in) return lb_method_table[i];
    return i - built_in < n_loaded ? loaded[i - built_in] : NULL;
}

const lb_method *lb_method_find(const char *name) {
    const lb_method *m;
    for (size_t i = 0; (m = lb_method_at(i)); i++)
        if (strcasecmp(m->name, name) == 0) return m; /* names are of small letters, each once */
    return NULL;
}

static size_t field_size(lb_opt_type t) {
    switch (t) {
    case LB_OPT_INT:
    case LB_OPT_GROUP:
        return sizeof(int64_t);
    case LB_OPT_FLOAT:
        return sizeof(double);
    case LB_OPT_BOOL:
        return sizeof(bool);
    case LB_OPT_CHOICE:
        return sizeof(int);
    case LB_OPT_STR:
    case LB_OPT_FORMAT:
        return sizeof(const void *);
    }
    return 0;
}

static bool good_name(const char *s) {
    if (!s || !s[0]) return false;
    return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == strlen(s);
}

static lb_status validate_option(const lb_options *o, size_t i) {
    const lb_option *opt = &o->table[i];
    if (!good_name(opt->name)) return lb_fail(LB_E_ARG, "option %zu: its name must be of a-z, 0-9, _ and -", i);
    size_t size = field_size(opt->type);
    if (size == 0) return lb_fail(LB_E_ARG, "option %s: unknown type %d", opt->name, (int)opt->type);
    if (opt->offset > o->struct_size || size > o->struct_size - opt->offset || opt->offset % size)
        return lb_fail(LB_E_ARG, "option %s: offset %zu with %zu bytes: must be aligned and inside a struct of %zu",
                       opt->name, opt->offset, size, o->struct_size);
    if (!opt->help || !opt->help[0]) return lb_fail(LB_E_ARG, "option %s: has no help", opt->name);
    if (opt->type == LB_OPT_CHOICE && (!opt->choices || !opt->choices[0]))
        return lb_fail(LB_E_ARG, "option %s: has no choices", opt->name);
    bool bounded = opt->type == LB_OPT_INT || opt->type == LB_OPT_FLOAT || opt->type == LB_OPT_GROUP;
    if (bounded && !(opt->min <= opt->max))
        return lb_fail(LB_E_ARG, "option %s: bounds [%g, %g] make no sense", opt->name, opt->min, opt->max);
    for (size_t k = 0; k < i; k++)
        if (strcmp(o->table[k].name, opt->name) == 0) return lb_fail(LB_E_ARG, "option %s: twice", opt->name);
    return LB_OK;
}

static lb_status validate_options(const lb_options *o) {
    if (o->n && (!o->table || !o->struct_size)) return lb_fail(LB_E_ARG, "options without a table or a struct size");
    for (size_t i = 0; i < o->n; i++) LB_TRY(validate_option(o, i));
    lb_arena *a = NULL;
    LB_TRY(lb_arena_new(0, &a));
    void *values = lb_arena_get(a, 1, o->struct_size + 1);
    lb_status st = values ? lb_options_defaults(o, a, values) : LB_E_NOMEM;
    lb_arena_free(a);
    return st;
}

static lb_status validate_parts(const lb_method *m) {
    if (!m->summary || !m->summary[0]) return lb_fail(LB_E_ARG, "has no summary");
    if ((m->layer != NULL) + (m->block != NULL) + (m->model != NULL) != 1)
        return lb_fail(LB_E_ARG, "must have exactly one entry point: layer, block or model");
    if (m->needs & ~(uint32_t)(LB_NEEDS_CALIBRATION | LB_NEEDS_TRAINER | LB_NEEDS_SEED | LB_PRESERVES |
                               LB_TRAINS_FLOATS | LB_FACTORS_HESSIAN))
        return lb_fail(LB_E_ARG, "needs = 0x%x: unknown bits", m->needs);
    if (!(m->needs & LB_NEEDS_TRAINER) != !m->model)
        return lb_fail(LB_E_ARG, "a model entry point and LB_NEEDS_TRAINER go together");
    if (m->model && m->needs & LB_NEEDS_STATISTICS)
        return lb_fail(LB_E_ARG, "needs = 0x%x: a model entry point is given no statistics of inputs", m->needs);
    if (!m->model && m->needs & LB_TRAINS_FLOATS)
        return lb_fail(LB_E_ARG, "LB_TRAINS_FLOATS is for a model entry point");
    if (!m->block && m->needs & (LB_NEEDS_FORWARD | LB_PRESERVES))
        return lb_fail(LB_E_ARG, "LB_NEEDS_FORWARD and LB_PRESERVES are for a block entry point");
    if (m->needs & LB_FACTORS_HESSIAN && !(m->needs & LB_NEEDS_HESSIAN))
        return lb_fail(LB_E_ARG, "LB_FACTORS_HESSIAN needs LB_NEEDS_HESSIAN");
    if (!(m->needs & LB_PRESERVES) != !m->spec_input)
        return lb_fail(LB_E_ARG, "a spec_input and LB_PRESERVES go together");
    if (!m->spec != !!m->spec_input) return lb_fail(LB_E_ARG, m->spec ? "has two specs" : "has no spec");
    if (m->stage || m->stages) return lb_fail(LB_E_ARG, "has stages: only a pipeline does, and a config makes those");
    if (m->extend && !m->layer) return lb_fail(LB_E_ARG, "extends a layer, but has no layer entry point");
    LB_TRY(lb_diagnostics_check(&m->diagnostics));
    LB_TRY(validate_options(&m->options));
    if (!m->later.table) return m->later.n ? lb_fail(LB_E_ARG, "later options without a table") : LB_OK;
    if (!m->extend || m->later.struct_size != m->options.struct_size)
        return lb_fail(LB_E_ARG, "later options: need extend, and the struct of the others");
    return validate_options(&m->later);
}

lb_status lb_method_validate(const lb_method *m) {
    if (m->api != LB_METHOD_API) /* nothing behind it can be trusted to be where this program looks */
        return lb_fail(LB_E_UNSUPPORTED, "method api %u: this program has %u; build it against these headers", m->api,
                       LB_METHOD_API);
    if (!good_name(m->name)) return lb_fail(LB_E_ARG, "a method's name must be of a-z, 0-9, _ and -");
    lb_status st = validate_parts(m);
    if (st != LB_OK && st != LB_E_NOMEM) return lb_fail_in(st, "method %s", m->name);
    return st;
}

static lb_status find_entry(const char *path, void *so, const lb_method **m) {
    const lb_method *(*entry)(void) = NULL;
    void *symbol = dlsym(so, "lb_plugin_method");
    if (!symbol) return lb_fail(LB_E_FORMAT, "%s: does not define lb_plugin_method", path);
    memcpy(&entry, &symbol, sizeof entry); /* ISO C has no cast from object to function pointers */
    *m = entry();
    if (!*m) return lb_fail(LB_E_FORMAT, "%s: lb_plugin_method returned nothing", path);
    lb_status st = lb_method_validate(*m);
    if (st != LB_OK) return lb_fail_in(st, "%s", path);
    return LB_OK;
}

static lb_status register_method(const char *path, const lb_method *m) {
    const lb_method *same = lb_method_find(m->name);
    if (same == m) return LB_OK; /* the same file again */
    if (same) return lb_fail(LB_E_ARG, "%s: a method '%s' is there already", path, m->name);
    if (n_loaded == MAX_PLUGINS) return lb_fail(LB_E_ARG, "%s: more than %d plug-ins", path, MAX_PLUGINS);
    loaded[n_loaded++] = m;
    return LB_OK;
}

static lb_status open_object(const char *path, void **so) {
    int fd;
    size_t size;
    lb_status st = lb_fs_open(path, &fd, &size); /* dlopen would wait for a pipe */
    if (st != LB_OK) return lb_fail_in(st, "cannot load the plug-in");
    close(fd);
    *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    return *so ? LB_OK : lb_fail(LB_E_IO, "cannot load the plug-in: %s", dlerror());
}

lb_status lb_method_load(const char *so_path, const lb_method **out) {
    lb_str path = {0}; /* without a slash dlopen would search the system's folders */
    lb_str_add(&path, "%s%s", strchr(so_path, '/') ? "" : "./", so_path);
    lb_status st = lb_str_check(&path);
    if (st != LB_OK) {
        lb_str_free(&path);
        return st;
    }
    void *so = NULL;
    st = open_object(path.s, &so);
    lb_str_free(&path);
    LB_TRY(st);
    const lb_method *m = NULL;
    st = find_entry(so_path, so, &m);
    if (st == LB_OK) st = register_method(so_path, m);
    if (st != LB_OK) {
        dlclose(so);
        return st;
    }
    *out = m;
    return LB_OK;
}
