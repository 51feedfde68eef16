/* `lowbit run` and `lowbit quantize`, what comes out: the same bytes however it is computed, and the options of a cell.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "support/h5_same.h"
#include "support/io_probe.h"
#include "support/sweep_kit.h"

/* Every method and every way that work is cut into pieces: the files themselves, object by object, but for /host. */
static void same_bytes_at_any_thread_count(void **state) {
    (void)state;
    put_file("det.yaml",
             "model: tiny\nquantize_head: true\n"
             "calibration: {text: cal.txt, samples: 8, length: 64, recipe: random}\n"
             "eval:\n  - {text: eval.txt, protocol: W2-64, windows: 6}\n"
             "  - {text: eval.txt, name: by llama.cpp's rules, protocol: LCPP-32, windows: 5}\n"
             "quantize:\n  - {method: rtn, bits: 3, group: tensor, mse: true}\n"
             "  - {method: gptq, bits: 3, group: 16, act_order: true, group_refit: column}\n"
             "  - {method: gptq, bits: 2, true_sequential: true, rules: [{match: \"*.o\", skip: true}]}\n"
             "  - {method: gptq, bits: 4, propagate: original}\n"
             "  - {method: nf4, double_quant: true}\n"
             "  - {method: qat, bits: 3, steps: 3, batch: 2, length: 32, warmup: 1, range: [minmax, lsq]}\n"
             "  - {method: qat, bits: 2, steps: 3, batch: 2, length: 32, warmup: 1, kl_weight: 0.5, act_bits: 8}\n"
             "  - {method: finetune, steps: 3, batch: 2, length: 32, warmup: 1}\n");
    const char *threads[] = {"threads=1", "threads=2", "threads=3"};
    const char *out[] = {"results=one", "results=two", "results=three"};
    for (int i = 0; i < 3; i++) {
        cli_result r = RAN(0, "run", "det.yaml", "--no-report", "-o", threads[i], "-o", out[i]);
        cli_free(&r);
    }
    lb_results *x = results("one/det");
    assert_int_equal(x->n, 10);
    for (int64_t i = 0; i < x->n; i++) {
        char name[3][512], path[3][LB_TEST_PATH];
        const char *const dir[] = {"one", "two", "three"};
        for (int k = 0; k < 3; k++) {
            snprintf(name[k], sizeof name[k], "%s/det/%s.h5", dir[k], x->record[i].stem);
            path_in(path[k], home, name[k]);
        }
        int64_t compared = h5_same(path[0], path[1], "/host");
        assert_true(compared > (i ? 120 : 70)); /* the baseline has no layers */
        assert_int_equal(h5_same(path[0], path[2], "/host"), compared);
    }
    lb_results_free(x);
    same_results("one/det", "three/det", 10);
}

/* What two cells warn of alike is told once, and stands in both results. */
static void a_warning_is_told_once(void **state) {
    (void)state;
    static const char poor[] = "H is poorly determined in";
    put_file("poor.yaml", "model: tiny\ncalibration: {text: cal.txt, samples: 1, length: 64}\nquantize:\n"
                          "  - {method: gptq, bits: [3, 4]}\n");
    cli_result r = RAN(0, "run", "poor.yaml", "--no-report");
    const char *first = strstr(r.err, "warning: 64 calibration tokens");
    assert_non_null(first);
    assert_null(strstr(first + 1, "warning: 64 calibration tokens"));
    cli_free(&r);
    lb_results *x = results("results/poor");
    int with = 0;
    for (int64_t i = 0; i < x->n; i++)
        for (int64_t k = 0; k < x->record[i].warnings; k++) with += strstr(x->record[i].warning[k], poor) != NULL;
    assert_int_equal(with, 2);
    lb_results_free(x);
}

/* Cells of one run share what they measured of the original model and of rounding to nearest. A cell that runs alone
 * gives the same bytes. */
static void sharing_changes_nothing(void **state) {
    (void)state;
    put_file("share.yaml",
             COMMON "name: share\nquantize:\n"
                    "  - {method: gptq, bits: 3, group: 16, act_order: [true, false], propagate: original}\n"
                    "  - {method: rtn, bits: 3, group: 16}\n"
                    "  - {method: rtn, bits: 3, group: 16, symmetric: true}\n"
                    "  - {method: gptq, bits: 3, group: 16, mse: true, propagate: [original, quantized]}\n"
                    "  - {method: nf4, group: [64, 128]}\n");
    cli_result r = RAN(0, "run", "share.yaml", "--no-report", "-o", "results=together");
    cli_free(&r);
    lb_results *x = results("together/share");
    assert_int_equal(x->n, 9);
    for (int64_t i = 1; i < x->n; i++) {
        char name[512], path[LB_TEST_PATH], copy[LB_TEST_PATH];
        snprintf(name, sizeof name, "together/share/%s.h5", x->record[i].stem);
        path_in(path, home, name);
        path_in(copy, home, "alone.h5");
        assert_int_equal(rename(path, copy), 0);
        r = RAN(0, "run", "share.yaml", "--no-report", "-o", "results=together");
        assert_non_null(strstr(r.err, "1 cell run, 8 kept"));
        cli_free(&r);
        assert_true(h5_same(copy, path, "/host") > 80);
    }
    lb_results_free(x);
}

