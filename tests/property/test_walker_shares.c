/* Layers that several blocks have, on their way through a cell: solved once, on H of all their users as plain loops
 * have it; measured by each user on its own; kept, counted and read back once. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "model/weights.h"
#include "report/report.h"
#include "result/bundle.h"
#include "result/figures.h"
#include "run/kept_cell.h"
#include "support/h5_same.h"
#include "support/llama.h"
#include "support/plain_llama.h"
#include "support/probe.h"
#include "support/small_model.h"

const lb_method *const lb_method_table[] = {&probe_method, &probe_blind_method, &probe_model_method, NULL};

enum { SAMPLES = 5, LENGTH = 52, BLOCKS = 4 };
#define COMMON                                                                                                         \
    "calibration: {text: text.txt, samples: 5, length: 52}\neval: {text: text.txt, protocol: W2-32, windows: 3}\n"     \
    "quantize:\n"

static const plain_input reads[] = {PLAIN_IN_ATTN, PLAIN_IN_ATTN, PLAIN_IN_ATTN, PLAIN_IN_O,
                                    PLAIN_IN_MLP,  PLAIN_IN_MLP,  PLAIN_IN_DOWN};

typedef struct world {
    small_plan s;
    lb_runner runner;
    lb_model *model;
    const lb_cell *cell;
    lb_record record;
    double *H0[BLOCKS][PLAIN_INPUTS];
} world;

static const lb_layer_row *row_of(const lb_record *r, const char *name) {
    for (int64_t i = 0; i < r->layers; i++)
        if (strcmp(r->layer[i].name, name) == 0) return &r->layer[i];
    fail_msg("%s has no row", name);
    return NULL;
}

static int64_t width(plain_input i) { return i == PLAIN_IN_DOWN ? 24 : 16; }

static void near(const char *layer, const char *what, double got, double want) {
    if (!(fabs(got - want) <= 1e-4 * fabs(want)))
        fail_msg("%s: %s is %.12g, plain loops say %.12g", layer, what, got, want);
}

static double apart(const double *a, const double *b, int64_t n) {
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            most = fmax(most, fabs(a[i * n + j] - b[i * n + j]) / sqrt(b[i * n + i] * b[j * n + j]));
    return most;
}

static plain_walk start(const world *x) {
    const lb_arch arch = llama_arch(x->model);
    const lb_net *n = x->model->net;
    return plain_walk_start(&arch, x->model->weights.site[n->embed].W, x->s.plan.calibration.corpus->token, SAMPLES,
                            LENGTH);
}

/* The same sequences; plain_walk_end. */
static plain_walk copy(const plain_walk *p) {
    plain_walk c = *p;
    size_t bytes = (size_t)(p->samples * p->length * p->arch.dim) * sizeof *p->x;
    c.x = malloc(bytes);
    assert_non_null(c.x);
    memcpy(c.x, p->x, bytes);
    return c;
}

/* H of an input of a block that runs twice, of both uses; one: of the first. */
static double *of_both(const plain_walk *p, const plain_block *b, plain_input i, double **one) {
    plain_walk ahead = copy(p);
    double *first = plain_walk_hessian(&ahead, b, i);
    plain_walk_advance(&ahead, b);
    double *second = plain_walk_hessian(&ahead, b, i);
    for (int64_t k = 0; k < width(i) * width(i); k++) second[k] = (first[k] + second[k]) / 2;
    plain_walk_end(&ahead);
    *one = first;
    return second;
}

/* A row's errors, each under its own H. */
static void check_errors(const world *x, const char *name, const char *made, lb_cmat W, const double *own,
                         const double *H0) {
    const lb_layer_row *row = row_of(&x->record, name);
    const probe_call *c = probe_find(made);
    lb_cmat What = lb_cmat_of(c->What, W.rows, W.cols);
    assert_true(row->quantized);
    near(name, "original error", row->original.output_err, plain_trace(What, W, H0));
    near(name, "original energy", row->original.output_energy, plain_trace(W, (lb_cmat){0}, H0));
    near(name, "weight error", row->original.weight_err, plain_squares(What, W));
    if (!own) {
        assert_true(isnan(row->own.output_err));
        return;
    }
    near(name, "own error", row->own.output_err, plain_trace(What, W, own));
    near(name, "own energy", row->own.output_energy, plain_trace(W, (lb_cmat){0}, own));
}

