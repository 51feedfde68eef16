#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/live.h"
#include "base/mem.h"
#include "base/str.h"

static lb_status failed(const char *path, const char *what) {
    if (errno == ENOMEM) return lb_fail(LB_E_NOMEM, "%s: out of memory: cannot %s", path, what);
    return lb_fail(LB_E_IO, "%s: cannot %s: %s", path, what, strerror(errno));
}

/* What is there and is no regular file. */
static const char *kind_of(mode_t mode) {
    if (S_ISDIR(mode)) return "a folder";
    if (S_ISFIFO(mode)) return "a pipe";
    if (S_ISSOCK(mode)) return "a socket";
    return "a device";
}

/* Why it could not be opened: a link says where it leads. */
static lb_status open_failed(const char *path) {
    char target[1024];
    int why = errno;
    ssize_t n = why == ENOENT ? readlink(path, target, sizeof target - 1) : -1;
    if (n >= 0) return lb_fail(LB_E_IO, "%s: a link to %.*s, which is not there", path, (int)n, target);
    errno = why;
    return failed(path, "open");
}

/* Without waiting for the other end of a pipe. */
static lb_status open_any(const char *path, int *fd, struct stat *st) {
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0) return open_failed(path);
    if (fstat(*fd, st) == 0) return LB_OK;
    lb_status s = failed(path, "stat");
    close(*fd);
    *fd = -1;
    return s;
}

lb_status lb_fs_open(const char *path, int *fd, size_t *size) {
    struct stat st;
    LB_TRY(open_any(path, fd, &st));
    *size = (size_t)st.st_size;
    if (S_ISREG(st.st_mode)) return LB_OK;
    close(*fd);
    *fd = -1;
    return lb_fail(LB_E_IO, "%s: is %s, expected a file", path, kind_of(st.st_mode));
}

lb_status lb_map_open(const char *path, lb_map *out) {
    int fd;
    size_t size = 0;
    *out = (lb_map){0};
    LB_TRY(lb_fs_open(path, &fd, &size));
    if (size == 0) {
        close(fd);
        return lb_fail(LB_E_FORMAT, "%s: the file is empty", path);
    }
    char *name = lb_strdup(path);
    void *p = name ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    lb_status s = !name ? LB_E_NOMEM : p == MAP_FAILED ? failed(path, "map") : LB_OK;
    close(fd);
    if (s != LB_OK) {
        lb_free(name);
        return s;
    }
    lb_live_map(p, size, name);
    *out = (lb_map){p, size, name};
    return LB_OK;
}

void lb_map_close(lb_map *m) {
    if (m->data) {
        lb_live_unmap(m->data);
        munmap((void *)(uintptr_t)m->data, m->size);
    }
    lb_free(m->path);
    *m = (lb_map){0};
}

void lb_map_forget(const void *p, size_t n) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = ((uintptr_t)p + page - 1) / page * page;
    uintptr_t last = ((uintptr_t)p + n) / page * page;
    if (first < last) (void)madvise((void *)first, last - first, MADV_DONTNEED);
}

static lb_status too_large(const char *path, size_t most) {
    return lb_fail(LB_E_FORMAT, "%s: larger than %zu MiB, the most that is read of such a file", path, most >> 20);
}

/* Milliseconds between two looks: a signal may come between the check and the call that waits. */
enum { LOOK_AGAIN = 100 };

lb_status lb_fs_wait(int fd, int events, const char *path) {
    for (;;) {
        struct pollfd p = {.fd = fd, .events = (short)events};
        LB_TRY(lb_interrupt_check());
        int n = poll(&p, 1, LOOK_AGAIN);
        if (n > 0) return LB_OK;
        if (n < 0 && errno != EINTR) return failed(path, "wait for");
    }
}

