#include "result/provenance.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/version.h"
#include "math/blas.h"
#include "math/kernels.h"

#ifndef LB_BUILD_REVISION
#define LB_BUILD_REVISION "unknown"
#define LB_BUILD_FLAGS    ""
#define LB_BUILD_MODE     ""
#endif

const char *lb_provenance_revision(void) { return LB_BUILD_REVISION; }

static bool pinned(void) {
    return strcmp(LB_BUILD_REVISION, "unknown") != 0 && !lb_str_ends(LB_BUILD_REVISION, "-dirty");
}

lb_status lb_provenance_code(lb_arena *a, const char **out) {
    if (pinned()) {
        *out = LB_BUILD_REVISION " " LB_BUILD_MODE;
        return LB_OK;
    }
    char hash[LB_HASH_HEX];
    LB_TRY(lb_hash_file("/proc/self/exe", hash));
    *out = lb_arena_printf(a, "%s %s program %s", LB_BUILD_REVISION, LB_BUILD_MODE, hash);
    return *out ? LB_OK : LB_E_NOMEM;
}

lb_status lb_provenance_program(lb_arena *a, lb_pairs *out) {
    const char *code = NULL;
    LB_TRY(lb_provenance_code(a, &code));
    LB_TRY(lb_pairs_add(a, out, "version", LB_VERSION_STRING));
    LB_TRY(lb_pairs_add(a, out, "revision", LB_BUILD_REVISION));
    LB_TRY(lb_pairs_add(a, out, "dirty", lb_str_ends(LB_BUILD_REVISION, "-dirty") ? "true" : "false"));
    LB_TRY(lb_pairs_add(a, out, "code", code));
#ifdef __clang__
    LB_TRY(lb_pairs_add(a, out, "compiler", "clang " __VERSION__));
#else
    LB_TRY(lb_pairs_add(a, out, "compiler", "gcc " __VERSION__));
#endif
    LB_TRY(lb_pairs_add(a, out, "build", LB_BUILD_MODE));
    LB_TRY(lb_pairs_add(a, out, "flags", LB_BUILD_FLAGS));
    LB_TRY(lb_pairs_add(a, out, "openblas", lb_blas_config()));
    LB_TRY(lb_pairs_add(a, out, "openblas_core", lb_blas_core()));
    return lb_pairs_add(a, out, "kernels", lb_kernels_active()->name);
}

/* "model name" of the first processor, or "". */
static void cpu_name(char out[128]) {
    out[0] = 0;
    FILE *f = fopen("/proc/cpuinfo", "r");
    if (!f) return;
    char line[256];
    while (fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        snprintf(out, 128, "%.127s", colon + 2);
        out[strcspn(out, "\n")] = 0;
        break;
    }
    fclose(f);
}

lb_status lb_provenance_host(lb_arena *a, int threads, lb_pairs *out) {
    char host[128] = "", cpu[128], date[32], count[32];
    if (gethostname(host, sizeof host - 1) != 0) host[0] = 0;
    cpu_name(cpu);
    lb_clock_iso(date);
    snprintf(count, sizeof count, "%d", threads);
    struct utsname u;
    char system[300] = "";
    if (uname(&u) == 0) snprintf(system, sizeof system, "%s %s %s", u.sysname, u.release, u.machine);
    LB_TRY(lb_pairs_add(a, out, "host", host));
    LB_TRY(lb_pairs_add(a, out, "system", system));
    LB_TRY(lb_pairs_add(a, out, "cpu", cpu));
    LB_TRY(lb_pairs_add(a, out, "threads", count));
    return lb_pairs_add(a, out, "date", date);
}
