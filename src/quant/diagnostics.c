#include "quant/diagnostics.h"

#include <math.h>
#include <string.h>

size_t lb_diagnostics_find(const lb_diagnostics *d, const char *name) {
    size_t i = 0;
    while (i < d->n && strcmp(d->table[i].name, name) != 0) i++;
    return i;
}

static bool good_name(const char *s) {
    return s && s[0] && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(s) && strlen(s) <= 32;
}

static lb_status check_one(const lb_diagnostics *d, size_t i) {
    const lb_diagnostic *x = &d->table[i];
    if (!good_name(x->name))
        return lb_fail(LB_E_ARG, "diagnostic %zu: its name must be of a-z, 0-9 and _, at most 32", i);
    if (!x->unit || !x->meaning || !x->meaning[0])
        return lb_fail(LB_E_ARG, "diagnostic %s: has no unit or no meaning", x->name);
    if (!(x->least <= x->most))
        return lb_fail(LB_E_ARG, "diagnostic %s: range [%g, %g] makes no sense", x->name, x->least, x->most);
    return lb_diagnostics_find(d, x->name) == i ? LB_OK : lb_fail(LB_E_ARG, "diagnostic %s: twice", x->name);
}

lb_status lb_diagnostics_check(const lb_diagnostics *d) {
    if (d->n > LB_DIAGNOSTICS_MOST || (d->n && !d->table))
        return lb_fail(LB_E_ARG, "%zu diagnostics: a table of at most %d", d->n, LB_DIAGNOSTICS_MOST);
    for (size_t i = 0; i < d->n; i++) LB_TRY(check_one(d, i));
    return LB_OK;
}

lb_status lb_told_check(const lb_told *t, const lb_diagnostics *d, lb_status code) {
    if (t->which >> d->n)
        return lb_fail(code, "diagnostics 0x%x: the method has a table of %zu", (unsigned)t->which, d->n);
    for (size_t i = 0; i < d->n; i++) {
        const lb_diagnostic *x = &d->table[i];
        bool good = isfinite(t->value[i]) && t->value[i] >= x->least && t->value[i] <= x->most;
        if (lb_is_told(t, i) && !good)
            return lb_fail(code, "%s = %g: must be in [%g, %g]", x->name, t->value[i], x->least, x->most);
    }
    return LB_OK;
}