/* Without errors under the original model's H its statistics are made only for a cell that is solved on them. */
static void original_errors_are_an_option(void **state) {
    (void)state;
    put_file("own.yaml", COMMON "quantize:\n  - {method: rtn}\n  - {method: gptq, propagate: [quantized, original]}\n");
    cli_result r = RAN(0, "run", "own.yaml", "--no-report", "-o", "calibration.original_errors=false");
    cli_free(&r);
    lb_results *x = results("results/own");
    const lb_layer_row *rtn = x->record[1].layer, *own = x->record[2].layer, *original = x->record[3].layer;
    assert_true(isnan(rtn->original.output_err) && rtn->original.weight_err > 0);
    assert_true(isnan(own->original.output_err) && own->own.output_err < own->rtn_own.output_err);
    assert_true(original->original.output_err == original->own.output_err && original->own.output_err > 0);
    lb_results_free(x);
}

/* Weights read when their turn comes are the same weights: every record and every export agrees to the byte. */
static void streamed_weights_change_nothing(void **state) {
    (void)state;
    put_file("way.yaml", "model: half\nthreads: 2\nexport: f32\nquantize_head: true\n"
                         "calibration: {text: cal.txt, samples: 8, length: 64}\n"
                         "eval: {text: eval.txt, protocol: W2-64, windows: 11}\n"
                         "quantize:\n  - {method: rtn, bits: 5, group: tensor}\n"
                         "  - {method: gptq, bits: 3, group: 16, act_order: true, true_sequential: true}\n"
                         "  - {method: nf4, double_quant: true, rules: [{match: \"1.*\", skip: true}]}\n");
    cli_result r = RAN(0, "quantize", "tiny", "--method", "none", "--dtype", "bf16", "--out", "half");
    cli_free(&r);
    const char *way[] = {"weights=resident", "weights=stream"}, *out[] = {"results=resident", "results=stream"};
    for (int i = 0; i < 2; i++) {
        r = RAN(0, "run", "way.yaml", "--no-report", "-o", way[i], "-o", out[i]);
        cli_free(&r);
    }
    lb_results *x = results("resident/way");
    for (int64_t i = 0; i < x->n; i++) {
        char path[2][LB_TEST_PATH];
        uint8_t *bytes[2];
        size_t n[2];
        for (int k = 0; k < 2; k++) {
            snprintf(path[k], LB_TEST_PATH, "%s/%s/way/%s.model/model.safetensors", home, k ? "stream" : "resident",
                     x->record[i].stem);
            bytes[k] = slurp(path[k], &n[k]);
        }
        assert_int_equal(n[0], n[1]);
        assert_memory_equal(bytes[0], bytes[1], n[0]);
        free(bytes[0]);
        free(bytes[1]);
    }
    lb_results_free(x);
    same_results("resident/way", "stream/way", 4);
    r = RAN(1, "check", "way.yaml", "-o", "weights=stream", "-o",
            "quantize=[{method: qat, bits: 3, steps: 2, warmup: 1}]", "-o", "quantize_head=false");
    cli_has(r.out, "1 cell, 1 refused");
    cli_has(r.out, "training keeps all weights in memory: needs weights: resident, not stream");
    cli_free(&r);
}

