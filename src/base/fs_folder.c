/* A folder that appears whole or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"

static lb_status failed(const char *path, const char *what) {
    return lb_fail(LB_E_IO, "%s: cannot %s: %s", path, what, strerror(errno));
}

static lb_status refuse_link(const char *path) {
    char to[256];
    ssize_t n = readlink(path, to, sizeof to - 1);
    to[n < 0 ? 0 : n] = 0;
    return lb_fail(LB_E_ARG, "%s: is a symbolic link (to %s): name the folder itself", path, to);
}

static lb_status refuse_full(const char *path) {
    char **name;
    size_t n;
    LB_TRY(lb_fs_list(path, NULL, &name, &n));
    lb_status st =
        n == 0 ? LB_OK
               : lb_fail(LB_E_ARG, "%s: the folder is not empty (%s): give a new or an empty one", path, name[0]);
    lb_fs_list_free(name, n);
    return st;
}

/* What a rename could not replace in the end is refused now. */
static lb_status check_target(const char *path, const char *parent) {
    struct stat st, up;
    const char *name = lb_fs_basename(path);
    if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return lb_fail(LB_E_ARG, "'%s': name the folder to write by a name of its own", path);
    if (lstat(path, &st)) return errno == ENOENT ? LB_OK : failed(path, "write there");
    if (S_ISLNK(st.st_mode)) return refuse_link(path);
    if (!S_ISDIR(st.st_mode)) return lb_fail(LB_E_ARG, "%s: exists and is not a folder", path);
    LB_TRY(refuse_full(path));
    if (stat(parent, &up) == 0 && up.st_dev != st.st_dev)
        return lb_fail(LB_E_ARG, "%s: a file system is mounted there: name a folder in it", path);
    return LB_OK;
}

/* NAME.tmp.PID beside the folder, if the process with that number has ended. The number may be of another machine or
 * container: a folder under way is locked besides. */
static bool is_dead(const char *path, const char *pid) {
    if (!lb_fs_dead(pid, strlen(pid))) return false;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool dead = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (fd >= 0) close(fd);
    return dead;
}

/* Best effort where the system refuses: they are in nobody's way. */
static lb_status drop_dead(const char *path, const char *parent) {
    char **names = NULL;
    size_t n = 0;
    lb_str start = {0};
    lb_str_add(&start, "%s.tmp.", lb_fs_basename(path));
    lb_status st = lb_str_check(&start);
    if (st == LB_OK) st = lb_fs_list(parent, NULL, &names, &n);
    for (size_t i = 0; st == LB_OK && i < n; i++) {
        if (strncmp(names[i], start.s, start.len) != 0) continue;
        char *one = lb_fs_join(parent, names[i]);
        if (!one) st = LB_E_NOMEM;
        if (one && is_dead(one, names[i] + start.len)) lb_fs_remove_folder(one);
        lb_free(one);
    }
    lb_fs_list_free(names, n);
    lb_str_free(&start);
    return st == LB_E_NOMEM ? st : LB_OK;
}

/* The first folder above that is not there yet, which is then the first to be made. */
static lb_status first_missing(const char *parent, char **out) {
    char *at = lb_strdup(parent);
    *out = NULL;
    while (at && strcmp(at, ".") != 0 && !lb_fs_exists(at) && !lb_fs_is_link(at)) {
        char *up = lb_fs_dirname(at);
        lb_free(*out);
        *out = at;
        at = up;
    }
    bool whole = at != NULL;
    lb_free(at);
    if (whole) return LB_OK;
    lb_free(*out);
    *out = NULL;
    return LB_E_NOMEM;
}

static lb_status make(lb_fs_folder *f, const char *parent) {
    LB_TRY(check_target(f->path, parent));
    LB_TRY(first_missing(parent, &f->made));
    LB_TRY(lb_fs_mkdirs(parent));
    LB_TRY(drop_dead(f->path, parent));
    lb_fs_remove_folder(f->tmp); /* of an earlier process with this number */
    if (mkdir(f->tmp, 0777)) return failed(f->tmp, "make the folder");
    f->lock = open(f->tmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (f->lock < 0) return failed(f->tmp, "open");
    (void)flock(f->lock, LOCK_EX | LOCK_NB); /* not every file system has locks */
    return LB_OK;
}

lb_status lb_fs_folder_begin(const char *path, lb_fs_folder *f) {
    *f = (lb_fs_folder){.lock = -1, .path = lb_strdup(path)};
    lb_str tmp = {0};
    for (size_t n = f->path ? strlen(f->path) : 0; n > 1 && f->path[n - 1] == '/'; n--) f->path[n - 1] = 0;
    if (f->path) lb_str_add(&tmp, "%s.tmp.%ld", f->path, (long)getpid());
    f->tmp = tmp.s;
    char *parent = f->path && !tmp.failed ? lb_fs_dirname(f->path) : NULL;
    lb_status st = parent ? make(f, parent) : LB_E_NOMEM;
    lb_free(parent);
    if (st != LB_OK) lb_fs_folder_abort(f);
    return st;
}

lb_status lb_fs_folder_commit(lb_fs_folder *f) {
    lb_status st = lb_fs_sync_folder(f->tmp);
    if (st == LB_OK) st = lb_fs_publish(f->tmp, f->path);
    lb_fs_folder_abort(f); /* after the rename there is nothing left to remove, and no parent is empty */
    return st;
}

/* The parents that begin made, as far as they are empty. */
static void remove_made(const char *path, const char *made) {
    char *at = lb_fs_dirname(path);
    while (at && strlen(at) >= strlen(made) && (rmdir(at) == 0 || errno == ENOENT)) {
        char *up = lb_fs_dirname(at);
        lb_free(at);
        at = up;
    }
    lb_free(at);
}

void lb_fs_folder_abort(lb_fs_folder *f) {
    if (!f->path) return;
    if (f->lock >= 0) close(f->lock);
    if (f->tmp) lb_fs_remove_folder(f->tmp);
    if (f->made) remove_made(f->path, f->made);
    lb_free(f->path);
    lb_free(f->tmp);
    lb_free(f->made);
    *f = (lb_fs_folder){.lock = -1};
}
