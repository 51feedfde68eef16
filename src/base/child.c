#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

/* The sanitizers map terabytes, and tell what they found on standard error. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { PIPE = 3, FILES = 16, EXIT_STARVED = 3 };

/* Bytes of address space in use; 0 where /proc does not tell. */
static size_t mapped(void) {
    char text[64] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0) close(fd);
    return n > 0 ? (size_t)strtoull(text, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

/* What the child may map. scarce: this process may not map as much itself. */
static rlim_t address_space(size_t memory, bool *scarce) {
    struct rlimit now;
    size_t used = SANITIZED ? 0 : mapped();
    *scarce = false;
    if (getrlimit(RLIMIT_AS, &now)) return RLIM_INFINITY;
    rlim_t wanted = used ? (rlim_t)(used + memory) : RLIM_INFINITY;
    *scarce = now.rlim_cur != RLIM_INFINITY && now.rlim_cur < wanted;
    return *scarce ? now.rlim_cur : wanted;
}

/* Of the child, which has one thread. */
static size_t plenty;               /* what it may map without being the one to blame; 0: the limit is not its own */
static size_t space;                /* where memory is scarce: all that can be mapped */
static atomic_bool greedy, starved; /* of a process with threads, which may set them too, nobody asks */

bool lb_child_refused(size_t bytes) {
    bool beyond = plenty && (bytes > plenty || mapped() > plenty - bytes);
    if (beyond)
        greedy = true;
    else
        starved = true;
    return beyond;
}

lb_memory_state lb_child_memory(void) {
    return starved ? LB_MEMORY_STARVED : greedy ? LB_MEMORY_GREEDY : LB_MEMORY_FINE;
}

/* A stack that cannot grow is a fault, too. */
static bool is_full(void) {
    enum { STEP = 1 << 20 };
    return space && mapped() + STEP > space;
}

/* Libraries crash, or call exit(), for want of memory. */
static void on_fault(int sig) {
    if (starved || is_full()) _exit(EXIT_STARVED);
    (void)signal(sig, SIG_DFL);
    (void)raise(sig);
}
static void on_leaving(int code, void *unused) {
    (void)unused;
    _exit(starved ? EXIT_STARVED : code ? code : 1);
}

static void limit(int what, rlim_t most) {
    struct rlimit r;
    if (most == RLIM_INFINITY || getrlimit((__rlimit_resource_t)what, &r)) return;
    if (r.rlim_max == RLIM_INFINITY || r.rlim_max > most) r.rlim_max = most;
    r.rlim_cur = r.rlim_max;
    (void)setrlimit((__rlimit_resource_t)what, &r);
}

static void close_others(void) {
#ifdef SYS_close_range
    if (syscall(SYS_close_range, PIPE + 1, ~0u, 0) == 0) return;
#endif
    for (long fd = PIPE + 1, end = sysconf(_SC_OPEN_MAX); fd < end; fd++) close((int)fd);
}

static void confine(rlim_t allowed, int out) {
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t none;
    sigemptyset(&none);
    for (int s = 1; s < NSIG; s++) (void)sigaction(s, &plain, NULL);
    static const int fault[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE};
    static char stack[1 << 16];
    const stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
    const struct sigaction look = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK};
    if (!SANITIZED) (void)sigaltstack(&own, NULL);
    for (size_t i = 0; !SANITIZED && i < sizeof fault / sizeof fault[0]; i++) (void)sigaction(fault[i], &look, NULL);
    if (on_exit(on_leaving, NULL)) _exit(EXIT_STARVED);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    int nowhere = open("/dev/null", O_RDWR);
    for (int fd = 0; nowhere >= 0 && fd <= (SANITIZED ? 1 : 2); fd++) dup2(nowhere, fd);
    if (out != PIPE) dup2(out, PIPE);
    close_others();
    limit(RLIMIT_AS, allowed);
    limit(RLIMIT_NOFILE, FILES);
    limit(RLIMIT_FSIZE, 0);
    limit(RLIMIT_CORE, 0);
}