static void check_input(const world *x, int64_t b, plain_input i, const double *solved, const double *own,
                        plain_block *now) {
    for (int l = 0; l < PLAIN_LINEARS; l++) {
        char name[16], made[16];
        snprintf(name, sizeof name, "%d.%s", (int)b, plain_names[l]);
        snprintf(made, sizeof made, "%d.%s", (int)(b / 2 * 2), plain_names[l]);
        if (reads[l] != i) continue;
        const probe_call *c = probe_find(made);
        const lb_layer_row *row = row_of(&x->record, name);
        lb_cmat W = llama_site(x->model, name)->W;
        assert_non_null(c);
        check_errors(x, name, made, W, own, x->H0[b][i]);
        assert_string_equal(row->same_as, b % 2 ? made : "");
        assert_true(b % 2 ? row->size.total == 0 && row->size.weights == 0 : row->size.weights == W.rows * W.cols);
        now->linear[l].W = lb_cmat_of(c->What, W.rows, W.cols);
        if (b % 2) {
            assert_null(probe_find(name)); /* it was solved with the other one */
            continue;
        }
        assert_true(!c->H == !solved);
        if (!solved) continue;
        if (!(apart(c->H, solved, W.cols) < 5e-5)) fail_msg("%s: H is %g off", name, apart(c->H, solved, W.cols));
        assert_int_equal(c->tokens, 2 * SAMPLES * LENGTH);
        assert_int_equal(c->sequences, 2 * SAMPLES);
    }
}

/* All blocks; of a pair the second one's are what the first one's have become. */
static void check_blocks(const world *x, bool needs, bool original, bool sequential) {
    plain_walk own = start(x);
    for (int64_t b = 0; b < BLOCKS; b++) {
        plain_block was = plain_block_of(x->model->net, &x->model->weights, b), now = was, at;
        for (int l = 0; l < PLAIN_LINEARS && b % 2; l++) {
            char made[16];
            snprintf(made, sizeof made, "%d.%s", (int)b - 1, plain_names[l]);
            now.linear[l].W.d = probe_find(made)->What;
        }
        at = b % 2 ? now : was;
        for (int i = 0; i < PLAIN_INPUTS; i++) {
            plain_input in = (plain_input)i;
            double *one, *both = of_both(&own, sequential ? &now : &at, in, &one);
            double *before = x->H0[b][i], *mean = malloc((size_t)(width(in) * width(in)) * sizeof *mean);
            for (int64_t k = 0; k < width(in) * width(in) && b % 2 == 0; k++)
                mean[k] = (before[k] + x->H0[b + 1][i][k]) / 2;
            /* that one H for another would have been noticed */
            if (b % 2 == 0) assert_true(apart(one, both, width(in)) > 1e-3);
            if (b == 2) assert_true(apart(mean, both, width(in)) > 1e-3);
            check_input(x, b, in, !needs ? NULL : original ? mean : both, !needs ? NULL : original ? before : one, &now);
            free(one);
            free(both);
            free(mean);
        }
        plain_walk_advance(&own, &now);
    }
    plain_walk_end(&own);
}

/* Bytes of a quantized block, by hand: 3 bits in rows of 32-bit words, and a scale of 4 bytes and a zero of 3 bits for
 * each row; 16 columns are 8 bytes, 24 are 12. q and o are (16, 16), k and v (8, 16), gate and up (24, 16), down
 * (16, 24). Zeros of 16 rows are 6 bytes, of 8 rows 3, of 24 rows 9. */
enum {
    QO = 16 * (8 + 4) + 6,
    KV = 8 * (8 + 4) + 3,
    GATE_UP = 24 * (8 + 4) + 9,
    DOWN = 16 * (12 + 4) + 6,
    BLOCK = 2 * QO + 2 * KV + 2 * GATE_UP + DOWN,
    WEIGHTS = 2 * 16 * 16 + 2 * 8 * 16 + 2 * 24 * 16 + 16 * 24
};

static void check_sizes(const world *x) {
    const lb_model_size *s = &x->record.size;
    int64_t bytes = 0, weights = 0, vocab = x->model->net->vocab, ends = 2 * vocab * 16, norms = 2 * 2 * 16 + 16;
    assert_int_equal(BLOCK, 1450);
    assert_int_equal(s->quantized.weights, 2 * WEIGHTS);
    assert_int_equal(s->quantized.total, 2 * BLOCK);
    assert_int_equal(s->other_as_fp16, 2 * (ends + norms));
    assert_int_equal(s->original_fp16, 2 * (ends + norms + 2 * WEIGHTS));
    assert_int_equal(s->original_as_stored, 2 * (ends + norms + 2 * WEIGHTS)); /* in BF16 */
    assert_int_equal(s->total_as_fp16, 2 * BLOCK + 2 * (ends + norms));
    for (int64_t i = 0; i < x->record.layers; i++) {
        bytes += x->record.layer[i].size.total;
        weights += x->record.layer[i].size.weights;
    }
    assert_int_equal(bytes, s->quantized.total);
    assert_int_equal(weights, s->quantized.weights);
}

