/* The store: what is written comes back, equal records give equal bytes, damage is noticed, nothing is half-written. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "result/provenance.h"
#include "result/store.h"
#include "result/store_fields.h"
#include "support/io_probe.h"
#include "support/support.h"

static lb_arena *arena;
static const char *dir;

static int setup(void **state) {
    (void)state;
    dir = lb_test_tmpdir();
    signal(SIGXFSZ, SIG_IGN);
    return lb_arena_new(0, &arena) == LB_OK ? 0 : -1;
}
static int teardown(void **state) {
    (void)state;
    lb_arena_free(arena);
    return 0;
}

enum { LAYERS = 3, WINDOWS = 4, STEPS = 5 };

static lb_layer_error error_of(double seed, bool output) {
    return (lb_layer_error){seed, seed * 10, output ? seed / 3 : NAN, output ? seed * 7 : NAN, 6, 8};
}

static lb_eval eval_of(const char *id, bool kl) {
    lb_eval e = {.windows = WINDOWS, .windows_all = 9, .scored = 4 * 15, .mean_nll = 2.5, .ppl = 12.18, .ppl_se = 0.25};
    assert_ok(lb_protocol_parse(id, &e.protocol));
    e.window_nll = LB_NEW(arena, double, WINDOWS);
    e.has_kl = kl;
    e.window_kl = kl ? LB_NEW(arena, double, WINDOWS) : NULL;
    e.window_agree = kl ? LB_NEW(arena, double, WINDOWS) : NULL;
    for (int i = 0; i < WINDOWS; i++) {
        e.window_nll[i] = 2.0 + i / 3.0;
        if (kl) e.window_kl[i] = 0.1 * i, e.window_agree[i] = 1.0 / (i + 1);
    }
    if (kl) e.kl_mean = 0.15, e.kl_median = 0.1, e.kl_p99 = 0.3, e.top1 = 0.9;
    return e;
}

static lb_pairs pairs_of(const char *k1, const char *v1, const char *k2, const char *v2) {
    lb_pairs p = {0};
    assert_ok(lb_pairs_add(arena, &p, k1, v1));
    assert_ok(lb_pairs_add(arena, &p, k2, v2));
    return p;
}

static const lb_diagnostic told[] = {{"damp", "", "a damping", 0, 1},
                                     {"dead_columns", "columns", "dead", 0, 10},
                                     {"iterations", "steps", "of a search", 0, 100},
                                     {"low_rank.share", "", "ein Teil: ü", 0, 1}};

static lb_eval_row eval_row(const char *name, const char *hash, const char *path, const char *bos, int64_t tokens,
                            lb_eval e) {
    return (lb_eval_row){name, hash, path, bos, tokens, e, .rows = ""};
}

static lb_record sample(const char *stem) {
    static lb_layer_row layer[LAYERS];
    static lb_eval_row eval[2];
    static int64_t step[STEPS] = {0, 10, 20, 30, 40};
    static double loss[6][STEPS];
    static const char *stage[] = {"quantize", "perplexity"};
    static double stage_s[] = {1.5, 2.5};
    static char w1[] = "the text has CRLF line ends", w2[] = "zweite Warnung: ü";
    static char *warning[] = {w1, w2};
    static char c1[] = "frantar2022gptq";
    static char *cite[] = {c1};
    static char key[65];
    memset(key, 'a', 64);
    for (int i = 0; i < LAYERS; i++) {
        layer[i] = (lb_layer_row){.block = i == 2 ? -1 : 0,
                                  .type = i == 2 ? "head" : "q",
                                  .rows = 6,
                                  .cols = 8,
                                  .storage = "int3 g4 asym",
                                  .bits = 3,
                                  .group = 4,
                                  .quantized = i != 1,
                                  .size = {48, 24, 12, 2, 0, 16, 6, 60},
                                  .own = error_of(0.5 + i, i != 1),
                                  .original = error_of(0.25 + i, true),
                                  .rtn_own = error_of(2.0, i != 1),
                                  .rtn_original = error_of(3.0, true),
                                  .equal_own = {1.5 + i, 3},
                                  .rtn_equal_original = {i ? NAN : 2, 4},
                                  .own_carried = {0.5, 0.25, 0.125},
                                  .flags = LB_FLAG_RAGGED_GROUP,
                                  .told = {i ? 15 : 13, {0.01, i, 12, 0.5}}, /* of none, 0 is not told */
                                  .seconds = 0.125 * i};
        snprintf(layer[i].name, sizeof layer[i].name, i == 2 ? "head" : "0.%s", i == 0 ? "q" : "k");
    }
    for (int k = 0; k < 6; k++)
        for (int i = 0; i < STEPS; i++) loss[k][i] = k + 1.0 / (i + 1);
    loss[5][1] = NAN; /* not measured */
    eval[0] = eval_row("wikitext-2", "ab12", "data/w.txt", "auto: none", 500, eval_of("W2-16", true));
    eval[0].has_paired = true, eval[0].paired = (lb_paired){0.5, 0.25, 0.75, WINDOWS, 2};
    eval[0].rows = "lines, joined by \" \"";
    eval[1] = eval_row("stories", "cd34", "data/s.txt", "never", 600, eval_of("LCPP-32", false));
    return (lb_record){.key = key,
                       .stem = stem,
                       .label = "gptq 3b g4",
                       .state = LB_CELL_DONE,
                       .message = "",
                       .method = "gptq",
                       .options = pairs_of("bits", "3", "group", "4"),
                       .varied = pairs_of("bits", "3", "seed", "1"),
                       .bits = 3,
                       .group = 4,
                       .storage = "int3 g4 asym",
                       .seed = 1,
                       .propagate = "quantized",
                       .true_sequential = true,
                       .layer = layer,
                       .layers = LAYERS,
                       .diagnostics = {told, 4},
                       .eval = eval,
                       .evals = 2,
                       .size = {{144, 72, 36, 6, 0, 48, 18, 180}, 1000, 500, 1180, 680, 1500, 900},
                       .curve = {STEPS, STEPS, step, loss[0], loss[1], loss[2], loss[3], loss[4], step, loss[5], 3, 3},
                       .flags = LB_FLAG_RAGGED_GROUP | LB_FLAG_DEAD_COLUMNS,
                       .warning = warning,
                       .warnings = 2,
                       .provenance = pairs_of("revision", lb_provenance_revision(), "model", "m.gguf"),
                       .host = pairs_of("host", "here", "threads", "2"),
                       .stage = stage,
                       .stage_s = stage_s,
                       .stages = 2,
                       .seconds = 4.5,
                       .peak_bytes = 123456789,
                       .cite = cite,
                       .cites = 1,
                       .config = "model: m.gguf\nquantize:\n  - method: gptq\n"};
}

