/* Layers that several blocks have, on their way through a cell: solved once, on H of all their users as plain loops
 * have it; measured by each user on its own; kept, counted and read back once. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/weights.h"
#include "report/report.h"
#include "result/bundle.h"
#include "result/figures.h"
#include "run/kept_cell.h"
#include "support/h5_same.h"
#include "support/llama.h"
#include "support/walk_kit.h"

const lb_method *const lb_method_table[] = {&probe_method, &probe_blind_method, &probe_model_method, NULL};

/* H of an input of a block that runs twice, of both uses; one: of the first. */
static double *of_both(const plain_walk *p, const plain_block *b, plain_input i, double **one) {
    plain_walk ahead = walk_copy(p);
    double *first = plain_walk_hessian(&ahead, b, i);
    plain_walk_advance(&ahead, b);
    double *second = plain_walk_hessian(&ahead, b, i);
    for (int64_t k = 0; k < walk_width(i) * walk_width(i); k++) second[k] = (first[k] + second[k]) / 2;
    plain_walk_end(&ahead);
    *one = first;
    return second;
}

static void check_input(const walk_world *x, int64_t b, plain_input i, const double *solved, const double *own,
                        plain_block *now) {
    for (int l = 0; l < PLAIN_LINEARS; l++) {
        char name[16], made[16];
        snprintf(name, sizeof name, "%d.%s", (int)b, plain_names[l]);
        snprintf(made, sizeof made, "%d.%s", (int)(b / 2 * 2), plain_names[l]);
        if (walk_reads[l] != i) continue;
        const probe_call *c = probe_find(made);
        const lb_layer_row *row = walk_row(&x->record, name);
        lb_cmat W = llama_site(x->model, name)->W;
        assert_non_null(c);
        walk_check_errors(x, name, made, W, own, x->H0[b][i]);
        assert_string_equal(row->same_as, b % 2 ? made : "");
        assert_true(b % 2 ? row->size.total == 0 && row->size.weights == 0 : row->size.weights == W.rows * W.cols);
        now->linear[l].W = lb_cmat_of(c->What, W.rows, W.cols);
        if (b % 2) {
            assert_null(probe_find(name)); /* it was solved with the other one */
            continue;
        }
        assert_true(!c->H == !solved);
        if (!solved) continue;
        if (!(walk_apart(c->H, solved, W.cols) < 5e-5))
            fail_msg("%s: H is %g off", name, walk_apart(c->H, solved, W.cols));
        assert_int_equal(c->tokens, 2 * WALK_SAMPLES * WALK_LENGTH);
        assert_int_equal(c->sequences, 2 * WALK_SAMPLES);
    }
}

/* All blocks; of a pair the second one's are what the first one's have become. */
static void check_blocks(const walk_world *x, bool needs, bool original, bool sequential) {
    plain_walk own = walk_start(x);
    for (int64_t b = 0; b < WALK_BLOCKS; b++) {
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
            double *before = x->H0[b][i], *mean = malloc((size_t)(walk_width(in) * walk_width(in)) * sizeof *mean);
            for (int64_t k = 0; k < walk_width(in) * walk_width(in) && b % 2 == 0; k++)
                mean[k] = (before[k] + x->H0[b + 1][i][k]) / 2;
            /* that one H for another would have been noticed */
            if (b % 2 == 0) assert_true(walk_apart(one, both, walk_width(in)) > 1e-3);
            if (b == 2) assert_true(walk_apart(mean, both, walk_width(in)) > 1e-3);
            check_input(x, b, in,
                        !needs     ? NULL
                        : original ? mean
                                   : both,
                        !needs     ? NULL
                        : original ? before
                                   : one,
                        &now);
            free(one);
            free(both);
            free(mean);
        }
        plain_walk_advance(&own, &now);
    }
    plain_walk_end(&own);
}

