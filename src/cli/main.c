/* Entry point: finds the subcommand, parses, runs, prints the error and picks the exit code (0 done, 1 failed, 2 wrong
 * usage, 130 interrupted). */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/crash.h"
#include "math/bf16.h"
#include "math/kernels.h"

enum { EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

/* The first Ctrl-C asks for an orderly stop; a second one ends the program at once. */
static void on_signal(int sig) {
    if (lb_interrupted()) {
        signal(sig, SIG_DFL);
        raise(sig);
    }
    lb_interrupt_request();
}

static void catch_signals(void) {
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = on_signal;
    sa.sa_flags = SA_RESTART;
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    /* A write past a file size limit then fails with an error that names the file. */
    signal(SIGXFSZ, SIG_IGN);
}

static void print_failure(const char *command) {
    (void)fflush(stdout); /* both may go to one file */
    fprintf(stderr, "lowbit%s%s: ", command[0] ? " " : "", command);
    lb_cli_put(stderr, lb_error());
    fputc('\n', stderr);
    if (getenv("LOWBIT_TRACE")) fprintf(stderr, "%s", lb_error_frames());
}

static const lb_command *find_command(const char *name) {
    for (size_t i = 0; lb_commands[i]; i++)
        if (strcmp(lb_commands[i]->name, name) == 0) return lb_commands[i];
    return NULL;
}

static int unknown_command(const char *name) {
    const char *known[64];
    size_t n = 0;
    for (; n < 64 && lb_commands[n]; n++) known[n] = lb_commands[n]->name;
    const char *near = lb_str_nearest(name, known, n);
    fprintf(stderr, "lowbit: unknown command '%s'", name);
    if (near) fprintf(stderr, ": did you mean '%s'?", near);
    fprintf(stderr, "\nlowbit help lists the commands\n");
    return EXIT_USAGE;
}

static int print_help(const lb_command *c) {
    lb_str out = {0};
    lb_cli_help(c, &out);
    if (!out.failed && out.s) lb_cli_print(out.s);
    lb_str_free(&out);
    return 0;
}

/* Where a library was refused memory, whatever else failed came of that. */
static lb_status or_starved(const lb_command *c, lb_status st) {
    if (st != LB_OK) lb_memory_look();
    if (st == LB_E_NOMEM || lb_starved_bytes() == 0) return st;
    if (st == LB_OK) return c->looks_itself ? LB_OK : lb_starved_check();
    return lb_fail_in(LB_E_NOMEM, "out of memory: a library was refused %zu bytes, and then", lb_starved_bytes());
}

static int run_command(const lb_command *c, int argc, char **argv) {
    lb_arena *arena = NULL;
    if (lb_arena_new(0, &arena) != LB_OK) {
        print_failure(c->name);
        return EXIT_FAILURE;
    }
    int code = 0;
    bool help = false;
    lb_cli_args args = {0};
    void *flags = lb_arena_get(arena, 1, c->flags.struct_size + 1);
    lb_status st = flags ? lb_cli_parse(c, argc, argv, arena, flags, &args, &help) : LB_E_NOMEM;
    if (st == LB_E_NOMEM) {
        print_failure(c->name);
        code = EXIT_FAILURE;
    } else if (st != LB_OK) {
        print_failure(c->name);
        fprintf(stderr, "usage: lowbit %s %s\n", c->name, c->usage);
        code = EXIT_USAGE;
    } else if (help && !(c->names_help && args.n_positional)) {
        code = print_help(c);
    } else {
        lb_log *log = lb_cli_log(getenv("LOWBIT_QUIET") != NULL);
        st = c->run(&args, flags, arena, log, &code);
        if (st != LB_E_INTERRUPTED) st = or_starved(c, st);
        lb_cli_log_end(log);
        if (st != LB_OK) {
            print_failure(c->name);
            code = st == LB_E_INTERRUPTED ? EXIT_INTERRUPTED : EXIT_FAILURE;
        }
    }
    lb_arena_free(arena);
    return code;
}

/* And what the build has that another may lack. */
static void print_version(void) {
    if (lb_bf16_version()[0])
        printf("lowbit " LB_VERSION_STRING "\noneDNN %s: compute: bf16\n", lb_bf16_version());
    else
        printf("lowbit " LB_VERSION_STRING "\nwithout oneDNN: no compute: bf16\n");
}

int main(int argc, char **argv) {
    setlocale(LC_ALL, "C.UTF-8");
    setlocale(LC_NUMERIC, "C");
    catch_signals();
    if (argc < 2) {
        print_help(NULL);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) return print_help(NULL);
    if (strcmp(argv[1], "--version") == 0) {
        print_version();
        return 0;
    }
    if (lb_kernels_init() != LB_OK) {
        print_failure("");
        return EXIT_USAGE;
    }
    const lb_command *c = find_command(argv[1]);
    if (!c) return unknown_command(argv[1]);
    lb_crash_begin(c->name);
    lb_memory_reserve();
    int code = run_command(c, argc - 2, argv + 2);
    lb_crash_end();
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "lowbit %s: writing to standard output failed\n", c->name);
        return code ? code : EXIT_FAILURE;
    }
    return code;
}
