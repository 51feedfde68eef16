/* keep_layers: a result file and the model it was made from give the quantized model again. The perplexity of
 * `lowbit eval CELL.h5` is the cell's to the last bit, for every kind of storage, killed in between or not; what is
 * damaged, missing or another model is an error that says so. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "io/json.h"
#include "result/bundle.h"
#include "support/h5_same.h"
#include "support/io_probe.h"
#include "support/sweep_kit.h"

static const char cells[] = COMMON
    "training: {text: cal.txt}\n"
    "keep_layers: true\n"
    "quantize:\n"
    "  - {method: rtn, bits: 3, rules: [{match: \"1.*\", skip: true}]}\n"
    "  - {method: rtn, bits: 1, symmetric: true, group: 24, quantize_embedding: true, quantize_head: true}\n"
    "  - {method: rtn, format: fp8, bits: 8}\n"
    "  - {method: rtn, format: mxfp4, bits: 4, group: 32}\n"
    "  - {method: hqq, bits: 4, group: 16}\n"
    "  - {method: gptq, bits: 4, group: 16, act_order: true, scale_type: bf16, quantize_head: true}\n"
    "  - {method: nf4, bits: 4, group: 50, double_quant: true}\n"
    "  - {method: gptq, bits: 3, head: {method: nf4, group: 16}}\n"
    "  - {method: wanda, pattern: \"4:8\", quantize_head: true}\n"
    "  - {method: low_rank, bits: 3, group: 16, rank: 3, quantize_head: true}\n"
    "  - {method: qat, bits: 4, act_bits: 8, steps: 4, warmup: 1, batch: 2, length: 32, quantize_head: true}\n"
    "  - {method: finetune, steps: 4, warmup: 1, batch: 2, length: 32}\n"
    "  - stages: [{method: hadamard}, {method: gptq, bits: 4, group: 16}]\n"
    "  - {stages: [{method: smoothquant, fold: all}, {method: rtn, bits: 8}], rules: [{match: \"*.v\", skip: true}]}\n"
    "  - stages: [{method: smoothquant}, {method: hadamard, signs: false, block: 8}, {method: rtn, bits: 3}]\n";
enum { CELLS = 16 };

/* The path of a cell's file, by the start of its label. */
static void file_of(const char *folder, const lb_record *r, char out[LB_TEST_PATH]) {
    assert_true(snprintf(out, LB_TEST_PATH, "%s/%s/%s.h5", home, folder, r->stem) < LB_TEST_PATH);
}

static const lb_record *cell_of(const lb_results *r, const char *label) {
    for (int64_t i = 0; i < r->n; i++)
        if (strncmp(r->record[i].label, label, strlen(label)) == 0) return &r->record[i];
    fail_msg("no cell %s", label);
    return NULL;
}

/* What evaluating the file gives is what the cell gave, in every window and bit. */
static void expect_same(const lb_record *r, const char *path, const char *weights, const char *model) {
    cli_options o = here();
    char json[LB_TEST_PATH];
    path_in(json, home, "eval.json");
    cli_result c = CLI(&o, "eval", path, "eval.txt", "--protocol", "W2-64", "--windows", "6", "--json", "eval.json",
                       "--weights", weights, "--model", model);
    if (c.code != 0) fail_msg("%s: %s", r->label, c.err);
    cli_has(c.out, r->label);
    cli_free(&c);
    json_t *root;
    double ppl;
    assert_ok(lb_json_read(json, &root));
    assert_ok(lb_json_num(json, root, "perplexity", &ppl));
    const json_t *nll = json_object_get(root, "window_nll");
    if (ppl != r->eval[0].eval.ppl) fail_msg("%s: %.17g, expected %.17g", r->label, ppl, r->eval[0].eval.ppl);
    assert_int_equal(json_array_size(nll), 6);
    for (size_t i = 0; i < 6; i++)
        assert_true(json_real_value(json_array_get(nll, i)) == r->eval[0].eval.window_nll[i]);
    assert_string_equal(json_string_value(json_object_get(json_object_get(root, "result"), "key")), r->key);
    json_decref(root);
}

