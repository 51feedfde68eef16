/* gnuplot as a child process, without a shell. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "report/plot.h"

/* What the child said, up to a limit; the rest is read and dropped so that it never blocks. A child that never ends
 * does not outlive a signal to us. */
static lb_status read_all(int fd, pid_t pid, char *text, size_t cap) {
    size_t n = 0;
    char drop[512] = "";
    lb_status st = LB_OK;
    for (;;) {
        st = lb_fs_wait(fd, POLLIN, "gnuplot");
        if (st != LB_OK) {
            (void)kill(pid, SIGTERM);
            break;
        }
        bool room = n + 1 < cap;
        ssize_t got = read(fd, room ? text + n : drop, room ? cap - 1 - n : sizeof drop);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        if (room) n += (size_t)got;
    }
    text[n] = 0;
    return st;
}

/* In the child, where nothing but system calls is safe: it goes with its parent, however that ends, or pictures would
 * appear in a folder that somebody else works on by then. Leaves an errno in `told` if gnuplot cannot be run. */
static void become(const char *dir, char *const *argv, int out, int told, pid_t parent) {
    int e = prctl(PR_SET_PDEATHSIG, SIGKILL) ? errno : 0;
    if (getppid() != parent) _exit(1); /* it ended before that */
    /* Away from the places of the three, which whoever started the program may have closed. */
    out = fcntl(out, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), told = fcntl(told, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int null = open("/dev/null", O_RDONLY);
    if (!e && (out < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0)) e = errno;
    if (!e && (dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0 || chdir(dir))) e = errno;
    if (!e) {
        (void)execvp(argv[0], argv);
        e = errno;
    }
    while (write(told, &e, sizeof e) < 0 && errno == EINTR) {
    }
    _exit(1);
}

/* An errno, or 0. */
static int start(const char *dir, char *const *argv, int out, pid_t *pid) {
    int told[2], e = 0;
    pid_t parent = getpid();
    if (pipe2(told, O_CLOEXEC)) return errno;
    *pid = fork();
    if (*pid == 0) become(dir, argv, out, told[1], parent);
    if (*pid < 0) e = errno;
    close(told[1]);
    ssize_t got = -1;
    while (*pid > 0 && (got = read(told[0], &e, sizeof e)) < 0 && errno == EINTR) {
    }
    close(told[0]);
    if (got <= 0) return e; /* gnuplot's, whose end of the pipe is closed */
    while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR) {
    }
    return e;
}

/* The last line that says something: gnuplot's message comes after the line it quotes. */
static const char *last_line(char *text) {
    char *line = text;
    for (char *p = strtok(text, "\n"); p; p = strtok(NULL, "\n"))
        if (strspn(p, " ^\t") != strlen(p)) line = p;
    return line + strspn(line, " \t");
}

lb_status lb_gnuplot_run(const char *dir, const char *script, const char *stem) {
    lb_str set = {0};
    lb_str_add(&set, "stem=");
    lb_plot_quote_as(&set, stem, LB_TABLE_TERMINAL);
    lb_status st = lb_str_check(&set);
    if (st != LB_OK) {
        lb_str_free(&set);
        return st;
    }
    int fd[2];
    if (pipe2(fd, O_CLOEXEC)) {
        lb_str_free(&set);
        return lb_fail(LB_E_IO, "gnuplot: no pipe: %s", strerror(errno));
    }
    /* Without the start-up files: those of a user would change every plot, one in the folder may be anybody's. */
    char *argv[] = {"gnuplot", "-d", "-e", set.s, (char *)script, NULL};
    pid_t pid = 0;
    int e = start(dir, argv, fd[1], &pid);
    close(fd[1]);
    lb_str_free(&set);
    char said[4096];
    int status = 0;
    if (!e) {
        st = read_all(fd[0], pid, said, sizeof said);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
    }
    close(fd[0]);
    LB_TRY(st);
    if (e == ENOENT && lb_fs_is_dir(dir)) return lb_fail(LB_E_UNSUPPORTED, "gnuplot is not on the PATH");
    if (e) return lb_fail(LB_E_IO, "gnuplot: %s", strerror(e));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return LB_OK;
    return lb_fail(LB_E_IO, "%s/%s: gnuplot failed: %s", dir, script, last_line(said));
}