static void check_sizes(const walk_world *x) {
    const lb_model_size *s = &x->record.size;
    int64_t bytes = 0, weights = 0, vocab = x->model->net->vocab, ends = 2 * vocab * 16, norms = 2 * 2 * 16 + 16;
    assert_int_equal(WALK_BLOCK, 1450);
    assert_int_equal(s->quantized.weights, 2 * WALK_WEIGHTS);
    assert_int_equal(s->quantized.total, 2 * WALK_BLOCK);
    assert_int_equal(s->other_as_fp16, 2 * (ends + norms));
    assert_int_equal(s->original_fp16, 2 * (ends + norms + 2 * WALK_WEIGHTS));
    assert_int_equal(s->original_as_stored, 2 * (ends + norms + 2 * WALK_WEIGHTS)); /* in BF16 */
    assert_int_equal(s->total_as_fp16, 2 * WALK_BLOCK + 2 * (ends + norms));
    for (int64_t i = 0; i < x->record.layers; i++) {
        bytes += x->record.layer[i].size.total;
        weights += x->record.layer[i].size.weights;
    }
    assert_int_equal(bytes, s->quantized.total);
    assert_int_equal(weights, s->quantized.weights);
}

/* Both blocks of a pair have one layer's numbers. */
static lb_status check_weights(void *user, const lb_cell *c, const lb_weights *w, lb_log *log) {
    const walk_world *x = user;
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
    walk_world x;
    lb_str yaml = {0};
    lb_str_add(&yaml, "%s" WALK_CONFIG, first);
    for (int i = 0; i < KINDS; i++) lb_str_add(&yaml, "%s", kinds[i].entry);
    assert_ok(lb_str_check(&yaml));
    walk_open(&x, "sharing", name, yaml.s);
    lb_str_free(&yaml);
    assert_int_equal(x.s.plan.sweep.n, 1 + KINDS);
    for (int i = 0; i < KINDS; i++) {
        x.cell = &x.s.plan.sweep.cell[1 + i];
        probe_reset();
        if (x.cell->refused) continue; /* training where weights are streamed */
        assert_ok(lb_cell_run(&x.runner, x.cell, check_weights, &x, &x.record));
        assert_int_equal(probe.calls, 2 * PLAIN_LINEARS);
        assert_int_equal(x.record.layers, WALK_BLOCKS * PLAIN_LINEARS);
        check_blocks(&x, kinds[i].needs, kinds[i].original, kinds[i].sequential);
        check_sizes(&x);
    }
    walk_close(&x);
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
    walk_world x;
    walk_open(&x, "sharing", "shares-rules",
              WALK_CONFIG "  - {method: probe, rules: [{match: \"1.q\", bits: 5}, {match: \"3.*\", skip: true}, "
                          "{match: \"2.down\", skip: false}]}\n");
    x.cell = &x.s.plan.sweep.cell[1];
    assert_ok(lb_cell_run(&x.runner, x.cell, NULL, NULL, &x.record));
    assert_int_equal(probe.calls, PLAIN_LINEARS + 1);
    assert_int_equal(probe_find("0.q")->opts.bits, 5);
    assert_int_equal(probe_find("0.k")->opts.bits, 3);
    assert_true(walk_row(&x.record, "1.q")->bits == 5 && walk_row(&x.record, "3.down")->quantized);
    const lb_layer_row *two = walk_row(&x.record, "2.up"), *three = walk_row(&x.record, "3.up");
    assert_true(!two->quantized && !three->quantized && two->size.total == 2 * 24 * 16 && three->size.total == 0);
    assert_string_equal(three->same_as, "2.up");
    /* 5 bits of q: 16 columns are 12 bytes, zeros of 16 rows 10 */
    assert_int_equal(x.record.size.quantized.total, WALK_BLOCK - WALK_QO + 16 * (12 + 4) + 10 + WALK_DOWN);
    walk_close(&x);
}

/* ---- what is written ---- */

