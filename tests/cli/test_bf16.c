/* `compute: bf16` as a user meets it: results that say so and stand apart from those in float32, and refusals where a
 * build or a processor has none. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/version.h"
#include "io/json.h"
#include "support/bf16.h"
#include "support/h5_same.h"
#include "support/sweep_kit.h"

#define SWEEP                                                                                                          \
    COMMON "quantize:\n  - {method: rtn, bits: 3}\n  - {method: gptq, bits: 3, group: 16}\n"                           \
           "  - {method: rtn, bits: 5, quantize_head: true}\n"

static void run(const char *const *more, const char *kept) {
    const char *words[16] = {"run", "sweep.yaml"};
    cli_options o = here();
    int n = 2;
    for (; more[n - 2]; n++) words[n] = more[n - 2];
    cli_result r = cli_run(&o, words);
    if (r.code != 0) print_error("%s%s", r.out, r.err);
    assert_int_equal(r.code, 0);
    if (kept) cli_has(r.err, kept);
    cli_free(&r);
}
#define RUN(kept, ...) run((const char *const[]){__VA_ARGS__, NULL}, (kept))

static const char *pair(const lb_record *r, const char *key) {
    const char *v = lb_pairs_get(&r->provenance, key);
    return v ? v : "";
}

static double mean_difference(const lb_eval *a, const lb_eval *b) {
    double sum = 0;
    assert_int_equal(a->windows, b->windows);
    for (int64_t i = 0; i < a->windows; i++) sum += a->window_nll[i] - b->window_nll[i];
    return sum / (double)a->windows;
}

/* A float32 result is never taken for a bf16 one or the other way round, not even in one folder; the weights that a
 * method finds are the same, and differences are to the baseline of the same kind. */
static void results_stand_apart(void **state) {
    (void)state;
    bf16_needed();
    put_file("sweep.yaml", SWEEP);
    RUN("4 cells run, 0 kept", "--no-report");
    lb_results *exact = results("results/sweep");
    RUN("4 cells run, 0 kept", "-o", "compute=bf16");
    lb_results *x = results("results/sweep");
    RUN("0 cells run, 4 kept", "--no-report", "-o", "compute=bf16");
    for (int64_t i = 0; i < 4; i++) {
        const lb_record *a = &exact->record[i], *b = &x->record[i];
        assert_string_equal(a->label, b->label);
        assert_string_not_equal(a->stem, b->stem);
        assert_string_not_equal(a->key, b->key);
        assert_string_equal(pair(a, "compute"), "float32");
        assert_string_equal(pair(b, "compute"), "bf16");
        assert_string_equal(pair(a, "onednn"), "");
        assert_string_equal(pair(b, "onednn"), lb_bf16_version());
        assert_string_equal(pair(b, "onednn_isa"), lb_bf16_isa());
        assert_int_equal(b->flags, a->flags | LB_FLAG_BF16);
        assert_true(!(a->flags & LB_FLAG_BF16) && a->layers == b->layers);
        for (int64_t l = 0; l < a->layers; l++) {
            assert_true(a->layer[l].own.weight_err == b->layer[l].own.weight_err);
            assert_true(a->layer[l].original.output_err == b->layer[l].original.output_err);
        }
        double off = fabs(a->eval[0].eval.mean_nll - b->eval[0].eval.mean_nll);
        assert_true(off > 0 && off < 0.01);
        if (i == 0) continue;
        double delta = b->eval[0].paired.delta;
        assert_true(fabs(delta - mean_difference(&b->eval[0].eval, &x->record[0].eval[0].eval)) < 1e-12);
        assert_true(fabs(delta - mean_difference(&b->eval[0].eval, &exact->record[0].eval[0].eval)) > 1e-7);
        assert_true(b->eval[0].eval.has_kl && b->eval[0].eval.kl_mean > 0);
    }
    lb_results_free(exact);
    lb_results_free(x);
}

static void the_report_says_so(void **state) {
    (void)state;
    bf16_needed();
    put_file("sweep.yaml", SWEEP);
    RUN(NULL, "-o", "compute=bf16", "-o", "results=said");
    static const char *const file[] = {"said/sweep/report/report.md", "said/sweep/report/index.html"};
    static const char *const what[] = {"evaluated with products in bfloat16", "compute: bf16",
                                       "onednn_isa: avx512_core"};
    char path[LB_TEST_PATH], *text;
    size_t n;
    for (int i = 0; i < 2; i++) {
        path_in(path, home, file[i]);
        assert_ok(lb_fs_read(path, &text, &n));
        for (int k = 0; k < 3; k++) cli_has(text, what[k]);
        lb_free(text);
    }
    path_in(path, home, "said/sweep/cells.csv");
    assert_ok(lb_fs_read(path, &text, &n));
    cli_has(text, ",compute,");
    cli_has(text, ",bf16,");
    cli_has(text, "bf16-products");
    cli_has_not(text, ",float32,");
    lb_free(text);
}

