/* Stages that preserve, held against plain loops in float64: what the method after them is given (matrices, H), the
 * errors of its layers and the evaluation, all in the coordinates that the stages made; and what they are given
 * themselves. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/weights.h"
#include "quant/block.h"
#include "quant/transform.h"
#include "support/llama.h"
#include "support/plain_llama.h"
#include "support/probe.h"
#include "support/small_model.h"

enum { SAMPLES = 5, LENGTH = 52, WINDOWS = 3, WINDOW = 32, BLOCKS = 3, MOST = 24, STAGES = 2 };

/* ---- two methods that change inputs by rule ---- */

enum { FOLD, KEEP, MIXED, SCALES, NOTHING, WILD, ABLE };
static const char *const modes[] = {"fold", "keep", "mixed", "scales", "nothing", "wild", "able", NULL};
typedef struct twist_opts {
    int mode;
} twist_opts;
static const lb_option twist_table[] = {
    {"mode", LB_OPT_CHOICE, "fold", 0, 0, modes, "which changes", offsetof(twist_opts, mode)}};

/* What becomes of input i (of q, o, gate, down). */
typedef struct change {
    bool fold, scale, sign;
    int64_t hadamard;
} change;
static const change changes[][PLAIN_INPUTS] = {
    {{.fold = true}, {.fold = true}, {.fold = true}, {.fold = true}},
    {{.hadamard = 16, .sign = true}, {.scale = true}, {.hadamard = 8, .scale = true}, {false, true, true, 4}},
    {{.fold = true}, {.scale = true}, {.fold = true}, {.hadamard = 8, .sign = true}},
    {{.scale = true}, {.scale = true}, {.scale = true}, {.scale = true}},
    {{.fold = false}},
    {{.hadamard = 16, .scale = true}}, /* of scales so far apart that float32 cannot undo it */
    {{false}, {.fold = true}},         /* after KEEP: what is not rotated by then can be folded */
};

static double scale_of(int stage, int64_t block, int i, int64_t k, bool folded) {
    double s = 0.5 + (double)((7 * k + 3 * i + 5 * block + 2 * stage) % 11) / 8;
    return folded || k % 5 ? s : -s;
}
static bool sign_of(int stage, int64_t block, int i, int64_t c) { return (c * c + i + block + stage) % 3 == 0; }

static double *seen[STAGES][BLOCKS][PLAIN_INPUTS]; /* H that a stage was given */
static int64_t lie_block, lie_input;               /* where a stage returns a wrong T; -1: nowhere */
static enum { LIE_HADAMARD, LIE_TIED, LIE_SIGN, LIE_ZERO, LIE_TYPE, LIE_NONE } lie_how;

static lb_status spec_input(const void *opts, const lb_block_input *in, lb_storage *out, bool *fold) {
    static const char *const name[] = {"q", "o", "gate", "down"};
    int i = 0;
    while (strcmp(name[i], in->role) != 0) i++;
    const change *c = &changes[((const twist_opts *)opts)->mode][i];
    assert_true(in->behind_norm == (in->foldable && i % 2 == 0) && !in->stats && in->section == i / 2);
    assert_true(!in->tied == (!in->foldable || i != 1) && strcmp(in->name + 2, in->role) == 0);
    *fold = ((const twist_opts *)opts)->mode == ABLE ? in->foldable : c->fold;
    assert_true(*fold == c->fold);
    out->t_scale = c->scale;
    out->t_scale_type = ((const twist_opts *)opts)->mode == MIXED ? LB_SCALE_F16 : LB_SCALE_F32;
    out->t_hadamard = c->hadamard;
    out->t_sign = c->sign;
    return LB_OK;
}

static lb_status make_transform(const lb_block_in *in, int stage, int i, const change *c, lb_transform *T) {
    const lb_block_input *x = &in->input[i];
    float *scale = LB_NEW(in->arena, float, x->cols);
    uint8_t *sign = LB_NEW(in->arena, uint8_t, lb_transform_sign_bytes(x->cols));
    if (!scale || !sign) return LB_E_NOMEM;
    for (int64_t k = 0; k < x->cols; k++) {
        scale[k] = (float)scale_of(stage, in->block, i, c->fold && x->tied ? x->tied[k] : k, c->fold);
        if (sign_of(stage, in->block, i, k)) sign[k / 8] |= (uint8_t)(1 << k % 8);
    }
    *T = (lb_transform){c->fold || c->scale ? scale : NULL, c->hadamard, c->sign ? sign : NULL};
    return LB_OK;
}

