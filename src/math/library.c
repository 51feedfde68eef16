#include "math/library.h"

#include <dlfcn.h>
#include <string.h>

/* The loader tells what failed in words alone. */
static bool means_no_memory(const char *reason) {
    static const char *const words[] = {"failed to map", "annot allocate", "out of memory", "cannot create",
                                        "cannot apply additional memory protection"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strstr(reason, words[i])) return true;
    return false;
}

lb_status lb_library_load(const char *so, const char *what, const lb_symbol *symbol, size_t n, void *table) {
    void *found[64];
    if (n > sizeof found / sizeof found[0]) return lb_fail(LB_E_ARG, "%s: more functions than there is room for", what);
    void *handle = dlopen(so, RTLD_NOW | RTLD_GLOBAL); /* for plug-ins too */
    if (!handle) {
        const char *reason = dlerror();
        if (!reason || means_no_memory(reason))
            return lb_fail(LB_E_NOMEM, "out of memory: %s cannot be loaded: %s", what, reason ? reason : so);
        return lb_fail(LB_E_UNSUPPORTED, "%s cannot be loaded: %s", what, reason);
    }
    for (size_t i = 0; i < n; i++) {
        found[i] = dlsym(handle, symbol[i].name);
        if (!found[i] && !symbol[i].optional)
            return lb_fail(LB_E_UNSUPPORTED, "%s has no %s: it is not the %s that this program was built for", so,
                           symbol[i].name, what);
    }
    for (size_t i = 0; i < n; i++) memcpy((char *)table + symbol[i].offset, &found[i], sizeof found[i]);
    return LB_OK;
}