static void run_it(const char *config, const char *where, int code) {
    cli_options o = here();
    char results_in[64];
    snprintf(results_in, sizeof results_in, "results=%s", where);
    cli_result r = CLI(&o, "run", config, "--no-report", "-o", results_in);
    if (r.code != code) fail_msg("%s%s", r.out, r.err);
    cli_free(&r);
}

static void same_perplexity(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    put_file("keep.yaml", cells);
    run_it("keep.yaml", "kept", 0);
    lb_results *r = results("kept/keep");
    assert_int_equal(r->n, CELLS);
    for (int64_t i = 1; i < r->n; i++) {
        assert_int_equal(r->record[i].state, LB_CELL_DONE);
        assert_true(r->record[i].keeps);
        file_of("kept/keep", &r->record[i], path);
        expect_same(&r->record[i], path, "resident", "");
        if (i % 3 == 1) expect_same(&r->record[i], path, "stream", "");
    }
    assert_false(r->record[0].keeps);
    lb_results_free(r);
}

/* Kept bytes are the sizes that the file and `check` tell; what a training or a fold changed is there too. */
static void sizes_and_what_is_kept(void **state) {
    (void)state;
    char path[LB_TEST_PATH], bytes[32], want[128];
    lb_results *r = results("kept/keep");
    int64_t all = 0;
    for (int64_t i = 1; i < r->n; i++) {
        lb_h5 *h = NULL;
        lb_bundle b;
        int64_t packed = 0, floats = 0;
        file_of("kept/keep", &r->record[i], path);
        assert_ok(lb_h5_open(path, &h));
        assert_ok(lb_bundle_read(h, arena, &b));
        for (int64_t k = 0; k < b.layers; k++)
            *(strcmp(b.layer[k].words.format, "f32") ? &packed : &floats) += b.layer[k].bytes;
        assert_int_equal(packed, r->record[i].size.quantized.total);
        static const char *const change[] = {"qat", "finetune", "smoothquant+rtn", "smoothquant+hadamard+rtn"};
        bool changes = false;
        for (size_t k = 0; k < 4; k++) changes = changes || strcmp(r->record[i].method, change[k]) == 0;
        assert_true(changes == (floats > 0));
        all += packed + floats;
        lb_h5_abandon(h);
    }
    lb_results_free(r);
    lb_format_bytes((double)all, bytes);
    snprintf(want, sizeof want, "keep_layers  %s of quantized models", bytes);
    cli_options o = here();
    SAYS(0, want, "check", "keep.yaml");
    cli_result c = CLI(&o, "check", "keep.yaml", "-o", "keep_layers=false");
    cli_has_not(c.out, "keep_layers");
    cli_free(&c);
}

/* Without the option nothing of it is in a file; with it, all else is the same. */
static void off_is_as_before(void **state) {
    (void)state;
    char path[LB_TEST_PATH];
    lb_str s = {0};
    const char *at = strstr(cells, "keep_layers: true\n");
    lb_str_add(&s, "%.*s%s", (int)(at - cells), cells, at + strlen("keep_layers: true\n"));
    assert_ok(lb_str_check(&s));
    put_file("keep.yaml", s.s);
    lb_str_free(&s);
    run_it("keep.yaml", "plain", 0);
    lb_results *r = results("plain/keep");
    for (int64_t i = 0; i < r->n; i++) {
        int64_t version = 0;
        lb_h5 *h = NULL;
        file_of("plain/keep", &r->record[i], path);
        assert_ok(lb_h5_open(path, &h));
        assert_false(lb_h5_has(h, "/kept"));
        assert_false(lb_h5_has_attr(h, "/", "n_kept"));
        assert_ok(lb_h5_get_attr_i64(h, "/", "format_version", &version));
        assert_int_equal(version, 1);
        lb_h5_abandon(h);
    }
    file_of("plain/keep", cell_of(r, "rtn 3b"), path);
    cli_options o = here();
    SAYS(1, "it keeps no layers: run its config with keep_layers: true", "eval", path, "eval.txt", "--protocol",
         "W2-64");
    SAYS(0, "keeps        no layers (keep_layers: false)", "inspect", path);
    lb_results_free(r);
    same_results("kept/keep", "plain/keep", CELLS);
    /* Asked for later, finished cells run again; asked for no more, they stay. */
    cli_result c = RAN(0, "run", "keep.yaml", "--no-report", "-o", "results=plain", "-o", "keep_layers=true");
    cli_has(c.err, "rtn 3b row is finished but its layers were not kept: running it again");
    cli_has(c.err, "15 cells run, 1 kept");
    cli_free(&c);
    c = CLI(&o, "run", "keep.yaml", "--no-report", "-o", "results=plain");
    cli_has(c.err, "0 cells run, 16 kept");
    cli_free(&c);
}