static void lie(lb_transform *T) {
    float *scale = (float *)(uintptr_t)T->scale;
    if (lie_how == LIE_HADAMARD) T->hadamard = T->hadamard ? 0 : 2;
    if (lie_how == LIE_TIED) scale[9] *= 2;
    if (lie_how == LIE_SIGN) scale[3] = -scale[3];
    if (lie_how == LIE_ZERO) scale[2] = 0;
    if (lie_how == LIE_TYPE) scale[4] += 1e-5f;
    if (lie_how == LIE_NONE) *T = (lb_transform){0};
}

static lb_status change_inputs(const lb_block_in *in, int stage, lb_block_out *out) {
    assert_true(in->inputs == PLAIN_INPUTS && in->sites == PLAIN_LINEARS && in->sections == 2 && !in->forward);
    for (int i = 0; i < PLAIN_INPUTS; i++) {
        static const int reads[] = {0, 0, 0, 1, 2, 2, 3};
        const lb_block_input *x = &in->input[i];
        const change *c = &changes[((const twist_opts *)x->opts)->mode][i];
        assert_true(x->section == i / 2 && !x->tied == (!x->foldable || i != 1));
        assert_true(((const twist_opts *)x->opts)->mode != ABLE || x->foldable == c->fold);
        if (!x->quantize) { /* nobody needs it changed */
            assert_null(x->stats);
            continue;
        }
        assert_true(x->stats && x->stats->H.rows == x->cols);
        double **H = &seen[stage][in->block][i];
        free(*H);
        assert_non_null(*H = malloc((size_t)(x->cols * x->cols) * sizeof **H));
        memcpy(*H, x->stats->H.d, (size_t)(x->cols * x->cols) * sizeof **H);
        for (int k = 0; k < in->sites; k++) assert_int_equal(in->site[k].input, reads[k]);
        if (c->fold || c->scale || c->sign || c->hadamard) LB_TRY(make_transform(in, stage, i, c, &out->T[i]));
        bool wild = ((const twist_opts *)x->opts)->mode == WILD && out->T[i].scale;
        for (int64_t k = 0; wild && k < x->cols; k++) ((float *)(uintptr_t)out->T[i].scale)[k] = k % 2 ? 1e5f : 1e-3f;
        if (in->block == lie_block && i == lie_input) lie(&out->T[i]);
    }
    return LB_OK;
}
static lb_status twist_block(const lb_block_in *in, const void *opts, lb_block_out *out) {
    (void)opts;
    return change_inputs(in, 0, out);
}
static lb_status spin_block(const lb_block_in *in, const void *opts, lb_block_out *out) {
    (void)opts;
    return change_inputs(in, 1, out);
}
#define PREPARES                                                                                                       \
    .api = LB_METHOD_API, .summary = "changes inputs by rule", .needs = LB_PRESERVES | LB_NEEDS_HESSIAN,               \
    .options = {twist_table, 1, sizeof(twist_opts)}, .spec_input = spec_input
static const lb_method twist_method = {.name = "twist", .block = twist_block, PREPARES};
static const lb_method spin_method = {.name = "spin", .block = spin_block, PREPARES};
const lb_method *const lb_method_table[] = {&probe_method, &probe_blind_method, &probe_block_method,
                                            &twist_method, &spin_method,        NULL};

/* ---- one cell ---- */

typedef struct kind {
    const char *entry;
    int mode[STAGES];
    bool original, sequential, blind, skips;
} kind;
#define SKIPS                                                                                                          \
    ", rules: [{match: \"*.v\", skip: true}, {match: \"1.gate\", skip: true}, {match: \"2.down\", skip: true}]"
