/* What a method must be to be registered, and the worked example of algorithms/README.md: compiled as it stands there,
 * loaded as a plug-in, run. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "math/blas.h"
#include "quant/block.h"
#include "quant/transform.h"
#include "support/quant_kit.h"
#include "support/run_cli.h"

static char folder[64];

static void built_in_methods(void **state) {
    (void)state;
    const lb_method *m;
    size_t n = 0;
    for (; (m = lb_method_at(n)); n++) {
        if (lb_method_validate(m) != LB_OK) fail_msg("%s", lb_error());
        assert_ptr_equal(lb_method_find(m->name), m);
    }
    assert_true(n >= 4);
    assert_null(lb_method_find("no-such-method"));
}

static lb_status some_layer(const lb_layer_in *in, const void *opts, lb_layer *out) {
    (void)in, (void)opts, (void)out;
    return LB_OK;
}
static lb_status some_spec(const void *opts, int64_t rows, int64_t cols, lb_storage *out) {
    (void)opts, (void)rows, (void)cols, (void)out;
    return LB_OK;
}
static lb_status some_model(lb_trainer *t, const void *opts, lb_model_out *out) {
    (void)t, (void)opts, (void)out;
    return LB_OK;
}

static lb_status some_extend(const void *opts, const lb_storage *so_far, int64_t rows, int64_t cols, lb_storage *out) {
    (void)opts, (void)so_far, (void)rows, (void)cols, (void)out;
    return LB_OK;
}

static lb_status some_block(const struct lb_block_in *in, const void *opts, struct lb_block_out *out) {
    (void)in, (void)opts, (void)out;
    return LB_OK;
}
static lb_status some_spec_input(const void *opts, const struct lb_block_input *in, lb_storage *out, bool *fold) {
    (void)opts, (void)in, (void)out, (void)fold;
    return LB_OK;
}

static void what_is_refused(void **state) {
    (void)state;
    static const char *const none[] = {NULL};
    lb_option option[2] = {{"bits", LB_OPT_INT, "4", 2, 8, NULL, "bits", 0},
                           {"group", LB_OPT_INT, "4", 2, 8, NULL, "group", 8}};
    const lb_method good = {.api = LB_METHOD_API,
                            .name = "x",
                            .summary = "y",
                            .options = {option, 2, 16},
                            .spec = some_spec,
                            .layer = some_layer};
    assert_int_equal(lb_method_validate(&good), LB_OK);
    lb_method block = good;
    block.layer = NULL, block.block = some_block, block.needs = LB_NEEDS_FORWARD;
    assert_int_equal(lb_method_validate(&block), LB_OK);
    block.spec = NULL, block.spec_input = some_spec_input, block.needs |= LB_PRESERVES;
    assert_int_equal(lb_method_validate(&block), LB_OK);
#define REFUSED(change, code, message)                                                                                 \
    do {                                                                                                               \
        lb_method m = good;                                                                                            \
        change;                                                                                                        \
        assert_int_equal(lb_method_validate(&m), code);                                                                \
        assert_error_has(message);                                                                                     \
    } while (0)
    REFUSED(m.api = 1, LB_E_UNSUPPORTED, "method api 1: this program has 5");
    REFUSED(m.name = NULL, LB_E_ARG, "name");
    REFUSED(m.name = "Upper Case", LB_E_ARG, "name");
    REFUSED(m.summary = "", LB_E_ARG, "method x: has no summary");
    REFUSED(m.layer = NULL, LB_E_ARG, "exactly one entry point");
    REFUSED(m.model = some_model, LB_E_ARG, "exactly one entry point");
    REFUSED((m.layer = NULL, m.model = some_model), LB_E_ARG, "go together");
    REFUSED(m.needs = LB_NEEDS_TRAINER, LB_E_ARG, "go together");
    REFUSED(m.needs = 1u << 9, LB_E_ARG, "unknown bits");
    REFUSED(m.spec = NULL, LB_E_ARG, "has no spec");
    REFUSED(m.block = some_block, LB_E_ARG, "exactly one entry point");
    REFUSED(m.needs = LB_FACTORS_HESSIAN, LB_E_ARG, "needs LB_NEEDS_HESSIAN");
    REFUSED(m.needs = LB_NEEDS_FORWARD, LB_E_ARG, "for a block entry point");
    REFUSED(m.needs = LB_PRESERVES, LB_E_ARG, "for a block entry point");
    REFUSED((m.layer = NULL, m.block = some_block, m.needs = LB_PRESERVES), LB_E_ARG, "spec_input and LB_PRESERVES");
    REFUSED((m.layer = NULL, m.block = some_block, m.spec_input = some_spec_input), LB_E_ARG, "spec_input and");
    REFUSED((m.layer = NULL, m.block = some_block, m.needs = LB_PRESERVES, m.spec_input = some_spec_input), LB_E_ARG,
            "has two specs");
    REFUSED((m.layer = NULL, m.block = some_block, m.extend = some_extend), LB_E_ARG, "extends a layer, but has no");
    REFUSED(m.stages = 2, LB_E_ARG, "has stages");
    REFUSED(m.later = m.options, LB_E_ARG, "later options: need extend");
    REFUSED((m.extend = some_extend, m.later = m.options, m.later.struct_size++), LB_E_ARG, "later options: need");
    REFUSED(m.options.struct_size = 15, LB_E_ARG, "option group: offset 8");
    REFUSED(m.options.table = NULL, LB_E_ARG, "without a table");
#define REFUSED_OPTION(change, code, message)                                                                          \
    do {                                                                                                               \
        lb_option kept = option[1];                                                                                    \
        change;                                                                                                        \
        assert_int_equal(lb_method_validate(&good), code);                                                             \
        assert_error_has(message);                                                                                     \
        option[1] = kept;                                                                                              \
    } while (0)
    REFUSED_OPTION(option[1].name = "bits", LB_E_ARG, "option bits: twice");
    REFUSED_OPTION(option[1].name = "", LB_E_ARG, "option 1");
    REFUSED_OPTION(option[1].offset = 4, LB_E_ARG, "aligned");
    REFUSED_OPTION(option[1].def = "9", LB_E_CONFIG, "method x: group = 9: must be in [2, 8]");
    REFUSED_OPTION(option[1].help = NULL, LB_E_ARG, "has no help");
    REFUSED_OPTION(option[1].min = 9, LB_E_ARG, "bounds");
    REFUSED_OPTION(option[1].type = (lb_opt_type)42, LB_E_ARG, "unknown type");
    REFUSED_OPTION(option[1].type = LB_OPT_CHOICE, LB_E_ARG, "no choices");
    REFUSED_OPTION((option[1].type = LB_OPT_CHOICE, option[1].choices = none), LB_E_ARG, "no choices");
    assert_int_equal(lb_method_validate(&good), LB_OK);
}

/* Compiles C text into folder/name.so. */
static void compile(const char *name, const char *text) {
    char path[128], command[512];
    snprintf(path, sizeof path, "%s/%s.c", folder, name);
    assert_int_equal(lb_fs_write_atomic(path, text, strlen(text)), LB_OK);
    snprintf(command, sizeof command, "cc -std=c11 -O2 -Wall -Wextra -Werror -fPIC -shared -Isrc -o %s/%s.so %s",
             folder, name, path);
    if (system(command) != 0) fail_msg("%s", command);
}

