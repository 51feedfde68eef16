/* Rows cut into panels give the bytes of whole products: for shapes of models and odd ones, on every core of OpenBLAS
 * that this processor can run, which is chosen when the library is loaded; and in bfloat16, where the processor has it.
 */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rng.h"
#include "base/team.h"
#include "math/blas.h"
#include "model/exec_impl.h"
#include "support/bf16.h"

typedef struct shape {
    int64_t T, dim, hidden;
} shape;
static const shape shapes[] = {{2048, 576, 1536}, {700, 576, 192}, {512, 64, 172}, {2000, 64, 32},  {1000, 33, 700},
                               {767, 129, 257},   {400, 2048, 2},  {777, 40, 5},   {600, 320, 1024}};

static lb_status shape_of(const void *ctx, const char *name, int64_t block, int64_t expert, lb_net_shape *out) {
    const shape *s = ctx;
    (void)block, (void)expert;
    *out = (lb_net_shape){.rows = s->hidden, .cols = s->dim};
    if (strcmp(name, "down") == 0) *out = (lb_net_shape){.rows = s->dim, .cols = s->hidden, .bias = true};
    if (strcmp(name, "one") == 0) *out = (lb_net_shape){.rows = 1, .cols = s->dim};
    return LB_OK;
}

typedef struct world {
    const shape *s;
    lb_arena *arena;
    lb_net *net;
    lb_weights w;
    lb_team *team;
    lb_bf16 *bf16;
} world;

static float *random_floats(lb_arena *a, int64_t n, uint64_t seed) {
    lb_rng r = lb_rng_make(seed, 9);
    float *out = LB_NEW(a, float, n);
    assert_non_null(out);
    for (int64_t i = 0; i < n; i++) out[i] = (float)lb_rng_normal(&r) * 0.1f;
    return out;
}

/* A site of one output, one that makes a value, and one that adds to x. */
static void open_world(const shape *s, world *x) {
    static const lb_program_text text = {
        "x = embed token up", "s = linear x one; h = linear x up; h = gate s h fn=sigmoid; x += linear h down",
        "y = head x up", NULL};
    static const lb_numbers none = {.blocks = 1};
    lb_program *p;
    *x = (world){.s = s};
    assert_ok(lb_arena_new(0, &x->arena));
    const lb_net_shapes all = {shape_of, s};
    assert_non_null(p = LB_NEW(x->arena, lb_program, 1));
    assert_ok(lb_program_parse(x->arena, "panels", &text, p));
    assert_ok(lb_net_new(x->arena, p, &none, &all, true, &x->net));
    x->w = (lb_weights){LB_NEW(x->arena, lb_linop, x->net->sites), LB_NEW(x->arena, const float *, 1)};
    assert_true(x->w.site && x->w.vector && x->net->vectors == 1);
    for (int32_t i = 0; i < x->net->sites; i++) {
        const lb_site *site = &x->net->site[i];
        x->w.site[i].W =
            lb_cmat_of(random_floats(x->arena, site->rows * site->cols, (uint64_t)i), site->rows, site->cols);
    }
    x->w.vector[0] = random_floats(x->arena, s->dim, 77);
}

static void round_weights(world *x) {
    for (int32_t i = 0; i < x->net->sites; i++) {
        size_t bytes;
        lb_linop *op = &x->w.site[i];
        assert_ok(lb_bf16_bytes(x->bf16, op->W.rows, op->W.cols, &bytes));
        assert_ok(lb_bf16_pack(x->bf16, op->W, lb_arena_get(x->arena, 1, bytes), &op->half));
    }
}

static lb_mat run(world *x, int64_t panel, lb_team *team) {
    lb_exec *e;
    int64_t T = x->s->T, dim = x->s->dim;
    lb_mat y = lb_mat_of(random_floats(x->arena, T * dim, 5), T, dim);
    assert_ok(lb_exec_new_panel(x->arena, x->net, T, panel, team, &e));
    if (x->bf16) assert_ok(lb_exec_add_half(x->arena, e));
    assert_ok(lb_exec_block(e, &x->w, 0, y, NULL));
    return y;
}