static const kind kinds[] = {
    {.entry = "stages: [{method: twist}, {method: probe}]", .mode = {FOLD, NOTHING}},
    {.entry = "stages: [{method: twist, mode: keep}, {method: probe}]", .mode = {KEEP, NOTHING}},
    {.entry = "stages: [{method: twist, mode: mixed}, {method: probe}], propagate: original",
     .mode = {MIXED, NOTHING},
     .original = true},
    {.entry = "stages: [{method: twist, mode: mixed}, {method: probe}], true_sequential: true",
     .mode = {MIXED, NOTHING},
     .sequential = true},
    {.entry = "stages: [{method: twist}, {method: spin, mode: keep}, {method: probe}], quantize_head: true",
     .mode = {FOLD, KEEP}},
    {.entry = "stages: [{method: twist, mode: scales}, {method: spin, mode: keep}, {method: blind, group: 8}]",
     .mode = {SCALES, KEEP},
     .blind = true},
    {.entry = "stages: [{method: twist, mode: scales}, {method: spin, mode: fold}, {method: probe}]",
     .mode = {SCALES, FOLD}},
    {.entry = "stages: [{method: twist, mode: keep}, {method: spin, mode: able}, {method: probe}]",
     .mode = {KEEP, ABLE}},
    {.entry = "stages: [{method: twist}, {method: probe}]" SKIPS, .mode = {FOLD, NOTHING}, .skips = true},
    {.entry = "stages: [{method: twist, mode: keep}, {method: probe}]" SKIPS, .mode = {KEEP, NOTHING}, .skips = true},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

typedef struct world {
    small_plan s;
    lb_runner runner;
    lb_model *model; /* all in memory */
    const kind *kind;
    lb_record record;
    double *H0[BLOCKS][PLAIN_INPUTS];
    float *made[BLOCKS][PLAIN_LINEARS]; /* matrices for inputs of the original model, or NULL: its own */
} world;

static const int read_by[] = {PLAIN_IN_ATTN, PLAIN_IN_ATTN, PLAIN_IN_ATTN, PLAIN_IN_O,
                              PLAIN_IN_MLP,  PLAIN_IN_MLP,  PLAIN_IN_DOWN};
static int64_t width(int i) { return i == PLAIN_IN_DOWN ? 24 : 16; }

static bool is_skipped(const world *x, int64_t b, int l) {
    return x->kind->skips && (l == PLAIN_V || (b == 1 && l == PLAIN_GATE) || (b == 2 && l == PLAIN_DOWN));
}

/* Does no layer to quantize read it? Then it stays what it is. */
static bool is_left(const world *x, int64_t b, int i) { return x->kind->skips && b == 2 && i == PLAIN_IN_DOWN; }

/* The row of v that makes channel c of what o reads: two query heads of 4 channels share a key head. */
static int64_t row_of(int i, int64_t c) { return i == PLAIN_IN_O ? c / 8 * 4 + c % 4 : c; }

/* T, an n x n matrix, becomes that of this stage times T. kept: with what is not folded. */
static void then(double *T, int64_t n, int stage, int64_t b, int i, const change *c, bool kept) {
    double next[MOST * MOST] = {0};
    for (int64_t r = 0; r < n; r++) {
        double by = c->fold ? scale_of(stage, b, i, row_of(i, r), true) : 1;
        if (kept && c->scale) by = scale_of(stage, b, i, r, false);
        if (kept && c->sign && sign_of(stage, b, i, r)) by = -by;
        for (int64_t k = 0; k < n; k++) T[r * n + k] *= by;
    }
    int64_t h = kept ? c->hadamard : 0;
    if (!h) return;
    for (int64_t r = 0; r < n; r++)
        for (int64_t m = r / h * h; m < r / h * h + h; m++) {
            double sign = __builtin_popcountll((unsigned long long)((r % h) & (m % h))) % 2 ? -1 : 1;
            for (int64_t k = 0; k < n; k++) next[r * n + k] += sign / sqrt((double)h) * T[m * n + k];
        }
    memcpy(T, next, (size_t)(n * n) * sizeof *T);
}

static void identity(double *T, int64_t n) {
    memset(T, 0, (size_t)(n * n) * sizeof *T);
    for (int64_t k = 0; k < n; k++) T[k * n + k] = 1;
}

/* Of input i after so many stages. */
static void transform_of(const world *x, int64_t b, int i, int stages, bool kept, double *T) {
    identity(T, width(i));
    for (int s = 0; s < stages && !is_left(x, b, i); s++)
        then(T, width(i), s, b, i, &changes[x->kind->mode[s]][i], kept);
}

/* What row r of a layer is multiplied by. */
static double row_scale(const world *x, int64_t b, int l, int64_t r) {
    int i = l == PLAIN_V ? PLAIN_IN_O : l == PLAIN_UP ? PLAIN_IN_DOWN : -1;
    double by = 1;
    for (int s = 0; i >= 0 && s < STAGES && !is_left(x, b, i); s++)
        if (changes[x->kind->mode[s]][i].fold) by *= scale_of(s, b, i, r, true);
    return by;
}

/* T H T' */
static double *turned(const double *T, const double *H, int64_t n) {
    double *a = calloc((size_t)(n * n), sizeof *a), *b = calloc((size_t)(n * n), sizeof *b);
    assert_true(a && b);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < n; k++)
            for (int64_t j = 0; j < n; j++) a[i * n + j] += T[i * n + k] * H[k * n + j];
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            for (int64_t k = 0; k < n; k++) b[i * n + j] += a[i * n + k] * T[j * n + k];
    free(a);
    return b;
}