/* Pipes and /proc files do not tell their size, so it reads to the end. */
static lb_status read_all(int fd, const char *path, size_t most, bool pipe, lb_str *b) {
    enum { PART = 1 << 16 };
    char *part = lb_alloc(PART, 1);
    if (!part) return LB_E_NOMEM;
    lb_status s = LB_OK;
    while (s == LB_OK) {
        LB_TRY_GOTO(s, done, pipe ? lb_fs_wait(fd, POLLIN, path) : LB_OK);
        ssize_t n = read(fd, part, PART);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n == 0) break;
        if (n < 0)
            s = failed(path, "read");
        else if ((size_t)n > most - b->len)
            s = too_large(path, most);
        else
            lb_str_add_bytes(b, part, (size_t)n);
        if (s == LB_OK) s = lb_str_check(b);
    }
done:
    lb_free(part);
    return s;
}

/* Takes over fd. The result is NUL-terminated, also an empty one. */
static lb_status read_open(int fd, const char *path, size_t most, bool pipe, char **text, size_t *len) {
    lb_str b = {0};
    lb_status s = read_all(fd, path, most, pipe, &b);
    close(fd);
    lb_str_add_bytes(&b, "", 0);
    if (s == LB_OK) s = lb_str_check(&b);
    if (s != LB_OK) {
        lb_str_free(&b);
        return s;
    }
    *text = b.s;
    if (len) *len = b.len;
    return LB_OK;
}

lb_status lb_fs_read_most(const char *path, size_t most, char **text, size_t *len) {
    int fd;
    size_t size = 0;
    *text = NULL;
    LB_TRY(lb_fs_open(path, &fd, &size));
    if (size <= most) return read_open(fd, path, most, false, text, len);
    close(fd);
    return too_large(path, most);
}

lb_status lb_fs_read(const char *path, char **text, size_t *len) {
    return lb_fs_read_most(path, LB_FS_READ_MOST, text, len);
}

lb_status lb_fs_read_pipe(const char *path, size_t most, char **text, size_t *len) {
    int fd;
    struct stat st;
    *text = NULL;
    LB_TRY(open_any(path, &fd, &st));
    if (S_ISFIFO(st.st_mode)) return read_open(fd, path, most, true, text, len);
    close(fd);
    return lb_fail(LB_E_IO, "%s: is %s, expected a pipe", path, S_ISREG(st.st_mode) ? "a file" : kind_of(st.st_mode));
}

bool lb_fs_is_pipe(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* To a file, or to what was opened not to block. */
static lb_status write_all(int fd, const char *path, const char *p, size_t n) {
    while (n) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EAGAIN) {
            LB_TRY(lb_fs_wait(fd, POLLOUT, path));
            continue;
        }
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return failed(path, "write");
        p += done;
        n -= (size_t)done;
    }
    return LB_OK;
}

static lb_status open_to_sync(const char *path, int flags, int *fd) {
    *fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    return *fd < 0 ? failed(path, "open") : LB_OK;
}

static lb_status sync_and_close(int fd, const char *path, int flags) {
    /* Some file systems cannot sync a folder and say EINVAL: the rename is then as safe as it gets. */
    lb_status s = fsync(fd) && !(flags & O_DIRECTORY && errno == EINVAL) ? failed(path, "sync") : LB_OK;
    close(fd);
    return s;
}

static lb_status sync_path(const char *path, int flags) {
    int fd;
    LB_TRY(open_to_sync(path, flags, &fd));
    return sync_and_close(fd, path, flags);
}

lb_status lb_fs_sync_folder(const char *dir) { return sync_path(dir, O_DIRECTORY); }

lb_status lb_fs_publish(const char *tmp, const char *path) {
    int fd = -1;
    char *dir = lb_fs_dirname(path);
    lb_status s = dir ? lb_starved_check() : LB_E_NOMEM; /* what a library wrote may not be whole */
    if (s == LB_OK) s = open_to_sync(dir, O_DIRECTORY, &fd);
    if (s == LB_OK && rename(tmp, path))
        s = lb_fail(LB_E_IO, "%s: cannot rename to %s: %s", tmp, path, strerror(errno));
    if (s == LB_OK)
        s = sync_and_close(fd, dir, O_DIRECTORY);
    else if (fd >= 0)
        close(fd);
    lb_free(dir);
    return s;
}