/* Killed between the two blocks of a pair, and in the second: the same file. Kept once, evaluated again. */
static void going_on_and_kept(void **state) {
    (void)state;
    static const char *const stops[] = {"0.up", "2.q", "2.down"};
    small_plan s;
    small_plan_open(&s, "sharing", "shares-going",
                    "keep_layers: true\n" WALK_CONFIG "  - {method: probe, act: 4}\n"
                    "  - {method: probe, true_sequential: true}\n  - {method: probe, propagate: original}\n");
    const char *whole = walk_folder(&s, "shares-whole"), *parts = walk_folder(&s, "shares-parts");
    for (size_t i = 1; i < s.plan.sweep.n; i++) {
        const lb_cell *c = &s.plan.sweep.cell[i];
        char *x = lb_arena_printf(s.arena, "%s/%s.h5", whole, c->stem);
        char *y = lb_arena_printf(s.arena, "%s/%s.h5", parts, c->stem);
        lb_record r;
        assert_true(x && y);
        assert_ok(walk_run_in(&s, whole, c, &r));
        probe_reset();
        for (size_t k = 0; k < sizeof stops / sizeof stops[0]; k++) {
            probe.fail_at = stops[k];
            assert_status(LB_E_INTERRUPTED, walk_run_in(&s, parts, c, &r));
            probe_reset();
        }
        assert_ok(walk_run_in(&s, parts, c, &r));
        assert_string_equal(probe.call[0].name, "2.q");
        probe_reset();
        assert_true(h5_same(x, y, "/host") > 50);
        lb_record back;
        lb_kept_cell kept;
        assert_ok(lb_kept_cell_open(s.arena, x, "", LB_WEIGHTS, true, s.team, &kept));
        back = kept.record;
        assert_int_equal(back.layers, WALK_BLOCKS * PLAIN_LINEARS);
        assert_string_equal(walk_row(&back, "3.up")->same_as, "2.up");
        assert_string_equal(walk_row(&back, "2.up")->same_as, "");
        lb_h5 *h;
        lb_bundle b;
        assert_ok(lb_h5_open(x, &h));
        assert_ok(lb_bundle_read(h, s.arena, &b));
        assert_int_equal(b.layers, 2 * PLAIN_LINEARS);
        assert_int_equal(b.bytes, 2 * WALK_BLOCK);
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
    small_plan_open(&s, "sharing", "shares-lies", WALK_CONFIG "  - {method: blind}\n");
    const char *dir = walk_folder(&s, "lies");
    const lb_cell *c = &s.plan.sweep.cell[1];
    char *path = lb_arena_printf(s.arena, "%s/%s.h5", dir, c->stem);
    assert_ok(walk_run_in(&s, dir, c, &r));
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
    small_plan_open(&s, "sharing", "shares-tables", WALK_CONFIG "  - {method: blind}\n");
    assert_ok(walk_run_in(&s, walk_folder(&s, "tables"), &s.plan.sweep.cell[1], &r));
    r.label = "blind", r.stem = "blind";
    const lb_results all = {.name = "t", .record = &r, .n = 1, .arena = s.arena};
    assert_ok(lb_report_layer_table(&all, 0, NULL, LB_TABLE_TERMINAL, &text));
    assert_non_null(strstr(text.s, "that of 0.q"));
    text.len = 0;
    assert_ok(lb_report_layer_table(&all, 0, NULL, LB_TABLE_CSV, &text));
    assert_non_null(strstr(text.s, "same_as"));
    char *line = strstr(text.s, "\n1.q,");
    assert_non_null(line);
    line[strcspn(line + 1, "\n") + 1] = 0;
    assert_non_null(strstr(line, ",0.q,"));
    lb_str_free(&text);
    probe_reset();
    small_plan_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resident),          cmocka_unit_test(streamed),         cmocka_unit_test(rules),
        cmocka_unit_test(going_on_and_kept), cmocka_unit_test(records_that_lie), cmocka_unit_test(tables),
    };
    return cmocka_run_group_tests(tests, small_model_setup_sharing, NULL);
}