static void same_bytes(void **state) {
    (void)state;
    bf16_needed();
    put_file("sweep.yaml",
             SWEEP "  - {method: qat, bits: 3, steps: 2, batch: 2, length: 32, warmup: 1, act_bits: 8}\n");
    RUN(NULL, "--no-report", "-o", "compute=bf16", "-o", "results=one", "-o", "threads=1");
    RUN(NULL, "--no-report", "-o", "compute=bf16", "-o", "results=two", "-o", "threads=2");
    RUN(NULL, "--no-report", "-o", "compute=bf16", "-o", "results=again", "-o", "threads=3");
    same_results("one/sweep", "two/sweep", 5);
    same_results("one/sweep", "again/sweep", 5);
    put_file("sweep.yaml", SWEEP);
    RUN(NULL, "--no-report", "-o", "compute=bf16", "-o", "results=stream", "-o", "weights=stream");
    RUN(NULL, "--no-report", "-o", "compute=bf16", "-o", "results=resident", "-o", "weights=resident");
    same_results("stream/sweep", "resident/sweep", 4);
}

static double perplexity_of(const char *json, const char *compute, const char *isa) {
    char path[LB_TEST_PATH];
    json_t *o;
    double ppl;
    path_in(path, home, json);
    assert_ok(lb_json_read(path, &o));
    assert_ok(lb_json_num(path, o, "perplexity", &ppl));
    assert_string_equal(json_string_value(json_object_get(o, "compute")), compute);
    assert_string_equal(json_string_value(json_object_get(o, "onednn_isa")), isa);
    assert_string_equal(json_string_value(json_object_get(o, "onednn")), isa[0] ? lb_bf16_version() : "");
    json_decref(o);
    return ppl;
}

#define EVAL(o, ...) CLI((o), "eval", "tiny", "eval.txt", "--protocol", "W2-64", "--windows", "9", __VA_ARGS__)

static void eval(void **state) {
    (void)state;
    bf16_needed();
    cli_options o = here();
    cli_result r = EVAL(&o, "--json", "f.json");
    assert_int_equal(r.code, 0);
    cli_has_not(r.out, "bf16");
    cli_free(&r);
    double exact = perplexity_of("f.json", "float32", ""), ppl = 0;
    static const char *const way[] = {"--weights=resident", "--weights=stream"}, *const threads[] = {"1", "2"};
    for (int i = 0; i < 4; i++) {
        r = EVAL(&o, "--compute", "bf16", "--json", "b.json", way[i / 2], "--threads", threads[i % 2]);
        assert_int_equal(r.code, 0);
        cli_has(r.out, "compute     products in bf16, by oneDNN ");
        cli_free(&r);
        double now = perplexity_of("b.json", "bf16", lb_bf16_isa());
        if (i > 0) assert_true(now == ppl);
        ppl = now;
    }
    assert_true(ppl != exact && fabs(log(ppl / exact)) < 0.01);
    r = EVAL(&o, "--compute", "bf16", "--profile");
    cli_has(r.err, " in bfloat16, ");
    cli_has(r.err, "bfloat16 products");
    cli_has(r.err, "rounding to bf16");
    cli_has_not(r.err, "float32 products  ");
    cli_free(&r);
}

/* Allowed to use less than it could, oneDNN emulates: the result says with which instructions, and a warning that it is
 * slow. */
static void emulated(void **state) {
    (void)state;
    bf16_needed();
    cli_options o = here();
    o.env[0] = "ONEDNN_MAX_CPU_ISA=AVX512_CORE";
    cli_result r = EVAL(&o, "--compute", "bf16", "--json", "e.json");
    assert_int_equal(r.code, 0);
    cli_has(r.err, "warning: compute: bf16: this processor does not multiply in bf16 itself (oneDNN uses avx512_core)");
    cli_free(&r);
    double slow = perplexity_of("e.json", "bf16", "avx512_core");
    o.env[0] = NULL;
    r = EVAL(&o, "--compute", "bf16", "--json", "n.json");
    cli_free(&r);
    assert_true(fabs(log(slow / perplexity_of("n.json", "bf16", lb_bf16_isa()))) < 1e-3);
}

