/* A sweep through the library: what cells record, and that memory running out anywhere is an error or a failed cell,
 * never a crash and never a wrong result. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/rng.h"
#include "math/blas.h"
#include "model/model.h"
#include "result/provenance.h"
#include "run/quantize.h"
#include "run/sweep_run.h"
#include "support/support.h"

static const char *home;
static bool stream;     /* weights, which are bfloat16 in the file */
static int samples = 3; /* of 16 tokens */
static char model_path[LB_TEST_PATH], text_path[LB_TEST_PATH];

/* Words at random, so that there are tokens enough. */
static void write_text(void) {
    static const char *const word[] = {"the", "cat", "sat", "on", "a", "red", "mat", "and", "ran", "home"};
    lb_rng r = lb_rng_make(5, 0);
    lb_str s = {0};
    for (int i = 0; i < 4000; i++) lb_str_add(&s, "%s%s", word[lb_rng_below(&r, 10)], i % 12 == 11 ? ".\n" : " ");
    assert_ok(lb_str_check(&s));
    assert_ok(lb_fs_write_atomic(text_path, s.s, s.len));
    lb_str_free(&s);
}

static int setup(void **state) {
    (void)state;
    if (lb_blas_init(1) != LB_OK) return 1;
    home = lb_test_tmpdir();
    snprintf(model_path, sizeof model_path, "%s/m", home);
    snprintf(text_path, sizeof text_path, "%s/t.txt", home);
    write_text();
    char *text = NULL;
    size_t n = 0;
    lb_tokenizer *tok = NULL;
    lb_model *m = NULL;
    lb_arch a = {.layers = 2,
                 .dim = 16,
                 .hidden = 24,
                 .heads = 2,
                 .kv_heads = 1,
                 .head_dim = 8,
                 .vocab = 280,
                 .context = 32,
                 .rope_base = 10000,
                 .norm_eps = 1e-5,
                 .tied = true};
    assert_ok(lb_fs_read(text_path, &text, &n));
    assert_ok(lb_tokenizer_train(text, n, a.vocab, &tok));
    lb_free(text);
    a.vocab = lb_tokenizer_vocab(tok);
    assert_ok(lb_model_new(&a, tok, 3, &m));
    assert_ok(lb_model_export(m, &m->weights, LB_BF16, model_path, NULL));
    lb_model_close(m);
    return 0;
}

static const char *compositions; /* entries instead of the usual ones */

static const char *config_text(lb_arena *a) {
    if (compositions)
        return lb_arena_printf(a,
                               "name: s\nmodel: %s\nresults: %s/results\nthreads: 1\nweights: %s\n"
                               "calibration: {text: %s, samples: 8, length: 16}\n"
                               "eval: {text: %s, protocol: W2-16, windows: 3}\nquantize_head: true\nquantize:\n%s",
                               model_path, home, stream ? "stream" : "resident", text_path, text_path, compositions);
    return lb_arena_printf(a,
                           "name: s\nmodel: %s\nresults: %s/results\nthreads: 1\nweights: %s\n"
                           "calibration: {text: %s, samples: %d, length: 16}\n"
                           "eval: {text: %s, protocol: W2-16, windows: 3}\nquantize_head: true\n"
                           "quantize:\n  - {method: gptq, bits: 3, group: 8, true_sequential: true}\n"
                           "  - {method: nf4, group: 16}\n  - {method: qat, bits: 4, steps: 2, batch: 1, length: 8, "
                           "warmup: 1, train: linears}\n  - {method: finetune, steps: 2, batch: 1, length: 8, "
                           "warmup: 1, train: linears}\n",
                           model_path, home, stream ? "stream" : "resident", text_path, samples, text_path);
}

typedef struct swept {
    lb_arena *a;
    lb_team *team;
    lb_config config;
    lb_plan plan;
    lb_sweep_result result;
} swept;

static lb_status plan_in(swept *s) {
    lb_yaml *root = NULL;
    LB_TRY(lb_arena_new(0, &s->a));
    const char *text = config_text(s->a);
    if (!text) return LB_E_NOMEM;
    LB_TRY(lb_yaml_parse(s->a, "c.yaml", text, strlen(text), &root));
    LB_TRY(lb_config_from_tree(s->a, "", root, &s->config));
    LB_TRY(lb_team_new(1, &s->team));
    return lb_plan_open(s->a, &s->config,
                        &(lb_plan_request){.parts = stream ? LB_STREAM : LB_WEIGHTS, .plugin_hash = ""}, s->team, NULL,
                        &s->plan);
}