static void near(const char *layer, const char *what, double got, double want, double tolerance) {
    if (!(fabs(got - want) <= tolerance * fabs(want)))
        fail_msg("%s: %s is %.12g, plain loops say %.12g", layer, what, got, want);
}

static void same_hessian(const char *name, const double *got, const double *want, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            if (!(fabs(got[i * n + j] - want[i * n + j]) <= 5e-5 * sqrt(want[i * n + i] * want[j * n + j])))
                fail_msg("%s: H at %lld, %lld is %.9g, plain loops say %.9g", name, (long long)i, (long long)j,
                         got[i * n + j], want[i * n + j]);
}

/* M T (rows, n), row r divided by its scale: the matrix of the original model's coordinates. */
static float *original_coordinates(const world *x, int64_t b, int l, const float *M, int64_t rows, const double *T,
                                   int64_t n) {
    float *out = malloc((size_t)(rows * n) * sizeof *out);
    assert_non_null(out);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < n; c++) {
            double sum = 0;
            for (int64_t k = 0; k < n; k++) sum += (double)M[r * n + k] * T[k * n + c];
            out[r * n + c] = (float)(sum / row_scale(x, b, l, r));
        }
    return out;
}

static void check_errors(const char *name, const lb_layer_error *e, lb_cmat W, lb_cmat What, const double *H) {
    near(name, "weight error", e->weight_err, plain_squares(What, W), 1e-9);
    if (!H) {
        assert_true(isnan(e->output_err));
        return;
    }
    near(name, "output error", e->output_err, plain_trace(What, W, H), 1e-4);
    near(name, "output energy", e->output_energy, plain_trace(W, (lb_cmat){0}, H), 1e-4);
}

/* H, H0: of the input in the original model's coordinates. */
static void check_layer(world *x, int64_t b, int l, const double *H, const double *H0) {
    char name[64];
    int i = read_by[l];
    int64_t n = width(i);
    double T[MOST * MOST];
    snprintf(name, sizeof name, "%d.%s", (int)b, plain_names[l]);
    const probe_call *c = probe_find(name);
    lb_cmat W = llama_site(x->model, name)->W;
    const lb_layer_row *row = NULL;
    for (int64_t k = 0; k < x->record.layers; k++)
        if (strcmp(x->record.layer[k].name, name) == 0) row = &x->record.layer[k];
    assert_true(row && !c == is_skipped(x, b, l));
    if (!c) return;
    transform_of(x, b, i, STAGES, true, T);
    float *back = original_coordinates(x, b, l, c->W, W.rows, T, n);
    for (int64_t k = 0; k < W.rows * n; k++)
        if (!(fabs((double)back[k] - (double)W.d[k / n * W.ld + k % n]) <= 3e-6))
            fail_msg("%s: weight %lld comes back as %.9g, not %.9g (%s)", name, (long long)k, (double)back[k],
                     (double)W.d[k / n * W.ld + k % n], x->kind->entry);
    free(back);
    double *own = turned(T, H, n), *original = turned(T, H0, n);
    if (!x->kind->blind) same_hessian(name, c->H, own, n);
    lb_cmat target = lb_cmat_of(c->W, W.rows, n), What = lb_cmat_of(c->What, W.rows, n);
    check_errors(name, &row->own, target, What, x->kind->blind ? NULL : own);
    check_errors(name, &row->original, target, What, x->runner.stats ? original : NULL);
    near(name, "yardstick's energy", row->rtn_own.weight_energy, plain_squares(target, (lb_cmat){0}), 1e-9);
    x->made[b][l] = original_coordinates(x, b, l, c->What, W.rows, T, n);
    free(own);
    free(original);
}