static const lb_record *labelled(const lb_results *r, const char *label) {
    for (int64_t i = 0; i < r->n; i++)
        if (strcmp(r->record[i].label, label) == 0) return &r->record[i];
    fail_msg("no cell %s", label);
    return NULL;
}

static size_t statistics_in(const char *dir) {
    char path[LB_TEST_PATH], **name;
    size_t n = 0, count = 0;
    path_in(path, home, dir);
    assert_ok(lb_fs_list(path, ".bin", &name, &n));
    for (size_t i = 0; i < n; i++) count += strncmp(name[i], "statistics-", strlen("statistics-")) == 0;
    lb_fs_list_free(name, n);
    return count;
}

#define AXIS                                                                                                           \
    COMMON "axes: {compute: [float32, bf16]}\nquantize:\n  - {method: rtn, bits: [3, 5]}\n"                            \
           "  - {method: gptq, bits: 3, group: 16}\n  - {method: rtn, bits: 3, group: 4096}\n"

/* Both as an axis: what either alone has made is kept, each is compared with the baseline of its own, and statistics
 * are made once. */
static void axis(void **state) {
    (void)state;
    bf16_needed();
    put_file("axis.yaml", AXIS);
    cli_result r = RAN(0, "check", "axis.yaml");
    cli_has(r.out, "compute      float32: products of evaluations\n");
    cli_has(r.out, "compute      bf16: products of evaluations, by oneDNN ");
    cli_has(r.out, "   7  rtn 3b row compute=bf16 ");
    cli_has(r.out, "float32 and bf16, one after another: in all about ");
    const char *shared = strstr(r.out, "shared by all cells: statistics ");
    assert_true(shared && !strstr(shared + 1, "shared by all cells: statistics "));
    cli_free(&r);
    r = RAN(0, "run", "axis.yaml", "--no-report", "-o", "compute=bf16"); /* takes the axis' place */
    cli_has(r.err, "4 cells run, 0 kept, 1 refused");
    cli_free(&r);
    lb_results *alone = results("results/axis");
    r = RAN(0, "run", "axis.yaml");
    cli_has(r.err, "4 cells run, 4 kept, 2 refused");
    cli_free(&r);
    lb_results *x = results("results/axis");
    assert_int_equal(x->n, 10);
    for (int64_t i = 0; i < 5; i++) {
        const lb_record *a = &x->record[i], *b = &x->record[i + 5], *was = &alone->record[i];
        assert_string_not_equal(a->stem, b->stem);
        if (b->state != LB_CELL_DONE) continue;
        assert_string_equal(pair(a, "compute"), "float32");
        assert_string_equal(pair(b, "compute"), "bf16");
        assert_string_equal(b->key, was->key);
        assert_true(b->eval[0].bf16 && !a->eval[0].bf16);
        if (i == 0) continue;
        const lb_eval *base[] = {&x->record[0].eval[0].eval, &x->record[5].eval[0].eval};
        assert_true(fabs(a->eval[0].paired.delta - mean_difference(&a->eval[0].eval, base[0])) < 1e-12);
        assert_true(fabs(b->eval[0].paired.delta - mean_difference(&b->eval[0].eval, base[1])) < 1e-12);
        assert_true(a->layer[0].own.weight_err == b->layer[0].own.weight_err);
    }
    assert_non_null(labelled(x, "gptq 3b g16 compute=float32"));
    assert_int_equal(statistics_in("results/axis/.cache"), 1);
    lb_results_free(alone);
    lb_results_free(x);
}

static void same_numbers(const lb_record *a, const lb_record *b) {
    assert_int_equal(a->evals, b->evals);
    for (int64_t e = 0; e < a->evals; e++) assert_true(a->eval[e].eval.mean_nll == b->eval[e].eval.mean_nll);
    assert_int_equal(a->layers, b->layers);
    for (int64_t l = 0; l < a->layers; l++) {
        assert_memory_equal(&a->layer[l].own, &b->layer[l].own, sizeof a->layer[l].own);
        assert_memory_equal(&a->layer[l].original, &b->layer[l].original, sizeof a->layer[l].original);
    }
}

/* Layers are made once for both, and come out as they do for either alone, also where damage or a head that no block
 * has makes some again. */