static void same_pairs(const lb_pairs *a, const lb_pairs *b) {
    assert_int_equal(a->n, b->n);
    for (int64_t i = 0; i < a->n; i++) {
        assert_string_equal(a->at[i].key, b->at[i].key);
        assert_string_equal(a->at[i].value, b->at[i].value);
    }
}

static void same_doubles(const double *a, const double *b, int64_t n) {
    assert_memory_equal(a, b, (size_t)n * sizeof *a);
}

static void same_layers(const lb_record *a, const lb_record *b) {
    assert_int_equal(a->layers, b->layers);
    for (int64_t i = 0; i < a->layers; i++) {
        const lb_layer_row *x = &a->layer[i], *y = &b->layer[i];
        assert_string_equal(x->name, y->name);
        assert_string_equal(x->type, y->type);
        assert_string_equal(x->storage, y->storage);
        assert_int_equal(x->block, y->block);
        assert_true(x->rows == y->rows && x->cols == y->cols && x->bits == y->bits && x->group == y->group);
        assert_true(x->quantized == y->quantized && x->flags == y->flags);
        assert_memory_equal(&x->size, &y->size, sizeof x->size);
        assert_memory_equal(&x->own, &y->own, sizeof x->own);
        assert_memory_equal(&x->original, &y->original, sizeof x->own);
        assert_memory_equal(&x->rtn_own, &y->rtn_own, sizeof x->own);
        assert_memory_equal(&x->rtn_original, &y->rtn_original, sizeof x->own);
        assert_memory_equal(&x->equal_own, &y->equal_own, (char *)&x->flags - (char *)&x->equal_own);
        assert_true(x->seconds == y->seconds);
        assert_int_equal(x->told.which, y->told.which);
        for (size_t k = 0; k < 4; k++)
            if (lb_is_told(&x->told, k)) assert_true(x->told.value[k] == y->told.value[k]);
    }
}

