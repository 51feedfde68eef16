#include "support/run_cli.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "support/support.h"

enum { MAX_WORDS = 64 };

static void program(char path[PATH_MAX]) {
    const char *build = getenv("BUILD");
    char relative[PATH_MAX];
    snprintf(relative, sizeof relative, "%s/lowbit", build && *build ? build : "build/release");
    if (!realpath(relative, path)) fail_msg("%s: %s", relative, strerror(errno));
}

static bool on_path(const char *program) {
    char path[LB_TEST_PATH];
    bool found = false;
    for (const char *p = getenv("PATH"); p && *p && !found; p += strcspn(p, ":"), p += *p == ':') {
        snprintf(path, sizeof path, "%.*s/%s", (int)strcspn(p, ":"), p, program);
        found = access(path, X_OK) == 0;
    }
    return found;
}

void cli_quick_figures(void) {
    const char *path = getenv("PATH");
    char quick[LB_TEST_PATH];
    lb_test_fixture("tests/quick", quick);
    if (!on_path("gnuplot") || strstr(path, quick)) return;
    lb_str s = {0};
    lb_str_add(&s, "%s:%s", quick, path);
    assert_ok(lb_str_check(&s));
    assert_int_equal(setenv("PATH", s.s, 1), 0);
    lb_str_free(&s);
}

/* In the child: only calls that are allowed after fork. Whoever hangs is ended. */
static void become(const char *path, const cli_options *o, const char *const *words, int out, int err) {
    char *argv[MAX_WORDS + 2] = {(char *)path};
    for (int i = 0; words[i] && i < MAX_WORDS; i++) argv[i + 1] = (char *)words[i];
    alarm(o && o->seconds ? o->seconds : 300);
    for (int i = 0; o && o->env[i]; i++) putenv((char *)o->env[i]);
    if (o && o->cwd && chdir(o->cwd) != 0) _exit(126);
    if (o && o->file_limit) {
        struct rlimit l = {(rlim_t)o->file_limit, (rlim_t)o->file_limit};
        if (setrlimit(RLIMIT_FSIZE, &l) != 0) _exit(126);
    }
    if (o && o->address_space) {
        struct rlimit l = {(rlim_t)o->address_space, (rlim_t)o->address_space};
        if (setrlimit(RLIMIT_AS, &l) != 0) _exit(126);
    }
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    execv(path, argv);
    _exit(127);
}

static int code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

static char *slurp_fd(int fd) {
    off_t n = lseek(fd, 0, SEEK_END);
    char *text = calloc(1, (size_t)n + 1);
    if (!text || pread(fd, text, (size_t)n, 0) != n) fail_msg("cannot read back the output");
    close(fd);
    return text;
}

static int scratch_fd(void) {
    char name[] = "/tmp/lowbit-cli.XXXXXX";
    int fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0) fail_msg("%s: %s", name, strerror(errno));
    unlink(name);
    return fd;
}

cli_result cli_run(const cli_options *o, const char *const *words) {
    char path[PATH_MAX];
    program(path);
    /* Written to files, not pipes: a file limit would count against them, so they are opened before it is set, and the
     * output of a test is far below any limit used. */
    int out = scratch_fd(), err = scratch_fd(), status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) become(path, o, words, out, err);
    if (pid < 0 || waitpid(pid, &status, 0) != pid) fail_msg("cannot run %s", path);
    cli_result r = {.code = code_of(status)};
    r.out = slurp_fd(out);
    r.err = slurp_fd(err);
    return r;
}

void cli_free(cli_result *r) {
    free(r->out);
    free(r->err);
    *r = (cli_result){0};
}

pid_t cli_start(const cli_options *o, const char *const *words) {
    char path[PATH_MAX];
    program(path);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) become(path, o, words, null, null);
    if (pid < 0) fail_msg("cannot run %s", path);
    close(null);
    return pid;
}

int cli_wait(pid_t pid) {
    int status = 0;
    if (waitpid(pid, &status, 0) != pid) fail_msg("cannot wait for the program");
    return code_of(status);
}

bool cli_wait_for(pid_t pid, const char *path) {
    for (int i = 0; i < 30000; i++) {
        if (access(path, F_OK) == 0) return true;
        siginfo_t info = {0};
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid)
            return access(path, F_OK) == 0;
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    return false;
}

int cli_shell(const char *command, char *out, size_t room) {
    FILE *p = popen(command, "r");
    assert_non_null(p);
    out[fread(out, 1, room - 1, p)] = 0;
    int status = pclose(p);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

void cli_has(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("'%s' is not in:\n%s", part, text);
}
void cli_has_not(const char *text, const char *part) {
    if (strstr(text, part)) fail_msg("'%s' is in:\n%s", part, text);
}