/* What stages saw: H of the model after those before, as its sites read it. */
static void check_stages(const world *x) {
    for (int s = 0; s < STAGES && (s == 0 || x->kind->mode[1] != NOTHING); s++)
        for (int64_t b = 0; b < BLOCKS; b++)
            for (int i = 0; i < PLAIN_INPUTS; i++) {
                double T[MOST * MOST];
                if (is_left(x, b, i)) continue;
                transform_of(x, b, i, s, true, T);
                double *H = turned(T, x->H0[b][i], width(i));
                same_hessian("a stage", seen[s][b][i], H, width(i));
                free(H);
            }
}

static void put_made(const world *x, int64_t b, int l, plain_block *to) {
    if (x->made[b][l]) to->linear[l].W = lb_cmat_of(x->made[b][l], to->linear[l].W.rows, to->linear[l].W.cols);
}

static plain_walk start(const world *x, lb_cmat embed, const int32_t *token, int64_t samples, int64_t length) {
    const lb_arch arch = llama_arch(x->model);
    return plain_walk_start(&arch, embed, token, samples, length);
}

static lb_cmat embedding(const world *x) { return x->model->weights.site[x->model->net->embed].W; }

static void check_blocks(world *x) {
    plain_walk own = start(x, embedding(x), x->s.plan.calibration.at[0].corpus->token, SAMPLES, LENGTH);
    for (int64_t b = 0; b < BLOCKS; b++) {
        plain_block was = plain_block_of(x->model->net, &x->model->weights, b), now = was;
        for (int i = 0; i < PLAIN_INPUTS; i++) {
            double *H = plain_walk_hessian(&own, x->kind->sequential ? &now : &was, (plain_input)i);
            for (int l = 0; l < PLAIN_LINEARS; l++)
                if (read_by[l] == i) check_layer(x, b, l, x->kind->original ? x->H0[b][i] : H, x->H0[b][i]);
            for (int l = 0; l < PLAIN_LINEARS; l++)
                if (read_by[l] == i) put_made(x, b, l, &now);
            free(H);
        }
        plain_walk_advance(&own, &now);
    }
    plain_walk_end(&own);
}

static void check_eval(const world *x) {
    const int32_t *token = x->s.plan.eval[0].corpus->token;
    int64_t vocab = x->model->net->vocab;
    const probe_call *made = probe_find("head");
    lb_cmat head = x->model->weights.site[x->model->net->head].W, embed = embedding(x);
    if (made) head = lb_cmat_of(made->What, head.rows, head.cols);
    if (x->model->net->site[x->model->net->head].same_as >= 0) embed = head;
    plain_walk p = start(x, embed, token, WINDOWS, WINDOW);
    for (int64_t b = 0; b < BLOCKS; b++) {
        plain_block now = plain_block_of(x->model->net, &x->model->weights, b);
        for (int l = 0; l < PLAIN_LINEARS; l++) put_made(x, b, l, &now);
        plain_walk_advance(&p, &now);
    }
    double *log_p = plain_walk_log_p(&p, llama_vector(x->model, "final_norm"), head);
    for (int64_t w = 0; w < WINDOWS; w++) {
        double nll = 0;
        for (int64_t t = w * WINDOW; t + 1 < (w + 1) * WINDOW; t++)
            nll -= log_p[t * vocab + token[t + 1]] / (WINDOW - 1);
        near("window", "NLL", x->record.eval[0].eval.window_nll[w], nll, 2e-4);
    }
    free(log_p);
    plain_walk_end(&p);
}

static void check_cell(world *x, const lb_cell *c, const kind *k) {
    probe_reset();
    x->kind = k;
    if (lb_cell_run(&x->runner, c, NULL, NULL, &x->record) != LB_OK) fail_msg("%s: %s", k->entry, lb_error());
    check_stages(x);
    check_blocks(x);
    check_eval(x);
    for (int64_t b = 0; b < BLOCKS; b++)
        for (int l = 0; l < PLAIN_LINEARS; l++) {
            free(x->made[b][l]);
            x->made[b][l] = NULL;
        }
}

/* ---- all of them ---- */

static void original_statistics(world *x) {
    plain_walk p = start(x, embedding(x), x->s.plan.calibration.at[0].corpus->token, SAMPLES, LENGTH);
    for (int64_t b = 0; b < BLOCKS; b++) {
        plain_block was = plain_block_of(x->model->net, &x->model->weights, b);
        for (int i = 0; i < PLAIN_INPUTS; i++) x->H0[b][i] = plain_walk_hessian(&p, &was, (plain_input)i);
        plain_walk_advance(&p, &was);
    }
    plain_walk_end(&p);
}

