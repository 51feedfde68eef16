/* Embedding and head with a method of their own. The oracle is the file: a table of embeddings beside GPTQ blocks has
 * the bytes that rounding alone gives it, and the blocks those that they have without it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "result/bundle.h"
#include "support/sweep_kit.h"

#define KEPT COMMON "keep_layers: true\n"

/* "untied", and "tiny", whose embedding and head are one matrix. */
static int make_models(void **state) {
    if (make_model(state) != 0) return -1;
    cli_options o = here();
    cli_result r =
        CLI(&o, "train", "cal.txt", "--out", "untied", "-o", "tie_word_embeddings=false", "--vocab", "300", "--layers",
            "2", "--dim", "32", "--hidden", "48", "--heads", "2", "--kv-heads", "1", "--context", "128", "--steps",
            "12", "--batch", "4", "--length", "64", "--warmup", "4", "--dtype", "f32", "--threads", "2");
    if (r.code != 0) print_error("%s%s", r.out, r.err);
    int code = r.code;
    cli_free(&r);
    return code;
}

static void run_it(const char *file, const char *model, int code) {
    char set[64];
    cli_options o = here();
    snprintf(set, sizeof set, "model=%s", model);
    cli_result r = CLI(&o, "run", file, "--no-report", "-o", set);
    if (r.code != code) print_error("%s%s", r.out, r.err);
    assert_int_equal(r.code, code);
    cli_free(&r);
}

static const lb_record *cell_of(const lb_results *r, const char *label) {
    for (int64_t i = 0; i < r->n; i++)
        if (strcmp(r->record[i].label, label) == 0) return &r->record[i];
    fail_msg("no cell %s", label);
    return NULL;
}

static const lb_layer_row *layer_of(const lb_record *c, const char *name) {
    for (int64_t i = 0; i < c->layers; i++)
        if (strcmp(c->layer[i].name, name) == 0) return &c->layer[i];
    return NULL;
}

typedef struct kept {
    uint8_t *bytes;
    int64_t n;
} kept;

/* The packed bytes of a layer in the cell's file. */
static kept kept_of(const lb_results *r, const char *label, const char *layer) {
    char path[LB_TEST_PATH];
    lb_h5 *h = NULL;
    lb_bundle b;
    kept out = {NULL, 0};
    assert_true(snprintf(path, sizeof path, "%s/%s.h5", r->dir, cell_of(r, label)->stem) < (int)sizeof path);
    assert_ok(lb_h5_open(path, &h));
    assert_ok(lb_bundle_read(h, arena, &b));
    for (int64_t i = 0; i < b.layers; i++) {
        if (strcmp(b.layer[i].name, layer) != 0) continue;
        out = (kept){lb_arena_get(arena, (size_t)b.layer[i].bytes, 1), b.layer[i].bytes};
        assert_non_null(out.bytes);
        assert_ok(lb_bundle_get(h, &b, i, out.bytes));
    }
    assert_ok(lb_h5_close(h));
    if (!out.bytes) fail_msg("%s keeps no layer %s", label, layer);
    return out;
}

static void same_bytes(const lb_results *r, const char *a, const char *b, const char *layer, bool same) {
    kept x = kept_of(r, a, layer), y = kept_of(r, b, layer);
    bool equal = x.n == y.n && memcmp(x.bytes, y.bytes, (size_t)x.n) == 0;
    if (equal != same) fail_msg("layer %s of %s and %s: %s", layer, a, b, equal ? "equal" : "not equal");
}