static bool is_special(const struct stat *st) {
    return !S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode) && !S_ISLNK(st->st_mode);
}

/* What stands under a name that is made for a moment is a leftover, or a link that leads the writer elsewhere. */
static void clear_way(const char *tmp) {
    if (unlink(tmp) && errno == EISDIR) lb_fs_remove_folder(tmp);
}

lb_status lb_fs_tmp_begin(const char *path, lb_fs_tmp *t) {
    lb_str name = {0};
    struct stat st;
    *t = (lb_fs_tmp){0};
    /* A rename would put a file in its place, and the superuser may. A link is replaced itself. */
    if (lstat(path, &st) == 0 && is_special(&st))
        return lb_fail(LB_E_IO, "%s: is a device or a pipe, expected a file", path);
    lb_str_add(&name, "%s.tmp.%ld", path, (long)getpid());
    if (name.failed) return lb_str_check(&name);
    t->tmp = name.s;
    t->path = lb_strdup(path);
    if (t->path) {
        clear_way(t->tmp);
        lb_live_tmp(t->tmp);
        return LB_OK;
    }
    lb_str_free(&name);
    *t = (lb_fs_tmp){0};
    return LB_E_NOMEM;
}

lb_status lb_fs_tmp_commit(lb_fs_tmp *t) {
    lb_status s = sync_path(t->tmp, 0);
    if (s == LB_OK) s = lb_fs_publish(t->tmp, t->path);
    lb_fs_tmp_abort(t); /* after the rename there is nothing left to remove */
    return s;
}

void lb_fs_tmp_abort(lb_fs_tmp *t) {
    if (t->tmp) {
        unlink(t->tmp);
        lb_live_tmp_gone(t->tmp);
    }
    lb_free(t->tmp);
    lb_free(t->path);
    *t = (lb_fs_tmp){0};
}

lb_status lb_fs_write_atomic(const char *path, const void *data, size_t len) {
    lb_fs_tmp t;
    LB_TRY(lb_fs_tmp_begin(path, &t));
    int fd = open(t.tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    lb_status s = fd < 0 ? failed(path, "create") : write_all(fd, t.tmp, data, len);
    if (fd >= 0 && close(fd) && s == LB_OK) s = failed(t.tmp, "close");
    if (s != LB_OK) {
        lb_fs_tmp_abort(&t);
        return s;
    }
    return lb_fs_tmp_commit(&t);
}

/* Opened for writing; a pipe once it has a reader. */
static lb_status open_special(const char *path, int *fd) {
    for (;;) {
        LB_TRY(lb_interrupt_check());
        *fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
        if (*fd >= 0) return LB_OK;
        if (errno != ENXIO || !lb_fs_is_pipe(path)) return failed(path, "open");
        (void)poll(NULL, 0, LOOK_AGAIN);
    }
}

/* What is no file is written as it is: there is nothing to replace. */
static lb_status write_special(const char *path, const void *data, size_t len) {
    int fd;
    LB_TRY(open_special(path, &fd));
    lb_status s = write_all(fd, path, data, len);
    if (close(fd) && s == LB_OK) s = failed(path, "close");
    return s;
}

lb_status lb_fs_write_named(const char *path, const void *data, size_t len) {
    struct stat st;
    return stat(path, &st) == 0 && is_special(&st) ? write_special(path, data, len)
                                                   : lb_fs_write_atomic(path, data, len);
}

/* True if the file ends inside a line: a writer was killed there. The new line must not be glued to it. */
static bool torn(int fd) {
    struct stat st;
    char last;
    return fstat(fd, &st) == 0 && st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) == 1 && last != '\n';
}