/* Bytes of /kept by the name of their format, and how many tensors it has. */
static int64_t kept_as(const char *path, const char *format, int64_t *tensors) {
    lb_h5 *h = NULL;
    lb_bundle b;
    int64_t bytes = 0;
    assert_ok(lb_h5_open(path, &h));
    assert_ok(lb_bundle_read(h, arena, &b));
    for (int64_t i = 0; i < b.layers; i++)
        if (!format || strcmp(b.layer[i].words.format, format) == 0) bytes += b.layer[i].bytes;
    *tensors = b.layers;
    lb_h5_abandon(h);
    return bytes;
}

/* keep_model: every tensor is in the file, the baseline's too, and the table has the file's size. The original's
 * tensors are not looked at any more: it may even be another type of them. */
static void the_whole_model(void **state) {
    (void)state;
    static const char text[] = COMMON "keep_layers: true\nquantize:\n"
                                      "  - {method: cast, embedding: {method: cast}, head: {method: cast}}\n"
                                      "  - {method: cast, type: bf16, embedding: {method: rtn, bits: 8}}\n"
                                      "  - {method: rtn, bits: 4, group: 16}\n";
    char path[LB_TEST_PATH], want[64];
    cli_options o = here();
    put_file("whole.yaml", text);
    run_it("whole.yaml", "whole", 0);
    lb_results *r = results("whole/whole");
    for (int64_t i = 0; i < r->n; i++) assert_false(r->record[i].keeps_model);
    lb_results_free(r);
    cli_result c =
        CLI(&o, "report", "whole/whole", "--no-write", "--columns", "method,model_file_bytes", "--format", "csv");
    cli_has(c.out, "cast,\n");
    cli_free(&c);
    c = RAN(0, "run", "whole.yaml", "--no-report", "-o", "results=whole", "-o", "keep_model=true");
    cli_has(c.err, "4 cells run, 0 kept");
    cli_free(&c);
    r = results("whole/whole");
    int64_t tensors[4], floats[4];
    for (int64_t i = 0; i < r->n; i++) {
        const lb_record *x = &r->record[i];
        file_of("whole/whole", x, path);
        assert_true(x->keeps_model);
        int64_t all = kept_as(path, NULL, &tensors[i]), size = 0;
        floats[i] = kept_as(path, "f32", &tensors[i]);
        assert_ok(lb_fs_bytes(path, &size));
        assert_true(all < size && size < all + (256 << 10));
        assert_int_equal(all - floats[i], x->size.quantized.total);
        expect_same(x, path, "resident", "");
        expect_same(x, path, "stream", "");
        snprintf(want, sizeof want, ",%lld\n", (long long)size);
        c = CLI(&o, "report", "whole/whole", "--no-write", "--columns", "method,model_file_bytes", "--format", "csv");
        cli_has(c.out, want);
        cli_free(&c);
        c = CLI(&o, "inspect", path, "--no-tensors");
        cli_has(c.out, "keeps        the whole model: ");
        cli_free(&c);
    }
    assert_int_equal(tensors[1], tensors[0]);
    assert_true(tensors[3] == tensors[0] && floats[1] < floats[3] && floats[3] < floats[0]);
    /* The tiny model's weights are float32: of 2 bytes in 4 nothing else is left but norms. */
    assert_int_equal(2 * r->record[1].size.quantized.total + floats[1], floats[0]);
    lb_results_free(r);
    c = RAN(0, "run", "whole.yaml", "--no-report", "-o", "results=whole", "-o", "keep_model=true");
    cli_has(c.err, "0 cells run, 4 kept");
    cli_free(&c);
}