static void same_evals(const lb_record *a, const lb_record *b) {
    assert_int_equal(a->evals, b->evals);
    for (int64_t i = 0; i < a->evals; i++) {
        const lb_eval_row *x = &a->eval[i], *y = &b->eval[i];
        assert_string_equal(x->name, y->name);
        assert_string_equal(x->text_hash, y->text_hash);
        assert_string_equal(x->text_path, y->text_path);
        assert_string_equal(x->bos, y->bos);
        assert_string_equal(x->rows, y->rows);
        assert_string_equal(x->eval.protocol.id, y->eval.protocol.id);
        assert_int_equal(x->eval.protocol.rule, y->eval.protocol.rule);
        assert_int_equal(x->eval.protocol.n, y->eval.protocol.n);
        assert_true(x->text_tokens == y->text_tokens && x->eval.windows_all == y->eval.windows_all);
        assert_true(x->eval.scored == y->eval.scored && x->eval.mean_nll == y->eval.mean_nll);
        assert_true(x->eval.ppl == y->eval.ppl && x->eval.ppl_se == y->eval.ppl_se);
        assert_true(x->eval.has_kl == y->eval.has_kl && x->eval.kl_mean == y->eval.kl_mean);
        assert_true(x->eval.kl_median == y->eval.kl_median && x->eval.kl_p99 == y->eval.kl_p99);
        assert_true(x->eval.top1 == y->eval.top1 && x->has_paired == y->has_paired);
        assert_memory_equal(&x->paired, &y->paired, sizeof x->paired);
        same_doubles(x->eval.window_nll, y->eval.window_nll, x->eval.windows);
        if (!x->eval.has_kl) continue;
        same_doubles(x->eval.window_kl, y->eval.window_kl, x->eval.windows);
        same_doubles(x->eval.window_agree, y->eval.window_agree, x->eval.windows);
    }
}

static void same_record(const lb_record *a, const lb_record *b) {
    const char *const x[] = {a->key, a->stem, a->label, a->message, a->method, a->storage, a->propagate, a->config};
    const char *const y[] = {b->key, b->stem, b->label, b->message, b->method, b->storage, b->propagate, b->config};
    for (size_t i = 0; i < sizeof x / sizeof x[0]; i++) assert_string_equal(x[i], y[i]);
    assert_true(a->state == b->state && a->bits == b->bits && a->group == b->group && a->seed == b->seed);
    assert_true(a->true_sequential == b->true_sequential && a->flags == b->flags);
    same_pairs(&a->options, &b->options);
    same_pairs(&a->varied, &b->varied);
    same_pairs(&a->provenance, &b->provenance);
    same_pairs(&a->host, &b->host);
    same_layers(a, b);
    same_evals(a, b);
    assert_memory_equal(&a->size, &b->size, sizeof a->size);
    assert_int_equal(a->curve.n, b->curve.n);
    assert_memory_equal(a->curve.step, b->curve.step, (size_t)a->curve.n * sizeof *a->curve.step);
    same_doubles(a->curve.total, b->curve.total, a->curve.n);
    same_doubles(a->curve.next_token, b->curve.next_token, a->curve.n);
    same_doubles(a->curve.kl, b->curve.kl, a->curve.n);
    same_doubles(a->curve.lr, b->curve.lr, a->curve.n);
    same_doubles(a->curve.grad_norm, b->curve.grad_norm, a->curve.n);
    int64_t n = a->curve.validations;
    assert_int_equal(n, b->curve.validations);
    assert_memory_equal(a->curve.validation_step, b->curve.validation_step, (size_t)n * sizeof *a->curve.step);
    same_doubles(a->curve.validation_loss, b->curve.validation_loss, n);
    assert_int_equal(a->warnings, b->warnings);
    for (int64_t i = 0; i < a->warnings; i++) assert_string_equal(a->warning[i], b->warning[i]);
    assert_int_equal(a->cites, b->cites);
    for (int64_t i = 0; i < a->cites; i++) assert_string_equal(a->cite[i], b->cite[i]);
    assert_int_equal(a->stages, b->stages);
    for (int64_t i = 0; i < a->stages; i++) assert_string_equal(a->stage[i], b->stage[i]);
    same_doubles(a->stage_s, b->stage_s, a->stages);
    assert_true(a->seconds == b->seconds && a->peak_bytes == b->peak_bytes);
}