static void embedding_beside_statistics(void **state) {
    (void)state;
    static const char *const layer[] = {"0.q", "0.down", "1.v", "1.up"};
    put_file("embed.yaml",
             KEPT "quantize:\n"
                  "  - {method: gptq, bits: 3, group: 16, label: without}\n"
                  "  - {method: gptq, bits: 3, group: 16, quantize_embedding: true, label: with}\n"
                  "  - {method: gptq, bits: 3, group: 16, embedding: {method: rtn, bits: 8}, label: at 8}\n"
                  "  - {method: rtn, bits: 3, group: 16, quantize_embedding: true, label: rounded 3}\n"
                  "  - {method: rtn, bits: 8, quantize_embedding: true, label: rounded 8}\n");
    run_it("embed.yaml", "untied", 0);
    lb_results *r = results("results/embed");
    same_bytes(r, "with", "rounded 3", "embed", true);
    same_bytes(r, "at 8", "rounded 8", "embed", true);
    same_bytes(r, "with", "at 8", "embed", false);
    for (size_t i = 0; i < sizeof layer / sizeof layer[0]; i++) {
        same_bytes(r, "with", "without", layer[i], true);
        same_bytes(r, "at 8", "without", layer[i], true);
        same_bytes(r, "with", "rounded 3", layer[i], false);
    }
    const lb_record *c = cell_of(r, "with");
    const lb_layer_row *e = layer_of(c, "embed"), *other = layer_of(cell_of(r, "rounded 3"), "embed");
    assert_true(e->quantized && e->bits == 3 && e->own.weight_err == other->own.weight_err);
    assert_true(c->size.quantized.total == cell_of(r, "without")->size.quantized.total + other->size.total);
    assert_null(layer_of(cell_of(r, "without"), "embed"));
    assert_non_null(strstr(c->config, "    embedding:\n      method: rtn\n      bits: 3\n      group: 16\n"));
    lb_results_free(r);
}

/* What check, tables and cells.csv say of it. */
static void it_is_said(void **state) {
    (void)state;
    char path[LB_TEST_PATH], *csv = NULL;
    size_t n = 0;
    cli_result r = RAN(0, "check", "embed.yaml", "-o", "model=untied");
    cli_has(r.out, "with: embedding: rtn bits=3 group=16 symmetric=false mse=false scale_type=f32, since gptq has no "
                   "inputs to solve it on");
    cli_has_not(r.out, "at 8: embedding");
    cli_free(&r);
    r = RAN(0, "report", "results/embed");
    cli_has(r.out, "Embedding by a method of its own (at 8): rtn bits=8 group=row ");
    cli_has(r.out, "3\xe2\x80\x93"
                   "8");
    cli_free(&r);
    path_in(path, home, "results/embed/cells.csv");
    assert_ok(lb_fs_read(path, &csv, &n));
    cli_has(csv, ",rtn bits=8 group=row symmetric=false mse=false scale_type=f32,none,none,cal.txt,");
    cli_has(csv, ",as cell,none,none,cal.txt,");
    lb_free(csv);
}

/* A head that is solved on its inputs beside layers that are rounded: what its method tells is told of it alone. */
static void head_with_statistics(void **state) {
    (void)state;
    put_file("head.yaml",
             KEPT "quantize:\n"
                  "  - {method: rtn, bits: 3, quantize_head: true, label: rounded}\n"
                  "  - {method: rtn, bits: 3, head: {method: gptq, bits: 3}, label: solved}\n"
                  "  - {method: rtn, bits: 3, head: {method: gptq, bits: 3}, propagate: original, label: "
                  "original}\n"
                  "  - stages: [{method: smoothquant}, {method: low_rank, bits: 4, group: 16, rank: 2}]\n"
                  "    head: {method: gptq, bits: 8}\n    label: stages\n"
                  "  - {method: autoround, bits: 4, iters: 2, head: {method: nf4}, quantize_embedding: true, "
                  "label: blocks}\n");
    run_it("head.yaml", "untied", 0);
    lb_results *r = results("results/head");
    same_bytes(r, "solved", "rounded", "head", false);
    same_bytes(r, "solved", "rounded", "1.down", true);
    same_bytes(r, "solved", "original", "head", false);
    const lb_record *solved = cell_of(r, "solved");
    const lb_layer_row *head = layer_of(solved, "head"), *down = layer_of(solved, "1.down");
    assert_true(head->own.output_err < 0.95 * head->rtn_own.output_err && down->own.output_err != down->own.output_err);
    size_t damp = lb_diagnostics_find(&solved->diagnostics, "damp");
    assert_true(damp < solved->diagnostics.n);
    assert_true(lb_is_told(&head->told, damp) && head->told.value[damp] > 0 && !lb_is_told(&down->told, damp));
    assert_string_equal(solved->propagate, "quantized");
    assert_string_equal(cell_of(r, "original")->propagate, "original");
    bool cited = false;
    for (int64_t i = 0; i < solved->cites; i++) cited = cited || strstr(solved->cite[i], "gptq");
    assert_true(cited);
    const lb_record *stages = cell_of(r, "stages"), *blocks = cell_of(r, "blocks");
    assert_true(layer_of(stages, "head")->bits == 8 && layer_of(stages, "1.down")->bits == 4);
    assert_true(lb_is_told(&layer_of(stages, "head")->told, lb_diagnostics_find(&stages->diagnostics, "damp")));
    assert_int_equal(strncmp(layer_of(blocks, "head")->storage, "nf4", 3), 0);
    assert_true(layer_of(blocks, "embed")->bits == 4);
    lb_results_free(r);
}