static const char *object(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s.so", folder, name);
    return path;
}

/* A block of C in a page, the first after the text `from`, and `more`, compiled. */
static void compile_page(const char *name, const char *page, const char *from, const char *more) {
    char *text = NULL;
    size_t len = 0;
    lb_str whole = {0};
    assert_int_equal(lb_fs_read(page, &text, &len), LB_OK);
    char *start = strstr(text, from);
    assert_non_null(start);
    start = strstr(start, "```c\n");
    assert_non_null(start);
    char *end = strstr(start, "\n```\n");
    assert_non_null(end);
    end[1] = 0;
    lb_str_add(&whole, "%s%s", start + 5, more);
    assert_int_equal(lb_str_check(&whole), LB_OK);
    compile(name, whole.s);
    lb_str_free(&whole);
    lb_free(text);
}

static void readme_example(void **state) {
    (void)state;
    compile_page("stochastic", "algorithms/README.md", "", "");
    const lb_method *m = NULL, *again = NULL;
    if (lb_method_load(object("stochastic"), &m) != LB_OK) fail_msg("%s", lb_error());
    assert_ptr_equal(lb_method_find("stochastic"), m);
    assert_int_equal(lb_method_load(object("stochastic"), &again), LB_OK); /* the same file again is no harm */
    assert_ptr_equal(again, m);

    enum { ROWS = 9, COLS = 44, RUNS = 400 };
    kit one = kit_open(1), four = kit_open(4);
    lb_mat W = kit_random(&one, 1, ROWS, COLS);
    const void *opts = kit_options(&one, m, "bits=3 group=16");
    assert_int_equal(m->check(kit_options(&one, m, "group=tensor")), LB_E_UNSUPPORTED);
    double mean[ROWS * COLS] = {0};
    lb_layer c, d;
    for (uint64_t seed = 0; seed < RUNS; seed++) {
        lb_layer_in in = {"0.q", lb_mat_c(W), NULL, NULL, seed, one.arena, one.arena, one.team, NULL};
        assert_int_equal(m->layer(&in, opts, &c), LB_OK);
        in.team = four.team;
        assert_int_equal(m->layer(&in, opts, &d), LB_OK);
        assert_memory_equal(c.codes, d.codes, ROWS * COLS);
        lb_mat What = kit_dequantize(&one, &c);
        for (int i = 0; i < ROWS * COLS; i++) mean[i] += (double)What.d[i] / RUNS;
    }
    for (int i = 0; i < ROWS * COLS; i++) {
        double step =
            (double)c.scale[i / COLS * 3 + i % COLS / 16]; /* variance of the mean: at most step^2 / 4 / RUNS */
        assert_true(fabs(mean[i] - (double)W.d[i]) < 5 * step / 2 / sqrt(RUNS) + (c.codes[i] % 7 == 0 ? step / 2 : 0));
    }
    kit_close(&one);
    kit_close(&four);
}

