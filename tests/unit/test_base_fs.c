#include "support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/kind.h"
#include "base/mem.h"

static char *in(const char *dir, const char *name) {
    char *p = lb_fs_join(dir, name);
    assert_non_null(p);
    return p;
}

static void expect_text(const char *path, const char *want) {
    char *text;
    size_t n;
    assert_ok(lb_fs_read(path, &text, &n));
    assert_int_equal(n, strlen(want));
    assert_string_equal(text, want);
    lb_free(text);
}

static size_t entries(const char *dir) {
    char **names;
    size_t n;
    assert_ok(lb_fs_list(dir, NULL, &names, &n));
    lb_fs_list_free(names, n);
    return n;
}

static void write_read_map(void **state) {
    (void)state;
    const char *dir = lb_test_tmpdir();
    char *path = in(dir, "a.txt"), hex[LB_HASH_HEX];
    assert_ok(lb_fs_write_atomic(path, "first", 5));
    assert_ok(lb_fs_write_atomic(path, "abc", 3));
    expect_text(path, "abc");
    assert_int_equal(entries(dir), 1); /* no temporary file is left */
    lb_map m;
    assert_ok(lb_map_open(path, &m));
    assert_int_equal(m.size, 3);
    assert_memory_equal(m.data, "abc", 3);
    assert_string_equal(m.path, path);
    lb_map_close(&m);
    lb_map_close(&m);
    assert_ok(lb_hash_file(path, hex));
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    lb_free(path);
}

static void large_files(void **state) {
    (void)state;
    enum { N = 3 * 1024 * 1024 + 17 };
    char *data = malloc(N), *back, a[LB_HASH_HEX], b[LB_HASH_HEX], *path = in(lb_test_tmpdir(), "big");
    for (int i = 0; i < N; i++) data[i] = (char)(i * 31 ^ i >> 8);
    size_t n;
    assert_ok(lb_fs_write_atomic(path, data, N));
    assert_ok(lb_fs_read(path, &back, &n));
    assert_true(n == N && memcmp(data, back, N) == 0 && back[N] == 0);
    assert_ok(lb_hash_file(path, a));
    assert_ok(lb_hash_bytes(data, N, b));
    assert_string_equal(a, b);
    lb_map m; /* forgotten pages come back as they were */
    assert_ok(lb_map_open(path, &m));
    assert_memory_equal(m.data, data, N);
    static const size_t part[][3] = {{0, 0, 0}, {512, 1000, 300001}, {512, 512, 7}, {1, N - 9, 9}};
    for (int i = 0; i < 4; i++) { /* from byte [0] on, without [2] bytes from [1] on */
        const size_t *p = part[i], first = p[2] ? p[1] - p[0] : N - p[0];
        memcpy(data, m.data + p[0], first);
        memcpy(data + first, m.data + p[0] + first + p[2], N - p[0] - first - p[2]);
        assert_ok(lb_hash_file_without(path, p[0], p[1], p[2], a));
        assert_ok(lb_hash_bytes(data, N - p[0] - p[2], b));
        assert_string_equal(a, b);
    }
    memcpy(data, m.data, N);
    lb_map_forget((const char *)m.data + 100, N - 200);
    lb_map_forget((const char *)m.data + 5000, 10);
    lb_map_forget(m.data, 0);
    assert_memory_equal(m.data, data, N);
    lb_map_close(&m);
    lb_free(back);
    lb_free(path);
    free(data);
}

static void failures_name_path_and_reason(void **state) {
    (void)state;
    const char *dir = lb_test_tmpdir();
    char *none = in(dir, "none"), *empty = in(dir, "empty"), *below = in(dir, "none/x"), *text, hex[LB_HASH_HEX];
    size_t n;
    int64_t bytes;
    char **names;
    lb_map m;
    assert_ok(lb_fs_write_atomic(empty, "", 0));
    assert_status(LB_E_FORMAT, lb_map_open(empty, &m));
    assert_error_has(empty);
    expect_text(empty, "");
    assert_status(LB_E_IO, lb_map_open(none, &m));
    assert_error_has("No such file");
    assert_error_has(none);
    assert_status(LB_E_IO, lb_map_open(dir, &m));
    assert_error_has("is a folder");
    assert_status(LB_E_IO, lb_fs_read(none, &text, &n));
    assert_status(LB_E_IO, lb_fs_read(dir, &text, &n));
    assert_status(LB_E_IO, lb_hash_file(none, hex));
    assert_status(LB_E_IO, lb_hash_file(dir, hex));
    assert_status(LB_E_IO, lb_fs_write_atomic(below, "x", 1));
    assert_error_has("No such file");
    assert_status(LB_E_IO, lb_fs_append_line(below, "x"));
    assert_status(LB_E_IO, lb_fs_list(none, NULL, &names, &n));
    assert_status(LB_E_IO, lb_fs_free_bytes(none, &bytes));
    assert_ok(lb_fs_free_bytes(dir, &bytes));
    assert_true(bytes >= 0);
    lb_free(none);
    lb_free(empty);
    lb_free(below);
}