/* One matrix: either key means it. */
static void tied(void **state) {
    (void)state;
    put_file("tied.yaml",
             KEPT "quantize:\n"
                  "  - {method: gptq, bits: 3, embedding: {method: rtn, bits: 8}, label: embedding}\n"
                  "  - {method: gptq, bits: 3, head: {method: rtn, bits: 8}, label: head}\n"
                  "  - {method: gptq, bits: 3, head: {method: rtn, bits: 8}, embedding: {method: rtn, bits: "
                  "8}, label: both}\n"
                  "  - {method: gptq, bits: 3, head: {method: rtn, bits: 8}, embedding: {method: rtn, bits: "
                  "4}, label: two}\n"
                  "  - {method: gptq, bits: 3, embedding: {method: gptq, bits: 8}, label: solved}\n"
                  "  - {method: rtn, bits: 8, quantize_head: true, label: rounded}\n");
    run_it("tied.yaml", "tiny", 0);
    lb_results *r = results("results/tied");
    same_bytes(r, "embedding", "head", "head", true);
    same_bytes(r, "both", "head", "head", true);
    same_bytes(r, "rounded", "head", "head", true);
    same_bytes(r, "solved", "head", "head", false);
    const lb_record *two = cell_of(r, "two");
    assert_int_equal(two->state, LB_CELL_REFUSED);
    assert_non_null(strstr(two->message, "embedding and head are one matrix in this model, and the two keys differ"));
    lb_results_free(r);
}

static void refusals(void **state) {
    (void)state;
    put_file("no.yaml",
             COMMON "quantize:\n"
                    "  - {method: qat, bits: 3, embedding: {method: rtn}, label: trains}\n"
                    "  - {method: rtn, bits: 3, embedding: {method: gptq}, label: unsolved}\n"
                    "  - {method: wanda, quantize_embedding: true, label: pruned}\n"
                    "  - {method: autoround, quantize_head: true, label: blocks}\n"
                    "  - {method: gptq, bits: 3, quantize_embedding: true, rules: [{match: embed, skip: true}], "
                    "label: skipped}\n");
    run_it("no.yaml", "untied", 0);
    lb_results *r = results("results/no");
    static const struct {
        const char *label, *why;
    } no[] = {{"trains", "method qat trains the whole network: quantize_embedding: true has it train that too"},
              {"unsolved", "has no input statistics, which method gptq needs"},
              {"pruned", "say how it is rounded, such as embedding: {method: rtn, bits: 8}"},
              {"blocks", "say how it is rounded, such as head: {method: rtn, bits: 8}"}};
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        assert_int_equal(cell_of(r, no[i].label)->state, LB_CELL_REFUSED);
        cli_has(cell_of(r, no[i].label)->message, no[i].why);
    }
    const lb_record *skipped = cell_of(r, "skipped");
    assert_true(skipped->state == LB_CELL_DONE && !layer_of(skipped, "embed")->quantized);
    lb_results_free(r);
}

/* The resolved config is a config, and of the same cell: what was found to be rounded is in it. */
static void resolved_again(void **state) {
    (void)state;
    lb_results *r = results("results/embed");
    const lb_record *c = cell_of(r, "with");
    put_file("again.yaml", c->config);
    run_it("again.yaml", "untied", 0);
    lb_results *again = results("results/embed");
    bool found = false;
    for (int64_t i = 0; i < again->n; i++)
        found = found || strcmp(lb_pairs_get(&again->record[i].provenance, "content_key"),
                                lb_pairs_get(&c->provenance, "content_key")) == 0;
    assert_true(found && again->n == 2);
    lb_results_free(again);
    lb_results_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embedding_beside_statistics),
        cmocka_unit_test(it_is_said),
        cmocka_unit_test(head_with_statistics),
        cmocka_unit_test(tied),
        cmocka_unit_test(refusals),
        cmocka_unit_test(resolved_again),
    };
    return cmocka_run_group_tests(tests, make_models, clean);
}
