#include "support/support.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "support/status_name.h"

void lb_test_expect(lb_status want, lb_status got, const char *call, const char *file, int line) {
    if (got == want) return;
    print_error("%s: %s, expected %s%s%s\n%s", call, status_name(got), status_name(want), got ? ": " : "",
                got ? lb_error() : "", got ? lb_error_frames() : "");
    _fail(file, line);
}

void lb_test_error_has(const char *text, const char *file, int line) {
    if (strstr(lb_error(), text)) return;
    print_error("the message '%s' does not contain '%s'\n", lb_error(), text);
    _fail(file, line);
}

/* Folders to remove, newest first; only in the process that made them. */
static struct made {
    struct made *next;
    pid_t owner;
    char path[];
} * made;

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at) {
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static void remove_made(void) {
    while (made) {
        struct made *m = made;
        if (m->owner == getpid()) nftw(m->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        made = m->next;
        free(m);
    }
}

const char *lb_test_tmpdir(void) {
    const char *base = getenv("TMPDIR");
    if (!base || !*base) base = "/tmp";
    size_t room = strlen(base) + sizeof "/lowbit-test.XXXXXX";
    struct made *m = malloc(sizeof *m + room);
    assert_non_null(m);
    snprintf(m->path, room, "%s/lowbit-test.XXXXXX", base);
    if (!mkdtemp(m->path)) fail_msg("cannot make a folder in %s: %s", base, strerror(errno));
    if (!made) atexit(remove_made);
    m->owner = getpid();
    m->next = made;
    made = m;
    return m->path;
}

static void join(const char *dir, const char *name, char path[LB_TEST_PATH]) {
    if (snprintf(path, LB_TEST_PATH, "%s/%s", dir, name) >= LB_TEST_PATH) fail_msg("%s/%s: path too long", dir, name);
}

static void find_root(char root[LB_TEST_PATH]) {
    const char *named = getenv("LOWBIT_ROOT");
    char probe[LB_TEST_PATH];
    if (named && *named) {
        if (snprintf(root, LB_TEST_PATH, "%s", named) >= LB_TEST_PATH) fail_msg("LOWBIT_ROOT: path too long");
        return;
    }
    assert_non_null(getcwd(root, LB_TEST_PATH));
    for (;;) {
        join(root, "tests/support", probe);
        if (lb_fs_is_dir(probe)) return;
        char *slash = strrchr(root, '/');
        if (!slash || slash == root) break;
        *slash = 0;
    }
    fail_msg("run tests inside the repository, or set LOWBIT_ROOT to it");
}

void lb_test_fixture(const char *name, char path[LB_TEST_PATH]) {
    char root[LB_TEST_PATH];
    find_root(root);
    join(root, name, path);
    if (!lb_fs_exists(path)) fail_msg("%s: no such fixture", path);
}

/* Search state of nftw, which hands over no context. */
static const char *wanted;
static char found[LB_TEST_PATH];
static char *listed; /* the folder's SHA256SUMS, or NULL */
static size_t below; /* length of the folder's name and slash */

static bool hash_is(const char *path, const char *sha256) {
    char hex[LB_HASH_HEX];
    return lb_hash_file(path, hex) == LB_OK && strcasecmp(hex, sha256) == 0;
}

/* A line of the list: 64 digits, two characters, a path that may begin with "./". */
static const char *listed_path(const char *line) {
    if (strcspn(line, " \n") != LB_HASH_HEX - 1 || line[64] == 0 || line[65] == 0) return NULL;
    const char *p = line + 66;
    return strncmp(p, "./", 2) == 0 ? p + 2 : p;
}

static bool in_list(const char *name) {
    size_t n = strlen(name);
    for (const char *line = listed; line && *line; line += strcspn(line, "\n"), line += *line == '\n') {
        const char *p = listed_path(line);
        if (p && strncmp(p, name, n) == 0 && (p[n] == '\n' || p[n] == 0)) return true;
    }
    return false;
}

static int look_at(const char *path, const struct stat *st, int kind, struct FTW *at) {
    (void)st, (void)at;
    if (kind != FTW_F || strlen(path) >= LB_TEST_PATH || in_list(path + below)) return 0;
    if (!hash_is(path, wanted)) return 0;
    strcpy(found, path);
    return 1;
}

static bool find_below(const char *dir, const char *sha256, char path[LB_TEST_PATH]) {
    char list[LB_TEST_PATH], name[LB_TEST_PATH];
    if (!lb_fs_is_dir(dir)) return false;
    join(dir, "SHA256SUMS", list);
    listed = NULL;
    if (lb_fs_exists(list)) assert_ok(lb_fs_read(list, &listed, NULL));
    bool ok = false;
    for (const char *line = listed; !ok && line && *line; line += strcspn(line, "\n"), line += *line == '\n') {
        const char *p = listed_path(line);
        if (!p || strncasecmp(line, sha256, 64) != 0) continue;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(p, "\n"), p);
        join(dir, name, path);
        ok = hash_is(path, sha256);
    }
    wanted = sha256;
    below = strlen(dir) + 1;
    if (!ok && (ok = nftw(dir, look_at, 16, 0) == 1)) strcpy(path, found);
    lb_free(listed);
    listed = NULL;
    return ok;
}

void lb_test_source(const char *sha256, char path[LB_TEST_PATH]) {
    char cache[LB_TEST_PATH], root[LB_TEST_PATH];
    const char *sources = getenv("LOWBIT_SOURCES"), *ci = getenv("CI");
    if (sources && *sources && find_below(sources, sha256, path)) return;
    find_root(root);
    join(root, "data/cache", cache);
    if (find_below(cache, sha256, path)) return;
    if (ci && strcmp(ci, "true") == 0)
        fail_msg("no file with SHA-256 %s below LOWBIT_SOURCES (%s) or data/cache", sha256,
                 sources ? sources : "not set");
    print_message("no file with SHA-256 %s below LOWBIT_SOURCES or data/cache\n", sha256);
    skip();
}

char *lb_test_unhex(const char *hex, size_t *n) {
    *n = strlen(hex) / 2;
    char *s = lb_alloc(*n + 1, 1);
    assert_non_null(s);
    for (size_t i = 0; i < *n; i++) {
        unsigned b;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &b), 1);
        s[i] = (char)b;
    }
    return s;
}