/* Both blocks of a pair have one layer's numbers. */
static lb_status check_weights(void *user, const lb_cell *c, const lb_weights *w, lb_log *log) {
    const world *x = user;
    const lb_net *n = x->model->net;
    lb_arena *a;
    (void)c, (void)log;
    assert_ok(lb_arena_new(0, &a));
    for (int32_t i = 0; i < n->sites; i++) {
        if (n->site[i].block < 0) continue;
        const probe_call *made = probe_find(n->site[lb_net_owner(n, i)].name);
        lb_cmat W;
        assert_ok(lb_matrix_get(&w->site[i], a, NULL, &W));
        assert_memory_equal(W.d, made->What, (size_t)(W.rows * W.cols) * sizeof *W.d);
        assert_int_equal(w->site[i].act.bits, made->opts.act);
    }
    lb_arena_free(a);
    return LB_OK;
}

static void open_world(world *x, const char *model, const char *name, const char *yaml) {
    char path[LB_TEST_PATH];
    *x = (world){0};
    small_plan_open(&x->s, model, name, yaml);
    snprintf(path, sizeof path, "%s/%s", small_home, model);
    assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &x->model));
    plain_walk p = start(x);
    for (int64_t b = 0; b < x->model->net->blocks; b++) {
        plain_block was = plain_block_of(x->model->net, &x->model->weights, b);
        for (int i = 0; i < PLAIN_INPUTS; i++) x->H0[b][i] = plain_walk_hessian(&p, &was, (plain_input)i);
        plain_walk_advance(&p, &was);
    }
    plain_walk_end(&p);
    x->runner = (lb_runner){.plan = &x->s.plan, .keep = x->s.arena, .cache = x->s.plan.cache};
}

static void close_world(world *x) {
    probe_reset();
    lb_runner_close(&x->runner);
    for (int64_t b = 0; b < BLOCKS; b++)
        for (int i = 0; i < PLAIN_INPUTS; i++) free(x->H0[b][i]);
    lb_model_close(x->model);
    small_plan_close(&x->s);
}

static void walks(const char *name, const char *first) {
    static const struct {
        const char *entry;
        bool needs, original, sequential;
    } kinds[] = {{"  - {method: probe}\n", true, false, false},
                 {"  - {method: probe, propagate: original}\n", true, true, false},
                 {"  - {method: probe, true_sequential: true}\n", true, false, true},
                 {"  - {method: blind}\n", false, false, false},
                 {"  - {method: whole}\n", false, false, false}};
    enum { KINDS = sizeof kinds / sizeof kinds[0] };
    world x;
    lb_str yaml = {0};
    lb_str_add(&yaml, "%s" COMMON, first);
    for (int i = 0; i < KINDS; i++) lb_str_add(&yaml, "%s", kinds[i].entry);
    assert_ok(lb_str_check(&yaml));
    open_world(&x, "sharing", name, yaml.s);
    lb_str_free(&yaml);
    assert_int_equal(x.s.plan.sweep.n, 1 + KINDS);
    for (int i = 0; i < KINDS; i++) {
        x.cell = &x.s.plan.sweep.cell[1 + i];
        probe_reset();
        if (x.cell->refused) continue; /* training where weights are streamed */
        assert_ok(lb_cell_run(&x.runner, x.cell, check_weights, &x, &x.record));
        assert_int_equal(probe.calls, 2 * PLAIN_LINEARS);
        assert_int_equal(x.record.layers, BLOCKS * PLAIN_LINEARS);
        check_blocks(&x, kinds[i].needs, kinds[i].original, kinds[i].sequential);
        check_sizes(&x);
    }
    close_world(&x);
}

static void resident(void **state) {
    (void)state;
    walks("shares", "threads: 1\n");
}
static void streamed(void **state) {
    (void)state;
    walks("shares-stream", "threads: 2\nweights: stream\n");
}