static lb_status sweep_in(swept *s, bool again) {
    LB_TRY(plan_in(s));
    return lb_sweep_run(&(lb_plans){&s->plan, 1}, &(lb_sweep_options){.again = again}, NULL, &s->result);
}

static void end(swept *s) {
    lb_plan_close(&s->plan);
    lb_team_free(s->team);
    lb_arena_free(s->a);
    *s = (swept){0};
}

static lb_results *stored(void) {
    char dir[LB_TEST_PATH];
    lb_results *r = NULL;
    snprintf(dir, sizeof dir, "%s/results/s", home);
    assert_ok(lb_store_read_results(dir, &r));
    return r;
}

static void records(void **state) {
    (void)state;
    swept s = {0};
    assert_ok(sweep_in(&s, true));
    assert_int_equal(s.result.done, 5);
    assert_int_equal(s.result.failed, 0);
    lb_results *r = stored();
    char dir[LB_TEST_PATH];
    assert_int_equal(r->n, 5);
    snprintf(dir, sizeof dir, "%s/m", strrchr(home, '/') + 1);
    assert_string_equal(r->model_name, dir); /* of a path, the end */
    for (int64_t i = 0; i < r->n; i++) {
        const lb_record *c = &r->record[i];
        const lb_cell *planned = &s.plan.sweep.cell[i];
        assert_string_equal(c->key, planned->key);
        assert_memory_equal(&c->size, &planned->size, sizeof c->size);
        assert_int_equal(c->layers, i == 0 ? 0 : 15);
        assert_true(c->eval[0].has_paired == (i > 0) && isfinite(c->eval[0].eval.ppl));
        /* Rows add up to the model's figure. */
        lb_size sum = {0};
        for (int64_t l = 0; l < c->layers; l++)
            if (c->layer[l].quantized) lb_size_add(&sum, &c->layer[l].size);
        assert_memory_equal(&sum, &c->size.quantized, sizeof sum);
        assert_int_equal(c->size.total_as_fp16, sum.total + c->size.other_as_fp16);
        assert_int_equal(c->size.total_as_stored, sum.total + c->size.other_as_stored);
        assert_true(i == 0 || i == 4 || sum.total > sum.codes);
        assert_true(c->provenance.n > 10 && c->host.n >= 4 && c->stages >= 1);
    }
    const lb_record *gptq = &r->record[1], *nf4 = &r->record[2], *qat = &r->record[3], *tuned = &r->record[4];
    assert_string_equal(gptq->propagate, "quantized");
    assert_true(gptq->true_sequential);
    assert_string_equal(nf4->propagate, "");
    assert_string_equal(gptq->cite[0], "frantar2023gptq");
    for (int64_t l = 0; l < 15; l++) {
        /* 16 columns in groups of 8, 24 too: nothing is ragged. NF4's row-major blocks neither. */
        assert_int_equal(gptq->layer[l].flags & LB_FLAG_RAGGED_GROUP, 0);
        assert_true(gptq->layer[l].own.output_err <= 1.5 * gptq->layer[l].rtn_own.output_err);
        assert_true(isnan(nf4->layer[l].own.output_err) && nf4->layer[l].original.output_err > 0);
        assert_true(nf4->layer[l].original.output_err == nf4->layer[l].rtn_original.output_err);
    }
    assert_int_equal(qat->curve.n, 2);
    assert_true(qat->layer[0].flags & LB_FLAG_NOT_MINIMIZED);
    /* The tied matrix of head and embedding: quantized by the one, only trained by its control. */
    const lb_layer_row *head = &qat->layer[14], *kept = &tuned->layer[14];
    assert_string_equal(head->name, "head");
    assert_true(head->quantized && head->bits == 4 && head->original.output_err > 0);
    assert_true(qat->size.other_as_fp16 == nf4->size.other_as_fp16);
    assert_true(!kept->quantized && kept->original.weight_err > 0 && tuned->size.quantized.total == 0);
    lb_results_free(r);
    end(&s);
}

