/* Linked around the thread team (ld --wrap): notes which functions a program runs in several threads, for tests/pieces.
 * Each is a line in the file that PIECES_TO names: the program, and the function's place in it. */
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/team.h"

/* NOLINTBEGIN(bugprone-reserved-identifier): ld's own names */
lb_status __real_lb_parallel_for(lb_team *t, int64_t n, lb_piece f, void *ctx);
lb_status __wrap_lb_parallel_for(lb_team *t, int64_t n, lb_piece f, void *ctx);
lb_status __real_lb_parallel_chains(lb_team *t, int64_t n, int64_t steps, lb_chain_step f, void *ctx);
lb_status __wrap_lb_parallel_chains(lb_team *t, int64_t n, int64_t steps, lb_chain_step f, void *ctx);

static _Thread_local bool inside; /* a piece: what it calls runs in its thread alone */

static int base_of(struct dl_phdr_info *info, size_t size, void *ctx) { /* the program itself comes first */
    (void)size;
    *(uintptr_t *)ctx = info->dlpi_addr;
    return 1;
}

static void note(uintptr_t f) {
    static uintptr_t seen[1024];
    static size_t n;
    const char *to = getenv("PIECES_TO");
    if (!to || inside) return;
    for (size_t i = 0; i < n; i++)
        if (seen[i] == f) return;
    if (n < sizeof seen / sizeof *seen) seen[n++] = f;
    uintptr_t base = 0;
    char program[512] = "", line[600];
    dl_iterate_phdr(base_of, &base);
    if (readlink("/proc/self/exe", program, sizeof program - 1) < 0) return;
    int fd = open(to, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    int k = snprintf(line, sizeof line, "%s 0x%lx\n", program, (unsigned long)(f - base));
    if (fd < 0 || write(fd, line, (size_t)k) != k) abort();
    close(fd);
}

typedef struct call {
    lb_piece piece;
    lb_chain_step step;
    void *ctx;
} call;

static lb_status run_piece(void *ctx, int64_t piece, int worker) {
    const call *c = ctx;
    bool was = inside;
    inside = true;
    lb_status s = c->piece(c->ctx, piece, worker);
    inside = was;
    return s;
}

static lb_status run_step(void *ctx, int64_t chain, int64_t step, int worker) {
    const call *c = ctx;
    bool was = inside;
    inside = true;
    lb_status s = c->step(c->ctx, chain, step, worker);
    inside = was;
    return s;
}

lb_status __wrap_lb_parallel_for(lb_team *t, int64_t n, lb_piece f, void *ctx) {
    if (inside || n < 2 || lb_team_threads(t) < 2) return __real_lb_parallel_for(t, n, f, ctx);
    note((uintptr_t)f);
    return __real_lb_parallel_for(t, n, run_piece, &(call){.piece = f, .ctx = ctx});
}

lb_status __wrap_lb_parallel_chains(lb_team *t, int64_t n, int64_t steps, lb_chain_step f, void *ctx) {
    if (inside || n < 2 || lb_team_threads(t) < 2) return __real_lb_parallel_chains(t, n, steps, f, ctx);
    note((uintptr_t)f);
    return __real_lb_parallel_chains(t, n, steps, run_step, &(call){.step = f, .ctx = ctx});
}
/* NOLINTEND(bugprone-reserved-identifier) */
