/* gnuplot as a child process, without a shell. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "report/plot.h"

extern char **environ;

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

static int start(const char *dir, char *const *argv, int out, pid_t *pid) {
    posix_spawn_file_actions_t fa;
    int e = posix_spawn_file_actions_init(&fa);
    if (e) return e;
    e = posix_spawn_file_actions_addchdir_np(&fa, dir);
    if (!e) e = posix_spawn_file_actions_addopen(&fa, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!e) e = posix_spawn_file_actions_adddup2(&fa, out, STDOUT_FILENO);
    if (!e) e = posix_spawn_file_actions_adddup2(&fa, out, STDERR_FILENO);
    if (!e) e = posix_spawnp(pid, argv[0], &fa, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&fa);
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
    pid_t pid;
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