/* Layers have 16 columns, down has 24. */
static void tokens_for_h(void **state) {
    (void)state;
    const struct {
        int samples;
        uint32_t down, others;
        const char *note;
    } want[] = {
        {15, 0, 0, NULL},
        {14, LB_FLAG_FEW_TOKENS, 0,
         "224 calibration tokens for the 24 columns of 0.down: H is poorly determined in 2 of 15 layers, and damping "
         "does the rest (ten tokens a column: 240)"},
        {1, LB_FLAG_RANK_DEFICIENT, LB_FLAG_FEW_TOKENS,
         "16 calibration tokens for the 24 columns of 0.down: H is rank-deficient in 2 of 15 layers and poorly "
         "determined in 13, and damping does the rest (ten tokens a column: 240)"},
    };
    for (size_t n = 0; n < sizeof want / sizeof want[0]; n++) {
        swept s = {0};
        samples = want[n].samples;
        assert_ok(sweep_in(&s, true));
        lb_results *r = stored();
        const lb_record *gptq = &r->record[1];
        const uint32_t both = LB_FLAG_FEW_TOKENS | LB_FLAG_RANK_DEFICIENT;
        for (int64_t l = 0; l < gptq->layers; l++)
            assert_int_equal(gptq->layer[l].flags & both, gptq->layer[l].cols == 24 ? want[n].down : want[n].others);
        assert_int_equal(gptq->flags & both, want[n].down | want[n].others);
        assert_int_equal(gptq->warnings, want[n].note ? 2 : 1); /* the first: one text for everything */
        if (want[n].note) assert_string_equal(gptq->warning[1], want[n].note);
        for (int64_t i = 2; i < r->n; i++) { /* not solved on H, although measured with it */
            assert_int_equal(r->record[i].flags & both, 0);
            assert_int_equal(r->record[i].warnings, 1);
        }
        lb_results_free(r);
        end(&s);
    }
    samples = 3;
}

/* Eight samples are 128 tokens, fewer than ten for each of 16 columns: who factors H is told, alone or behind others;
 * who reads its diagonal is not. */
static void tokens_for_a_diagonal(void **state) {
    (void)state;
    static const uint32_t want[] = {0, 0, LB_FLAG_FEW_TOKENS, LB_FLAG_FEW_TOKENS};
    swept s = {0};
    compositions = "  - {method: wanda}\n  - stages: [{method: wanda}, {method: gptq, bits: 3}]\n"
                   "  - stages: [{method: wanda}, {method: low_rank, rank: 1}]\n";
    assert_ok(sweep_in(&s, true));
    compositions = NULL;
    lb_results *r = stored();
    assert_int_equal(r->n, 4);
    for (int64_t i = 1; i < r->n; i++) {
        assert_int_equal(r->record[i].flags & (LB_FLAG_FEW_TOKENS | LB_FLAG_RANK_DEFICIENT), want[i]);
        assert_int_equal(r->record[i].warnings, want[i] ? 2 : 1);
        assert_true(r->record[i].layer[0].own.output_err > 0); /* measured with H nonetheless */
    }
    lb_results_free(r);
    end(&s);
}

static void put_journal(const char *text) {
    char path[LB_TEST_PATH];
    snprintf(path, sizeof path, "%s/x.journal", home);
    assert_ok(lb_fs_write_atomic(path, text, strlen(text)));
}

static char *said;

static void listen(void *user, lb_level level, const char *text) {
    (void)user, (void)level;
    if (!strstr(text, "interrupted training")) return;
    lb_free(said);
    assert_non_null(said = lb_strdup(text));
}

static void stop_training(void *user, const lb_progress *p) {
    (void)user;
    if (strcmp(p->stage, "qat") == 0 && p->done == 1) lb_interrupt_request();
}

/* At the interruption, and when it starts over. */
static void what_a_training_loses(void **state) {
    (void)state;
    swept s = {0};
    samples = 4; /* cells of its own */
    assert_ok(plan_in(&s));
    lb_log log = {.message = listen, .progress = stop_training};
    lb_status st = lb_sweep_run(&(lb_plans){&s.plan, 1}, &(lb_sweep_options){.again = true}, &log, &s.result);
    lb_interrupt_clear();
    assert_status(LB_E_INTERRUPTED, st);
    assert_error_has("qat 4b row steps=2 batch=1 length=8 warmup=1 train=linears: step 2 of 2: interrupted: training "
                     "starts over (");
    assert_error_has(" lost)");
    assert_null(said);
    end(&s);
    assert_ok(plan_in(&s));
    log.progress = NULL;
    assert_ok(lb_sweep_run(&(lb_plans){&s.plan, 1}, &(lb_sweep_options){0}, &log, &s.result));
    assert_int_equal(s.result.kept, 3);
    assert_non_null(said);
    const char *want =
        "qat 4b row steps=2 batch=1 length=8 warmup=1 train=linears: an interrupted training of this cell "
        "(1 of 2 steps, ";
    assert_memory_equal(said, want, strlen(want));
    lb_free(said);
    said = NULL;
    samples = 3;
    end(&s);
}