static void compile_liar(void) {
    char source[LB_TEST_PATH], root[LB_TEST_PATH], command[3 * LB_TEST_PATH], out[4096];
    lb_test_fixture("tests/cli/plugins/liar.c", source);
    lb_test_fixture("src", root);
    snprintf(command, sizeof command,
             "cc -std=c11 -D_GNU_SOURCE -O1 -Wall -Wextra -fPIC -shared -I%s -o %s/liar.so %s 2>&1", root, home,
             source);
    if (cli_shell(command, out, sizeof out) != 0) fail_msg("%s\n%s", command, out);
}

/* Killed in its last block and taken up again, a cell ends with the same file. */
static void killed_is_uninterrupted(void **state) {
    (void)state;
    compile_liar();
    put_file("kill.yaml", COMMON "keep_layers: true\nquantize:\n"
                                 "  - {method: liar, number: 0, bits: 5, group: 16, order: true, act_bits: 8}\n"
                                 "  - {method: liar, number: 1, kind: nf4, group: 2, double_quant: true}\n"
                                 "  - stages:\n      - {method: smoothquant, fold: all}\n      - {method: hadamard}\n"
                                 "      - {method: liar, number: 2, bits: 3, group: 16}\n");
    cli_options o = here();
    cli_result r = CLI(&o, "run", "kill.yaml", "--no-report", "--plugin", "./liar.so", "-o", "results=whole");
    assert_int_equal(r.code, 0);
    cli_free(&r);
    put_file("die.0", "");
    put_file("die.1", "");
    put_file("die.2", "");
    o.env[0] = "LIAR_DIES=die";
    for (int run = 0; run < 4; run++) {
        r = CLI(&o, "run", "kill.yaml", "--no-report", "--plugin", "./liar.so", "-o", "results=killed");
        assert_int_equal(r.code, run < 3 ? 128 + SIGKILL : 0);
        if (run > 0) cli_has(r.err, "going on at block 2, the ones before were finished");
        cli_free(&r);
    }
    lb_results *a = results("whole/kill");
    for (int64_t i = 1; i < a->n; i++) {
        char x[LB_TEST_PATH], y[LB_TEST_PATH];
        file_of("whole/kill", &a->record[i], x);
        file_of("killed/kill", &a->record[i], y);
        assert_true(h5_same(x, y, "/host") > 100);
        expect_same(&a->record[i], y, "resident", "");
    }
    lb_results_free(a);
}

/* Flips a bit of a part's bytes, which are found by themselves in the file. */
static void damage_part(const char *path, const lb_bundle_part *p, const uint8_t *bytes) {
    size_t size, at = 0;
    uint8_t *data = slurp(path, &size);
    while (at + (size_t)p->bytes <= size && memcmp(data + at, bytes, (size_t)p->bytes) != 0) at++;
    assert_true(at + (size_t)p->bytes <= size);
    data[at + (size_t)p->bytes / 2] ^= 4;
    assert_ok(lb_fs_write_atomic(path, data, size));
    free(data);
}