/* A layer answers to the names of all its users; what is skipped is skipped in each, and counted once. */
static void rules(void **state) {
    (void)state;
    world x;
    open_world(&x, "sharing", "shares-rules",
               COMMON "  - {method: probe, rules: [{match: \"1.q\", bits: 5}, {match: \"3.*\", skip: true}, "
                      "{match: \"2.down\", skip: false}]}\n");
    x.cell = &x.s.plan.sweep.cell[1];
    assert_ok(lb_cell_run(&x.runner, x.cell, NULL, NULL, &x.record));
    assert_int_equal(probe.calls, PLAIN_LINEARS + 1);
    assert_int_equal(probe_find("0.q")->opts.bits, 5);
    assert_int_equal(probe_find("0.k")->opts.bits, 3);
    assert_true(row_of(&x.record, "1.q")->bits == 5 && row_of(&x.record, "3.down")->quantized);
    const lb_layer_row *two = row_of(&x.record, "2.up"), *three = row_of(&x.record, "3.up");
    assert_true(!two->quantized && !three->quantized && two->size.total == 2 * 24 * 16 && three->size.total == 0);
    assert_string_equal(three->same_as, "2.up");
    /* 5 bits of q: 16 columns are 12 bytes, zeros of 16 rows 10 */
    assert_int_equal(x.record.size.quantized.total, BLOCK - QO + 16 * (12 + 4) + 10 + DOWN);
    close_world(&x);
}

/* ---- what is written ---- */

static const char *folder(small_plan *s, const char *name) {
    char *path = lb_arena_printf(s->arena, "%s/%s", small_home, name);
    assert_non_null(path);
    assert_ok(lb_fs_mkdirs(path));
    return path;
}

static lb_status run_in(small_plan *s, const char *dir, const lb_cell *c, lb_record *out) {
    lb_runner r = {.plan = &s->plan, .keep = s->arena, .dir = dir, .cache = s->plan.cache};
    lb_status st = lb_fs_mkdirs(s->plan.cache);
    if (st == LB_OK) st = lb_cell_run(&r, c, NULL, NULL, out);
    if (st == LB_OK) st = lb_store_write(dir, out);
    if (st == LB_OK) lb_bundle_close(out->bundle);
    lb_runner_close(&r);
    return st;
}

/* Killed between the two blocks of a pair, and in the second: the same file. Kept once, evaluated again. */
static void going_on_and_kept(void **state) {
    (void)state;
    static const char *const stops[] = {"0.up", "2.q", "2.down"};
    small_plan s;
    small_plan_open(&s, "sharing", "shares-going",
                    "keep_layers: true\n" COMMON "  - {method: probe, act: 4}\n"
                    "  - {method: probe, true_sequential: true}\n  - {method: probe, propagate: original}\n");
    const char *whole = folder(&s, "shares-whole"), *parts = folder(&s, "shares-parts");
    for (size_t i = 1; i < s.plan.sweep.n; i++) {
        const lb_cell *c = &s.plan.sweep.cell[i];
        char *x = lb_arena_printf(s.arena, "%s/%s.h5", whole, c->stem);
        char *y = lb_arena_printf(s.arena, "%s/%s.h5", parts, c->stem);
        lb_record r;
        assert_true(x && y);
        assert_ok(run_in(&s, whole, c, &r));
        probe_reset();
        for (size_t k = 0; k < sizeof stops / sizeof stops[0]; k++) {
            probe.fail_at = stops[k];
            assert_status(LB_E_INTERRUPTED, run_in(&s, parts, c, &r));
            probe_reset();
        }
        assert_ok(run_in(&s, parts, c, &r));
        assert_string_equal(probe.call[0].name, "2.q");
        probe_reset();
        assert_true(h5_same(x, y, "/host") > 50);
        lb_record back;
        lb_kept_cell kept;
        assert_ok(lb_kept_cell_open(s.arena, x, "", LB_WEIGHTS, true, s.team, &kept));
        back = kept.record;
        assert_int_equal(back.layers, BLOCKS * PLAIN_LINEARS);
        assert_string_equal(row_of(&back, "3.up")->same_as, "2.up");
        assert_string_equal(row_of(&back, "2.up")->same_as, "");
        lb_h5 *h;
        lb_bundle b;
        assert_ok(lb_h5_open(x, &h));
        assert_ok(lb_bundle_read(h, s.arena, &b));
        assert_int_equal(b.layers, 2 * PLAIN_LINEARS);
        assert_int_equal(b.bytes, 2 * BLOCK);
        lb_h5_abandon(h);
        for (int32_t k = 0; k < kept.model->net->sites; k++) {
            lb_cmat one, owner;
            int32_t first = lb_net_owner(kept.model->net, k);
            assert_ok(lb_matrix_get(&kept.w.site[k], s.arena, NULL, &one));
            assert_ok(lb_matrix_get(&kept.w.site[first], s.arena, NULL, &owner));
            assert_memory_equal(one.d, owner.d, (size_t)(one.rows * one.cols) * sizeof *one.d);
            assert_int_equal(kept.w.site[k].act.bits, kept.w.site[first].act.bits);
        }
        assert_int_equal(kept.w.site[lb_net_find(kept.model->net, "3.q")].act.bits, i == 1 ? 4 : 0);
        lb_model_close(kept.model);
    }
    small_plan_close(&s);
}

