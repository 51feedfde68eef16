#include "support/sources.h"

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/hash.h"

static char found[PATH_MAX];
static const char *want_name, *want_hash;

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    char hex[LB_HASH_HEX];
    (void)st;
    if (type != FTW_F) return 0;
    if (want_name && strcmp(path + ftw->base, want_name) != 0) return 0;
    if (lb_hash_file(path, hex) != LB_OK || strcmp(hex, want_hash) != 0) return 0;
    snprintf(found, sizeof found, "%s", path);
    return 1;
}

const char *source_find(const char *name, const char *sha256) {
    const char *folders = getenv("LOWBIT_SOURCES");
    if (!folders || !folders[0]) return NULL;
    want_hash = sha256;
    for (int by_name = 1; by_name >= 0; by_name--) {
        want_name = by_name ? name : NULL;
        for (const char *p = folders; *p;) {
            char folder[PATH_MAX];
            size_t n = strcspn(p, ":");
            snprintf(folder, sizeof folder, "%.*s", (int)n, p);
            if (nftw(folder, visit, 16, 0) == 1) return found;
            p += n + (p[n] == ':');
        }
    }
    return NULL;
}

const char *source_need(const char *name, const char *sha256) {
    const char *path = source_find(name, sha256);
    if (!path) {
        print_message("skipped: %s (sha256 %.12s...) is not below LOWBIT_SOURCES\n", name, sha256);
        skip();
    }
    return path;
}