/* A journal may end anywhere. What it says of a training is what its last whole line of that kind says. */
static void interrupted_training(void **state) {
    (void)state;
    lb_trained t;
    const lb_trained want = {208, 600, 45.25};
    assert_ok(lb_journal_interrupted(home, "none", &t));
    assert_int_equal(t.step, 0);
    put_journal("{\"event\":\"start\",\"label\":\"l\",\"key\":\"k\",\"date\":\"d\"}\n");
    assert_ok(lb_journal_train(home, "x", &(lb_trained){1, 600, 0.25}));
    assert_ok(lb_journal_train(home, "x", &want));
    assert_ok(lb_journal_interrupted(home, "x", &t));
    assert_true(t.step == 208 && t.steps == 600 && t.seconds == 45.25);
    put_journal("{\"event\":\"train\",\"step\":7,\"steps\":9,\"seconds\":2}\n\xff{}]\n\n[1]\n"
                "{\"event\":\"train\",\"step\":\"8\",\"steps\":9,\"seconds\":2}\n{\"event\":\"train\",\"step\":8");
    assert_ok(lb_journal_interrupted(home, "x", &t));
    assert_int_equal(t.step, 7);
    assert_ok(lb_journal_note(home, "x", "failed", "diverged")); /* completes the cut line, which stays no event */
    assert_ok(lb_journal_note(home, "x", "failed", "diverged"));
    assert_ok(lb_journal_interrupted(home, "x", &t)); /* it was not interrupted */
    assert_int_equal(t.step, 0);
    lb_journal_remove(home, "x");
}

/* A model whose file has 4 bits a weight: what trains is no longer what the file holds. */
static void sizes_as_stored(void **state) {
    (void)state;
    swept s = {0};
    assert_ok(plan_in(&s));
    lb_model *m = s.plan.model;
    int64_t norms = 0;
    for (int64_t i = 0; i < m->n_tensors; i++) {
        m->tensor[i].stored_bytes = m->tensor[i].rows * m->tensor[i].cols / 2;
        if (strstr(m->tensor[i].name, "norm")) norms += m->tensor[i].rows * m->tensor[i].cols;
    }
    assert_ok(lb_plan_layers(&s.plan));
    const lb_model_size *gptq = &s.plan.sweep.cell[1].size, *qat = &s.plan.sweep.cell[3].size;
    const lb_model_size *tuned = &s.plan.sweep.cell[4].size;
    /* Every matrix is quantized, and the norms do not train (train: linears). */
    assert_int_equal(gptq->other_as_stored, norms / 2);
    assert_int_equal(qat->other_as_stored, norms / 2);
    /* The control: every matrix trains and none is quantized. */
    assert_int_equal(tuned->other_as_stored, tuned->original_fp16 - 2 * norms + norms / 2);
    assert_int_equal(tuned->other_as_fp16, tuned->original_fp16);
    assert_int_equal(tuned->original_as_stored, tuned->original_fp16 / 4);
    end(&s);
}

/* Masks and pairs from plan to result: sizes as counted by hand, errors and perplexity the same whether weights stay in
 * memory or are decoded from what is kept of them, and results without such parts know nothing of them. */