static void open_world(world *x, const char *model, int threads, const char *weights, bool errors) {
    char path[LB_TEST_PATH], name[64];
    lb_str yaml = {0};
    lb_str_add(&yaml,
               "threads: %d\nweights: %s\ncalibration: {text: text.txt, samples: %d, length: %d, original_errors: %s}\n"
               "eval: {text: text.txt, protocol: W2-%d, windows: %d, kl: false}\nquantize:\n",
               threads, weights, SAMPLES, LENGTH, errors ? "true" : "false", WINDOW, WINDOWS);
    for (int i = 0; i < KINDS; i++) lb_str_add(&yaml, "  - {%s}\n", kinds[i].entry);
    assert_ok(lb_str_check(&yaml));
    snprintf(name, sizeof name, "changes-%s-%d-%s-%d", model, threads, weights, errors);
    small_plan_open(&x->s, model, name, yaml.s);
    lb_str_free(&yaml);
    snprintf(path, sizeof path, "%s/%s", small_home, model);
    assert_ok(lb_model_open(path, LB_WEIGHTS, NULL, &x->model));
    x->runner = (lb_runner){.plan = &x->s.plan, .keep = x->s.arena, .cache = x->s.plan.cache};
    lie_block = lie_input = -1;
}

static void close_world(world *x) {
    probe_reset();
    lb_runner_close(&x->runner);
    lb_model_close(x->model);
    small_plan_close(&x->s);
}

static void walk(const char *model, int threads, const char *weights, bool errors) {
    world x = {0};
    open_world(&x, model, threads, weights, errors);
    original_statistics(&x);
    assert_int_equal(x.s.plan.sweep.n, 1 + KINDS);
    for (int i = 0; i < KINDS; i++) {
        if (kinds[i].original && !errors) lb_runner_close(&x.runner);
        check_cell(&x, &x.s.plan.sweep.cell[1 + i], &kinds[i]);
        if (kinds[i].original && !errors) lb_runner_close(&x.runner); /* its statistics are no other cell's */
    }
    for (int64_t b = 0; b < BLOCKS; b++)
        for (int i = 0; i < PLAIN_INPUTS; i++) free(x.H0[b][i]);
    close_world(&x);
}

static void tied_one_thread(void **state) {
    (void)state;
    walk("tied", 1, "resident", true);
}
static void untied_two_threads(void **state) {
    (void)state;
    walk("untied", 2, "resident", false);
}
static void untied_streamed(void **state) {
    (void)state;
    walk("untied", 2, "stream", true);
}

/* A T that is not what was said. */
static void lies(void **state) {
    (void)state;
    static const struct {
        int kind, how;
        int64_t input;
        lb_status code;
        const char *why;
    } lie[] = {
        {0, LIE_HADAMARD, 2, LB_E_ARG, "stage twist: block 1: the input of 1.gate: only a scale can be folded"},
        {1, LIE_HADAMARD, 3, LB_E_ARG, "the input of 1.down: the change is not stored as its spec_input said"},
        {2, LIE_HADAMARD, 1, LB_E_ARG, "the input of 1.o: the change is not stored as its spec_input said"},
        {1, LIE_NONE, 0, LB_E_ARG, "the input of 1.q: the change is not stored as its spec_input said"},
        {0, LIE_TIED, 1, LB_E_ARG, "the input of 1.o: channels that are tied have different scales"},
        {0, LIE_SIGN, 0, LB_E_NUMERIC, "the input of 1.q: scale -"},
        {0, LIE_ZERO, 3, LB_E_NUMERIC, "the input of 1.down: scale 0 of channel 2: must be finite and positive"},
        {1, LIE_ZERO, 1, LB_E_NUMERIC, "the input of 1.o: scale 0 of channel 2: must be finite and not 0"},
        {2, LIE_TYPE, 1, LB_E_ARG, "of channel 4 is not of its type"},
    };
    world x = {0};
    open_world(&x, "tied", 2, "resident", true);
    for (size_t i = 0; i < sizeof lie / sizeof lie[0]; i++) {
        lie_block = 1, lie_input = lie[i].input, lie_how = lie[i].how;
        assert_status(lie[i].code,
                      lb_cell_run(&x.runner, &x.s.plan.sweep.cell[1 + lie[i].kind], NULL, NULL, &x.record));
        assert_error_has(lie[i].why);
    }
    close_world(&x);
}