/* A file that may not grow: the old one stays, and no temporary one. */
static void a_failed_write_changes_nothing(void **state) {
    (void)state;
    const char *dir = lb_test_tmpdir();
    char *path = in(dir, "kept");
    struct rlimit old, small;
    assert_ok(lb_fs_write_atomic(path, "old", 3));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 2;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    lb_status st = lb_fs_write_atomic(path, "new", 3);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_status(LB_E_IO, st);
    assert_error_has("File too large");
    expect_text(path, "old");
    assert_int_equal(entries(dir), 1);
    lb_free(path);
}

/* A link where a file is going to be is replaced; what it leads to stays as it is. */
static void links_are_not_written_through(void **state) {
    (void)state;
    const char *dir = lb_test_tmpdir();
    char *victim = in(dir, "victim"), *path = in(dir, "link"), tmp[LB_TEST_PATH];
    assert_ok(lb_fs_write_atomic(victim, "theirs", 6));
    assert_int_equal(symlink(victim, path), 0);
    snprintf(tmp, sizeof tmp, "%s.tmp.%ld", path, (long)getpid());
    assert_int_equal(symlink(victim, tmp), 0);
    assert_ok(lb_fs_write_atomic(path, "ours", 4));
    expect_text(victim, "theirs");
    expect_text(path, "ours");
    assert_false(lb_fs_is_link(path));
    assert_int_equal(entries(dir), 2);
    assert_int_equal(symlink(victim, tmp), 0);
    lb_fs_tmp t;
    assert_ok(lb_fs_tmp_begin(path, &t)); /* for a writer of its own: the name is free */
    assert_false(lb_fs_is_link(t.tmp));
    lb_fs_tmp_abort(&t);
    /* Even one that leads to a device is only a link, but for a path that the user typed. */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_ok(lb_fs_write_named(path, "away", 4));
    assert_true(lb_fs_is_link(path));
    assert_ok(lb_fs_write_atomic(path, "ours", 4));
    assert_false(lb_fs_is_link(path));
    assert_ok(lb_fs_write_named(path, "more", 4));
    expect_text(path, "more");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(victim, path), 0);
    assert_status(LB_E_IO, lb_fs_append_line(path, "{}"));
    assert_error_has("is a symbolic link, expected a file");
    expect_text(victim, "theirs");
    lb_free(victim);
    lb_free(path);
}

static bool is_mine(const char *name, bool folder) { return strncmp(name, folder ? "mine-d" : "mine", 4) == 0; }

/* Cleaning: own names only, links themselves, never what is behind one. */
static void cleaning_stays_inside(void **state) {
    (void)state;
    const char *dir = lb_test_tmpdir();
    char *victim = in(dir, "victim"), *kept = in(victim, "mine-too"), *work = in(dir, "work"), *link = in(dir, "link");
    char *mine[] = {in(work, "mine-link"), in(work, "mine-file"), in(work, "mine-d"), in(work, "mine-d/f")};
    char *theirs[] = {in(work, "theirs"), in(work, "theirs-link")};
    assert_ok(lb_fs_mkdirs(victim));
    assert_ok(lb_fs_write_atomic(kept, "keep", 4));
    assert_ok(lb_fs_mkdirs(mine[2]));
    assert_int_equal(symlink(victim, mine[0]) | symlink(victim, theirs[1]) | symlink(work, link), 0);
    assert_ok(lb_fs_write_atomic(mine[1], "x", 1));
    assert_ok(lb_fs_write_atomic(mine[3], "x", 1));
    assert_ok(lb_fs_write_atomic(theirs[0], "x", 1));
    lb_fs_remove_ours(link, is_mine);
    assert_int_equal(entries(work), 5); /* a folder that is a link: nothing */
    lb_fs_remove_ours(work, is_mine);
    assert_int_equal(entries(work), 2);
    expect_text(kept, "keep");
    assert_status(LB_E_IO, lb_fs_own_folder(theirs[1]));
    assert_error_has("is a symbolic link, expected a folder");
    lb_fs_remove_folder(theirs[1]);
    assert_int_equal(entries(work), 1);
    expect_text(kept, "keep");
    assert_ok(lb_fs_own_folder(theirs[1]));
    assert_int_equal(symlink(victim, mine[0]), 0);
    lb_fs_remove_folder(work); /* a folder in it stays, and it with that */
    assert_int_equal(entries(work), 1);
    expect_text(kept, "keep");
    for (int i = 0; i < 4; i++) lb_free(mine[i]);
    for (int i = 0; i < 2; i++) lb_free(theirs[i]);
    lb_free(victim);
    lb_free(kept);
    lb_free(work);
    lb_free(link);
}