static void layers_are_made_once(void **state) {
    (void)state;
    bf16_needed();
    put_file("once.yaml", COMMON "quantize_head: true\nquantize:\n  - {method: gptq, bits: 3, group: 16}\n"
                                 "  - {stages: [{method: hadamard}, {method: gptq, bits: 4}]}\n");
    cli_result r = RAN(0, "run", "once.yaml", "--no-report", "-o", "results=alone", "-o", "compute=bf16");
    cli_free(&r);
    r = RAN(0, "run", "once.yaml", "--no-report", "-o", "results=both", "-o", "compute=[float32, bf16]");
    cli_free(&r);
    lb_results *x = results("both/once"), *alone = results("alone/once");
    assert_int_equal(x->n, 6);
    for (int64_t i = 0; i < 3; i++) {
        const lb_record *a = &x->record[i], *b = &x->record[i + 3];
        assert_int_equal(b->state, LB_CELL_DONE);
        assert_string_equal(b->key, alone->record[i].key);
        same_numbers(b, &alone->record[i]);
        int64_t same = 0;
        for (int64_t l = 0; l < b->layers; l++)
            same += a->layer[l].block >= 0 && a->layer[l].seconds == b->layer[l].seconds;
        int64_t blocks = 0;
        for (int64_t l = 0; l < b->layers; l++) blocks += b->layer[l].block >= 0;
        assert_int_equal(same, blocks);
    }
    lb_results_free(x);
    lb_results_free(alone);
    char command[2 * LB_TEST_PATH], out[4096];
    snprintf(command, sizeof command, "cd '%s' && ls -d both/once/*.partial", home);
    assert_int_not_equal(cli_shell(command, out, sizeof out), 0);
}

/* A table and plots for each, sizes and layers once, and differences between rows of both where they are asked for. */
static void report_of_the_axis(void **state) {
    (void)state;
    bf16_needed();
    if (!exists("results/axis/sweep.json")) skip();
    cli_result r = RAN(0, "report", "results/axis");
    cli_free(&r);
    r = RAN(0, "report", "results/axis", "--no-write", "--format", "csv", "--columns", "method,bits,compute,ppl,flags");
    cli_has(r.out, "method,bits,compute,ppl,flags\neval.txt,W2-64,none,,float32,");
    cli_has(r.out, "\neval.txt,W2-64,none,,bf16,");
    cli_has(r.out, "\neval.txt,W2-64,gptq,3,bf16,");
    cli_free(&r);
    static const char *const there[] = {"front-eval.txt-W2-64.gp", "front-eval.txt-W2-64-bf16.gp",
                                        "ppl-bits-eval.txt-W2-64-bf16.gp"};
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "results/axis/report/plots/%s", there[i]);
        assert_true(exists(path));
    }
    char path[LB_TEST_PATH], *text;
    size_t n;
    path_in(path, home, "results/axis/report/tables/main.md");
    assert_ok(lb_fs_read(path, &text, &n));
    cli_has(text, "eval.txt, W2-64, first 6 of ");
    cli_has(text, " windows, compute float32");
    cli_has(text, " windows, compute bf16");
    lb_free(text);
    path_in(path, home, "results/axis/report/plots/sizes.dat");
    assert_ok(lb_fs_read(path, &text, &n));
    cli_has(text, "compute=float32");
    cli_has_not(text, "compute=bf16");
    lb_free(text);
    path_in(path, home, "results/axis/report/tables/main.csv");
    assert_ok(lb_fs_read(path, &text, &n));
    cli_has(text, "evaluation,protocol,windows,compute,method,");
    lb_free(text);
    r = RAN(0, "report", "results/axis", "--no-write", "--compare", "gptq 3b g16 compute=bf16");
    cli_has(r.out, "\nnone compute=float32");
    cli_has(r.out, "\ngptq 3b g16 compute=float32");
    cli_has(r.out, "\nrtn 3b row compute=bf16");
    cli_has(r.out, "7 comparisons");
    cli_free(&r);
    r = RAN(0, "report", "results/axis", "--cells", "--where", "compute = bf16 and bits = 3");
    cli_has(r.out, "gptq 3b g16 compute=bf16");
    cli_has_not(r.out, ",float32,");
    cli_has_not(r.out, "none compute=float32");
    cli_free(&r);
    r = RAN(0, "report", "results/axis", "--no-write", "--reference", "rtn 3b row compute=float32", "--columns",
            "label,delta,compute");
    cli_has(r.out, "compute bf16; differences to rtn 3b row compute=float32");
    cli_has(r.out, " 3 + 4");
    cli_free(&r);
}