void lb_child_cpu(double seconds) {
    double whole = floor(seconds);
    struct itimerval t = {.it_value = {(time_t)whole, (suseconds_t)((seconds - whole) * 1e6)}};
    (void)setitimer(ITIMER_PROF, &t, NULL); /* SIGPROF ends the process */
}

bool lb_child_write(int out, const void *data, size_t n) {
    for (const char *p = data; n;) {
        ssize_t done = write(out, p, n);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

lb_status lb_child_start(lb_child_work *work, void *user, size_t memory, lb_child *c) {
    int fd[2];
    bool scarce;
    *c = (lb_child){.fd = -1};
    rlim_t allowed = address_space(memory, &scarce);
    if (pipe2(fd, O_CLOEXEC)) return lb_fail(LB_E_IO, "cannot make a pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid == 0) {
        starved = greedy = false;
        plenty = allowed == RLIM_INFINITY || scarce ? 0 : (size_t)allowed - memory / 2;
        space = scarce ? (size_t)allowed : 0;
        confine(allowed, fd[1]);
        bool done = work(user, PIPE);
        _exit(done ? 0 : lb_child_memory() == LB_MEMORY_GREEDY ? EXIT_FAILURE : EXIT_STARVED);
    }
    int why = errno;
    close(fd[1]);
    if (pid > 0) {
        c->pid = pid;
        c->fd = fd[0];
        return LB_OK;
    }
    close(fd[0]);
    return why == ENOMEM ? lb_fail(LB_E_NOMEM, "out of memory: cannot start a child process")
                         : lb_fail(LB_E_IO, "cannot start a child process: %s", strerror(why));
}

/* Its exit status. */
static int reap(lb_child *c, bool now) {
    int status = 0;
    if (now) (void)kill((pid_t)c->pid, SIGKILL);
    while (waitpid((pid_t)c->pid, &status, 0) < 0 && errno == EINTR) {
    }
    close(c->fd);
    c->pid = 0;
    c->fd = -1;
    return status;
}

void lb_child_end(lb_child *c) {
    if (c->pid) (void)reap(c, true);
}

/* It closed its end of the pipe before it said all. */
static lb_status ended_early(lb_child *c) {
    int status = reap(c, false), sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    LB_TRY(lb_interrupt_check()); /* Ctrl-C reaches both */
    if (sig == SIGPROF) return lb_fail(LB_E_FORMAT, "reading it takes too long");
    const char *how = sig ? strsignal(sig) : "an error";
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_STARVED)
        return lb_fail(LB_E_NOMEM, "out of memory while it was read");
    if (sig == SIGKILL) /* nothing here sends it to a child that this process still listens to */
        return lb_fail(LB_E_NOMEM, "out of memory: the system ended the process that read it");
    return lb_fail(LB_E_FORMAT, "reading it ended with: %s", how);
}

/* Waits in steps, so that a signal to this process ends the wait at once. */
static lb_status wait_for_more(lb_child *c, double end, int wall_s) {
    enum { STEP_MS = 100 };
    for (;;) {
        struct pollfd p = {c->fd, POLLIN, 0};
        int ready = poll(&p, 1, STEP_MS);
        LB_TRY(lb_interrupt_check());
        if (ready > 0) return LB_OK;
        if (lb_clock_s() > end) return lb_fail(LB_E_FORMAT, "reading it takes longer than %d s", wall_s);
    }
}

lb_status lb_child_read(lb_child *c, void *to, size_t n, int wall_s) {
    double end = lb_clock_s() + wall_s;
    for (char *p = to; n;) {
        lb_status st = wait_for_more(c, end, wall_s);
        ssize_t got = st == LB_OK ? read(c->fd, p, n) : -1;
        if (st == LB_OK && got < 0 && errno == EINTR) continue;
        if (st == LB_OK && got < 0) st = lb_fail(LB_E_IO, "cannot read from a child process: %s", strerror(errno));
        if (got == 0) return ended_early(c);
        if (st != LB_OK) {
            lb_child_end(c);
            return st;
        }
        p += got;
        n -= (size_t)got;
    }
    return LB_OK;
}