static void parts_reach_results(void **state) {
    (void)state;
    double ppl[2][4], error[2][4];
    compositions = "  - {method: wanda, pattern: \"2:4\"}\n  - {method: low_rank, bits: 3, group: 8, rank: 2}\n"
                   "  - {method: rtn, bits: 3, group: 8}\n";
    for (int way = 0; way < 2; way++) {
        swept s = {0};
        stream = way == 1;
        assert_ok(sweep_in(&s, true));
        assert_int_equal(s.result.done, 4);
        lb_results *r = stored();
        for (int64_t i = 0; i < 4; i++) {
            const lb_record *c = &r->record[i];
            assert_memory_equal(&c->size, &s.plan.sweep.cell[i].size, sizeof c->size);
            ppl[way][i] = c->eval[0].eval.ppl;
            error[way][i] = i ? c->layer[3].original.output_err : 0;
            for (int64_t l = 0; l < c->layers; l++) {
                const lb_layer_row *x = &c->layer[l];
                bool masked = i == 1, paired = i == 2;
                assert_int_equal(x->size.mask, masked ? x->rows * ((x->cols + 7) / 8) : 0);
                assert_int_equal(x->size.low_rank, paired ? 2 * 2 * (x->rows + x->cols) : 0);
                if (masked) assert_int_equal(x->size.codes, x->rows * x->cols); /* half of them, 16 bits each */
                if (paired) assert_true(x->own.output_err < x->rtn_own.output_err);
                /* Kept floats have no rounding to compare with. */
                if (masked) assert_true(x->rtn_own.output_err == 0 && x->own.output_err > 0);
            }
        }
        assert_string_equal(r->record[1].layer[0].storage, "f16 keep2:4");
        assert_string_equal(r->record[2].layer[0].storage, "int3 g8 asym rank2 f16-pair");
        lb_results_free(r);
        end(&s);
    }
    compositions = NULL;
    stream = false;
    assert_memory_equal(ppl[0], ppl[1], sizeof ppl[0]);
    assert_memory_equal(error[0], error[1], sizeof error[0]);
}

/* Stages: what check says they take is what is stored, memory or stream; a stage cannot do better than the target lets
 * it, nor a pair worse than none; a single stage is its method but for nothing. */
static void stages_reach_results(void **state) {
    (void)state;
    double ppl[2][5];
    compositions =
        "  - {stages: [{method: wanda, pattern: \"2:4\"}, {method: rtn, bits: 4, group: 8}]}\n"
        "  - {stages: [{method: wanda, sparsity: 0.3}, {method: gptq, bits: 3, group: 8, act_order: true}, "
        "{method: low_rank, rank: 2}], rules: [{match: \"0.*\", bits: 2}, {match: \"1.q\", percdamp: 0.1}]}\n"
        "  - {stages: [{method: nf4, group: 16, double_quant: true}, {method: low_rank, rank: 2}]}\n"
        "  - {stages: [{method: low_rank, bits: 3, group: 8, rank: 2}]}\n"
        "  - {stages: [{method: low_rank, bits: 3, rank: 2}, {method: rtn}]}\n";
    for (int way = 0; way < 2; way++) {
        swept s = {0};
        stream = way == 1;
        assert_ok(sweep_in(&s, true));
        assert_int_equal(s.result.done, 5);
        assert_int_equal(s.result.refused, 1);
        assert_string_equal(s.plan.sweep.cell[5].reason,
                            "stage rtn: rounds floats, and the layer so far is int3 row asym rank2 f16-pair: it must "
                            "come before that");
        lb_results *r = stored();
        for (int64_t i = 0; i < 5; i++) {
            const lb_record *c = &r->record[i];
            lb_size sum = {0};
            assert_memory_equal(&c->size, &s.plan.sweep.cell[i].size, sizeof c->size);
            for (int64_t l = 0; l < c->layers; l++) lb_size_add(&sum, &c->layer[l].size);
            assert_memory_equal(&sum, &c->size.quantized, sizeof sum);
            ppl[way][i] = c->eval[0].eval.ppl;
        }
        const lb_record *two = &r->record[1], *three = &r->record[2];
        const lb_layer_row *q = &two->layer[0];
        assert_string_equal(two->method, "wanda+rtn");
        assert_string_equal(q->storage, "int4 g8 asym keep2:4");
        assert_int_equal(q->size.codes + q->size.padding, q->rows * 4); /* 8 of 16 codes, 4 bits each */
        assert_int_equal(two->cites, 2);
        assert_string_equal(two->cite[0], "sun2024wanda");
        assert_string_equal(three->layer[0].storage, "int2 g8 asym order keep12:16 rank2 f16-pair");
        assert_string_equal(three->layer[9].storage, "int3 g8 asym order keep12:16 rank2 f16-pair");
        assert_true(three->layer[0].told.value[0] == 0.01 && three->layer[7].told.value[0] == 0.1 &&
                    three->layer[8].told.value[0] == 0.01);
        assert_string_equal(r->record[4].method, "low_rank");
        lb_results_free(r);
        end(&s);
    }
    compositions = NULL;
    stream = false;
    assert_memory_equal(ppl[0], ppl[1], sizeof ppl[0]);
}

