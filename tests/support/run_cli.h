/* Runs the program as a user does: $BUILD/lowbit (build/release by default) in a folder of its own. */
#ifndef TESTS_SUPPORT_RUN_CLI_H
#define TESTS_SUPPORT_RUN_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct cli_result {
    int code;        /* exit code; 128 + signal */
    char *out, *err; /* what it printed; cli_free */
} cli_result;

typedef struct cli_options {
    const char *cwd;    /* folder to run in; NULL: here */
    long file_limit;    /* largest file in bytes, 0: none */
    long address_space; /* in bytes, 0: no limit */
    const char *env[8]; /* NAME=value, NULL-terminated */
    unsigned seconds;   /* after which it is taken to hang; 0: 300 */
} cli_options;

/* words: "run", "x.yaml", ..., NULL */
cli_result cli_run(const cli_options *o, const char *const *words);
void cli_free(cli_result *r);
#define CLI(o, ...) cli_run((o), (const char *const[]){__VA_ARGS__, NULL})

/* From here on figures are drawn as tests/quick/gnuplot does it, where there is gnuplot: for tests that look at their
 * texts at most. tests/unit/test_report_plots.c has every kind drawn whole. */
void cli_quick_figures(void);

/* Runs a command of the shell: what it prints to standard output, cut to the room and ended; its exit status. */
int cli_shell(const char *command, char *out, size_t room);

/* The text contains the part, or does not; or the running test fails and shows both. */
void cli_has(const char *text, const char *part);
void cli_has_not(const char *text, const char *part);

/* Starts it, with its output thrown away, and comes back. cli_wait: its exit code as above. */
pid_t cli_start(const cli_options *o, const char *const *words);
int cli_wait(pid_t pid);
/* Waits until a path exists (true), or the process has ended or half a minute has passed (false). */
bool cli_wait_for(pid_t pid, const char *path);

#endif