/* The worked example of a stage: after another it takes the mean out of each row's error, and alone it is refused. */
static void stage_example(void **state) {
    (void)state;
    compile_page("mean", "algorithms/README.md", "## A stage", "");
    enum { ROWS = 9, COLS = 44 };
    kit k = kit_open(1);
    const lb_method *m = NULL;
    if (lb_method_load(object("mean"), &m) != LB_OK) fail_msg("%s", lb_error());
    lb_mat W = kit_random(&k, 1, ROWS, COLS);
    lb_layer c = kit_run(&k, "rtn+mean", "bits=3 group=16", W, NULL),
             rtn = kit_run(&k, "rtn", "bits=3 group=16", W, NULL);
    lb_mat with = kit_dequantize(&k, &c), without = kit_dequantize(&k, &rtn);
    assert_int_equal(lb_layer_check(&c, NULL), LB_OK);
    for (int64_t r = 0; r < ROWS; r++) {
        double before = 0, after = 0;
        for (int64_t i = r * COLS; i < (r + 1) * COLS; i++)
            before += (double)W.d[i] - (double)without.d[i], after += (double)W.d[i] - (double)with.d[i];
        assert_true(fabs(after) < 2e-3 * fabs(before) + 1e-4); /* stored in 16 bits */
    }
    lb_storage s;
    assert_int_equal(m->spec(NULL, ROWS, COLS, &s), LB_E_UNSUPPORTED);
    assert_int_equal(lb_method_spec(kit_method(&k, "low_rank+mean"),
                                    kit_options(&k, kit_method(&k, "low_rank+mean"), "rank=2"), ROWS, COLS, &s),
                     LB_E_UNSUPPORTED);
    assert_error_has("stage mean: a pair is there already");
    kit_close(&k);
}