static const char *path_of(const char *name) {
    char *p = lb_fs_join(dir, name);
    const char *kept = lb_arena_strdup(arena, p);
    lb_free(p);
    return kept;
}

static void round_trip(void **state) {
    (void)state;
    lb_record r = sample("trip"), back;
    assert_ok(lb_store_write(dir, &r));
    assert_ok(lb_store_read(path_of("trip.h5"), arena, &back));
    same_record(&r, &back);
    /* The baseline: no layers, no training, nothing to warn about. */
    lb_record bare = sample("bare");
    bare.layers = bare.curve.n = bare.warnings = bare.cites = bare.stages = bare.evals = 0;
    bare.options.n = bare.varied.n = bare.curve.validations = 0;
    assert_ok(lb_store_write(dir, &bare));
    assert_ok(lb_store_read(path_of("bare.h5"), arena, &back));
    same_record(&bare, &back);
}

static void equal_bytes(void **state) {
    (void)state;
    lb_record r = sample("twice");
    size_t n1 = 0, n2 = 0;
    assert_ok(lb_store_write(dir, &r));
    uint8_t *a = slurp(path_of("twice.h5"), &n1);
    assert_ok(lb_store_write(dir, &r));
    uint8_t *b = slurp(path_of("twice.h5"), &n2);
    assert_int_equal(n1, n2);
    assert_memory_equal(a, b, n1);
    free(a);
    free(b);
}

/* No prefix of a file is a result, and a changed byte is noticed. */
static void damage(void **state) {
    (void)state;
    lb_record r = sample("damage"), back;
    assert_ok(lb_store_write(dir, &r));
    size_t n = 0;
    const char *path = path_of("damage.h5");
    uint8_t *bytes = slurp(path, &n);
    for (size_t cut = 0; cut < n; cut += 1 + n / 111) {
        assert_ok(lb_fs_write_atomic(path, bytes, cut));
        assert_status(LB_E_FORMAT, lb_store_read(path, arena, &back));
        assert_error_has("damage.h5 is damaged: ");
    }
    for (size_t at = 0; at < n; at += 1 + n / 211) {
        bytes[at] = (uint8_t)~bytes[at];
        assert_ok(lb_fs_write_atomic(path, bytes, n));
        assert_status(LB_E_FORMAT, lb_store_read(path, arena, &back));
        assert_error_has("damage.h5 is damaged: ");
        bytes[at] = (uint8_t)~bytes[at];
    }
    free(bytes);
}

/* Steps that do not grow, losses that no text has. */
static void validations(void **state) {
    (void)state;
    lb_record r = sample("validated"), back;
    int64_t step[] = {0, 25, 50};
    double loss[] = {3, NAN, 2};
    static const char *const say[] = {"validation_step = 25: must be in [26, ", "validation_step = -1: must be in [0, ",
                                      "/training: validation_loss[2] is inf", "/training: validation_loss[2] is -1"};
    r.curve.validation_step = step, r.curve.validation_loss = loss;
    for (int i = 0; i < 5; i++) {
        step[0] = i == 1 ? -1 : 0, step[2] = i == 0 ? 25 : 50;
        loss[2] = i == 2 ? INFINITY : i == 3 ? -1 : 2;
        assert_ok(lb_store_write(dir, &r));
        if (i == 4) break;
        assert_status(LB_E_FORMAT, lb_store_read(path_of("validated.h5"), arena, &back));
        assert_error_has(say[i]);
    }
    assert_ok(lb_store_read(path_of("validated.h5"), arena, &back));
    /* A file without any has no sign of them. */
    lb_h5 *h = NULL;
    r.curve.validations = 0;
    assert_ok(lb_store_write(dir, &r));
    assert_ok(lb_h5_open(path_of("validated.h5"), &h));
    assert_false(lb_h5_has_attr(h, "/", "n_validation") || lb_h5_has(h, "/training/validation_step"));
    lb_h5_abandon(h);
}