/* The config that a result holds is one: it gives the same cell. */
static void configs_read_back(void **state) {
    (void)state;
    swept s = {0};
    compositions = "  - {method: wanda, pattern: \"2:4\"}\n  - {method: rtn, bits: 3, group: tensor}\n"
                   "  - {stages: [{method: wanda, pattern: \"4:8\"}, {method: gptq, on_failure: rtn, percdamp: 0.1}, "
                   "{method: low_rank, rank: 2}], true_sequential: true, rules: [{match: \"*.q\", gptq.percdamp: 0.2}, "
                   "{match: \"*.up\", percdamp: 0.3, skip: false}]}\n";
    assert_ok(plan_in(&s));
    assert_int_equal(s.plan.sweep.n, 4);
    for (size_t i = 1; i < 4; i++) {
        const lb_cell *c = &s.plan.sweep.cell[i];
        lb_yaml *root = NULL;
        lb_config again = {0};
        lb_plan plan = {0};
        assert_ok(lb_yaml_parse(s.a, "again.yaml", c->config, strlen(c->config), &root));
        assert_ok(lb_config_from_tree(s.a, "", root, &again));
        assert_ok(
            lb_plan_open(s.a, &again, &(lb_plan_request){.parts = LB_WEIGHTS, .plugin_hash = ""}, s.team, NULL, &plan));
        assert_int_equal(plan.sweep.n, 2);
        assert_string_equal(plan.sweep.cell[1].content_key, c->content_key);
        assert_string_equal(plan.sweep.cell[1].config, c->config);
        lb_plan_close(&plan);
    }
    compositions = NULL;
    end(&s);
}

/* One allocation in each sweep fails: a sample of them, as a sweep makes thousands. */
static void memory_runs_out(void **state) {
    (void)state;
    enum { SAMPLES = 70 };
    swept s = {0};
    lb_alloc_fail_at(0);
    assert_ok(sweep_in(&s, true));
    int64_t all = lb_alloc_count(), failed = 0;
    end(&s);
    assert_true(all > 10 * SAMPLES);
    for (int64_t n = 1; n <= all; n += 1 + all / SAMPLES) {
        lb_alloc_fail_at(n);
        lb_status st = sweep_in(&s, true);
        lb_alloc_fail_at(0);
        if (st != LB_OK) assert_int_equal(st, LB_E_NOMEM);
        failed += st != LB_OK || s.result.failed > 0;
        end(&s);
    }
    /* A look for something that may as well not be there may swallow one. */
    assert_true(failed > SAMPLES - 10);
    assert_ok(sweep_in(&s, false));
    assert_int_equal(s.result.done + s.result.kept + s.result.refused, 5);
    end(&s);
}

static void memory_runs_out_while_streaming(void **state) {
    stream = true;
    memory_runs_out(state);
    stream = false;
}

/* What cells are thought to take, by the cost of their methods alone: at rates that are given. */
static double seconds_of(const swept *s, size_t cell, lb_rate rate, double *memory) {
    lb_estimate e;
    assert_ok(lb_plan_estimate(&s->plan, &s->plan.sweep.cell[cell], &rate, &e));
    *memory = e.memory_bytes;
    return e.seconds;
}