/* The worked example of a method that preserves: after it the columns of a norm's readers reach equally far. */
static void preserving_example(void **state) {
    (void)state;
    compile_page("level", "algorithms/README.md", "## A block", "");
    enum { ROWS = 6, COLS = 12 };
    kit k = kit_open(2);
    const lb_method *m = NULL;
    if (lb_method_load(object("level"), &m) != LB_OK) fail_msg("%s", lb_error());
    lb_mat A = kit_random(&k, 1, ROWS, COLS), B = kit_random(&k, 2, ROWS, COLS), C = kit_random(&k, 3, ROWS, COLS);
    for (int64_t r = 0; r < ROWS; r++) A.d[r * COLS + 3] = B.d[r * COLS + 3] = 0;
    const lb_block_site site[] = {{.name = "0.q", .role = "q", .W = lb_mat_c(A), .quantize = true},
                                  {.name = "0.k", .role = "k", .W = lb_mat_c(B)},
                                  {.name = "0.o", .role = "o", .input = 1, .W = lb_mat_c(C), .quantize = true}};
    const lb_block_input input[] = {
        {.name = "0.q", .role = "q", .cols = COLS, .foldable = true, .behind_norm = true, .quantize = true},
        {.name = "0.o", .role = "o", .cols = COLS, .foldable = true, .quantize = true}};
    lb_block_in in = {.site = site, .sites = 3, .input = input, .inputs = 2, .scratch = k.arena, .arena = k.arena};
    lb_transform T[2] = {{0}};
    lb_block_out out = {.T = T};
    lb_storage s = {0};
    bool fold = false;
    assert_int_equal(m->spec_input(NULL, &input[1], &s, &fold), LB_OK);
    assert_false(fold || lb_storage_transforms(&s));
    assert_int_equal(m->spec_input(NULL, &input[0], &s, &fold), LB_OK);
    assert_true(fold);
    assert_int_equal(m->block(&in, NULL, &out), LB_OK);
    assert_true(T[0].scale && !T[0].hadamard && !lb_transform_any(&T[1]));
    assert_true(T[0].scale[3] == 1); /* nothing there to go by */
    lb_transform_weights(&T[0], A);
    lb_transform_weights(&T[0], B);
    float first = 0;
    for (int64_t c = 0; c < COLS; c++) {
        float most = 0;
        for (int64_t r = 0; r < ROWS; r++)
            most = fmaxf(most, fmaxf(fabsf(A.d[r * COLS + c]), fabsf(B.d[r * COLS + c])));
        if (c == 0) first = most;
        if (c != 3) assert_true(fabsf(most - first) < 1e-5f * first);
    }
    assert_int_equal(lb_method_check(m, NULL), LB_E_UNSUPPORTED);
    kit_close(&k);
}

/* A section of one layer, y = x W^T, of two sequences. */
static lb_status one_layer(const lb_block_in *in, int32_t section, int64_t s, const lb_cmat *W, lb_mat y) {
    const lb_mat *x = in->impl;
    lb_cmat M = W && W[section].d ? W[section] : in->site[section].W;
    for (int64_t t = 0; t < y.rows; t++)
        for (int64_t r = 0; r < y.cols; r++) {
            double sum = 0;
            for (int64_t c = 0; c < M.cols; c++)
                sum += (double)x->d[(s * y.rows + t) * x->ld + c] * (double)M.d[r * M.ld + c];
            y.d[t * y.ld + r] = (float)sum;
        }
    return LB_OK;
}