/* No version writes them, and no table may show them. */
static void infinite_perplexities(void **state) {
    (void)state;
    lb_record r = sample("infinite"), back;
    lb_arena *a = NULL;
    lb_eval *e = &r.eval[1].eval;
    double *const value[] = {&e->ppl, &e->ppl_se, &e->mean_nll, &e->ppl};
    const double put[] = {INFINITY, INFINITY, INFINITY, NAN};
    assert_ok(lb_arena_new(0, &a));
    for (size_t i = 0; i < sizeof value / sizeof value[0]; i++) {
        double keep = *value[i];
        *value[i] = put[i];
        assert_ok(lb_store_write(dir, &r));
        assert_status(LB_E_FORMAT, lb_store_read(path_of("infinite.h5"), a, &back));
        assert_error_has("/eval/1: perplexity");
        *value[i] = keep;
    }
    e->ppl_se = NAN; /* of one window */
    assert_ok(lb_store_write(dir, &r));
    assert_ok(lb_store_read(path_of("infinite.h5"), a, &back));
    lb_arena_free(a);
}

static void write_index(const lb_record *r, int64_t n) {
    assert_ok(lb_store_write_index(dir, "exp", "m", "a note", r, n));
}

static void index_of_a_sweep(void **state) {
    (void)state;
    lb_record r[3] = {sample("one"), sample("two"), sample("three")};
    r[1].state = LB_CELL_FAILED;
    r[1].message = "layer 0.q: Cholesky failed";
    r[2].state = LB_CELL_REFUSED;
    r[2].message = "nf4 has 16 values";
    assert_ok(lb_store_write(dir, &r[0]));
    write_index(r, 3);
    lb_results *back = NULL;
    assert_ok(lb_store_read_results(dir, &back));
    assert_string_equal(back->name, "exp");
    assert_string_equal(back->model_name, "m");
    assert_string_equal(back->model_note, "a note");
    assert_string_equal(back->dir, dir);
    assert_int_equal(back->n, 3);
    same_record(&r[0], &back->record[0]);
    for (int i = 1; i < 3; i++) {
        assert_int_equal(back->record[i].state, r[i].state);
        assert_string_equal(back->record[i].message, r[i].message);
        assert_string_equal(back->record[i].label, r[i].label);
        assert_string_equal(back->record[i].method, "gptq");
        assert_int_equal(back->record[i].bits, 3);
        same_pairs(&r[i].varied, &back->record[i].varied);
    }
    lb_results_free(back);

    /* A file that is not the one the index means. */
    lb_record other = sample("one");
    other.bits = 4;
    assert_ok(lb_store_write(dir, &other));
    assert_ok(lb_store_read_results(dir, &back));
    assert_int_equal(back->n, 3);
    assert_int_equal(back->record[0].state, LB_CELL_MISSING);
    assert_non_null(strstr(back->record[0].message, "its file is damaged (another SHA-256 "));
    assert_int_equal(back->record[0].bits, 3); /* as the index has it */
    lb_results_free(back);
    assert_int_equal(unlink(path_of("one.h5")), 0);
    assert_int_equal(unlink(path_of("sweep.json")), 0);
    assert_status(LB_E_FORMAT, lb_store_read_results(dir, &back));
    assert_error_has("their index is gone (sweep.json)");
}

static void another_code_version(void **state) {
    (void)state;
    lb_record r = sample("old");
    r.provenance = pairs_of("revision", "0123456789ab", "model", "m.gguf");
    assert_ok(lb_store_write(dir, &r));
    write_index(&r, 1);
    lb_results *back = NULL;
    assert_ok(lb_store_read_results(dir, &back));
    assert_int_equal(back->record[0].warnings, r.warnings + 1);
    assert_non_null(strstr(back->record[0].warning[r.warnings], "made by another code version (0123456789ab;"));
    lb_results_free(back);
}