/* What a result says of shared layers must be true. */
static void records_that_lie(void **state) {
    (void)state;
    small_plan s;
    lb_record r, back;
    small_plan_open(&s, "sharing", "shares-lies", COMMON "  - {method: blind}\n");
    const char *dir = folder(&s, "lies");
    const lb_cell *c = &s.plan.sweep.cell[1];
    char *path = lb_arena_printf(s.arena, "%s/%s.h5", dir, c->stem);
    assert_ok(run_in(&s, dir, c, &r));
    assert_ok(lb_store_read(path, s.arena, &back));
    static const char *const names[] = {"9.up", "1.up", "0.down", "0.gate\n", "3.up"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        lb_layer_row *row = &r.layer[7 + PLAIN_UP]; /* 1.up */
        row->same_as = names[i];
        assert_ok(lb_store_write(dir, &r));
        assert_status(LB_E_FORMAT, lb_store_read(path, s.arena, &back));
        assert_error_has("1.up: same_as");
        row->same_as = "0.up";
    }
    r.layer[7 + PLAIN_UP].size.total = 5;
    assert_ok(lb_store_write(dir, &r));
    assert_status(LB_E_FORMAT, lb_store_read(path, s.arena, &back));
    assert_error_has("1.up: 5 bytes, which are those of 0.up");
    probe_reset();
    small_plan_close(&s);
}

/* Tables say whose a layer is and count it once. */
static void tables(void **state) {
    (void)state;
    small_plan s;
    lb_record r;
    lb_str text = {0};
    small_plan_open(&s, "sharing", "shares-tables", COMMON "  - {method: blind}\n");
    assert_ok(run_in(&s, folder(&s, "tables"), &s.plan.sweep.cell[1], &r));
    r.label = "blind", r.stem = "blind";
    const lb_results all = {.name = "t", .record = &r, .n = 1, .arena = s.arena};
    assert_ok(lb_report_layer_table(&all, 0, LB_TABLE_TERMINAL, &text));
    assert_non_null(strstr(text.s, "that of 0.q"));
    text.len = 0;
    assert_ok(lb_report_layer_table(&all, 0, LB_TABLE_CSV, &text));
    assert_non_null(strstr(text.s, "same_as"));
    char *line = strstr(text.s, "\n1.q,");
    assert_non_null(line);
    line[strcspn(line + 1, "\n") + 1] = 0;
    assert_non_null(strstr(line, ",0.q,"));
    lb_str_free(&text);
    probe_reset();
    small_plan_close(&s);
}

/* ---- by rules ---- */

enum { THREE = 3 };
#define RULES                                                                                                          \
    "rules: [{match: \"*.down\", same_as: \"0.down\"}, {match: \"2.q\", same_as: \"1.q\"}, {match: \"1.o\", bits: 5}]"
/* The block whose layer it is then. */
static int64_t owner_of(int64_t b, int l) { return l == PLAIN_DOWN ? 0 : l == PLAIN_Q && b == 2 ? 1 : b; }

/* X of X A = C by elimination, A (n, n) and C (rows, n) overwritten. */
static void eliminate(double *A, double *C, int64_t rows, int64_t n) {
    for (int64_t k = 0; k < n; k++)
        for (int64_t j = 0; j < n; j++) {
            double f = j == k ? 0 : A[k * n + j] / A[k * n + k]; /* column j less f times column k */
            for (int64_t i = 0; i < n && f != 0; i++) A[i * n + j] -= f * A[i * n + k];
            for (int64_t r = 0; r < rows && f != 0; r++) C[r * n + j] -= f * C[r * n + k];
        }
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < n; k++) C[r * n + k] /= A[k * n + k];
}