/* Each part of a layer of GPTQ with an order. The report reads none of it and stays as it was. */
static void damage_is_named(void **state) {
    (void)state;
    char path[LB_TEST_PATH], want[128];
    lb_results *r = results("kept/keep");
    lb_h5 *h = NULL;
    lb_bundle b;
    file_of("kept/keep", cell_of(r, "gptq"), path);
    assert_ok(lb_h5_open(path, &h));
    assert_ok(lb_bundle_read(h, arena, &b));
    const lb_bundle_layer *l = &b.layer[4];
    assert_int_equal(l->parts, 4);
    uint8_t *bytes = LB_NEW(arena, uint8_t, l->bytes);
    assert_ok(lb_bundle_get(h, &b, 4, bytes));
    lb_h5_abandon(h);
    size_t size;
    uint8_t *whole = slurp(path, &size);
    for (int64_t i = l->part; i < l->part + l->parts; i++) {
        damage_part(path, &b.part[i], bytes + (b.part[i].start - l->start));
        cli_result c = RAN(1, "eval", path, "eval.txt", "--protocol", "W2-64");
        snprintf(want, sizeof want, " is damaged: layer %s: %s: SHA-256 ", l->name, b.part[i].name);
        cli_has(c.err, want);
        cli_free(&c);
        c = RAN(0, "report", "kept/keep", "--no-write");
        cli_free(&c);
        assert_ok(lb_fs_write_atomic(path, whole, size));
    }
    free(whole);
    lb_results_free(r);
}

static void the_right_model(void **state) {
    (void)state;
    char path[LB_TEST_PATH], from[LB_TEST_PATH], to[LB_TEST_PATH];
    lb_results *r = results("kept/keep");
    const lb_record *cell = cell_of(r, "qat");
    file_of("kept/keep", cell, path);
    cli_result c = RAN(0, "train", "cal.txt", "--out", "other", "--vocab", "300", "--layers", "3", "--dim", "32",
                       "--hidden", "48", "--heads", "2", "--kv-heads", "1", "--context", "128", "--steps", "1",
                       "--batch", "1", "--length", "16", "--warmup", "0", "--dtype", "f32", "--threads", "2");
    cli_free(&c);
    c = RAN(1, "eval", path, "eval.txt", "--protocol", "W2-64", "--model", "other");
    cli_has(c.err, "other: another model than that of ");
    cli_has(c.err, lb_pairs_get(&cell->provenance, "model_sha256"));
    cli_free(&c);
    path_in(from, home, "tiny");
    path_in(to, home, "moved");
    assert_int_equal(rename(from, to), 0);
    c = RAN(1, "eval", path, "eval.txt", "--protocol", "W2-64");
    cli_has(c.err, ": the model that it was made from, tiny, is not at ");
    cli_has(c.err, "--model says where it is");
    cli_free(&c);
    expect_same(cell, path, "resident", "moved");
    SAYS(1, "moved is a model itself, no result file", "eval", "moved", "eval.txt", "--protocol", "W2-64", "--model",
         "moved");
    assert_int_equal(rename(to, from), 0);
    lb_results_free(r);
}

static void inspect_lists_the_layers(void **state) {
    (void)state;
    cli_options o = here();
    char path[LB_TEST_PATH];
    lb_results *r = results("kept/keep");
    file_of("kept/keep", cell_of(r, "qat"), path);
    cli_result c = RAN(0, "inspect", path);
    cli_has(c.out, "cell         qat 4b row");
    cli_has(c.out, "keeps        ");
    cli_has(c.out, "2.down                    int4 row asym a8                   32 x 48");
    cli_has(c.out, "final_norm                f32                                 1 x 32");
    cli_free(&c);
    c = CLI(&o, "inspect", path, "--no-tensors");
    cli_has_not(c.out, "2.down");
    cli_free(&c);
    file_of("kept/keep", cell_of(r, "hadamard + gptq"), path); /* more than the usual column */
    c = CLI(&o, "inspect", path);
    cli_has(c.out, "\nname                      stored                                shape         bytes ");
    cli_has(c.out, "\n2.down                    int4 g16 asym had16 signs           32 x 48 ");
    cli_free(&c);
    lb_results_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_perplexity),          cmocka_unit_test(sizes_and_what_is_kept),
        cmocka_unit_test(off_is_as_before),         cmocka_unit_test(killed_is_uninterrupted),
        cmocka_unit_test(damage_is_named),          cmocka_unit_test(the_right_model),
        cmocka_unit_test(inspect_lists_the_layers), cmocka_unit_test(the_whole_model),
    };
    return cmocka_run_group_tests(tests, make_model, clean);
}
