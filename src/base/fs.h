/* Files: mapped reading, atomic writing, folders. Errors name the path and the system's reason. */
#ifndef LB_BASE_FS_H
#define LB_BASE_FS_H

#include "base/status.h"

typedef struct lb_map {
    const uint8_t *data;
    size_t size;
    char *path;
} lb_map;
LB_NODISCARD lb_status lb_map_open(const char *path, lb_map *out); /* read-only; an empty file is LB_E_FORMAT */
void lb_map_close(lb_map *m);                                      /* {0} is fine */
/* Pages of a mapping that nobody will look at for a while need not stay resident: they come back from the file. */
void lb_map_forget(const void *p, size_t n);

/* Only regular files are opened, mapped, read and hashed: a folder, a pipe, a device is refused by name, without
 * waiting for it, and a link that leads nowhere says where it leads. */
LB_NODISCARD lb_status lb_fs_open(const char *path, int *fd, size_t *size); /* close(2) */
/* A NUL-terminated copy, lb_free; more than `most` bytes (LB_FS_READ_MOST) are refused. */
#define LB_FS_READ_MOST ((size_t)256 << 20)
LB_NODISCARD lb_status lb_fs_read(const char *path, char **text, size_t *len);
LB_NODISCARD lb_status lb_fs_read_most(const char *path, size_t most, char **text, size_t *len);
/* All that a pipe gives until its other end is closed. LB_E_INTERRUPTED at the first signal. */
LB_NODISCARD lb_status lb_fs_read_pipe(const char *path, size_t most, char **text, size_t *len);
bool lb_fs_is_pipe(const char *path);
/* Until one of poll(2)'s events is there. LB_E_INTERRUPTED at the first signal. */
LB_NODISCARD lb_status lb_fs_wait(int fd, int events, const char *path);
/* Writes to path.tmp.PID in the same folder, syncs, renames, syncs the folder: whole or not at all. A link is replaced,
 * not followed; a device or a pipe is an error. */
LB_NODISCARD lb_status lb_fs_write_atomic(const char *path, const void *data, size_t len);
/* For a path that the user typed: a device or a pipe, itself or behind a link (/dev/stdout), is written as it is. */
LB_NODISCARD lb_status lb_fs_write_named(const char *path, const void *data, size_t len);
/* For writers that need a path: begin gives the temporary name, at which nothing is, commit syncs and renames it, abort
 * removes it. Not for devices and pipes. */
typedef struct lb_fs_tmp {
    char *path, *tmp;
} lb_fs_tmp;
LB_NODISCARD lb_status lb_fs_tmp_begin(const char *path, lb_fs_tmp *t);
LB_NODISCARD lb_status lb_fs_tmp_commit(lb_fs_tmp *t);
void lb_fs_tmp_abort(lb_fs_tmp *t); /* also frees; harmless after commit */
/* The same for a folder of files (fs_folder.c), such as a model: begin makes path.tmp.PID, and parents that are
 * missing, commit syncs and renames it. LB_E_ARG at begin, before any work: a link, a file, a folder that is not empty
 * or that a file system is mounted on. What processes left that were killed at the same path goes. */
typedef struct lb_fs_folder {
    char *path, *tmp;
    char *made; /* the topmost parent that begin made, or NULL */
    int lock;   /* held while it is under way, or -1 */
} lb_fs_folder;
LB_NODISCARD lb_status lb_fs_folder_begin(const char *path, lb_fs_folder *f);
LB_NODISCARD lb_status lb_fs_folder_commit(lb_fs_folder *f);
void lb_fs_folder_abort(lb_fs_folder *f); /* removes and frees; harmless after commit and for {0} */
/* Appends one line and fsyncs: the journal. A link there is LB_E_IO. */
LB_NODISCARD lb_status lb_fs_append_line(const char *path, const char *line);

LB_NODISCARD lb_status lb_fs_mkdirs(const char *path); /* like mkdir -p */
LB_NODISCARD lb_status lb_fs_sync_folder(const char *dir);
/* The last step of whatever is made under a temporary name, which has been synced: renames it, syncs the folder it is
 * in. All that takes memory or may be refused comes before the rename. LB_E_NOMEM: a library was refused memory before.
 */
LB_NODISCARD lb_status lb_fs_publish(const char *tmp, const char *path);
bool lb_fs_exists(const char *path);
bool lb_fs_there(const char *path); /* something of that name, be it a link that leads nowhere */
bool lb_fs_is_dir(const char *path);
LB_NODISCARD lb_status lb_fs_list(const char *dir, const char *suffix, char ***names,
                                  size_t *n); /* sorted; lb_fs_list_free */
void lb_fs_list_free(char **names, size_t n);
LB_NODISCARD lb_status lb_fs_bytes(const char *path, int64_t *out);      /* of a file */
LB_NODISCARD lb_status lb_fs_free_bytes(const char *path, int64_t *out); /* free disk space there */

/* fs_clean.c: in folders that others may have filled. Links are removed themselves; nothing behind one is looked at,
 * written or removed. Removing is best effort. */
bool lb_fs_is_link(const char *path);
/* lb_fs_mkdirs, but a link as the last part of the name is LB_E_IO. */
LB_NODISCARD lb_status lb_fs_own_folder(const char *path);
void lb_fs_remove_folder(const char *dir); /* with the files in it; nothing below it */
/* What in the folder has a name that this program makes, folders with the files in them. Of a folder that is a link:
 * nothing. */
typedef bool lb_fs_ours(const char *name, bool folder);
void lb_fs_remove_ours(const char *dir, lb_fs_ours *ours);
/* The PID in NAME.tmp.PID, what lb_fs_tmp and lb_fs_folder write to, with `end` behind it ("" or the extension that a
 * program adds to the name it is given), if NAME is one of these, or ends in one of them that begins with a dot (the
 * list ends with NULL; no list: any NAME). *n: its digits. NULL: no such name. */
const char *lb_fs_tmp_pid(const char *name, const char *end, const char *const *made, size_t *n);
/* The first n characters are the number of a process that is no more: what has it in its name was left. */
bool lb_fs_dead(const char *pid, size_t n);

char *lb_fs_join(const char *dir,
                 const char *name);    /* lb_free; an absolute name stands alone; NULL when memory is out */
char *lb_fs_dirname(const char *path); /* lb_free */
const char *lb_fs_basename(const char *path);

#endif