static void rules_head_and_export(void **state) {
    (void)state;
    put_file("rules.yaml", COMMON "export: f32\nquantize_head: true\nquantize:\n  - method: gptq\n    bits: 3\n"
                                  "    rules: [{match: \"*.down\", bits: 8}, {match: \"0.*\", skip: true}]\n");
    cli_result r = RAN(0, "run", "rules.yaml");
    cli_free(&r);
    lb_results *x = results("results/rules");
    const lb_record *c = &x->record[1];
    assert_int_equal(c->layers, 3 * 7 + 1);
    assert_false(c->layer[0].quantized);
    assert_int_equal(c->layer[7].bits, 3);
    assert_int_equal(c->layer[13].bits, 8);
    assert_string_equal(c->layer[21].name, "head");
    assert_true(c->layer[21].quantized && c->layer[21].own.output_err > 0);
    /* Every weight matrix but block 0's is quantized: what is left at 16 bits is that block and the norms. */
    int64_t block = 32 * 32 * 2 + 2 * 16 * 32 + 3 * 32 * 48, norms = 7 * 32;
    assert_int_equal(c->size.other_as_fp16, 2 * (block + norms));
    /* The exported model is the one that was measured. */
    char model[512], ppl[256];
    snprintf(model, sizeof model, "results/rules/%s.model", c->stem);
    snprintf(ppl, sizeof ppl, "perplexity  %.6f", c->eval[0].eval.ppl);
    SAYS(0, ppl, "eval", model, "eval.txt", "--protocol", "W2-64", "--windows", "6");
    assert_int_equal(c->warnings, 0);
    lb_results_free(x);
    /* Run again, or killed between the export and the result: the new export takes the place of the old one, but of
     * nothing that somebody else put there. */
    r = RAN(0, "run", "rules.yaml", "--again", "--no-report");
    cli_free(&r);
    char mine[600];
    snprintf(mine, sizeof mine, "%s/notes.txt", model);
    put_file(mine, "mine");
    SAYS(1, "the folder is not empty (notes.txt)", "run", "rules.yaml", "--again", "--no-report");
    assert_true(exists(mine));
    /* Rounded on export: the result says so, and its report. */
    r = RAN(0, "run", "rules.yaml", "-o", "export=bf16", "-o", "name=rounded");
    cli_free(&r);
    x = results("results/rounded");
    assert_int_equal(x->record[1].warnings, 1);
    snprintf(ppl, sizeof ppl, "%s.model: weights are rounded to BF16", x->record[1].stem);
    cli_has(x->record[1].warning[0], ppl);
    lb_results_free(x);
}

static void quantize_without_a_config(void **state) {
    (void)state;
    cli_options o = here();
    cli_result r = RAN(0, "quantize", "tiny", "--method", "gptq", "--bits", "3", "--act-order", "--calibration",
                       "cal.txt", "--samples", "4", "--length", "64", "--out", "q", "--eval", "eval.txt", "--protocol",
                       "W2-64", "--windows", "6");
    cli_has(r.out, "2.down");
    cli_has(r.out, "bits a weight with all metadata");
    const char *ppl = strstr(r.out, "6 windows: ");
    assert_non_null(ppl);
    char value[64] = "perplexity  ";
    strncat(value, ppl + strlen("6 windows: "), strcspn(ppl + strlen("6 windows: "), " "));
    SAYS(0, value, "eval", "q", "eval.txt", "--protocol", "W2-64", "--windows", "6");
    cli_free(&r);
    assert_true(exists("q/config.json") && exists("q/model.safetensors") && exists("q/lowbit.h5"));
    SAYS(1, "--out q: the folder is not empty", "quantize", "tiny", "--method", "rtn", "--out", "q");
    SAYS(1, "--bits: bits = 9: must be in [1, 8] (method rtn)", "quantize", "tiny", "--method", "rtn", "--bits", "9",
         "--out", "q2");
    r = CLI(&o, "quantize", "tiny", "--method", "rtn", "--gruop", "8", "--out", "q2");
    cli_has(r.err, "unknown key 'gruop' in quantize[0]: did you mean 'group'?");
    cli_free(&r);
    SAYS(1, "method gptq needs a calibration text", "quantize", "tiny", "--method", "gptq", "--out", "q2");
    r = RAN(1, "quantize", "tiny", "--method", "nf4", "--bits", "3", "--out", "q2");
    cli_has(r.err, "so bits must be 4, not 3");
    cli_has_not(r.err, "warning");
    cli_free(&r);
    /* A place that cannot be written to is found before the work. */
    r = RAN(1, "quantize", "tiny", "--method", "rtn", "--out", "/proc/none/q2");
    cli_has(r.err, "--out /proc/none: cannot make the folder: ");
    cli_has_not(r.err, "rtn");
    cli_free(&r);
    SAYS(1, "--length 32: without --calibration TEXT", "quantize", "tiny", "--method", "rtn", "--length", "32", "--out",
         "q2");
    /* Of a method that trains it is the length of the training's sequences. */
    SAYS(1, "length = 129: the model's context is 128", "quantize", "tiny", "--method", "qat", "--steps", "2",
         "--warmup", "1", "--length", "129", "--calibration", "cal.txt", "--samples", "2", "--out", "q2");
    assert_false(exists("q2"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_warning_is_told_once),          cmocka_unit_test(same_bytes_at_any_thread_count),
        cmocka_unit_test(sharing_changes_nothing),         cmocka_unit_test(original_errors_are_an_option),
        cmocka_unit_test(streamed_weights_change_nothing), cmocka_unit_test(rules_head_and_export),
        cmocka_unit_test(quantize_without_a_config),
    };
    return cmocka_run_group_tests(tests, make_model, clean);
}