lb_status lb_fs_append_line(const char *path, const char *line) {
    if (strchr(line, '\n')) return lb_fail(LB_E_ARG, "%s: a journal line must not hold a line feed", path);
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0 && errno == ELOOP) return lb_fail(LB_E_IO, "%s: is a symbolic link, expected a file", path);
    if (fd < 0) return failed(path, "open");
    lb_str b = {0};
    lb_str_add(&b, "%s%s\n", torn(fd) ? "\n" : "", line);
    lb_status s = lb_str_check(&b);
    if (s == LB_OK) s = write_all(fd, path, b.s, b.len); /* one write: lines of two processes do not mix */
    if (s == LB_OK && fsync(fd)) s = failed(path, "sync");
    if (close(fd) && s == LB_OK) s = failed(path, "close");
    lb_str_free(&b);
    return s;
}

lb_status lb_fs_mkdirs(const char *path) {
    char *p = lb_strdup(path);
    if (!p) return LB_E_NOMEM;
    lb_status s = LB_OK;
    for (char *end = p + 1; s == LB_OK && p[0]; end++) {
        bool last = *end == 0;
        if (!last && *end != '/') continue;
        *end = 0;
        int why = mkdir(p, 0777) ? errno : 0;
        if (why && why != EEXIST && !lb_fs_is_dir(p)) {
            errno = why; /* not that there is no such folder */
            s = failed(p, "make the folder");
        }
        if (last) break;
        *end = '/';
    }
    lb_free(p);
    if (s == LB_OK && !lb_fs_is_dir(path)) s = lb_fail(LB_E_IO, "%s: exists and is not a folder", path);
    return s;
}

bool lb_fs_exists(const char *path) { return access(path, F_OK) == 0; }

bool lb_fs_there(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

bool lb_fs_is_dir(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

lb_status lb_fs_list(const char *dir, const char *suffix, char ***names, size_t *n) {
    size_t cap = 0;
    lb_status s = LB_OK;
    *names = NULL;
    *n = 0;
    DIR *d = opendir(dir);
    if (!d) return failed(dir, "list");
    for (struct dirent *e; s == LB_OK && (errno = 0, e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (suffix && !lb_str_ends(e->d_name, suffix)) continue;
        if (*n == cap) {
            size_t more = cap ? 2 * cap : 16;
            char **grown = lb_realloc(*names, cap, more, sizeof **names);
            if (!grown) {
                s = LB_E_NOMEM;
                break;
            }
            *names = grown;
            cap = more;
        }
        if (!((*names)[*n] = lb_strdup(e->d_name)))
            s = LB_E_NOMEM;
        else
            ++*n;
    }
    if (s == LB_OK && errno) s = failed(dir, "list");
    closedir(d);
    if (s != LB_OK) {
        lb_fs_list_free(*names, *n);
        *names = NULL;
        *n = 0;
    } else if (*n)
        qsort(*names, *n, sizeof **names, by_name);
    return s;
}

void lb_fs_list_free(char **names, size_t n) {
    for (size_t i = 0; i < n; i++) lb_free(names[i]);
    lb_free(names);
}

lb_status lb_fs_bytes(const char *path, int64_t *out) {
    struct stat st;
    if (stat(path, &st) != 0) return lb_fail(LB_E_IO, "%s: cannot look at it: %s", path, strerror(errno));
    *out = st.st_size;
    return LB_OK;
}

lb_status lb_fs_free_bytes(const char *path, int64_t *out) {
    struct statvfs v;
    if (statvfs(path, &v)) return failed(path, "ask for the free space");
    *out = (int64_t)v.f_bavail * (int64_t)v.f_frsize;
    return LB_OK;
}

char *lb_fs_join(const char *dir, const char *name) {
    if (name[0] == '/' || !dir[0]) return lb_strdup(name);
    lb_str b = {0};
    lb_str_add(&b, "%s%s%s", dir, lb_str_ends(dir, "/") ? "" : "/", name);
    return b.s;
}

char *lb_fs_dirname(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return lb_strdup(".");
    size_t n = slash == path ? 1 : (size_t)(slash - path);
    char *p = lb_strdup(path);
    if (p) p[n] = 0;
    return p;
}

const char *lb_fs_basename(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