/* What the method was given for a layer that `users` blocks have, whose inputs have these H (NULL: not known). */
static void check_target(const world *x, const char *name, const int64_t *user, int users, int l, double *const *H) {
    const probe_call *c = probe_find(name);
    int64_t rows = c->rows, n = c->cols;
    double *A = calloc((size_t)(n * n), sizeof *A), *C = calloc((size_t)(rows * n), sizeof *C), diagonal = 0, worst = 0;
    assert_true(A && C);
    for (int u = 0; u < users; u++) {
        char other[16];
        snprintf(other, sizeof other, "%d.%s", (int)user[u], plain_names[l]);
        lb_cmat W = llama_site(x->model, other)->W;
        for (int64_t i = 0; i < n * n; i++) A[i] += H ? H[u][i] / users : 0;
        for (int64_t r = 0; r < rows; r++)
            for (int64_t i = 0; i < n; i++)
                for (int64_t k = 0; k < n; k++)
                    C[r * n + i] +=
                        (double)W.d[r * W.ld + k] * (H ? H[u][k * n + i] : k == i ? 1.0 : 0.0) / users;
    }
    for (int64_t i = 0; i < n && !H; i++) A[i * n + i] = 1;
    for (int64_t i = 0; i < n; i++) diagonal += A[i * n + i] / (double)n;
    if (c->H)
        if (!(apart(c->H, A, n) < 5e-5)) fail_msg("%s: H is %g off", name, apart(c->H, A, n));
    /* the damping draws to the users' mean */
    for (int u = 0; u < users && H; u++) {
        char other[16];
        snprintf(other, sizeof other, "%d.%s", (int)user[u], plain_names[l]);
        lb_cmat W = llama_site(x->model, other)->W;
        for (int64_t r = 0; r < rows; r++)
            for (int64_t i = 0; i < n; i++) C[r * n + i] += 0.01 * diagonal * (double)W.d[r * W.ld + i] / users;
    }
    for (int64_t i = 0; i < n && H; i++) A[i * n + i] += 0.01 * diagonal;
    eliminate(A, C, rows, n);
    for (int64_t i = 0; i < rows * n; i++) worst = fmax(worst, fabs(C[i] - (double)c->W[i]));
    if (!(worst < 2e-4)) fail_msg("%s: the target is %g off", name, worst);
    free(A);
    free(C);
}

/* H of an input that a block's layer has once everything before it is as in `at`. */
static double *hessian_at(const plain_walk *own, const plain_block *at, int64_t from, int64_t to, plain_input i) {
    plain_walk ahead = copy(own);
    for (int64_t b = from; b < to; b++) plain_walk_advance(&ahead, &at[b]);
    double *H = plain_walk_hessian(&ahead, &at[to], i);
    plain_walk_end(&ahead);
    return H;
}

typedef struct rule_kind {
    const char *entry;
    bool needs, original, sequential;
} rule_kind;

static void check_rule_layer(const world *x, const rule_kind *k, const plain_walk *own, const plain_block *at, int64_t b,
                             int l, plain_block *now) {
    char name[16], made[16];
    int64_t user[THREE], owner = owner_of(b, l);
    double *H[THREE], *here = plain_walk_hessian(own, &at[b], reads[l]);
    int users = 0;
    snprintf(name, sizeof name, "%d.%s", (int)b, plain_names[l]);
    snprintf(made, sizeof made, "%d.%s", (int)owner, plain_names[l]);
    for (int64_t u = b; u < THREE && owner == b; u++) {
        if (owner_of(u, l) != b) continue;
        user[users] = u;
        H[users++] = hessian_at(own, at, b, u, reads[l]);
    }
    const probe_call *c = probe_find(made);
    lb_cmat W = llama_site(x->model, name)->W;
    assert_non_null(c);
    if (owner != b) assert_null(probe_find(name));
    if (users > 1) {
        double *of[THREE];
        for (int u = 0; u < users; u++) of[u] = k->needs && !k->original ? H[u] : x->H0[user[u]][reads[l]];
        check_target(x, name, user, users, l, of);
    } else if (owner == b) {
        assert_memory_equal(c->W, W.d, (size_t)(W.rows * W.cols) * sizeof *W.d);
    }
    for (int u = 0; u < users; u++) now[user[u]].linear[l].W = lb_cmat_of(c->What, W.rows, W.cols);
    check_errors(x, name, made, W, !k->needs ? NULL : k->original ? x->H0[b][reads[l]] : here, x->H0[b][reads[l]]);
    const lb_layer_row *row = row_of(&x->record, name);
    assert_string_equal(row->same_as, owner == b ? "" : made);
    assert_int_equal(row->size.weights, owner == b ? W.rows * W.cols : 0);
    for (int u = 0; u < users; u++) free(H[u]);
    free(here);
}