/* Each allocation of a cell fails once: it says so, and the next run is a whole one. */
typedef struct scarce {
    world *x;
    const lb_cell *cell;
} scarce;
static lb_status run_scarcely(void *ctx) {
    const scarce *s = ctx;
    probe_reset();
    lb_runner_close(&s->x->runner);
    return lb_cell_run(&s->x->runner, s->cell, NULL, NULL, &s->x->record);
}
static void memory_runs_out(void **state) {
    (void)state;
    static const int which[] = {0, 5}; /* a fold; a scale, then rotations */
    world x = {0};
    open_world(&x, "tied", 1, "resident", false);
    for (size_t i = 0; i < 2; i++) {
        scarce s = {&x, &x.s.plan.sweep.cell[1 + which[i]]};
        assert_in_range(llama_fail_each_allocation(run_scarcely, &s), 20, 100000);
    }
    close_world(&x);
}

/* A change that float32 cannot undo is seen. */
static void another_function(void **state) {
    (void)state;
    small_plan s;
    lb_record r;
    small_plan_open(&s, "tied", "wild",
                    "calibration: {text: text.txt, samples: 2, length: 32}\neval: {text: text.txt, protocol: W2-32, "
                    "windows: 1}\nquantize:\n  - stages: [{method: twist, mode: wild}, {method: blind}]\n");
    lb_runner runner = {.plan = &s.plan, .keep = s.arena, .cache = s.plan.cache};
    lie_block = -1;
    assert_status(LB_E_NUMERIC, lb_cell_run(&runner, &s.plan.sweep.cell[1], NULL, NULL, &r));
    assert_error_has("stage twist: block 0: what the block adds changed by ");
    lb_runner_close(&runner);
    small_plan_close(&s);
}

static void refused(void **state) {
    (void)state;
    static const char *const no[][2] = {
        {"stages: [{method: twist}, {method: blind}], rules: [{match: \"1.k\", mode: keep}]",
         "block 1: layers 1.q and 1.k read one input: rules must not give them different mode of twist"},
        {"stages: [{method: twist, mode: keep}, {method: spin, mode: scales}, {method: blind}]",
         "block 0: stage spin: the input of 0.q is rotated already"},
        {"stages: [{method: twist, mode: mixed}, {method: spin, mode: scales}, {method: blind}]",
         "block 0: stage spin: the input of 0.o has a scale already: one in float32 can be joined"},
        {"method: together, quantize_head: true", "quantize_head: method together makes the layers of blocks"},
        {"method: together, true_sequential: true", "true_sequential: a method of block scope makes a block's layers"},
        {"method: together, propagate: original", "propagate: original: a method of block scope works on the blocks"},
        {"stages: [{method: twist, mode: keep}, {method: spin, mode: fold}, {method: blind}]",
         "block 0: stage spin: the input of 0.q is rotated already"},
        {"stages: [{method: twist, mode: nothing}, {method: blind}]",
         "stage twist changes nothing here: it applies to no input"},
        {"stages: [{method: twist}, {method: spin, mode: nothing}, {method: blind}]", "stage spin changes nothing"},
        {"stages: [{method: twist}, {method: blind}], rules: [{match: \"*\", skip: true}]",
         "stage twist changes nothing"},
        {"method: twist", "twist prepares a model and compresses nothing"},
    };
    small_plan s;
    lb_str yaml = {0};
    lb_str_add(&yaml, "calibration: {text: text.txt, samples: 2, length: 32}\nquantize:\n");
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) lb_str_add(&yaml, "  - {%s}\n", no[i][0]);
    assert_ok(lb_str_check(&yaml));
    small_plan_open(&s, "tied", "refused", yaml.s);
    lb_str_free(&yaml);
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        const lb_cell *c = &s.plan.sweep.cell[1 + i];
        if (!c->refused || !strstr(c->reason, no[i][1])) fail_msg("%s: %s", no[i][0], c->reason);
    }
    small_plan_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tied_one_thread),  cmocka_unit_test(untied_two_threads),
        cmocka_unit_test(untied_streamed),  cmocka_unit_test(lies),
        cmocka_unit_test(another_function), cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, small_model_setup, NULL);
}