static void temporary_files(void **state) {
    (void)state;
    const char *dir = lb_test_tmpdir();
    char *path = in(dir, "x.h5");
    lb_fs_tmp t;
    for (int commit = 0; commit < 2; commit++) {
        assert_ok(lb_fs_tmp_begin(path, &t));
        assert_true(strncmp(t.tmp, path, strlen(path)) == 0 && strcmp(t.tmp, path) != 0);
        FILE *f = fopen(t.tmp, "w");
        assert_non_null(f);
        fputs("data", f);
        fclose(f);
        assert_false(lb_fs_exists(path));
        if (commit) assert_ok(lb_fs_tmp_commit(&t));
        lb_fs_tmp_abort(&t);
        assert_int_equal(entries(dir), commit);
    }
    expect_text(path, "data");
    assert_ok(lb_fs_tmp_begin(path, &t));
    assert_status(LB_E_IO, lb_fs_tmp_commit(&t)); /* nothing was written under the temporary name */
    lb_fs_tmp_abort(&t);
    expect_text(path, "data");
    lb_free(path);
}

/* A file is never put in the place of a pipe or a device. */
static void special_files(void **state) {
    (void)state;
    char path[LB_TEST_PATH], got[8] = "";
    struct stat st;
    lb_fs_tmp t;
    snprintf(path, sizeof path, "%s/pipe", lb_test_tmpdir());
    assert_int_equal(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDWR | O_NONBLOCK);
    assert_true(fd >= 0);
    assert_ok(lb_fs_write_named(path, "words", 5));
    assert_int_equal(read(fd, got, sizeof got), 5);
    assert_string_equal(got, "words");
    assert_status(LB_E_IO, lb_fs_tmp_begin(path, &t));
    assert_error_has("is a device or a pipe, expected a file");
    assert_status(LB_E_IO, lb_fs_write_atomic(path, "words", 5));
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    close(fd);
}

/* Opened without waiting, refused by what they are; a link that leads nowhere says where. */
static void only_files_are_read(void **state) {
    (void)state;
    static const char *const kinds[] = {"is a pipe", "is a device", "is a folder",
                                        "a link to ../blobs/gone, which is not there"};
    const char *dir = lb_test_tmpdir();
    char *pipe = in(dir, "pipe"), *zero = in(dir, "zero"), *link = in(dir, "link"), *text, hex[LB_HASH_HEX];
    size_t n;
    lb_map m;
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_int_equal(symlink("/dev/zero", zero), 0);
    assert_int_equal(symlink("../blobs/gone", link), 0);
    const char *const path[] = {pipe, zero, dir, link};
    for (size_t i = 0; i < 4; i++) {
        assert_status(LB_E_IO, lb_map_open(path[i], &m));
        assert_error_has(kinds[i]);
        assert_status(LB_E_IO, lb_fs_read(path[i], &text, &n));
        assert_error_has(kinds[i]);
        assert_status(LB_E_IO, lb_hash_file(path[i], hex));
        assert_error_has(kinds[i]);
        assert_true(lb_fs_there(path[i]) && lb_fs_exists(path[i]) == (i < 3));
    }
    lb_free(pipe);
    lb_free(zero);
    lb_free(link);
}

static void large_files_are_refused(void **state) {
    (void)state;
    char *path = in(lb_test_tmpdir(), "sparse"), *text;
    size_t n;
    assert_ok(lb_fs_write_atomic(path, "x", 1));
    assert_int_equal(truncate(path, (off_t)4 << 30), 0);
    assert_status(LB_E_FORMAT, lb_fs_read_most(path, 1 << 20, &text, &n));
    assert_error_has("sparse: larger than 1 MiB, the most that is read of such a file");
    assert_int_equal(truncate(path, 1 << 20), 0);
    assert_ok(lb_fs_read_most(path, 1 << 20, &text, &n));
    assert_int_equal(n, 1 << 20);
    lb_free(text);
    lb_free(path);
}