static void rules_make_layers_one(void **state) {
    (void)state;
    static const rule_kind kinds[] = {
        {"  - {method: probe, " RULES "}\n", true, false, false},
        {"  - {method: probe, propagate: original, " RULES "}\n", true, true, false},
        {"  - {method: probe, true_sequential: true, " RULES "}\n", true, false, true},
        {"  - {method: blind, " RULES "}\n", false, false, false}};
    enum { KINDS = sizeof kinds / sizeof kinds[0] };
    world x;
    lb_str yaml = {0};
    lb_str_add(&yaml, "threads: 2\n" COMMON);
    for (int i = 0; i < KINDS; i++) lb_str_add(&yaml, "%s", kinds[i].entry);
    assert_ok(lb_str_check(&yaml));
    open_world(&x, "tied", "one", yaml.s);
    lb_str_free(&yaml);
    for (int i = 0; i < KINDS; i++) {
        plain_block now[THREE], at[THREE];
        x.cell = &x.s.plan.sweep.cell[1 + i];
        probe_reset();
        assert_ok(lb_cell_run(&x.runner, x.cell, NULL, NULL, &x.record));
        assert_int_equal(probe.calls, THREE * PLAIN_LINEARS - 3);
        for (int64_t b = 0; b < THREE; b++) now[b] = plain_block_of(x.model->net, &x.model->weights, b);
        plain_walk own = start(&x);
        for (int64_t b = 0; b < THREE; b++) {
            memcpy(at, now, sizeof at);
            for (int in = 0; in < PLAIN_INPUTS; in++) {
                if (kinds[i].sequential) memcpy(at, now, sizeof at);
                for (int l = 0; l < PLAIN_LINEARS; l++)
                    if (reads[l] == (plain_input)in) check_rule_layer(&x, &kinds[i], &own, at, b, l, now);
            }
            plain_walk_advance(&own, &now[b]);
        }
        plain_walk_end(&own);
        /* two downs and a q less; o of block 1 with 5 bits */
        assert_int_equal(x.record.size.quantized.total, 3 * BLOCK - 2 * DOWN - QO - QO + 16 * (12 + 4) + 10);
        assert_int_equal(x.record.size.quantized.weights, 3 * WEIGHTS - 2 * 16 * 24 - 16 * 16);
        assert_int_equal(x.record.size.other_as_fp16, 2 * (x.model->net->vocab * 16 + 3 * 2 * 16 + 16));
    }
    close_world(&x);
}

/* Where nothing is known of inputs: the mean. */
static void mean_without_calibration(void **state) {
    (void)state;
    world x = {0};
    small_plan_open(&x.s, "untied", "mean",
                    "eval: {text: text.txt, protocol: W2-32, windows: 3}\nquantize:\n  - {method: blind, " RULES "}\n");
    char path[LB_TEST_PATH];
    snprintf(path, sizeof path, "%s/untied", small_home);
    assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &x.model));
    lb_runner runner = {.plan = &x.s.plan, .keep = x.s.arena, .cache = x.s.plan.cache};
    assert_ok(lb_cell_run(&runner, &x.s.plan.sweep.cell[1], NULL, NULL, &x.record));
    check_target(&x, "0.down", (const int64_t[]){0, 1, 2}, 3, PLAIN_DOWN, NULL);
    check_target(&x, "1.q", (const int64_t[]){1, 2}, 2, PLAIN_Q, NULL);
    assert_true(isnan(row_of(&x.record, "2.down")->original.output_err));
    close_world(&x);
}