static bool same(lb_mat a, lb_mat b) { return memcmp(a.d, b.d, (size_t)(a.rows * a.cols) * sizeof *a.d) == 0; }

/* 0: all is the same; else one more than the place of the shape that is not. */
static int compare(bool half) {
    lb_team *team;
    assert_ok(lb_blas_init(2));
    assert_ok(lb_team_new(2, &team));
    for (int i = 0; i < (int)(sizeof shapes / sizeof shapes[0]); i++) {
        world x;
        open_world(&shapes[i], &x);
        if (half) assert_ok(lb_bf16_new(&x.bf16));
        if (half) round_weights(&x);
        lb_mat whole = run(&x, x.s->T, NULL);
        bool all = same(whole, run(&x, 0, NULL)) && same(whole, run(&x, 0, team)) && same(whole, run(&x, 576, NULL));
        lb_bf16_free(x.bf16);
        lb_arena_free(x.arena);
        if (!all) return i + 1;
    }
    lb_team_free(team);
    return 0;
}

/* In a process of its own, whose OpenBLAS starts on this core. */
static void check_core(const char *core, bool half) {
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (core) setenv("OPENBLAS_CORETYPE", core, 1);
        _exit(compare(half));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status)) fail_msg("core %s: ended by signal %d", core ? core : "of this machine", WTERMSIG(status));
    int bad = WEXITSTATUS(status) - 1;
    if (bad >= 0)
        fail_msg("core %s: %lld rows of %lld and %lld columns: panels give other bytes than the whole",
                 core ? core : "of this machine", (long long)shapes[bad].T, (long long)shapes[bad].dim,
                 (long long)shapes[bad].hidden);
}

static void every_core_gives_the_bytes_of_whole_products(void **state) {
    (void)state;
    check_core(NULL, false);
#if defined(__x86_64__)
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    if (avx2) check_core("Haswell", false);
    if (avx2) check_core("Zen", false);
    if (avx512) check_core("SkylakeX", false);
    if (avx512 && __builtin_cpu_supports("avx512bf16")) check_core("Cooperlake", false);
#endif
}

static void bfloat16_gives_the_bytes_of_whole_products(void **state) {
    (void)state;
    bf16_needed();
    check_core(NULL, true);
}

/* Panels cover all rows, start at whole units, and are units long; a team's are short enough for two threads. */
static void panels_start_at_units(void **state) {
    (void)state;
    lb_team *team;
    assert_ok(lb_team_new(2, &team));
    for (int i = 0; i < (int)(sizeof shapes / sizeof shapes[0]); i++)
        for (int threads = 1; threads <= 2; threads++) {
            world x;
            lb_exec *e;
            open_world(&shapes[i], &x);
            assert_ok(lb_exec_new(x.arena, x.net, 20000, threads > 1 ? team : NULL, &e));
            const lb_net_part *p = &x.net->block[0];
            for (int64_t T = 1; T < 20000; T += T < 3000 ? 1 : 997) {
                lb_panels all = lb_panels_of(e, p, p->run, T);
                int64_t next = 0, r0, rows;
                for (int64_t k = 0; k < all.n; k++) {
                    lb_panel_at(&all, k, &r0, &rows);
                    assert_true(r0 == next && r0 % LB_PANEL_UNIT == 0 && rows <= lb_panels_most(e, p, p->run));
                    assert_true(all.n == 1 || rows >= LB_PANEL_UNIT);
                    next = r0 + rows;
                }
                assert_int_equal(next, T);
            }
            if (i == 0) assert_int_equal(lb_panels_of(e, p, p->run, 2048).n, threads > 1 ? 6 : 1);
            lb_arena_free(x.arena);
        }
    lb_team_free(team);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_core_gives_the_bytes_of_whole_products),
                                       cmocka_unit_test(bfloat16_gives_the_bytes_of_whole_products),
                                       cmocka_unit_test(panels_start_at_units)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