/* ---- pipes ---- */

typedef struct feeder {
    const char *path;
    size_t bytes;
} feeder;

/* Opens late and pauses, so that the reader has to wait for the first byte and for a later one. */
static void *feed(void *arg) {
    const feeder *f = arg;
    struct timespec pause = {0, 200000000};
    nanosleep(&pause, NULL);
    int fd = open(f->path, O_WRONLY);
    char part[1000];
    memset(part, 'a', sizeof part);
    for (size_t left = f->bytes; fd >= 0 && left;) {
        ssize_t n = write(fd, part, left < sizeof part ? left : sizeof part);
        if (n <= 0) break;
        if (left == f->bytes) nanosleep(&pause, NULL);
        left -= (size_t)n;
    }
    if (fd >= 0) close(fd);
    return NULL;
}

static void pipes_are_read_whole(void **state) {
    (void)state;
    char *path = in(lb_test_tmpdir(), "pipe"), *text;
    size_t n;
    pthread_t t;
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_true(lb_fs_is_pipe(path));
    assert_int_equal(pthread_create(&t, NULL, feed, &(feeder){path, 300000}), 0);
    assert_ok(lb_fs_read_pipe(path, 1 << 20, &text, &n));
    pthread_join(t, NULL);
    assert_int_equal(n, 300000);
    assert_int_equal(strspn(text, "a"), n);
    lb_free(text);
    assert_int_equal(pthread_create(&t, NULL, feed, &(feeder){path, (2 << 20) + 1}), 0);
    assert_status(LB_E_FORMAT, lb_fs_read_pipe(path, 2 << 20, &text, &n));
    pthread_join(t, NULL);
    assert_error_has("larger than 2 MiB");
    lb_interrupt_request(); /* nobody ever writes */
    assert_status(LB_E_INTERRUPTED, lb_fs_read_pipe(path, 1 << 20, &text, &n));
    lb_interrupt_clear();
    assert_status(LB_E_IO, lb_fs_read_pipe("/dev/zero", 1 << 20, &text, &n));
    assert_error_has("is a device, expected a pipe");
    lb_free(path);
}

/* Reads late and slowly from a pipe that holds less than what comes. */
typedef struct drain_job {
    const char *path;
    size_t total;
} drain_job;

static void *drain(void *arg) {
    drain_job *d = arg;
    struct timespec pause = {0, 200000000};
    char part[65536];
    nanosleep(&pause, NULL);
    int fd = open(d->path, O_RDONLY);
    for (ssize_t n; fd >= 0 && (n = read(fd, part, sizeof part)) > 0; d->total += (size_t)n)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    if (fd >= 0) close(fd);
    return NULL;
}

static void pipes_are_written_whole(void **state) {
    (void)state;
    static char bytes[500000];
    char *path = in(lb_test_tmpdir(), "out");
    drain_job d = {path, 0};
    pthread_t t;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(pthread_create(&t, NULL, drain, &d), 0);
    assert_ok(lb_fs_write_named(path, bytes, sizeof bytes));
    pthread_join(t, NULL);
    assert_int_equal(d.total, sizeof bytes);
    lb_interrupt_request(); /* nobody ever reads */
    assert_status(LB_E_INTERRUPTED, lb_fs_write_named(path, bytes, sizeof bytes));
    lb_interrupt_clear();
    lb_free(path);
}