/* Of several models: another version, a list of them, and each cell with its own. Of one: as it always was. */
static void index_of_models(void **state) {
    (void)state;
    lb_record r[3] = {sample("one"), sample("two"), sample("three")};
    char *text;
    size_t len;
    for (int i = 0; i < 3; i++) r[i].state = LB_CELL_REFUSED;
    write_index(r, 3);
    assert_ok(lb_fs_read(path_of("sweep.json"), &text, &len));
    assert_non_null(strstr(text, "\"format_version\": 1,"));
    assert_null(strstr(text, "\"models\""));
    lb_free(text);
    r[0].model = r[2].model = "a", r[1].model = "b", r[1].model_note = "from Q4_1";
    assert_ok(lb_store_write_index(dir, "exp", "a, b", "", r, 3));
    assert_ok(lb_fs_read(path_of("sweep.json"), &text, &len));
    assert_non_null(strstr(text, "\"format_version\": 2,"));
    lb_results *back = NULL;
    assert_ok(lb_store_read_results(dir, &back));
    assert_string_equal(back->model_name, "a, b");
    for (int i = 0; i < 3; i++) {
        assert_string_equal(back->record[i].model, r[i].model);
        assert_string_equal(back->record[i].model_note, i == 1 ? "from Q4_1" : "");
    }
    lb_results_free(back);
    /* A cell of a model that is not listed, a list that is none. */
    static const char *const from[] = {"\"model\": \"b\"", "\"models\""}, *const to[] = {"\"model\": \"c\"",
                                                                                         "\"modelz\""};
    static const char *const say[] = {"model 'c' is not in 'models'", "'models' must be a list of at most 1000"};
    for (int i = 0; i < 2; i++) {
        char *at = strstr(text, from[i]), kept[16];
        assert_non_null(at);
        memcpy(kept, at, strlen(from[i]));
        memcpy(at, to[i], strlen(to[i]));
        assert_ok(lb_fs_write_atomic(path_of("sweep.json"), text, len));
        assert_status(LB_E_FORMAT, lb_store_read_results(dir, &back));
        assert_error_has(say[i]);
        memcpy(at, kept, strlen(from[i]));
    }
    lb_free(text);
    assert_int_equal(unlink(path_of("sweep.json")), 0);
}

static void bad_index(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{\"format\": \"lowbit sweep\"}",
        "{\"format\": \"other\", \"format_version\": 1}",
        "{\"format\": \"lowbit sweep\", \"format_version\": 2}",
        "{\"format\": \"lowbit sweep\", \"format_version\": 3}",
        "{\"format\": \"lowbit sweep\", \"format_version\": 1, \"name\": \"n\", \"model\": \"m\", \"model_note\": "
        "\"\", "
        "\"cells\": 3}",
        "{\"format\": \"lowbit sweep\", \"format_version\": 1, \"name\": \"n\", \"model\": \"m\", \"model_note\": "
        "\"\", "
        "\"cells\": [{\"stem\": \"../x\", \"label\": \"\", \"message\": \"\", \"state\": \"done\"}]}",
        "{\"format\": \"lowbit sweep\", \"format_version\": 1, \"name\": \"n\", \"model\": \"m\", \"model_note\": "
        "\"\", "
        "\"cells\": [{\"stem\": \"x\", \"label\": \"\", \"message\": \"\", \"state\": \"odd\"}]}",
        "{\"format\": \"lowbit sweep\", \"format_version\": 1, \"name\": \"n\", \"model\": \"m\", \"model_note\": "
        "\"\", \"cells\": [{\"stem\": \"x\", \"label\": \"\", \"message\": \"\", \"state\": \"refused\", \"method\": "
        "\"rtn\", "
        "\"bits\": 3, \"group\": 0, \"seed\": 0, \"options\": [], \"varied\": []}, {\"stem\": \"x\", \"label\": \"\", "
        "\"message\": "
        "\"\", \"state\": \"refused\", \"method\": \"rtn\", \"bits\": 3, \"group\": 0, \"seed\": 0, \"options\": [], "
        "\"varied\": []}]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        lb_results *r = NULL;
        assert_ok(lb_fs_write_atomic(path_of("sweep.json"), bad[i], strlen(bad[i])));
        lb_status st = lb_store_read_results(dir, &r);
        assert_true(st == LB_E_FORMAT || st == LB_E_UNSUPPORTED);
        assert_error_has("sweep.json");
    }
    assert_int_equal(unlink(path_of("sweep.json")), 0);
}