/* The worked example of a method that compresses blocks: of either rounding the one that changes outputs less. */
static void block_example(void **state) {
    (void)state;
    compile_page("pick", "algorithms/README.md", "**One that compresses**", "");
    enum { DIM = 16, LENGTH = 20, SITES = 6 };
    kit k = kit_open(2);
    const lb_method *m = NULL;
    if (lb_method_load(object("pick"), &m) != LB_OK) fail_msg("%s", lb_error());
    void *opts = kit_options(&k, m, "bits=3");
    lb_mat x = kit_random(&k, 9, 2 * LENGTH, DIM), W[SITES];
    lb_block_site site[SITES];
    lb_block_input input[SITES];
    for (int i = 0; i < SITES; i++) {
        W[i] = kit_random(&k, 20 + (uint64_t)i, DIM, DIM);
        W[i].d[5] *= 4;
        for (int64_t c = 0; i == 4 && c < DIM * DIM; c++) /* which three bits hold as it is */
            W[i].d[c] = c % DIM == 0 ? -3 : c % DIM == 1 ? 4 : fminf(fmaxf(rintf(W[i].d[c]), -3), 4);
        site[i] = (lb_block_site){.name = "0.x", .input = i, .W = lb_mat_c(W[i]), .quantize = i != 2, .opts = opts};
        assert_int_equal(m->spec(opts, DIM, DIM, &site[i].storage), LB_OK);
        input[i] = (lb_block_input){.cols = DIM, .section = i, .quantize = i != 2};
    }
    lb_layer made[SITES];
    memset(made, 0, sizeof made);
    lb_block_in in = {.site = site,
                      .sites = SITES,
                      .input = input,
                      .inputs = SITES,
                      .sections = SITES,
                      .sequences = 2,
                      .length = LENGTH,
                      .dim = DIM,
                      .scratch = k.arena,
                      .arena = k.arena,
                      .team = k.team,
                      .forward = one_layer,
                      .impl = &x};
    lb_block_out out = {.layer = made};
    int searched = 0;
    assert_int_equal(m->block(&in, opts, &out), LB_OK);
    for (int i = 0; i < SITES; i++) {
        double error[2];
        if (i == 2) {
            assert_int_equal(made[i].rows, 0);
            continue;
        }
        assert_int_equal(lb_layer_check(&made[i], NULL), LB_OK);
        lb_layer either[2] = {kit_run(&k, "rtn", "bits=3", W[i], NULL),
                              kit_run(&k, "rtn", "bits=3 mse=true", W[i], NULL)};
        for (int e = 0; e < 2; e++) {
            lb_mat What = kit_dequantize(&k, &either[e]);
            error[e] = 0;
            for (int64_t t = 0; t < 2 * LENGTH; t++)
                for (int64_t r = 0; r < DIM; r++) {
                    double sum = 0;
                    for (int64_t c = 0; c < DIM; c++)
                        sum += (double)x.d[t * DIM + c] * ((double)What.d[r * DIM + c] - (double)W[i].d[r * DIM + c]);
                    error[e] += sum * sum;
                }
        }
        int best = error[1] < error[0];
        searched += best;
        assert_memory_equal(made[i].codes, either[best].codes, DIM * DIM);
    }
    assert_in_range(searched, 1, SITES - 2); /* both happen */
    kit_close(&k);
}