static void estimates(void **state) {
    (void)state;
    swept s = {0};
    char entries[LB_TEST_PATH + 1024];
    snprintf(entries, sizeof entries,
             "  - {method: qat, steps: 2, batch: 3, length: 8, warmup: 0}\n"
             "  - {method: qat, steps: 4, batch: 3, length: 8, warmup: 0}\n"
             "  - {method: qat, steps: 4, batch: 3, length: 8, warmup: 0, training: {validation: %s, every: 2, "
             "validation_windows: 5}}\n"
             "  - {method: rtn}\n  - {method: rtn, mse: true}\n  - {method: gptq}\n"
             "  - {method: low_rank, rank: 2}\n  - {stages: [{method: gptq}, {method: low_rank, rank: 2}]}\n"
             "  - {method: autoround, iters: 2, batch: 2, quantize_head: false}\n  - {method: autoround, iters: "
             "4, batch: 2, quantize_head: false}\n",
             text_path);
    compositions = entries;
    assert_ok(plan_in(&s));
    compositions = NULL;
    enum { NONE, QAT, QAT_TWICE, VALIDATED, RTN, CLIPS, GPTQ, LOW_RANK, BOTH, BLOCK, BLOCK_TWICE, CELLS };
    assert_int_equal(s.plan.sweep.n, CELLS);
    const lb_rate products = {.flops = 1e6, .steps = 1e30}, steps = {.flops = 1e30, .steps = 1e6};
    double p[CELLS], e[CELLS], memory[CELLS];
    for (size_t i = 0; i < CELLS; i++) {
        p[i] = seconds_of(&s, i, products, &memory[i]);
        e[i] = seconds_of(&s, i, steps, &memory[i]);
    }
    /* Tokens of a training: forward once and back at twice the cost, through linears, attention and head. */
    const lb_net *net = s.plan.model->net;
    double weights = 0, heads = 0, blocks = 0;
    for (int32_t i = 0; i < net->sites; i++)
        if (net->site[i].block >= 0) weights += (double)(net->site[i].rows * net->site[i].cols);
    for (int64_t b = 0; b < net->blocks; b++) blocks += 1;
    heads = (double)(net->site[net->head].rows * net->site[net->head].cols);
    double forward = 2 * weights + 2 * 8 * blocks * 16 + 2 * heads; /* two heads of 8 a block */
    assert_true(fabs(p[QAT_TWICE] - p[QAT] - 2 * 3 * 8 * 3 * forward / (0.7 * 1e6)) < 1e-9 * p[QAT]);
    /* Before the first step, before the third, after the fourth: five windows of eight tokens. */
    assert_true(fabs(p[VALIDATED] - p[QAT_TWICE] - 3 * 5 * 8 * forward / (0.7 * 1e6)) < 1e-9 * p[QAT]);
    assert_true(memory[QAT] > memory[RTN] + 16 * (weights + heads));
    /* Tokens through blocks, by a method that calls them: a step forward twice and back once; targets are made once. */
    const lb_calibration_config *k = &s.plan.config->calibration;
    double batch = k->samples < 2 ? 1 : 2,
           targets = fmin(4 * batch, (double)k->samples) - fmin(2 * batch, (double)k->samples);
    double through =
        (double)k->length * (2 * batch * 4 + targets) * (2 * weights + 2 * (double)k->length * blocks * 16);
    assert_true(fabs(p[BLOCK_TWICE] - p[BLOCK] - through / (0.7 * 1e6)) < 1e-9 * p[BLOCK]);
    assert_true(e[BLOCK] < e[BLOCK_TWICE] && memory[BLOCK] > memory[RTN]);
    /* Of layers: steps, products, and what one thread does alone, which is the slowest. */
    assert_true(e[NONE] < e[RTN] && 20 * e[RTN] < e[CLIPS] && p[RTN] == p[CLIPS]);
    assert_true(p[RTN] < p[GPTQ] && p[RTN] < p[LOW_RANK] && memory[GPTQ] > memory[RTN]);
    double serial = 0, more = 0;
    const lb_cell *c = &s.plan.sweep.cell[LOW_RANK];
    for (int64_t i = 0; i < c->layers; i++) {
        const lb_cost_of of = {.rows = c->layer[i].rows, .cols = c->layer[i].cols, .first = true, .threads = 1};
        lb_cost one;
        assert_ok(lb_method_cost(c->method, c->layer[i].opts, &of, &one));
        serial += one.serial;
        more += one.products;
    }
    double beside = more / (0.5 * 0.75 * 1e6) + serial / (0.5 * 0.2 * 1e6); /* of a stage after gptq */
    assert_true(serial > 0 && fabs(p[BOTH] - p[GPTQ] - beside) < 1e-9 * p[BOTH]);
    end(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records),
        cmocka_unit_test(tokens_for_h),
        cmocka_unit_test(tokens_for_a_diagonal),
        cmocka_unit_test(what_a_training_loses),
        cmocka_unit_test(interrupted_training),
        cmocka_unit_test(sizes_as_stored),
        cmocka_unit_test(parts_reach_results),
        cmocka_unit_test(stages_reach_results),
        cmocka_unit_test(configs_read_back),
        cmocka_unit_test(estimates),
        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(memory_runs_out_while_streaming),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