/* Before anything is read or written; with AVX2 alone oneDNN has no bfloat16 at all. */
static void refused(void **state) {
    (void)state;
    static const char *const command[] = {"check", "run"};
    cli_options o = here();
    o.env[0] = "ONEDNN_MAX_CPU_ISA=AVX2";
    bool built = lb_bf16_version()[0] != 0;
    char why[256];
    snprintf(why, sizeof why, "%s",
             built ? "finds avx2 on this processor, expected avx512_core_bf16 or avx512_core_amx"
                   : "this build is without it: install it (Debian: libdnnl-dev) and build again");
    put_file("no.yaml", COMMON "compute: bf16\nquantize:\n  - {method: rtn, bits: 3}\n");
    put_file("axis.yaml", "model: nowhere\neval: {text: nothing}\n\n\ncompute: [float32, bf16]\n");
    for (int i = 0; i < 4; i++) {
        cli_result r = CLI(&o, command[i % 2], i < 2 ? "no.yaml" : "axis.yaml");
        assert_int_equal(r.code, 1);
        cli_has(r.err, i < 2 ? "no.yaml:5: compute = bf16: products in bf16"
                             : "axis.yaml:5: compute = bf16: products in bf16");
        cli_has(r.err, why);
        assert_string_equal(r.out, "");
        cli_free(&r);
    }
    assert_false(exists("results/no"));
    cli_result r = EVAL(&o, "--compute", "bf16");
    assert_int_equal(r.code, 1);
    cli_has(r.err, "lowbit eval: --compute: compute = bf16: products in bf16");
    cli_has(r.err, why);
    cli_free(&r);
    r = CLI(&o, "quantize", "tiny", "--method", "rtn", "--eval", "eval.txt", "--protocol", "W2-64", "--compute", "bf16",
            "--out", "refused");
    assert_int_equal(r.code, 1);
    cli_has(r.err, "--compute: compute = bf16: products in bf16");
    cli_free(&r);
    assert_false(exists("refused"));
    r = EVAL(&o, "--compute", "float32"); /* needs none of it */
    assert_int_equal(r.code, 0);
    cli_free(&r);
    r = CLI(&o, "run", "no.yaml", "-o", "compute=bf61");
    cli_has(r.err, "compute = bf61: must be float32 or bf16");
    cli_free(&r);
}

static void quantize(void **state) {
    (void)state;
    SAYS(1, "--compute bf16: only perplexity is computed so, and there is no --eval TEXT", "quantize", "tiny",
         "--method", "rtn", "--compute", "bf16", "--out", "q");
    bf16_needed();
    SAYS(0, "perplexity on eval.txt, W2-64, 4 windows, products in bf16: ", "quantize", "tiny", "--method", "rtn",
         "--eval", "eval.txt", "--protocol", "W2-64", "--windows", "4", "--compute", "bf16", "--out", "q");
    lb_record record;
    char path[LB_TEST_PATH];
    path_in(path, home, "q/lowbit.h5");
    assert_ok(lb_store_read(path, arena, &record));
    assert_string_equal(pair(&record, "compute"), "bf16");
    assert_true(record.flags & LB_FLAG_BF16);
}

static void version(void **state) {
    (void)state;
    char want[128];
    if (lb_bf16_version()[0])
        snprintf(want, sizeof want, "lowbit " LB_VERSION_STRING "\noneDNN %s: compute: bf16\n", lb_bf16_version());
    else
        snprintf(want, sizeof want, "lowbit " LB_VERSION_STRING "\nwithout oneDNN: no compute: bf16\n");
    cli_result r = CLI(NULL, "--version");
    assert_int_equal(r.code, 0);
    assert_string_equal(r.out, want);
    cli_free(&r);
}

int main(void) {
    all_figures = true;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_stand_apart),
        cmocka_unit_test(the_report_says_so),
        cmocka_unit_test(same_bytes),
        cmocka_unit_test(eval),
        cmocka_unit_test(emulated),
        cmocka_unit_test(axis),
        cmocka_unit_test(layers_are_made_once),
        cmocka_unit_test(report_of_the_axis),
        cmocka_unit_test(refused),
        cmocka_unit_test(quantize),
        cmocka_unit_test(version),
    };
    return cmocka_run_group_tests(tests, make_model, clean);
}
