#include "cli/crash.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/live.h"
#include "base/status.h"

static const int faults[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
enum { FAULTS = sizeof faults / sizeof faults[0], STACK = 1 << 16 };
static struct sigaction before[FAULTS]; /* a sanitizer has handlers of its own */
static const char *command;
static pid_t owner; /* a child process is not the program */

/* What follows runs in signal handlers, and where there is no memory. */

static void say(const char *a, const char *b, const char *c) {
    const char *const part[] = {"lowbit ", command, ": ", a, b, c, "\n"};
    char text[8192];
    size_t n = 0;
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) {
        size_t more = strlen(part[i]);
        if (more > sizeof text - n) more = sizeof text - n;
        memcpy(text + n, part[i], more);
        n += more;
    }
    if (write(STDERR_FILENO, text, n) < 0) return; /* nobody listens */
}

static bool starving(void) { return lb_starved_bytes() > 0; }

static const char *name_of(int sig) {
    switch (sig) {
    case SIGSEGV:
        return "segmentation fault";
    case SIGBUS:
        return "bus error";
    case SIGABRT:
        return "abort";
    case SIGFPE:
        return "arithmetic error";
    default:
        return "illegal instruction";
    }
}

static void on_fault(int sig, siginfo_t *info, void *context) {
    (void)context;
    bool mine = getpid() == owner;
    const char *file = sig == SIGBUS ? lb_live_file(info->si_addr) : NULL;
    if (mine && (file || starving())) {
        if (file)
            say(file, ": changed while it was read: it has become shorter, or its disk failed", "");
        else
            say("out of memory: a library was refused some, and ended the program (", name_of(sig), ")");
        lb_live_remove_tmp();
        _exit(EXIT_FAILURE);
    }
    if (mine) {
        say("ended by a fault in the program or in a library (", name_of(sig), "); finished cells are kept");
        lb_live_remove_tmp();
    }
    for (size_t i = 0; i < FAULTS; i++)
        if (faults[i] == sig) sigaction(sig, &before[i], NULL);
    raise(sig); /* when this handler returns: as it would have ended without it */
}

/* exit() by anybody but main. */
static void on_leaving(int code, void *unused) {
    (void)code, (void)unused;
    if (getpid() != owner) return;
    say(starving() ? "out of memory: a library was refused some, and ended the program"
                   : "a library ended the program: probably it is out of memory",
        "", "");
    lb_live_remove_tmp();
    _exit(EXIT_FAILURE);
}

void lb_crash_begin(const char *name) {
    static char stack[STACK];
    stack_t own = {.ss_sp = stack, .ss_size = sizeof stack}, now;
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    command = name;
    owner = getpid();
    sigemptyset(&sa.sa_mask);
    /* Of the thread that started: where it is its stack that ran out. */
    if (sigaltstack(NULL, &now) == 0 && now.ss_flags & SS_DISABLE) (void)sigaltstack(&own, NULL);
    for (size_t i = 0; i < FAULTS; i++) sigaction(faults[i], &sa, &before[i]);
    (void)on_exit(on_leaving, NULL);
}

void lb_crash_end(void) { owner = 0; }