/* Kept once, and installed in each of them again; killed and gone on. */
static void rules_kept_and_going_on(void **state) {
    (void)state;
    small_plan s;
    small_plan_open(&s, "untied", "one-kept", "weights: stream\nkeep_layers: true\n" COMMON "  - {method: probe, " RULES "}\n");
    const lb_cell *c = &s.plan.sweep.cell[1];
    const char *whole = folder(&s, "one-whole"), *parts = folder(&s, "one-parts");
    char *x = lb_arena_printf(s.arena, "%s/%s.h5", whole, c->stem);
    char *y = lb_arena_printf(s.arena, "%s/%s.h5", parts, c->stem);
    lb_record r;
    lb_kept_cell kept;
    assert_true(x && y);
    assert_ok(run_in(&s, whole, c, &r));
    lb_cmat made = lb_cmat_of(probe_find("0.down")->What, 16, 24), have;
    assert_ok(lb_kept_cell_open(s.arena, x, "", LB_WEIGHTS, true, s.team, &kept));
    for (int b = 0; b < THREE; b++) {
        int32_t site = lb_net_site(kept.model->net, b, "down");
        assert_ok(lb_matrix_get(&kept.w.site[site], s.arena, NULL, &have));
        assert_memory_equal(have.d, made.d, (size_t)(have.rows * have.cols) * sizeof *have.d);
    }
    lb_model_close(kept.model);
    probe_reset();
    static const char *const stops[] = {"1.q", "2.k"};
    for (int k = 0; k < 2; k++) {
        probe.fail_at = stops[k];
        assert_status(LB_E_INTERRUPTED, run_in(&s, parts, c, &r));
        probe_reset();
    }
    assert_ok(run_in(&s, parts, c, &r));
    assert_string_equal(probe.call[0].name, "2.k");
    assert_true(h5_same(x, y, "/host") > 50);
    probe_reset();
    small_plan_close(&s);
}

static void rules_that_cannot_be(void **state) {
    (void)state;
    static const struct {
        const char *rules, *reason;
    } bad[] = {
        {"{match: \"0.down\", same_as: \"1.down\"}", "layer 0.down: same_as: 1.down must be a layer before it"},
        {"{match: \"1.up\", same_as: \"0.down\"}", "layer 1.up: same_as: 0.down has another shape"},
        {"{match: \"1.q\", same_as: \"0.q\"}, {match: \"2.q\", same_as: \"1.q\"}", "is itself to be one with another"},
        {"{match: \"1.q\", same_as: \"0.q\"}, {match: \"0.q\", same_as: \"1.q\"}", "must be a layer before it"},
        {"{match: \"0.q\", skip: true}, {match: \"1.q\", same_as: \"0.q\"}", "0.q is not quantized"},
    };
    lb_str yaml = {0};
    small_plan s;
    lb_str_add(&yaml, COMMON);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        lb_str_add(&yaml, "  - {method: probe, rules: [%s]}\n", bad[i].rules);
    lb_str_add(&yaml, "  - {method: whole, rules: [{match: \"1.q\", same_as: \"0.q\"}]}\n");
    lb_str_add(&yaml, "  - {method: blind, rules: [{match: \"1.q\", same_as: \"0.q\"}, {match: \"1.*\", skip: true}]}\n");
    lb_str_add(&yaml, "  - {method: blind, rules: [{match: \"2.q\", same_as: \"0.q\"}]}\n");
    lb_str_add(&yaml, "  - {method: blind, rules: [{match: \"2.q\", same_as: \"1.q\"}]}\n");
    small_plan_open(&s, "tied", "cannot", yaml.s);
    size_t n = sizeof bad / sizeof bad[0];
    assert_int_equal(s.plan.sweep.n, 1 + n + 4); /* the last two are not one cell, and not one key */
    assert_string_not_equal(s.plan.sweep.cell[n + 3].key, s.plan.sweep.cell[n + 4].key);
    for (size_t i = 0; i < n; i++) {
        assert_true(s.plan.sweep.cell[1 + i].refused);
        if (!strstr(s.plan.sweep.cell[1 + i].reason, bad[i].reason)) fail_msg("%s", s.plan.sweep.cell[1 + i].reason);
    }
    assert_non_null(strstr(s.plan.sweep.cell[1 + n].reason, "cannot be trained with it"));
    assert_false(s.plan.sweep.cell[2 + n].refused); /* a later rule wins */
    assert_int_equal(s.plan.sweep.cell[2 + n].layer[PLAIN_LINEARS].same_as, -1);
    small_plan_close(&s);
    lb_str_free(&yaml);
    small_plan_open(&s, "sharing", "cannot-again", COMMON "  - {method: probe, rules: [{match: \"2.q\", same_as: \"0.q\"}]}\n");
    assert_non_null(strstr(s.plan.sweep.cell[1].reason, "is in a model whose blocks share layers already"));
    small_plan_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resident),
        cmocka_unit_test(streamed),
        cmocka_unit_test(rules),
        cmocka_unit_test(going_on_and_kept),
        cmocka_unit_test(records_that_lie),
        cmocka_unit_test(tables),
        cmocka_unit_test(rules_make_layers_one),
        cmocka_unit_test(mean_without_calibration),
        cmocka_unit_test(rules_kept_and_going_on),
        cmocka_unit_test(rules_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, small_model_setup_sharing, NULL);
}
