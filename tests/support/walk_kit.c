#include "support/walk_kit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "result/bundle.h"
#include "support/llama.h"

const plain_input walk_reads[] = {PLAIN_IN_ATTN, PLAIN_IN_ATTN, PLAIN_IN_ATTN, PLAIN_IN_O,
                                  PLAIN_IN_MLP,  PLAIN_IN_MLP,  PLAIN_IN_DOWN};

const lb_layer_row *walk_row(const lb_record *r, const char *name) {
    for (int64_t i = 0; i < r->layers; i++)
        if (strcmp(r->layer[i].name, name) == 0) return &r->layer[i];
    fail_msg("%s has no row", name);
    return NULL;
}

int64_t walk_width(plain_input i) { return i == PLAIN_IN_DOWN ? 24 : 16; }

static void near(const char *layer, const char *what, double got, double want) {
    if (!(fabs(got - want) <= 1e-4 * fabs(want)))
        fail_msg("%s: %s is %.12g, plain loops say %.12g", layer, what, got, want);
}

double walk_apart(const double *a, const double *b, int64_t n) {
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            most = fmax(most, fabs(a[i * n + j] - b[i * n + j]) / sqrt(b[i * n + i] * b[j * n + j]));
    return most;
}

plain_walk walk_start(const walk_world *x) {
    const lb_arch arch = llama_arch(x->model);
    const lb_net *n = x->model->net;
    return plain_walk_start(&arch, x->model->weights.site[n->embed].W, x->s.plan.calibration.at[0].corpus->token,
                            WALK_SAMPLES, WALK_LENGTH);
}

/* The same sequences; plain_walk_end. */
plain_walk walk_copy(const plain_walk *p) {
    plain_walk c = *p;
    size_t bytes = (size_t)(p->samples * p->length * p->arch.dim) * sizeof *p->x;
    c.x = malloc(bytes);
    assert_non_null(c.x);
    memcpy(c.x, p->x, bytes);
    return c;
}

/* A row's errors, each under its own H. */
void walk_check_errors(const walk_world *x, const char *name, const char *made, lb_cmat W, const double *own,
                       const double *H0) {
    const lb_layer_row *row = walk_row(&x->record, name);
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

void walk_open(walk_world *x, const char *model, const char *name, const char *yaml) {
    char path[LB_TEST_PATH];
    *x = (walk_world){0};
    small_plan_open(&x->s, model, name, yaml);
    snprintf(path, sizeof path, "%s/%s", small_home, model);
    assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &x->model));
    plain_walk p = walk_start(x);
    for (int64_t b = 0; b < x->model->net->blocks; b++) {
        plain_block was = plain_block_of(x->model->net, &x->model->weights, b);
        for (int i = 0; i < PLAIN_INPUTS; i++) x->H0[b][i] = plain_walk_hessian(&p, &was, (plain_input)i);
        plain_walk_advance(&p, &was);
    }
    plain_walk_end(&p);
    x->runner = (lb_runner){.plan = &x->s.plan, .keep = x->s.arena, .cache = x->s.plan.cache};
}

void walk_close(walk_world *x) {
    probe_reset();
    lb_runner_close(&x->runner);
    for (int64_t b = 0; b < WALK_BLOCKS; b++)
        for (int i = 0; i < PLAIN_INPUTS; i++) free(x->H0[b][i]);
    lb_model_close(x->model);
    small_plan_close(&x->s);
}

const char *walk_folder(small_plan *s, const char *name) {
    char *path = lb_arena_printf(s->arena, "%s/%s", small_home, name);
    assert_non_null(path);
    assert_ok(lb_fs_mkdirs(path));
    return path;
}

lb_status walk_run_in(small_plan *s, const char *dir, const lb_cell *c, lb_record *out) {
    lb_runner r = {.plan = &s->plan, .keep = s->arena, .dir = dir, .cache = s->plan.cache};
    lb_status st = lb_fs_mkdirs(s->plan.cache);
    if (st == LB_OK) st = lb_cell_run(&r, c, NULL, NULL, out);
    if (st == LB_OK) st = lb_store_write(dir, out);
    if (st == LB_OK) lb_bundle_close(out->bundle);
    lb_runner_close(&r);
    return st;
}