/* Both from config to result. */
static void block_examples_run(void **state) {
    (void)state;
    const char *build = getenv("BUILD");
    char path[128], command[1024], out[8192];
    static const char config[] =
        "name: blocks\nmodel: data/builtin/model\n"
        "calibration: {text: data/builtin/calibration.txt, samples: 3, length: 64}\n"
        "eval: {text: data/builtin/eval.txt, protocol: W2-128, windows: 2}\nquantize:\n"
        "  - stages: [{method: level}, {method: rtn, bits: 4, group: 32}]\n"
        "  - {method: pick, bits: 3}\n  - stages: [{method: level}, {method: pick, bits: 3}]\n"
        "  - stages: [{method: hadamard}, {method: level}, {method: rtn, bits: 3, group: 64}]\n"; /* nothing to fold:
                                                                                                     refused */
    snprintf(path, sizeof path, "%s/blocks.yaml", folder);
    assert_int_equal(lb_fs_write_atomic(path, config, sizeof config - 1), LB_OK);
    snprintf(command, sizeof command, "%s/lowbit run %s --plugin %s/level.so,%s/pick.so -o results=%s 2>&1",
             build ? build : "build/release", path, folder, folder, folder);
    assert_int_equal(cli_shell(command, out, sizeof out), 0);
    if (!strstr(out, "4 cells run, 0 kept, 1 refused, 0 failed")) fail_msg("%s", out);
}

/* The worked example of docs/formats.md: rounded to, solved on, counted and packed like any other format. */
static void format_example(void **state) {
    (void)state;
    compile_page("ternary", "docs/formats.md", "",
                 "#include \"quant/method.h\"\n"
                 "static lb_status spec(const void *o, int64_t r, int64_t c, lb_storage *s) {\n"
                 "    (void)o, (void)r, (void)c;\n"
                 "    *s = (lb_storage){.format = &lb_ternary, .bits = 2, .group = 16, .scale_type = LB_SCALE_F16};\n"
                 "    return lb_format_accepts(s, false); }\n"
                 "static lb_status layer(const lb_layer_in *i, const void *o, lb_layer *c) {\n"
                 "    lb_storage s; LB_TRY(spec(o, i->W.rows, i->W.cols, &s));\n"
                 "    return lb_round_to_nearest_team(i->arena, &s, false, i->W, i->team, c); }\n"
                 "static const lb_method m = {.api = LB_METHOD_API, .name = \"ternary\", .summary = \"onto it\",\n"
                 "    .spec = spec, .layer = layer};\n"
                 "const lb_method *lb_plugin_method(void);\n"
                 "const lb_method *lb_plugin_method(void) { return &m; }\n");
    const lb_method *m = NULL;
    if (lb_method_load(object("ternary"), &m) != LB_OK) fail_msg("%s", lb_error());
    kit k = kit_open(2);
    lb_mat W = kit_random(&k, 5, 3, 40);
    lb_layer c = kit_run(&k, "ternary", "", W, NULL), back;
    lb_size z;
    lb_str text = {0};
    lb_storage_text(&c.storage, &text);
    assert_string_equal(text.s, "ternary g16 f16-scales");
    lb_str_free(&text);
    assert_int_equal(lb_layer_size(&c, &z), LB_OK);
    assert_int_equal(z.codes, 30); /* 80 bits of 96 in each row */
    assert_int_equal(z.padding, 6);
    assert_int_equal(z.scales, 3 * 3 * 2);
    assert_int_equal(z.total, 54);
    uint8_t bytes[54];
    assert_int_equal(lb_layer_pack(&c, k.team, bytes, 54), LB_OK);
    assert_int_equal(lb_layer_unpack(k.arena, &c.storage, 3, 40, k.team, bytes, 54, &back), LB_OK);
    lb_mat a = kit_dequantize(&k, &c), b = kit_dequantize(&k, &back);
    assert_memory_equal(a.d, b.d, 3 * 40 * sizeof(float));
    /* By hand: of 1, -2, 0.1, 0.9 (mean 1, so at least 0.7) three are kept, whose mean is 1.3. */
    const lb_format *f = c.storage.format;
    const float x[] = {1, -2, 0.1f, 0.9f};
    float scale, zero, value[4];
    uint8_t code[4];
    lb_storage s = c.storage;
    s.scale_type = LB_SCALE_F32;
    assert_int_equal(f->fit(&s, false, x, 4, &scale, &zero), LB_OK);
    assert_true(scale == 1.3f);
    f->encode(&s, x, 4, scale, zero, code);
    f->decode(&s, code, 4, scale, zero, value);
    const float want[] = {1.3f, -1.3f, 0, 1.3f};
    assert_memory_equal(value, want, sizeof want);
    c.codes[5] = 3;
    assert_int_equal(lb_layer_check(&c, k.team), LB_E_ARG);
    assert_error_has("code 3 at row 0, column 5 is no number of format ternary");
    kit_close(&k);
}