static void kinds_of_bytes(void **state) {
    (void)state;
#define KIND(bytes) lb_kind_of(bytes, sizeof(bytes) - 1)
    assert_string_equal(KIND("\xff\xfe"
                             "a\0"),
                        "UTF-16 text, little-endian");
    assert_string_equal(KIND("\xfe\xff\0a"), "UTF-16 text, big-endian");
    assert_string_equal(KIND("\xff\xfe\0\0a\0\0\0"), "UTF-32 text, little-endian");
    assert_string_equal(KIND("\0\0\xfe\xff\0\0\0a"), "UTF-32 text, big-endian");
    assert_string_equal(KIND("\x1f\x8b\x08"), "gzip data");
    assert_string_equal(KIND("PK\3\4"), "a zip archive");
    assert_string_equal(KIND("BZh91AY&SY"), "bzip2 data");
    assert_string_equal(KIND("PAR1 and so on PAR1"), "a Parquet file");
    assert_string_equal(KIND("t\0h\0e\0 \0t\0e\0x\0t\0"), "UTF-16 text, little-endian");
    assert_string_equal(KIND("\0t\0h\0e\0 \0t\0e\0x\0t"), "UTF-16 text, big-endian");
    assert_string_equal(KIND("t\0\0\0h\0\0\0e\0\0\0\x2a\x4e\0\0"), "UTF-32 text, little-endian");
    assert_string_equal(KIND("\0\0\0t\0\0\0h\0\0\0e\0\0\x4e\x2a"), "UTF-32 text, big-endian");
    static const char *const texts[] = {"",      "PK",          "PAR1 is a name", "BZh is another",
                                        "plain", "caf\xc3\xa9", "\xff",           "\xef\xbb\xbftext"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) assert_null(lb_kind_of(texts[i], strlen(texts[i])));
    assert_null(KIND("some text with \0 in it, and \0 again, as a dump of a list may have"));
    assert_int_equal(lb_utf8_mark("\xef\xbb\xbf", 3), 3);
    assert_int_equal(lb_utf8_mark("\xef\xbb", 2), 0);
}

static void journal_lines(void **state) {
    (void)state;
    char *path = in(lb_test_tmpdir(), "j.jsonl");
    assert_ok(lb_fs_append_line(path, "{\"a\":1}"));
    assert_ok(lb_fs_append_line(path, ""));
    assert_ok(lb_fs_append_line(path, "b"));
    expect_text(path, "{\"a\":1}\n\nb\n");
    assert_status(LB_E_ARG, lb_fs_append_line(path, "two\nlines"));
    assert_ok(lb_fs_write_atomic(path, "whole\ntor", 9)); /* a writer killed inside a line */
    assert_ok(lb_fs_append_line(path, "next"));
    expect_text(path, "whole\ntor\nnext\n");
    lb_free(path);
}

static void folders(void **state) {
    (void)state;
    const char *dir = lb_test_tmpdir();
    char *deep = in(dir, "a/b//c/"), *file = in(dir, "a/f"), *under = in(dir, "a/f/g"), *a = in(dir, "a");
    assert_ok(lb_fs_mkdirs(deep));
    assert_ok(lb_fs_mkdirs(deep));
    assert_true(lb_fs_is_dir(deep));
    assert_ok(lb_fs_write_atomic(file, "x", 1));
    assert_false(lb_fs_is_dir(file));
    assert_true(lb_fs_exists(file));
    assert_status(LB_E_IO, lb_fs_mkdirs(file));
    assert_error_has("not a folder");
    assert_status(LB_E_IO, lb_fs_mkdirs(under));
    assert_ok(lb_fs_mkdirs("."));
    assert_ok(lb_fs_mkdirs("/"));
    /* What cannot be made says why: another user's folder, not one that is missing. */
    char *closed = in(dir, "closed");
    assert_ok(lb_fs_mkdirs(closed));
    assert_return_code(chmod(dir, 0711), errno);
    assert_return_code(chmod(closed, 0555), errno);
    /* From within: whoever else root becomes may not pass the folders above. */
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_return_code(here, errno);
    assert_return_code(chdir(dir), errno);
    bool root = geteuid() == 0;
    if (root) assert_return_code(seteuid(65534), errno);
    lb_status st = lb_fs_mkdirs("closed/x/y");
    if (root) assert_return_code(seteuid(0), errno);
    assert_return_code(fchdir(here), errno);
    assert_return_code(close(here), errno);
    assert_status(LB_E_IO, st);
    assert_error_has("closed/x: cannot make the folder: Permission denied");
    lb_free(closed);
    static const char *const make[] = {"z.h5", "b.h5", "a.csv", "c.h5", "h5"};
    for (int i = 0; i < 5; i++) {
        char *p = in(a, make[i]);
        assert_ok(lb_fs_write_atomic(p, "x", 1));
        lb_free(p);
    }
    char **names;
    size_t n;
    assert_ok(lb_fs_list(a, ".h5", &names, &n));
    assert_int_equal(n, 3);
    assert_string_equal(names[0], "b.h5");
    assert_string_equal(names[1], "c.h5");
    assert_string_equal(names[2], "z.h5");
    lb_fs_list_free(names, n);
    assert_int_equal(entries(a), 7);
    char *flat = in(a, "flat"), *inside = in(flat, "x");
    assert_ok(lb_fs_mkdirs(flat));
    assert_ok(lb_fs_write_atomic(inside, "x", 1));
    lb_fs_remove_folder(flat);
    assert_false(lb_fs_exists(flat));
    lb_fs_remove_folder(flat); /* nothing there: nothing to do */
    lb_free(flat);
    lb_free(inside);
    lb_free(deep);
    lb_free(file);
    lb_free(under);
    lb_free(a);
}