static int64_t files_in(const char *folder) {
    char **names = NULL;
    size_t n = 0;
    assert_ok(lb_fs_list(folder, "", &names, &n));
    lb_fs_list_free(names, n);
    return (int64_t)n;
}

/* In a child, because HDF5 1.10 never frees what it could not write. Exit code 0: the write failed as it should. */
static int full_disk_child(const char *fresh) {
    lb_record r = sample("full");
    struct rlimit tiny = {4096, RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &tiny) != 0) return 1;
    if (lb_store_write(fresh, &r) != LB_E_IO) return 2;
    return strstr(lb_error(), "full.h5") ? 0 : 3;
}

/* A full disk (here: a file size limit) and a folder that cannot be written to leave nothing behind. */
static void no_half_files(void **state) {
    (void)state;
    const char *fresh = lb_test_tmpdir();
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) _exit(full_disk_child(fresh));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(files_in(fresh), 0);
    lb_record r = sample("full");
    assert_ok(lb_store_write(fresh, &r));
    assert_int_equal(files_in(fresh), 1);
    assert_status(LB_E_IO, lb_store_write("/proc/nowhere", &r));
    assert_error_has("/proc/nowhere");
}

static void journal_appends(void **state) {
    (void)state;
    assert_ok(lb_store_journal(dir, "j", "{\"a\": 1}"));
    assert_ok(lb_store_journal(dir, "j", "{\"b\": 2}"));
    char *text = NULL;
    size_t n = 0;
    assert_ok(lb_fs_read(path_of("j.journal"), &text, &n));
    assert_string_equal(text, "{\"a\": 1}\n{\"b\": 2}\n");
    lb_free(text);
}

/* The specification names every attribute and column. */
static void specified(void **state) {
    (void)state;
    char path[LB_TEST_PATH], *text = NULL;
    size_t n = 0;
    lb_test_fixture("docs/results.md", path);
    assert_ok(lb_fs_read(path, &text, &n));
    const lb_fields *all[] = {&lb_record_fields, &lb_layer_fields, &lb_eval_fields, &lb_size_fields, &lb_host_fields};
    for (size_t t = 0; t < sizeof all / sizeof all[0]; t++) {
        for (size_t i = 0; i < all[t]->n; i++) {
            char name[80];
            snprintf(name, sizeof name, "`%s`", all[t]->at[i].name);
            if (!strstr(text, name)) fail_msg("docs/results.md does not mention %s", name);
        }
    }
    lb_free(text);
}

static lb_status read_whole(const char *path) {
    lb_arena *a = NULL;
    LB_TRY(lb_arena_new(512, &a));
    lb_record r;
    lb_status st = lb_store_read(path, a, &r);
    lb_arena_free(a);
    return st;
}

static void memory_runs_out(void **state) {
    (void)state;
    lb_record r = sample("nomem");
    assert_ok(lb_store_write(dir, &r));
    assert_true(sweep_allocations(read_whole, path_of("nomem.h5")) > 10);
    int64_t failed = 0;
    for (int64_t n = 1;; n++) {
        lb_alloc_fail_at(n);
        lb_status st = lb_store_write(dir, &r);
        lb_alloc_fail_at(0);
        if (st == LB_OK) break;
        assert_int_equal(st, LB_E_NOMEM);
        failed++;
    }
    assert_true(failed > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(equal_bytes),
        cmocka_unit_test(damage),
        cmocka_unit_test(validations),
        cmocka_unit_test(index_of_a_sweep),
        cmocka_unit_test(another_code_version),
        cmocka_unit_test(index_of_models),
        cmocka_unit_test(bad_index),
        cmocka_unit_test(specified),
        cmocka_unit_test(no_half_files),
        cmocka_unit_test(journal_appends),
        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(infinite_perplexities),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