static void bad_plugins(void **state) {
    (void)state;
    const lb_method *m = NULL;
    assert_int_equal(lb_method_load("/nonexistent/x.so", &m), LB_E_IO);
    assert_error_has("/nonexistent/x.so");
    compile("empty", "int nothing_to_see;\n");
    assert_int_equal(lb_method_load(object("empty"), &m), LB_E_FORMAT);
    assert_error_has("does not define lb_plugin_method");
    compile("old", "#include \"quant/method.h\"\n"
                   "static const lb_method old = {.api = LB_METHOD_API + 1, .name = \"old\"};\n"
                   "const lb_method *lb_plugin_method(void);\n"
                   "const lb_method *lb_plugin_method(void) { return &old; }\n");
    assert_int_equal(lb_method_load(object("old"), &m), LB_E_UNSUPPORTED);
    assert_error_has("old.so: method api 6: this program has 5");
    compile("taken", "#include \"quant/method.h\"\n"
                     "static lb_status spec(const void *o, int64_t r, int64_t c, lb_storage *s) {\n"
                     "    (void)o, (void)r, (void)c, (void)s; return LB_OK; }\n"
                     "static lb_status layer(const lb_layer_in *i, const void *o, lb_layer *c) {\n"
                     "    (void)i, (void)o, (void)c; return LB_OK; }\n"
                     "static const lb_method taken = {.api = LB_METHOD_API, .name = \"rtn\", .summary = \"mine\",\n"
                     "    .spec = spec, .layer = layer};\n"
                     "const lb_method *lb_plugin_method(void);\n"
                     "const lb_method *lb_plugin_method(void) { return &taken; }\n");
    assert_int_equal(lb_method_load(object("taken"), &m), LB_E_ARG);
    assert_error_has("a method 'rtn' is there already");
    assert_null(m);
}

/* The program itself: a plug-in named on the command line, and what it says of it. */
static void command_line(void **state) {
    (void)state;
    const char *build = getenv("BUILD");
    char command[512], out[4096];
    snprintf(command, sizeof command, "%s/lowbit methods stochastic --plugin %s", build ? build : "build/release",
             object("stochastic"));
    assert_int_equal(cli_shell(command, out, sizeof out), 0);
    assert_string_equal(out, "stochastic: stochastic rounding on a uniform grid\n"
                             "scope  one layer at a time\n"
                             "stage  only the first\n"
                             "needs  nothing\n"
                             "cite   -\n"
                             "\n"
                             "options\n"
                             "  bits   integer in [2, 8], default 4\n"
                             "         bits a weight\n"
                             "  group  row, tensor, or a number of columns in [8, 65536], default row\n"
                             "         columns that share a scale\n");
}

static int setup(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/lowbit-test-XXXXXX");
    return mkdtemp(folder) == NULL;
}
static int teardown(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

int main(void) {
    if (lb_blas_init(1) != LB_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(built_in_methods),   cmocka_unit_test(what_is_refused),
                                       cmocka_unit_test(readme_example),     cmocka_unit_test(stage_example),
                                       cmocka_unit_test(format_example),     cmocka_unit_test(bad_plugins),
                                       cmocka_unit_test(preserving_example), cmocka_unit_test(block_example),
                                       cmocka_unit_test(block_examples_run), cmocka_unit_test(command_line)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