static void paths(void **state) {
    (void)state;
    static const char *const join[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"a", "/b", "/b"}, {"", "b", "b"}, {"/", "b", "/b"}};
    static const char *const split[][3] = {
        {"a/b.c", "a", "b.c"}, {"b", ".", "b"}, {"/b", "/", "b"}, {"a/b/c", "a/b", "c"}};
    for (int i = 0; i < 5; i++) {
        char *p = lb_fs_join(join[i][0], join[i][1]);
        assert_string_equal(p, join[i][2]);
        lb_free(p);
    }
    for (int i = 0; i < 4; i++) {
        char *p = lb_fs_dirname(split[i][0]);
        assert_string_equal(p, split[i][1]);
        assert_string_equal(lb_fs_basename(split[i][0]), split[i][2]);
        lb_free(p);
    }
}

/* A source is found by its content: listed or not, and never because a list says so alone. */
static void sources_by_hash(void **state) {
    (void)state;
    const char *dir = lb_test_tmpdir();
    char path[LB_TEST_PATH], hex[2][LB_HASH_HEX], list[400];
    char *sub = in(dir, "sub"), *one = in(sub, "one"), *two = in(dir, "two"), *sums = in(dir, "SHA256SUMS");
    assert_ok(lb_fs_mkdirs(sub));
    assert_ok(lb_fs_write_atomic(one, "content one", 11));
    assert_ok(lb_fs_write_atomic(two, "content two", 11));
    assert_ok(lb_hash_file(one, hex[0]));
    assert_ok(lb_hash_file(two, hex[1]));
    setenv("LOWBIT_SOURCES", dir, 1);
    lb_test_source(hex[0], path);
    assert_string_equal(path, one);
    snprintf(list, sizeof list, "%s  ./gone\n%s  ./two\n", hex[0], hex[1]);
    assert_ok(lb_fs_write_atomic(sums, list, strlen(list)));
    lb_test_source(hex[0], path); /* the list is wrong about it */
    assert_string_equal(path, one);
    lb_test_source(hex[1], path);
    assert_string_equal(path, two);
    unsetenv("LOWBIT_SOURCES");
    lb_free(sub);
    lb_free(one);
    lb_free(two);
    lb_free(sums);
}

static void a_source_nobody_has(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    lb_test_source("0000000000000000000000000000000000000000000000000000000000000000", path);
}

/* Here a missing source skips its test; under CI=true it fails it: this program is run again to see both. */
static void missing_sources(void **state) {
    (void)state;
    char self[LB_TEST_PATH], command[LB_TEST_PATH + 100];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(n > 0);
    self[n] = 0;
    for (int ci = 0; ci < 2; ci++) {
        snprintf(command, sizeof command, "CI=%s '%s' missing >/dev/null 2>&1", ci ? "true" : "", self);
        assert_int_equal(system(command) != 0, ci);
    }
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "missing") == 0) {
        const struct CMUnitTest missing[] = {cmocka_unit_test(a_source_nobody_has)};
        return cmocka_run_group_tests_name("a missing source", missing, NULL, NULL);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_sources),
        cmocka_unit_test(write_read_map),
        cmocka_unit_test(large_files),
        cmocka_unit_test(failures_name_path_and_reason),
        cmocka_unit_test(a_failed_write_changes_nothing),
        cmocka_unit_test(links_are_not_written_through),
        cmocka_unit_test(cleaning_stays_inside),
        cmocka_unit_test(temporary_files),
        cmocka_unit_test(special_files),
        cmocka_unit_test(only_files_are_read),
        cmocka_unit_test(large_files_are_refused),
        cmocka_unit_test(pipes_are_read_whole),
        cmocka_unit_test(pipes_are_written_whole),
        cmocka_unit_test(kinds_of_bytes),
        cmocka_unit_test(journal_lines),
        cmocka_unit_test(folders),
        cmocka_unit_test(paths),
        cmocka_unit_test(sources_by_hash),
    };
    return cmocka_run_group_tests_name("base/fs", tests, NULL, NULL);
}
