/* Cleaning up and making folders where somebody else may have put things: nothing behind a symbolic link is looked at,
 * written or removed. A results folder comes from a colleague as easily as from an earlier run. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"

bool lb_fs_is_link(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

lb_status lb_fs_own_folder(const char *path) {
    if (lb_fs_is_link(path))
        return lb_fail(LB_E_IO, "%s: is a symbolic link, expected a folder: nothing is written behind it", path);
    return lb_fs_mkdirs(path);
}

/* The folder itself or nothing: with a link as the last part of the name, NULL. */
static DIR *open_folder(int at, const char *name) {
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d && fd >= 0) close(fd);
    return d;
}

static bool is_folder(DIR *d, const char *name) {
    struct stat st;
    return fstatat(dirfd(d), name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* The files and links in it, then the folder itself; folders in it stay, and it with them. */
static void remove_flat(int at, const char *name) {
    DIR *d = open_folder(at, name);
    for (struct dirent *e; d && (e = readdir(d));) (void)unlinkat(dirfd(d), e->d_name, 0);
    if (d) closedir(d);
    (void)unlinkat(at, name, d ? AT_REMOVEDIR : 0);
}

void lb_fs_remove_folder(const char *dir) { remove_flat(AT_FDCWD, dir); }

void lb_fs_remove_ours(const char *dir, lb_fs_ours *ours) {
    DIR *d = open_folder(AT_FDCWD, dir);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        bool folder = is_folder(d, e->d_name);
        if (!ours(e->d_name, folder)) continue;
        if (folder)
            remove_flat(dirfd(d), e->d_name);
        else
            (void)unlinkat(dirfd(d), e->d_name, 0);
    }
    closedir(d);
}

static bool is_one_of(const char *name, size_t n, const char *const *made) {
    for (size_t i = 0; made && made[i]; i++) {
        size_t m = strlen(made[i]);
        bool fits = made[i][0] == '.' ? n > m : n == m;
        if (fits && strncmp(name + n - m, made[i], m) == 0) return true;
    }
    return !made;
}

const char *lb_fs_tmp_pid(const char *name, const char *end, const char *const *made, size_t *n) {
    static const char mark[] = ".tmp.";
    const char *at = NULL;
    for (const char *p = name; (p = strstr(p, mark)); p++) at = p;
    if (!at || !is_one_of(name, (size_t)(at - name), made)) return NULL;
    const char *pid = at + sizeof mark - 1;
    *n = strspn(pid, "0123456789");
    return *n > 0 && strcmp(pid + *n, end) == 0 ? pid : NULL;
}

bool lb_fs_dead(const char *pid, size_t n) {
    if (n < 1 || n > 9 || strspn(pid, "0123456789") < n) return false;
    long number = 0;
    for (size_t i = 0; i < n; i++) number = 10 * number + (pid[i] - '0');
    return number > 0 && kill((pid_t)number, 0) != 0 && errno == ESRCH;
}
